"""What a dataset's classes are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import CATEGORIES
from unipan.panoptic.categories import Categories, Category, distinct_color


def category(number: int, isthing: bool = True, name: str | None = None) -> Category:
    return Category(number, name or f"class {number}", isthing, (1, 2, 3))


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_things_come_first_and_the_order_within_a_group_stays(kinds: list[bool]) -> None:
    given_list = [category(7 * i, kind) for i, kind in enumerate(kinds)]
    made = Categories.of(given_list)
    assert list(made) == [c for c in given_list if c.isthing] + [c for c in given_list if not c.isthing]
    assert len(made) == len(made.things) + len(made.stuff) == len(kinds)
    assert [made[index] for index in range(len(made))] == list(made.all)
    for index, each in enumerate(made):
        assert made.index_of_id[each.id] == made.index_of_name[each.name] == index


def test_coco_round_trip() -> None:
    assert Categories.from_coco(CATEGORIES.to_coco()) == CATEGORIES
    assert CATEGORIES.to_coco()[0] == {"id": 7, "name": "disc", "isthing": 1, "color": [200, 40, 40]}


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="id 3 appears more than once"):
        Categories((category(3), category(3, name="other")))
    with pytest.raises(ValueError, match="name 'a' appears more than once"):
        Categories((category(3, name="a"), category(4, name="a")))
    with pytest.raises(ValueError, match="empty"):
        Categories(())
    with pytest.raises(ValueError, match="things must come before stuff"):
        Categories((category(1, isthing=False), category(2)))
    with pytest.raises(ValueError, match=r"x\.json: category number 1 .*`isthing`"):
        Categories.from_coco([{"id": 1, "name": "a", "isthing": 1}, {"id": 2, "name": "b"}], "x.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": None}, "`id`.*None"),
        ({"id": "abc"}, "`id`.*'abc'"),
        ({"id": "3"}, "`id` '3'; write 3"),
        ({"id": -1}, "`id`.*-1"),
        ({"id": True}, "`id`.*True"),
        ({"name": ["b"]}, "`name`.*\\['b'\\]"),
        ({"isthing": "false"}, "`isthing`.*'false'"),
        ({"color": 5}, "`color` 5"),
        ({"color": [1, 2]}, "`color` \\[1, 2\\]"),
        ({"color": [1, 2, 256]}, "`color` .*256\\]"),
        ({"color": "red"}, "`color` 'red'"),
        ({"id": 1}, "has the id of an earlier category"),
        ({"name": "a"}, "has the name of an earlier category"),
    ],
)
def test_a_wrong_category_is_named_with_its_file(change: dict[str, object], words: str) -> None:
    good = {"id": 1, "name": "a", "isthing": 1}
    with pytest.raises(ValueError, match=rf"x\.json: category number 1 .*{words}"):
        Categories.from_coco([good, {"id": 2, "name": "b", "isthing": 1, **change}], "x.json")


def test_an_empty_list_is_named_with_its_file() -> None:
    with pytest.raises(ValueError, match=r"x\.json: `categories` is empty"):
        Categories.from_coco([], "x.json")


def test_missing_colours_are_filled_with_distinct_ones() -> None:
    made = Categories.from_coco([{"id": i, "name": str(i), "isthing": 1} for i in range(133)])
    assert len({c.color for c in made}) > 120
    assert all(0 <= value <= 255 for c in made for value in c.color)
    assert distinct_color(0) != distinct_color(1)
