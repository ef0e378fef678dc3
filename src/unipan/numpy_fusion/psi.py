"""Sec. 3.4 in NumPy: the potential Psi (variants A, B, C) and P = Psi + A Psi for given queries.

`models.potential` and `models.affinity` are the reference. Legend: D detections, T thing and S stuff classes,
K = D + S channels (one more with void), L = T + S (things first), C affinity channels, h w the grid of V.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from unipan.arrays import Bool, Float, Integer
from unipan.numpy_fusion.sampling import cells_inside, in_box, resampled

PsiVariant = Literal["A", "B", "C"]


@dataclass(frozen=True)
class Found:
    """Detections of one image as arrays, like `structures.Detections`; `found[keep]` selects.

    Attributes:
        boxes: x0 y0 x1 y1.
        scores: 0..1.
        classes: 0..T-1.
        masks: logits, or None.
        whole: whether each mask lies on the whole image and not in its box.
    """

    boxes: Float[np.ndarray, "D 4"]
    scores: Float[np.ndarray, " D"]
    classes: Integer[np.ndarray, " D"]
    masks: Float[np.ndarray, "D a b"] | None
    whole: bool

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, keep: Integer[np.ndarray, " N"] | Bool[np.ndarray, " D"]) -> "Found":
        masks = None if self.masks is None else self.masks[keep]
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], classes=self.classes[keep], masks=masks)

    def __repr__(self) -> str:
        best = f", scores {self.scores.min():.2f} to {self.scores.max():.2f}" if len(self) else ""
        masks = "without masks" if self.masks is None else f"masks {self.masks.shape[1]} x {self.masks.shape[2]}"
        return f"Found({len(self)}{best}, {masks})"


def potential_of(
    semantic: Float[np.ndarray, "L h w"], found: Found, num_things: int, variant: PsiVariant, void: bool = False
) -> Float[np.ndarray, "K h w"]:
    """Psi from V before its softmax; a channel per detection, per stuff class, and for void (`DynamicPotential`).

    Args:
        semantic: V.
        found: boxes in cells of V's grid.
        num_things: T.
        variant: A: V + M as logits. B: s V M. C: s (V + M). Without masks, V (A) or s V.
        void: add UPSNet's void channel, for variant A.
    """
    v, m = semantic, found.masks
    if variant != "A":
        v, m = softmax(v), None if m is None else sigmoid(m)
    height, width = v.shape[1:]
    psi = np.zeros((len(found) + len(v) - num_things + void, height, width), np.float32)
    let_through = np.full((height, width), -np.inf if len(found) else 0, np.float32)
    for channel, (box, label) in enumerate(zip(found.boxes, found.classes, strict=True)):
        window = cells_inside(box, height, width)
        v_k = np.zeros((height, width), np.float32)
        v_k[window] = v[label][window]
        let_through = np.maximum(let_through, v_k)
        m_k = None if m is None else _mask_at(m[channel], box, window, found.whole, (height, width))
        psi[channel][window] = _combined(variant, found.scores[channel], v_k[window], m_k)
    psi[len(found) : len(found) + len(v) - num_things] = v[num_things:]
    if void:
        psi[-1] = v[:num_things].max(0) - let_through
    return psi


def _mask_at(
    mask: Float[np.ndarray, "a b"],
    box: Float[np.ndarray, " 4"],
    window: tuple[slice, slice],
    whole: bool,
    size: tuple[int, int],
) -> Float[np.ndarray, "c d"]:
    return resampled(mask, *size)[window] if whole else in_box(mask, box, window)


def _combined(variant: PsiVariant, s: np.float32, v: np.ndarray, m: np.ndarray | None) -> np.ndarray:
    score = np.float32(1) if variant == "A" else s
    if m is None:
        return np.asarray(score * v)
    return np.asarray(score * (v * m if variant == "B" else v + m))


def affinity_of(psi: Float[np.ndarray, "K h w"], queries: Float[np.ndarray, "C a b"]) -> Float[np.ndarray, "K h w"]:
    """P = Psi + Q (Q^T Psi) / mass: Eq. 4 with the identity for phi0 and phi1, since nothing was trained.

    As in `InstanceAffinity(normalise="segment")`, the message to a channel is divided by the channel's mass, its sum
    over the pixels + 1. The queries are brought to Psi's grid bilinearly.
    """
    height, width = psi.shape[1:]
    # 64 bits for the sums over all pixels, as in the reference.
    flat, q = psi.reshape(len(psi), -1).astype(np.float64), resampled(queries, height, width)
    q = q.reshape(len(q), -1).astype(np.float64)
    mass = np.abs(flat).sum(1) + 1
    message = ((q @ flat.T) / mass).T @ q
    return np.asarray(psi + message.reshape(psi.shape).astype(np.float32))


def softmax(values: Float[np.ndarray, "K h w"]) -> Float[np.ndarray, "K h w"]:
    """Over the channels."""
    powers = np.exp(values - values.max(0))
    return np.asarray(powers / powers.sum(0))


def sigmoid(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, np.float32(1), small) / (1 + small))
