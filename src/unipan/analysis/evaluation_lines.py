"""What `unipan evaluate` prints below its table."""

from typing import Any

from unipan.analysis.evaluate import Evaluation
from unipan.evaluation.pq_scores import percent


def describe(found: Evaluation, scores: dict[str, Any]) -> list[str]:
    """Lines on all that is not PQ; `scores` are those of `found.to_json`."""
    trimmed = [] if found.trimmed is None else found.trimmed.lines()
    return [_iou_and_ap(scores), *_crowded(found), _confusion(scores), *_separation(scores), *trimmed]


def _iou_and_ap(scores: dict[str, Any]) -> str:
    """IoU and AP as one line below the table."""
    iou, ap = scores["iou"], scores["ap"]
    line = f"mean IoU: {percent(iou['panoptic']['mean'])} of the map, {percent(iou['semantic']['mean'])} of V alone; "
    return line + f"AP: boxes {percent(ap['box'])}, masks {percent(ap['mask'])}"


def _crowded(found: Evaluation) -> list[str]:
    """What AP cannot count, where images have more things of a class than it takes detections."""
    precision = found.precision
    if precision is None or precision.most_things <= precision.max_detections:
        return []
    return [
        f"AP takes {precision.max_detections} detections of an image and class, but an image has "
        f"{precision.most_things} things of one; --detections {precision.most_things} counts them all"
    ]


def _confusion(scores: dict[str, Any]) -> str:
    """Table G as one line below the table: which share of the truth's pixels V takes for what."""
    parts = [
        f"of {side} {percent(shares['things'])} as things, {percent(shares['stuff'])} as stuff"
        for side, shares in scores["thing_stuff"].items()
    ]
    return f"things and stuff confused by V (Table G): {'; '.join(parts)}"


def _separation(scores: dict[str, Any]) -> list[str]:
    """How well affinities tell objects apart, as one line below the table; none without an affinity head."""
    if scores["separation"] is None:
        return []
    words = {"all": "from all others", "class": "from other things of its class"}
    parts = []
    for against, found in scores["separation"].items():
        if found["affinity"] is not None:
            ranked = ", ".join(f"{found[name]:.2f} by {name}" for name in ("affinity", "V", "nearness"))
            parts.append(f"{words[against]} {ranked}")
    return [f"AUC of telling a thing's pixels (chance is 0.50) {'; '.join(parts)}"] if parts else []
