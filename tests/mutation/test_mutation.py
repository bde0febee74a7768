"""The regression notices what is broken (docs/proofs.md)."""

import pytest

from .score import SUBJECTS, measure, score

_LEAST = 0.95
"""Of the mutants that are not proven equivalent."""


@pytest.mark.slow
@pytest.mark.parametrize("name, count", [("settle", 200), ("step", 110)])
def test_regression_kills_mutants(name, count):
    mutants = measure(SUBJECTS[name])
    assert len(mutants) == count
    survivors = [mutant for mutant in mutants if not mutant.verdict and not mutant.harmless]
    assert score(mutants) >= _LEAST, survivors
