"""What `unipan push` sends: exactly a checkpoint, the graphs beside it, and a card; gathered and checked first."""

import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

from unipan.checkpoint_header import network_digest, packaged_digest, read_arrays, read_header
from unipan.config import Config
from unipan.datasets.panoptic_data import PanopticData
from unipan.exported.graphs import files_beside, own_files_beside
from unipan.files import folder_atomically, read_bytes, write_atomically
from unipan.hub_download import HUB_CHECKPOINT
from unipan.panoptic.categories import Categories
from unipan.publishing.card import CARD, model_card


@dataclass(frozen=True)
class Upload:
    """Files for a repository.

    Attributes:
        repository: owner/name.
        files: on this machine, by their names in the repository.
        card: the text of README.md.
        notes: what whoever sends it should know.
    """

    repository: str
    files: Mapping[str, Path]
    card: str
    notes: list[str]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file, the card included."""
        return {name: path.stat().st_size for name, path in self.files.items()} | {CARD: len(self.card.encode())}


def graph_maker(checkpoint: str, path: Path, data: PanopticData, chosen: Iterable[int]) -> Callable[[Path], object]:
    """What makes the graphs beside a checkpoint, after comparing them with torch.

    Args:
        checkpoint: as the user calls it.
        path: of the checkpoint.
        data: images to compare on.
        chosen: which of them.

    Raises:
        ValueError: graphs cannot lie beside this checkpoint.
        ModuleNotFoundError: the extra `export` is missing.
    """
    if packaged_digest(path) is not None:
        raise ValueError(
            f"push --onnx: the backbone of {checkpoint} lies in a package and not in its file, so that graphs beside "
            "it would have no weights; leave out --onnx"
        )
    import_module("onnxscript")  # of the extra `export`, which brings torch: where both are missing it is named
    from unipan.export.write import export_beside, require_exporter

    require_exporter("onnx")
    return partial(export_beside, data=data, chosen=chosen)


@contextmanager
def gathered(path: Path, repository: str, export: Callable[[Path], object] | None) -> Generator[Upload, None, None]:
    """An upload of a checkpoint.

    Args:
        path: of the checkpoint.
        repository: owner/name.
        export: makes the graphs beside a copy of the checkpoint; None takes those that lie beside it, if any.

    Raises:
        ValueError: the file is no checkpoint, its weights are no numbers, or the graphs beside it are of other weights.
    """
    config, categories, metrics = read_header(path)
    _require_finite(path)
    notes = _notes_on_fit(path, config, categories)
    packaged = packaged_digest(path) is not None
    with tempfile.TemporaryDirectory() as folder:
        if export is not None:
            copy = Path(folder) / HUB_CHECKPOINT
            shutil.copyfile(path, copy)
            export(copy)
            path = copy
        graphs = _graphs_beside(path)
        names = [each.name for each in files_beside(Path(HUB_CHECKPOINT), masks=True)][: len(graphs)]
        files = {HUB_CHECKPOINT: path} | dict(zip(names, graphs, strict=True))
        card = model_card(repository, config, categories, metrics, graphs=bool(graphs), packaged=packaged)
        weights = config.backbone.weights
        named = "/" in weights or "\\" in weights
        notes += [f"the config in the checkpoint names {weights}, for all to read"] * named
        yield Upload(repository, files, card, notes)


def _graphs_beside(path: Path) -> list[Path]:
    """The description and the graphs of a checkpoint, or none.

    Raises:
        ValueError: some are missing, they are of other weights, or they cannot be read.
    """
    files = own_files_beside(path)
    if not files[0].is_file():
        return []
    remedy = "make them again (`unipan export CHECKPOINT --beside`), or remove them"
    if missing := [each.name for each in files if not each.is_file()]:
        raise ValueError(f"push: beside {path.name} there is {files[0].name} without {missing[0]}; {remedy}")
    try:
        network = json.loads(files[0].read_text())["network"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"push: {files[0]} cannot be read ({error}); {remedy}") from error
    if network != network_digest(path):
        raise ValueError(f"push: {files[0]} describes graphs of other weights than {path.name}; {remedy}")
    return list(files)


def _notes_on_fit(path: Path, config: Config, categories: Categories) -> list[str]:
    """Raises ValueError for weights that no network of the config has; a note where that cannot be seen."""
    try:
        from unipan.checkpoint import check_sizes
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision"):
            raise
        return ["whether its weights fit its config was not looked at, which needs unipan[torch]"]
    check_sizes(path, config, categories)
    return []


def _require_finite(path: Path) -> None:
    """Raises ValueError for weights that are no numbers: whoever loads them would be refused."""
    for name, values in read_arrays(path).items():
        if not np.isfinite(values).all():
            raise ValueError(f"checkpoint {path}: {name} holds NaN or infinity; give one of an earlier iteration")


def write_upload(upload: Upload, folder: Path) -> None:
    """Write what would be sent into a new folder, whole or not at all."""
    with folder_atomically(folder, "--dry-run") as place:
        for name, path in upload.files.items():
            write_atomically(place / name, read_bytes(path))
        write_atomically(place / CARD, upload.card.encode())
