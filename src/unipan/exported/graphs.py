"""Opens the graphs of an exported network in onnxruntime.

They lie in a folder that `unipan export --out DIR` wrote, or beside a checkpoint (`--beside`). The latter have no
weights of their own: they take those of the .safetensors file, so that nothing is stored twice.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from unipan.checkpoint_header import config_from_dict, network_digest, packaged_digest, read_arrays, read_header
from unipan.config import Config
from unipan.files import checkpoint_path, is_export
from unipan.hub_download import HUB_PREFIX, is_on_hub
from unipan.panoptic.categories import Categories

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
else:
    InferenceSession = Any

EXPORT_FORMAT = "unipan-onnx-1"
MODEL_FILE, DENSE_FILE, HEAD_FILE, MASKS_FILE = "model.json", "dense.onnx", "head.onnx", "masks.onnx"
EXPORT_FILES = (MODEL_FILE, DENSE_FILE, HEAD_FILE, MASKS_FILE)
"""The files in the folder of an export; networks without masks have no `masks.onnx`."""
BESIDE = (".onnx.json", ".dense.onnx", ".head.onnx", ".masks.onnx")
"""The endings of the same files beside a checkpoint, instead of .safetensors."""
FEATURES = ("p2", "p3", "p4", "p5")
"""Outputs of `dense.onnx` and inputs of `masks.onnx`: the backbone's levels."""
NETWORK_KEY = "unipan.network"
"""The key of a graph's metadata under which the digest of its network is."""
WEIGHT_PREFIX = "network."
"""What the exporter puts in front of the names of weights."""
CPU = ("CPUExecutionProvider",)
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True, eq=False)
class ExportedGraphs:
    """An exported network, opened.

    Attributes:
        dense: from an image to the cues, and to the backbone's levels where there is a mask head.
        head: from the cues to Psi and P.
        open_masks: opens the graph from the backbone's levels and boxes to masks; None without one.
        config: of the network.
        categories: its classes.
        metrics: what it scored when it was saved.
        temperature: the learned factor on P before a softmax.
        fill: the colour of padding, RGB in 0..1.
        remedy: what to do where a graph is missing, for messages.
    """

    dense: InferenceSession
    head: InferenceSession
    open_masks: Callable[[], InferenceSession] | None
    config: Config
    categories: Categories
    metrics: dict[str, Any]
    temperature: float
    fill: tuple[float, float, float]
    remedy: str

    @cached_property
    def masks(self) -> InferenceSession | None:
        """The graph of `open_masks`, which few need: opened when it is first asked for."""
        return None if self.open_masks is None else self.open_masks()


def files_beside(checkpoint: Path, masks: bool) -> tuple[Path, ...]:
    """Where the description and the graphs of a checkpoint are that take its weights; `masks` as in `has_masks`."""
    return tuple(checkpoint.with_name(checkpoint.stem + ending) for ending in BESIDE[: 3 + masks])


def graph_files(source: str | Path) -> list[Path]:
    """The description and the graphs that run an export folder, a bundled name, or a .safetensors file."""
    if is_export(source):
        places = [Path(source) / name for name in EXPORT_FILES]
    else:
        places = list(files_beside(checkpoint_path(source), masks=True))
    return [path for path in places if path.is_file()]


def has_masks(checkpoint: Path) -> bool:
    """Whether the network of a checkpoint has a mask head, and so a third graph. Raises ValueError as `read_header`."""
    return read_header(checkpoint)[0].detection.masks


def own_files_beside(checkpoint: Path) -> tuple[Path, ...]:
    """`files_beside` for the network that the checkpoint has. Raises ValueError as `read_header`."""
    return files_beside(checkpoint, has_masks(checkpoint))


