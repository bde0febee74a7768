"""What a device tests itself with: samples that travel with the network, and their results."""

from gen.errors import FitError
from gen.ir.beats import pack_input, to_ints
from gen.ir.blocks import answering
from gen.ir.interleaved import interleave, together
from gen.ir.network import Network
from hw.config import ArrayConfig, MemoryImage
from hw.device import answer, packing

__all__ = ["image"]


def image(network: Network, config: ArrayConfig) -> dict[str, MemoryImage]:
    """Contents of the memories by name; nothing if the device does not test itself. If samples are
    blocks of sequences, each is the first one of an image.

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
    seen = interleave(network, config.interleaved)
    samples = together(network.encode(images[:count * config.interleaved]), config.interleaved)
    if config.continues:
        rows = config.input.height
        seen, samples = answering(seen, rows, 1), samples[:, :, :rows]
    trace = seen.run(samples)
    beats = pack_input(samples, config, begins=config.continues)
    words = [word for sample in beats for word in packing(config).pack(to_ints(sample))]
    quiet = [seen.quiet(trace)[core.name] for core in config.settling]
    # As the array sends them: all logits of a position, then those of the next.
    logits = trace.logits.reshape(count, config.readout.channels, -1).swapaxes(1, 2)
    answers = [word for k in range(count) for word in answer(
        config, logits[k].ravel().tolist(),
        sum(int(layer[k]) << place for place, layer in enumerate(quiet)))]
    return {"selftest.samples": MemoryImage(32, tuple(words)),
            "selftest.results": MemoryImage(32, tuple(answers))}
