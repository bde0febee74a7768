"""Boards are data: each one is found and is consistent with its platform."""

import pytest
from amaranth.build import Subsignal

import boards


def device(platform):
    if hasattr(platform, "part"):
        return platform.part
    if platform.device.startswith("xc7"):
        return f"{platform.device}{platform.package}-{platform.speed}"
    if platform.device.startswith("LFE5"):
        return f"{platform.device}-{platform.speed}{platform.package}"
    return f"{platform.device}-{platform.package}"


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
class TestBoard:
    def test_found(self, board):
        assert boards.find(board.name) is board

    def test_device(self, board):
        assert board.device == device(board.platform())

    def test_clock(self, board):
        low, high = board.pll.input
        assert low <= board.oscillator_hz <= high
        assert board.clock_hz > 0

    def test_link(self, board):
        link = board.platform().lookup(board.link)
        assert {"rx", "tx"} <= {part.name for part in link.ios if isinstance(part, Subsignal)}

    def test_frozen(self, board):
        with pytest.raises(AttributeError):
            board.clock_hz = 1


def test_names_differ():
    assert len({board.name for board in boards.BOARDS}) == len(boards.BOARDS)


def test_unknown():
    names = ", ".join(board.name for board in boards.BOARDS)
    with pytest.raises(boards.UnknownBoard, match=rf"^there is no board 'artie'; did you mean "
                                                   rf"'arty-a7'. known are {names}$"):
        boards.find("artie")
