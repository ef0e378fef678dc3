"""What the page needs of a network, whatever it runs on, and the boxes that come from a browser.

`unipan.inference.Segmenter` and `Scene` are such a maker and such a scene.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, get_args, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from unipan.arrays import Float32
from unipan.config import Config, Fusion, check_fusion
from unipan.panoptic.categories import Categories
from unipan.processes import available_memory
from unipan.result import PanopticResult

CHANNEL_BYTES = 3
"""Of memory for each box and pixel, at the finest stride of 2: 32 bits a cell in Psi, in P and on the way."""
MOST_BOXES = 300
"""On one image: Psi has a channel for each."""


@runtime_checkable
class FoundBoxes(Protocol):
    """The detections of a scene as tensors or arrays; each has `tolist`."""

    @property
    def boxes(self) -> Any:
        """(D, 4), x0 y0 x1 y1 in pixels of the image."""

    @property
    def scores(self) -> Any:
        """(D,), 0..1."""

    @property
    def classes(self) -> Any:
        """(D,), indices of thing classes."""


@runtime_checkable
class EditableScene(Protocol):
    """An image after its pass through the network; from there on everything is quick."""

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8, RGB."""

    @property
    def detections(self) -> FoundBoxes:
        """What the maps are made from."""

    @property
    def nbytes(self) -> int:
        """The memory that it holds."""

    def edit(self, boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> "EditableScene":
        """The scene with other detections, without a new pass."""

    def prepare(self) -> None:
        """Find now what the first `edit` would wait for."""

    def affinity(self, x: int, y: int) -> Float32[np.ndarray, "H W"]:
        """Of a pixel to all pixels, centred. Raises ValueError where there is no affinity head."""

    def result(self, fusion: str | None = None) -> PanopticResult:
        """The panoptic map by a fusion."""


@runtime_checkable
class SceneMaker(Protocol):
    """A trained network."""

    @property
    def config(self) -> Config:
        """Its settings."""

    @property
    def categories(self) -> Categories:
        """Its classes."""

    def scene(self, image: Any) -> EditableScene:
        """The pass through the network, of a path or an array."""


class PageBox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detection as the page has it.

    Attributes:
        box: x0 y0 x1 y1 in pixels of the image.
        label: index of its thing class.
        score: 0..1.
        tint: which of its class's colours it has; it keeps it while others come and go.
    """

    box: tuple[float, float, float, float]
    label: Annotated[int, msgspec.Meta(ge=0)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    tint: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0


BoxList = Annotated[list[PageBox], msgspec.Meta(max_length=MOST_BOXES)]


@dataclass(frozen=True, eq=False)
class OpenScene:
    """A scene that a session has open.

    Attributes:
        scene: as the network made it.
        name: of the image.
        source: its file in the chosen folder; None for one that was dropped or drawn.
        version: of the file when it was opened.
    """

    scene: EditableScene
    name: str
    source: Path | None
    version: str | None = None


def found_boxes(scene: EditableScene) -> list[PageBox]:
    """The detections of a scene, each with a colour of its own within its class."""
    found = scene.detections
    labels = found.classes.tolist()
    rows = zip(found.boxes.tolist(), labels, found.scores.tolist(), strict=True)
    return [
        PageBox((x0, y0, x1, y1), label, min(max(score, 0.0), 1.0), labels[:number].count(label))
        for number, ((x0, y0, x1, y1), label, score) in enumerate(rows)
    ]


def with_boxes(scene: EditableScene, boxes: list[PageBox] | None) -> EditableScene:
    """The scene with these detections; None leaves its own. Raises ValueError as `edit` does."""
    if boxes is None:
        return scene
    needed, free = CHANNEL_BYTES * len(boxes) * scene.image.shape[0] * scene.image.shape[1], available_memory()
    if free is not None and needed > free:
        raise ValueError(f"{len(boxes)} boxes on a picture of this size may take more memory than is free; delete some")
    corners = np.array([each.box for each in boxes]).reshape(-1, 4)
    return scene.edit(corners, [each.score for each in boxes], [each.label for each in boxes])


def possible_fusions(config: Config) -> list[Fusion]:
    """The fusions that networks of this config can do; without affinities P is Psi, and is listed once."""
    found: list[Fusion] = []
    for name in get_args(Fusion):
        if name == "affinity" and not config.affinity.enabled:
            continue
        try:
            found.append(check_fusion(config, name))
        except ValueError:
            continue
    return found
