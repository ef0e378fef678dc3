"""Pairs of ids are those that a loop over the pixels counts, from ids and from PNGs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.panoptic.pair_counts import count_known_pairs, count_pairs, positions
from unipan.panoptic.png import decode_png, encode_png
from unipan.panoptic.runs import MAX_ID


def slowly(one: np.ndarray, other: np.ndarray) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for key in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True):
        found[key] = found.get(key, 0) + 1
    return found


def counted(one: np.ndarray, other: np.ndarray) -> dict[tuple[int, int], int]:
    found = count_pairs(one, other)
    assert [each.dtype for each in found] == [np.int64] * 3
    ids, other_ids, pixels = (each.tolist() for each in found)
    pairs = list(zip(ids, other_ids, strict=True))
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, pixels, strict=True))


@pytest.mark.parametrize("size", [(700, 300), (1, 65_535), (1, 65_536), (1, 65_537), (1, 200_000), (0, 5)])
def test_long_runs_add_up(size: tuple[int, int]) -> None:
    flat = np.full(size, MAX_ID, np.int32)
    assert counted(flat, flat) == ({(MAX_ID, MAX_ID): flat.size} if flat.size else {})
    half = flat.copy()
    half[:, size[1] // 2 :] = 0
    assert counted(half, flat) == slowly(half, flat)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_equals_a_loop_over_pixels(seed: int, noisy: bool, png: bool) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([0, MAX_ID, *rng.integers(1, MAX_ID + 1, 4)], np.int32)
    height, width = rng.integers(1, 20, 2)
    maps = []
    for _ in range(2):
        rows = values[rng.integers(0, len(values), (height, width))]
        maps.append(rows if noisy else np.repeat(rows[:, :1], width, axis=1))
    pictures = [decode_png(encode_png(ids)) for ids in maps] if png else maps
    assert counted(*pictures) == slowly(*maps)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 5, 60, 900]), st.sampled_from([0, 1, 7, 700]))
def test_known_ids_are_counted_by_position(seed: int, count: int, other_count: int) -> None:
    """With few and with so many ids that no table is built; a tenth of those with pixels are not known."""
    rng = np.random.default_rng(seed)
    maps, known = [], []
    for number in (count, other_count):
        every = np.array([0, *rng.choice(MAX_ID, number, replace=False) + 1], np.int64)
        maps.append(every[rng.integers(0, len(every), (20, 50))].astype(np.int32))
        known.append(every[1:][rng.random(number) < 0.9])
    ids, other_ids, pixels = count_pairs(*maps)
    expected: dict[tuple[int, int], int] = {}
    pairs = zip(positions(ids, known[0]).tolist(), positions(other_ids, known[1]).tolist(), strict=True)
    for pair, shared in zip(pairs, pixels.tolist(), strict=True):
        expected[pair] = expected.get(pair, 0) + shared
    found = count_known_pairs(*maps, *known)
    assert [each.dtype for each in found] == [np.int64] * 3
    rows, columns, shared = (each.tolist() for each in found)
    assert list(zip(rows, columns, strict=True)) == sorted(expected)
    assert shared == [expected[pair] for pair in sorted(expected)]


@pytest.mark.parametrize("size", [(700, 300), (2, 140_000), (70_000, 3), (50, 50)])
def test_smooth_and_noisy_parts_add_up(size: tuple[int, int]) -> None:
    noisy = np.random.default_rng(0).integers(0, 1500, size).astype(np.int32)
    smooth = np.zeros(size, np.int32)
    smooth[size[0] // 2 :] = MAX_ID
    half = np.where(smooth == 0, noisy, 7)
    for one in (noisy, smooth, half):
        for other in (noisy, smooth):
            assert counted(one, other) == slowly(one, other)


def test_nothing_and_one_pixel() -> None:
    assert counted(np.zeros((0, 4), np.int32), np.zeros((0, 4), np.int32)) == {}
    assert counted(np.array([[5]], np.int32), np.array([[0]], np.int32)) == {(5, 0): 1}


def test_bad_maps_are_refused() -> None:
    one = np.zeros((2, 3), np.int32)
    with pytest.raises(ValueError, match=r"one map is \(2, 3\), the other \(3, 2\)"):
        count_pairs(one, one.T.copy())
    for wrong in (one - 1, one + MAX_ID + 1):
        with pytest.raises(ValueError, match="segment ids run from 0"):
            count_pairs(wrong, one)
        with pytest.raises(ValueError, match="segment ids run from 0"):
            count_pairs(one, wrong)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), unique=True), st.lists(st.integers(0, 10)))
def test_positions_equal_a_search(known: list[int], ids: list[int]) -> None:
    expected = [known.index(key) if key in known else len(known) + (key != 0) for key in ids]
    assert positions(np.array(ids, np.int64), np.array(known, np.int64)).tolist() == expected
