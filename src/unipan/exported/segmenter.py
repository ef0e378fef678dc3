"""Inference without torch: `ExportedSegmenter` turns an image into a panoptic map by an exported network.

It is what `unipan.Segmenter` is where torch is not installed, and what `Segmenter.load` returns for the folder of an
export.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from unipan.arrays import Float, Int64
from unipan.config import Config
from unipan.datasets.pictures import picture_of
from unipan.datasets.same_classes import in_the_order_of
from unipan.exported.graphs import CPU, GraphPair, open_graphs
from unipan.exported.pixels import network_input
from unipan.exported.scene import Q_STRIDE, Cues, ExportedScene, covered_cells
from unipan.numpy_fusion.psi import Found
from unipan.panoptic.categories import Categories
from unipan.result import PanopticResult

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | Path | Image | np.ndarray
else:
    Picture = Any


@dataclass(frozen=True, eq=False, repr=False)
class ExportedSegmenter:
    """An exported network on onnxruntime, with what `unipan.Segmenter` has.

    Attributes:
        graphs: the opened network.
        categories: the classes that it knows.
        bf16: never, see `unipan.Segmenter`.
    """

    graphs: GraphPair
    categories: Categories
    bf16: ClassVar[bool] = False

    @classmethod
    def load(
        cls, source: str | Path = "scenes", device: str = "cpu", providers: Sequence[str] = CPU, threads: int = 0
    ) -> "ExportedSegmenter":
        """Open the folder of an export, a bundled name, or a .safetensors file with its graphs beside it.

        Args:
            source: of the network.
            device: cpu or auto; other hardware is named by `providers`.
            providers: of onnxruntime, best first.
            threads: for one operation; 0 takes all cores.

        Raises:
            FileNotFoundError: there is no such network.
            ValueError: files that do not belong together, or a device or provider that is not there.
        """
        if str(device) not in ("cpu", "auto"):
            raise ValueError(
                f"--device {device}: an exported network runs on the CPU, or on another provider of onnxruntime "
                "(`providers` of ExportedSegmenter.load); give cpu"
            )
        graphs = open_graphs(source, providers, threads)
        return cls(graphs, graphs.categories)

    @property
    def config(self) -> Config:
        """How the network was built and trained."""
        return self.graphs.config

    @property
    def metrics(self) -> dict[str, Any]:
        """What it scored when it was saved."""
        return self.graphs.metrics

    def __call__(self, image: "Picture", fusion: str | None = None, page: int | None = None) -> PanopticResult:
        """Segment one image; see `unipan.Segmenter`."""
        return self.scene(image, page).result(fusion)

    def check_tiling(self, fusion: str, scale: float, side: int) -> None:  # noqa: ARG002
        """Raises ValueError: tiles need PyTorch."""
        self.in_tiles()

    def in_tiles(self, *_: object, **__: object) -> NoReturn:
        """Raises ValueError: tiles need PyTorch."""
        raise ValueError(
            "tiles: onnxruntime runs whole pictures; pip install 'unipan[torch]', and give the checkpoint itself"
        )

    def scene(self, image: "Picture", page: int | None = None) -> ExportedScene:
        """Run the network once and keep what it found, for several fusions and for affinities."""
        pixels, name = picture_of(image, self.config.data, page=page)
        inputs, size = network_input(pixels, self.config.data, self.graphs.fill)
        cues, kept, psi, panoptic = self.run_network(inputs, size)
        input_size, temperature = (int(size[0]), int(size[1])), self.graphs.temperature
        return ExportedScene(
            pixels, name, cues, psi, panoptic, kept, input_size, temperature, self.config, self.categories
        )

    def run_network(
        self, pixels: Float[np.ndarray, "1 3 H W"], size: Int64[np.ndarray, " 2"]
    ) -> tuple[Cues, Found, Float[np.ndarray, "K h w"], Float[np.ndarray, "K h w"]]:
        """Both graphs: the cues, the detections that enter Psi, Psi and P.

        Args:
            pixels: RGB in 0..1, padded to multiples of 32; see `network_input`.
            size: height and width of what is no padding.

        Raises:
            ValueError: the graphs have another stride or other kinds of classes than their description.
        """
        cues = self._cues(pixels, size)
        kept = cues.found[cues.found.scores >= np.float32(self.config.inference.score_threshold)]
        made = self._head(cues, kept)
        stuff = len(self.categories.stuff) + self.config.potential.void_channel
        if len(made["potential"]) != len(kept) + stuff:
            raise ValueError(_misdescribed(f"{stuff} stuff classes"))
        return cues, kept, made["potential"], made.get("panoptic", made["potential"])

    def _cues(self, pixels: np.ndarray, size: np.ndarray) -> Cues:
        """What the network says of one image."""
        dense = self.graphs.dense
        names = [each.name for each in dense.get_outputs()]
        made = dict(zip(names, dense.run(None, {"pixels": pixels, "size": size}), strict=True))
        stride = self.config.decoder.stride
        if made["semantic"].shape[1:] != tuple(side // stride for side in pixels.shape[2:]):
            raise ValueError(_misdescribed(f"decoder.stride {stride}"))
        height, width = (-(-int(side) // stride) for side in size)
        a, b = (covered_cells(side, Q_STRIDE // stride) for side in (height, width))
        phi0, phi1 = (made[name][:, :a, :b] if name in made else None for name in ("phi0", "phi1"))
        found = Found(made["boxes"], made["scores"], made["classes"].astype(np.int64), made.get("masks"), whole=False)
        return Cues(made["semantic"][:, :height, :width], found, phi0, phi1)

    def _head(self, cues: Cues, found: Found) -> dict[str, np.ndarray]:
        """Psi, and P where the network has the affinity head."""
        head = self.graphs.head
        given: dict[str, Any] = {
            "semantic": cues.semantic,
            "boxes": found.boxes,
            "scores": found.scores,
            "classes": found.classes,
        }
        given |= {"masks": found.masks, "phi0": cues.phi0, "phi1": cues.phi1}
        wanted = {each.name: np.ascontiguousarray(given[each.name]) for each in head.get_inputs()}
        return dict(zip([each.name for each in head.get_outputs()], head.run(None, wanted), strict=True))

    def with_categories(self, categories: Categories) -> "ExportedSegmenter":
        """The same network with a dataset's classes, matched by name: their ids and colours in the network's order.

        Raises:
            ValueError: the names of things or stuff differ; see `check_classes`.
        """
        return replace(self, categories=in_the_order_of(self.categories, categories))

    def __repr__(self) -> str:
        things, stuff = len(self.categories.things), len(self.categories.stuff)
        return f"ExportedSegmenter({self.config.name}, {things} things + {stuff} stuff classes)"


def _misdescribed(fact: str) -> str:
    return f"export: its description says {fact}, and the graphs have others; export the checkpoint again"
