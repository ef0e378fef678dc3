"""`--json` of every verb: to an input, to a folder, to another output's file, to standard output."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import Case

VERBS = {
    "pq gt pred": "--csv found.json",
    "data check gt": "",
    "data convert gt out": "",
    "data show gt --out out": "",
    "scenes --out out --count 1": "",
    "predict net.safetensors photo.png --out out": "",
    "evaluate net.safetensors gt --limit 1": "",
    "affinity net.safetensors photo.png --pixel 3 4 --out map.png": "--out found.json",
    "figures net.safetensors gt --out out": "",
    "export net.safetensors --out out --data gt --limit 1": "",
    "import torchvision:maskrcnn_resnet50_fpn --file text.txt --out new.safetensors": "--out found.json",
    "demo --out out --count 0": "",
    "serve net.safetensors --port 0 --images gt/images --out out": "",
    "reproduce tableH --from-records --records gt": "",
    "train finetune --data gt --out run --train.iterations 1": "",
}
"""Commands, and an option by which they would write the same file."""
BASE = ("pq", "data", "scenes")
IN_OUT = {"out": "out/found.json", "run": "run/log.json"}
QUICK = ("pq gt pred", "data check gt", "data show gt --out out", "scenes --out out --count 1")
"""What succeeds within a second."""
TARGETS = {
    "a folder": "gt",
    "an input that is no JSON": "text.txt",
    "nothing": "",
    "a device": "/dev/stdout",
    "another suffix": "found.txt",
    "an option": "--overwrite",
    "below a file": "text.txt/found.json",
    "a place that cannot be": "/proc/x/found.json",
    "a name too long": "n" * 300 + ".json",
    "a JSON of somebody": "mine.json",
    "a folder called .json": "folder.json",
}


def prepare(folder: Path) -> None:
    (folder / "mine.json").write_text('{"of": "somebody"}')
    (folder / "folder.json").mkdir()


def json_cases() -> Iterator[Case]:
    for line, twice in VERBS.items():
        words = tuple(line.split())
        door = " ".join(words[: 2 if words[0] == "data" else 1])
        torch = words[0] not in BASE
        uses = ("gt", "pred", "photo.png", "text.txt", *(("net.safetensors",) if torch else ()))
        case = Case(door, "", words, uses, about="options", torch=torch, change=prepare, names="--json")
        targets = TARGETS if door in ("pq", "predict", "data check", "affinity") else dict([*TARGETS.items()][::3])
        for name, target in targets.items():
            if target == "--overwrite" and line not in QUICK:
                continue  # this is --json alone, and succeeds
            if target.startswith("/proc") and door not in ("pq", "data check"):
                continue  # seen when it is written, and the other results stay
            names = f"--json|{target[:40]}" if target else "--json"
            yield replace(
                case, name=f"--json: {name}", arguments=(*words, "--json", target), names=names,
                makes=("out",) if target == "--overwrite" else (),
            )  # fmt: skip
        yield replace(case, name="--json: twice", arguments=(*words, "--json", "a.json", "--json", "b.json"))
        if twice:
            arguments = (*words, "--json", "found.json", *twice.split())
            yield replace(case, name=f"--json and {twice}", arguments=arguments, names="found.json")
        if "gt" in words:
            for more in ((), ("--overwrite",)):
                yield replace(
                    case, name=f"--json: the truth {' '.join(more)}".strip(), names="--json|--overwrite|gt",
                    arguments=(*words, "--json", "gt/panoptic.json", *more),
                )  # fmt: skip
    yield from _to_standard_output()


def _to_standard_output() -> Iterator[Case]:
    for line in QUICK:
        words = tuple(line.split())
        door = " ".join(words[: 2 if words[0] == "data" else 1])
        for target in (("--json",), ("--json", "-"), ("--json=-",)):
            yield Case(
                door, f"to standard output: {' '.join(target)}", (*words, *target), ("gt", "pred"), makes=("out",),
                result=keys, names="gt",
            )  # fmt: skip
    for line in ("pq gt gone --json", "data check gone --json -", "predict gone photo.png --out out --json"):
        words = tuple(line.split())
        door = " ".join(words[: 2 if words[0] == "data" else 1])
        yield Case(door, f"nothing there: {line}", words, ("gt",), names="gone|photo.png", torch=words[0] == "predict")


def keys(folder: Path, said: str) -> str:
    """Standard output has one JSON and nothing else."""
    return ",".join(json.loads(said))
