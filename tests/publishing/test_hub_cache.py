"""`hf:owner/name` without a network: the cache of huggingface_hub answers, and what it holds is checked as any file."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.exported.test_segmenter import WITHOUT_TORCH, drawn
from tests.publishing.lines import run_lines
from unipan.exported.graphs import files_beside
from unipan.files import checkpoint_path
from unipan.hub_download import HUB_CHECKPOINT, downloaded, repository_of

SHA = "1234567890abcdef1234567890abcdef12345678"
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def cached(home: Path, repository: str, files: dict[str, Path | bytes], revision: str = "main") -> None:
    """A repository in the cache as huggingface_hub lays it out: blobs, links to them in a snapshot, and a ref."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / SHA
    for place in (snapshot, folder / "blobs", folder / "refs"):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / revision).write_text(SHA)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / blob.name)


def bundled(graphs: bool) -> dict[str, Path | bytes]:
    path = checkpoint_path("scenes")
    beside = files_beside(path, masks=True) if graphs else ()
    names = (each.name for each in files_beside(Path(HUB_CHECKPOINT), masks=True))
    return {HUB_CHECKPOINT: path, **dict(zip(names, beside, strict=False))}


def test_every_runtime_takes_what_the_cache_has(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), drawn())
    cached(tmp_path / "hf", "owner/streets", bundled(graphs=True))
    cached(tmp_path / "hf", "owner/streets", {}, revision="v1")
    cached(tmp_path / "hf", "owner/plain", bundled(graphs=False))
    small = run_lines(
        ["predict hf:owner/streets street.png --out a", "predict hf:owner/streets@v1 street.png --out b",
         f"predict hf:owner/streets@{SHA} street.png --out c", "predict hf:owner/streets@v2 street.png --out d"],
        tmp_path, **OFFLINE,
    )  # fmt: skip
    assert [each[0] for each in small] == [0, 0, 0, 1], small
    assert "the cache has no complete copy" in small[3][2]
    torch = run_lines(
        ["predict hf:owner/plain street.png --out e", "evaluate hf:owner/plain scenes:4000000-4000001",
         "export hf:owner/plain --out f --limit 0 --data nowhere", "figures hf:owner/none --out g"],
        tmp_path, torch=True, **OFFLINE,
    )  # fmt: skip
    assert [each[0] for each in torch] == [0, 0, 1, 1], torch
    assert "nowhere" in torch[2][2]
    assert "hf:owner/none: the Hub cannot be reached" in torch[3][2]
    maps = [(tmp_path / name / "panoptic" / "street.png").read_bytes() for name in "abce"]
    assert len(set(maps)) == 1


def test_from_python_and_for_training(tmp_path: Path) -> None:
    cached(tmp_path / "hf", "owner/streets", bundled(graphs=False))
    code = (
        "import unipan\n"
        "from unipan.training.initial_weights import with_init\n"
        "from unipan.presets import finetune\n"
        "print(unipan.Segmenter.load('hf:owner/streets'), with_init(finetune(), 'hf:owner/streets')[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), **OFFLINE},
    )  # fmt: skip
    assert done.stdout == "Segmenter(scenes, 4 things + 5 stuff classes, on cpu) hf:owner/streets\n", done.stderr


def test_what_is_no_checkpoint_of_ours_is_refused_as_any_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), drawn())
    pickled = b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94."
    graphs = bundled(graphs=True)
    cached(tmp_path / "hf", "owner/pickled", graphs | {HUB_CHECKPOINT: pickled, "pytorch_model.bin": pickled})
    cached(tmp_path / "hf", "owner/empty", {"config.json": b"{}"})
    cached(tmp_path / "hf", "owner/mixed", graphs | {"model.dense.onnx": b"no graph"})
    found = run_lines(
        [f"predict hf:owner/{name} street.png --out o" for name in ("pickled", "empty", "mixed")], tmp_path, **OFFLINE
    )
    for (code, _, said), word in zip(
        found, ("cannot be opened", "has no model.safetensors; `unipan push`", "dense.onnx"), strict=True
    ):
        assert (code, said.count("\n")) == (1, 1)
        assert word in said
    assert not (tmp_path / "o").exists()


def test_without_huggingface_hub_the_extra_is_named(tmp_path: Path) -> None:
    code = WITHOUT_TORCH.replace('"torch", "torchvision"', '"torch", "huggingface_hub"') + (
        "from unipan.cli import main\n"
        "print(main(['evaluate', 'hf:owner/name']), main(['push', 'scenes', 'owner/name', '--dry-run', 'd']))\n"
        "import unipan; unipan.Segmenter.load('hf:owner/name')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "1 1\n"
    lines = done.stderr.splitlines()
    assert all('pip install "unipan[hub]"' in line for line in (*lines[:2], lines[-1])), done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["", "owner", "owner/", "/name", "a/b/c", "a b/c", "a/..b", "-a/b", "a/b.git", "x/" * 60]
)
def test_what_is_no_name_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(ValueError, match="give owner/name"):
        repository_of(name, "push")
    with pytest.raises(ValueError, match="give owner/name"):
        downloaded(f"hf:{name}")
