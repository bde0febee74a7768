"""Logits: their shape, and the class that they name."""

import numpy as np

__all__ = ["accuracy", "logit_shape", "predicted"]


def logit_shape(classes: int, positions: tuple[int, int]) -> tuple[int, ...]:
    """Shape of a sample's logits: ``(classes,)``, or ``(classes, H, W)`` of several positions
    ``(y, x)`` of the read-out."""
    return (classes,) if positions == (1, 1) else (classes, *positions)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of the ``(N,)`` classes that are :func:`predicted`."""
    return float(np.mean(predicted(logits) == labels))


def predicted(logits: np.ndarray) -> np.ndarray:
    """``(N,)`` classes of ``(N, *logit_shape)`` logits: those of the last position, which has seen
    the whole sequence. The lowest index wins a tie."""
    return logits.reshape(*logits.shape[:2], -1)[..., -1].argmax(axis=1)
