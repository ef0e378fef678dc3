"""Scenes that were not used for longest go first, and one browser cannot push those of others out."""

import numpy as np
from numpy.typing import ArrayLike

from unipan.result import PanopticResult
from unipan.server.scenes import OpenScene
from unipan.server.shelf import PER_SESSION, SceneShelf


class Weight:
    """A scene of which only the size matters."""

    image = np.zeros((1, 1, 3), np.uint8)

    def __init__(self, nbytes: int) -> None:
        self.nbytes, self.detections = nbytes, self
        self.boxes = self.scores = self.classes = np.zeros(0)

    def edit(self, boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> "Weight":
        return self

    def prepare(self) -> None:
        self.nbytes = 25

    def affinity(self, x: int, y: int) -> np.ndarray:
        return np.zeros((1, 1), np.float32)

    def result(self, fusion: str | None = None) -> PanopticResult:
        raise AssertionError(f"a shelf asks for no map, and not for {fusion}")


def weight(nbytes: int = 10) -> OpenScene:
    return OpenScene(Weight(nbytes), "a.png", None)  # type: ignore[arg-type]


def test_the_oldest_use_goes_first() -> None:
    shelf = SceneShelf(30)
    keys = [shelf.put("me", weight()) for _ in range(3)]
    assert shelf.get("me", keys[0]) is not None  # used again
    shelf.put("me", weight())
    assert [shelf.get("me", key) is not None for key in keys] == [True, False, True]
    assert shelf.nbytes == 30


def test_one_that_is_too_large_alone_stays() -> None:
    shelf = SceneShelf(30)
    small, large = shelf.put("me", weight()), shelf.put("me", weight(1000))
    assert shelf.get("me", small) is None
    assert shelf.get("me", large) is not None


def test_they_grow() -> None:
    shelf, first = SceneShelf(30), weight()
    key, other = shelf.put("me", first), shelf.put("me", weight())
    first.scene.prepare()
    shelf.shrink()
    assert (shelf.get("me", key), len(shelf)) == (None, 1)
    assert shelf.get("me", other) is not None


def test_a_session_has_a_few() -> None:
    shelf = SceneShelf(10**9)
    kept = shelf.put("one", weight())
    keys = [shelf.put("other", weight()) for _ in range(PER_SESSION + 3)]
    assert [shelf.get("other", key) is not None for key in keys] == [False] * 3 + [True] * PER_SESSION
    assert shelf.get("one", kept) is not None
    assert shelf.get("one", keys[-1]) is None
    shelf.drop("one", keys[-1])
    assert shelf.get("other", keys[-1]) is not None
