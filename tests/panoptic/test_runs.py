import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipan.panoptic.runs import MAX_ID, encode_rle, rles_of_ids, rows_of_ids, runs


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.none() | st.integers(1, 8))
def test_runs_are_maximal_and_cover_every_pixel(seed: int, longest: int | None) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2, (2, *rng.integers(1, 7, 2)))
    starts, lengths = runs(a, b, longest=longest)
    pairs = [f"{x}{y}" for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    assert lengths.sum() == a.size
    for start, length in zip(starts, lengths, strict=True):
        assert len(set(pairs[start : start + length])) == 1
        end = start + length
        at_limit = longest is not None and end % longest == 0
        assert end == a.size or at_limit or pairs[end] != pairs[start]
        assert longest is None or start // longest == (end - 1) // longest


def test_runs_of_nothing() -> None:
    starts, lengths = runs(np.zeros((0, 5), np.int32))
    assert len(starts) == len(lengths) == 0


@pytest.mark.parametrize("count", [50, 100_000])  # searched for, and looked up in a table
def test_rows_of_ids(count: int) -> None:
    known = [MAX_ID, 3, 70_000]
    rows = np.random.default_rng(0).integers(0, 4, count)
    values = np.array([*known, 0], np.int32)[rows]
    assert (rows_of_ids(values, known, "x") == rows).all()
    values[7] = 4
    with pytest.raises(ValueError, match="x: id 4 has pixels but no segment is declared"):
        rows_of_ids(values, known, "x")
    values[7] = -1
    with pytest.raises(ValueError, match="segment ids run from 0"):
        rows_of_ids(values, known, "x")
    assert (rows_of_ids(np.zeros(count, np.int32), [], "x") == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_rle_equals_pycocotools(seed: int) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 4, rng.integers(1, 9, 2)).astype(np.int32)
    for key, rle in zip((1, 2, 3), rles_of_ids(ids, [1, 2, 3]), strict=True):
        assert (masks.decode(masks.frPyObjects(rle, *rle["size"])) == (ids == key)).all()
    assert encode_rle(ids == 2) == rles_of_ids(ids, [2])[0]
    assert sum(encode_rle(np.ones((2, 3), bool))["counts"]) == 6
