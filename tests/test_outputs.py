"""What may be written: never an input, never what others wrote, and nothing where the next run would read it."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from unipan.outputs import MANIFEST, Outputs, ResultFolders, signature, signed_by, written_names


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    source.write_text("unipan pq 0.2.0")  # even if unipan wrote it
    (tmp_path / "link.json").symlink_to(source)
    os.link(source, tmp_path / "hard.json")
    for overwrite in (None, False, True):
        for name in ("in.json", "link.json", "hard.json", "x/../in.json"):
            (tmp_path / "x").mkdir(exist_ok=True)
            with pytest.raises(ValueError, match="this file is an input"):
                Outputs("pq", [source, None], overwrite).claim(tmp_path / name, "--json")


def test_what_others_wrote_is_kept_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Outputs("pq").claim(path, "--json")
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"--json .*a\.json: it is there already.*, or --overwrite"):
        Outputs("pq", overwrite=False).claim(path, "--json")
    Outputs("pq", overwrite=True).claim(path, "--json")
    path.write_text(f"<!-- {signature('pq')} -->")
    assert signed_by(path) == "pq"
    Outputs("pq", overwrite=False).claim(path, "--json")
    with pytest.raises(ValueError, match="unipan demo"):
        Outputs("demo", overwrite=False).claim(path, "--json")
    path.write_bytes(b"name,pq\n1,2\n")
    Outputs("pq").claim(path, "--csv", b"name,pq\n")
    with pytest.raises(ValueError, match="already"):
        Outputs("pq").claim(path, "--csv", b"name;pq\n")
    path.write_text("run `unipan pq a b` for the scores")  # names the command, and is not written by it
    assert signed_by(path) is None


def test_no_device_is_replaced_even_if_asked() -> None:
    with pytest.raises(ValueError, match=r"--json /dev/null: a pipe or a device of this name is there"):
        Outputs("pq", overwrite=True).claim(Path("/dev/null"), "--json")


def test_a_pipe_in_a_folder_is_neither_replaced_nor_read(tmp_path: Path) -> None:
    """Not even if the manifest lists it; to read it would wait for a writer."""
    content = {"files": {"a": "predict"}, "digests": {"a": "0"}}
    for name in ("a", ".unipan.lock", ".unipan.unfinished.jsonl", MANIFEST):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / MANIFEST).write_text(json.dumps(content))
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        for overwrite in (False, True):
            with pytest.raises(ValueError, match=rf"{re.escape(name)}: cannot be written, a pipe or a device"):
                Outputs("predict", overwrite=overwrite).claim_folder(folder, "--out", ["a"])


def test_a_manifest_of_nested_lists_says_nothing(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("[" * 200_000)
    assert written_names(tmp_path) == {}


def test_no_file_is_written_twice(tmp_path: Path) -> None:
    outputs = Outputs("pq")
    outputs.claim(tmp_path / "s", "--json")
    for path in (tmp_path / "s", tmp_path / "x" / ".." / "s", tmp_path / "s" / "index.html"):
        with pytest.raises(ValueError, match="--json is written there too"):
            outputs.claim(path, "--csv")


def test_nothing_goes_into_a_folder_that_is_read(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"it lies in .*photos, which is read"):
        Outputs("predict", [photos], overwrite=False).claim(photos / "new.png", "--out")
    Outputs("predict", [photos], overwrite=True).claim(photos / "new.png", "--out")
    with pytest.raises(ValueError, match="is an input"):
        Outputs("predict", [photos], overwrite=True).claim(photos / "a.jpg", "--out")
    with pytest.raises(ValueError, match="which is read"):
        Outputs("data convert", [photos]).claim_new_folder(photos / "out", "TO")
    with pytest.raises(ValueError, match="not empty"):
        Outputs("data convert").claim_new_folder(photos, "TO")
    Outputs("data convert", [photos]).claim_new_folder(tmp_path / "out", "TO")


def test_a_folder_knows_what_was_written_into_it(tmp_path: Path) -> None:
    names = ["a/x.png", "panoptic.json", "masks/"]
    outputs = Outputs("predict")
    outputs.claim_folder(tmp_path, "--out", names)
    assert list(tmp_path.iterdir()) == []
    outputs.start_folder(tmp_path, names)
    for name in ("a/x.png", "a/mine.png", "masks/1.png", "panoptic.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert written_names(tmp_path) == dict.fromkeys(names, "predict")
    Outputs("predict").claim_folder(tmp_path, "--out", names)
    for name in ("a/mine.png", "a/"):
        with pytest.raises(ValueError, match="it is there already"):
            Outputs("predict").claim_folder(tmp_path, "--out", [name])
    with pytest.raises(ValueError, match="a folder has this name"):
        Outputs("predict").claim_folder(tmp_path, "--out", ["a"])
    results = ResultFolders()
    found = [results.author(tmp_path / name) for name in ("a/x.png", "masks/1.png", "a/mine.png", "b/x.png")]
    assert found == ["predict", "predict", None, None]
    assert results.author(tmp_path / "a" / ".." / "a" / "x.png") == "predict"


def test_what_another_verb_wrote_into_the_folder_is_not_ours(tmp_path: Path) -> None:
    """`serve` lists the folder of its maps, `predict` each of its own."""
    Outputs("serve").start_folder(tmp_path, ["panoptic.json", "panoptic/"])
    (tmp_path / "panoptic").mkdir()
    for name in ("panoptic/a.png", "panoptic.json"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=r"it is there already, and `unipan serve` wrote it; .* or --overwrite"):
            Outputs("predict", overwrite=False).claim_folder(tmp_path, "--out", [name])
        Outputs("predict", overwrite=True).claim_folder(tmp_path, "--out", [name])
    Outputs("serve").claim_folder(tmp_path, "--out", ["panoptic.json", "panoptic/"])
    with pytest.raises(ValueError, match="`unipan serve` wrote it"):
        Outputs("export").claim_folder(tmp_path, "--out", ["panoptic/"])


def test_what_somebody_changed_is_not_ours(tmp_path: Path) -> None:
    """A map that was repainted by hand is work; a copy of the folder is as it was."""
    names, outputs = ["a.png", "b.png", "gone.png"], Outputs("predict")
    outputs.start_folder(tmp_path / "out", names)
    for name in names[:2]:
        (tmp_path / "out" / name).write_text("made")
    Outputs("predict").claim_folder(tmp_path / "out", "--out", names)  # of a run that was stopped
    outputs.finish_folder(tmp_path / "out", names)
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    Outputs("predict", overwrite=False).claim_folder(tmp_path / "copy", "--out", names)
    (tmp_path / "out" / "b.png").write_text("mine")
    with pytest.raises(ValueError, match=r"b\.png: it is there already, and .* wrote it, but it was changed since; "):
        Outputs("predict", overwrite=False).claim_folder(tmp_path / "out", "--out", names)
    Outputs("predict", overwrite=True).claim_folder(tmp_path / "out", "--out", names)
    outputs.start_folder(tmp_path / "out", ["b.png"])  # the run that was asked to, and is stopped
    Outputs("predict", overwrite=False).claim_folder(tmp_path / "out", "--out", names)


def test_results_of_an_older_version_are_known_by_their_layout(tmp_path: Path) -> None:
    for name in ("panoptic/a.png", "overlays/a.png", "images/a.png", "panoptic.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    results = ResultFolders()
    authors = {part: results.author(tmp_path / part / "a.png") for part in ("panoptic", "overlays", "images")}
    assert authors == {"panoptic": "predict", "overlays": "predict", "images": None}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', "\xff"])
def test_a_broken_manifest_lists_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(content.encode("latin-1"))
    assert written_names(tmp_path) == {}
    Outputs("predict").start_folder(tmp_path, ["a"])
    assert json.loads((tmp_path / MANIFEST).read_text())["files"] == {"a": "predict"}


def test_work_that_wrote_nothing_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    names = ["panoptic/a.png", "overlays/a.png", "panoptic.json"]
    outputs = Outputs("predict")
    outputs.start_folder(tmp_path, names)
    for part in ("panoptic", "overlays"):
        (tmp_path / part).mkdir()
    outputs.withdraw_folder(tmp_path, names)
    assert list(tmp_path.iterdir()) == []
    # What an earlier run has left is still known.
    outputs.start_folder(tmp_path, names)
    (tmp_path / "panoptic").mkdir()
    (tmp_path / "panoptic" / "a.png").touch()
    outputs.withdraw_folder(tmp_path, names)
    assert written_names(tmp_path) == {"panoptic/a.png": "predict"}


def test_a_link_to_itself_is_a_path_like_another(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(link.name)
    Outputs("pq", [link]).claim(tmp_path / "scores.json", "--json")
