"""Panels: the right pixels at the right place, whatever the ground."""

import numpy as np
import pytest

from tests.tiny import CATEGORIES
from unipan.panoptic.maps import PanopticMap, panoptic_map
from unipan.visualization.overlay import INK, WHITE
from unipan.visualization.panels import (
    CELL,
    GUTTER,
    LABEL,
    MARGIN,
    VOID_GROUND,
    VOID_STRIPE,
    Panel,
    View,
    boxes_panel,
    contour,
    corners,
    cross,
    hatch,
    panoptic_panel,
    sheet,
    stack,
)

SKY, GROUND = CATEGORIES[2], CATEGORIES[3]


def halves() -> PanopticMap:
    """4 x 6: sky on the left, ground on the right, two void pixels between."""
    ids = np.repeat(np.array([[1, 1, 1, 2, 2, 2]], np.int32), 4, axis=0)
    ids[1:3, 2] = 0
    return panoptic_map(ids, {1: SKY, 2: GROUND})


def flat(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_small_images_grow_by_whole_factors_and_large_ones_shrink() -> None:
    assert View.whole((128, 256)) == View(0, 0, 256, 128, 256, 512)
    assert View.whole((100, 110)) == View(0, 0, 110, 100, 400, 440)
    assert View.whole((1024, 2048)) == View(0, 0, 2048, 1024, 256, 512)
    assert View.whole((2000, 1000)).tall == 512


def test_a_window_holds_its_box_and_stays_inside_the_image() -> None:
    for box in ((0.0, 0.0, 20.0, 30.0), (300.0, 200.0, 320.0, 240.0), (100.0, 50.0, 220.0, 170.0)):
        view = View.around(box, (240, 320))
        assert view.x <= box[0]
        assert view.y <= box[1]
        assert view.x + view.width >= box[2]
        assert view.y + view.height >= box[3]
        assert 0 <= view.x <= 320 - view.width
        assert 0 <= view.y <= 240 - view.height
        assert view.wide % view.width == view.tall % view.height == 0
        assert view.wide <= CELL[0]
    near = View.around((0.0, 0.0, 20.0, 30.0), (240, 320))
    assert near.wide // near.width == 6
    assert View.around((0.0, 0.0, 3000.0, 2000.0), (2000, 3000)) == View.whole((2000, 3000))


def test_the_picture_shows_the_window_and_nothing_else() -> None:
    image = flat(40, 60, 0)
    image[10, 20] = 255
    view = View(18, 8, 10, 5, 25, 50)
    bright = np.argwhere(view.photo(image)[..., 0] > 200)
    assert view.place(20, 10) == (12, 12)
    assert np.abs(bright.mean(0) - 12).max() < 1
    ids = np.zeros((40, 60), np.int32)
    ids[10, 20] = 7
    part = view.part(PanopticMap(ids, ()))
    assert np.array_equal(np.argwhere(part.ids == 7)[[0, -1]], [[10, 10], [14, 14]])
    assert (part.ids == 7).sum() == 25
    assert view.boxes(np.array([[20.0, 10, 21, 11]])).tolist() == [[10, 10, 15, 15]]
    field = np.zeros((40, 60), np.float32)
    field[10, 20] = 1
    assert np.unravel_index(view.values(field).argmax(), (25, 50)) == (12, 12)


def test_the_hatch_covers_exactly_the_void() -> None:
    view = View(0, 0, 6, 4, 80, 120)
    found = halves()
    picture = panoptic_panel(view, flat(4, 6, 120), found, {1: (60, 60, 220), 2: (120, 120, 120)})
    void = view.part(found).ids == 0
    assert void.sum() == 2 * 400
    marked = (picture == VOID_GROUND).all(2) | (picture == VOID_STRIPE).all(2)
    assert np.array_equal(marked, void)
    assert 0.15 < (picture == VOID_STRIPE).all(2).sum() / void.sum() < 0.35


def test_without_void_the_hatch_changes_nothing() -> None:
    picture = flat(9, 9, 77)
    assert np.array_equal(hatch(picture, np.zeros((9, 9), bool)), picture)
    assert (hatch(picture, np.ones((9, 9), bool)) != 77).all()
    assert (picture == 77).all()


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_a_cross_shows_on_every_ground(ground: int) -> None:
    picture = cross(flat(80, 80, ground), 40, 30)
    assert tuple(picture[30, 40]) == WHITE
    assert tuple(picture[36, 46]) == tuple(picture[24, 34]) == WHITE
    assert tuple(picture[30, 46]) == INK  # between the arms the rim
    far = np.abs(picture.astype(int) - ground).max(2) > 100
    assert far.sum() > 200
    rows, columns = np.nonzero(far)
    assert abs(rows.mean() - 30) < 0.5
    assert abs(columns.mean() - 40) < 0.5


def test_corners_hide_nothing_inside_and_small_boxes_stay_open() -> None:
    picture = corners(flat(100, 100, 128), (20.0, 30.0, 80.0, 90.0))
    assert tuple(picture[30, 20]) == tuple(picture[90, 80]) == WHITE
    assert (picture[40:80, 30:70] == 128).all()
    assert (picture[60, 20] == 128).all()  # the sides are open
    small = corners(flat(100, 100, 128), (40.0, 40.0, 61.0, 61.0))
    assert (small[50, 50] == 128).all()
    assert corners(flat(50, 50, 128), (-20.0, -20.0, 90.0, 90.0)).shape == (50, 50, 3)


def test_the_own_box_lies_on_top_and_is_thicker() -> None:
    view = View(0, 0, 100, 80, 80, 100)
    boxes = np.array([[20.0, 20, 60, 60], [20.0, 20, 60, 60]])
    first = boxes_panel(view, flat(80, 100, 128), boxes, [(255, 0, 0), (0, 255, 0)], strong=0)
    assert tuple(first[20, 40]) == (255, 0, 0)
    second = boxes_panel(view, flat(80, 100, 128), boxes, [(255, 0, 0), (0, 255, 0)], strong=1)
    assert tuple(second[20, 40]) == (0, 255, 0)
    thin = boxes_panel(view, flat(80, 100, 128), boxes[:1], [(255, 0, 0)])
    assert (thin == (255, 0, 0)).all(2).sum() < (first == (255, 0, 0)).all(2).sum()
    none = boxes_panel(view, flat(80, 100, 128), np.zeros((0, 4)), [])
    assert (none == 128).all()


def test_a_contour_runs_around_its_region() -> None:
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    picture = contour(flat(40, 40, 128), region)
    assert tuple(picture[10, 20]) == INK
    assert (picture[20, 20] == 128).all()
    assert (picture[2, 2] == 128).all()


def test_panels_stand_in_order_below_their_labels() -> None:
    rows = [[Panel(flat(40, 300, shade)) for shade in (10, 60)], [Panel(flat(50, 300, shade)) for shade in (110, 160)]]
    page = sheet(("first", "second"), rows)
    assert page.shape == (MARGIN + LABEL + 40 + GUTTER + 50 + MARGIN, MARGIN + 300 + GUTTER + 300 + MARGIN, 3)
    top, right = MARGIN + LABEL, MARGIN + 300 + GUTTER
    places = [(top, MARGIN), (top, right), (top + 40 + GUTTER, MARGIN), (top + 40 + GUTTER, right)]
    assert [int(page[y, x, 0]) for y, x in places] == [10, 60, 110, 160]
    assert (page[:MARGIN] == 255).all()
    assert (page[:, MARGIN + 300 : right] == 255).all()
    assert (page[:top, MARGIN:right] < 100).any()  # a label
    assert (page[:top, right:] < 100).any()


def test_narrow_panels_leave_room_for_their_labels_and_the_scale() -> None:
    rows = [[Panel(flat(20, 20, 0)), Panel(flat(20, 20, 0))]]
    plain = sheet(("a long label above", "b"), rows)
    scaled = sheet(("a long label above", "b"), rows, signed=(1,))
    assert plain.shape[1] > 2 * 20 + 200
    assert scaled.shape[1] > plain.shape[1] + 100
    colored = scaled.max(2).astype(int) - scaled.min(2) > 80
    assert colored.any()
    assert not colored[MARGIN + LABEL :].any()


def test_a_cross_near_the_edge_reaches_into_the_gutter() -> None:
    rows = [[Panel(flat(60, 400, 0), (399, 30)), Panel(flat(60, 400, 0))]]
    page = sheet(("a", "b"), rows)
    gutter = page[:, MARGIN + 400 : MARGIN + 400 + GUTTER]
    assert (gutter < 100).any()
    assert tuple(page[MARGIN + LABEL + 30, MARGIN + 399]) == WHITE


def test_every_panel_needs_a_label() -> None:
    with pytest.raises(ValueError, match="1 panels under 2 labels"):
        sheet(("a", "b"), [[Panel(flat(5, 5, 0))]])


def test_sheets_are_stacked_to_one_width() -> None:
    page = stack([flat(5, 10, 0), flat(7, 20, 9)])
    assert page.shape == (12, 20, 3)
    assert (page[:5, 10:] == 255).all()
    assert (page[5:] == 9).all()
