# amaranth: UnusedElaboratable=no
"""The adapter to the hard block of 7-series devices."""

from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.pcie.series7 import Series7


def simulate(test):
    dut = Series7()
    verilog.convert(dut, name="dut")

    async def whole(ctx):
        await test(ctx, dut)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(whole)
    simulator.run()


def test_streams():
    async def test(ctx, dut):
        for keep, last in ((0xff, 0), (0x0f, 1), (0xff, 1)):
            ctx.set(dut.m_axis_rx_tdata, 0x1122334455667788)
            ctx.set(dut.m_axis_rx_tkeep, keep)
            ctx.set(dut.m_axis_rx_tlast, last)
            ctx.set(dut.m_axis_rx_tvalid, 1)
            ctx.set(dut.link.i.ready, last)
            beat = ctx.get(dut.link.i.payload)
            assert (beat.data, beat.pair, beat.last) == (0x1122334455667788, keep == 0xff, last)
            assert ctx.get(dut.link.i.valid)
            assert ctx.get(dut.m_axis_rx_tready) == last
            ctx.set(dut.link.o.payload, {"data": 0x99, "pair": keep == 0xff, "last": last})
            ctx.set(dut.link.o.valid, 1)
            ctx.set(dut.s_axis_tx_tready, last)
            assert ctx.get(dut.s_axis_tx_tdata) == 0x99
            assert ctx.get(dut.s_axis_tx_tkeep) == keep
            assert ctx.get(dut.s_axis_tx_tlast) == last
            assert ctx.get(dut.link.o.ready) == last
            assert ctx.get(dut.s_axis_tx_tuser) == 0

    simulate(test)


def test_configuration():
    """PG054: the number of the function, and the fields of Command and Device Control."""
    async def test(ctx, dut):
        ctx.set(dut.cfg_bus_number, 0x12)
        ctx.set(dut.cfg_device_number, 0x3)
        ctx.set(dut.cfg_function_number, 1)
        assert ctx.get(dut.link.id) == 0x1219
        ctx.set(dut.cfg_dcommand, 0x5 << 12 | 0x2 << 5 | 0x1f)
        assert ctx.get(dut.link.max_payload) == 2
        assert ctx.get(dut.link.max_read) == 5
        for command in (0, 4, 3, 7):
            ctx.set(dut.cfg_command, command)
            assert ctx.get(dut.link.bus_master) == command >> 2
        ctx.set(dut.link.non_posted_ok, 1)
        assert ctx.get(dut.rx_np_ok)
        assert ctx.get(dut.rx_np_req)
        for pending in (0, 1):
            ctx.set(dut.link.pending, pending)
            assert ctx.get(dut.cfg_trn_pending) == pending

    simulate(test)


def test_interrupts():
    """One that MSI does not carry is dropped."""
    async def test(ctx, dut):
        ctx.set(dut.link.interrupt, 1)
        for enabled in (0, 1):
            for taken in (0, 1):
                ctx.set(dut.cfg_interrupt_msienable, enabled)
                ctx.set(dut.cfg_interrupt_rdy, taken)
                assert ctx.get(dut.cfg_interrupt) == enabled
                assert ctx.get(dut.link.interrupt_taken) == (taken or not enabled)

    simulate(test)


def test_power_is_turned_off_between_packets():
    async def test(ctx, dut):
        ctx.set(dut.cfg_command, 4)
        ctx.set(dut.s_axis_tx_tready, 1)
        ctx.set(dut.link.o.valid, 1)
        await ctx.tick()
        ctx.set(dut.cfg_to_turnoff, 1)
        ctx.set(dut.link.o.valid, 0)
        assert not ctx.get(dut.link.bus_master)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.cfg_turnoff_ok)
        ctx.set(dut.link.o.valid, 1)
        ctx.set(dut.link.o.p.last, 1)
        await ctx.tick()
        ctx.set(dut.link.o.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.cfg_turnoff_ok)

    simulate(test)
