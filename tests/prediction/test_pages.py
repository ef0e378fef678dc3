"""Pages of a TIFF stack are images of their own where the user says so, and only there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_inference import segmenter_of, tiny
from unipan.checkpoint import save_checkpoint
from unipan.cli import main
from unipan.panoptic.images import read_image
from unipan.panoptic.png import decode_png
from unipan.prediction.images import plan_images
from unipan.prediction.pages import page_numbers
from unipan.prediction.plan import animations_note
from unipan.presets import scenes


def save_stack(path: Path, count: int, size: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    pages = [np.random.default_rng(page).integers(0, 256, (*size, 3), dtype=np.uint8) for page in range(count)]
    first, *rest = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=rest)
    return pages


def test_numbers_ranges_and_all() -> None:
    assert list(page_numbers("all", 3)) == [1, 2, 3]
    assert list(page_numbers("2", 3)) == [2]
    assert list(page_numbers("7-9, 1,8", 9)) == [1, 7, 8, 9]


@pytest.mark.parametrize("wrong", ["", "x", "3-1", "-2", "1-", "0", "4", "2-4", "1.5"])
def test_what_is_no_page_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="--pages"):
        page_numbers(wrong, 3, "a.tif")


def test_each_page_has_a_name_of_its_own(tmp_path: Path) -> None:
    save_stack(tmp_path / "s.tif", 12)
    Image.new("RGB", (9, 8)).save(tmp_path / "t.png")
    (tmp_path / "u.tif").write_bytes(b"no image")
    jobs, _ = plan_images([tmp_path], None, "2-3,11")
    assert [(job.name, job.page, job.image_id) for job in jobs] == [
        ("s_page02.tif", 2, 1),
        ("s_page03.tif", 3, 2),
        ("s_page11.tif", 11, 3),
        ("t.png", None, 4),
        ("u.tif", None, 5),
    ]
    truth = {
        "categories": [{"id": 1, "name": "road", "isthing": 0}],
        "images": [{"id": 9, "file_name": "s_page03.tif"}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    [job], _ = plan_images([tmp_path / "s.tif"], tmp_path / "gt.json", "3")
    assert (job.image_id, job.page) == (9, 3)
    with pytest.raises(ValueError, match=r"several pages"):
        plan_images([tmp_path / "t.png"], None, "all")


def test_predict_segments_the_pages_that_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = segmenter_of(tiny(scenes()))
    checkpoint = tmp_path / "c.safetensors"
    save_checkpoint(checkpoint, segmenter.network.state_dict(), segmenter.config, segmenter.categories, {})
    pages = save_stack(tmp_path / "s.tif", 3)
    command = ["predict", str(checkpoint), str(tmp_path / "s.tif"), "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / "none")]) == 1
    assert "--pages" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "out"), "--pages", "1,3"]) == 0
    listed = json.loads((tmp_path / "out" / "panoptic.json").read_text())["images"]
    assert [image["file_name"] for image in listed] == ["s_page1.tif", "s_page3.tif"]
    for number in (1, 3):
        expected = segmenter(pages[number - 1])
        found = decode_png(tmp_path / "out" / "panoptic" / f"s_page{number}.png")
        assert (found != expected.ids).mean() < 0.002  # the command folds batch norm
    assert np.array_equal(segmenter(tmp_path / "s.tif", page=2).ids, segmenter(pages[1]).ids)
    with pytest.raises(ValueError, match="no page 4"):
        segmenter(tmp_path / "s.tif", page=4)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_of_an_animation_are_pages(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    frames = [Image.new("RGB", (40, 30), (80 * number, 0, 0)) for number in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    jobs, _ = plan_images([tmp_path], None, "all")
    assert [(job.name, job.page) for job in jobs] == [(f"a_page{number}{suffix}", number) for number in (1, 2, 3)]
    for page in (2, 1, 3):
        assert abs(int(read_image(path, page=page)[0, 0, 0]) - 80 * (page - 1)) < 3  # a palette's colours are near
    assert np.array_equal(read_image(path), read_image(path, page=1))
    [job], _ = plan_images([tmp_path], None)
    said = animations_note([job])
    assert job.page is None
    assert said is None if suffix == ".png" else said is not None and str(path) in said and "--pages" in said
    assert animations_note(jobs) is None


def test_a_picture_of_one_frame_is_no_animation(tmp_path: Path) -> None:
    for name in ("a.gif", "b.webp"):
        Image.new("RGB", (9, 8)).save(tmp_path / name)
    (tmp_path / "c.gif").write_bytes(b"no image")
    assert animations_note(plan_images([tmp_path], None)[0]) is None


def test_a_volume_in_tiles_has_pages_too(tmp_path: Path) -> None:
    segmenter = segmenter_of(tiny(scenes()))
    pages = save_stack(tmp_path / "s.tif", 2)
    assert np.array_equal(segmenter.in_tiles(tmp_path / "s.tif", page=2).ids, segmenter.in_tiles(pages[1]).ids)
