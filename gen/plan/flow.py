"""What layers of all kinds have in common in :mod:`gen.plan.pipeline`: rows that come and go."""

import functools
from collections import deque

import numpy as np

__all__ = ["Flow", "SpikeMemory"]


class SpikeMemory:
    """The spike memory of a source, or of one replica's source.

    Attributes
    ----------
    came : when each row of the present sample arrived, ``(streams,)`` each; the list of the layer
        that sends the map
    """

    def __init__(self, source, streams):
        self._source, self._tops = source, source.tops
        self._sample = 0
        self._turn = 0  # output rows of the sample that have been read
        # The top of the window after each release, and when that is.
        self._released = deque([(self._tops[0], np.zeros(streams))])
        self.came = []

    @property
    def needed(self):
        """Rows of the sample that must have arrived for the present window."""
        edge = self._tops[self._turn] + self._source.kernel[0]
        return max(1, min(edge, self._source.map.height))

    def release(self, time):
        """Leave the present window."""
        self._turn += 1
        if self._turn == len(self._tops):
            self._sample, self._turn = self._sample + 1, 0
        top = self._sample * self._source.map.height + self._tops[self._turn]
        self._released.append((top, time))

    def has_room(self, row):
        """Whether it is known when there is room for a row. Rows count from the first sample on,
        and are asked for in that order."""
        lowest = row + 1 - self._source.reach
        while len(self._released) > 1 and self._released[0][0] < lowest:
            self._released.popleft()
        return self._released[0][0] >= lowest

    @property
    def room(self):
        """When there is room for the row that :meth:`has_room` was last asked about."""
        return self._released[0][1]


class Flow:
    """What sends a map: the input, or a layer.

    A kind of layer says in ``move`` when its next row is sent.

    Attributes
    ----------
    memories : for each source the spike memories of all replicas
    receivers : spike memories that the map goes to
    came : when each row of the present sample came to them
    """

    def __init__(self, rows, streams, memories=()):
        self._rows = rows
        self._total = 0
        self.sent = np.zeros(streams)
        self.memories = memories
        self.receivers, self.came = (), []

    def begin(self, clocks, words):
        """Begin the next sample; see :meth:`gen.plan.pipeline.Pipeline.send`."""
        self.came.clear()

    def move(self):
        """Send the next row."""
        raise NotImplementedError

    @property
    def left(self):
        """Rows of the present sample that have not been sent."""
        return self._rows - len(self.came)

    @property
    def looking(self):
        """Spike memories that the next row looks at."""
        return [replicas[len(self.came) % len(replicas)] for replicas in self.memories]

    def may_move(self):
        """Whether everything is known that the next row depends on."""
        return (all(len(memory.came) >= memory.needed for memory in self.looking)
                and all(memory.has_room(self._total) for memory in self.receivers))

    def needed(self):
        """When the last rows that the next row looks at have arrived."""
        return functools.reduce(np.maximum, (
            memory.came[memory.needed - 1] for memory in self.looking))

    def send_row(self, beats, done, spread):
        """Send a row. Its last beat is ready at ``done``, the first one that has to wait for room
        ``spread`` earlier."""
        for memory in self.receivers:
            done = np.maximum(done, memory.room + spread)
        self.sent = np.maximum(self.sent + beats, done)
        self._total += 1
        self.came.append(self.sent)
