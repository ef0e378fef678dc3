"""Oracle swaps show which part of a model limits it: PQ with one part replaced by the truth.

Part by part along Fig. 2: the boxes (Sec. 3.3), V (Sec. 3.2), Psi (Sec. 3.4.1), P (Sec. 3.4.2). The gain of a swap is
the cost of that part; what a perfect P lacks to 100 is lost by its grid.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unipan.analysis.ceiling import perfect_panoptic
from unipan.datasets.panoptic_data import PanopticData
from unipan.datasets.transforms import collate, resize_image
from unipan.evaluation.bootstrap import Interval, bootstrap_pq, paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import percent
from unipan.fusion.argmax import decode
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap
from unipan.scene import Scene
from unipan.structures import Detections

OWN = "as it is"
SWAPS = {
    OWN: "the model's own P",
    "perfect boxes": "the truth's boxes and classes with score 1; masks are the mask head's, in those boxes",
    "perfect semantics": "V is right in every cell",
    "perfect boxes and semantics": "both",
    "perfect potential": "Psi is right in every cell; what the affinity step makes of it",
    "perfect P": "P is right in every cell: the ceiling of its grid",
}
"""Every swap and what it puts in."""

LOGIT = 10.0
"""Of the true class in a perfect V, and minus it of every other: its softmax is 1 to eight digits."""


@torch.no_grad()
def oracle_swaps(
    segmenter: Segmenter,
    data: PanopticData,
    images: Iterable[int] | None = None,
    each: Callable[[str], None] | None = None,
) -> dict[str, PanopticQuality]:
    """PQ of the argmax of P under every swap, by the names in SWAPS.

    Args:
        segmenter: its classes must be the data's, by name.
        data: the images.
        images: indices; all by default.
        each: called with the name of every image that is done.

    Returns:
        mergeable counts per swap; `describe_oracles` puts them into words.

    Raises:
        ValueError: other classes.
    """
    segmenter = segmenter.with_categories(data.categories)
    found = {swap: PanopticQuality(data.categories) for swap in SWAPS}
    for index in range(len(data)) if images is None else images:
        sample = data[index]
        scene = segmenter.scene(sample.image)
        for swap, (panoptic, detections) in swapped(segmenter, scene, sample.truth).items():
            found[swap].update(sample.truth, _decoded(scene, panoptic, detections), sample.name)
        if each is not None:
            each(sample.name)
    return found


@torch.no_grad()
def swapped(segmenter: Segmenter, scene: Scene, truth: PanopticMap) -> dict[str, tuple[Tensor, Detections]]:
    """P (K, h, w) under every swap, and the detections of its first channels."""
    network = segmenter.network
    perfect, _ = perfect_panoptic(truth, scene.categories, scene.geometry)
    perfect = perfect.to(scene.potential)
    boxes = true_detections(segmenter, scene, truth)
    v = perfect_semantic(perfect, boxes, scene.semantic)
    made = {
        "perfect boxes": (network.potential(scene.semantic, boxes), boxes),
        "perfect semantics": (network.potential(v, scene.network_detections), scene.network_detections),
        "perfect boxes and semantics": (network.potential(v, boxes), boxes),
        "perfect potential": (perfect_potential(perfect, boxes, segmenter), boxes),
    }
    revised = {swap: (revise(segmenter, scene, psi), found) for swap, (psi, found) in made.items()}
    return {OWN: (scene.panoptic, scene.network_detections), **revised, "perfect P": (perfect, boxes)}


def revise(segmenter: Segmenter, scene: Scene, potential: Float[Tensor, "K h w"]) -> Float[Tensor, "K h w"]:
    """P from another Psi, with the scene's own affinities (Eq. 4)."""
    panoptic: Tensor = segmenter.network.revise([potential], scene.output.queries)[0]
    return panoptic


@torch.no_grad()
def true_detections(segmenter: Segmenter, scene: Scene, truth: PanopticMap) -> Detections:
    """What a perfect detector finds: the truth's boxes and classes, score 1; masks by the network's own mask head.

    A crowd is a detection too, as in the ceiling: its pixels have no better place.
    """
    network, device = segmenter.network, segmenter.device
    things = [segment for segment in truth if segment.isthing]
    corners = [[x, y, x + w, y + h] for x, y, w, h in (segment.bbox for segment in things)]
    boxes = scene.geometry.to_input(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)).to(device)
    index = segmenter.categories.index_of_id
    classes = torch.tensor([index[segment.category.id] for segment in things], dtype=torch.long, device=device)
    batch = collate([(resize_image(scene.image, segmenter.config.data), scene.name)]).to(device)
    features = network.backbone((batch.pixels - network.mean) / network.std)
    masks = network.detection.masks(features, [boxes], [classes])[0]
    return Detections(boxes, torch.ones(len(things), device=device), classes, masks)


def perfect_semantic(
    perfect: Float[Tensor, "K h w"], detections: Detections, own: Float[Tensor, "L h w"]
) -> Float[Tensor, "L h w"]:
    """V before its softmax that is right in every cell; cells that are void in the truth keep the model's own."""
    count, stuff = own.shape[0], perfect.shape[0] - len(detections)
    classes = torch.cat([detections.classes, torch.arange(count - stuff, count, device=own.device)])
    right = torch.zeros_like(own).index_add_(0, classes, perfect.to(own.dtype))
    return torch.where(right.sum(0) > 0, LOGIT * (2 * right - 1), own)


def perfect_potential(
    perfect: Float[Tensor, "K h w"], detections: Detections, segmenter: Segmenter
) -> Float[Tensor, "K h w"]:
    """Psi that is right in every cell, in the variant's own unit: what it is for V, M and s that are all 1."""
    variant = segmenter.config.potential.variant
    one = LOGIT if variant == "A" else 1.0
    # Variants A and C add V and M, so a thing of a network with masks reaches two.
    both = 2.0 if variant in ("A", "C") and detections.masks is not None else 1.0
    factor = torch.full((perfect.shape[0], 1, 1), one, device=perfect.device)
    factor[: len(detections)] *= both
    return perfect * factor


def _decoded(scene: Scene, panoptic: Tensor, detections: Detections) -> PanopticMap:
    detections = replace(detections, masks=None)
    # Scores of stuff do not count in PQ, so the loss's temperature has no say here.
    # Those made from the truth have no void channel, those made by the potential head may have one.
    void = len(panoptic) > len(detections) + len(scene.categories.stuff)
    return decode(panoptic, detections, scene.categories, scene.geometry, void=void)


def describe_oracles(found: Mapping[str, PanopticQuality]) -> list[str]:
    """One line per swap: PQ of all, things and stuff in percent, and what it gains, with its 95 % interval.

    Raises:
        ValueError: no image was counted.
    """
    width = max(len(swap) for swap in found)
    lines = []
    for swap, quality in found.items():
        scores = bootstrap_pq(quality)
        figures = ", ".join(f"{group.lower()} {percent(q.value if q else None)}" for group, q in scores.items())
        gain = "" if swap == OWN else f"; gains {_gain(paired_bootstrap_pq(quality, found[OWN])['All'])}"
        lines.append(f"{swap:<{width}}  PQ {figures}{gain}")
    return lines


def _gain(difference: Interval | None) -> str:
    if difference is None:
        return "-"
    value, low, high = (100 * part for part in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
