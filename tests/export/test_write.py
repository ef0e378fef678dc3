"""How the files of an export take their places."""

from pathlib import Path

import pytest

from unipan.datasets.scenes.generator import Scenes
from unipan.export.write import copy_together, write_export
from unipan.folder_lock import folder_lock
from unipan.outputs import Outputs


def test_none_takes_its_place_before_all_are_written(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "graph").write_text(folder.name)
        (folder / "description").write_text(folder.name)
    copy_together({old / name: new / name for name in ("graph", "description")})
    assert {each.name: each.read_text() for each in old.iterdir()} == {"graph": "new", "description": "new"}
    (new / "graph").write_text("newer")
    (new / "description").unlink()
    with pytest.raises(OSError, match="cannot be written"):
        copy_together({old / name: new / name for name in ("graph", "description")})
    assert {each.name: each.read_text() for each in old.iterdir()} == {"graph": "new", "description": "new"}


def test_a_folder_that_another_export_writes_is_refused(tmp_path: Path) -> None:
    scenes = Scenes(range(2), (64, 96))
    with folder_lock(tmp_path / "out", "--out"), pytest.raises(ValueError, match=r"--out .*works there"):
        write_export("scenes", tmp_path / "out", Outputs("export"), scenes, range(2))
    assert not (tmp_path / "out").exists()
