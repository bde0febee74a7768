"""Which planes of a slice a core replays: the charges of its schedule, cut into slices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .maps import MapConfig
from .schedule import Charge, Schedule

__all__ = ["Scan", "scan"]


@dataclass(frozen=True)
class Scan:
    """The order in which a core looks at the planes of a slice.

    Parameters
    ----------
    charges : in order; their planes and their numbers are those within the slice
    numbers : for each slice, and each of these charges: which one of ``Schedule.charges`` it is, or
        ``None`` if the slice has none
    missing : time-steps of the first slice that are in no train
    """

    charges: tuple[Charge, ...]
    numbers: tuple[tuple[int | None, ...], ...]
    missing: int = 0

    @property
    def slices(self) -> int:
        """Slices of a train."""
        return len(self.numbers)

    def hidden(self, place: int) -> tuple[bool, ...]:
        """For each slice: whether a source may have spikes in the planes of one of the
        :attr:`charges` although the core skips the charge there.

        Parameters
        ----------
        place : of the charge
        """
        number = self.charges[place].number
        return tuple(numbers[place] is None and (number is None or slice_index > 0
                                                 or number >= self.missing)
                     for slice_index, numbers in enumerate(self.numbers))


def scan(schedule: Schedule, maps: Sequence[MapConfig]) -> Scan:
    """The scan of a core.

    Sources that are no trains are replayed before the first slice.

    Parameters
    ----------
    maps : of the sources
    """
    slices = max(fmap.slices for fmap in maps)
    if slices == 1:
        return Scan(schedule.charges, (tuple(range(len(schedule.charges))),))
    steps, missing = next((fmap.slice_steps, fmap.missing) for fmap in maps if fmap.slices > 1)
    places = [_place(charge, maps, steps, missing) for charge in schedule.charges]
    images = [charge for _, charge in places if charge.number is None]
    trains = {charge: charge.number for _, charge in places if charge.number is not None}
    charges = (*images, *sorted(trains, key=lambda charge: trains[charge]))
    found = {place: number for number, place in enumerate(places)}
    return Scan(charges, tuple(tuple(found.get((slice_index, charge)) for charge in charges)
                               for slice_index in range(slices)), missing)


def _place(charge, maps, steps, missing):
    """The slice of a charge, and what it is there."""
    if charge.number is None:
        return 0, charge
    slice_index, number = divmod(charge.number + missing, steps)
    moved = number - charge.number
    return slice_index, replace(charge, number=number, planes=tuple(
        None if plane is None else plane + moved * (fmap.levels - fmap.low)
        for fmap, plane in zip(maps, charge.planes, strict=True)))
