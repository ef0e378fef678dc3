"""Unified training and inference for panoptic segmentation (Li, Qi, Torr, CVPR 2020).

>>> import unipan
>>> segmenter = unipan.Segmenter.load("scenes")  # doctest: +SKIP
>>> result = segmenter("street.jpg")  # doctest: +SKIP
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unipan.inference import PanopticResult, Scene, Segmenter

__all__ = ["PanopticResult", "Scene", "Segmenter", "__version__"]


def __getattr__(name: str) -> Any:
    # Public names are imported when first asked for (PEP 562): torch alone takes seconds.
    if name == "__version__":
        try:
            return version("unipan")
        except PackageNotFoundError:
            return "0+unknown"
    if name in __all__:
        return getattr(import_module("unipan.inference"), name)
    raise AttributeError(f"module 'unipan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
