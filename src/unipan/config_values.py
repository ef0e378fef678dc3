"""Which values a field of a config may have: kinds, choices and lengths come from its annotation, ranges from a table.

They are checked wherever a section of a config is made, from a command line, a checkpoint or Python, so that nobody
finds out after an hour that a cut-off was NaN.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds.

    Attributes:
        least, most: the bounds, which belong to it.
        above: that `least` does not.
        below: that `most` does not.
        entries: the fewest entries of a tuple of any length.
    """

    least: int | float = 0
    most: int | float = math.inf
    above: bool = False
    below: bool = False
    entries: int = 0

    def __contains__(self, value: int | float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))  # isfinite overflows on large integers
            and (value > self.least if self.above else value >= self.least)
            and (value < self.most if self.below else value <= self.most)
        )

    def words(self, whole: bool) -> str:
        """What it allows, after "is not": "a whole number from 1 to 8"."""
        if not whole and (self.above or self.below) and self.most < math.inf:
            return f"in {'(' if self.above else '['}{self.least:g}, {self.most:g}{')' if self.below else ']'}"
        if self.most < math.inf:
            return f"a {'whole ' * whole}number from {self.least} to {self.most}"
        return f"a {'whole' if whole else 'finite'} number {'above' if self.above else 'of at least'} {self.least:g}"


SHARE = Range(0, 1)
SOME_SHARE = Range(0, 1, above=True)
WEIGHT = Range(0)
POSITIVE = Range(0, above=True)
CHANNELS = Range(1, 2**16)
"""Widths of layers: far above any network, far below what overflows when four of them are multiplied."""
WAVELENGTHS = Range(0, 64)
PIXELS = Range(1, 2**16)
PIXELS_OR_NONE = Range(0, 2**16)
COUNT = Range(1, 10**6)
COUNT_OR_NONE = Range(0, 10**6)
STEPS = Range(1, 10**9)
AMOUNT = Range(0, 10**12)
"""Of images or pixels, on a command line; 0 often means all."""

RANGES = {
    "backbone.width": CHANNELS,
    "backbone.fpn_channels": CHANNELS,
    "backbone.se_reduction": Range(0, 2**16),
    "decoder.channels": CHANNELS,
    "decoder.groups": CHANNELS,
    "detection.anchor_sizes": PIXELS,
    "detection.anchor_ratios": Range(0, 1000, above=True, entries=1),
    "detection.rpn_pre_nms": COUNT,
    "detection.rpn_post_nms": COUNT,
    "detection.rpn_batch_size": COUNT,
    "detection.roi_batch_size": COUNT,
    "detection.roi_canonical": PIXELS,
    "detection.sampling_ratio": Range(0, 64),
    "detection.box_features": CHANNELS,
    "detection.mask_channels": CHANNELS,
    "detection.mask_layers": Range(1, 100),
    "detection.mask_size": Range(2, 1024),
    "detection.score_threshold": SHARE,
    "detection.nms_threshold": SHARE,
    "detection.max_detections": COUNT_OR_NONE,
    "affinity.channels": CHANNELS,
    "affinity.temperature": WEIGHT,
    "affinity.positional_encoding": WAVELENGTHS,
    "affinity.rope": WAVELENGTHS,
    "affinity.shortest_wavelength": Range(1, 2**16),
    "matching.iou_threshold": SHARE,
    "matching.gt_box_keep_rate": SOME_SHARE,
    "loss.detection": WEIGHT,
    "loss.semantic": WEIGHT,
    "loss.panoptic": WEIGHT,
    "loss.potential": WEIGHT,
    "inference.score_threshold": SHARE,
    "heuristic.score_threshold": SHARE,
    "heuristic.overlap_threshold": SHARE,
    "heuristic.mask_threshold": SHARE,
    "heuristic.min_stuff_area": SHARE,
    "upsnet.nms_threshold": SHARE,
    "upsnet.score_threshold": SHARE,
    "upsnet.overlap_threshold": SHARE,
    "upsnet.stuff_vote_threshold": Range(0, 2),  # above 1: no thing becomes stuff
    "data.short_side": PIXELS_OR_NONE,
    "data.max_side": PIXELS,
    "data.scale": Range(0, 100, above=True),
    "data.crop": PIXELS_OR_NONE,
    "data.crop_around_things": SHARE,
    "data.window": Range(0, 100),
    "data.flip": SHARE,
    "data.vertical_flip": SHARE,
    "data.color": Range(0, 5),  # torchvision turns hues by half a circle at most
    "data.min_thing_area": Range(0, 2**32),
    "train.iterations": STEPS,
    "train.batch_size": COUNT,
    "train.accumulation_steps": COUNT,
    "train.reference_batch": COUNT_OR_NONE,
    "train.lr": POSITIVE,
    "train.bias_lr_factor": WEIGHT,
    "train.weight_decay": WEIGHT,
    "train.milestones": SHARE,
    "train.warmup": Range(0, 10**9),
    "train.warmup_factor": SHARE,
    "train.max_grad_norm": WEIGHT,
    "train.ema_decay": Range(0, 1, below=True),
    "train.validations": COUNT_OR_NONE,
    "train.validation_images": Range(0, 10**9),
    "train.num_workers": Range(0, 1024),
    "train.seed": Range(0, 10**12),  # torch takes 64 bits, and the trainer multiplies by a million
}
"""The numbers that each numeric field of a config may have, by dotted name."""


class Section:
    """A part of a config, a dataclass; its values are checked whenever one is made.

    Raises:
        ValueError: a value of another kind than its annotation, or outside its range.
    """

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config").lower()
        section: Any = type(self)
        for field, kind in _kinds(section).items():
            check_value(f"{name}.{field}", getattr(self, field), kind)


@cache
def _kinds(section: type[Any]) -> dict[str, Any]:
    """The annotations of a dataclass; experiments make thousands of them."""
    return get_type_hints(section)


def check_value(option: str, value: object, kind: Any, allowed: Range | None = None) -> None:
    """Check one value.

    Args:
        option: its dotted name.
        value: what was given.
        kind: its annotation.
        allowed: its range; that of `RANGES` by default.

    Raises:
        ValueError: it is not allowed; the sentence names the option, the value and what is.
    """
    allowed = allowed or RANGES.get(option, Range(-math.inf))
    if not _fits(value, kind, allowed):
        raise ValueError(f"{option}: {_shown(value)} is not {_wanted(kind, allowed)}")


def _fits(value: object, kind: Any, allowed: Range) -> bool:
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in choices)  # True is no 1
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        counted = len(value) >= allowed.entries if choices[1] is ... else len(value) == len(choices)
        return counted and all(_fits(each, choices[0], allowed) for each in value)
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return value in allowed and (kind is float or isinstance(value, int))
    return isinstance(value, kind)


def _wanted(kind: Any, allowed: Range) -> str:
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        *others, last = map(str, choices)
        return f"{', '.join(others)} or {last}"
    if get_origin(kind) is tuple:
        any_number = f"{allowed.entries} or more" if allowed.entries else "any number of"
        count = any_number if choices[1] is ... else len(choices)
        return f"a tuple of {count} entries, each {_wanted(choices[0], allowed)}"
    if kind in (int, float):
        return allowed.words(kind is int)
    return {bool: "True or False", str: "text"}[kind]


def _shown(value: object) -> str:
    """A value in an error message; a file may hold anything instead of a number."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
