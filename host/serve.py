"""A local page: draw an image, and see it go through a device."""

import json
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from math import prod
from typing import NoReturn

from .device import Device, Result
from .errors import HostError, Rejected
from .manifest import Manifest, load
from .owner import Owner
from .picture import picture_of
from .ports import open_device
from .spikes import Spikes, spikes_of
from .terminal import put
from .web import Server

__all__ = ["Exhibit", "serve"]


class Exhibit:
    """What the page asks for.

    Parameters
    ----------
    manifest : of the build, which takes whole images, one at a time
    port : where the device is, for visitors
    ask : has a job done on the device, see :meth:`host.owner.Owner.ask`
    spikes : of the network
    beats : descriptor of the file in which the virtual board records its beats, or ``None``

    Raises
    ------
    HostError
        If the device takes blocks of sequences, or several at a time.
    """

    def __init__(self, manifest: Manifest, port: str, ask: Callable, spikes: Spikes,
                 beats: int | None) -> None:
        if manifest.continues or manifest.interleaved > 1:
            raise HostError(f"{manifest.path}: the page shows one image at a time, but the device "
                            f"takes blocks of sequences or several at once; build it without "
                            f"--stream and --interleaved")
        self._manifest, self._port, self._ask = manifest, port, ask
        self._spikes, self._beats = spikes, beats
        self._picture = picture_of(manifest.shape)

    def facts(self) -> dict:
        """What the page has to know before it shows anything. It waits for the process that knows
        the spikes."""
        self._spikes.begin()
        manifest, picture = self._manifest, self._picture
        return {
            "network": manifest.network, "board": manifest.board, "port": self._port,
            "clock_hz": manifest.clock_hz, "pixel_max": manifest.pixel_max,
            "planes": picture.planes, "height": picture.height, "width": picture.width,
            "timesteps": manifest.registers["most_timesteps"],
            "layers": self._spikes.layers,
            "samples": [picture.to_pixels(sample) for sample in self._spikes.samples],
        }

    @property
    def most(self) -> int:
        """Bytes of the largest request: a few more than the pixels take."""
        return 1000 + prod(self._manifest.shape) * (len(str(self._manifest.pixel_max)) + 2)

    def infer(self, request: dict) -> dict:
        """The device's answer to an image, and the spikes of the network.

        Parameters
        ----------
        request : ``pixels``, those of the picture, flat; and perhaps ``timesteps`` of the run

        Raises
        ------
        Rejected
            If the request is malformed, or out of range.
        HostError
            If the device does not answer.
        """
        pixels, timesteps = self._checked(request)
        return self._ask(partial(self._run, pixels=pixels, timesteps=timesteps))

    def _checked(self, request):
        size, most = prod(self._manifest.shape), self._manifest.pixel_max
        steps = self._manifest.registers["most_timesteps"]
        pixels, timesteps = request.get("pixels"), request.get("timesteps", steps)
        if request.keys() - {"pixels", "timesteps"}:
            raise Rejected("the request may have pixels and timesteps, and nothing else")
        if not isinstance(pixels, list) or len(pixels) != size or any(
                type(pixel) is not int or not 0 <= pixel <= most for pixel in pixels):
            raise Rejected(f"pixels must be a list of {size} integers in 0..{most}")
        if type(timesteps) is not int or not 1 <= timesteps <= steps:
            raise Rejected(f"timesteps must be an integer in 1..{steps}")
        return pixels, timesteps

    def _run(self, device: Device, pixels: list[int], timesteps: int) -> dict:
        image = self._picture.to_input(pixels)
        if self._beats is not None:
            os.truncate(self._beats, 0)
        start = time.monotonic()
        result = device.infer(image[None], timesteps=timesteps)
        seconds = time.monotonic() - start
        spikes = self._spikes.of(image.ravel().tolist(), timesteps)
        return {**self._answered(result), "seconds": seconds, "timesteps": timesteps,
                **self._compared(result, spikes)}

    def _answered(self, result: Result) -> dict:
        return {
            "prediction": int(result.predictions[0]),
            # Of several positions those of the last one, as the prediction.
            "scores": result.logits[0].reshape(len(result.logits[0]), -1)[:, -1].tolist(),
            "clocks": int(result.cycles[0]),
            "exact": None if result.exact is None else bool(result.exact[0]),
        }

    @staticmethod
    def _compared(result, spikes):
        """The spikes, and whether the network's logits are the device's."""
        logits = spikes.pop("logits", None)
        return {"equal": None if logits is None else logits == result.logits[0].tolist(),
                "spikes": spikes}


def serve(args: Namespace) -> NoReturn:
    """Serve the page until an interrupt. The page's address is printed as soon as the device has
    shown that it holds the build.

    Parameters
    ----------
    args : of the command ``serve``

    Raises
    ------
    HostError
        If the device can't be opened or holds another build, or the port can't be had.
    """
    manifest = load(args.board)
    with tempfile.TemporaryFile("w+b") as record:
        beats = record.fileno() if args.port in ("virtual", "virtual-pcie") else None
        owner = Owner(partial(open_device, manifest, args.board, args.port, baud=args.baud,
                              timeout=args.timeout, beats=beats))
        with spikes_of(args.board, beats) as spikes:
            exhibit = Exhibit(manifest, args.port, owner.ask, spikes, beats)
            with Server(args.listen, exhibit.infer, exhibit.most) as server:
                def ready():
                    server.start(exhibit.facts())
                    put(json.dumps({"address": server.address}) if args.json else server.address)
                owner.work(ready)
