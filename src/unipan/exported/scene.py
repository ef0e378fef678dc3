"""What an exported network found in one image, and all that is made of it, in NumPy: `inference.Scene` without torch.

Legend: D detections, L classes, C affinity channels, K channels of Psi and P, h w their grid, a b that of Q, H W the
image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from unipan.arrays import Float, Float32
from unipan.config import Config, check_fusion
from unipan.exported.graphs import ExportedGraphs
from unipan.exported.network import Q_STRIDE, Cues, find_features, find_masks, find_panoptic
from unipan.exported.pixels import network_input
from unipan.numpy_fusion.array_fusions import argmax_map, heuristic_map, upsnet_map
from unipan.numpy_fusion.given_boxes import checked_boxes, joined_found, known_boxes
from unipan.numpy_fusion.psi import Found
from unipan.numpy_fusion.sampling import Between, require_pixel, resampled, sampled, winners_lead
from unipan.panoptic.categories import Categories
from unipan.result import PanopticResult


@dataclass(frozen=True, eq=False, repr=False)
class ExportedScene:
    """One image after an exported network has run, with what `unipan.Scene` has, arrays instead of tensors.

    Attributes:
        image: (H, W, 3) uint8.
        name: its file name, or "image".
        cues: of `dense.onnx`.
        potential: Psi on its grid: a channel per detection, then one per stuff class (then void, where there is one).
        panoptic: P on the same grid; Psi itself without the affinity head.
        network_detections: the detections that made Psi's first channels, boxes in pixels of the network's input.
        input_size: height and width at which the network saw the image.
        graphs: of the network, for `edit`.
        categories: its classes.
    """

    image: np.ndarray
    name: str
    cues: Cues
    potential: Float[np.ndarray, "K h w"]
    panoptic: Float[np.ndarray, "K h w"]
    network_detections: Found
    input_size: tuple[int, int]
    graphs: ExportedGraphs
    categories: Categories

    @property
    def config(self) -> Config:
        """Of the network."""
        return self.graphs.config

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
        require_pixel(x, y, self.size, self.name)
        height, width = self.size
        q0, q1 = self.cues.phi0, self.cues.phi1
        if q0 is None or q1 is None:
            raise ValueError(f"affinity: the checkpoint ({self.config.name}) was trained without the affinity head")
        upsampling = Q_STRIDE // self.config.decoder.stride
        (rows, columns), (fine_rows, fine_columns) = q1.shape[1:], self.potential.shape[1:]
        cell = int((y + 0.5) * self._covered[0] / height), int((x + 0.5) * self._covered[1] / width)
        here = (Between.at(_in_cells(np.array([i]), upsampling), n) for i, n in zip(cell, (rows, columns), strict=True))
        own = sampled(q0, *here)[:, 0, 0] - (0 if raw else self._centre)
        if self.config.affinity.normalise == "softmax":  # what was one over the padding too
            own = own / (q1.sum((1, 2)) * upsampling**2)
        row = np.tensordot(own, q1, 1)
        if not raw:
            row -= row.mean()  # as if the mean of phi1 were taken from it
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

    def edit(self, boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> "ExportedScene":
        """The scene with other detections, as `Scene.edit` makes it: the head runs again, and the backbone does not.

        Args:
            boxes: (D, 4), x0 y0 x1 y1 in pixels of the image; what lies beyond it is cut off.
            scores: (D,), 0..1.
            classes: (D,), indices of thing classes, 0..T-1.

        Raises:
            ValueError: values or numbers of rows that make no detections; also a box that needs a mask, where the
                export has no graph that makes them.
        """
        given = checked_boxes(boxes, scores, classes, self.size, len(self.categories.things))
        (height, width), (rows, columns) = self.size, self.input_size
        scale = np.array([columns / width, rows / height] * 2, np.float32)
        found = self._with_masks(replace(given, boxes=given.boxes * scale))
        potential, panoptic = find_panoptic(self.graphs, self.cues, found)
        old = self.cues.found
        rest = old[old.scores < np.float32(self.config.inference.score_threshold)]
        cues = replace(self.cues, found=joined_found(found, rest))
        return replace(self, cues=cues, potential=potential, panoptic=panoptic, network_detections=found)

    def _with_masks(self, given: Found) -> Found:
        """The given detections with masks, if the network has them: a known box keeps its own, others get new ones."""
        old = self.network_detections
        if old.masks is None:
            return given
        kept, row = known_boxes(given.boxes, given.classes, old.boxes, old.classes)
        boxes = given.boxes.copy()
        boxes[kept] = old.boxes[row[kept]]
        masks = np.empty((len(given), *old.masks.shape[1:]), np.float32)
        masks[kept] = old.masks[row[kept]]
        if not kept.all():
            masks[~kept] = find_masks(self.graphs, self.features, boxes[~kept], given.classes[~kept])
        return replace(given, boxes=boxes, masks=masks)

    @cached_property
    def features(self) -> dict[str, np.ndarray]:
        """The backbone's levels, from which `edit` makes masks. They are large, so they are found when first needed.

        Raises:
            ValueError: the export has none, because it was made by a version of unipan that could not edit.
        """
        if self.graphs.open_masks is None:
            raise ValueError(
                "edit: this export was made before scenes could be edited, so that it has no graph for the masks of "
                f"other boxes (masks.onnx); {self.graphs.remedy}"
            )
        return find_features(self.graphs, *network_input(self.image, self.config.data, self.graphs.fill))

    @cached_property
    def _centre(self) -> Float32[np.ndarray, " C"]:
        """The mean of phi0 over the image."""
        assert self.cues.phi0 is not None
        return np.asarray(self.cues.phi0.mean((1, 2)), np.float32)

    def prepare(self) -> None:
        """Find now what the first `affinity` and the first `edit` of a box would wait for."""
        if self.cues.phi0 is not None:
            _ = self._centre
        if self.network_detections.masks is not None:
            _ = self.features

    @property
    def nbytes(self) -> int:
        """Bytes that it holds: the image, what the network found and, once they are there, the features."""
        cues, found = self.cues, (self.cues.found, self.network_detections)
        arrays = [self.image, cues.semantic, cues.phi0, cues.phi1, self.potential, self.panoptic]
        arrays += [each.masks for each in found]
        arrays += self.__dict__.get("features", {}).values()
        return sum(int(each.nbytes) for each in arrays if each is not None)

    def _logits(self, channels: np.ndarray) -> np.ndarray:
        """What the loss makes of P before its softmax (`models.criterion.scaled`)."""
        values = np.log(channels + np.float32(1e-6)) if self.config.affinity.loss == "log" else channels
        return np.asarray(np.float32(self.graphs.temperature) * values)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Scene({self.name}, {width} x {height}, {len(self.network_detections)} detections)"


def _in_cells(fine: np.ndarray, upsampling: int) -> np.ndarray:
    """The centres of Psi's cells in cells of Q, 0 at the first centre."""
    return np.asarray((fine + 0.5) / upsampling - 0.5)
