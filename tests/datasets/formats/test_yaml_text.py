"""YAML files of datasets: PyYAML reads them, and no scalar becomes anything but text."""

from pathlib import Path

import pytest

from unipan.datasets.formats.yaml_text import read_yaml


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "data.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_class_names_that_yaml_takes_for_other_things_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, "names: [no, on, 1e3, null, 2020-01-01, 'it''s']\nnc: 6\n")
    assert read_yaml(path) == {"names": ["no", "on", "1e3", "null", "2020-01-01", "it's"], "nc": "6"}


def test_mappings_comments_and_scripts(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffpath: ../coco # root\nnames:\n  0: person\n  1: 'a: b'\ndownload: |\n  import os\n")
    assert read_yaml(path) == {"path": "../coco", "names": {"0": "person", "1": "a: b"}, "download": "import os\n"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: [a, b\n", "not YAML"),
        ("names: *nobody\n", "not YAML"),
        ("- a\n", "no `key: value` lines"),
        ("", "no `key: value` lines"),
        (b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_what_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.yaml: .*{says}"):
        read_yaml(written(tmp_path, text))
