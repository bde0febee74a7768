"""When each row of each layer is finished, for samples that follow each other through an array.

The formulas of :mod:`gen.plan.cycles` give the time for which a layer works on a sample. A layer
also waits: for rows of the layer before it, for a bank of its own spike memory, and for the next
layer to take its output. If samples differ, or two layers are about equally slow, the interval
therefore differs a little from the slowest layer's mean.
"""

from collections import deque

import numpy as np

from .kinds import kind

__all__ = ["Pipeline"]

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
        self._flows = [kind(layer).Flow(layer, streams) for layer in config.layers]
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
        for index, (layer, flow) in enumerate(zip(self._config.layers, self._flows, strict=True)):
            came[index] = flow.send(self, index, came, clocks.get(layer.name),
                                    words.get(layer.name))
        return came[len(self._config.layers) - 1][-1]

    def _room(self, index):
        """When all receivers of a map have a bank for another sample of it."""
        return np.max([self._released[layer][source][0]
                       for layer, source in self._config.consumers(index)] or [self._begun * 0],
                      axis=0)

    def release(self, index, time):
        """Free a bank of each memory of a layer."""
        for memory in self._released[index]:
            memory.append(time)

    @staticmethod
    def needed(layer, row, came):
        """When the last rows that an output row looks at have arrived."""
        edges = (row * s.stride[0] - s.padding[0] + s.kernel[0] for s in layer.sources)
        return np.max([came[s.layer][max(1, min(edge, s.map.height)) - 1]
                       for s, edge in zip(layer.sources, edges, strict=True)], axis=0)

    def send_row(self, index, row, beats, done, spread):
        """When a row has been sent. Its last beat is ready at ``done``, its first one ``spread``
        earlier."""
        if row == 0:
            done = np.maximum(done, self._room(index) + spread)
        self._sent[index] = np.maximum(self._sent[index] + beats, done)
        return self._sent[index]
