"""What can be imported, by its kind: a file of detectron2, a name of torchvision.

torch is imported only by the functions that need it, so that a missing file is reported at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from unipan.files import require_weights

if TYPE_CHECKING:
    from unipan.interop.moves import Imported

NAMES = ("maskrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn")


def require_source(kind: str, name: str, file: Path | None = None) -> None:
    """Look whether `from_detectron2(name)` or `from_torchvision(name, file)` has something to import.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a model of torchvision whose layers our detector does not have.
    """
    if kind == "torchvision" and name not in NAMES:
        raise ValueError(
            f"torchvision:{name}: only {' and '.join(NAMES)} have our detector's layers (the _v2 models have batch "
            "norm in the FPN and four convolutions in the box head); give one of them"
        )
    path = Path(name) if kind == "detectron2" else file
    if path is not None:
        require_weights(path, "a .pkl, .pth or .safetensors file")


def from_detectron2(path: Path) -> "Imported":
    """A Panoptic FPN of detectron2's model zoo.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not one of those, or cannot be read safely.
    """
    from unipan.interop.detectron2 import import_detectron2
    from unipan.interop.pickles import read_tensors

    return import_detectron2(read_tensors(path), f"detectron2:{path.name}")


def from_torchvision(name: str, file: Path | None = None) -> "Imported":
    """A detector of torchvision with the weights that it publishes, from `file` or downloaded.

    Raises:
        FileNotFoundError: there is no such file, or the download fails.
        ValueError: another model, or weights of another one.
    """
    require_source("torchvision", name, file)
    from unipan.interop.pickles import read_tensors
    from unipan.interop.torchvision import download, import_torchvision, model_of

    origin = f"torchvision:{name}"
    tensors = download(name) if file is None else read_tensors(file)
    return import_torchvision(model_of(name, tensors, origin), name, origin)
