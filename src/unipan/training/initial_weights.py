"""What `--init` and `--backbone.*` say together: the config of a run, and the checkpoint that it starts from."""

from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unipan.build import require_kept_weights
from unipan.checkpoint import claims_to_be_ours, require_backbone
from unipan.checkpoint_header import read_header
from unipan.config import BackboneConfig, Config
from unipan.files import bundled_checkpoints, checkpoint_path
from unipan.hub_download import is_on_hub
from unipan.models.pretrained import check_width
from unipan.models.timm_weights import has_package
from unipan.presets import preset, split_baseline

PHOTOS = "photos"
"""The bundled checkpoint whose backbone comes with a package."""


def with_init(config: Config, init: str | None, given: Collection[str] = ()) -> tuple[Config, str | None]:
    """The config after `--init`, and the checkpoint of unipan to start from, if it is one.

    Args:
        config: the preset's with the changes of the command line.
        init: `--init`, None where it was not given.
        given: fields of `backbone` that the command line has, also those that repeat the preset's value.

    Raises:
        FileNotFoundError: a file that does not exist.
        ValueError: ImageNet weights for a network width that has none, or a start with another backbone than asked for.
    """
    if init is None and starts_from_bundled(config, given):
        init = start_of_finetune()
        return with_backbone_of(config, init, given, f"the start of {config.name} is the checkpoint {init}"), init
    if init == "none":
        config = replace(config, backbone=replace(config.backbone, weights="none", frozen=False))
    elif init not in (None, "imagenet") and (
        init in bundled_checkpoints() or is_on_hub(init) or _is_checkpoint(checkpoint_path(init))
    ):
        return with_backbone_of(config, init, given, f"--init {init}"), init
    elif init is not None:
        # From pretrained ResNet weights: frozen batch norm and a frozen stem (Sec. 4).
        frozen = config.backbone.frozen if "frozen" in given else True
        config = replace(config, backbone=replace(config.backbone, weights=init, frozen=frozen))
    require_kept_weights(config.backbone)
    if config.backbone.weights == "imagenet" and config.backbone.network == "resnet":
        check_width(config.backbone.width)
    return config, None


def starts_from_bundled(config: Config, given: Collection[str] = ()) -> bool:
    """Whether a run without `--init` starts from a bundled checkpoint: `finetune`, unless weights are named."""
    weights = config.backbone.weights
    unnamed = weights == "checkpoint" or (weights == "none" and "weights" not in given)
    return split_baseline(config.name)[0] == "finetune" and unnamed


def start_of_finetune() -> str:
    """The bundled checkpoint that `finetune` starts from: that of photographs where its backbone is installed."""
    return PHOTOS if PHOTOS in bundled_checkpoints() and has_package(_backbone_of(PHOTOS).network) else "scenes"


def describe_missing_start(config: Config, init: str | None, given: Collection[str] = ()) -> str:
    """A line where `finetune` would start from another checkpoint if its extra were installed, else ""."""
    if init is not None or not starts_from_bundled(config, given) or start_of_finetune() == PHOTOS:
        return ""
    if PHOTOS not in bundled_checkpoints():
        return ""
    return "pip install 'unipan[photos]' brings a start that has seen photographs, which helps where they are few"


def with_backbone_of(config: Config, init: str, given: Collection[str] = (), start: str = "") -> Config:
    """The config with the backbone of the checkpoint that it starts from, apart from what the command line gives.

    `finetune` takes the checkpoint's own, but keeps what its baseline removes. A backbone that is pretrained on
    photographs keeps its batch norm and its first layers, as in the paper, unless the command line says otherwise.

    Raises:
        ValueError: the command line, or a preset with a backbone of its own, asks for another one; names `start`.
    """
    own, theirs = config.backbone, _backbone_of(init)
    default, base = preset(config.name).backbone, preset(split_baseline(config.name)[0]).backbone
    asked = {
        name: value
        for name, value in asdict(own).items()
        if name in given or value != getattr(default, name) or value != getattr(base, name)
    }
    if split_baseline(config.name)[0] == "finetune":
        require_backbone(start or f"--init {init}", theirs, asked)
        held: dict[str, Any] = {"weights": own.weights, "frozen": own.frozen, "fixed": own.fixed}
        if theirs.network != "resnet":
            held = {"weights": "checkpoint", "frozen": asked.get("frozen", True), "fixed": asked.get("fixed", False)}
        own = replace(theirs, **{name: asked[name] for name in asked if name == "se_reduction"}, **held)
    if own.weights == "none" and (own.frozen or own.fixed):
        own = replace(own, weights="checkpoint")  # which are there to be kept
    return replace(config, backbone=own)


def _backbone_of(checkpoint: str) -> BackboneConfig:
    return read_header(checkpoint_path(checkpoint))[0].backbone


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of unipan. Raises ValueError if it is one that cannot be opened."""
    if not claims_to_be_ours(path):
        return False
    read_header(path)
    return True
