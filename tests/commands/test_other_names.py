"""Options that other tools have are answered with ours, which exist."""

import re
from pathlib import Path

import pytest

from unipan.cli import main
from unipan.commands.other_names import OF_MANY, OF_VERBS, known_names
from unipan.datasets.scenes.generator import draw_scene
from unipan.panoptic.png import png_of_rgb

VERBS = sorted({verb for _, _, verbs in OF_MANY for verb in verbs.split()} | OF_VERBS.keys())


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["predict", "scenes", "photos", "--out", "out", "--visualize"], "--no-labels"),
        (["predict", "scenes", "photos", "--tile-size=512"], "--tile-side"),
        (["predict", "scenes", "photos", "--output_dir", "out"], "--out"),
        (["predict", "scenes", "photos", "-o", "out"], "--out"),
        (["pq", "gt.json", "pred.json", "--gt_folder", "gt"], "--gt-folder"),
        (["pq", "--gt_json_file", "gt.json"], "GT.json PREDICTIONS.json"),
        (["train", "scenes", "--epochs", "3"], "--minutes"),
        (["data", "convert", "--from", "a"], "FORMAT:FROM"),
    ],
)
def test_another_tools_option_is_answered_with_ours(
    arguments: list[str], ours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert ours in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_advised_exists_and_what_is_refused_does_not(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    preset = ["scenes"] if verb == "train" else []
    with pytest.raises(SystemExit):
        main([*verb.split(), *preset, "--help"])
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z.-]*", capsys.readouterr().out))
    assert {f"--{name}" for name in known_names(verb)} & options == set()
    advised = {
        option for sentence in known_names(verb).values() for option in re.findall(r"--[a-z][a-z.-]*[a-z]", sentence)
    }
    assert advised - options == set()


def test_crop_tiles_is_tiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(png_of_rgb(draw_scene(4_000_000).image))
    maps = []
    for option in ("--tiles", "--crop-tiles"):
        out = tmp_path / option.strip("-")
        assert (
            main(["predict", "scenes", str(tmp_path / "a.png"), "--out", str(out), option, "--tile-side", "128"]) == 0
        )
        maps.append((out / "panoptic" / "a.png").read_bytes())
    assert maps[0] == maps[1]
    capsys.readouterr()
    assert (
        main(["predict", "scenes", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--tile-side", "128"]) == 1
    )
    assert "need --tiles" in capsys.readouterr().err
