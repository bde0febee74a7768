"""The proofs of docs/proofs.md: they hold, say something, and do not hold of broken components."""

import pytest

from . import encoder, lanes, link, prover, stream

PROOFS = stream.PROOFS | encoder.PROOFS | lanes.PROOFS | link.PROOFS

NAMES = [name if name == "encoder-3" else pytest.param(name, marks=pytest.mark.slow)
         for name in PROOFS]
"""One proof, of three seconds, is part of ``make test``."""

_MUTANTS = 8


@pytest.mark.parametrize("name", NAMES)
def test_holds(name, tmp_path):
    proof = PROOFS[name]
    if proof.bound is None:
        assert prover.prove(proof.bench(every=True), tmp_path, engine=proof.engine) == "PASS"
    if proof.bound is not None or proof.bounded is not None:
        assert prover.bounded(proof.bench(), tmp_path, depth=_depth(proof)) == "PASS"


@pytest.mark.slow
@pytest.mark.parametrize("name", PROOFS)
def test_says_something(name, tmp_path):
    """What the properties speak of can happen, under their assumptions."""
    assert prover.cover(PROOFS[name].bench(), tmp_path, depth=PROOFS[name].depth) == "PASS"


def _depth(proof):
    return proof.bound or proof.depth + 8


# A fork to one consumer is all wires, and of some mutants nothing is left to be proven.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PROOFS if name != "fork-1"])
def test_broken_component_fails(name, tmp_path):
    """Most ways to break a component matter; a stuck bit that is never set does not."""
    proof = PROOFS[name]
    said = [prover.bounded(proof.bench(), tmp_path / str(k), depth=_depth(proof), mutant=mutant)
            for k, mutant in enumerate(prover.mutants(proof.bench(), tmp_path, _MUTANTS))]
    assert set(said) <= {"PASS", "FAIL"}
    assert said.count("FAIL") >= _MUTANTS / 2, said
