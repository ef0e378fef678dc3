"""The networks that the paper's ablations train, and the recipes they share.

A `Model` is one training; `paper_tables` has the rows that are read off it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from unipan.config import Config
from unipan.presets import finetune, ground_truth_boxes, panoptic_fpn, scenes, upsnet

TRIMMED_SHARE = 2048 / (1024 * 2048)
"""Stuff below this share of the image is trimmed in Table I and by the merger: the 2048 pixels of Cityscapes."""


@dataclass(frozen=True)
class Model:
    """One network to train.

    Attributes:
        text: what it is, in a few words.
        build: from the recipe of the data to its own config.
        as_long_as: the model whose training time it gets, in the place of its iterations; None for equal iterations.
        first: whether it is trained before the others of all seeds, because the table's main rows read it.
    """

    text: str
    build: Callable[[Config], Config]
    as_long_as: str | None = None
    first: bool = True

    @property
    def turn(self) -> int:
        """When it is trained: main rows first, equal times, which need the others' pace, last."""
        return 2 if self.as_long_as is not None else int(not self.first)


def variant(config: Config, masks: bool, affinity: bool, panoptic: bool) -> Config:
    """A model of Table 1: with or without a mask head, the affinity head, and the panoptic matching loss.

    Where there are affinities, the recipe's loss on Psi stays beside that on P; without them the two would be one.
    """
    weight = (config.loss.panoptic or 1.0) if panoptic else 0.0
    return replace(
        config,
        detection=replace(config.detection, masks=masks),
        affinity=replace(config.affinity, enabled=affinity),
        loss=replace(config.loss, panoptic=weight, potential=config.loss.potential if affinity else 0.0),
    )


def as_printed(config: Config) -> Config:
    """Without a code of place, the loss on Psi beside that on P, and another mask loss; the recipe stays as it is."""
    affinity = replace(config.affinity, positional_encoding=0, rope=0)
    loss = replace(config.loss, potential=0.0, mask_kind="lovasz")
    return replace(config, affinity=affinity, loss=loss)


def full_model(config: Config) -> Config:
    """D: masks, affinities, panoptic matching loss."""
    return variant(config, masks=True, affinity=True, panoptic=True)


def _of(masks: bool, affinity: bool, panoptic: bool) -> Callable[[Config], Config]:
    return lambda config: variant(config, masks, affinity, panoptic)


def _with_potential(letter: str) -> Callable[[Config], Config]:
    def build(config: Config) -> Config:
        full = full_model(config)
        return replace(full, potential=replace(full.potential, variant=letter))  # type: ignore[arg-type]

    return build


MODELS: dict[str, Model] = {
    "D": Model("masks, affinity, panoptic loss", full_model),
    "B": Model("boxes, affinity, panoptic loss", _of(False, True, True)),
    "A": Model("boxes", _of(False, False, False)),
    "C": Model("masks", _of(True, False, False)),
    "A+": Model("boxes, panoptic loss on Psi", _of(False, False, True)),
    "C+": Model("masks, panoptic loss on Psi", _of(True, False, True)),
    "B printed": Model(
        "B without code of place and added losses", lambda c: as_printed(MODELS["B"].build(c)), first=False
    ),
    "D printed": Model(
        "D without code of place and added losses", lambda c: as_printed(MODELS["D"].build(c)), first=False
    ),
    "A as B": Model("A trained as long as B", _of(False, False, False), "B"),
    "A+ as B": Model("A+ trained as long as B", _of(False, False, True), "B"),
    "C as D": Model("C trained as long as D", _of(True, False, False), "D"),
    "C+ as D": Model("C+ trained as long as D", _of(True, False, True), "D"),
    "B truth": Model(
        "B, Psi from true boxes in training", lambda config: ground_truth_boxes(MODELS["B"].build(config))
    ),
    "D variant A": Model("D with V and M as logits", _with_potential("A")),
    "D variant C": Model("D with s (V + M)", _with_potential("C")),
    "Panoptic FPN": Model("summed levels, heuristic merger", panoptic_fpn),
    "UPSNet": Model("variant A, void channel, true boxes in training", upsnet),
}
"""By the key that records and folders carry; the first is the largest, to which a budget of time is fitted."""

PLACES = 5
"""Wavelengths of the code of place: 8 to 128 cells."""
ROTARY = 7
"""Wavelengths of the rotary code: 8 to 512 cells."""
SCENE_SIZE = (96, 192)
"""Of the scenes in the ablations: half the bundled checkpoint's pixels."""


def scenes_recipe() -> Config:
    """What all models on drawn scenes share: small images, from scratch, d = 2.

    d = 2 in the place of the paper's 4, because a car of 30 pixels is here what one of 300 is on Cityscapes. The code
    of place and the loss on Psi were chosen on scenes of their own (docs/readings.md).
    """
    base = scenes()
    return replace(
        base,
        name="ablation",
        detection=replace(base.detection, anchor_sizes=(12, 21, 36, 63, 108), roi_canonical=60),
        affinity=replace(base.affinity, positional_encoding=PLACES),
        loss=replace(base.loss, potential=1.0),
        heuristic=replace(base.heuristic, min_stuff_area=TRIMMED_SHARE),
        train=replace(base.train, ema_decay=0.99, validations=4, validation_images=8),
    )


def photos_recipe() -> Config:
    """What all models on a folder of photographs share: large crops, from the bundled checkpoint.

    The crop is most of an image, because affinities learn to tell as many objects apart as they see; the code of place
    is the rotary one, because the other does not hold beyond the crop; masks have a cross entropy beside the hinge,
    which leaves them too faint for s V M; and batch norm stands still, as in the paper: statistics of two images, of
    which one may be stained and the other not, are noise (docs/results/table1-nuclei.md).
    """
    base = finetune()
    return replace(
        base,
        name="finetune",
        backbone=replace(base.backbone, weights="checkpoint", frozen=True),
        data=replace(base.data, short_side=512, max_side=1024, crop=(384, 384)),
        affinity=replace(base.affinity, rope=ROTARY),
        loss=replace(base.loss, mask_kind="both"),
        heuristic=replace(base.heuristic, min_stuff_area=TRIMMED_SHARE),
        train=replace(base.train, batch_size=2, validations=1, validation_images=6),
    )
