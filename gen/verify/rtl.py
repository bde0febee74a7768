"""The emitted Verilog against :meth:`Network.run`: every neuron's spike count, every logit."""

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import cocotb_tools.config
import numpy as np

from gen.build.design import Design
from gen.build.verilog import array_verilog
from gen.data.datasets import load, read_array
from gen.errors import DataError, SimulationError
from gen.ir import beats
from gen.ir.network import Network, Trace
from gen.ir.pixels import pixels_of
from gen.plan.cycles import row_clocks, row_events
from gen.plan.workload import sample_clocks
from gen.system import files, processes
from gen.system.progress import bar
from hw.config import ArrayConfig, MemoryImage

from .monitor import monitor_verilog
from .streams import layer_streams, quiet_streams
from .testbench import TESTS
from .verilator import patience, stillness, verilate

__all__ = ["choose_images", "compare", "verify"]

log = logging.getLogger(__name__)

# The testbench sees the monitor's ports alone, and writes those that it drives: the array is
# optimised as it always is.
_VISIBLE = "`verilator_config\n" + "".join(
    f'public_flat_{access} -module "monitor" -var "{ports}"\n' for access, ports in (
        *(("rw", port) for port in ("clk", "rst", "i_payload", "i_valid", "o_ready", "timesteps")),
        *(("rd", port) for port in ("taken", "event", "seen", "beat_*", "rows_*", "events_*"))))


def compare(config: ArrayConfig, image: dict[str, MemoryImage], counts: np.ndarray, trace: Trace,
            *, seen: ArrayConfig | None = None, seed: int = 0) -> dict:
    """Run the testbench on the Verilog of ``config`` and ``image``.

    Parameters
    ----------
    config, image : what :func:`gen.plan.mapping.map_network` returns
    counts : ``(N, C, H, W)`` input counts
    trace : what is expected, of a run of any number of time-steps
    seen : a configuration whose samples are those of ``counts``, if the array takes these block by
        block (:meth:`gen.build.design.Design.seen`); by default ``config``
    seed : of the random stalls

    Returns
    -------
    ``images``; ``spikes``, the number of values compared (for each image the count of each neuron,
    or its spikes of all time-steps together, each logit, and for each layer that comes to rest
    whether it was quiet); ``mismatches``, how many of them differ; ``first_mismatch``, ``None`` or
    the first in time as layer, sample, channel, y, x, expected and got; ``clocks``; and
    ``clocks_per_second`` of the simulation.

    Raises
    ------
    SimulationError
        If the simulator can't be built or run. If no value differs, but the array hangs, or a
        core's lanes take another number of events, or add another number of rows, than its samples
        have.
    """
    simulator, begins = _simulator(config, image), config.continues
    config = seen or config
    streams = [*layer_streams(config), *quiet_streams(config)]
    expected = [stream.expected(trace) for stream in streams]
    with processes.scratch() as directory:
        _write_plan(directory, beats.pack_input(counts, config, begins=begins), streams, expected,
                    work=_work(config, trace, counts), watchdog=patience(config),
                    interval=(interval := _interval(config, trace, counts)),
                    still=min(2 * interval, stillness(config)),
                    timesteps=min(len(trace.steps), config.timesteps),
                    readout=len(config.layers) - 1, in_flight=config.in_flight)
        results = _run(simulator, directory, seed, len(counts))
    mismatches = sum(result["mismatches"] for result in results)
    errors = [result["error"] for result in results if result["error"]]
    if errors and not mismatches:
        raise SimulationError(errors[0])
    first = next((result["first"] for result in results if result["first"]), None)
    clocks = sum(result["clocks"] for result in results)
    return {
        "images": len(counts),
        "spikes": sum(values.size for values in expected),
        "mismatches": mismatches,
        "first_mismatch": first and _difference(streams, **first),
        "clocks": clocks,
        "clocks_per_second": round(clocks / sum(result["seconds"] for result in results)),
    }


def _simulator(config, image):
    harness = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    source = array_verilog(config, image) + monitor_verilog(config)
    return verilate(source, "monitor", harness, headers={"ports.vlt": _VISIBLE},
                    options=("--vpi", "ports.vlt"), progress=log.info,
                    library=(cocotb_tools.config.libs_dir, "cocotbvpi_verilator"))


def _work(config, trace, inputs):
    """For each core: how many events its lanes take for each sample, and how many rows they add."""
    for core in config.shortened(len(trace.steps)).cores:
        counts = [inputs if source.layer < 0 else trace.maps[config.layers[source.layer].name]
                  for source in core.sources]
        yield {"name": core.name, "events": row_events(core, counts).sum(axis=1).tolist(),
               "rows": row_clocks(core, counts, idle=False).sum(axis=1).tolist()}


