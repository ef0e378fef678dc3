"""Inference on single images: `Segmenter` turns an image into a panoptic map, or into a `Scene` for a closer look.

The network runs once per image; every fusion, affinity map and picture is made from that one forward pass.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unipan.checkpoint import load_checkpoint
from unipan.config import Config, check_fusion
from unipan.datasets.pictures import picture_of
from unipan.datasets.same_classes import in_the_order_of
from unipan.datasets.transforms import collate, resize_image
from unipan.fusion import FUSIONS
from unipan.fusion.argmax import Grid, upsample
from unipan.fusion.margin import channel_margin
from unipan.models.affinity import InstanceAffinity
from unipan.models.network import PanopticNetwork, crop
from unipan.panoptic.categories import Categories
from unipan.result import PanopticResult
from unipan.structures import Detections, Geometry, PanopticOutput

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageLike = str | Path | Image | np.ndarray | Tensor
else:
    ImageLike = Any


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
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(
                f"affinity: pixel ({x}, {y}) lies outside {self.name}, which is {width} x {height}; "
                f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )
        if self.head is None or self.output.queries is None:
            raise ValueError(f"affinity: the checkpoint ({self.config.name}) was trained without the affinity head")
        height, width = self.potential.shape[1:]
        cell = torch.tensor([self.geometry.cell(y, x)], device=self.potential.device)
        affinities = self.head.rows(self.output.queries[0], (height, width), cell, centred=not raw)[0].float()
        return np.asarray(upsample(affinities, Grid.of(affinities, self.geometry)).cpu().numpy(), np.float32)

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

    def __repr__(self) -> str:
        height, width = self.size
        return f"Scene({self.name}, {width} x {height}, {len(self.network_detections)} detections)"


@dataclass(frozen=True, eq=False, repr=False)
class Segmenter:
    """A trained network that takes images of any size and kind.

    Attributes:
        network: in evaluation mode, on `device`.
        config: how it was built and trained.
        categories: the classes that it knows.
        metrics: what it scored when it was saved.
        device: where it runs.
    """

    network: PanopticNetwork
    config: Config
    categories: Categories
    metrics: dict[str, Any]
    device: torch.device

    @classmethod
    def load(cls, path: str | Path = "scenes", device: str | torch.device = "cpu") -> "Segmenter":
        """Open a checkpoint, by its path or by the name of a bundled one.

        The folder of an export runs on onnxruntime: it gives an `ExportedSegmenter`, which does the same with arrays in
        the place of tensors.

        Raises:
            FileNotFoundError: neither a file nor a bundled name.
            ValueError: a file that is no checkpoint of ours.
        """
        if Path(path).is_dir():
            from unipan.exported.segmenter import ExportedSegmenter

            return ExportedSegmenter.load(path, str(device))  # type: ignore[return-value]
        found = load_checkpoint(path, device)
        return cls(found.network, found.config, found.categories, found.metrics, torch.device(device))

    def __call__(self, image: "ImageLike", fusion: str | None = None) -> PanopticResult:
        """Segment one image.

        Args:
            image: a path, a PIL image, an HxWx3 uint8 array, or a 3xHxW tensor (uint8 0-255 or float 0-1).
            fusion: `affinity`, `potential`, `heuristic` or `upsnet`; by default the checkpoint's.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not an image, or a fusion that this checkpoint cannot do.
        """
        return self.scene(image).result(fusion)

    @torch.no_grad()
    def scene(self, image: "ImageLike") -> Scene:
        """Run the network once and keep what it found, for several fusions and for affinities."""
        pixels, name = picture_of(image, self.config.data, self.device.type == "cpu")
        batch = collate([(resize_image(pixels, self.config.data), name)])
        output = self.network(batch.to(self.device))
        height, width = pixels.shape[:2]
        geometry = Geometry((height, width), batch.sizes[0], self.config.decoder.stride)
        return Scene(pixels, name, output, geometry, self.config, self.categories, self.network.affinity)

    def with_categories(self, categories: Categories) -> "Segmenter":
        """The same network with a dataset's classes, matched by name: their ids and colours in the network's order.

        Raises:
            ValueError: the names of things or stuff differ; see `check_classes`.
        """
        return replace(self, categories=in_the_order_of(self.categories, categories))

    def __repr__(self) -> str:
        things, stuff = len(self.categories.things), len(self.categories.stuff)
        return f"Segmenter({self.config.name}, {things} things + {stuff} stuff classes, on {self.device})"


def open_segmenter(checkpoint: str, device: str) -> Segmenter:
    """The network of a CHECKPOINT on a DEVICE.

    Raises:
        FileNotFoundError, ValueError: see `Segmenter.load`; also a device that torch does not know or does not find.
    """
    if device == "auto":  # as `unipan train` has it
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError) as error:  # an AssertionError where torch was built without CUDA
        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        found += ["mps"] * torch.backends.mps.is_available()
        raise ValueError(f"--device {device}: torch cannot compute there; here is {' or '.join(found)}") from error
    return Segmenter.load(checkpoint, device)
