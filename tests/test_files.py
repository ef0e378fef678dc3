"""Files appear whole or not at all, and what stands in the way is said before the work."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

import unipan.files
from unipan.files import (
    checkpoint_path,
    files_below,
    folder_atomically,
    make_folder,
    read_bytes,
    read_lines,
    read_text,
    remove_leftovers,
    replaced,
    require_file,
    require_folder,
    require_other_file,
    require_weights,
    temporary_name,
    write_atomically,
    write_json,
)


def test_a_file_is_replaced_whole_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [found.name for found in path.parent.iterdir()] == ["a.json"]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "a.json"):
        with pytest.raises(OSError, match=rf"{path}: cannot be written \(.*\); make room, or give another place"):
            write_atomically(path, b"x")
    with pytest.raises(OSError, match=r"file: .*cannot be made"):
        make_folder(tmp_path / "file")
    make_folder(tmp_path / "folder")
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_look_beforehand_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "new" / "a.json", Path("a.json"), Path("new/a.json"), tmp_path / "file"):
        require_file(path, "--json")
    require_folder(tmp_path / "new" / "er", "--out")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ValueError, match=r"--json .*: .*folder"):
        require_file(tmp_path, "--json")
    for path in (Path("file"), tmp_path / "file" / "sub" / "sub"):
        with pytest.raises(ValueError, match=rf"--out {path}: .*file is a file; give another folder"):
            require_folder(path, "--out")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ValueError, match="--out new: nothing may be written to"):
        require_folder(Path("new"), "--out")


def test_an_output_replaces_no_input(tmp_path: Path) -> None:
    (tmp_path / "in.json").touch()
    (tmp_path / "link.json").symlink_to(tmp_path / "in.json")
    inputs = [tmp_path / "missing.json", tmp_path / "in.json"]
    require_other_file(tmp_path / "out.json", "--json", inputs)
    for path in (tmp_path / "in.json", tmp_path / "link.json"):
        with pytest.raises(ValueError, match=rf"--json {path}: this file is an input"):
            require_other_file(path, "--json", inputs)
    with pytest.raises(ValueError, match=r"--json .*: a folder of this name is there"):
        require_other_file(tmp_path, "--json", inputs)


def test_json_is_whole_and_any_reader_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    assert write_json(path, {"a": None}) == path
    assert json.loads(path.read_text()) == {"a": None}
    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError, match=r"b\.json: it would hold NaN or Infinity"):
        write_json(tmp_path / "b.json", {"x": [float("inf")]})
    assert not (tmp_path / "b.json").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "out"
    with folder_atomically(place, "--out") as folder:
        (folder / "a.txt").write_text("a")
        assert not place.exists()
    assert [path.name for path in place.parent.rglob("*")] == ["out", "a.txt"]

    def fail(place: Path) -> None:
        with folder_atomically(place, "--out") as folder:
            (folder / "a.txt").write_text("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail(tmp_path / "deep" / "other")
    assert [path.name for path in place.parent.iterdir()] == ["out"]
    with pytest.raises(ValueError, match=r"--out .*out: .*not empty"):
        fail(place)


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_another_command_writes_meanwhile_is_a_sentence(there: bool, tmp_path: Path) -> None:
    place = tmp_path / "out"
    if there:
        place.mkdir()

    def write() -> None:
        with folder_atomically(place, "TO") as folder:
            for each in (folder, place):
                (each / "images").mkdir(parents=True)
                (each / "images" / "a.png").write_text(each.name)

    with pytest.raises(OSError, match=r"^TO .*out: another command has written it meanwhile; give a new folder$"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "images", "a.png"]
    assert (place / "images" / "a.png").read_text() == "out"


def test_an_empty_folder_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a mounted disk, which cannot be replaced, or the current folder, which must not be."""
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    before = place.stat().st_ino
    for given in (Path(), place):
        with folder_atomically(given, "--out") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "a.txt").write_text("a")
            (folder / "b.txt").write_text("b")
        assert sorted(path.name for path in place.rglob("*")) == ["a.txt", "b.txt", "deep"]
        assert place.stat().st_ino == before
        shutil.rmtree(place / "deep")
        (place / "b.txt").unlink()
    (place / f".unipan-999999999-{unipan.files._process_space()}-0.tmp").mkdir()  # of a killed process
    with folder_atomically(place, "--out"):
        pass
    assert list(place.iterdir()) == []


