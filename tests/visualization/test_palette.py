"""Colours: the category's own, told apart between instances, the same from picture to picture."""

from itertools import combinations

import numpy as np

from unipan.panoptic.categories import Category
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.palette import colors_like, instance_color, instance_colors, partner_colors, segment_colors

CAR = Category(3, "car", True, (30, 80, 200))
ROAD = Category(7, "road", False, (130, 70, 130))


def street(shift: int = 0, cars: int = 3) -> PanopticMap:
    ids = np.full((10, 40), 9, np.int32)
    for car in range(cars):
        ids[2:8, 10 * car + shift : 10 * car + shift + 8] = car + 1
    return panoptic_map(ids, {**dict.fromkeys(range(1, cars + 1), CAR), 9: ROAD})


def test_instances_differ_and_stuff_keeps_its_color() -> None:
    colors = segment_colors(street())
    assert colors[1] == CAR.color
    assert colors[9] == ROAD.color
    assert colors == segment_colors(street())


def test_twelve_instances_can_be_told_apart() -> None:
    colors = [instance_color(CAR.color, index) for index in range(12)]
    distances = [np.abs(np.subtract(one, other)).sum() for one, other in combinations(colors, 2)]
    assert min(distances) >= 12


def test_gray_categories_get_colored_instances() -> None:
    assert len({instance_color((128, 128, 128), index) for index in range(8)}) == 8


def test_the_same_car_keeps_its_color() -> None:
    reference = street()
    moved = street(shift=1)
    reordered = panoptic_map(np.where(moved.ids == 9, 9, (moved.ids * 2) % 7), {2: CAR, 4: CAR, 6: CAR, 9: ROAD})
    own = segment_colors(reference)
    assert colors_like(reordered, reference) == {2: own[1], 4: own[2], 6: own[3], 9: own[9]}


def test_new_instances_get_colors_that_the_reference_has_not() -> None:
    reference = street(cars=2)
    colors = colors_like(street(cars=3), reference)
    assert colors[3] not in segment_colors(reference).values()


def test_overlaps_are_counted_from_the_pixels_of_any_size() -> None:
    reference, prediction = street(), street(shift=1)
    halves = [PanopticMap(each.ids[::2, ::2], each.segments) for each in (prediction, reference)]
    assert colors_like(*halves) == segment_colors(reference)


def test_partners_may_be_given() -> None:
    reference = street()
    own = segment_colors(reference)
    colors = colors_like(reference, reference, {1: 3})
    assert colors[1] == own[3]
    assert colors[2] not in own.values()


def test_partners_may_be_given_by_position() -> None:
    own = instance_colors([CAR, ROAD, CAR])
    colors = partner_colors([ROAD, CAR, CAR], [CAR, ROAD, CAR], [None, 2, None])
    assert colors[:2] == [ROAD.color, own[2]]
    assert colors[2] not in own
