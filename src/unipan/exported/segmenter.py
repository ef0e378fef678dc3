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
from unipan.exported.graphs import CPU, ExportedGraphs, open_graphs
from unipan.exported.network import Cues, find_cues, find_panoptic
from unipan.exported.pixels import network_input
from unipan.exported.scene import ExportedScene
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

    graphs: ExportedGraphs
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
        input_size = int(size[0]), int(size[1])
        return ExportedScene(pixels, name, cues, psi, panoptic, kept, input_size, self.graphs, self.categories)

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
        cues = find_cues(self.graphs, pixels, size)
        kept = cues.found[cues.found.scores >= np.float32(self.config.inference.score_threshold)]
        return cues, kept, *find_panoptic(self.graphs, cues, kept)

    def with_categories(self, categories: Categories) -> "ExportedSegmenter":
        """The same network with a dataset's classes, matched by name: their ids and colours in the network's order.

        Raises:
            ValueError: the names of things or stuff differ; see `check_classes`.
        """
        return replace(self, categories=in_the_order_of(self.categories, categories))

    def __repr__(self) -> str:
        things, stuff = len(self.categories.things), len(self.categories.stuff)
        return f"ExportedSegmenter({self.config.name}, {things} things + {stuff} stuff classes)"
