"""An address is named as it was given: `Path` would make https:/a of https://a, and a command would write there."""

from pathlib import Path

import pytest

import unipan
from unipan.cli import main
from unipan.panoptic.images import read_image


@pytest.mark.parametrize(
    "line",
    [
        "affinity scenes https://a.org/b.png --pixel 1 1 --out map.png",
        "data check https://a.org/b",
        "data convert coco:https://a.org/b out",
        "demo --out https://a.org/b",
        "evaluate scenes https://a.org/b",
        "figures scenes s3://a/b --out out",
        "pq https://a.org/b.json b.json",
        "pq a.json b.json --images https://a.org/b",
        "predict scenes a.png --out https://a.org/b",
        "predict scenes a.png --out=s3://a/b",
        "scenes --out https://a.org/b",
        "serve scenes --images https://a.org/b --port 0",
        "serve https://a.org/b.safetensors --port 0",
        "train finetune --data https://a.org/b",
    ],
)
def test_every_verb_names_an_address_with_both_slashes(
    line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 1
    [word] = [word.rpartition("=")[2] for word in line.split() if "://" in word]
    said = capsys.readouterr().err
    assert f"{word}: this is an address" in said
    assert len(said.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("line", ["push scenes https://a.org/b", "evaluate hf:https://a.org/b scenes"])
def test_a_repository_is_looked_at_by_its_command(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    assert "no name of a repository" in capsys.readouterr().err


def test_functions_refuse_addresses_too() -> None:
    for read in (read_image, unipan.open_dataset, lambda address: unipan.evaluate_folders(address, "b")):
        with pytest.raises(ValueError, match=r"^https://a\.org/b: this is an address"):
            read("https://a.org/b")
