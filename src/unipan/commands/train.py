"""`unipan train PRESET`: its options. What they set in motion is in training.py, which imports torch."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Suppress, arg

from unipan.commands.options import Flag
from unipan.config import Config
from unipan.presets import BASELINES, PRESETS, preset, split_baseline

BUILT_IN = ("scenes", "scenes_mask_free")
"""Presets that train on the generator unless told otherwise."""


@dataclass(frozen=True)
class TrainOptions:
    """Train a network; RUN then holds best.safetensors, last.safetensors, resume/, log.csv, notes.txt and tensorboard/.

    Every knob of the preset is an option below. `unipan evaluate RUN/best.safetensors DATA` scores the result.
    """

    data: Annotated[str, arg(metavar="DIR", help_behavior_hint="")] = ""
    """Folder with images/, panoptic/ and panoptic.json; or `scenes`, the built-in generator (`scenes:FIRST-LAST` for
    some of its seeds), which is the default of scenes and scenes_mask_free; the other presets need a DIR."""
    val: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """The same, to validate on; without it every tenth image of DIR is held out (seeds 990000..990099 of scenes)."""
    out: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    """The run's folder; runs/PRESET by default."""
    init: Annotated[str | None, arg(metavar="scenes|imagenet|FILE|none", help_behavior_hint="")] = None
    """Start from a checkpoint of unipan (`scenes` is the bundled one), from ImageNet weights, from a FILE (a
    checkpoint, or ResNet weights with torchvision's names), or from scratch. Default: scenes for finetune, else what
    the preset's --backbone.weights says."""
    minutes: Annotated[float | None, arg(metavar="M", help_behavior_hint="")] = None
    """Measure the steps first and fit the schedule into so many minutes."""
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint="")] = None
    """Short for --train.seed."""
    resume: Flag = False
    """Continue the run in RUN exactly where its last checkpoint was written; its own config is taken."""
    devices: Annotated[int, arg(metavar="N")] = 1
    """Processes of this machine, one for each GPU or group of CPU cores."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    num_nodes: Annotated[int, arg(metavar="N")] = 1
    """Machines that train together."""
    explicit: Annotated[tuple[str, ...], Suppress] = ()
    """Fields of `train` that the command line names; the linear rule leaves them alone."""
    config: Annotated[Config, arg(name="")] = field(default_factory=Config)


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    if not arguments or split_baseline(arguments[0])[0] not in PRESETS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        print(overview(), end="", file=sys.stdout if asked else sys.stderr)
        if arguments and not asked:
            print(
                f"unipan: train: there is no preset {arguments[0]!r}; it comes first, before the options",
                file=sys.stderr,
            )
        return 0 if asked else 2
    options = parse(arguments[0], arguments[1:])
    if not options.data:
        print(f"unipan: train {arguments[0]}: --data DIR is needed, a folder in COCO panoptic format", file=sys.stderr)
        return 2
    from unipan.commands.training import train

    train(options)
    return 0


def parse(name: str, arguments: list[str]) -> TrainOptions:
    """The options of a preset after the command line's changes."""
    default = TrainOptions("scenes" if split_baseline(name)[0] in BUILT_IN else "", config=preset(name))
    options = tyro.cli(TrainOptions, default=default, prog=f"unipan train {name}", args=arguments)
    config = options.config
    if options.seed is not None:
        config = replace(config, train=replace(config.train, seed=options.seed))
    return replace(options, config=config, out=options.out or Path("runs") / name, explicit=named(arguments))


def named(arguments: list[str]) -> tuple[str, ...]:
    """The fields of `train` that stand on a command line: `--train.lr .02` gives lr."""
    options = [word.partition("=")[0] for word in arguments if word.startswith("--train.")]
    return tuple(option.removeprefix("--train.").replace("-", "_") for option in options)


def overview() -> str:
    """What `unipan train --help` prints."""
    presets = "".join(f"  {name:<27}{(make.__doc__ or '').splitlines()[0]}\n" for name, make in PRESETS.items())
    return (
        "usage: unipan train PRESET [--data DIR] [--val DIR] [--out RUN] [--init scenes|imagenet|FILE|none]\n"
        "                           [--minutes M] [--seed S] [--resume] [--devices N] [--field value ...]\n\n"
        f"presets:\n{presets}\n"
        f"and each as a baseline of the paper: PRESET_{', PRESET_'.join(BASELINES)} (scenes_upsnet)\n\n"
        "`unipan train PRESET --help` lists every option and knob with its default in that preset, for example\n"
        "  unipan train scenes --minutes 30\n"
        "  unipan train finetune --data my_photos --data.short-side 384 --train.batch 2\n"
    )