def _interval(config, trace, inputs):
    """Clocks of the slowest layer."""
    short = config.shortened(len(trace.steps))
    return round(max(clocks.mean() for clocks in sample_clocks(short, trace, inputs).values()))


def _difference(streams, stream, **words):
    """Where a beat first differs, and how."""
    return next(each for each in streams if each.name == stream).difference(**words)


def _write_plan(directory, inputs, streams, values, *, work, **facts):
    plan = {"streams": [{"name": stream.name, "lanes": stream.lanes, "bits": stream.bits,
                         "masks": stream.masks} for stream in streams],
            "work": list(work), **facts}
    files.write_text(directory / "plan.json", json.dumps(plan))
    packed = {f"stream_{k}": stream.pack(due)
              for k, (stream, due) in enumerate(zip(streams, values, strict=True))}
    with files.replacing(directory / "beats.npz") as draft:
        np.savez(draft, input=inputs, **packed)


def _run(simulator, directory, seed, images):
    """Run the testbench in the simulator's own process; what its tests found."""
    progress, results = directory / "progress", directory / "results.jsonl"
    transcript = directory / "verify.log"
    command = [sys.executable, "-m", "gen.verify.cosimulation", str(simulator), str(directory),
               str(seed)]
    with (transcript.open("wb") as output, processes.group() as start,
          bar(total=images, unit="image", desc="verify") as shown):
        test = start(command, stdout=output, stderr=processes.STDOUT,
                     env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        while test.poll() is None:
            with suppress(processes.TimeoutExpired):
                test.wait(0.2)
            shown.update(progress.stat().st_size - shown.n if progress.exists() else 0)
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    if len(lines) != len(TESTS):
        raise SimulationError(f"{len(lines)} of the testbench's {len(TESTS)} tests came to an end "
                              f"(log: {_kept(transcript, simulator)})")
    return [json.loads(line) for line in lines]


def _kept(transcript, simulator):
    """Where a transcript is found afterwards."""
    log = simulator.with_name(transcript.name)
    files.write_bytes(log, transcript.read_bytes())
    return log


def choose_images(network: Network, count: int, seed: int, dataset: str | None,
                  data_dir: str | os.PathLike | None, images_file: str | os.PathLike | None
                  ) -> tuple[np.ndarray, str]:
    """Raw images to verify a network with, real ones if there are any.

    Parameters
    ----------
    count : how many
    seed : of the choice
    dataset, data_dir : where they come from; by default the data set that the network's metadata
        name, else the samples that the network carries, else random ones
    images_file : ``.npy`` file of raw images to use instead, in a shape that
        :meth:`Network.shaped` takes

    Returns
    -------
    The images, and where they come from: a data set's name, the file, ``"network"``, ``"random"``.

    Raises
    ------
    DataError
        If there are none, or the data set is missing, or a folder is given and no data set is
        named.
    NetworkError
        If they are not of the network's shape, type or range.
    """
    if count < 1:
        raise DataError(f"images must be at least 1, not {count!r}")
    images, source = _source(network, count, seed, dataset, data_dir, images_file)
    if not len(images):
        raise DataError(f"{source} has no images")
    network.encode(images)
    return images, source


def _source(network, count, seed, dataset, data_dir, images_file):
    rng = np.random.default_rng(seed)
    if images_file is not None:
        return pixels_of(network, read_array(images_file)[:count]), str(images_file)
    named = dataset or network.metadata.get("dataset")
    if named is not None:
        try:
            images = load(named, data_dir).test_images
            return images[rng.permutation(len(images))[:count]], named
        except DataError as error:
            if dataset is not None:
                raise
            log.warning("%s; other images are used instead", error)
    elif data_dir is not None:
        raise DataError(f"{network.name} names no data set: say which (--dataset)")
    if network.samples is not None:
        return network.samples[:count], "network"
    log.warning("%s carries no images: random ones are used", network.name)
    shape = (count, *network.input_shape)
    return rng.integers(0, network.pixel_max, shape, endpoint=True), "random"


def verify(design: Design, images: np.ndarray, *, seed: int = 0,
           timesteps: int | None = None) -> dict:
    """Compare the Verilog of a design's array with :meth:`Network.run`.

    Parameters
    ----------
    images : raw, in a shape that :meth:`Network.shaped` takes; see :func:`choose_images`
    seed : of the stalls
    timesteps : of the run, by default all of the network's

    Returns
    -------
    As :func:`compare`.
    """
    network, seen, samples = design.seen(images)
    counts = network.encode(samples)
    trace = network.run(counts, timesteps=timesteps)
    result = compare(design.config, design.image, counts, trace, seen=seen, seed=seed)
    return result | {"images": len(images)}
