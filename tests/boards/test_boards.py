"""Boards are data: each one is found, is consistent with its platform, and takes a blinky."""

import pytest
from amaranth import *
from amaranth.lib import io

import boards


class Echo(Elaboratable):
    """The receive pin, registered, on the transmit pin."""

    def elaborate(self, platform):
        m = Module()
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.sync += tx.o.eq(rx.i)
        return m


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
class TestBoard:
    def test_found(self, board):
        assert boards.find(board.name) is board

    def test_device(self, board):
        platform = board.platform()
        assert board.device == f"{platform.device}{platform.package}-{platform.speed}"

    def test_clock(self, board):
        assert board.platform().default_clk_frequency == board.clock_hz

    def test_prepares(self, board):
        plan = board.platform().build(Echo(), "echo", do_build=False, emit_src=False)
        assert board.device in plan.files["echo.tcl"]
        assert "create_clock" in plan.files["echo.xdc"]

    def test_frozen(self, board):
        with pytest.raises(AttributeError):
            board.clock_hz = 1


def test_names_differ():
    assert len({board.name for board in boards.BOARDS}) == len(boards.BOARDS)


def test_unknown():
    with pytest.raises(boards.UnknownBoard,
                       match=r"^board must be one of arty-a7, arty-a7-100, not 'artie'$"):
        boards.find("artie")
