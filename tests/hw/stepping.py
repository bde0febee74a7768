"""Small cores that fire in every time-step."""

from hw.dynamics import Dynamics, Membrane
from hw.layers import CoreConfig
from hw.maps import SLICE_STEPS, MapConfig, SourceConfig
from hw.programs import step
from tests.networks import MEMBRANES, STEPPING

SLICED = {
    "two slices": Dynamics(1, 19, signed=True, bound="levels"),
    "three slices": Dynamics(25, 10),
    "long bursts": Dynamics(9, 8, burst=3),
    "long probe": Dynamics(9, 2, probe=30),
    "pairs": STEPPING["st-bif"],
    "single steps": STEPPING["cif"],
    "single bursts": STEPPING["burst"],
}
"""With trains of several slices. The probe ends within one."""

_MOST_STEPS = {"pairs": 2, "single steps": 1, "single bursts": 1}

DYNAMICS = STEPPING | SLICED | {
    "long": Dynamics(9, 3),
    "once": Dynamics(1, 2),
    "probed bursts": Dynamics(2, 1, burst=2, probe=1),
    "two phases": Dynamics(1, phases=2),
    "burst alone": Dynamics(1, burst=6),
    "leak": Dynamics(3, 1, membrane=MEMBRANES["leak"]),
    "zero": Dynamics(20, membrane=MEMBRANES["zero"]),
    "zero above": Dynamics(3, membrane=MEMBRANES["zero above"]),
    "delayed": Dynamics(4, 2, membrane=MEMBRANES["delayed"]),
    "added leak": Dynamics(3, membrane=Membrane((1, -3), strict=True)),
    "at once": Dynamics(3, membrane=MEMBRANES["delayed alone"], events=1),
}


def named(name, kinds, levels=3, **options):
    """The core of one of the dynamics, with slices of the length that goes with the name."""
    return stepping(DYNAMICS[name], kinds, levels, **options,
                    most_steps=_MOST_STEPS.get(name, SLICE_STEPS))


def stepping(dynamics, kinds, levels=3, *, side=1, kernel=1, most_steps=SLICE_STEPS):
    """A core whose sources are the image, trains, or both."""
    train = {"code": "train", "timesteps": dynamics.timesteps, "low": -int(dynamics.signed)}
    train = {} if dynamics.phases else train
    shape = {"channels": 4, "height": side, "width": side, "word": 4,
             "most_steps": most_steps}
    maps = [MapConfig(**shape, levels=7) if kind == "image" else
            MapConfig(**shape, levels=dynamics.greatest, **train) for kind in kinds]
    sources = tuple(SourceConfig(fmap, -1, (kernel, kernel), (1, 1), (0, 0)) for fmap in maps)
    return CoreConfig("c", "c", sources, 3, 5, weight_bits=4, membrane_bits=10,
                      masks=((1 << len(sources) * kernel ** 2) - 1,) * 2,
                      schedule=step(maps, levels, dynamics))