def check_same_network(folder: Path, checkpoint: Path, overwrite: bool) -> None:
    """Look, before a checkpoint is exported into a folder, whether the export of another network would be lost.

    Raises:
        ValueError: it would, or the checkpoint is damaged. A description that cannot be read is no export.
    """
    try:
        there = json.loads((folder / MODEL_FILE).read_bytes())["network"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if not overwrite and there != network_digest(checkpoint):
        raise ValueError(
            f"--out {folder}: the export of another network is there; give another folder, or --overwrite to replace it"
        )


def open_graphs(source: str | Path, providers: Sequence[str] = CPU, threads: int = 0) -> ExportedGraphs:
    """The graphs of an export folder, of a bundled name, or beside a .safetensors file.

    Args:
        source: of the network.
        providers: of onnxruntime, best first.
        threads: for one operation; 0 takes all cores.

    Raises:
        FileNotFoundError: there are none.
        ValueError: files that do not belong together, or are of another version.
    """
    place = _in_folder(Path(source)) if is_export(source) else _beside_checkpoint(source)
    _require_providers(providers)
    described = place.described

    def opened(path: Path, names: Sequence[str] = ()) -> InferenceSession:
        weights = {name: place.arrays[name.removeprefix(WEIGHT_PREFIX)] for name in names if place.arrays}
        return _opened(path, weights, described.network, providers, threads, place.remedy)

    description, dense, head, masks = place.files
    open_masks = None
    if described.masks:
        if not masks.is_file():
            raise FileNotFoundError(f"checkpoint {source}: {masks.name} is missing; {place.remedy}")
        open_masks = partial(opened, masks, described.mask_weights)
    graphs = ExportedGraphs(
        opened(dense, described.weights), opened(head), open_masks, *place.network,
        described.temperature, described.fill, place.remedy,
    )  # fmt: skip
    if reason := _mismatch(graphs):
        raise ValueError(f"{description}: it does not fit the graphs beside it, {reason}; {place.remedy}")
    return graphs


class _Description(msgspec.Struct):
    """What a runtime reads of the description of an export; there is more in it, for people."""

    network: str
    fill: tuple[_Share, _Share, _Share]
    temperature: Annotated[float, msgspec.Meta(gt=0, lt=1e6)]
    masks: bool = False
    weights: list[str] = []
    mask_weights: list[str] = []
    categories: Any = None
    config: Any = None
    metrics: dict[str, Any] = {}


@dataclass(frozen=True)
class _Place:
    """Where an export lies, and what it says.

    Attributes:
        files: description, dense graph, head, masks; the last may be missing.
        described: what the first says.
        network: config, classes and metrics.
        arrays: the weights that the graphs take from a checkpoint; none in a folder of its own.
        remedy: what to do where something does not fit.
    """

    files: Sequence[Path]
    described: _Description
    network: tuple[Config, Categories, dict[str, Any]]
    arrays: Mapping[str, np.ndarray]
    remedy: str


def _in_folder(folder: Path) -> _Place:
    files, remedy = [folder / name for name in EXPORT_FILES], "export the checkpoint again"
    for path in files[:3]:
        if not path.is_file():
            raise FileNotFoundError(
                f"checkpoint {folder}: a folder without {path.name}; give a .safetensors file, or the folder of "
                "`unipan export --out`"
            )
    described = _read_description(files[0], remedy)
    return _Place(files, described, _described_network(described, files[0], remedy), {}, remedy)


def _require_graphs(source: str | Path, checkpoint: Path, files: Sequence[Path], making: str) -> None:
    """Raises FileNotFoundError where a graph is missing beside a checkpoint, which says how it is made."""
    missing = [path.name for path in files if not path.is_file()]
    if not missing:
        return
    what = f"it needs {missing[0]} beside it; make that with {making}"
    read_header(checkpoint)  # a damaged checkpoint is named as one
    if packaged_digest(checkpoint) is not None:  # graphs beside it would lack the package's weights
        command = f"unipan export {shlex.quote(str(source))} --out DIR"
        what = f"export it, as its backbone lies in a package: `{command}`, and give DIR"
    raise FileNotFoundError(f"checkpoint {source}: to run without torch {what}, or pip install 'unipan[torch]'")


def _beside_checkpoint(source: str | Path) -> _Place:
    checkpoint = checkpoint_path(source)
    files, making = files_beside(checkpoint, True), f"`unipan export {shlex.quote(str(source))} --beside`"
    if is_on_hub(source):
        making = f"`unipan push CHECKPOINT {source} --onnx`".replace(HUB_PREFIX, "")
    remedy = f"make its graphs again: {making}"
    _require_graphs(source, checkpoint, files[:3], making)
    network = read_header(checkpoint)
    described = _read_description(files[0], remedy)
    if described.network != network_digest(checkpoint):
        raise ValueError(f"{files[0]}: these are the graphs of other weights than {checkpoint.name}; {remedy}")
    arrays = read_arrays(checkpoint)
    for name in (*described.weights, *described.mask_weights):
        if name.removeprefix(WEIGHT_PREFIX) not in arrays:
            raise ValueError(f"{files[0]}: {checkpoint.name} has no weights called {name}; {remedy}")
    return _Place(files, described, network, arrays, remedy)


def _read_description(path: Path, remedy: str) -> _Description:
    """The description of an export."""
    try:
        found = json.loads(path.read_bytes())
        if found.get("format") != EXPORT_FORMAT:
            raise ValueError(f"its format is {found.get('format', 'unknown')}, not {EXPORT_FORMAT}")
        return msgspec.convert(found, _Description)
    except (ValueError, AttributeError, RecursionError) as error:  # an AttributeError where it is no table
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from error


def _described_network(described: _Description, path: Path, remedy: str) -> tuple[Config, Categories, dict[str, Any]]:
    """Config, classes and metrics."""
    try:
        classes = Categories.from_coco(described.categories)
        return config_from_dict(described.config), classes, described.metrics
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from error


def _mismatch(graphs: ExportedGraphs) -> str | None:
    """Why dense graph and head are not those of a config and its classes, as far as their inputs and outputs tell."""
    inputs, outputs = ({each.name for each in side} for side in (graphs.dense.get_inputs(), graphs.dense.get_outputs()))
    if inputs != {"pixels", "size"} or not outputs >= {"semantic", "boxes", "scores", "classes"}:
        return "of which the first makes no cues of an image"
    made = {each.name for each in graphs.head.get_outputs()}
    if "potential" not in made or not {each.name for each in graphs.head.get_inputs()} <= outputs:
        return "of which the second makes no Psi of what the first one finds"
    if graphs.config.affinity.enabled != ("panoptic" in made):
        return "which do not have the affinity head that it describes"
    [semantic] = (each for each in graphs.dense.get_outputs() if each.name == "semantic")
    if isinstance(semantic.shape[0], int) and semantic.shape[0] != len(graphs.categories):
        return f"which know {semantic.shape[0]} classes and not {len(graphs.categories)}"
    return None


def _require_providers(providers: Sequence[str]) -> None:
    """Raises ValueError for a provider that this build of onnxruntime lacks."""
    import onnxruntime

    here = onnxruntime.get_available_providers()
    if unknown := [name for name in providers if name not in here]:
        raise ValueError(
            f"onnxruntime: this build has no {unknown[0]}, only {', '.join(here)}; install the onnxruntime package of "
            "your hardware"
        )


def _opened(
    path: Path, weights: Mapping[str, np.ndarray], network: str, providers: Sequence[str], threads: int, remedy: str
) -> InferenceSession:
    """One graph with weights from outside, if it is of the network that is described."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of each constant that it cannot fold
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False  # it keeps what the largest image took
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in weights.items()}
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    try:
        session = ort.InferenceSession(path, options, providers=list(providers))
    except Exception as error:  # its exceptions have no common class
        if isinstance(error, MemoryError):
            raise
        raise ValueError(f"{path}: onnxruntime cannot open it ({_first_words(error)}); {remedy}") from error
    if session.get_modelmeta().custom_metadata_map.get(NETWORK_KEY) != network:
        raise ValueError(f"{path}: this graph is not of the network that is described beside it; {remedy}")
    return session


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
