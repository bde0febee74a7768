"""The number of time-steps of a run, as a member of the components for which it matters."""

from amaranth import *
from amaranth.lib.wiring import In

__all__ = ["beginning", "timesteps_member"]


def timesteps_member(most, flow=In):
    """``timesteps``, 1 to ``most``, which stands still while there are samples; nothing if ``most``
    is 1."""
    return {"timesteps": flow(range(most + 1), init=most)} if most > 1 else {}


def beginning(m, timesteps, fmap):
    """Where the trains of a run begin.

    Parameters
    ----------
    timesteps : of the run
    fmap : :class:`hw.maps.MapConfig` of the trains, which have several slices

    Returns
    -------
    The slice and the time-step in it, combinational.
    """
    steps, slices = fmap.slice_steps, fmap.slices
    slice_index = Signal(range(slices), name="begins_slice")
    number = Signal(range(steps), name="begins_step")
    for last in range(slices):
        # With so many time-steps or fewer, no earlier slice has any.
        most = (slices - last) * steps
        with m.If(timesteps <= most):
            m.d.comb += [slice_index.eq(last), number.eq(most - timesteps)]
    return slice_index, number
