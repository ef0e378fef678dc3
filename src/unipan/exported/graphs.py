"""Opens the graphs of an exported network in onnxruntime.

They lie in a folder that `unipan export --out DIR` wrote, or beside a checkpoint (`--beside`). The latter have no
weights of their own: they take those of the .safetensors file, so that nothing is stored twice.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unipan.checkpoint_header import config_from_dict, network_digest, read_arrays, read_header
from unipan.config import Config
from unipan.files import checkpoint_path
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
"""The endings of the same files beside a checkpoint, in the place of .safetensors."""
FEATURES = ("p2", "p3", "p4", "p5")
"""Outputs of `dense.onnx` and inputs of `masks.onnx`: the backbone's levels."""
NETWORK_KEY = "unipan.network"
"""The key of a graph's metadata under which the digest of its network is."""
WEIGHT_PREFIX = "network."
"""What the exporter puts in front of the names of weights."""
CPU = ("CPUExecutionProvider",)


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


def has_masks(checkpoint: Path) -> bool:
    """Whether the network of a checkpoint has a mask head, and so a third graph. Raises ValueError as `read_header`."""
    return read_header(checkpoint)[0].detection.masks


def own_files_beside(checkpoint: Path) -> tuple[Path, ...]:
    """`files_beside` for the network that the checkpoint has. Raises ValueError as `read_header`."""
    return files_beside(checkpoint, has_masks(checkpoint))


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
    folder = Path(source)
    if folder.is_dir():
        files, remedy = [folder / name for name in EXPORT_FILES], "export the checkpoint again"
        for path in files[:3]:
            if not path.is_file():
                raise FileNotFoundError(
                    f"checkpoint {folder}: a folder without {path.name}; give a .safetensors file, or the folder of "
                    "`unipan export --out`"
                )
        described = _read_description(files[0], remedy)
        network, arrays = _described_network(described, files[0], remedy), {}
    else:
        checkpoint = checkpoint_path(source)
        files, making = list(files_beside(checkpoint, True)), f"`unipan export {source} --beside`"
        if is_on_hub(source):
            making = f"`unipan push CHECKPOINT {source} --onnx`".replace(HUB_PREFIX, "")
        remedy = f"make its graphs again: {making}"
        if missing := [path.name for path in files[:3] if not path.is_file()]:
            raise FileNotFoundError(
                f"checkpoint {source}: to run without torch it needs {missing[0]} beside it; make that with {making}, "
                "or pip install 'unipan[torch]'"
            )
        network = read_header(checkpoint)
        described = _read_description(files[0], remedy)
        if described["network"] != network_digest(checkpoint):
            raise ValueError(f"{files[0]}: these are the graphs of other weights than {checkpoint.name}; {remedy}")
        arrays = read_arrays(checkpoint)
    _require_providers(providers)

    def opened(path: Path, key: str = "") -> InferenceSession:
        weights = {name: arrays[name.removeprefix(WEIGHT_PREFIX)] for name in described.get(key, ()) if arrays}
        return _opened(path, weights, described["network"], providers, threads, remedy)

    _, dense, head, masks = files
    open_masks = None
    if described.get("masks", False):
        if not masks.is_file():
            raise FileNotFoundError(f"checkpoint {source}: {masks.name} is missing; {remedy}")
        open_masks = partial(opened, masks, "mask_weights")
    red, green, blue = map(float, described["fill"])
    return ExportedGraphs(
        opened(dense, "weights"), opened(head), open_masks, *network,
        float(described["temperature"]), (red, green, blue), remedy,
    )  # fmt: skip


def _read_description(path: Path, remedy: str) -> dict[str, Any]:
    """The description of an export."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        if found.get("format") != EXPORT_FORMAT:
            raise ValueError(f"its format is {found.get('format', 'unknown')}, not {EXPORT_FORMAT}")
        if not isinstance(found["network"], str) or len(found["fill"]) != 3 or not found["temperature"] > 0:
            raise ValueError("its network, fill or temperature is none")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from error
    return found


def _described_network(described: dict[str, Any], path: Path, remedy: str) -> tuple[Config, Categories, dict[str, Any]]:
    """Config, classes and metrics."""
    try:
        classes = Categories.from_coco(described["categories"])
        return config_from_dict(described["config"]), classes, described["metrics"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from error


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
