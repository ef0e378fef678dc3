"""What `unipan train` can be told. No torch, so that `--help` and a mistyped option cost nothing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Suppress, arg

from unipan.config import Config


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
    resume: Annotated[bool, FlagCreatePairsOff] = False
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
