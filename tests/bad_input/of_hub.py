"""`unipan push`, `hf:OWNER/NAME` as a checkpoint, and `unipan predict --ray`: names and addresses that are none, files
that nobody should be sent. The Hub is never reached (`run.py` puts it offline), and no cluster is begun."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import HUGE, SPECIAL, in_place_of, on_file, put, unreadable
from tests.bad_input.of_checkpoints import WEIGHTS
from tests.bad_input.of_images import ALONE
from tests.bad_input.of_options import NUMBERS, PLACES

REPOSITORIES = (
    "", "name", "/name", "owner/", "a/b/c", "../name", "owner/..", "owner/a..b", "owner/a--b", "owner/name.git",
    "owner/na me", "owner/näme", "https://x/owner/name", "hf:owner/name", "-owner/name", "o/" + "n" * 95, "[b]/[x]",
)  # fmt: skip
"""Names that no repository of the Hub has."""
REVISIONS = ("", "..", "../main", "-main", "ma in", "/main", "mäin", "\x1b[31m")


def sent(folder: Path, said: str) -> str:
    """The files of an upload, and how many bytes of weights they hold."""
    names = sorted(path.name for path in (folder / "out").iterdir())
    return f"{' '.join(names)}, {(folder / 'out' / 'model.safetensors').stat().st_size} bytes"


PUSH = Case(
    "push",
    AS_IT_IS,
    ("push", "beside/net.safetensors", "owner/name", "--dry-run", "out"),
    ("beside", "text.txt", "gt"),
    makes=("out",),
    result=sent,
    names="net.safetensors",
)
OFFLINE = replace(ALONE, about="input", names="hf:owner/name", uses=("photo.png", "gt"), makes=(), torch=False)
"""Of a base install too: there it says what to install."""
RAY = replace(ALONE, about="options", names="--ray")


def hub_cases() -> Iterator[Case]:
    yield from _pushes()
    yield from _sources()
    yield from _clusters()


def _pushes() -> Iterator[Case]:
    yield replace(PUSH, torch=True)
    weights = replace(
        PUSH,
        arguments=(PUSH.arguments[0], "net.safetensors", *PUSH.arguments[2:]),
        uses=("net.safetensors",),
        torch=True,
    )
    for name, damage in WEIGHTS.items():
        yield replace(weights, name=f"checkpoint: {name}", change=on_file("net.safetensors", damage))
    for what in SPECIAL:
        yield replace(PUSH, name=f"checkpoint: {what}", change=in_place_of("beside/net.safetensors", what))
    yield replace(PUSH, name="checkpoint: not ours to read", change=unreadable("beside/net.safetensors"), mortal=True)
    for file in ("net.onnx.json", "net.dense.onnx", "net.head.onnx"):
        yield replace(PUSH, name=f"without {file}", change=_without(file), torch=True)
        folder = in_place_of(f"beside/{file}", "a folder")
        yield replace(PUSH, name=f"{file}: a folder", change=folder, names="net.onnx.json", torch=True)
    for value in (None, "0" * 64, []):
        change = on_file("beside/net.onnx.json", put("network", value))
        yield replace(PUSH, name=f"graphs of network {str(value)[:4]}", change=change, names="net.onnx.json")
    yield from _options_of_push()


def _options_of_push() -> Iterator[Case]:
    options = replace(PUSH, about="options")
    for name in REPOSITORIES:
        arguments = (*PUSH.arguments[:2], name, *PUSH.arguments[3:])
        yield replace(options, name=f"to {name[:24]!r}", arguments=arguments, names="repository|OWNER/NAME|argument 2")
    for place in PLACES:
        arguments = (*PUSH.arguments[:4], place)
        yield replace(
            options, name=f"--dry-run {place[:24]}", arguments=arguments, makes=(), names="--dry-run", torch=True
        )
    for number in NUMBERS:
        arguments = (*PUSH.arguments, f"--limit={number}")
        yield replace(
            options, name=f"--limit {number[:24]}", arguments=arguments, names="--limit|limit", torch=number == "0"
        )
    for name, more, names in (
        ("--data without --onnx", ("--data", "gt"), "--data"),
        ("--onnx and data that is gone", ("--onnx", "--data", "gone"), "gone|unipan[export]|unipan[torch]"),
        ("--json over the checkpoint", ("--json", "beside/net.safetensors"), "--json"),
        ("an option that nobody knows", ("--public",), "--public"),
    ):
        yield replace(options, name=name, arguments=(*PUSH.arguments, *more), names=names)
    to_hub = replace(options, arguments=PUSH.arguments[:3], makes=())
    yield replace(to_hub, name="without a token", names="token|unipan[hub]")
    private = (*to_hub.arguments, "--private")
    yield replace(to_hub, name="private, without a token", arguments=private, names="token|unipan[hub]")


def _without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "beside" / file).unlink()


def _sources() -> Iterator[Case]:
    """A checkpoint on the Hub, through every verb that takes one."""
    doors = {
        "predict": ("predict", "{}", "photo.png", "--out", "out"),
        "evaluate": ("evaluate", "{}", "gt", "--limit", "1"),
        "affinity": ("affinity", "{}", "photo.png", "--pixel", "3", "4", "--out", "map.png"),
        "export": ("export", "{}", "--out", "out"),
        "push": ("push", "{}", "owner/other", "--dry-run", "out"),
        "serve": ("serve", "{}", "--device", "cpu"),
    }
    for door, words in doors.items():
        case = replace(OFFLINE, door=door, torch=door != "predict")
        line = tuple("hf:owner/name" if word == "{}" else word for word in words)
        yield replace(case, name="a checkpoint of the Hub, offline", arguments=line)
    for name in REPOSITORIES:
        line = ("predict", f"hf:{name}", "photo.png", "--out", "out")
        yield replace(
            OFFLINE, name=f"a checkpoint called hf:{name[:24]}", arguments=line, names="repository|owner/name"
        )
    for revision in REVISIONS:
        line = ("predict", f"hf:owner/name@{revision}", "photo.png", "--out", "out")
        yield replace(OFFLINE, name=f"revision {revision[:9]!r}", arguments=line, names="revision")
    line = ("train", "finetune", "--data", "gt", "--init", "hf:owner/name", "--out", "run", "--minutes", "1")
    yield replace(OFFLINE, door="train", name="--init of the Hub, offline", arguments=line, torch=True)
    line = ("export", "hf:owner/name", "--beside")
    yield replace(OFFLINE, door="export", name="--beside in the cache of the Hub", arguments=line, torch=True)


def _clusters() -> Iterator[Case]:
    """Without Ray, or with words for it that are wrong: neither is a reason to begin a cluster."""
    line = ("predict", "net.safetensors", "photo.png", "--out", "out")
    for name, more, names in (
        ("--ray-workers without --ray", ("--ray-workers", "2"), "--ray"),
        ("--image-column without --ray", ("--image-column", "x"), "--ray"),
        ("--ray and fewer than no workers", ("--ray", "--ray-workers=-1"), "--ray-workers"),
        ("--ray and a word for workers", ("--ray", "--ray-workers", "x"), "--ray-workers|ray_workers|ray-workers"),
        ("--ray and a huge number of workers", ("--ray", f"--ray-workers={-HUGE}"), "--ray-workers"),
        ("--ray and --submission", ("--ray", "--submission", "cityscapes"), "--ray|--submission|photo.png|unipan[ray]"),
    ):
        yield replace(RAY, name=name, arguments=(*line, *more), names=names, makes=())
    for name, images, out in (
        ("an address without --ray", "s3://bucket/folder", "out"),
        ("an address of nothing without --ray", "://", "out"),
    ):
        words = ("predict", "net.safetensors", images, "--out", out)
        yield replace(RAY, name=name, arguments=words, names="address", makes=())
    words = ("predict", "net.safetensors", "photo.png", "--out", "s3://bucket/out", "--ray")
    yield replace(RAY, name="results at an address", arguments=words, names="--out", makes=())
