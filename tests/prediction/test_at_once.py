"""Several images at once: the same files as one after the other, however a run ends."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.prediction.test_interrupted import contents
from tests.test_inference import segmenter_of, tiny
from unipan.cli import main
from unipan.datasets.scenes.generator import Scenes
from unipan.exported.graphs import files_beside, graph_files
from unipan.files import checkpoint_path
from unipan.inference import Segmenter
from unipan.prediction import loop
from unipan.prediction.journal import JOURNAL, Journal
from unipan.presets import scenes
from unipan.result import PanopticResult

COUNT = 7


class Observed:
    """What runs when, and what is done inside an image."""

    def __init__(self) -> None:
        self.inside: dict[str, Callable[[], object]] = {}
        self.calls: list[tuple[str, bool, int, int]] = []
        """Name, whether in the main thread, how many ran then, threads of an operation."""
        self.running = 0
        self.lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        return sorted(name for name, *_ in self.calls)

    def most(self, *names: str) -> int:
        """At most so many ran while one of these (of all without names) began."""
        return max(running for name, _, running, _ in self.calls if not names or name in names)


@pytest.fixture(scope="module")
def network() -> Segmenter:
    return segmenter_of(tiny(scenes()))


@pytest.fixture
def observed(network: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Observed:
    seen, call = Observed(), Segmenter.__call__

    def watch(self: Segmenter, image: Any, fusion: str | None = None, page: int | None = None) -> PanopticResult:
        name = Path(image).name
        with seen.lock:
            seen.running += 1
            main_thread = threading.current_thread() is threading.main_thread()
            seen.calls.append((name, main_thread, seen.running, torch.get_num_threads()))
        try:
            seen.inside.get(name, lambda: None)()
            return call(self, image, fusion, page)
        finally:
            with seen.lock:
                seen.running -= 1

    monkeypatch.setattr(Segmenter, "__call__", watch)
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: network)
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    return seen


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number, sample in enumerate(Scenes(range(7, 7 + COUNT), (64, 96))):
        Image.fromarray(sample.image).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def predict(photos: Path, out: Path, at_once: int, *more: str) -> int:
    arguments = ["predict", "net.safetensors", str(photos), "--out", str(out), "--at-once", str(at_once)]
    return main([*arguments, "--csv", "--margin", *more])


def together(count: int) -> Callable[[], object]:
    """Passes once so many images are in it, and fails if they never are."""
    barrier = threading.Barrier(count, timeout=60)
    return barrier.wait


def test_results_are_the_same_files_in_the_same_order(observed: Observed, photos: Path, tmp_path: Path) -> None:
    assert predict(photos, tmp_path / "one", 1) == 0
    assert observed.most() == 1
    observed.inside = dict.fromkeys(("0.png", "1.png", "2.png"), together(3))
    observed.inside["3.png"] = lambda: time.sleep(0.3)  # the next ones are made before it
    assert predict(photos, tmp_path / "three", 3) == 0
    assert observed.most() == 3
    assert contents(tmp_path / "three") == contents(tmp_path / "one")


def test_what_is_begun_ahead_has_a_limit(observed: Observed, photos: Path, tmp_path: Path) -> None:
    """Results that wait for a slow image hold memory, so the others wait too."""
    over, counted = threading.Event(), threading.Event()

    def hold() -> None:
        time.sleep(1.0)
        assert len(observed.calls) <= loop.AHEAD * 2
        counted.set()
        over.wait(30)

    observed.inside = {"0.png": hold}
    threading.Thread(target=lambda: counted.wait(60) and over.set(), daemon=True).start()
    assert predict(photos, tmp_path / "out", 2) == 0
    assert counted.is_set()
    assert observed.names == [f"{number}.png" for number in range(COUNT)]


def test_by_default_there_is_one_for_each_core(
    observed: Observed, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "available_cores", lambda: 2)
    observed.inside = dict.fromkeys(("0.png", "1.png"), together(2))
    torch.set_num_threads(2)
    arguments = ["predict", "net.safetensors", str(photos), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert observed.most() == 2
    assert {threads for *_, threads in observed.calls} == {1}
    assert torch.get_num_threads() == 2


def test_large_pictures_are_alone_with_all_threads(
    observed: Observed, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(next(iter(Scenes(range(1), (96, 128)))).image).save(photos / "2.png")
    monkeypatch.setattr(loop, "SMALL_PIXELS", 64 * 96)
    torch.set_num_threads(2)
    assert predict(photos, tmp_path / "out", 3) == 0
    calls = {name: rest for name, *rest in observed.calls}
    assert calls.pop("2.png") == [True, 1, 2]
    assert all(not in_main and threads == 1 for in_main, _, threads in calls.values())


@pytest.mark.parametrize(("free", "most"), [(1, 1), (None, 3)])
def test_where_memory_is_short_fewer_run_at_once(
    free: int | None, most: int, observed: Observed, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "available_memory", lambda: free)
    observed.inside = dict.fromkeys(("0.png", "1.png", "2.png"), together(3)) if most == 3 else {}
    assert predict(photos, tmp_path / "out", 3) == 0
    assert observed.most() == most


@pytest.mark.parametrize("times", [1, 2])
def test_a_picture_short_of_memory_has_another_try_alone(
    times: int, observed: Observed, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(observed.running)
        if len(tries) <= times:
            raise MemoryError

    observed.inside = {"2.png": fail}
    assert predict(photos, tmp_path / "out", 2) == times - 1
    assert len(tries) == 2
    assert tries[1] == 1
    assert ("2.png is left out: there is too little memory" in capsys.readouterr().err) == (times == 2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_those_end_that_are_begun(
    number: int,
    code: int,
    observed: Observed,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert predict(photos, tmp_path / "whole", 1) == 0
    observed.calls.clear()
    both, heard, cancel = together(2), threading.Event(), loop.ImageLoop._cancel_waiting

    def cancel_waiting(self: loop.ImageLoop) -> list[loop.BegunImages]:
        running = cancel(self)
        heard.set()
        return running

    def stop() -> None:
        both()
        os.kill(os.getpid(), number)
        assert heard.wait(60)

    monkeypatch.setattr(loop.ImageLoop, "_cancel_waiting", cancel_waiting)
    observed.inside = {"2.png": stop, "3.png": lambda: (both(), heard.wait(60))}
    out = tmp_path / "out"
    assert predict(photos, out, 2) == code
    assert f"{signal.Signals(number).name}: 4 of {COUNT} images are done and kept in {out}" in capsys.readouterr().err
    assert observed.names == ["0.png", "1.png", "2.png", "3.png"]
    observed.calls.clear()
    observed.inside.clear()
    assert predict(photos, out, 2) == 0
    assert observed.names == ["4.png", "5.png", "6.png"]
    assert contents(out) == contents(tmp_path / "whole")


def test_only_the_picture_that_ends_runs_is_left_out(
    observed: Observed, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those beside it are made alone by the next run, because any of them may have been the one."""
    out, both = tmp_path / "out", together(2)
    for inside in ({"0.png": both, "1.png": lambda: (both(), os._exit(9))}, {"1.png": lambda: os._exit(9)}):
        child = os.fork()
        if not child:
            observed.inside = inside
            predict(photos, out, 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert predict(photos, out, 2) == 1
    assert f"{photos / '1.png'} is left out: two runs in a row were killed at it" in capsys.readouterr().err
    listed = json.loads((out / "panoptic.json").read_text())["images"]
    assert [each["file_name"] for each in listed] == [f"{number}.png" for number in range(COUNT) if number != 1]
    assert "0.png" not in observed.names  # the second run made it, alone, before it was killed


def test_a_full_disk_and_a_programming_error_end_the_run(
    observed: Observed,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if observed.running or len(observed.calls) >= 4:
            raise OSError(28, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as patched:
        observed.inside = {"3.png": lambda: patched.setattr(Path, "write_bytes", full)}
        assert predict(photos, tmp_path / "out", 2) == 1
    said = capsys.readouterr().err
    assert "cannot be written (No space left on device); make room" in said
    assert f"of {COUNT} images are done and kept" in said
    observed.inside = {"3.png": lambda: {}["x"]}
    with pytest.raises(KeyError):
        predict(photos, tmp_path / "other", 2)
    observed.inside.clear()
    assert predict(photos, tmp_path / "out", 2) == predict(photos, tmp_path / "other", 2) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


def test_broken_pictures_are_left_out_in_their_order(
    observed: Observed, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.png", "4.png"):
        (photos / name).write_bytes(b"no picture")
    assert predict(photos, tmp_path / "out", 3) == 1
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "is left out" in line]
    assert [line.partition(" is left out")[0] for line in lines] == [
        f"unipan: {photos / n}" for n in ("1.png", "4.png")
    ]
    assert "5 images, 2 left out" in said.out


def test_no_image_at_once_is_refused(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "scenes", str(photos), "--out", str(tmp_path / "out"), "--at-once", "0"]) == 1
    assert "--at-once 0: give 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_batches_of_a_gpu_are_listed_in_order(
    network: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU instead of a GPU: one of another size, one that is broken, and one alone in its batch."""
    monkeypatch.setattr("unipan.inference.open_segmenter", lambda *_: network)
    monkeypatch.setattr("unipan.files.checkpoint_path", Path)
    Image.fromarray(next(iter(Scenes(range(1), (96, 128)))).image).save(photos / "2.png")
    assert predict(photos, tmp_path / "one", 1) == 0
    sizes: list[int] = []
    scenes_of = Segmenter.scenes

    def watch(self: Segmenter, images: Any, pages: Any = None) -> Any:
        sizes.append(len(images))
        return scenes_of(self, images, pages)

    monkeypatch.setattr(Segmenter, "scenes", watch)
    monkeypatch.setattr(loop, "runs_on_cpu", lambda _: False)
    monkeypatch.setattr(loop, "BATCH", 3)
    assert predict(photos, tmp_path / "batches", 2) == 0
    assert sorted(sizes) == [1, 3, 3]
    one, other = (json.loads((tmp_path / name / "panoptic.json").read_text()) for name in ("one", "batches"))
    assert one["images"] == other["images"]
    for name in (f"{number}.npy" for number in range(COUNT)):
        margins = [np.load(tmp_path / folder / "margin" / name) for folder in ("one", "batches")]
        assert np.abs(margins[0] - margins[1]).max() < 1e-5
    (photos / "4.png").write_bytes(b"no picture")
    assert predict(photos, tmp_path / "broken", 2) == 1
    left = json.loads((tmp_path / "broken" / "panoptic.json").read_text())["images"]
    assert [each["file_name"] for each in left] == [f"{number}.png" for number in range(COUNT) if number != 4]


def test_a_batch_is_each_image_by_itself() -> None:
    """Equal to 1e-5, and at most one pixel in a thousand has another segment."""
    segmenter = Segmenter.load("scenes")
    images = [sample.image for sample in Scenes(range(4_000_000, 4_000_005))]
    images.insert(2, next(iter(Scenes(range(4_000_009, 4_000_010), (64, 128)))).image)
    differing = pixels = 0
    for image, scene in zip(images, segmenter.scenes(images), strict=True):
        alone = segmenter.scene(image)
        assert scene.panoptic.shape == alone.panoptic.shape
        scale = float(alone.panoptic.abs().max())
        assert float((scene.panoptic - alone.panoptic).abs().max()) <= 1e-5 * max(scale, 1)
        assert torch.allclose(scene.detections.scores, alone.detections.scores, atol=1e-5)
        differing += int((scene.result().ids != alone.result().ids).sum())
        pixels += image.shape[0] * image.shape[1]
    assert differing <= pixels / 1000


def test_onnxruntime_does_the_same_files_at_once(photos: Path, tmp_path: Path) -> None:
    for at_once in (2, 3):
        arguments = ["predict", "scenes", str(photos), "--out", str(tmp_path / str(at_once)), "--runtime", "onnx"]
        assert main([*arguments, "--csv", "--at-once", str(at_once)]) == 0
    assert contents(tmp_path / "2") == contents(tmp_path / "3")
    ids = [each["id"] for each in json.loads((tmp_path / "2" / "panoptic.json").read_text())["images"]]
    assert ids == list(range(1, COUNT + 1))


def test_a_journal_knows_the_graphs_that_run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be made again, in 8 bits, while the checkpoint stays as it is."""
    monkeypatch.setattr(Journal, "close", lambda _: None)
    whole = files_beside(checkpoint_path("scenes"), masks=True)
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in whole}
    for runtime, graphs in (("onnx", expected), ("torch", None)):
        out = tmp_path / runtime
        assert main(["predict", "scenes", str(photos / "0.png"), "--out", str(out), "--runtime", runtime]) == 0
        assert json.loads((out / JOURNAL).read_text().partition("\n")[0])["run"].get("graphs") == graphs
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("model.json", "dense.onnx", "head.onnx"):  # of a network without masks
        (folder / name).touch()
    assert [path.name for path in graph_files(folder)] == ["model.json", "dense.onnx", "head.onnx"]
