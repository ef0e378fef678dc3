import numpy as np
import pytest

from tests.evaluation.cases import CLASSES, of
from unipan.evaluation.class_sums import ClassSums
from unipan.evaluation.image_pair import ImagePair, class_indices
from unipan.panoptic.categories import Categories


class Sums(ClassSums):
    """One number for each image, whatever it shows."""

    def add(self, pair: ImagePair) -> None:
        self.put(pair.name, row(1))


def row(value: float) -> np.ndarray:
    return np.full((len(CLASSES), 2), value, np.float64)


def test_parts_in_any_order_give_the_same_bits() -> None:
    values = np.random.default_rng(0).random(30)
    whole = Sums(CLASSES)
    parts = [Sums(CLASSES) for _ in range(7)]
    for number, value in enumerate(values):
        whole.put(str(number), row(value))
        parts[number % 7].put(str(number), row(value))
    merged = Sums(CLASSES)
    for part in parts[::-1]:
        merged = merged + part
    assert (merged.sums(2) == whole.sums(2)).all()
    assert len(merged) == 30
    assert (Sums(CLASSES).sums(2) == 0).all()


def test_what_a_metric_counts_is_its_own() -> None:
    with pytest.raises(TypeError, match="abstract method"):
        ClassSums(CLASSES)  # type: ignore[abstract]
    sums = Sums(CLASSES)
    sums.update(of(["cs"]), of(["cs"]), "a")
    assert (sums.images["a"] == row(1)).all()


def test_refusals() -> None:
    sums = Sums(CLASSES)
    sums.put("a", row(1))
    with pytest.raises(ValueError, match="a: this image was counted already"):
        sums.put("a", row(1))
    with pytest.raises(ValueError, match="a: this image was counted in both parts"):
        sums + sums
    with pytest.raises(ValueError, match="Sums: two parts with different categories"):
        sums + Sums(Categories(CLASSES.things))
    with pytest.raises(ValueError, match=r"a.jpg: segment 115000 has category id 7, which is not one of the 2 classes"):
        class_indices(of(["cs"]), Categories(CLASSES.things), "a.jpg")
