"""The regression notices what is broken (docs/proofs.md)."""

import pytest

from .score import measure, score

_LEAST = 0.95
"""Of the mutants that are not proven equivalent."""


@pytest.mark.slow
def test_regression_kills_mutants():
    mutants = measure()
    assert len(mutants) == 200
    survivors = [mutant for mutant in mutants if not mutant.verdict and not mutant.harmless]
    assert score(mutants) >= _LEAST, survivors
