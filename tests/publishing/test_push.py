"""`unipan push` sends the files that it names, in one commit, and nothing of anybody is lost on the way."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from tests.commands.json_page import check_with_page
from tests.exported.test_segmenter import drawn
from tests.publishing.fake_hub import TOKEN, FakeRepository, fake_hub
from tests.publishing.lines import run_lines
from tests.tiny import CATEGORIES, tiny_config, tiny_network
from unipan.checkpoint import save_checkpoint
from unipan.checkpoint_header import read_header
from unipan.cli import main
from unipan.exported.graphs import files_beside
from unipan.exported.segmenter import ExportedSegmenter
from unipan.files import checkpoint_path
from unipan.hub_download import HUB_CHECKPOINT, HUB_GRAPHS
from unipan.publishing.card import is_ours, model_card

SENT = {HUB_CHECKPOINT, *HUB_GRAPHS, "README.md"}


def test_there_and_back_over_http(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), drawn())
    plain = shutil.copyfile(checkpoint_path("scenes"), tmp_path / "plain.safetensors")
    with fake_hub() as hub:
        hub.repositories["somebody/else"] = FakeRepository({"model.safetensors": b"of another library"})
        hub.repositories["owner/public"] = FakeRepository()
        hub.repositories["owner/empty"] = FakeRepository({"other.bin": b"x"})
        given = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN}
        [first, taken, public, predicted, affinity, beside] = run_lines(
            [
                "push scenes owner/streets --private --json pushed.json",
                "push scenes somebody/else",
                "push scenes owner/public --private",
                "predict hf:owner/streets street.png --out out",
                "affinity hf:owner/streets@main street.png --pixel 3 4 --out a.png",
                "export hf:owner/streets --beside",
            ],
            tmp_path, **given,
        )  # fmt: skip
        assert first[0] == 0, first[2]
        streets = hub.repositories["owner/streets"]
        assert streets.private
        assert streets.commits == 1
        assert set(streets.files) == {".gitattributes", *SENT}
        assert streets.files[HUB_CHECKPOINT] == checkpoint_path("scenes").read_bytes()
        card = streets.files["README.md"].decode()
        assert is_ours(card)
        assert "hf:owner/streets" in card
        told = json.loads((tmp_path / "pushed.json").read_text())
        check_with_page("push", told)
        assert told["files"] == {name: len(streets.files[name]) for name in SENT}
        assert all(name in first[1] for name in SENT)
        assert (taken[0], public[0]) == (1, 1)
        assert "has model.safetensors already" in taken[2]
        assert "there already, and public" in public[2]
        assert hub.repositories["somebody/else"].files == {"model.safetensors": b"of another library"}
        assert hub.repositories["owner/public"].files == {}
        assert (predicted[0], affinity[0]) == (0, 0), predicted[2] + affinity[2]
        assert predicted[2] == ""  # no bars and no warnings
        assert (tmp_path / "out" / "panoptic" / "street.png").is_file()
        assert "lies in the cache of the Hub" in beside[2]

        streets.files["README.md"] = f"{card}Edited by hand.\n".encode()
        again, other, fetched = run_lines(
            [f"push {plain.name} owner/streets", f"push {plain.name} owner/streets --overwrite",
             "predict hf:owner/streets street.png --out out2"],
            tmp_path, **given,
        )  # fmt: skip
        assert again[0] == other[0] == 0, again[2] + other[2]
        assert "README.md of the repository was edited and is kept" in again[2]
        assert "model.dense.onnx of the repository belonged to other weights and was removed" in again[2]
        assert set(streets.files) == {".gitattributes", HUB_CHECKPOINT, "README.md"}
        assert "Edited by hand" not in streets.files["README.md"].decode()
        assert "to run without torch it needs model.onnx.json" in fetched[2]
        assert "unipan push CHECKPOINT owner/streets --onnx" in fetched[2]

        wrong = run_lines(
            ["push scenes owner/streets", "predict hf:owner/nowhere street.png --out o",
             "predict hf:owner/streets@v9 street.png --out o", "predict hf:owner/empty street.png --out o",
             "predict hf:owner/broken street.png --out o", "predict hf:owner/gated street.png --out o",
             "predict hf:nobody street.png --out o", "predict hf:a/../b street.png --out o",
             "predict hf:a/b@../x street.png --out o"],
            tmp_path, HF_ENDPOINT=hub.address, HF_TOKEN="hf_reads_only",
        )  # fmt: skip
        words = [
            "the token does not allow this", "no such repository, or it is private", "no such branch, tag or commit",
            "has no model.safetensors; `unipan push`", "the Hub cannot be reached, and the cache has no complete copy",
            "gives access on request", "no name of a repository", "no name of a repository", "is no revision",
        ]  # fmt: skip
        for (code, _, said), word in zip(wrong, words, strict=True):
            assert code == 1
            assert word in said
            assert said.count("\n") == 1, said
    downloads = {line for line in hub.requests if "/resolve/" in line}
    assert all(line.rsplit("/", 1)[1] in SENT for line in downloads)


def test_without_a_token_or_a_network(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    [no_token] = run_lines(["push scenes owner/name"], tmp_path, **nowhere)
    assert (no_token[0], no_token[2].count("\n")) == (1, 1)
    assert "there is no token of the Hugging Face Hub; log in with `hf auth login`" in no_token[2]
    [no_network, offline] = run_lines(
        ["push scenes owner/name", "evaluate hf:owner/name"], tmp_path, HF_TOKEN=TOKEN, **nowhere
    )
    assert "push owner/name: the Hub cannot be reached" in no_network[2]
    assert "hf:owner/name: the Hub cannot be reached, and the cache has no complete copy" in offline[2]


def test_a_full_disk_is_a_sentence_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    out = tmp_path / "dry"
    assert main(["push", "scenes", "owner/name", "--dry-run", str(out)]) == 1
    named = f"unipan: {out / HUB_CHECKPOINT}: cannot be written (No space left on device); make room, or give another"
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_writes_what_it_would_send(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "dry"
    assert main(["push", "scenes", "owner/name", "--dry-run", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == SENT
    assert (out / HUB_CHECKPOINT).read_bytes() == checkpoint_path("scenes").read_bytes()
    assert "would send model.safetensors (8.45 MB)" in capsys.readouterr().out
    assert main(["push", "scenes", "owner/name", "--dry-run", str(out)]) == 1
    assert "this folder is not empty" in capsys.readouterr().err
    card = (out / "README.md").read_text()
    for word in ("library_name: unipan", "hf:owner/name", "| car | thing |", "| sky | stuff |", "| miou | 92.07 |"):
        assert word in card


def test_graphs_that_do_not_belong_are_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint_path("scenes")
    for file in (path, *files_beside(path, masks=True)):
        shutil.copyfile(file, tmp_path / file.name)
    model, dense, *_ = files_beside(tmp_path / path.name, masks=True)
    line = ["push", str(tmp_path / path.name), "owner/name", "--dry-run", str(tmp_path / "dry")]
    told = json.loads(model.read_text())
    for content, said in ((json.dumps(told | {"network": "0"}), "graphs of other weights"), ("[", "cannot be read")):
        model.write_text(content)
        assert main(line) == 1
        assert said in capsys.readouterr().err
    model.write_text(json.dumps(told))
    dense.unlink()
    assert main(line) == 1
    assert "scenes.onnx.json without scenes.dense.onnx" in capsys.readouterr().err
    assert not (tmp_path / "dry").exists()


@pytest.mark.usefixtures("no_type_checks")
def test_graphs_are_made_on_request_and_nothing_beside_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    mine = Path(shutil.copyfile(checkpoint_path("scenes"), tmp_path / "mine" / "best.safetensors"))
    line = ["push", str(mine), "owner/name", "--dry-run", str(tmp_path / "dry")]
    assert main([*line, "--data", "scenes"]) == 1
    assert "goes with --onnx" in capsys.readouterr().err
    assert main([*line, "--onnx", "--limit", "1"]) == 0
    assert {path.name for path in (tmp_path / "dry").iterdir()} == SENT
    assert [path.name for path in mine.parent.iterdir()] == ["best.safetensors"]
    opened = ExportedSegmenter.load(tmp_path / "dry" / HUB_CHECKPOINT, threads=1)
    assert len(opened.scene(drawn()).edit([[1, 2, 60, 70]], [0.9], [0]).detections) == 1


def test_a_path_of_this_machine_is_told_and_not_in_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config()
    config = replace(config, backbone=replace(config.backbone, weights="/home/me/secret/r50.pth"))
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, tiny_network().state_dict(), config, CATEGORIES, {"pq": 0.5})
    assert main(["push", str(path), "owner/name", "--dry-run", str(tmp_path / "dry")]) == 0
    assert "names /home/me/secret/r50.pth, for all to read" in capsys.readouterr().err
    card = (tmp_path / "dry" / "README.md").read_text()
    assert "secret" not in card
    assert "r50.pth" in card
    assert {path.name for path in (tmp_path / "dry").iterdir()} == {HUB_CHECKPOINT, "README.md"}


def test_weights_that_are_no_numbers_are_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tiny_network().state_dict()
    state["temperature"] = state["temperature"] * float("nan")
    save_checkpoint(tmp_path / "nan.safetensors", state, tiny_config(), CATEGORIES, {})
    line = ["push", str(tmp_path / "nan.safetensors"), "owner/name", "--dry-run", str(tmp_path / "dry")]
    assert main(line) == 1
    assert "temperature holds NaN" in capsys.readouterr().err
    assert not (tmp_path / "dry").exists()


def test_the_names_on_the_hub_are_those_beside_a_checkpoint() -> None:
    assert tuple(path.name for path in files_beside(Path(HUB_CHECKPOINT), masks=True)) == HUB_GRAPHS


def test_the_card_escapes_what_a_file_says() -> None:
    config, categories, _ = read_header(checkpoint_path("scenes"))
    metrics = {"<script>": {"a|b": 0.123456, "c": [1, "`x`\n# y"]}}
    card = model_card("owner/name", config, categories, metrics, graphs=False, packaged=True)
    assert "<script>" not in card
    assert "| &lt;script&gt;, a&#124;b | 0.1235 |" in card
    assert "\n# y" not in card
    assert "unipan[photos,hub]" in card
    assert "onnx" not in card
    assert is_ours(card)
    assert not is_ours(card.replace("sky", "sea"))
    assert not is_ours("# My network\n")
