"""Inference: `Segmenter` turns images into panoptic maps, or into a `Scene` each for a closer look."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from unipan.checkpoint import load_checkpoint
from unipan.config import Config, Precision, check_fusion
from unipan.datasets.formats.label_picture import image_size
from unipan.datasets.pictures import IMAGE_BYTES, picture_of, require_room
from unipan.datasets.same_classes import in_the_order_of
from unipan.datasets.sizes import network_size, rows_of_one_size
from unipan.datasets.transforms import collate, resize_image
from unipan.files import is_export, local_path
from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories
from unipan.panoptic.images import as_rgb, read_image
from unipan.result import PanopticResult
from unipan.scene import Scene
from unipan.structures import Geometry, ImageBatch

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageLike = str | Path | Image | np.ndarray | Tensor
else:
    ImageLike = Any


TILE_BYTES = 200
"""Of memory for each pixel of a tile and of what surrounds it, with the smallest preset."""
REACH = 8
"""Of a thing in a large picture, in pixels (ours; measured in docs/predict.md)."""
BATCH_PIXELS = 1 << 22
"""Of the network's inputs in one batch: 32 of 256 x 512, 2 of 1024 x 2048."""
MOST_SCALE = 16
LEAST_TILE = 64


@dataclass(frozen=True, eq=False, repr=False)
class Segmenter:
    """A trained network that takes images of any size and kind.

    Attributes:
        network: in evaluation mode, on `device`; by `load` also with batch norm folded into convolutions, for
            inference alone.
        config: how it was built and trained.
        categories: the classes that it knows.
        metrics: what it scored when it was saved.
        device: where it runs.
        bf16: run convolutions and matrix products in bfloat16 (boxes, Psi and P stay in 32 bits). On processors that
            multiply it natively a network of full width takes half the time, and some pixels get another segment.
    """

    network: PanopticNetwork
    config: Config
    categories: Categories
    metrics: dict[str, Any]
    device: torch.device
    bf16: bool = False

    @classmethod
    def load(
        cls, path: str | Path = "scenes", device: str | torch.device = "cpu", *, bf16: bool = False
    ) -> "Segmenter":
        """Open a checkpoint, by its path or by the name of a bundled one, and make its network quick.

        The bundled ones know drawn street scenes (`unipan scenes`) alone: on photographs their results mean little.
        Batch norm is folded, and weights lie with their channels last in memory. This moves the last digits.
        The folder of an export runs on onnxruntime: it gives an `ExportedSegmenter`, which does the same with arrays
        instead of tensors.

        Raises:
            FileNotFoundError: neither a file nor a bundled name.
            ValueError: a file that is not a unipan checkpoint, or a device that torch does not know or does not find.
        """
        if is_export(path):
            from unipan.exported.segmenter import ExportedSegmenter

            return ExportedSegmenter.load(path, str(device))  # type: ignore[return-value]
        require_device(device)
        found = load_checkpoint(path, device)
        from unipan.models.inference_form import for_inference  # with torchvision, which takes seconds to import

        network = for_inference(found.network)
        return cls(network, found.config, found.categories, found.metrics, torch.device(device), bf16)

    def __call__(self, image: "ImageLike", fusion: str | None = None, page: int | None = None) -> PanopticResult:
        """Segment one image.

        Args:
            image: a path, a PIL image, an HxWx3 array (uint8, or uint16 for a `data.window`), or a 3xHxW tensor.
            fusion: `affinity`, `potential`, `heuristic` or `upsnet`; by default the checkpoint's.
            page: of a TIFF of several pages, from 1 on.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not an image, or a fusion that this checkpoint cannot do.
        """
        return self.scene(image, page).result(fusion)

    def in_tiles(
        self,
        image: "ImageLike",
        fusion: str | None = None,
        *,
        page: int | None = None,
        scale: float = 1.0,
        side: int = 1024,
        reach: int | Literal["everywhere"] | None = REACH,
    ) -> PanopticResult:
        """Segment one image at its own resolution, tile by tile; tiles do not show in the result.

        The number of things that may be found grows with the image. What the network computes of all tiles lies in
        temporary files. The margin is computed from them: drop the result to free their room.

        Args:
            image: see `__call__`.
            fusion: `affinity` or `potential`; by default the checkpoint's.
            page: see `__call__`.
            scale: of the image, before the network sees it.
            side: pixels of a tile, a multiple of 64; memory grows with its square.
            reach: pixels (of the scaled image) around its box in which a thing may win; None or "everywhere" is
                everywhere, as Eq. 4 has it: this is the result of the whole image.

        Raises:
            FileNotFoundError, ValueError: see `__call__`; also a checkpoint that cannot be cut into tiles.
            OSError: no room for temporary files.
        """
        from unipan.tiled.features import halo_of, tileable  # with torchvision, which takes seconds to import
        from unipan.tiled.network import run_tiled

        fusion = check_fusion(self.config, fusion or self.config.inference.fusion)
        self.check_tiling(fusion, scale, side)
        if reach not in (None, "everywhere") and not (isinstance(reach, Integral) and reach >= 0):
            raise ValueError(f"tiles: a reach of {reach!r} is neither a number of pixels from 0 on nor 'everywhere'")
        data = replace(self.config.data, short_side=0)
        if isinstance(image, str | Path):
            height, width = image_size(path := local_path(image), page)
            seen = min(side + 2 * halo_of(tileable(self.network)), round(scale * max(height, width))) ** 2
            require_room(path, IMAGE_BYTES * height * width + TILE_BYTES * seen)
            pixels, name = read_image(path, self.config.data.window, page), path.name
        else:
            pixels, name = as_rgb(image, self.config.data.window), "image"
        height, width = (max(1, round(scale * each)) for each in pixels.shape[:2])
        size = network_size(height, width, data)
        output = run_tiled(
            self.network, pixels, size, config=self.config, categories=self.categories, side=side,
            reach=None if reach == "everywhere" else reach, affinities=fusion == "affinity",
        )  # fmt: skip
        found = output.decode()
        return PanopticResult(found.ids, found.segments, pixels, name, output.margin)

    def check_tiling(self, fusion: str, scale: float, side: int) -> None:
        """Raises ValueError for a checkpoint, a fusion or settings that `in_tiles` cannot do."""
        from unipan.tiled.features import tileable

        if fusion not in ("affinity", "potential"):
            raise ValueError(f"tiles: the fusion {fusion} needs the whole picture; give --fusion affinity or potential")
        if self.bf16:
            raise ValueError("tiles: they are computed in 32 bits; leave --precision bf16 out")
        if self.config.potential.void_channel:
            raise ValueError("tiles: UPSNet's void channel (potential.void_channel) needs the whole picture")
        if not (isinstance(scale, Real) and isinstance(side, Integral)):
            raise ValueError(f"tiles: scale {scale!r} and side {side!r} are no number and no whole number; try 1, 1024")
        if not 0 < scale <= MOST_SCALE:
            raise ValueError(
                f"tiles: a scale of {scale:g} is not in 0..{MOST_SCALE}; 1 is the picture's own resolution"
            )
        if side < LEAST_TILE or side % LEAST_TILE:
            raise ValueError(f"tiles: a side of {side} pixels is no multiple of {LEAST_TILE}; try 1024")
        tileable(self.network)

    def scene(self, image: "ImageLike", page: int | None = None) -> Scene:
        """Run the network once and keep what it found, for several fusions and for affinities."""
        return self.scenes([image], [page])[0]

    @torch.no_grad()
    def scenes(self, images: Sequence["ImageLike"], pages: Sequence[int | None] | None = None) -> list[Scene]:
        """`scene` of several images, those of one size as one batch: quicker on a GPU, but not on a CPU.

        The last digits depend on how many images of a size there are.

        Args:
            images: see `__call__`.
            pages: of each, see `__call__`.

        Raises:
            FileNotFoundError, ValueError: see `__call__`; for any of them.
        """
        data, on_cpu = self.config.data, self.device.type == "cpu"
        each = zip(images, pages or [None] * len(images), strict=True)
        pictures = [picture_of(image, data, on_cpu, page) for image, page in each]
        found: dict[int, Scene] = {}
        sizes = [network_size(pixels.shape[0], pixels.shape[1], data) for pixels, _ in pictures]
        for rows in rows_of_one_size(sizes, BATCH_PIXELS):
            batch = collate([(resize_image(pictures[row][0], data), pictures[row][1]) for row in rows])
            found |= dict(zip(rows, self._scenes_of(batch, [pictures[row][0] for row in rows]), strict=True))
        return [found[row] for row in range(len(images))]

    def _scenes_of(self, batch: ImageBatch, pictures: list[np.ndarray]) -> list[Scene]:
        """One pass of the network over images of one size."""
        # Without its cache, autocast does not keep 16-bit weights; few layers run more than once.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            output = self.network(batch.to(self.device))
        if output.queries is not None:  # what a scene computes later is in 32 bits
            output = replace(output, queries=output.queries.float())
        scenes, head = [], self.network.affinity
        for row, pixels in enumerate(pictures):
            geometry = Geometry((pixels.shape[0], pixels.shape[1]), batch.sizes[row], self.config.decoder.stride)
            own, name = output.of_image(row), batch.names[row]
            scenes.append(Scene(pixels, name, own, geometry, self.config, self.categories, head, self.network))
        return scenes

    def with_categories(self, categories: Categories) -> "Segmenter":
        """The same network with a dataset's classes, matched by name: their ids and colours in the network's order.

        Raises:
            ValueError: the names of things or stuff differ; see `check_classes`.
        """
        return replace(self, categories=in_the_order_of(self.categories, categories))

    def __repr__(self) -> str:
        things, stuff = len(self.categories.things), len(self.categories.stuff)
        return f"Segmenter({self.config.name}, {things} things + {stuff} stuff classes, on {self.device})"


def require_device(device: str | torch.device, option: str = "device") -> None:
    """Raises ValueError for a device that torch does not know, does not find, or that holds no numbers (meta)."""
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError) as error:  # an AssertionError where torch was built without CUDA
        found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        found += ["mps"] * torch.backends.mps.is_available()
        raise ValueError(f"{option} {device}: torch cannot compute there; here is {' or '.join(found)}") from error


def open_segmenter(checkpoint: str, device: str, precision: Precision = "32") -> Segmenter:
    """The network of a CHECKPOINT on a DEVICE, in 32 or 16 bits.

    Raises:
        FileNotFoundError, ValueError: see `Segmenter.load`; also a device that torch does not know or does not find.
    """
    if device == "auto":  # as `unipan train` has it
        device = "cuda" if torch.cuda.is_available() else "cpu"
    require_device(device, "--device")
    return Segmenter.load(checkpoint, device, bf16=precision == "bf16")
