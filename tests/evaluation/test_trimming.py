import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.cases import CAR, CLASSES, ROAD, SKY, of, random_pair
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.trimming import TrimEffect, trim_stuff
from unipan.panoptic.maps import panoptic_map


def test_small_stuff_becomes_void_and_small_things_stay() -> None:
    prediction = of(["cssr", "ssss"])
    trimmed = trim_stuff(prediction, 2)
    assert [segment.category for segment in trimmed] == [CAR, SKY]
    assert (trimmed.ids[0] == [prediction.ids[0, 0], *prediction.ids[0, 1:3], 0]).all()
    assert trimmed.ids.dtype == np.int32


def test_the_limit_itself_is_kept() -> None:
    prediction = of(["rrss"])
    assert trim_stuff(prediction, 2) is prediction
    assert len(trim_stuff(prediction, 3)) == 0
    assert trim_stuff(prediction, 0) is prediction


def test_it_raises_pq_of_stuff_where_small_stuff_is_false() -> None:
    truth, prediction = of(["cssssss", "sssssss"]), of(["cssssss", "ssssssr"])
    before, after = PanopticQuality(CLASSES), PanopticQuality(CLASSES)
    before.update(truth, prediction, "a")
    after.update(truth, trim_stuff(prediction, 2), "a")
    assert before.compute().per_class[ROAD.id].fp == 1
    assert after.compute().per_class[ROAD.id].fp == 0
    assert after.compute()["Stuff"] is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60))
def test_what_stays_is_untouched(seed: int, area: int) -> None:
    _, prediction = random_pair(seed)
    trimmed = trim_stuff(prediction, area)
    large = [s for s in prediction if s.isthing or s.area >= area]
    assert list(trimmed) == large
    kept = np.isin(prediction.ids, [s.id for s in large])
    assert (trimmed.ids == np.where(kept, prediction.ids, 0)).all()
    again = panoptic_map(trimmed.ids, {s.id: s.category for s in trimmed})
    assert [s.area for s in again] == [s.area for s in trimmed]


def test_a_negative_area_is_refused() -> None:
    with pytest.raises(ValueError, match="trim stuff: the area is -1 pixels"):
        trim_stuff(of(["s"]), -1)


def test_table_i_by_hand() -> None:
    effect = TrimEffect.of(CLASSES, 2)
    effect.update(of(["cssssss", "sssssss"]), of(["cssssss", "ssssssr"]), "a")
    found = effect.compute()
    sky = 12 / 13
    assert found["untrimmed"] == {
        name: pytest.approx(value)
        for name, value in zip(("pq", "sq", "rq", "iou"), (sky / 2, sky / 2, 1 / 2, sky / 2), strict=True)
    }
    # The false road is gone; the pixel that it took from the sky stays lost.
    assert found["trimmed"] == {
        name: pytest.approx(value) for name, value in zip(("pq", "sq", "rq", "iou"), (sky, sky, 1.0, sky), strict=True)
    }
    assert found["delta"]["rq"] == pytest.approx(0.5)
    assert TrimEffect.of(CLASSES, 2).compute()["delta"] == dict.fromkeys(("pq", "sq", "rq", "iou"))


def test_parts_of_table_i_merge() -> None:
    whole, parts = TrimEffect.of(CLASSES, 9), [TrimEffect.of(CLASSES, 9) for _ in range(2)]
    for seed in range(8):
        truth, prediction = random_pair(seed)
        whole.update(truth, prediction, str(seed))
        parts[seed % 2].update(truth, prediction, str(seed))
    assert (parts[1] + parts[0]).compute() == whole.compute()
    with pytest.raises(ValueError, match="trimmed at 9 and 8 pixels"):
        whole + TrimEffect.of(CLASSES, 8)
    with pytest.raises(ValueError, match="trim stuff: the area is -4 pixels"):
        TrimEffect.of(CLASSES, -4)
