"""When each row of each layer is finished, for samples that follow each other through an array.

The formulas of :mod:`gen.plan.cycles` give the time for which a layer works on a sample. A layer
also waits: for rows of the layer before it, for a bank of its own spike memory, and for the next
layer to take its output. If samples differ, or two layers are about equally slow, the interval
therefore differs a little from the slowest layer's mean.
"""

import math
from collections import deque

import numpy as np

from hw.config import CoreConfig

from .cycles import gathering_clocks

__all__ = ["Pipeline"]

# Clocks from a window to its beat, besides those of the lanes: the stages of select, fetch, encoder
# and lanes, and the queues between them. Then the part of them until the spike memory is read. A
# pooling has fewer. Replicas have a queue each, and one behind the merge.
_FILL, _READ, _POOL_FILL, _MERGE = 21, 12, 6, 4

# Words that fetch, queue and encoder hold when the lanes are late: the spike memory is released
# when the last word of the sample has been read.
_WORDS_AHEAD = 7

# Windows that wait until the words of another one have been read.
_WINDOWS_AHEAD = 2


class Pipeline:
    """Arrays of one configuration, side by side, each with its own stream of samples.

    Parameters
    ----------
    config : :class:`hw.config.ArrayConfig`
    streams : how many
    """

    def __init__(self, config, streams):
        self._config = config
        self._begun = np.zeros(streams)
        self._released = [[deque([np.zeros(streams)] * source.banks, source.banks)
                           for source in layer.sources] for layer in config.layers]
        self._cores = {layer.name: [_Replica(streams) for _ in range(layer.replicas)]
                       for layer in config.cores}
        self._walked = {index: np.zeros(streams) for index in range(len(config.layers))}
        self._sent = {index: np.zeros(streams) for index in range(len(config.layers))}

    def send(self, clocks, words):
        """Send every array its next sample, one beat a clock as long as there is room.

        Parameters
        ----------
        clocks, words : core name -> clocks that its lanes work on each output row, and words that
            are read for it, ``(streams, OY)``

        Returns
        -------
        Clocks from the first beat of the first sample to the last logits of this one,
        ``(streams,)``.
        """
        layout = self._config.input
        rows = np.arange(1, layout.height + 1)[:, None] * layout.width * layout.chunks
        begin = np.maximum(self._begun, self._room(-1))
        self._begun = begin + layout.beats
        came = {-1: begin + rows + 1}  # a write takes effect a clock later
        for index, layer in enumerate(self._config.layers):
            if isinstance(layer, CoreConfig):
                came[index] = self._core(index, layer, came, clocks[layer.name].T,
                                         words[layer.name].T)
            else:
                came[index] = self._pool(index, layer, came)
        return came[len(self._config.layers) - 1][-1]

    def _room(self, index):
        """When all receivers of a map have a bank for another sample of it."""
        return np.max([self._released[layer][source][0]
                       for layer, source in self._config.consumers(index)] or [self._begun * 0],
                      axis=0)

    def _release(self, index, time):
        for memory in self._released[index]:
            memory.append(time)

    @staticmethod
    def _needed(layer, row, came):
        """When the last rows that an output row looks at have arrived."""
        edges = (row * s.stride[0] - s.padding[0] + s.kernel[0] for s in layer.sources)
        return np.max([came[s.layer][max(1, min(edge, s.map.height)) - 1]
                       for s, edge in zip(layer.sources, edges, strict=True)], axis=0)

    def _send(self, index, row, beats, done, spread):
        """When a row has been sent. Its last beat is ready at ``done``, its first one ``spread``
        earlier."""
        if row == 0:
            done = np.maximum(done, self._room(index) + spread)
        self._sent[index] = np.maximum(self._sent[index] + beats, done)
        return self._sent[index]

    def _core(self, index, core, came, clocks, words):
        gathering = max(map(gathering_clocks, core.sources))
        first = max(math.prod(s.kernel) * s.map.chunks for s in core.sources)
        width = core.sources[0].positions[1]
        beats = width * core.groups
        gone, done = 1 - 1 / beats, []
        fill = _FILL + _MERGE * (core.replicas > 1)
        for row, work in enumerate(clocks):
            replica = self._cores[core.name][row % core.replicas]
            begin = np.maximum(replica.window, self._needed(core, row, came))
            replica.window = begin + gathering
            # A row is finished in the register behind the lanes, or in a replica's queue.
            held = replica.sent + (gone * work if core.replicas == 1 else 0)
            replica.lanes = np.max([
                np.maximum(replica.lanes, begin + first) + work, replica.window, held], axis=0)
            ahead = np.minimum(1, _WORDS_AHEAD / words[row]) * work
            replica.read = np.maximum(begin + first + words[row], replica.lanes - ahead) + _READ
            replica.window = np.maximum(
                replica.window, replica.lanes - ahead - _WINDOWS_AHEAD / width * work)
            done.append(self._send(index, row, beats, replica.lanes + fill, gone * work))
            replica.sent = done[-1] - fill
        self._release(index, np.max([r.read for r in self._cores[core.name]], axis=0))
        return done

    def _pool(self, index, pool, came):
        source = pool.source
        height, width = source.positions
        beats = width * source.map.chunks
        work = beats * math.prod(source.kernel)
        gone, done = work - math.prod(source.kernel), []
        for row in range(height):
            walked = np.maximum(self._walked[index], self._needed(pool, row, came)) + work
            done.append(self._send(index, row, beats, walked + _POOL_FILL, gone))
            self._walked[index] = np.maximum(walked, done[-1] - _POOL_FILL)
        self._release(index, self._walked[index])
        return done


class _Replica:
    """The time since when a core's window, lanes, input and output are free."""

    def __init__(self, streams):
        self.window = self.lanes = self.read = self.sent = np.zeros(streams)
