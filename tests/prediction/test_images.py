"""Which images are segmented: each file once, under the one id that a ground truth has for its name."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unipan.cli import main
from unipan.prediction.given import given_paths
from unipan.prediction.images import ImageJob, plan_images
from unipan.prediction.passed_over import passed_over_notes
from unipan.prediction.plan import depth_note
from unipan.prediction.submission import plan_submission


def photos(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(folder / name, "PNG")
    return folder


def truth(path: Path, *rows: tuple[int, str]) -> Path:
    content: dict[str, Any] = {"categories": [{"id": 1, "name": "road", "isthing": 0}]}
    content["images"] = [{"id": key, "file_name": name} for key, name in rows]
    path.write_text(json.dumps(content))
    return path


def test_a_file_that_is_given_twice_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = photos(tmp_path / "many", "1.png", "sub/2.png")
    monkeypatch.chdir(tmp_path)
    for given in ([folder, folder / "1.png"], [Path("many"), Path("many/../many/1.png"), folder / "sub"]):
        assert [job.name for job in plan_images(given, None)[0]] == ["1.png", "sub/2.png"]
    first_alone = plan_images([folder / "sub" / "2.png", folder], None)[0]
    assert [job.name for job in first_alone] == ["2.png", "1.png"]


@pytest.mark.skipif(not hasattr(Path, "symlink_to"), reason="no links here")
def test_links_are_images_of_their_own(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", "1.png")
    (folder / "2.png").symlink_to(folder / "1.png")
    assert [job.name for job in plan_images([folder], None)[0]] == ["1.png", "2.png"]


def test_a_link_to_nothing_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder, in a pattern, in a list and by itself, as any broken photograph."""
    folder = photos(tmp_path / "many", "1.png")
    (folder / "dead.jpg").symlink_to("gone.jpg")
    (folder / "round.png").symlink_to("round.png")
    monkeypatch.chdir(tmp_path)
    lines = ["many/1.png", "many/dead.jpg", "many/round.png"]
    for given in (["many"], ["many/*"], ["-"], lines):
        jobs = plan_images([Path(path) for path in given_paths(given, lines)], None)[0]
        assert [job.name for job in jobs] == ["1.png", "dead.jpg", "round.png"]
    assert main(["predict", "scenes", "many", "--out", "out", "--no-overlays"]) == 1
    said = capsys.readouterr()
    assert "many/dead.jpg is left out: a link to gone.jpg, where nothing is" in said.err
    assert "many/round.png is left out: it cannot be reached" in said.err
    assert "1 image, 2 left out: many/dead.jpg, many/round.png" in said.out
    (tmp_path / "unmounted").symlink_to("many/none")
    with pytest.raises(FileNotFoundError, match="unmounted: a link to many/none, where nothing is"):
        plan_images([Path("unmounted")], None)


def test_a_folder_that_cannot_be_read_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scan = photos(tmp_path / "many", "1.png", "locked/2.png"), os.scandir

    def deny(path: str) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    good, shut = plan_images([folder], None)[0]
    assert (good.name, good.broken, shut.path) == ("1.png", None, folder / "locked")
    assert shut.broken is not None
    assert "cannot be read" in shut.broken
    like = truth(tmp_path / "gt.json", (1, "1.png"))
    with pytest.raises(OSError, match="locked: this folder cannot be read"):
        plan_images([folder], like)


def test_a_name_too_long_for_the_files_of_a_result_is_left_out(tmp_path: Path) -> None:
    """In letters of three bytes too; 247 bytes and .geojson are the 255 that file systems take."""
    folder = photos(tmp_path / "many", f"{'x' * 247}.png", f"{'図' * 83}.png")
    good, long = plan_images([folder], None)[0]
    assert (good.broken, len(good.name)) == (None, 251)
    assert long.broken is not None
    assert "too long" in long.broken


def test_what_a_folder_has_besides_images_is_told(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", "1.png", "a.heic", "deep/b.HEIC", "c.mp4", "notes/d.txt.png")
    photos(tmp_path / "elsewhere", "2.png")
    (folder / "day2").symlink_to(tmp_path / "elsewhere")
    photos(folder / ".ipynb_checkpoints", "1-checkpoint.png")
    (folder / ".git").mkdir()
    links, hidden, videos, unread = passed_over_notes([folder, folder / "1.png"])
    assert f"{folder / '.ipynb_checkpoints'}: pictures in a folder of this name are passed over" in hidden
    assert f"{folder / 'day2'}: a link to a folder is not followed" in links
    assert f"{folder / 'c.mp4'}: a video in a folder is passed over" in videos
    assert f"{folder / 'a.heic'} and 1 more: passed over" in unread


def test_a_name_that_is_listed_with_two_ids_is_refused(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", "a.png", "b.png")
    like = truth(tmp_path / "gt.json", (1, "a.png"), (2, "b.png"), (3, "a.png"))
    with pytest.raises(ValueError, match=r"gt\.json: it lists a\.png 2 times, with the ids 1 and 3; list it once"):
        plan_images([folder], like)
    assert [job.image_id for job in plan_images([folder / "b.png"], like)[0]] == [2]
    with pytest.raises(ValueError, match=r"it lists a\.png 2 times, with the ids 1 and 3"):
        plan_submission("coco", [folder], like)


def test_two_files_of_one_name_are_no_submission(tmp_path: Path) -> None:
    folder = photos(tmp_path / "many", "x/a.png", "y/a.png")
    like = truth(tmp_path / "gt.json", (1, "a.png"))
    with pytest.raises(ValueError, match=r"x.a\.png and .*y.a\.png have one name"):
        plan_submission("coco", [folder], like)


def test_a_stack_whose_pages_cannot_be_counted_is_left_out_by_name(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), (value, 0, 0)) for value in range(4)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    [job] = plan_images([tmp_path / "cut.tif"], None, "all")[0]
    assert job.broken is not None
    assert "cut.tif: not a readable image" in job.broken
    with pytest.raises(ValueError, match="not a readable image"):
        _ = job.picture
    jobs = plan_images([tmp_path], None, "2")[0]
    assert [(each.name, each.page, each.broken is None) for each in jobs] == [
        ("a_page2.tif", 2, True),
        ("cut.tif", None, False),
    ]
    like = truth(tmp_path / "gt.json", (7, "cut.tif"))
    assert plan_images([tmp_path / "cut.tif"], like, "all")[0][0].broken == job.broken


def test_a_dark_picture_of_16_bits_and_a_checkpoint_without_a_window(tmp_path: Path) -> None:
    for name, most in (("dark", 4180), ("full", 65535)):
        pixels = np.linspace(0, most, 96 * 128).reshape(96, 128).astype(np.uint16)
        Image.fromarray(pixels).save(tmp_path / f"{name}.tif")
    dark, full = (ImageJob(tmp_path / f"{name}.tif", f"{name}.png", 1) for name in ("dark", "full"))
    said = depth_note("scenes", [full, dark])
    assert said is not None
    assert "dark.tif has more than 8 bits a channel" in said
    assert "17 grey levels remain" in said
    assert depth_note("scenes", [full]) is None
