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
        ("names: [a, b\n", "not readable as YAML"),
        ("names: *nobody\n", "line 1: .nobody is an alias; write what it stands for"),
        ("- a\n", "no `key: value` lines"),
        ("", "no `key: value` lines"),
        (b"\xff\xfe\x00", "not a text file in UTF-8 .*save it as UTF-8"),
    ],
)
def test_what_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.yaml: .*{says}"):
        read_yaml(written(tmp_path, text))


def test_a_bomb_of_aliases_is_refused_before_it_grows(tmp_path: Path) -> None:
    """Nine to the power of forty names: whoever shows or counts them never ends."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    with pytest.raises(ValueError, match=r"line 2: \*a0 is an alias"):
        read_yaml(written(tmp_path, "\n".join([*lines, "names: *a39"])))
