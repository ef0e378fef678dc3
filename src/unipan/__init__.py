"""Unified training and inference for panoptic segmentation (Li, Qi, Torr, CVPR 2020).

>>> import unipan
>>> segmenter = unipan.Segmenter.load("scenes")  # doctest: +SKIP
>>> result = segmenter("street.jpg")  # doctest: +SKIP
"""

from importlib import import_module

__version__ = "0.2.0"  # pyproject.toml reads it here; to ask the installed package for it takes 10 ms

TYPE_CHECKING = False  # as type checkers know it; importing typing would take a third of the time of `unipan --help`
if TYPE_CHECKING:
    from unipan.datasets.formats.coco_panoptic import PanopticWriter
    from unipan.datasets.formats.format import FormatOptions
    from unipan.datasets.formats.registry import open_dataset
    from unipan.evaluation.folder_quality import FolderScores, evaluate_folders
    from unipan.evaluation.panoptic_quality import PanopticQuality
    from unipan.inference import PanopticResult, Scene, Segmenter

_HOMES = {
    "FolderScores": "unipan.evaluation.folder_quality",
    "FormatOptions": "unipan.datasets.formats.format",
    "PanopticQuality": "unipan.evaluation.panoptic_quality",
    "PanopticResult": "unipan.inference",
    "PanopticWriter": "unipan.datasets.formats.coco_panoptic",
    "Scene": "unipan.inference",
    "Segmenter": "unipan.inference",
    "evaluate_folders": "unipan.evaluation.folder_quality",
    "open_dataset": "unipan.datasets.formats.registry",
}
"""The module of each public name. They are imported when first asked for (PEP 562): only some of them need torch."""

__all__ = [
    "FolderScores",
    "FormatOptions",
    "PanopticQuality",
    "PanopticResult",
    "PanopticWriter",
    "Scene",
    "Segmenter",
    "__version__",
    "evaluate_folders",
    "open_dataset",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'unipan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
