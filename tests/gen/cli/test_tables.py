import pytest

import boards
from gen.cli.commands.tables import as_share


@pytest.mark.parametrize("number, total, text", [
    (10, 40, "10 of 40 (25%)"), (1234, 20_800, "1,234 of 20,800 (6%)"), (2.5, 50, "2.5 of 50 (5%)"),
    (0, 0, "0 of 0")])
def test_shares(number, total, text):
    assert as_share(number, total) == text


def test_a_board_may_have_none_of_something():
    """What ``build`` shows a share of."""
    assert any(board.budget.dsps == 0 for board in boards.BOARDS)
