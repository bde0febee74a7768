"""The times at which rows are sent, arrive and are released, as far as all kinds of layers share
them; see :mod:`gen.plan.pipeline`."""

import functools
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from hw.maps import SourceConfig

__all__ = ["Flow", "SpikeMemory"]


class SpikeMemory:
    """The spike memory of a source, or of one replica's source.

    Parameters
    ----------
    streams : number of arrays side by side

    Attributes
    ----------
    came : when each row of the present sample arrived, ``(streams,)`` each; the list of the layer
        that sends the map
    late : clocks after which a window sees a row
    """

    def __init__(self, source: SourceConfig, streams: int) -> None:
        self._source, self._tops = source, source.tops
        self._sample = 0
        self._left = 0  # output rows of the sample whose windows have been left
        # The top of the window after each release, and the time of the release.
        self._released = deque([(self._tops[0], np.zeros(streams))])
        self.came: list[np.ndarray] = []
        self.late = 0

    @property
    def needed(self) -> int:
        """Rows of the sample that must have arrived for the present window."""
        edge = self._tops[self._left] + self._source.kernel[0]
        return max(0, min(edge, self._source.map.height))

    def release(self, time: np.ndarray) -> None:
        """Leave the present window at a time, ``(streams,)``."""
        self._left += 1
        if self._left == len(self._tops):
            self._sample, self._left = self._sample + 1, 0
        top = self._sample * self._source.map.height + self._tops[self._left]
        self._released.append((top, time))

    def has_room(self, row: int) -> bool:
        """Whether it is known when there is room for a row. Rows are numbered from the first sample
        on, and the caller asks for them in that order."""
        lowest = row + 1 - self._source.reach
        while len(self._released) > 1 and self._released[0][0] < lowest:
            self._released.popleft()
        return self._released[0][0] >= lowest

    @property
    def room(self) -> np.ndarray:
        """When there is room for the row that :meth:`has_room` was last asked about,
        ``(streams,)``."""
        return self._released[0][1]


class Flow:
    """The rows that the input or a layer sends.

    A kind of layer says in ``move`` when its next row is sent.

    Parameters
    ----------
    rows : of the map
    streams : number of arrays side by side
    memories : for each source the spike memories of all replicas

    Attributes
    ----------
    sent : when the last row was sent, ``(streams,)``
    receivers : spike memories that the map goes to
    came : when each row of the present sample came to them, ``(streams,)`` each
    """

    def __init__(self, rows: int, streams: int,
                 memories: Sequence[Sequence[SpikeMemory]] = ()) -> None:
        self._rows = rows
        self._total = 0
        self.sent = np.zeros(streams)
        self.memories = memories
        self.receivers: Sequence[SpikeMemory] = ()
        self.came: list[np.ndarray] = []

    def begin(self, clocks: Mapping[str, np.ndarray], words: Mapping[str, np.ndarray]) -> None:
        """Begin the next sample; see :meth:`gen.plan.pipeline.Pipeline.send`."""
        self.came.clear()

    def move(self) -> None:
        """Send the next row."""
        raise NotImplementedError

    @property
    def left(self) -> int:
        """Rows of the present sample that have not been sent."""
        return self._rows - len(self.came)

    @property
    def looking(self) -> list[SpikeMemory]:
        """Spike memories that the next row looks at."""
        return [replicas[len(self.came) % len(replicas)] for replicas in self.memories]

    def may_move(self) -> bool:
        """Whether everything that the next row depends on is known."""
        return (all(len(memory.came) >= memory.needed for memory in self.looking)
                and all(memory.has_room(self._total) for memory in self.receivers))

    def needed(self) -> np.ndarray:
        """When the last rows that the next row looks at have arrived, ``(streams,)``."""
        return functools.reduce(np.maximum, (
            memory.came[memory.needed - 1] + memory.late
            for memory in self.looking if memory.needed), np.zeros_like(self.sent))

    def send_row(self, beats: int, done: np.ndarray, spread: np.ndarray | float) -> None:
        """Send a row.

        Parameters
        ----------
        beats : of the row
        done : when its last beat is ready, ``(streams,)``
        spread : clocks between the first beat that has to wait for room, and the last beat
        """
        for memory in self.receivers:
            done = np.maximum(done, memory.room + spread)
        self.sent = np.maximum(self.sent + beats, done)
        self._total += 1
        self.came.append(self.sent)
