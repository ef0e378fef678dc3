"""`unipan train`: data that cannot be trained on, and states that cannot be resumed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.bad_input.case import AS_IT_IS, Case
from tests.bad_input.damage import PNGS, SPECIAL, TEXTS, Bytes, damaged_json, in_place_of, on_file, put
from tests.bad_input.of_checkpoints import WEIGHTS
from tests.bad_input.of_scores import first_png

SMALL = (
    "--backbone.width 8 --backbone.fpn-channels 16 --decoder.channels 8 --decoder.groups 4 --affinity.channels 8 "
    "--affinity.rope 1 --detection.box-features 8 --detection.mask-channels 8 --detection.mask-layers 1 "
    "--train.batch-size 1 --train.validations 1 --train.validation-images 1 --train.precision 32 --data.short-side 0 "
    "--data.crop 0 0 --train.num-workers 0 --init none --accelerator cpu --train.iterations 1"
)  # fmt: skip
TRAIN = ("train", "finetune", "--data", "gt", "--val", "gt", "--out", "run", *SMALL.split())
RESUME = ("train", "finetune", "--data", "gt", "--val", "gt", "--out", "run", "--accelerator", "cpu", "--resume")


def trained(folder: Path, said: str) -> str:
    return "best and last" if (folder / "run" / "best.safetensors").is_file() else "no checkpoint"


BASE = Case("train", AS_IT_IS, TRAIN, ("gt",), makes=("run",), result=trained, torch=True, names="gt")


def training_cases() -> Iterator[Case]:
    yield BASE
    damages: dict[str, Callable[[Path], object]] = {
        name: on_file("gt/panoptic.json", TEXTS[name]) for name in ("empty", "cut in the middle", "a list", "a PNG")
    }
    everything_void = damaged_json(lambda content: [row.update(segments_info=[]) for row in content["annotations"]])
    damages["no segments, but pixels"] = on_file("gt/panoptic.json", everything_void)
    damages["no image"] = on_file("gt/panoptic.json", put("images", []))
    damages["no class"] = on_file("gt/panoptic.json", put("categories", []))
    damages["no stuff"] = on_file("gt/panoptic.json", all_isthing(1))
    damages["no thing"] = on_file("gt/panoptic.json", all_isthing(0))
    damages["void alone"] = lambda folder: (
        [path.write_bytes(PNGS["black"](path.read_bytes())) for path in (folder / "gt" / "panoptic").iterdir()],
        on_file("gt/panoptic.json", everything_void)(folder),
    )
    for name in ("empty", "black", "cut in the middle", "a row less", "one pixel", "16 bits"):
        damages[f"a map: {name}"] = lambda folder, name=name: on_file(
            str(first_png(folder, "gt").relative_to(folder)), PNGS[name]
        )(folder)
    for name in ("empty", "cut in the middle", "a row less", "text", "a bit turned"):
        damages[f"a photograph: {name}"] = lambda folder, name=name: on_file(
            str(sorted((folder / "gt" / "images").iterdir())[0].relative_to(folder)), PNGS[name]
        )(folder)
    for what in ("nothing", "a folder", "a file"):
        damages[f"gt/images: {what}"] = in_place_of("gt/images", what)
    for name, change in damages.items():
        yield replace(BASE, name=f"data: {name}", change=change)
    for what in ("nothing", "a folder", "a pipe"):
        weights = replace(BASE, arguments=_with_init("w.safetensors"), names="w.safetensors")
        yield replace(weights, name=f"--init: {what}", change=in_place_of("w.safetensors", what))
    for name in ("empty", "a pickle that would write", "a web page", "cut in the middle", "a zip"):
        for suffix in ("safetensors", "pth"):
            yield replace(
                BASE,
                name=f"--init .{suffix}: {name}",
                arguments=_with_init(f"w.{suffix}"),
                change=lambda folder, name=name, suffix=suffix: (folder / f"w.{suffix}").write_bytes(
                    WEIGHTS[name](b"weights" * 99)
                ),
                names=f"w.{suffix}",
            )
    yield from resume_cases()


def all_isthing(value: int) -> Bytes:
    return damaged_json(lambda content: [row.update(isthing=value) for row in content["categories"]])


def _with_init(path: str) -> tuple[str, ...]:
    return tuple(path if before == "--init" else word for before, word in zip(("", *TRAIN), TRAIN, strict=False))


STATES: dict[str, Bytes] = {
    name: WEIGHTS[name]
    for name in (
        "empty", "one byte", "cut at a quarter", "cut in the middle", "NUL bytes", "a pickle",
        "a pickle that would write", "a torch file that would write", "a zip", "something behind", "a PNG",
    )
}  # fmt: skip


def with_state(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    """Another content of the state."""

    def damage(folder: Path) -> None:
        import torch

        path = folder / "run" / "resume" / "state.pt"
        state = torch.load(path, weights_only=True)
        torch.save(change(state) or state, path)

    return damage


def resume_cases() -> Iterator[Case]:
    state = "run/resume/state.pt"
    base = replace(BASE, name="--resume", arguments=RESUME, uses=("gt", "run"), names="run|--resume")
    yield base
    for name, damage in STATES.items():
        yield replace(base, name=f"--resume: {name}", change=on_file(state, damage))
    for what in SPECIAL:
        yield replace(base, name=f"--resume: {what}", change=in_place_of(state, what))
    changes = {
        "a list": lambda content: [1],
        "no network": lambda content: content.pop("network") and None,
        "a network of nothing": lambda content: content.update(network={}),
        "no progress": lambda content: content.pop("progress") and None,
        "progress of text": lambda content: content.update(progress="x"),
        "a config of nothing": lambda content: content.update(config={}),
        "another config": lambda content: content["config"]["backbone"].update(width=16),
        "a config of nonsense": lambda content: content["config"]["train"].update(lr="x"),
        "an optimizer of nothing": lambda content: content.update(optimizer={}),
        "an average of text": lambda content: content.update(average="x"),
        "another origin": lambda content: content.update(origin={"data": "other"}),
    }
    for name, change in changes.items():
        yield replace(base, name=f"--resume: a state with {name}", change=with_state(change))
    yield replace(
        base,
        name="--resume: a log of nonsense",
        change=lambda folder: (folder / "run" / "log.csv").write_bytes(b"\0x,\n1"),
    )
    yield replace(base, name="--resume: no log", change=in_place_of("run/log.csv", "nothing"))
    yield replace(
        base,
        name="--resume: other data",
        arguments=tuple(word.replace("gt", "pred") for word in RESUME),
        uses=("gt", "pred", "run"),
    )
    yield replace(BASE, name="a second run in one folder", uses=("gt", "run"), names="--out", about="options")
