"""Unified training and inference for panoptic segmentation (Li, Qi, Torr, CVPR 2020).

>>> import unipan
>>> segmenter = unipan.Segmenter.load("scenes")  # doctest: +SKIP
>>> result = segmenter(unipan.draw_scene(4_000_000).image)  # doctest: +SKIP
"""

from importlib import import_module
from importlib.util import find_spec

__version__ = "0.2.0"  # pyproject.toml reads it here; to ask the installed package for it takes 10 ms

TYPE_CHECKING = False  # as type checkers know it; importing typing would take a third of the time of `unipan --help`
if TYPE_CHECKING:
    from unipan.any_detector.checks import numbered_categories
    from unipan.any_detector.fuse import fuse
    from unipan.any_detector.head import PanopticHead
    from unipan.datasets.formats.coco_panoptic import PanopticWriter
    from unipan.datasets.formats.convert import convert_dataset
    from unipan.datasets.formats.format import FormatOptions
    from unipan.datasets.formats.registry import open_dataset
    from unipan.datasets.scenes.generator import draw_scene
    from unipan.evaluation.folder_quality import FolderScores, evaluate_folders
    from unipan.evaluation.panoptic_quality import PanopticQuality
    from unipan.inference import Segmenter
    from unipan.panoptic.categories import Categories
    from unipan.result import PanopticResult
    from unipan.scene import Scene
    from unipan.structures import Detections, Target

_HOMES = {
    "Categories": "unipan.panoptic.categories",
    "Detections": "unipan.structures",
    "FolderScores": "unipan.evaluation.folder_quality",
    "FormatOptions": "unipan.datasets.formats.format",
    "PanopticHead": "unipan.any_detector.head",
    "PanopticQuality": "unipan.evaluation.panoptic_quality",
    "PanopticResult": "unipan.result",
    "PanopticWriter": "unipan.datasets.formats.coco_panoptic",
    "Scene": "unipan.scene",
    "Segmenter": "unipan.inference",
    "Target": "unipan.structures",
    "convert_dataset": "unipan.datasets.formats.convert",
    "draw_scene": "unipan.datasets.scenes.generator",
    "evaluate_folders": "unipan.evaluation.folder_quality",
    "fuse": "unipan.any_detector.fuse",
    "numbered_categories": "unipan.any_detector.checks",
    "open_dataset": "unipan.datasets.formats.registry",
}
"""The module of each public name. They are imported when first asked for (PEP 562): only some of them need torch."""

_WITHOUT_TORCH = {
    "Scene": ("unipan.exported.scene", "ExportedScene"),
    "Segmenter": ("unipan.exported.segmenter", "ExportedSegmenter"),
}
"""What stands for a public name where torch is not installed."""

__all__ = [
    "Categories",
    "Detections",
    "FolderScores",
    "FormatOptions",
    "PanopticHead",
    "PanopticQuality",
    "PanopticResult",
    "PanopticWriter",
    "Scene",
    "Segmenter",
    "Target",
    "__version__",
    "convert_dataset",
    "draw_scene",
    "evaluate_folders",
    "fuse",
    "numbered_categories",
    "open_dataset",
]


def __getattr__(name: str) -> object:
    if name in _WITHOUT_TORCH and find_spec("torch") is None:
        home, stand_in = _WITHOUT_TORCH[name]
        return getattr(import_module(home), stand_in)
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'unipan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
