"""What can be imported, by its kind: a file of detectron2, a name of torchvision.

Without torch, so that a missing file is reported at once.
"""

from pathlib import Path

from unipan.files import require_weights

TORCHVISION_NAMES = ("maskrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn")


def require_source(kind: str, name: str, file: Path | None = None) -> None:
    """Look whether `from_detectron2(name)` or `from_torchvision(name, file)` has something to import.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a model of torchvision whose layers our detector does not have.
    """
    if kind == "torchvision" and name not in TORCHVISION_NAMES:
        raise ValueError(
            f"torchvision:{name}: only {' and '.join(TORCHVISION_NAMES)} have our detector's layers (the _v2 models "
            "have batch norm in the FPN and four convolutions in the box head); give one of them"
        )
    path = Path(name) if kind == "detectron2" else file
    if path is not None:
        require_weights(path, "a .pkl, .pth or .safetensors file")
