"""The process that knows the spikes of a build's network: `gen.verify.lines`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import IO

__all__ = ["Spikes", "spikes_of"]


class Spikes:
    """Questions to the process, which one thread asks.

    Parameters
    ----------
    requests, answers : its standard streams, of whose output nothing has been read yet

    Members
    -------
    layers, samples : as `gen.verify.spikes.described` has them; empty until :meth:`begin`, and if
        there is no answer
    """

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self.layers: list[dict] = []
        self.samples: list[list[int]] = []
        self._broken: str | None = None

    def begin(self) -> None:
        """Wait until the process has read the build."""
        first = self._read()
        self._broken = first.get("error")
        if not self._broken:
            self.layers, self.samples = first["layers"], first["samples"]

    def of(self, image: list[int], timesteps: int) -> dict:
        """What the network computes for an image: a dictionary as of `gen.verify.spikes.answer`, or
        one with an ``error`` if that can't be known.

        Parameters
        ----------
        image : raw pixels, flat, in the order (C, H, W)
        timesteps : of the run
        """
        if self._broken:
            return {"error": self._broken}
        with suppress(BrokenPipeError):  # it has ended, and there is nothing to read
            self._requests.write(json.dumps({"image": image, "timesteps": timesteps}) + "\n")
            self._requests.flush()
        return self._read()

    def _read(self):
        line = self._answers.readline()
        if not line:
            self._broken = "the process that computes the spikes has ended; start this page again"
            return {"error": self._broken}
        return json.loads(line)


@contextmanager
def spikes_of(directory: str | Path, beats: int | None = None) -> Iterator[Spikes]:
    """The spikes of a build's network, as long as the context lasts.

    Parameters
    ----------
    directory : of the build
    beats : descriptor of the file in which the virtual board records its beats
    """
    record = [] if beats is None else [f"/dev/fd/{beats}"]
    command = [sys.executable, "-m", "gen.verify.lines", str(directory), *record]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, encoding="utf-8",
                          start_new_session=True,
                          pass_fds=() if beats is None else (beats,)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Spikes(process.stdin, process.stdout)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # what could not be written
                process.stdin.close()
