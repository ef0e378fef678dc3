"""`unipan.fuse`: the outputs of any detector and any semantic segmentation, as one panoptic map.

NumPy arrays are fused in NumPy, tensors by the modules of `models/` and `fusion/`, which are the reference.

Legend: D detections, L classes (things first), C affinity channels, h w the grid of V, H W the image.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from unipan.any_detector.checks import FusionInput, checked_input
from unipan.config import Fusion, HeuristicConfig, UpsnetConfig
from unipan.config_values import SHARE, check_value
from unipan.numpy_fusion.array_fusions import argmax_map, heuristic_map, upsnet_map
from unipan.numpy_fusion.psi import PsiVariant, affinity_of, potential_of
from unipan.panoptic.categories import Categories
from unipan.panoptic.images import as_rgb, read_image
from unipan.panoptic.maps import PanopticMap
from unipan.result import PanopticResult

if TYPE_CHECKING:
    from torch import Tensor

    ArrayLike = np.ndarray | Tensor | Sequence[Any]
else:
    ArrayLike = Any

LARGEST_BOX_MASK = 64
"""Side of the largest square masks that are taken for masks inside boxes (28 in Mask R-CNN) when nobody says it."""
NO_IMAGE = 255
"""Grey value of the picture that overlays are drawn on where no image was given."""


def fuse(
    semantic: ArrayLike,
    boxes: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    masks: ArrayLike | None = None,
    queries: ArrayLike | None = None,
    categories: Categories | int | None = None,
    *,
    whole_masks: bool | None = None,
    size: tuple[int, int] | None = None,
    image: ArrayLike | None = None,
    name: str = "image",
    fusion: str | None = None,
    variant: str = "B",
    score_threshold: float = 0.5,
    heuristic: HeuristicConfig | None = None,
    upsnet: UpsnetConfig | None = None,
) -> PanopticResult:
    """Fuse detections and a semantic segmentation of one image into a panoptic map; nothing is trained.

    NumPy is enough; if any argument is a tensor, torch computes, on its device.

    Args:
        semantic: V, logits (or log probabilities) of every class, things first: (L, H, W), or (L, h, w) with `size`.
        boxes: (D, 4), x0 y0 x1 y1 in pixels of the image, the ends exclusive.
        scores, classes: (D,), 0..1, and whole numbers from 0, without background.
        masks: logits, or True and False, as which whole numbers 0 and 1, or 0 and 255, count: (D, m, m) inside each box
            (Mask R-CNN), or (D, H', W') on the whole image at any resolution (DETR), which the box cuts off. See
            `whole_masks`.
        queries: Q, (C, h', w') of any resolution: P = Psi + A Psi with the dot products Q_p . Q_j as affinities (phi0
            and phi1 are the identity, normalised as by default). Their scale is how far to trust them.
        categories: the classes, or how many are things; by default as many as `classes` of this image need.
        whole_masks: by default, masks that are square, at most 64 x 64, and not of the image's size are inside boxes.
        size: (H, W) of the image; by default that of `semantic`.
        image, name: what `overlay()` draws on, as `Segmenter` takes it (white by default), and what it is called.
        fusion: `affinity` (default with queries), `potential` (default without), `heuristic` or `upsnet`.
        variant: of Psi. A: V + M, both logits. B: s V M. C: s (V + M). Without masks, V or s V.
        score_threshold: detections below it do not enter Psi.
        heuristic, upsnet: thresholds of these two fusions.

    Raises:
        ValueError: arguments that do not agree, or a fusion without the masks or queries that it needs.
    """
    if not isinstance(whole_masks, bool | None):
        raise ValueError(f"fuse: whole_masks is {whole_masks!r}; give True, False or None")
    given = checked_input(semantic, boxes, scores, classes, masks, queries, categories, size)
    check_value("fuse: score_threshold", score_threshold, float, SHARE)
    for thresholds, kind in ((heuristic, HeuristicConfig), (upsnet, UpsnetConfig)):
        if not isinstance(thresholds, kind | None):
            raise ValueError(f"fuse: {type(thresholds).__name__} is no kind of thresholds; give a {kind.__name__}")
    given = replace(given, found=replace(given.found, whole=_are_whole(given, whole_masks)))
    picture, limits = _picture(image, given.size), (heuristic or HeuristicConfig(), upsnet or UpsnetConfig())
    rest = (_checked_fusion(given, fusion), _checked_variant(variant), score_threshold, *limits)
    device = _torch_device(semantic, boxes, scores, classes, masks, queries)
    merged = _fuse_arrays(given, *rest) if device is None else _fuse_tensors(device, given, *rest)
    return PanopticResult(merged.ids, merged.segments, picture, name)


def _fuse_tensors(
    device: Any,
    given: FusionInput,
    fusion: Fusion,
    variant: PsiVariant,
    score_threshold: float,
    heuristic: HeuristicConfig,
    upsnet: UpsnetConfig,
) -> PanopticMap:
    from unipan.any_detector.tensor_fusion import fuse_tensors

    return fuse_tensors(given, fusion, variant, score_threshold, heuristic, upsnet, device)


def _fuse_arrays(
    given: FusionInput,
    fusion: Fusion,
    variant: PsiVariant,
    score_threshold: float,
    heuristic: HeuristicConfig,
    upsnet: UpsnetConfig,
) -> PanopticMap:
    found, v, categories, size = given.found, given.semantic, given.categories, given.size
    if fusion == "heuristic":
        return heuristic_map(v, found, categories, heuristic, size)
    if fusion == "upsnet":
        return upsnet_map(v, found, categories, upsnet, heuristic.min_stuff_area, size)
    found = found[found.scores >= np.float32(score_threshold)]
    if len(found) + len(categories.stuff) == 0:
        return PanopticMap(np.zeros(size, np.int32), ())
    on_grid = replace(found, boxes=found.boxes * _cells_per_pixel(given))
    channels = potential_of(v, on_grid, len(categories.things), variant)
    if fusion == "affinity":
        assert given.queries is not None
        channels = affinity_of(channels, given.queries)
    return argmax_map(channels, found, categories, size)


def _cells_per_pixel(given: FusionInput) -> np.ndarray:
    (height, width), (rows, columns) = given.size, given.semantic.shape[1:]
    return np.array([columns / width, rows / height] * 2, np.float32)


def _checked_fusion(given: FusionInput, fusion: str | None) -> Fusion:
    chosen: object = fusion or ("potential" if given.queries is None else "affinity")
    if chosen not in get_args(Fusion):
        raise ValueError(f"fuse: fusion {chosen!r} is unknown; choose from {', '.join(get_args(Fusion))}")
    if chosen == "affinity" and given.queries is None:
        raise ValueError("fuse: fusion affinity needs queries; give them, or use the fusion potential")
    if chosen in ("heuristic", "upsnet") and given.found.masks is None and len(given.found):
        raise ValueError(f"fuse: fusion {chosen} needs masks; give them, or use the fusion potential")
    if chosen == "upsnet" and not given.categories.things:
        raise ValueError("fuse: fusion upsnet needs thing classes, but there are none; use the fusion potential")
    return cast(Fusion, chosen)


def _checked_variant(variant: str) -> PsiVariant:
    if variant not in get_args(PsiVariant):
        raise ValueError(f"fuse: variant {variant!r} is unknown; choose from {', '.join(get_args(PsiVariant))}")
    return cast(PsiVariant, variant)


def _are_whole(given: FusionInput, said: bool | None) -> bool:
    masks = given.found.masks
    if masks is None or said is not None:
        return bool(said)
    height, width = masks.shape[1:]
    return height != width or height > LARGEST_BOX_MASK or (height, width) in (given.size, given.semantic.shape[1:])


def _picture(image: ArrayLike | None, size: tuple[int, int]) -> np.ndarray:
    if image is None:
        return np.full((*size, 3), NO_IMAGE, np.uint8)
    pixels = read_image(image) if isinstance(image, str | Path) else as_rgb(image)
    if pixels.shape[:2] != size:
        height, width = pixels.shape[:2]
        raise ValueError(
            f"fuse: the image is {width} x {height}, but boxes and result are in pixels of {size[1]} x {size[0]}; give "
            f"size=({height}, {width}), or the image at the size of semantic"
        )
    return pixels


def _torch_device(*values: object) -> Any:
    """The device of the first tensor; None where there is none, without importing torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return next((value.device for value in values if isinstance(value, torch.Tensor)), None)
