"""One image after the network has run: every fusion, affinity map and picture is made from that one forward pass."""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike
from torch import Tensor

from unipan.config import Config, check_fusion
from unipan.datasets.transforms import collate, resize_image
from unipan.fusion import FUSIONS
from unipan.fusion.argmax import Grid, upsample
from unipan.fusion.edits import checked_detections, edited_output
from unipan.fusion.margin import channel_margin
from unipan.models.affinity import InstanceAffinity
from unipan.models.affinity_rows import affinity_rows, mean_of_phi0
from unipan.models.network import PanopticNetwork, crop
from unipan.numpy_fusion.sampling import require_pixel
from unipan.panoptic.categories import Categories
from unipan.result import PanopticResult
from unipan.structures import Detections, Geometry, PanopticOutput


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """One image after the network has run: every fusion and every pixel's affinities come from this one pass.

    Made by `Segmenter.scene`. `output` is the network's, a batch of this image alone.
    """

    image: np.ndarray  # (H, W, 3) uint8
    name: str
    output: PanopticOutput
    geometry: Geometry
    config: Config
    categories: Categories
    head: InstanceAffinity | None
    network: PanopticNetwork | None = None  # for `edit`

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.geometry.image_size

    @property
    def potential(self) -> Float[Tensor, "K h w"]:
        """Psi on its 1/d grid: one channel per detection, then one per stuff class (then void, where there is one)."""
        return self.output.potentials[0]

    @property
    def panoptic(self) -> Float[Tensor, "K h w"]:
        """P on its 1/d grid; Psi itself for a network without the affinity head."""
        return self.output.panoptic[0]

    @property
    def _grid(self) -> tuple[int, int]:
        height, width = self.potential.shape[1:]
        return height, width

    @property
    def semantic(self) -> Float[Tensor, "L h w"]:
        """V before its softmax, on Psi's grid: what the padding says of itself is left out."""
        return crop(self.output.semantic[0], self.geometry.input_size, self.geometry.stride)

    @property
    def network_detections(self) -> Detections:
        """The detections that made Psi's first channels, boxes in pixels of the network's input."""
        return self.output.detections[0]

    @cached_property
    def detections(self) -> Detections:
        """The same detections, boxes in pixels of the image."""
        found = self.network_detections
        return replace(found, boxes=self.geometry.to_image(found.boxes))

    @torch.no_grad()
    def affinity(self, x: int, y: int, raw: bool = False) -> Float32[np.ndarray, "H W"]:
        """Affinities of the image's pixel (x, y) to every other (Sec. 3.4.2), bilinear at the image's size.

        Args:
            x, y: of the pixel.
            raw: phi0(Q_p) . phi1(Q_j) as the head predicts it, before any normalisation by Psi. By default the means of
                phi0 and phi1 over the image are taken away first: above zero is what belongs together more than two
                average pixels do. The two differ by terms that cannot tell one object from another.

        Raises:
            ValueError: the pixel lies outside, or the network has no affinity head.
        """
        require_pixel(x, y, self.size, self.name)
        if self.head is None or self.output.queries is None:
            raise ValueError(f"affinity: the checkpoint ({self.config.name}) was trained without the affinity head")
        cell = torch.tensor([self.geometry.cell(y, x)], device=self.potential.device)
        centre = None if raw else self.centre
        affinities = affinity_rows(self.head, self.output.queries[0], self._grid, cell, centre)[0].float()
        return np.asarray(upsample(affinities, Grid.of(affinities, self.geometry)).cpu().numpy(), np.float32)

    @cached_property
    @torch.no_grad()
    def centre(self) -> Float[Tensor, " C"]:
        """The mean of phi0 over the image, the same for all pixels; for networks with the affinity head."""
        assert self.head is not None
        assert self.output.queries is not None
        return mean_of_phi0(self.head, self.output.queries[0], self._grid)

    @torch.no_grad()
    def result(self, fusion: str | None = None) -> PanopticResult:
        """The panoptic map by one fusion: `affinity` (argmax of P), `potential` (argmax of Psi), `heuristic` (the
        rules of Panoptic FPN) or `upsnet` (UPSNet's pruning and voting); by default the checkpoint's own.

        Raises:
            ValueError: an unknown fusion, or one that needs what this network lacks (see `check_fusion`).
        """
        fusion = check_fusion(self.config, fusion or self.config.inference.fusion)
        found = FUSIONS[fusion](self.output, self.categories, self.geometry, self.config)
        channels = {"affinity": self.panoptic, "potential": self.potential}.get(fusion)
        margin = None if channels is None else partial(channel_margin, channels, self.geometry)
        return PanopticResult(found.ids, found.segments, self.image, self.name, margin)

    @torch.no_grad()
    def edit(self, boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> "Scene":
        """The scene with other detections: Psi and P are made again from the same pass; the backbone does not run.

        A box that this scene has too, with its class, keeps its mask; the mask head makes those of other boxes. The
        score threshold is not asked: whoever gives a detection wants it.

        Args:
            boxes: (D, 4), x0 y0 x1 y1 in pixels of the image; what lies beyond it is cut off.
            scores: (D,), 0..1.
            classes: (D,), indices of thing classes, 0..T-1.

        Raises:
            ValueError: values or numbers of rows that make no detections, or a scene that no Segmenter made.
        """
        if self.network is None:
            raise ValueError(f"edit: the scene {self.name} has no network; make it by Segmenter.scene")
        like = self.network_detections.boxes
        given = checked_detections(boxes, scores, classes, self.geometry, self.categories, like)
        output = edited_output(self.output, self.semantic, given, self.network, lambda: self.features)
        return replace(self, output=output)

    @cached_property
    @torch.no_grad()
    def features(self) -> dict[str, Tensor]:
        """The backbone's levels, from which `edit` makes masks. They are large, so they are found when first needed."""
        assert self.network is not None
        batch = collate([(resize_image(self.image, self.config.data), self.name)]).to(self.output.semantic.device)
        levels: dict[str, Tensor] = self.network.backbone((batch.pixels - self.network.mean) / self.network.std)
        return levels

    def prepare(self) -> None:
        """Find now what the first `affinity` and the first `edit` of a box would wait for."""
        if self.head is not None and self.output.queries is not None:
            _ = self.centre
        if self.network is not None and self.network_detections.masks is not None:
            _ = self.features

    @property
    def nbytes(self) -> int:
        """Bytes that it holds: the image, what the network found and, once they are there, the features."""
        output, features = self.output, self.__dict__.get("features", {})
        tensors = [output.semantic, output.queries, *output.potentials, *output.panoptic, *features.values()]
        tensors += [found.masks for found in (*output.detections, *output.candidates)]
        return int(self.image.nbytes) + sum(int(each.nbytes) for each in tensors if each is not None)

    def __repr__(self) -> str:
        height, width = self.size
        return f"Scene({self.name}, {width} x {height}, {len(self.network_detections)} detections)"
