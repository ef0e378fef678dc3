"""An empty argument is that of a variable of the shell that is not set; as a path it would be the current folder."""

from pathlib import Path

import pytest

from unipan.cli import VERBS, main, nothing_given

LINES = {
    "predict scenes photos --out ": "--out",
    "predict scenes photos --out=": "--out",
    "predict  photos --out out": "argument 1",
    "serve --images ": "--images",
    "pq gt  --json found.json": "argument 2",
    "data convert gt ": "argument 3",
    "scenes --out=": "--out",
}


@pytest.mark.parametrize("line", LINES)
def test_it_is_named_and_nothing_is_made(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split(" ")) == 2
    assert capsys.readouterr().err.startswith(f"unipan: {LINES[line]}: the value is empty")
    assert list(tmp_path.iterdir()) == []


def test_every_verb_refuses_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert [main([verb, ""]) for verb in VERBS] == [2] * len(VERBS)
    assert capsys.readouterr().err.count("argument 1: the value is empty") == len(VERBS)


def test_an_equals_sign_within_a_word_is_a_value() -> None:
    assert nothing_given(["a=", "--name=b=", "--json", "-"]) is None
    assert nothing_given(["--overwrite", "--name="]) == "--name"
