"""Options of every verb: values out of range and of the wrong kind, places that cannot be written, files that would be
lost."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.bad_input.case import Case
from tests.bad_input.of_training import TRAIN

NUMBERS = ("-1", "0", "1.5", "nan", "inf", "x", "", str(10**30))
PLACES = ("text.txt", "text.txt/deep", "gt", "/dev/null/x", "/proc/x/y", "n" * 300)
"""A file of somebody, a file as a folder, a folder of somebody, places that cannot be, a name that is too long.
Those of `--json` are in `of_json.py`."""


@dataclass(frozen=True)
class Verb:
    """A command that works, and its options.

    Attributes:
        arguments: of the command.
        numbers: options that take a number.
        choices: options that take one of a few words.
        places: options that name what is written.
        uses, makes, torch: see `Case`.
    """

    arguments: str
    numbers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    uses: tuple[str, ...] = ("gt", "pred", "text.txt")
    makes: tuple[str, ...] = ("out", "scores.json")
    torch: bool = False


VERBS = (
    Verb("pq gt pred", ("--trim-stuff", "--threads"), (), ("--csv", "--html")),
    Verb("data check gt", (), (), ("--fix",)),
    Verb("data convert gt out", ("--limit",), ("--overlap", "--boxes", "--crowds", "--strays")),
    Verb("data convert png16:png16 out", ("--divisor",), uses=("png16", "text.txt")),
    Verb("data show gt --out out", ("--count",), (), ("--out",)),
    Verb("scenes --out out --count 2", ("--count", "--seed"), (), ("--out",)),
    Verb(
        "predict net.safetensors photos --out out", ("--trim-stuff", "--at-once"),
        ("--fusion", "--submission", "--device", "--overlay-format"),
        ("--out",), ("net.safetensors", "photos", "text.txt", "gt"), torch=True,
    ),
    Verb(
        "evaluate net.safetensors gt --limit 1", ("--detections", "--trim-stuff", "--limit"), ("--fusion", "--device"),
        (), ("net.safetensors", "gt", "text.txt"), torch=True,
    ),
    Verb(
        "affinity net.safetensors photo.png --pixel 3 4 --out map.png", (), ("--device",), ("--out",),
        ("net.safetensors", "photo.png", "text.txt", "gt"), ("map.png",), torch=True,
    ),
    Verb(
        "figures net.safetensors gt --out out", ("--images", "--rows", "--seed"), ("--device", "--upsnet"), ("--out",),
        ("net.safetensors", "gt", "text.txt"), torch=True,
    ),
    Verb(
        "import torchvision:maskrcnn_resnet50_fpn --file text.txt --out new.safetensors", (), (), ("--out",),
        ("text.txt", "gt"), ("new.safetensors",), torch=True,
    ),
    Verb("demo --out out --count 0", ("--count", "--seed0"), (), ("--out",), ("text.txt", "gt"), torch=True),
    Verb(
        "reproduce tableH --from-records --records gt", ("--seeds", "--budget", "--iterations", "--panoptic", "--jobs"),
        ("--accelerator", "--data"), ("--out", "--records"), ("text.txt", "gt"), torch=True,
    ),
    Verb(
        " ".join(TRAIN),
        ("--minutes", "--seed", "--save-minutes", "--devices", "--num-nodes", "--train.iterations", "--train.lr",
         "--train.batch-size", "--data.max-side", "--data.scale", "--decoder.groups", "--loss.semantic",
         "--train.validations", "--train.ema-decay", "--train.panoptic-from"),
        ("--accelerator", "--init", "--backbone.weights", "--train.precision", "--potential.variant", "--val",
         "--data"),
        ("--out",), ("gt", "text.txt"), ("run",), torch=True,
    ),
)  # fmt: skip


def option_cases() -> Iterator[Case]:
    for verb in VERBS:
        yield from _of_verb(verb)
    yield from _lost_files()
    yield from _command_lines()


def _of_verb(verb: Verb) -> Iterator[Case]:
    words = verb.arguments.split()
    door = " ".join(words[: 2 if words[0] == "data" else 1])
    base = Case(door, "", uses=verb.uses, about="options", makes=verb.makes, torch=verb.torch)
    odd: dict[str, tuple[str, ...]] = dict.fromkeys(verb.numbers, NUMBERS)
    odd |= dict.fromkeys(verb.choices, ("", "x", "-1"))
    odd |= dict.fromkeys(verb.places, PLACES)
    for option, values in odd.items():
        for value in values:
            if (door, option, value) in SKIPPED:
                continue
            about = f"{option}|{value[:40]}" if value else option
            # Where a command is refused, the option is named, or the field that it sets.
            about += "|demo" if door == "demo" else ""
            about += {"--val": "|panoptic.json", "--init": "|checkpoint", "--upsnet": "|checkpoint"}.get(option, "")
            about += "|records|finished training" if door == "reproduce" else ""
            names = f"{about}|{option.removeprefix('--').replace('-', '_')}|{option.removeprefix('--')}"
            made = verb.makes if option not in verb.places else ()
            yield replace(
                base,
                name=f"{' '.join(words[len(door.split()) :][:1])} {option} {value[:24]}".strip(),
                arguments=(*_without(words, option), f"{option}={value}"),
                names=names,
                makes=made,
            )


def _without(words: list[str], option: str) -> list[str]:
    """The command line without an option and its value."""
    if option not in words:
        return words
    at = words.index(option)
    return words[:at] + words[at + 2 :]


SKIPPED = {
    ("train", "--minutes", "1.5"),
    ("train", "--train.lr", str(10**30)),
    ("train", "--out", "gt"),
    ("pq", "--html", "gt"),
    ("data show", "--out", "gt"),
    ("figures", "--out", "gt"),
    ("figures", "--seed", "0"),
}
"""What is right and takes long, leaves the numbers that overflowed, or writes beside what is read."""

LOST = {
    "pq gt pred --json gt/panoptic.json": "--json",
    "pq gt pred --json pred/panoptic.json --overwrite": "--json",
    "pq gt pred --csv gt/panoptic/scene_1000000.png": "--csv",
    "data check gt --fix gt": "--fix",
    "data check gt --fix gt/panoptic": "--fix",
    "data check gt --json gt/panoptic.json --overwrite": "--json",
    "data convert gt gt": "gt",
    "data convert gt out.json": "out.json",
    "data show gt --out gt/panoptic.json": "--out",
    "scenes --out gt": "gt",
    "predict net.safetensors gt/images --out gt": "--out",
    "predict net.safetensors gt/images --out gt/images": "--out",
    "predict net.safetensors gt/images --like gt/panoptic.json --out gt": "--out",
    "predict net.safetensors photos --out photos": "--out",
    "evaluate net.safetensors gt --json net.safetensors --overwrite": "--json",
    "evaluate net.safetensors gt --json gt/panoptic.json": "--json",
    "affinity net.safetensors photo.png --pixel 1 1 --out photo.png --overwrite": "--out",
    "affinity net.safetensors photo.png --pixel 1 1 --out out.jpg": "--out",
    "import detectron2:net.safetensors --out net.safetensors": "--out",
}
"""Commands that would write over what they read, and what they have to name."""


def _lost_files() -> Iterator[Case]:
    for line, names in LOST.items():
        words = line.split()
        torch = "net.safetensors" in line or words[0] == "train"
        uses = tuple(
            part
            for part in ("gt", "pred", "photos", "photo.png", "net.safetensors", "text.txt")
            if torch or "net" not in part
        )
        door = " ".join(words[: 2 if words[0] == "data" else 1])
        yield Case(door, line, tuple(words), uses, about="options", names=names, torch=torch)


def _command_lines() -> Iterator[Case]:
    lines = (
        "", "nothing", "--nothing", "pq", "pq gt", "pq gt pred more", "pq gt pred pred",
        "pq gt pred gone --pred-folder pred", "pq gt pred pred --pred-folder pred", "pq gt pred --nothing",
        "pq gt pred --json",
        "data", "data nothing", "data check", "data convert gt", "data convert nothing:gt out",
        "data convert gt nothing:out",
        "data show gt", "scenes", "predict", "predict net.safetensors", "predict gone photos --out out",
        "predict net.safetensors gone --out out", "evaluate", "evaluate gone", "evaluate scenes gone",
        "evaluate scenes scenes:9-3", "evaluate scenes scenes:a-b", f"evaluate scenes scenes:0-{10**30}", "affinity",
        "affinity scenes gt --pixel 1 1 --out map.png", "figures gone", "import", "import nothing",
        "import detectron2:",
        "import torchvision:nothing --out x.safetensors", "import detectron2:gone --out x.safetensors",
        "import detectron2:gt --out x", "reproduce", "reproduce nothing", "reproduce tableH --data gone", "train",
        "train nothing", "train finetune", "train finetune --data gone", "train finetune --data gt --nothing 1",
        "train finetune --data gt --resume --out gone", "train finetune --data gt --init gone",
        "train finetune --data text.txt", "train scenes --data scenes:1000000-1000099", "demo --nothing",
        "predict scenes photos --out out --like gone", "predict scenes photos --out out --submission coco",
        "predict scenes photos --out out --submission cityscapes --csv",
        "predict scenes photos --out out --trim-stuff 9",
    )  # fmt: skip
    for line in lines:
        words = tuple(line.split())
        torch = bool(words) and words[0] in (
            "predict",
            "evaluate",
            "affinity",
            "figures",
            "import",
            "reproduce",
            "train",
            "demo",
        )
        uses = ("gt", "pred", "photos", "text.txt", *(("net.safetensors",) if torch else ()))
        name = line if len(line) < 60 else f"{line[:60]}..."
        yield Case("command line", name or "(nothing)", words, uses, about="options", names="unipan", torch=torch)
