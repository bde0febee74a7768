"""What a network with time-steps does in each of them, for a page."""

from typing import Any

import numpy as np

from gen.ir.batches import batches
from gen.ir.network import Network

__all__ = ["steps"]


def steps(network: Network, counts: np.ndarray, labels: np.ndarray | None) -> dict[str, Any] | None:
    """Spikes, logits and rest after every time-step, or ``None`` if there is only one, or if
    no neurons fire.

    Parameters
    ----------
    counts : ``(N, C, H, W)`` input counts
    labels : ``(N,)`` classes, or ``None``

    Returns
    -------
    A JSON object. ``awake`` says for each time-step whether the input charges the membranes. Of the
    first sample ``logits``, those after each time-step; ``classes``, the greatest of each; and
    ``layers``, all but the read-out, each with its ``name``, its ``channels``, ``added`` and
    ``taken``: pairs of a channel and a time-step, counted from 0, in which one of its neurons sends
    spikes or takes one back; ``spikes`` and ``takes``, numbers of these in each time-step.

    Of all samples ``accuracy``, after each time-step, or ``None`` without labels; ``final``, the
    share whose class is that of the last time-step; and ``quiet``, for each layer of neurons its
    ``name``, whether it ends quiet with the first ``sample``, and with what ``share`` of all. It is
    ``None`` if no spikes are taken back, because such neurons need not come to rest.
    """
    dynamics = network.dynamics
    if dynamics is None or dynamics.timesteps == 1 or not network.neurons:
        return None
    first = network.run(counts[:1])
    classes, quiet = [], []
    for part in batches(network, len(counts)):
        trace = network.run(counts[part])
        classes.append(trace.steps.argmax(axis=2))
        quiet.append(np.stack(list(network.quiet(trace).values())))
    after, still = np.concatenate(classes, axis=1), np.concatenate(quiet, axis=1)
    return {
        "awake": list(dynamics.awake),
        "logits": first.steps[:, 0].tolist(), "classes": after[:, 0].tolist(),
        "layers": [_layer(name, train[:, 0]) for name, train in first.trains.items()],
        "accuracy": None if labels is None else (after == labels).mean(axis=1).tolist(),
        "final": (after == after[-1]).mean(axis=1).tolist(),
        "quiet": [{"name": layer.name, "sample": bool(own[0]), "share": float(own.mean())}
                  for layer, own in zip(network.neurons, still, strict=True)]
        if dynamics.signed else None,
    }


def _layer(name, train):
    """What a layer sends in each time-step, of a train ``(T, C, H, W)``."""
    by_channel = train.reshape(*train.shape[:2], -1)
    return {
        "name": name, "channels": train.shape[1],
        **{what: [[int(channel), int(step)] for channel, step in np.argwhere(some.any(axis=2).T)]
           for what, some in (("added", by_channel > 0), ("taken", by_channel < 0))},
        **{what: (sign * by_channel).clip(min=0).sum(axis=(1, 2)).tolist()
           for what, sign in (("spikes", 1), ("takes", -1))},
    }
