"""Why hardly a thing is found: the last words of a training whose PQ of things is 0, or nearly."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from unipan.analysis.evaluate import semantic_map
from unipan.config import Config
from unipan.datasets.panoptic_data import PanopticData
from unipan.evaluation.confusion import thing_stuff_counts
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.inference import Segmenter
from unipan.panoptic.maps import PanopticMap
from unipan.scene import Scene

WEAK = 0.5
"""Where V gives fewer of the things' pixels to things, it is V that hides them."""


@dataclass
class ThingEvidence:
    """What a network makes of the things of some images.

    Attributes:
        semantic: pixels of V against the truth.
        things: how many the truth has.
        best: the highest score of a detection of each image.
        kept: how many detections reach the score threshold.
        found: how many thing segments P has.
    """

    semantic: SemanticIoU
    things: int = 0
    best: list[float] = field(default_factory=list)
    kept: int = 0
    found: int = 0

    def update(self, scene: Scene, truth: PanopticMap, name: str) -> None:
        """Count one image."""
        self.semantic.update(truth, semantic_map(scene), name)
        self.things += sum(each.category.isthing and not each.iscrowd for each in truth.segments)
        self.best.append(max(scene.output.candidates[0].scores.tolist(), default=0.0))
        self.kept += len(scene.output.detections[0])
        result = scene.result(scene.config.inference.fusion)
        self.found += sum(each.category.isthing for each in result)


def explain_missing_things(
    segmenter: Segmenter, data: PanopticData, images: Sequence[int], pq: float, enough: int
) -> str:
    """One sentence: what keeps things out of P on these images of the data, and what to try; see `sentence`."""
    segmenter = segmenter.with_categories(data.categories)
    evidence = ThingEvidence(SemanticIoU(segmenter.categories))
    for index in images:
        sample = data[index]
        evidence.update(segmenter.scene(sample.image), sample.truth, sample.name)
    return sentence(evidence, segmenter.config, pq, enough)


def sentence(evidence: ThingEvidence, config: Config, pq: float, enough: int) -> str:
    """The words for what was counted.

    Args:
        evidence: of the validation images.
        config: of the training.
        pq: of things, a share; next to nothing.
        enough: steps after which most things are found (`enough_steps`).
    """
    if not evidence.things:
        return "there is no PQ of things: the validation images have none; give --val with some"
    steps, threshold = config.train.iterations, config.inference.score_threshold
    times = "four times as many" if 4 * steps >= enough else "many things are only found after about so many"
    more = f"train longer (these were {steps} steps; {times}: --train.iterations {max(4 * steps, enough)})"
    (as_things, as_stuff), _ = thing_stuff_counts(evidence.semantic.confusion, evidence.semantic.categories)
    share = as_things / max(as_things + as_stuff, 1)
    found = f"{100 * pq:.1f} %" if pq else "0"
    begin = (
        f"PQ of things is {found}: of {evidence.things} things in {len(evidence.best)} validation images "
        f"{'hardly any' if pq else 'none'} is found"
    )
    if share < WEAK:
        return (
            f"{begin}, because V gives {100 * share:.0f} % of their pixels to a thing class, so that stuff wins in P "
            f"whatever is detected; {more}, or weigh classes alike in V: --loss.semantic-kind both"
        )
    if not evidence.kept:
        return (
            f"{begin}, because no detection reaches the score threshold of {threshold:g} (the best one of an image "
            f"has {np.median(evidence.best):.2f}, median); {more}"
        )
    return (
        f"{begin}: P has {evidence.found} segments of things, {evidence.kept} detections reach the score threshold of "
        f"{threshold:g}, but {'hardly any' if pq else 'none'} overlaps a thing by half; {more}, or larger images "
        "(--data.short-side)"
    )
