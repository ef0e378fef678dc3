"""One id for several segments, and id 0: told apart where boxes or areas prove it, void where they do not."""

from typing import Any

import numpy as np

from unipan.datasets.doctor.claims import Part, give_ids, tell_apart

ROAD, CAR, PERSON = 1, 2, 3
KNOWN = {ROAD: False, CAR: True, PERSON: True}


def street() -> np.ndarray:
    """A road below, two cars and void, of which the first car has the road's id."""
    ids = np.zeros((20, 30), np.int32)
    ids[12:] = 1
    ids[2:8, 2:10], ids[2:8, 12:20] = 1, 2
    return ids


def row(number: int, category: int, box: list[float] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": number, "category_id": category, "iscrowd": 0, **({"bbox": box} if box else {}), **more}


def told(ids: np.ndarray, *rows: dict[str, Any]) -> tuple[list[Part], list[dict[str, Any]], set[int]]:
    found = tell_apart(ids, {"image_id": 1, "segments_info": list(rows)}, KNOWN)
    return found.parts, found.rows, found.lost


SECOND = row(2, CAR, [12, 2, 8, 6])


def test_boxes_tell_segments_of_one_id_apart() -> None:
    ids = street()
    parts, rows, lost = told(ids, row(1, ROAD, [0, 12, 29, 7]), row(1, CAR, [2, 2, 7, 5]), SECOND)  # one pixel short
    assert [(each["id"], each["category_id"]) for each in rows] == [(3, ROAD), (4, CAR)]
    assert lost == {1}
    changed = give_ids(ids, parts)
    assert (changed[12:] == 3).all()
    assert (changed[2:8, 2:10] == 4).all()
    assert (changed[2:8, 12:20] == 2).all()
    assert ((changed == 0) == (ids == 0)).all()


def test_nothing_is_guessed() -> None:
    ids = street()
    road, car = row(1, ROAD, [0, 12, 30, 8]), row(1, CAR, [2, 2, 8, 6])
    touching = ids.copy()
    touching[8:12, 4:6] = 1  # one part, whose box is near the road's
    apart = ids.copy()
    apart[9, 25] = 1  # a third part is nobody's
    for pixels, rows in (
        (ids, (row(1, ROAD), row(1, CAR))),
        (ids, (road, row(1, CAR, [20, 2, 8, 6]))),
        (ids, (road, row(1, CAR, [2, 2, float("nan"), 6]))),
        (ids, (road, {**car, "category_id": 77})),
        (touching, (road, car)),
        (apart, (road, car)),
    ):
        assert told(pixels, *rows) == ([], [], {1})


def test_rows_that_agree_are_one_segment() -> None:
    assert told(street(), row(1, ROAD), row(1, ROAD), SECOND) == ([], [], set())
    cars = row(1, CAR, [2, 2, 8, 6]), row(1, CAR, [0, 12, 30, 8])
    assert len(told(street(), *cars)[0]) == 2  # of one class, but elsewhere: two


def test_id_0_is_a_segment_where_area_or_box_say_so() -> None:
    ids = street()
    area = int((ids == 0).sum())
    for more in ({"area": area}, {"area": float(area)}, {"bbox": [0, 0, 30, 12]}, {}):
        parts, rows, lost = told(ids, row(0, PERSON, **more), row(1, ROAD))
        assert (parts, lost) == ([Part(0, None, 3)], set())
        assert rows[0]["id"] == 3
        assert ((give_ids(ids, parts) == 3) == (ids == 0)).all()
    for more in ({"area": area - 1}, {"bbox": [0, 0, 5, 5]}):
        assert told(ids, row(0, PERSON, **more), row(1, ROAD)) == ([], [], set())
    assert told(ids, row(0, PERSON), row(0, CAR)) == ([], [], set())
    assert told(np.ones((3, 3), np.int32), row(0, PERSON)) == ([], [], set())


def test_without_parts_nothing_is_copied() -> None:
    ids = street()
    assert give_ids(ids, []) is ids
