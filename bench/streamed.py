"""Images through the Verilated array, for the benchmarks that count its clocks."""

from gen.verify.rtl import verify
from gen.verify.simulation import expected, stream

from .common import require_exact

__all__ = ["SOURCES", "streamed"]

SOURCES = ("bench/streamed.py",)
"""What the results depend on beside what is simulated."""


def streamed(case, design, images, *, verified):
    """Run images through the Verilated array.

    Parameters
    ----------
    verified : number of images of which every spike is compared, and not only the logits

    Returns
    -------
    Their counts, the :class:`gen.verify.simulation.Run`, the logits, and the figures ``mismatches``
    and ``spikes_compared``.

    Raises
    ------
    SimulationError
        If a logit or a spike differs.
    """
    network, config, samples = design.seen(images)
    counts = network.encode(samples)
    run = stream(design.config, design.image, counts, jobs=1, seen=config)
    logits, *_ = expected(network, config, counts)
    spikes = verify(design, images[:verified])
    found = {"mismatches": int((run.logits != logits).sum()), "spikes_compared": spikes["spikes"]}
    for result in (found, spikes):
        require_exact(case, result)
    return counts, run, logits, found
