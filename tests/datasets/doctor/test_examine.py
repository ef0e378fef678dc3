"""The doctor takes ids only from files that keep them; where indices of a palette contradict the JSON, not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.maps import small_map, write_dataset
from unipan.datasets.doctor.diagnose import diagnose, write_repaired
from unipan.datasets.doctor.examine import indices_are_ids, read_any_png


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_map_in_another_format_is_no_map(kind: str, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set")
    png = folder / "panoptic" / "0.png"
    with Image.open(png) as picture:
        picture.load()
    picture.save(png, kind)
    with pytest.raises(ValueError, match=rf"0\.png: this is a {kind}, "):
        read_any_png(png)
    found = diagnose(folder)
    assert found.counts["png-unreadable"] == 1
    assert "png-format" not in found.counts
    assert any(f"this is a {kind}" in each.text for each in found.findings)
    write_repaired(found, tmp_path / "out")
    assert not (tmp_path / "out" / "panoptic" / "0.png").exists()


@pytest.mark.parametrize("known", ["area", "bbox", "neither"])
def test_indices_that_contradict_areas_or_boxes_are_no_ids(known: str, tmp_path: Path) -> None:
    truth = small_map()
    numbers = {segment.id: number for number, segment in enumerate(truth, start=1)}
    rows = [
        {"id": numbers[each.id]} | {"area": {"area": each.area}, "bbox": {"bbox": list(each.bbox)}}.get(known, {})
        for each in truth
    ]

    def saved(order: dict[int, int]) -> Path:
        indices = np.zeros(truth.ids.shape, np.uint8)
        for segment in truth:
            indices[truth.ids == segment.id] = order[numbers[segment.id]]
        picture = Image.fromarray(indices, "P")
        picture.putpalette([9 * value % 256 for value in range(3, 768)])
        picture.save(tmp_path / "a.png")
        return tmp_path / "a.png"

    declared = list(numbers.values())
    assert indices_are_ids(saved({number: number for number in declared}), declared, rows)
    shifted = dict(zip(declared, [*declared[1:], declared[0]], strict=True))
    assert indices_are_ids(saved(shifted), declared, rows) == (known == "neither")
