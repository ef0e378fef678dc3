"""A background for formats in which void is void."""

from pathlib import Path

import pytest

from tests.datasets.maps import small_map, write_dataset
from unipan.datasets.formats.format import FormatOptions
from unipan.datasets.formats.registry import open_dataset


def test_void_becomes_a_class(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    data = open_dataset(folder, FormatOptions(background="rest"))
    truth = data.truth(0)
    rest = next(s for s in truth if s.category.name == "rest")
    assert not rest.isthing
    assert rest.area == (small_map().ids == 0).sum()
    assert not (truth.ids == 0).any()
    assert len(truth) == len(small_map()) + 1
    assert data[0].image.shape[:2] == truth.ids.shape
    joined = open_dataset(folder, FormatOptions(background="sky")).truth(0)
    assert len(joined) == len(small_map())
    with pytest.raises(ValueError, match=r"--background door: .* has things of this name"):
        open_dataset(folder, FormatOptions(background="door"))
