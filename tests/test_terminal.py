"""What a name of a file or a class may do to a terminal: nothing."""

import ast
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unipan.cli import main
from unipan.demo.run import run_demo
from unipan.terminal import drop_unwritten, printable, tell
from unipan.training.run_folder import RunRecord

SOURCE = Path(__file__).resolve().parents[1] / "src" / "unipan"
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
ODD = "a\x1b[31m\x07\r\x9b\u202egnp.\udcff\u2028"
ODD_SHOWN = r"a\x1b[31m\x07\r\x9b\u202egnp.\udcff\u2028"


@pytest.mark.parametrize("text", ["plain", "Straße – 車 🚗", "[b]gt.json", "[/x]", "one\ttwo\nthree", "نمونه"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(ODD) == ODD_SHOWN
    assert not [character for character in printable("".join(map(chr, range(0x300)))) if character < " "][2:]
    tell(ODD, "second")
    tell("third", "a name\nunipan: all is well", error=True)
    assert capsys.readouterr() == (f"{ODD_SHOWN}\nsecond\n", "third\na name\\nunipan: all is well\n")


def test_an_encoding_without_a_letter_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr("sys.stdout", stream)
    tell("Straße")
    stream.seek(0)
    assert stream.read() == "Stra\\xdfe\n"


@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("--json >&-", 1, "unipan: --json: this process has no standard output"),
        pytest.param(">/dev/full", 1, "unipan: standard output cannot be written", marks=FULL),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(streams: str, code: int, said: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m unipan scenes --count 1 --out {tmp_path / 'out'} {streams}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == bool(said)


@FULL
@pytest.mark.parametrize("buffer", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "pq --help", "scenes --count 1 --out out --json"])
def test_what_a_stream_did_not_take_is_told_once(arguments: str, buffer: str, tmp_path: Path) -> None:
    """Python tries again when it ends, adds two lines, and exits with 120, but for PYTHONUNBUFFERED."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffer}
    for streams, code, said in (
        (">/dev/full", 1, "unipan: standard output cannot be written (No space left on device)"),
        ("| true", 1, ""),
        ("2>/dev/full >/dev/full", 1, ""),
    ):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        command = f"set -o pipefail; {sys.executable} -m unipan {arguments} {streams}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        others = [line for line in done.stderr.splitlines() if "/panoptic.json: 1 scene" not in line]
        assert (done.returncode, "".join(others)) == (code, said)


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "predict --help", "train finetune --help", "pq --help", "data --help"]
)
@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [(">&-", 0, ""), pytest.param(">/dev/full", 1, "unipan: standard output cannot be written", marks=FULL)],
)
def test_nor_is_it_one_in_help(arguments: str, streams: str, code: int, said: str) -> None:
    command = f"{sys.executable} -m unipan {arguments} {streams}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[: len(said)]) == (code, said)
    assert len(done.stderr.splitlines()) == bool(said)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    command = f"rmdir {here} && {sys.executable} -m unipan pq gt pred"
    done = subprocess.run(command, shell=True, cwd=here, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "unipan: the current folder no longer exists; change to another one\n"


def test_nothing_else_prints() -> None:
    """Every sentence of a command takes this way; rich is never given markup that holds a name (JSON escapes)."""
    calls = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and path.name != "json_output.py"
        and (
            ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write", "rich.print")
            or (ast.unparse(node.func).endswith("console.print") and not safe(node))
        )
    ]
    assert calls == []


def safe(call: ast.Call) -> bool:
    """Whether rich is told to print no markup, or gets a table that it was given cell by cell."""
    off = any(word.arg == "markup" and ast.unparse(word.value) == "False" for word in call.keywords)
    return off or ast.unparse(call.args[0]).startswith("score_table(")


@FULL
def test_a_training_goes_on_without_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        record = RunRecord(tmp_path)
        record.begin()
        record.say("first")
        record.say("second")
        drop_unwritten()
    assert (tmp_path / "notes.txt").read_text() == "first\nsecond\n"
    assert capsys.readouterr().err == (
        "unipan: standard output cannot be written (No space left on device); the training goes on, and what it says "
        f"stands in {tmp_path / 'notes.txt'} alone\n"
    )


def test_a_run_says_a_name_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord(tmp_path)
    record.begin()
    record.say(f"data: [/x] {ODD}")
    assert f"data: [/x] {ODD_SHOWN}" in capsys.readouterr().out
    assert (tmp_path / "notes.txt").read_text() == f"data: [/x] {ODD_SHOWN}\n"


def test_errors_of_commands_are_filtered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "scenes", str(tmp_path / "[/x]\x1b[31m.png"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert r"[/x]\x1b[31m.png: no file matches this pattern" in said
    assert "\x1b" not in said


def test_a_page_may_lie_where_rich_sees_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was a MarkupError, after all scenes had been scored."""
    page, _ = run_demo(count=1, out=tmp_path / "[/x]")
    assert page.is_file()
    assert "[/x]" in "".join(capsys.readouterr().out.split())
