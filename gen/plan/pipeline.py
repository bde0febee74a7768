"""When each row of each layer is finished, for samples that follow each other through an array.

The formulas of :mod:`gen.plan.cycles` give the time for which a layer works on a sample. A layer
also waits: for rows of the layer before it, and for room in the spike memories behind it. If
samples differ, or two layers are about equally slow, the interval therefore differs a little from
the slowest layer's mean.
"""

from collections.abc import Mapping

import numpy as np

from hw.config import ArrayConfig
from hw.maps import MapConfig

from .flow import Flow
from .kinds import kind

__all__ = ["Pipeline"]


class Pipeline:
    """Arrays of one configuration, side by side, each with its own stream of samples.

    Parameters
    ----------
    config : shape of the arrays
    streams : number of arrays
    """

    def __init__(self, config: ArrayConfig, streams: int) -> None:
        self._flows: list[Flow] = [_Input(config.input, streams), *(
            kind(layer).Flow(layer, streams) for layer in config.layers)]
        for index, flow in enumerate(self._flows, -1):
            flow.receivers = [memory for layer, source in config.consumers(index)
                              for memory in self._flows[layer + 1].memories[source]]
            for memory in flow.receivers:
                memory.came = flow.came

    def send(self, clocks: Mapping[str, np.ndarray], words: Mapping[str, np.ndarray]
             ) -> np.ndarray:
        """Send every array its next sample, one beat a clock as long as there is room.

        Parameters
        ----------
        clocks : core name -> clocks that its lanes work on each output row, ``(streams, OY)``
        words : core name -> words that it reads for each output row, ``(streams, OY)``

        Returns
        -------
        Clocks from the first beat of the first sample to the last logits of this one,
        ``(streams,)``.

        Raises
        ------
        ValueError
            If the array stands still, because a spike memory holds too few rows.
        """
        for flow in self._flows:
            flow.begin(clocks, words)
        left = sum(flow.left for flow in self._flows)
        while left:
            before = left
            for flow in self._flows:
                while flow.left and flow.may_move():
                    flow.move()
            left = sum(flow.left for flow in self._flows)
            if left == before:
                raise ValueError("the array stands still: a spike memory holds too few rows")
        return self._flows[-1].came[-1]


class _Input(Flow):
    def __init__(self, layout: MapConfig, streams: int) -> None:
        super().__init__(layout.height, streams)
        self._beats = layout.width * layout.position_beats
        self.sent = self.sent + 1  # a write takes effect a clock later

    def move(self):
        self.send_row(self._beats, self.sent, self._beats + 1)
