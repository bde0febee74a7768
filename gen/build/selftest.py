"""What a device tests itself with: samples that travel with the network, and their results."""

from itertools import chain

import numpy as np

from gen.errors import FitError
from gen.ir.beats import pack_input, to_ints
from gen.ir.blocks import answering
from gen.ir.interleaved import interleave, together
from gen.ir.network import Network
from hw.config import ArrayConfig, MemoryImage
from hw.device import answer, packing

__all__ = ["image", "words"]


def image(network: Network, config: ArrayConfig) -> dict[str, MemoryImage]:
    """Contents of the memories by name; nothing if the device does not test itself.

    Raises
    ------
    FitError
        If fewer images travel with the network.
    """
    count = config.selftests
    if not count:
        return {}
    images = network.samples
    if images is None or len(images) < count * config.interleaved:
        raise FitError(f"{network.name} carries {0 if images is None else len(images)} images, and "
                       f"a self-test of {count} samples needs {count * config.interleaved}; train "
                       f"or convert it with a data set, or test fewer (--selftest)")
    samples, answers = words(network, config, images[:count * config.interleaved])
    return {"selftest.samples": MemoryImage(32, tuple(chain.from_iterable(samples))),
            "selftest.results": MemoryImage(32, tuple(chain.from_iterable(answers)))}


def words(network: Network, config: ArrayConfig, images: np.ndarray
          ) -> tuple[list[list[int]], list[list[int]]]:
    """What a device of a configuration is given for raw images ``(N, C, H, W)``, and what it
    answers.

    Returns
    -------
    For each sample its words, and those of its result (:class:`hw.device.Device`) without the
    clocks. If samples are blocks of sequences, each is the first one of an image.
    """
    seen = interleave(network, config.interleaved)
    samples = together(network.encode(images), config.interleaved)
    if config.continues:
        rows = config.input.height
        seen, samples = answering(seen, rows, 1), samples[:, :, :rows]
    trace = seen.run(samples)
    beats = pack_input(samples, config, begins=config.continues)
    quiet = [seen.quiet(trace)[core.name] for core in config.settling]
    # As the array sends them: all logits of a position, then those of the next.
    logits = trace.logits.reshape(len(samples), config.readout.channels, -1).swapaxes(1, 2)
    answers = [answer(config, logits[k].ravel().tolist(),
                      sum(int(layer[k]) << place for place, layer in enumerate(quiet)))
               for k in range(len(samples))]
    return [packing(config).pack(to_ints(sample)) for sample in beats], answers
