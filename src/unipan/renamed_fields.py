"""Config fields that have been renamed: checkpoints, resume states and records written with old names keep loading."""

from typing import Any

RENAMED = {
    "affinity.places": "affinity.positional_encoding",
    "affinity.rotary": "affinity.rope",
    "data.smallest_thing": "data.min_thing_area",
    "detection.nms": "detection.nms_threshold",
    "detection.roi_batch": "detection.roi_batch_size",
    "detection.rpn_batch": "detection.rpn_batch_size",
    "inference.cutoff": "inference.score_threshold",
    "matching.detections": "matching.use_gt_boxes",
    "matching.keep": "matching.gt_box_keep_rate",
    "matching.threshold": "matching.iou_threshold",
    "merger.mask": "heuristic.mask_threshold",
    "merger.overlap": "heuristic.overlap_threshold",
    "merger.score": "heuristic.score_threshold",
    "merger.stuff_area": "heuristic.min_stuff_area",
    "potential.void": "potential.void_channel",
    "train.accumulate": "train.accumulation_steps",
    "train.average": "train.ema_decay",
    "train.batch": "train.batch_size",
    "train.bias_lr": "train.bias_lr_factor",
    "train.clip": "train.max_grad_norm",
    "train.workers": "train.num_workers",
    "upsnet.nms": "upsnet.nms_threshold",
    "upsnet.overlap": "upsnet.overlap_threshold",
    "upsnet.score": "upsnet.score_threshold",
    "upsnet.stuff_vote": "upsnet.stuff_vote_threshold",
}
"""Dotted names of 0.1 and those of today."""

RESTATED = {"matching.use_gt_boxes": {"predicted": False, "truth": True}}
"""Fields whose values have changed as well: old values and those of today."""


def with_new_names(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields by dotted name, under the names and with the values of today."""
    renamed = {RENAMED.get(name, name): value for name, value in fields.items()}
    return {name: RESTATED[name].get(value, value) if name in RESTATED else value for name, value in renamed.items()}


def with_old_names(fields: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `with_new_names`."""
    restated = dict(fields)
    for name, values in RESTATED.items():
        if name in fields:
            restated[name] = {new: old for old, new in values.items()}.get(fields[name], fields[name])
    old_names = {new: old for old, new in RENAMED.items()}
    return {old_names.get(name, name): value for name, value in restated.items()}


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config, as `dataclasses.asdict` gives it, by dotted name."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        fields |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return fields


def nest(fields: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    config: dict[str, Any] = {}
    for name, value in fields.items():
        section, dot, key = name.partition(".")
        if dot:
            config.setdefault(section, {})[key] = value
        else:
            config[name] = value
    return config