def test_folders_of_programs_hold_no_pictures_of_the_user(tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png", ".ipynb_checkpoints/a-checkpoint.png", "deep/@eaDir/b.png", "__MACOSX/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert files_below(tmp_path, (".png",)) == [tmp_path / "a.png", tmp_path / "deep/b.png"]
    assert files_below(tmp_path / ".ipynb_checkpoints", (".png",)) != []


def test_a_package_without_checkpoints_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(unipan.files, "CHECKPOINTS", tmp_path / "none")
    assert unipan.files.bundled_checkpoints() == []


def test_bytes_of_nothing_and_of_what_one_call_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.touch()
    file.write_bytes(bytes(range(256)) * 40)
    assert read_bytes(empty) == b""
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 100)))
    assert read_bytes(file) == file.read_bytes()


def test_bytes_of_no_file_and_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent: no such file"):
        read_bytes(tmp_path / "absent")
    with pytest.raises(ValueError, match="this is a folder, a file is needed"):
        read_bytes(tmp_path)


def test_a_pipe_without_a_writer_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(ValueError, match=f"{path.name}: this is a pipe or a device, a file is needed"):
            read_bytes(path)
        with pytest.raises(ValueError, match=f"--json .*{path.name}: a pipe or a device of this name is there"):
            require_file(path, "--json")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 5000])
def test_a_name_that_no_file_can_have_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_bytes(tmp_path / name)


def test_what_killed_processes_were_writing_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with replaced(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            temporary_name(tmp_path / "b").mkdir()
            os._exit(1)  # as after kill -9: nothing is cleaned up
    os.waitpid(child, 0)
    mine = temporary_name(tmp_path / "a.bin")
    mine.touch()
    other = tmp_path / ".unipan-1-00000000-ab.tmp"  # of another machine, where the number may live
    other.touch()
    assert len(list(tmp_path.iterdir())) == 4
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])


def test_two_writers_of_one_file_never_share_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    contents = [bytes([value]) * 200_000 for value in range(8)]
    threads = [threading.Thread(target=write_atomically, args=(path, data, True)) for data in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_durable_reaches_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("sync"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: calls.append("rename") or replace(self, to))
    write_atomically(tmp_path / "a", b"x", durable=True)
    assert calls == ["sync", "rename", "sync"]


def test_a_text_is_utf_8_with_or_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    for start in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(start + "caf\u00e9\r\n\r\n  dog \n".encode())
        assert read_lines(path) == ["caf\u00e9", "dog"]
        assert read_text(path).startswith("caf\u00e9")
    path.write_bytes(b"dog\ncaf\xe9\n")
    for read in (read_text, read_lines):
        with pytest.raises(
            ValueError, match=r"names\.txt: not a text file in UTF-8 \(.* at byte 7\); save it as UTF-8"
        ):
            read(path)
    with pytest.raises(FileNotFoundError, match=r"none\.txt: no such file"):
        read_lines(tmp_path / "none.txt")


def test_a_link_to_nothing_is_no_folder(tmp_path: Path) -> None:
    """To make the folder would fail, after all other work."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for path in (tmp_path / "link", tmp_path / "link" / "deeper"):
        with pytest.raises(ValueError, match=rf"--out {path}: .*link is a link to nothing; give another folder"):
            require_folder(path, "--out")
    (tmp_path / "gone").mkdir()
    require_folder(tmp_path / "link" / "deeper", "--out")


def test_what_is_there_in_the_place_of_weights_is_told(tmp_path: Path) -> None:
    for path, told in (
        (tmp_path, "this is a folder"),
        (Path(os.devnull), "this is a pipe or a device"),
        (tmp_path / "x", "there is no such file"),
    ):
        with pytest.raises(FileNotFoundError, match=f"weights {path}: {told}; give a file"):
            require_weights(path, "a file")
        with pytest.raises(FileNotFoundError, match=f"checkpoint {path}: {told}, and the bundled ones are"):
            checkpoint_path(path)


def test_what_macos_keeps_of_a_file_is_none(tmp_path: Path) -> None:
    for name, content in (
        ("a.png", b"x"),
        ("._a.png", b"\0\5\x16\7\0\2\0\0Mac OS X"),
        ("deep/._b.PNG", b"a photograph"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert files_below(tmp_path, (".png",)) == [tmp_path / "a.png", tmp_path / "deep/._b.PNG"]
