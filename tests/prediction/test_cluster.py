"""`predict --ray` on a cluster of this machine with two workers: the same files as without Ray, whatever happens."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from unipan.cli import main
from unipan.datasets.scenes.generator import Scenes
from unipan.prediction.journal import SHARDS

ray = pytest.importorskip("ray", reason="no Ray: pip install 'unipan[ray]' (CONTRIBUTING.md says why it is not there)")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

COUNT, BAD = 10, 3
COMMAND = "import sys; from unipan.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster with two cores and little memory, which this process has joined."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = tempfile.mkdtemp(prefix="ray")  # pytest's own are too long for the names of sockets
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    found = ray.init(
        address="local", num_cpus=2, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False,
        _temp_dir=folder,
    )  # fmt: skip
    try:
        yield found.address_info["gcs_address"]
    finally:
        ray.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    for number, sample in enumerate(Scenes(range(7, 7 + COUNT), (64, 96))):
        Image.fromarray(sample.image).save(folder / f"{number}.png")
    (folder / f"{BAD}.png").write_bytes((folder / f"{BAD}.png").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def plain(photos: Path) -> Path:
    """What `predict` writes without Ray."""
    assert predict(photos, photos.parent / "plain") == 1
    return photos.parent / "plain"


def predict(given: Path, out: Path, *more: str) -> int:
    return main(["predict", "scenes", str(given), "--out", str(out), "--runtime", "onnx", "--csv", *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_are_the_same_and_a_bad_image_is_listed(
    address: str, photos: Path, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert predict(photos, tmp_path / "out", "--ray", "--json") == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [Path(each["file"]).name for each in found["left_out"]] == [f"{BAD}.png"]
    assert [each["id"] for each in found["images"]] == [number + 1 for number in range(COUNT) if number != BAD]
    assert f"{BAD}.png is left out" in said.err
    assert contents(tmp_path / "out") == contents(plain)
    assert ray.is_initialized()  # it was there before, so it stays


def begun(address: str, table: Path, out: Path) -> "subprocess.Popen[str]":
    """The command in a process of its own, as soon as one of its workers has finished an image."""
    before = set(out.glob(SHARDS))
    words = ["predict", "scenes", str(table), "--out", str(out), "--runtime", "onnx", "--csv", "--ray", address]
    child = subprocess.Popen([sys.executable, "-c", COMMAND, *words], text=True, stderr=subprocess.PIPE)
    while not any(b'{"done":' in path.read_bytes() for path in set(out.glob(SHARDS)) - before):
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.002)
    return child


def test_a_killed_and_a_stopped_run_go_on_and_rows_keep_their_ids(
    address: str, photos: Path, plain: Path, tmp_path: Path
) -> None:
    paths = [path for path in sorted(photos.iterdir()) if path.stem != str(BAD)]
    table, out = tmp_path / "t.parquet", tmp_path / "out"
    ids = [100 - int(path.stem) for path in paths]
    parquet.write_table(pyarrow.table({"id": ids, "image": [path.read_bytes() for path in paths]}), table)

    child = begun(address, table, out)
    child.kill()
    child.communicate()
    assert not (out / "panoptic.json").exists()
    child = begun(address, table, out)
    child.send_signal(signal.SIGTERM)
    said = child.communicate()[1]
    assert child.returncode == 143, said
    assert f"of {len(ids)} images are done and kept in {out}" in said
    done = {path.name: path.stat().st_mtime_ns for path in (out / "overlays").iterdir()}
    assert len(done) >= 2

    assert predict(table, out, "--ray") == 0
    again = {path.name: path.stat().st_mtime_ns for path in (out / "overlays").iterdir()}
    listed = json.loads((out / "panoptic.json").read_text())
    assert [image["id"] for image in listed["images"]] == ids
    expected = json.loads((plain / "panoptic.json").read_text())["annotations"]
    for annotation, other, path in zip(listed["annotations"], expected, paths, strict=True):
        assert annotation["segments_info"] == other["segments_info"]
        png = f"{100 - int(path.stem)}.png"
        assert (out / "panoptic" / png).read_bytes() == (plain / "panoptic" / path.name).read_bytes()
        assert (out / "overlays" / png).read_bytes() == (plain / "overlays" / path.name).read_bytes()
    # At most what the two workers were at, and what was done beside a signal, is made again.
    assert sum(again[name] != time_of for name, time_of in done.items()) <= 2
    assert not list(out.glob(".unipan.unfinished*"))
    assert not list(out.rglob("*.tmp"))
