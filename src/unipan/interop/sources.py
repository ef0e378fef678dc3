"""What can be imported, by its kind: a file of detectron2, a name of torchvision."""

from pathlib import Path

from unipan.interop.detectron2 import import_detectron2
from unipan.interop.moves import Imported
from unipan.interop.pickles import read_tensors
from unipan.interop.torchvision import download, import_torchvision, model_of, require_known


def from_detectron2(path: Path) -> Imported:
    """A Panoptic FPN of detectron2's model zoo.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one of those, or cannot be read safely.
    """
    return import_detectron2(read_tensors(path), f"detectron2:{path.name}")


def from_torchvision(name: str, file: Path | None = None) -> Imported:
    """A detector of torchvision with the weights that it publishes, from `file` or downloaded.

    Raises:
        FileNotFoundError: there is no such file, or the download fails.
        ValueError: another model, or weights of another one.
    """
    require_known(name)
    origin = f"torchvision:{name}"
    tensors = download(name) if file is None else read_tensors(file)
    return import_torchvision(model_of(name, tensors, origin), name, origin)
