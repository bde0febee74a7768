"""The number of time-steps of a run, as a member of the components for which it matters."""

from amaranth.lib.wiring import In

__all__ = ["timesteps_member"]


def timesteps_member(most, flow=In):
    """``timesteps``, 1 to ``most``, which stands still while there are samples; nothing if ``most``
    is 1."""
    return {"timesteps": flow(range(most + 1), init=most)} if most > 1 else {}
