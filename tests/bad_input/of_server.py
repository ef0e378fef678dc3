"""`unipan serve`: everything that ends before it listens. What it answers is in `of_requests.py`."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import Case
from tests.bad_input.damage import NEUTRAL, SPECIAL, TEXTS, in_place_of, on_file, put, unreadable
from tests.bad_input.of_checkpoints import WEIGHTS
from tests.bad_input.of_options import NUMBERS, PLACES
from unipan.outputs import Outputs
from unipan.server.annotations import WRITTEN

SERVE = ("serve", "net.safetensors", "--port", "0", "--device", "cpu")
USES = ("net.safetensors", "photos", "gt", "text.txt")
REFUSED = Case("serve", "", SERVE, USES, about="options", torch=True)
PORT = 18_359
"""One that `hold_port` takes."""
HELD: list[socket.socket] = []


def hold_port(folder: Path) -> None:
    """Take the port, if nobody has it; for all cases."""
    holder = socket.socket()
    with contextlib.suppress(OSError):
        holder.bind(("127.0.0.1", PORT))
        holder.listen()
        HELD.append(holder)


def server_cases() -> Iterator[Case]:
    yield from _numbers_and_addresses()
    yield from _folders()
    checkpoint = replace(REFUSED, about="input", names="net.safetensors|the checkpoint")
    for name in [*WEIGHTS][1::6]:
        yield replace(checkpoint, name=f"checkpoint: {name}", change=on_file("net.safetensors", WEIGHTS[name]))
    for what in SPECIAL[::2]:
        yield replace(checkpoint, name=f"checkpoint: {what}", change=in_place_of("net.safetensors", what))
    yield replace(checkpoint, name="checkpoint: not ours to read", change=unreadable("net.safetensors"), mortal=True)


def _numbers_and_addresses() -> Iterator[Case]:
    right = {("--port", "0"), *((option, "1.5") for option in ("--megabytes", "--megapixels", "--memory"))}
    for option in ("--port", "--megabytes", "--megapixels", "--memory"):
        for value in (*NUMBERS, "65536"):
            if (option, value) not in right and (value != "65536" or option == "--port"):
                yield replace(REFUSED, name=f"{option} {value[:24]}", arguments=(*SERVE, option, value), names=option)
    for value in ("", "x y", "a..b", "n" * 300, "256.256.256.256", "192.0.2.1", "http://127.0.0.1", "127.0.0.1:80"):
        yield replace(REFUSED, name=f"--host {value[:24]}", arguments=(*SERVE, "--host", value), names="--host")
    for value in ("x", "", "cuda:99", "meta"):
        yield replace(REFUSED, name=f"--device {value}", arguments=(*SERVE, "--device", value), names="--device")
    taken = (*SERVE[:2], "--port", str(PORT))
    yield replace(REFUSED, name="a port that is taken", arguments=taken, names="--port", change=hold_port)
    for more in ("--nothing", "more", "--overwrite"):
        arguments = (*SERVE, *more.split())
        yield replace(REFUSED, name=more, arguments=arguments, names=more.split()[0])


def _folders() -> Iterator[Case]:
    for value in ("gone", "text.txt", "empty", "gone/deep", "/dev/null", "n" * 300, ""):
        yield replace(
            REFUSED, name=f"--images {value[:24]}", arguments=(*SERVE, "--images", value),
            names=f"--images|{value[:40]}: no |file name too long" if value else "--images",
            change=in_place_of("empty", "a folder"),
        )  # fmt: skip
    yield replace(
        REFUSED, name="--images that lead out", arguments=(*SERVE, "--images", "empty"), names="--images",
        change=lambda folder: [
            in_place_of("empty", "a folder")(folder), (folder / "empty" / "a.png").symlink_to("../photos/0.png")
        ],
    )  # fmt: skip
    yield replace(
        REFUSED, name="--images not ours to read", arguments=(*SERVE, "--images", "photos"), names="photos",
        change=unreadable("photos"), mortal=True,
    )  # fmt: skip
    for value in (*PLACES, "net.safetensors", ""):
        yield replace(
            REFUSED,
            name=f"--out {value[:24]}",
            arguments=(*SERVE, "--out", value),
            names=f"--out|{value[:40] or '--out'}",
        )
    for name, images, out in (
        ("the folder of the photographs", "photos", "photos"),
        ("in the folder of the photographs", "photos", "photos/out"),
        ("the photographs' dataset, of somebody", "gt/images", "gt"),
    ):
        arguments = (*SERVE, "--images", images, "--out", out)
        yield replace(REFUSED, name=f"--out is {name}", arguments=arguments, names="--out")
    yield replace(
        REFUSED, name="--out not ours to write", arguments=(*SERVE, "--out", "out"), names="--out", mortal=True,
        change=lambda folder: [in_place_of("out", "a folder")(folder), (folder / "out").chmod(0o555)],
    )  # fmt: skip
    dataset = replace(REFUSED, arguments=(*SERVE, "--out", "gt"), names="gt", makes=("gt/boxes", "gt/.unipan.lock"))
    for name in [*TEXTS][::6]:
        if name not in NEUTRAL:
            change = on_file("gt/panoptic.json", TEXTS[name])
            yield replace(
                dataset, name=f"its dataset: {name}", change=lambda folder, change=change: _ours(folder, change)
            )
    for where, value in (
        ("images", ...), ("images.0.id", "x"), ("images.0.file_name", ...), ("images.0.file_name", None),
        ("annotations", []), ("annotations.0.file_name", 7), ("categories", []), ("categories.0.name", "other"),
    ):  # fmt: skip
        change = on_file("gt/panoptic.json", put(where, value))
        told = "missing" if value is ... else value
        yield replace(
            dataset, name=f"its dataset: {where}: {told}", change=lambda folder, change=change: _ours(folder, change)
        )


def _ours(folder: Path, change: object) -> None:
    """Make `gt` a dataset that an earlier `unipan serve` began, and damage it."""
    Outputs("serve").start_folder(folder / "gt", WRITTEN)
    assert callable(change)
    change(folder)
