"""The part of YAML that lists classes, compared with PyYAML where that is installed."""

from pathlib import Path

import pytest

from unipan.datasets.formats.simple_yaml import read_simple_yaml

DOCUMENTS = [
    "train: ../train/images\nval: ../valid/images\n\nnc: 4\nnames: ['a b', \"it's\", 'c, d', 'q''s']\n"
    "roboflow:\n  workspace: x\n  license: CC BY 4.0\n",
    "# c\npath: ../datasets/coco # root\ntrain: images/train\nval: [a/b, c]\nnames:\n  0: person\n"
    "  1: 'traffic: light'\n  # c\n  2: x#y\n",
    "names:\n- a\n- b # c\nnc: 2\n",
    "names: [a,\n  b,\n  c]\nnc: 3\n",
    "names: {0: a, 1: b}\n",
    "---\nnames:\n    - a\n    - 'b'\n",
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_as_a_yaml_library_reads_it(text: str, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (tmp_path / "data.yaml").write_text(text)

    def texts(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): texts(each) for key, each in value.items()}
        return [texts(each) for each in value] if isinstance(value, list) else str(value)

    assert read_simple_yaml(tmp_path / "data.yaml") == texts(yaml.safe_load(text))


def test_scripts_are_passed_over_and_open_brackets_named(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: [a]\ndownload: |\n  import os\n  x: y\nnc: 1\n")
    assert read_simple_yaml(path) == {"names": ["a"], "download": "", "nc": "1"}
    path.write_text("names: [a, b\n")
    with pytest.raises(ValueError, match=r"data\.yaml: the \[ behind `names` is not closed"):
        read_simple_yaml(path)
