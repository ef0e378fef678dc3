"""`scenes` leaves a whole dataset or nothing."""

import os
from pathlib import Path

import pytest

from unipan.cli import main
from unipan.files import temporary_name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-4", "--count", "6"], "--seed -4: seeds start at 0"),
        (["--size", "0", "2"], "--size 0 2"),
        (["--size", "3", "-1"], "--size 3 -1"),
        (["--count", "0"], "--count 0"),
    ],
)
def test_what_cannot_be_drawn_leaves_nothing(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenes", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_taken_is_said_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "panoptic.json").touch()
    for out, words in ((tmp_path, "already"), (tmp_path / "panoptic.json", "is a file")):
        assert main(["scenes", "--out", str(out)]) == 1
        shown = capsys.readouterr()
        assert words in shown.err
        assert shown.out == ""


def test_the_least_size_can_be_drawn(tmp_path: Path) -> None:
    assert main(["scenes", "--count", "2", "--size", "1", "1", "--out", str(tmp_path / "out")]) == 0


def test_where_the_output_is_no_terminal_there_is_no_empty_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    assert main(["scenes", "--count", "2", "--seed", "4000000", "--out", str(data)]) == 0
    assert main(["predict", "scenes", str(data / "images"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    assert all(line.strip() for line in (said.out + said.err).splitlines())


def test_what_a_killed_run_left_in_an_empty_folder_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / temporary_name(tmp_path / "x").name.replace(f"-{os.getpid()}-", "-999999999-")).mkdir()
    assert main(["scenes", "--count", "1", "--size", "32", "32", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"images", "panoptic", "panoptic.json"}


def test_the_same_command_works_after_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import unipan.datasets.formats.coco_panoptic as module

    def interrupted(folder: Path, *_: object) -> None:
        (folder / "images").mkdir()
        raise KeyboardInterrupt

    command = ["scenes", "--count", "1", "--size", "32", "32", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_coco_panoptic", interrupted)
        assert main(command) == 1
    assert list(tmp_path.iterdir()) == []
    assert main(command) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"images", "panoptic", "panoptic.json"}
