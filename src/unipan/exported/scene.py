"""What an exported network found in one image, and all that is made of it, in NumPy: `inference.Scene` without torch.

Legend: D detections, L classes, C affinity channels, K channels of Psi and P, h w their grid, a b that of Q, H W the
image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from unipan.arrays import Float, Float32
from unipan.config import Config, check_fusion
from unipan.numpy_fusion.array_fusions import argmax_map, heuristic_map, upsnet_map
from unipan.numpy_fusion.psi import Found
from unipan.numpy_fusion.sampling import Between, resampled, sampled, winners_lead
from unipan.panoptic.categories import Categories
from unipan.result import PanopticResult

Q_STRIDE = 4
"""Pixels of the network's input per cell of Q."""


@dataclass(frozen=True)
class Cues:
    """What `dense.onnx` says of one image, without the cells of the padding.

    Attributes:
        semantic: V before its softmax.
        found: all detections, boxes in pixels of the network's input.
        phi0, phi1: of Q; None without the affinity head.
    """

    semantic: Float[np.ndarray, "L h w"]
    found: Found
    phi0: Float[np.ndarray, "C a b"] | None
    phi1: Float[np.ndarray, "C a b"] | None


@dataclass(frozen=True, eq=False, repr=False)
class ExportedScene:
    """One image after an exported network has run, with what `unipan.Scene` has, arrays in the place of tensors.

    Attributes:
        image: (H, W, 3) uint8.
        name: its file name, or "image".
        cues: of `dense.onnx`.
        potential: Psi on its grid: a channel per detection, then one per stuff class (then void, where there is one).
        panoptic: P on the same grid; Psi itself without the affinity head.
        network_detections: the detections that made Psi's first channels, boxes in pixels of the network's input.
        input_size: height and width at which the network saw the image.
        temperature: the learned factor on P before a softmax.
        config: of the network.
        categories: its classes.
    """

    image: np.ndarray
    name: str
    cues: Cues
    potential: Float[np.ndarray, "K h w"]
    panoptic: Float[np.ndarray, "K h w"]
    network_detections: Found
    input_size: tuple[int, int]
    temperature: float
    config: Config
    categories: Categories

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def semantic(self) -> Float[np.ndarray, "L h w"]:
        """V before its softmax, on Psi's grid."""
        return self.cues.semantic

    @cached_property
    def detections(self) -> Found:
        """The detections that made Psi's first channels, boxes in pixels of the image."""
        return self._at_image(self.network_detections)

    def _at_image(self, found: Found) -> Found:
        (height, width), (rows, columns) = self.size, self.input_size
        return replace(found, boxes=found.boxes * np.array([width / columns, height / rows] * 2, np.float32))

    @property
    def _covered(self) -> tuple[float, float]:
        rows, columns = (side / self.config.decoder.stride for side in self.input_size)
        return rows, columns

    def affinity(self, x: int, y: int, raw: bool = False) -> Float32[np.ndarray, "H W"]:
        """Affinities of the image's pixel (x, y) to every other, as `Scene.affinity` has them.

        Raises:
            ValueError: the pixel lies outside, or the network has no affinity head.
        """
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(
                f"affinity: pixel ({x}, {y}) lies outside {self.name}, which is {width} x {height}; "
                f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )
        q0, q1 = self.cues.phi0, self.cues.phi1
        if q0 is None or q1 is None:
            raise ValueError(f"affinity: the checkpoint ({self.config.name}) was trained without the affinity head")
        upsampling = Q_STRIDE // self.config.decoder.stride
        if self.config.affinity.normalise == "softmax":  # what was one over the padding too
            q1 = q1 / (q1.sum((1, 2), keepdims=True) * upsampling**2)
        if not raw:
            q0, q1 = (q - q.mean((1, 2), keepdims=True) for q in (q0, q1))
        (rows, columns), (fine_rows, fine_columns) = q1.shape[1:], self.potential.shape[1:]
        cell = int((y + 0.5) * self._covered[0] / height), int((x + 0.5) * self._covered[1] / width)
        here = (Between.at(_in_cells(np.array([i]), upsampling), n) for i, n in zip(cell, (rows, columns), strict=True))
        row = np.tensordot(sampled(q0, *here)[:, 0, 0], q1, 1)
        axes = (
            Between.at(_in_cells(np.arange(fine_rows), upsampling), rows),
            Between.at(_in_cells(np.arange(fine_columns), upsampling), columns),
        )
        return np.asarray(resampled(sampled(row, *axes), height, width, self._covered), np.float32)

    def result(self, fusion: str | None = None) -> PanopticResult:
        """The panoptic map by one fusion: `affinity`, `potential`, `heuristic` or `upsnet`; by default the
        checkpoint's own.

        Raises:
            ValueError: an unknown fusion, or one that needs what this network lacks (see `check_fusion`).
        """
        config, size, covered = self.config, self.size, self._covered
        fusion = check_fusion(config, fusion or config.inference.fusion)
        margin: Callable[[], Float32[np.ndarray, "H W"]] | None = None
        if fusion == "heuristic":
            candidates = self._at_image(self.cues.found)
            made = heuristic_map(self.semantic, candidates, self.categories, config.heuristic, size, covered)
        elif fusion == "upsnet":
            candidates, area = self._at_image(self.cues.found), config.heuristic.min_stuff_area
            made = upsnet_map(self.semantic, candidates, self.categories, config.upsnet, area, size, covered)
        else:
            channels = self.panoptic if fusion == "affinity" else self.potential
            made = argmax_map(channels, self.network_detections, self.categories, size, covered, self._logits)
            margin = partial(winners_lead, channels, *size, covered)
        return PanopticResult(made.ids, made.segments, self.image, self.name, margin)

    def _logits(self, channels: np.ndarray) -> np.ndarray:
        """What the loss makes of P before its softmax (`models.criterion.scaled`)."""
        values = np.log(channels + np.float32(1e-6)) if self.config.affinity.loss == "log" else channels
        return np.asarray(np.float32(self.temperature) * values)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Scene({self.name}, {width} x {height}, {len(self.network_detections)} detections)"


def _in_cells(fine: np.ndarray, upsampling: int) -> np.ndarray:
    """The centres of Psi's cells in cells of Q, 0 at the first centre."""
    return np.asarray((fine + 0.5) / upsampling - 0.5)


def covered_cells(side: int, upsampling: int) -> int:
    """The cells of Q that so many cells of Psi are interpolated from (`InstanceAffinity`); the others are padding."""
    return (2 * side + upsampling - 2) // (2 * upsampling) + 1
