"""A LiteX SoC around a network: DMA brings samples from a memory, and takes the results back.

::

    python -m gen ip digits -o build/ip
    python examples/litex/network_soc.py build/ip -o build/soc

writes the SoC's Verilog, ``soc.v``, with the contents of its memories, and the addresses of its
registers, ``csr.json``. Its master is whoever is at the Wishbone pins: a testbench, or a bridge. A
SoC with a processor, for a board, takes the same :func:`add_network`.
"""

import argparse
import contextlib
import json
from pathlib import Path

from litex.build.generic_platform import GenericPlatform, Pins
from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.export import get_csr_json
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import stream, wishbone
from migen import ClockSignal, Instance, ResetSignal
from migen.genlib.io import CRG

CLOCK_HZ = 100_000_000

BUFFER, BUFFER_BYTES = 0x1000_0000, 0x1000


class Network(LiteXModule):
    """The module that ``python -m gen ip`` has written.

    Parameters
    ----------
    platform : gets the Verilog file
    directory : of the IP core

    Attributes
    ----------
    sink : samples, ``last`` with the last word of each
    source : results; ``error`` if the packet that is answered had another length than a sample
    """

    def __init__(self, platform, directory):
        facts = json.loads((Path(directory) / "ip.json").read_text(encoding="utf-8"))
        module = facts["module"]
        self.sink = sink = stream.Endpoint([("data", 32)])
        self.source = source = stream.Endpoint([("data", 32), ("error", 1)])
        # A network with time-steps runs all of them.
        steps = facts["registers"]["most_timesteps"]
        ports = {"i_timesteps": steps} if steps > 1 else {}
        self.specials += Instance(
            module,
            i_clk=ClockSignal(), i_rst=ResetSignal(),
            i_s_axis_tdata=sink.data, i_s_axis_tvalid=sink.valid, i_s_axis_tlast=sink.last,
            o_s_axis_tready=sink.ready,
            o_m_axis_tdata=source.data, o_m_axis_tvalid=source.valid, o_m_axis_tlast=source.last,
            o_m_axis_tuser=source.error, i_m_axis_tready=source.ready,
            **ports)
        platform.add_source(str(Path(directory) / f"{module}.v"))


def add_network(soc, directory):
    """Add a network and its DMA to a SoC. A transfer of the reader is a sample."""
    soc.network = network = Network(soc.platform, directory)
    for name, kind in (("reader", WishboneDMAReader), ("writer", WishboneDMAWriter)):
        bus = wishbone.Interface(data_width=32, address_width=32, addressing="word")
        # A word of the memory is a word of the stream: no bytes are swapped.
        soc.add_module(name, kind(bus, endianness="big", with_csr=True))
        soc.bus.add_master(name, bus)
    soc.comb += [
        soc.reader.source.connect(network.sink),
        network.source.connect(soc.writer.sink, omit={"error"}),
    ]


class NetworkSoC(SoCMini):
    """A network, a memory, and what moves words between them.

    Parameters
    ----------
    platform : has ``clk``, ``rst`` and ``wishbone``
    directory : of the IP core
    """

    def __init__(self, platform, directory):
        self.crg = CRG(platform.request("clk"), rst=platform.request("rst"))
        super().__init__(platform, CLOCK_HZ, with_ctrl=False)
        self.add_ram("buffer", BUFFER, BUFFER_BYTES)
        host = wishbone.Interface(data_width=32, address_width=32, addressing="word")
        self.comb += host.connect_to_pads(platform.request("wishbone"), mode="slave")
        self.bus.add_master("host", host)
        add_network(self, directory)


def write(directory, out):
    """Write the Verilog of the SoC, and the addresses, for the IP core in a directory."""
    bus = wishbone.Interface(data_width=32, address_width=32, addressing="word")
    pins = [("clk", 0, Pins(1)), ("rst", 0, Pins(1)), *bus.get_ios("wishbone")]
    platform = GenericPlatform("none", pins, name="soc")
    soc = NetworkSoC(platform, directory)
    soc.finalize()
    Path(out).mkdir(parents=True, exist_ok=True)
    # LiteX puts the contents of memories where it runs.
    with contextlib.chdir(out):
        platform.get_verilog(soc, name="soc").write("soc.v")
        Path("csr.json").write_text(
            get_csr_json(soc.csr_regions, soc.constants, soc.mem_regions), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a LiteX SoC around a network.")
    parser.add_argument("directory", help="output of python -m gen ip")
    parser.add_argument("-o", "--output", default="build/soc")
    arguments = parser.parse_args()
    write(arguments.directory, arguments.output)
