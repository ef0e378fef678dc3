"""The command: what it refuses before anything is loaded, how it ends, and what outlives it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.commands.json_page import check_with_page
from tests.server.clients import folder_of
from unipan.cli import main
from unipan.datasets.formats.coco_panoptic import CocoPanoptic
from unipan.folder_lock import LOCK
from unipan.inference import Segmenter
from unipan.server.plan import ServeOptions, images_inside, plan_server
from unipan.server.uploads import Limits


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "checkpoint nothing"),
        (["--images", "{tmp}/none"], "none: no such file or folder"),
        (["--images", "{tmp}/photos/a.png"], "this is no folder"),
        (["--images", "{tmp}/empty"], "no images in this folder"),
        (["--images", "{tmp}/photos", "--out", "{tmp}/photos"], "which is read"),
        (["--out", "{tmp}/photos/a.png"], "a.png is a file"),
        (["--port", "70000"], "--port 70000"),
        (["--port", "{taken}"], "--port {taken}: cannot be opened on 127.0.0.1"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1: this machine has no such address"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["--megapixels", "0"], "--megapixels 0"),
        (["--megabytes", "nan"], "--megabytes nan"),
        (["--memory", "-1"], "--memory -1"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of(tmp_path / "photos", ["a.png"])
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        given = [each.format(tmp=tmp_path, taken=taken) for each in arguments]
        assert main(["serve", *(["--port", "0"] if "--port" not in given else []), *given]) == 1
    printed = capsys.readouterr().err
    assert said.format(taken=taken) in " ".join(printed.split())
    assert len(printed.strip().splitlines()) == 1


def test_links_that_lead_out_of_the_folder_are_left_out(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", ["a.png"])
    folder_of(tmp_path / "private", ["b.png"])
    (photos / "b.png").symlink_to(tmp_path / "private" / "b.png")
    (photos / "c.png").symlink_to(photos / "a.png")
    (photos / "d.png").symlink_to(photos / "d.png")  # in a circle: the page says that it cannot be opened
    assert [job.name for job in images_inside(photos)] == ["a.png", "c.png", "d.png"]
    for name in ("a.png", "c.png", "d.png"):
        (photos / name).unlink()
    with pytest.raises(ValueError, match="lead out"):
        images_inside(photos)


def test_the_address_names_what_a_browser_can_open() -> None:
    for host, name in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")):
        plan = plan_server("scenes", ServeOptions(host=host, port=0, limits=Limits()))
        with plan.listener:
            assert re.fullmatch(rf"http://{re.escape(name)}:\d+/", plan.address)
            assert plan.listener.proto == socket.IPPROTO_TCP  # or asyncio leaves Nagle's algorithm on


def test_it_says_at_once_what_it_loads_and_at_its_end_what_json_asks_for(
    maker: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def load(*_: str) -> Segmenter:
        said.append(capsys.readouterr().err)
        return maker

    monkeypatch.setattr("unipan.inference.open_segmenter", load)
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    photos, out = folder_of(tmp_path / "photos", ["a.png"]), tmp_path / "out"
    assert main(["serve", "--port", "0", "--images", str(photos), "--out", str(out), "--json"]) == 0
    assert said == ["loading scenes ...\n"]
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    check_with_page("serve", content)
    assert f"{content['address']}  (Ctrl-C stops)" in printed.err
    assert [content[key] for key in ("images", "dataset", "accepted", "next")] == [1, str(out), [], []]


Start = Callable[..., tuple[subprocess.Popen[str], int]]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Start:
    """`unipan serve` as a process, and its port."""

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "unipan", "serve", "scenes", "--port", "0", "--device", "cpu", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        request.addfinalizer(process.kill)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"http://127\.0\.0\.1:(\d+)/", line):
                return process, int(found[1])
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())

    return begin


def ask(port: int, path: str, body: str = "") -> dict[str, object]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body, {"x-unipan": "1", "cookie": f"unipan_session_{port}={'s' * 24}"})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content
    found: dict[str, object] = json.loads(content)
    return found


def test_what_was_accepted_outlives_a_killed_server(tmp_path: Path, start: Start) -> None:
    photos, out = folder_of(tmp_path / "photos", ["a.png", "b.png"]), tmp_path / "out"
    arguments = ["--images", str(photos), "--out", str(out)]
    process, port = start(*arguments)
    key = ask(port, "/api/images/0")["key"]
    assert ask(port, f"/api/scenes/{key}/accept", '{"boxes": []}') == {"name": "a.png", "accepted": 1}
    second = [sys.executable, "-m", "unipan", "serve", "--port", "0", *arguments]
    refused = subprocess.run(second, capture_output=True, text=True, check=False)
    assert (refused.returncode, "works there" in refused.stderr) == (1, True), refused.stderr
    process.kill()
    process.wait()
    assert len(CocoPanoptic(out)) == 1
    process, port = start(*arguments, "--json", str(tmp_path / "served.json"))
    key = ask(port, "/api/images/1")["key"]
    assert ask(port, f"/api/scenes/{key}/accept", '{"boxes": []}') == {"name": "b.png", "accepted": 2}
    os.kill(process.pid, signal.SIGTERM)
    printed, _ = process.communicate(timeout=150)
    assert process.returncode == 0
    training = f"unipan train finetune --data {out} --init scenes --data.short-side 0 --minutes 3 --out runs/{out.name}"
    assert f"2 images accepted\n  unipan data check {out}\n  {training}\n" in printed
    served = json.loads((tmp_path / "served.json").read_text())
    assert (served["accepted"], served["next"]) == (["a.png", "b.png"], [f"unipan data check {out}", training])
    assert not (out / LOCK).exists()
    assert len(CocoPanoptic(out)) == 2


def test_beyond_this_machine_the_address_has_a_token(start: Start) -> None:
    process, port = start("--host", "0.0.0.0")
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/api/overview")
    assert connection.getresponse().status == 401
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=150)
    assert process.returncode == 0
