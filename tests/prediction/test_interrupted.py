"""A prediction that ends early keeps what is done, and the same command goes on with the rest."""

import json
import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_inference import segmenter_of, tiny
from unipan.build import build_network
from unipan.cli import main
from unipan.datasets.formats.cityscapes import CITYSCAPES
from unipan.datasets.formats.coco_classes import coco_categories
from unipan.datasets.scenes.generator import Scenes
from unipan.folder_lock import LOCK
from unipan.inference import Segmenter
from unipan.outputs import MANIFEST
from unipan.panoptic.images import read_image
from unipan.prediction.journal import JOURNAL
from unipan.presets import scenes
from unipan.processes import short_of_memory
from unipan.result import PanopticResult

COUNT = 4


class Watched:
    """What the segmenter is given, and what happens before one of its images."""

    def __init__(self, real: Segmenter) -> None:
        self.real = real
        self.seen: list[str] = []
        self.act: dict[int, Callable[[], object]] = {}


@pytest.fixture(scope="module")
def network() -> Segmenter:
    return segmenter_of(tiny(scenes()))


@pytest.fixture
def segmenter(network: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched, call = Watched(network), Segmenter.__call__

    def watch(self: Segmenter, image: Any, fusion: str | None = None, page: int | None = None) -> PanopticResult:
        watched.seen.append(Path(image).name)
        watched.act.pop(len(watched.seen), lambda: None)()
        return call(self, image, fusion, page)

    monkeypatch.setattr(Segmenter, "__call__", watch)
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: watched.real)
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    monkeypatch.setattr("unipan.prediction.loop.available_cores", lambda: 1)
    return watched


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number, sample in enumerate(Scenes(range(7, 7 + COUNT), (64, 96))):
        Image.fromarray(sample.image).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def predict(photos: Path, out: Path, *more: str) -> int:
    return main(["predict", "net.safetensors", str(photos), "--out", str(out), "--csv", "--margin", *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def send(number: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done(
    number: int, code: int, segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photos, tmp_path / "whole") == 0
    segmenter.seen.clear()
    segmenter.act = {3: send(number)}
    out = tmp_path / "out"
    assert predict(photos, out) == code
    said = capsys.readouterr().err
    assert f"{signal.Signals(number).name}: 2 of {COUNT} images are done and kept in {out}" in said
    assert not (out / "panoptic.json").exists()
    assert {path.name for path in (out / "panoptic").iterdir()} == {"0.png", "1.png"}
    segmenter.seen.clear()
    assert predict(photos, out) == 0
    assert segmenter.seen == ["2.png", "3.png"]
    assert contents(out) == contents(tmp_path / "whole")


def test_a_photograph_that_is_replaced_while_it_is_segmented_is_left_out(
    segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.png"
    shutil.copy(photos / "3.png", other)
    segmenter.act = {2: lambda: other.replace(photos / "1.png"), 3: send(signal.SIGTERM)}
    assert predict(photos, tmp_path / "out") == 143
    assert "1.png is left out: its file was replaced while it was segmented" in capsys.readouterr().err
    segmenter.seen.clear()
    assert predict(photos, tmp_path / "out") == 0
    assert segmenter.seen == ["1.png", "2.png", "3.png"]
    assert predict(photos, tmp_path / "whole") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_map_that_was_repainted_is_kept(segmenter: Watched, photos: Path, tmp_path: Path) -> None:
    assert predict(photos, tmp_path / "out") == predict(photos, tmp_path / "out") == 0
    Image.new("RGB", (96, 64)).save(tmp_path / "out" / "panoptic" / "1.png")
    before = contents(tmp_path / "out")
    assert predict(photos, tmp_path / "out") == 1
    assert contents(tmp_path / "out") == before
    assert predict(photos, tmp_path / "out", "--overwrite") == 0
    assert contents(tmp_path / "out") != before


def killed(segmenter: Watched, photos: Path, out: Path, at: int) -> None:
    """A prediction that ends as after kill -9, before image `at`."""
    child = os.fork()
    if not child:
        segmenter.seen, segmenter.act = [], {at: lambda: os._exit(9)}
        predict(photos, out)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_keeps_what_is_done_and_what_was_being_written_goes(
    segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(photos, tmp_path / "whole") == 0
    killed(segmenter, photos, out, 3)
    assert (out / LOCK).read_text()
    with (out / JOURNAL).open("a") as file:
        file.write('{"done":"2.p')  # cut
    segmenter.seen.clear()
    capsys.readouterr()
    assert predict(photos, out) == 0
    assert "was killed here, and left its lock behind" in capsys.readouterr().err
    assert segmenter.seen == ["2.png", "3.png"]
    assert contents(out) == contents(tmp_path / "whole")


def test_only_the_same_result_is_continued(
    segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other settings, a photograph that changed, a file that is gone."""
    out = tmp_path / "out"
    segmenter.act = {4: send(signal.SIGTERM)}
    assert predict(photos, out) == 143
    Image.fromarray(read_image(photos / "0.png")[::-1].copy()).save(photos / "0.png")
    (out / "margin" / "1.npy").unlink()
    segmenter.seen, segmenter.act = [], {4: lambda: None}
    assert predict(photos, out) == 0
    assert segmenter.seen == ["0.png", "1.png", "3.png"]
    segmenter.seen, segmenter.act = [], {2: send(signal.SIGTERM)}
    assert predict(photos, out) == 143
    segmenter.seen.clear()
    capsys.readouterr()
    assert predict(photos, out, "--no-labels") == 0
    assert "an unfinished run with other settings" in capsys.readouterr().err
    assert len(segmenter.seen) == COUNT


@pytest.mark.parametrize("whole", [True, False])
def test_an_output_folder_that_vanishes_is_no_success(
    whole: bool, segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    segmenter.act = {3: (lambda: shutil.rmtree(out)) if whole else (out / "overlays" / "0.png").unlink}
    assert predict(photos, out) == 1
    said = capsys.readouterr().err
    assert (
        "moved or removed while results were written" if whole else "overlays/0.png: it was written and has"
    ) in said
    assert not (out / "panoptic.json").exists()
    segmenter.seen.clear()
    assert predict(photos, out) == 0
    assert segmenter.seen == ([f"{number}.png" for number in range(COUNT)] if whole else ["0.png"])
    assert sorted(path.name for path in (out / "panoptic").iterdir()) == [f"{number}.png" for number in range(COUNT)]


@pytest.mark.parametrize("kind", ["python", "torch", "opencv"])
def test_a_picture_that_needs_too_much_memory_is_left_out_by_name(
    kind: str, segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = {
        "python": MemoryError(),
        "torch": RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
        "opencv": Exception("OpenCV(4.10.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate"),
    }

    def fail() -> None:
        raise errors[kind]

    segmenter.act = {2: fail}
    assert predict(photos, tmp_path / "out") == 1
    said = capsys.readouterr()
    assert f"{photos / '1.png'} is left out: there is too little memory for a picture of this size" in said.err
    assert f"{COUNT - 1} images, 1 left out" in said.out
    listed = json.loads((tmp_path / "out" / "panoptic.json").read_text())["images"]
    assert [each["file_name"] for each in listed] == ["0.png", "2.png", "3.png"]
    assert not short_of_memory(RuntimeError("another"))


def test_a_picture_that_has_ended_two_runs_is_left_out(
    segmenter: Watched, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where memory is promised and not there, the system kills the process: the next runs must not die of it too."""
    out = tmp_path / "out"
    killed(segmenter, photos, out, 2)
    killed(segmenter, photos, out, 1)
    segmenter.seen.clear()
    assert predict(photos, out) == 1
    assert f"{photos / '1.png'} is left out: two runs in a row were killed at it" in capsys.readouterr().err
    assert segmenter.seen == ["2.png", "3.png"]


def test_a_full_disk_says_what_is_done(
    segmenter: Watched,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = Path.write_bytes

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    def fill() -> None:
        monkeypatch.setattr(Path, "write_bytes", full)

    assert predict(photos, tmp_path / "whole") == 0
    segmenter.seen, segmenter.act = [], {3: fill}
    assert predict(photos, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "cannot be written (No space left on device); make room" in said
    assert f"2 of {COUNT} images are done and kept" in said
    monkeypatch.setattr(Path, "write_bytes", write)  # there is room again
    segmenter.seen.clear()
    assert predict(photos, tmp_path / "out") == 0
    assert segmenter.seen == ["2.png", "3.png"]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("server", ["coco", "cityscapes"])
def test_a_submission_goes_on_too(
    server: str, segmenter: Watched, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = coco_categories() if server == "coco" else CITYSCAPES
    torch.manual_seed(0)
    config = tiny(scenes())
    segmenter.real = Segmenter(build_network(config, classes).eval(), config, classes, {}, torch.device("cpu"))
    for number in range(COUNT):
        name = f"{number:012d}.png" if server == "coco" else f"town_{number:06d}_000000_leftImg8bit.png"
        (photos / f"{number}.png").rename(photos / name)
    arguments = ["predict", "net.safetensors", str(photos), "--submission", server, "--trim-stuff", "100", "--out"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    segmenter.seen, segmenter.act = [], {3: send(signal.SIGTERM)}
    assert main([*arguments, str(tmp_path / "out")]) == 143
    segmenter.seen.clear()
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert len(segmenter.seen) == 2
    assert unpacked(tmp_path / "out") == unpacked(tmp_path / "whole")


def unpacked(folder: Path) -> dict[str, bytes]:
    """All files, with those in archives, whose own bytes hold the time."""
    found = contents(folder)
    for name in [name for name in found if name.endswith(".zip")]:
        del found[name]
        with zipfile.ZipFile(folder / name) as archive:
            found |= {f"{name}/{member}": archive.read(member) for member in archive.namelist()}
    del found[MANIFEST]  # has digests of the archives
    return found


def test_repeated_runs_and_any_order_give_the_same_bits(segmenter: Watched, photos: Path, tmp_path: Path) -> None:
    """Each image is a pass of its own: what came before it changes nothing."""
    first = {path.name: segmenter.real(path) for path in sorted(photos.iterdir())}
    for path in sorted(photos.iterdir(), reverse=True):
        again = segmenter.real(path)
        assert np.array_equal(again.ids, first[path.name].ids)
        assert again.segments == first[path.name].segments
        assert np.array_equal(again.margin, first[path.name].margin)
