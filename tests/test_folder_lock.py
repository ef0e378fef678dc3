"""One process at a time in a folder, and what a killed one leaves is explained."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest
from PIL import Image

import unipan.folder_lock
from unipan.cli import main
from unipan.folder_lock import LOCK, folder_lock


def hold(folder: Path) -> int:
    """Another process that holds the lock until it is killed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with folder_lock(folder, "--out"):
            os.write(write, b"x")
            signal.pause()
        os._exit(0)
    os.read(read, 1)
    os.close(read)
    os.close(write)
    return child


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_owner_is_named_and_a_killed_one_is_no_obstacle(tmp_path: Path) -> None:
    child = hold(tmp_path)
    for _ in range(2):  # to be refused takes nothing from the owner
        with pytest.raises(ValueError, match=rf"--out .*: process {child} on {socket.gethostname()}, since 20"):
            folder_lock(tmp_path, "--out").__enter__()
    kill(child)
    with folder_lock(tmp_path, "--out") as left:
        assert left is not None
        assert f"process {child} on" in left
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    with folder_lock(tmp_path / "new" / "er", "--out") as left:
        assert left is None
    assert not list(tmp_path.rglob(LOCK))


def test_a_second_training_and_a_second_prediction_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = hold(tmp_path / "run")
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    training = ["train", "scenes", "--data", "scenes:0-3", "--val", "scenes:4-5", "--accelerator", "cpu"]
    try:
        for arguments in (training, ["predict", "scenes", str(tmp_path / "a.png")]):
            assert main([*arguments, "--out", str(tmp_path / "run")]) == 1
            assert f"process {child} on" in capsys.readouterr().err
            assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
    finally:
        kill(child)


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Loader workers live some seconds longer than a killed training."""
    read, write = os.pipe()
    owner = os.fork()
    if not owner:
        with folder_lock(tmp_path, "--out"):
            worker = os.fork()
            if not worker:
                signal.pause()
            os.write(write, worker.to_bytes(4, "little"))
            signal.pause()
    worker = int.from_bytes(os.read(read, 4), "little")
    kill(owner)
    try:
        with folder_lock(tmp_path, "--out") as left:
            assert left is not None
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize(
    ("host", "pid", "refused"), [("elsewhere", 1, True), (None, 2**22 + 1, False), (None, 1, True)]
)
def test_where_the_file_system_has_no_locks_the_file_decides(
    host: str | None, pid: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unipan.folder_lock, "_lock", lambda _: None)
    (tmp_path / LOCK).write_text(json.dumps({"pid": pid, "host": host or socket.gethostname(), "started": "now"}))
    if refused:
        with pytest.raises(ValueError, match=rf"process {pid} .*; if it was killed, remove .*{LOCK}"):
            folder_lock(tmp_path, "--out").__enter__()
        assert (tmp_path / LOCK).read_text()
    else:
        with folder_lock(tmp_path, "--out") as left:
            assert left is not None


def test_a_second_thread_of_the_same_process_is_refused_and_takes_nothing(tmp_path: Path) -> None:
    """To the system a process is one owner, and a file of its own that it closes unlocks the folder."""
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with folder_lock(tmp_path / "out", "--out"):
        for name in ("out", "link"):
            with pytest.raises(ValueError, match=rf"--out .*{name}: process {os.getpid()} on .* works there; wait"):
                folder_lock(tmp_path / name, "--out").__enter__()
        read, write = os.pipe()
        if not os.fork():  # another process, which is still kept out
            try:
                folder_lock(tmp_path / "out", "--out").__enter__()
            except ValueError:
                os.write(write, b"refused")
            os._exit(0)
        os.close(write)
        assert os.read(read, 9) == b"refused"
        os.wait()
    with folder_lock(tmp_path / "out", "--out") as left:
        assert left is None


def test_a_file_that_is_no_lock_of_ours_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("[1]")
    with folder_lock(tmp_path, "--out") as left:
        assert left is None
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OSError, match=r"--out .*: nothing may be written there"):
        folder_lock(tmp_path, "--out").__enter__()
