"""The options of `unipan train`. It does not import torch, so that `--help` and a mistyped option are fast."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Suppress, arg

from unipan.config import Config
from unipan.config_values import SEED, Range, check_value
from unipan.files import checkpoint_path, require_folder, require_weights
from unipan.option_parser import options_of
from unipan.outputs import Outputs
from unipan.presets import preset, split_baseline

RESUME_STATE = Path("resume") / "state.pt"
"""In the folder of a run: what `--resume` continues from."""
RUN_FILES = ("best.safetensors", "last.safetensors", "log.csv", "notes.txt", RESUME_STATE.as_posix())
BUILT_IN = ("scenes", "scenes_mask_free")
"""Presets that train on the scene generator by default."""
MINUTES = Range(0, 60 * 24 * 366, above=True)
PROCESSES = Range(1, 10**4)


@dataclass(frozen=True)
class TrainOptions:
    """Train a network; RUN then holds best.safetensors, last.safetensors, resume/, log.csv, notes.txt and tensorboard/.

    Every field of the preset is an option below. `unipan evaluate RUN/best.safetensors DATA` scores the result.
    """

    data: Annotated[str, arg(metavar="DIR", help_behavior_hint="")] = ""
    """Folder with images/, panoptic/ and panoptic.json; or `scenes`, the built-in generator (`scenes:FIRST-LAST` for
    some of its seeds), which is the default of scenes and scenes_mask_free; the other presets need a DIR."""
    val: Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Data for validation, as for --data; by default every tenth image of DIR is held out (seeds 990000 to 990099 of
    scenes)."""
    out: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="")] = None
    """The run's folder; runs/PRESET by default."""
    init: Annotated[str | None, arg(metavar="scenes|photos|imagenet|FILE|none", help_behavior_hint="")] = None
    """Start from a checkpoint of unipan (`scenes` and `photos` are bundled), from ImageNet weights, from a FILE (a
    checkpoint, or ResNet weights with torchvision's names), or from scratch. Default: for finetune photos where
    unipan[photos] is installed, else scenes; otherwise the preset's --backbone.weights."""
    minutes: Annotated[float | None, arg(metavar="M", help_behavior_hint="")] = None
    """Time a few steps first and fit the schedule to M minutes."""
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint="")] = None
    """Short for --train.seed."""
    resume: Annotated[bool, FlagCreatePairsOff] = False
    """Continue the run in RUN exactly from where its state was last saved, with its own config."""
    save_minutes: Annotated[float, arg(metavar="M")] = 10.0
    """Save the state for --resume at least this often; it is also saved before and after a validation, and when SIGTERM
    or SIGINT stops the run."""
    devices: Annotated[int, arg(metavar="N")] = 1
    """Processes on this machine, one for each GPU or group of CPU cores."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    num_nodes: Annotated[int, arg(metavar="N")] = 1
    """Machines that train together."""
    json_file: Annotated[Path | None, arg(name="json", metavar="[FILE]", help_behavior_hint="")] = None
    """Write the results as JSON, to FILE or to standard output."""
    explicit: Annotated[tuple[str, ...], Suppress] = ()
    """Fields of `train` given on the command line, which the linear scaling rule does not change."""
    explicit_backbone: Annotated[tuple[str, ...], Suppress] = ()
    """Fields of `backbone` given on the command line, which a checkpoint to start from does not change."""
    config: Annotated[Config, arg(name="")] = field(default_factory=Config)

    def __post_init__(self) -> None:
        if self.minutes is not None:
            check_value("--minutes", self.minutes, float, MINUTES)
        if self.seed is not None:
            check_value("--seed", self.seed, int, SEED)
        check_value("--devices", self.devices, int, PROCESSES)
        check_value("--num-nodes", self.num_nodes, int, PROCESSES)


def check_run(options: TrainOptions) -> None:
    """Look, before torch is imported, whether what a run reads is there and whether its folder is free.

    Raises:
        FileNotFoundError: the data, the weights to start from or the run to resume are missing.
        ValueError: nothing may be written to the folder, or a run is there already.
    """
    from unipan.datasets.sources import require_data

    out = options.out or Path("runs")
    if not options.save_minutes > 0:
        raise ValueError(f"--save-minutes {options.save_minutes:g}: give a number above 0")
    require_folder(out, "--out")
    if options.resume:
        resume_state(out)
    else:
        check_folder(out)
        check_init(options.init, options.config)
        check_outputs(options, out)
    for source in (options.data, *([] if options.val is None else [options.val])):
        require_data(source)


def is_first_process() -> bool:
    """Whether this process will be the first of a training, the one that writes: torchrun, srun and Fabric say so."""
    for variable in ("RANK", "SLURM_PROCID"):
        if variable in os.environ:
            return os.environ[variable] == "0"
    return all(os.environ.get(variable, "0") == "0" for variable in ("NODE_RANK", "LOCAL_RANK"))


def check_folder(out: Path) -> None:
    """Raises ValueError rather than write a second run over the first."""
    if not is_first_process():  # others find what the first one has made
        return
    if (out / RESUME_STATE).exists():
        raise ValueError(f"--out {out}: a run is there already; give another folder, or --resume to continue it")
    if any((out / name).exists() for name in ("log.csv", "last.safetensors")):
        raise ValueError(f"--out {out}: a run is there that cannot be continued; give another folder, or remove it")


def check_outputs(options: TrainOptions, out: Path) -> None:
    """Raises ValueError if the run would replace what it reads, or checkpoints that others have put there."""
    from unipan.datasets.sources import paths_read

    if not is_first_process():
        return
    reads = [path for source in (options.data, options.val) if source for path in paths_read(source)]
    weights = (Path(given) for given in (options.init, options.config.backbone.weights) if given)
    reads += [path for path in weights if path.is_file()]  # `scenes` may be the name of a folder here
    outputs = Outputs("train", reads)
    outputs.claim_folder(out, "--out", RUN_FILES)
    outputs.claim_optional(options.json_file, "--json")


def check_init(init: str | None, config: Config) -> None:
    """Look at `--init` or, without it, at `--backbone.weights`.

    Raises:
        FileNotFoundError: it names a file that does not exist.
        ValueError: it needs a checkpoint, and neither the command line nor the preset names one.
    """
    weights = config.backbone.weights
    if weights == "checkpoint" and (
        init in ("imagenet", "none") or (init is None and split_baseline(config.name)[0] != "finetune")
    ):
        raise ValueError(
            "--backbone.weights checkpoint: these are the weights of a checkpoint that --init names; give --init FILE "
            "(or scenes), or leave the option out"
        )
    if init is None:
        if weights not in ("checkpoint", "imagenet", "none"):
            require_weights(Path(weights), "checkpoint, imagenet, none, or a .safetensors or .pth file")
    elif init not in ("imagenet", "none"):
        checkpoint_path(init)


def resume_state(folder: Path) -> Path:
    """The file that a run is resumed from. Raises FileNotFoundError if there is none, ValueError if it is no file."""
    path = folder / RESUME_STATE
    if not path.exists():
        raise FileNotFoundError(
            f"--resume: {path} does not exist; give the --out of an interrupted run (one that ended before its first "
            "step has nothing to continue: leave --resume out)"
        )
    if not path.is_file():
        raise ValueError(f"--resume: {path} is not a file; give the --out of an interrupted run")
    return path


def parse(name: str, arguments: list[str]) -> TrainOptions:
    """The options of a preset with the changes of the command line. Exits with 2 after a mistake, 0 after --help."""
    default = TrainOptions("scenes" if split_baseline(name)[0] in BUILT_IN else "", config=preset(name))
    options = options_of(default, f"unipan train {name}", arguments)
    config = options.config
    if options.seed is not None:
        config = replace(config, train=replace(config.train, seed=options.seed))
    out = options.out or Path("runs") / name
    train, backbone = (given_fields(group, arguments) for group in ("train", "backbone"))
    return replace(options, config=config, out=out, explicit=train, explicit_backbone=backbone)


def given_fields(group: str, arguments: list[str]) -> tuple[str, ...]:
    """The fields of a group of the config that a command line has, `--backbone.no-frozen` as `frozen`."""
    begin = f"--{group}."
    given = [word.partition("=")[0].removeprefix(begin) for word in arguments if word.startswith(begin)]
    return tuple(option.removeprefix("no-").replace("-", "_") for option in given)
