"""`unipan export`: makes the graphs of a checkpoint, compares them with it, and only then writes them."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision

from unipan import __version__
from unipan.checkpoint import load_checkpoint
from unipan.checkpoint_header import network_digest, packaged_digest, read_arrays
from unipan.config import Config
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.sizes import MULTIPLE
from unipan.datasets.sources import use_window
from unipan.export.convert import OPSET, dense_graph, head_graph, mask_graph
from unipan.export.int8 import Int8, calibration_images, feeds, quantise, relative_time
from unipan.export.parity import Parity, compare
from unipan.exported.graphs import (
    DENSE_FILE,
    EXPORT_FILES,
    EXPORT_FORMAT,
    HEAD_FILE,
    MASKS_FILE,
    MODEL_FILE,
    NETWORK_KEY,
    WEIGHT_PREFIX,
    files_beside,
    open_graphs,
)
from unipan.exported.segmenter import ExportedSegmenter
from unipan.files import checkpoint_path, replaced, write_json
from unipan.folder_lock import folder_lock
from unipan.inference import Segmenter
from unipan.outputs import Outputs, signature
from unipan.structures import IMAGENET_MEAN

if TYPE_CHECKING:
    from onnx import ModelProto
else:
    ModelProto = Any


TIMED = 5
"""Images on which 8-bit integers and 32 bits are timed in turn."""
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime")}
"""The packages of each format."""


def require_exporter(format: str) -> None:
    """Raises ModuleNotFoundError where a package that the format needs is missing, before any work."""
    for name in NEEDED[format]:
        import_module(name)


def write_export(
    checkpoint: str | Path,
    out: Path | None,
    outputs: Outputs,
    data: PanopticData,
    chosen: Sequence[int],
    step: Callable[[], object] = lambda: None,
    int8: bool = False,
) -> Parity:
    """`export_folder`, or `export_beside` where no folder is given; `outputs` has claimed the files.

    Raises:
        ValueError: see there; also where another process works in the folder.
    """
    if out is None:
        return export_beside(checkpoint, data, chosen, step)
    with folder_lock(out, "--out"):
        return export_folder(checkpoint, out, data, chosen, step, lambda names: outputs.start_folder(out, names), int8)


@dataclass(frozen=True)
class Graphs:
    """The graphs of a network, and the network.

    Attributes:
        dense: from an image to the cues.
        head: from the cues to Psi and P.
        masks: from the backbone's levels and boxes to masks; None without a mask head.
        segmenter: the network.
        path: its checkpoint.
    """

    dense: ModelProto
    head: ModelProto
    masks: ModelProto | None
    segmenter: Segmenter
    path: Path

    @classmethod
    def of(cls, path: Path) -> "Graphs":
        """Those of a checkpoint, which say in their metadata of which network they are.

        Raises:
            ValueError: see `load_checkpoint`.
        """
        found = load_checkpoint(path)  # as it was trained: the graphs take their weights by their names
        segmenter = Segmenter(found.network, found.config, found.categories, found.metrics, torch.device("cpu"))
        network = segmenter.network
        made = cls(dense_graph(network), head_graph(network), mask_graph(network), segmenter, path)
        for graph in made.by_file.values():
            graph.producer_name, graph.producer_version = signature("export"), __version__  # in the first bytes
            graph.metadata_props.add(key=NETWORK_KEY, value=network_digest(path))
        return made

    @property
    def by_file(self) -> dict[str, ModelProto]:
        """Each graph under the name of its file in the folder of an export."""
        both = {DENSE_FILE: self.dense, HEAD_FILE: self.head}
        return both if self.masks is None else both | {MASKS_FILE: self.masks}

    def facts(self) -> dict[str, Any]:
        """What a runtime needs to know besides config and classes."""
        network = self.segmenter.network
        return {
            "generator": signature("export"),
            "format": EXPORT_FORMAT,
            "network": network_digest(self.path),
            "masks": self.masks is not None,
            "temperature": float(network.temperature.detach()),
            "fill": list(IMAGENET_MEAN),  # as `collate` pads
        }

    def compared(self, place: Path, data: PanopticData, chosen: Iterable[int], step: Callable[[], object]) -> Parity:
        """How the files in a place compare with the network.

        Raises:
            ValueError: not well enough.
        """
        use_window(data, self.segmenter.config.data)
        parity = compare(self.segmenter, _as_its_users_open(place), data, chosen, step)
        parity.require()
        return parity

    def in_int8(self, place: Path, data: PanopticData, chosen: Sequence[int], step: Callable[[], object]) -> Parity:
        """Quantise the dense graph in a folder, and compare it with the network.

        Raises:
            ValueError: that does not pay.
        """
        before, seen = _as_its_users_open(place).graphs, calibration_images(data, chosen)
        config, fill = self.segmenter.config.data, before.fill
        small = quantise(self.dense, feeds(data, seen, config, fill)).SerializeToString()
        (place / DENSE_FILE).write_bytes(small)
        after = _as_its_users_open(place)
        ratio = relative_time(after.graphs.dense, before.dense, list(feeds(data, chosen[:TIMED], config, fill)))
        gain = Int8(len(seen), ratio, len(small) / self.dense.ByteSize())
        gain.require_faster()
        parity = compare(self.segmenter, after, data, chosen, step)
        parity.int8 = gain
        gain.require_alike(parity)
        return parity


def export_folder(
    checkpoint: str | Path,
    out: Path,
    data: PanopticData,
    chosen: Sequence[int],
    step: Callable[[], object] = lambda: None,
    start: Callable[[Sequence[str]], object] = lambda _: None,
    int8: bool = False,
) -> Parity:
    """Write the graphs and `model.json`, which need nothing else.

    Args:
        checkpoint: a file or a bundled name.
        out: folder, made if missing; its files are claimed already.
        data: images for the comparison with torch.
        chosen: which of them.
        step: called after each.
        start: called with the names of the files before the first is written.
        int8: whether convolutions compute in 8-bit integers.

    Raises:
        ValueError: the graphs do not do what the network does, or 8-bit integers do not pay; nothing is written.
    """
    graphs = Graphs.of(checkpoint_path(checkpoint))
    files = [*graphs.by_file, MODEL_FILE]  # the JSON last: without it a folder is no export
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for file, graph in graphs.by_file.items():
            (place / file).write_bytes(graph.SerializeToString())
        write_json(place / MODEL_FILE, _description(graphs, None))
        parity = graphs.compared(place, data, chosen, step)
        if int8:
            parity = graphs.in_int8(place, data, chosen, step)
        write_json(place / MODEL_FILE, _description(graphs, parity), indent=1)
        start(files)
        copy_together({out / file: place / file for file in files})
    for file in set(EXPORT_FILES) - set(files):
        (out / file).unlink(missing_ok=True)  # of an earlier export into this folder, which was claimed
    return parity


def export_beside(
    checkpoint: str | Path, data: PanopticData, chosen: Iterable[int], step: Callable[[], object] = lambda: None
) -> Parity:
    """Write the graphs without weights beside the checkpoint, which has them.

    Args:
        checkpoint, data, chosen, step: see `export_folder`.

    Raises:
        ValueError: as there; also a checkpoint whose backbone lies in a package.
    """
    path = checkpoint_path(checkpoint)
    if packaged_digest(path) is not None:
        raise ValueError(
            f"export: the backbone of {checkpoint} lies in a package and not in its file; give --out DIR in the place "
            "of --beside"
        )
    graphs = Graphs.of(path)
    stored = read_arrays(path)
    weights = {"weights": _leave_weights_out(graphs.dense, stored)}
    if graphs.masks is not None:
        weights["mask_weights"] = _leave_weights_out(graphs.masks, stored)
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        shutil.copyfile(path, copy)
        model, *places = files_beside(copy, graphs.masks is not None)
        write_json(model, graphs.facts() | weights)
        for place, graph in zip(places, graphs.by_file.values(), strict=True):
            place.write_bytes(graph.SerializeToString())
        parity = graphs.compared(copy, data, chosen, step)
        copy_together({path.with_name(made.name): made for made in (*places, model)})
    return parity


def copy_together(sources: Mapping[Path, Path]) -> None:
    """Copy files, by target; none takes its place before all are on the disk, and then they do in this order.

    Raises:
        OSError: one cannot be written, and none was.
    """
    with ExitStack() as stack:
        for path, source in reversed(list(sources.items())):  # a stack ends with what it began with
            shutil.copyfile(source, stack.enter_context(replaced(path, durable=True)))


def _as_its_users_open(place: Path) -> ExportedSegmenter:
    """The network in a folder, or beside a checkpoint, as its users will have it."""
    graphs = open_graphs(place, threads=torch.get_num_threads())
    return ExportedSegmenter(graphs, graphs.categories)


def _leave_weights_out(graph: ModelProto, stored: Collection[str]) -> list[str]:
    """Turn the weights of a graph into references, which a session fills; their names."""
    from onnx import TensorProto

    names = []
    for weight in graph.graph.initializer:
        if weight.name.removeprefix(WEIGHT_PREFIX) in stored:
            names.append(weight.name)
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value="checkpoint")
    return names


def _description(graphs: Graphs, parity: Parity | None) -> dict[str, Any]:
    """The content of `model.json`."""
    import onnx
    import onnxruntime

    config, network = graphs.segmenter.config, graphs.segmenter.network
    return graphs.facts() | {
        "checkpoint": graphs.path.name,
        "made_with": {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "opset": OPSET,
        },
        "input": _input_facts(config)
        | {"mean": network.mean.flatten().tolist(), "std": network.std.flatten().tolist()},
        "thresholds": {"inference.score_threshold": config.inference.score_threshold} | asdict(config.heuristic),
        "parity": None if parity is None else parity.to_json(),
        "metrics": graphs.segmenter.metrics,
        "categories": graphs.segmenter.categories.to_coco(),
        "config": asdict(config),
    }


def _input_facts(config: Config) -> dict[str, Any]:
    return {
        "pixels": "RGB in 0..1, (1, 3, H, W); the graph normalises by mean and std, and padding has the colour fill",
        "resize": "unless short_side is 0, the short side to short_side, within max_side; then, unless pad, each side "
        "to the nearest multiple; with pad, filled up at the bottom and right to the next multiple",
        "size": "height and width of what is no padding",
        "multiple": MULTIPLE,
        "short_side": config.data.short_side,
        "max_side": config.data.max_side,
        "pad": config.data.pad,
        "stride": config.decoder.stride,
    }
