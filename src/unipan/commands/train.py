"""`unipan train PRESET`; its options are in `training.options`."""

from collections.abc import Callable
from typing import Any

from unipan.commands.json_output import json_output, with_json_target
from unipan.outputs import signature
from unipan.presets import BASELINES, PRESETS, split_baseline
from unipan.terminal import tell
from unipan.training.options import check_run, parse


def main(arguments: list[str]) -> int:
    """Parse and run; returns the exit code."""
    if not arguments or split_baseline(arguments[0])[0] not in PRESETS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        tell(*overview().rstrip("\n").splitlines(), error=not asked)
        if arguments and not asked:
            tell(f"unipan: train: there is no preset {arguments[0]!r}; it precedes the options", error=True)
        return 0 if asked else 2
    given = with_json_target(arguments)
    with json_output(given) as write:
        return _train_preset(given, write)


def _train_preset(arguments: list[str], write: Callable[[dict[str, Any]], object]) -> int:
    options = parse(arguments[0], arguments[1:])
    if not options.data:
        tell(f"unipan: train {arguments[0]}: --data DIR is needed, a folder in COCO panoptic format", error=True)
        return 2
    check_run(options)
    from unipan.training.session import train

    if (found := train(options)) is not None:
        write({"generator": signature("train"), **found})
    return 0


def overview() -> str:
    """What `unipan train --help` prints."""
    presets = "".join(f"  {name:<27}{(make.__doc__ or '').splitlines()[0]}\n" for name, make in PRESETS.items())
    return (
        "usage: unipan train PRESET [--data DIR] [--val DIR] [--out RUN] [--init scenes|photos|imagenet|FILE|none]\n"
        "                           [--minutes M] [--seed S] [--resume] [--devices N] [--field value ...]\n\n"
        f"presets:\n{presets}\n"
        f"and each as a baseline of the paper: PRESET_{', PRESET_'.join(BASELINES)} (scenes_upsnet)\n\n"
        "`unipan train PRESET --help` lists every option with its default in that preset. Examples:\n"
        "  unipan train scenes --minutes 30\n"
        "  unipan train finetune --data my_photos --data.short-side 384 --train.batch-size 2\n"
    )
