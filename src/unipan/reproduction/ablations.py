"""The networks of the paper's ablations, and the recipes that they share.

Each `AblationModel` is one training; `paper_tables` lists the table rows that it provides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from unipan.config import AffinityConfig, Config
from unipan.presets import finetune, ground_truth_boxes, panoptic_fpn, scenes, upsnet

TRIMMED_SHARE = 2048 / (1024 * 2048)
"""Stuff below this share of the image is trimmed in Table I and by the heuristic fusion (2048 pixels of Cityscapes)."""


@dataclass(frozen=True)
class AblationModel:
    """One network to train.

    Attributes:
        text: a short description.
        build: makes its config from the recipe of the data.
        as_long_as: the model whose training time it gets; None for the same number of iterations as the others.
        first: whether it is trained before the others, for all seeds, because the table's main rows need it.
    """

    text: str
    build: Callable[[Config], Config]
    as_long_as: str | None = None
    first: bool = True

    @property
    def turn(self) -> int:
        """Its turn in training: main rows first; last the models of equal time, whose length depends on others."""
        return 2 if self.as_long_as is not None else int(not self.first)


def variant(config: Config, masks: bool, affinity: bool, panoptic: bool) -> Config:
    """A model of Table 1: with or without a mask head, the affinity head, and the panoptic matching loss.

    With affinities, the recipe's loss on Psi is kept in addition to the loss on P; without them the two coincide.
    """
    weight = (config.loss.panoptic or 1.0) if panoptic else 0.0
    return replace(
        config,
        detection=replace(config.detection, masks=masks),
        affinity=replace(config.affinity, enabled=affinity),
        loss=replace(config.loss, panoptic=weight, potential=config.loss.potential if affinity else 0.0),
    )


def plain(config: Config) -> Config:
    """The model without what is ours: no positional encoding, no loss on Psi, and the Lovasz mask loss alone."""
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


MODELS: dict[str, AblationModel] = {
    "D": AblationModel("masks, affinity, panoptic loss", full_model),
    "B": AblationModel("boxes, affinity, panoptic loss", _of(False, True, True)),
    "A": AblationModel("boxes", _of(False, False, False)),
    "C": AblationModel("masks", _of(True, False, False)),
    "A+": AblationModel("boxes, panoptic loss on Psi", _of(False, False, True)),
    "C+": AblationModel("masks, panoptic loss on Psi", _of(True, False, True)),
    "B plain": AblationModel(
        "B without positional encoding and added losses", lambda c: plain(MODELS["B"].build(c)), first=False
    ),
    "D plain": AblationModel(
        "D without positional encoding and added losses", lambda c: plain(MODELS["D"].build(c)), first=False
    ),
    "A as B": AblationModel("A trained as long as B", _of(False, False, False), "B"),
    "A+ as B": AblationModel("A+ trained as long as B", _of(False, False, True), "B"),
    "C as D": AblationModel("C trained as long as D", _of(True, False, False), "D"),
    "C+ as D": AblationModel("C+ trained as long as D", _of(True, False, True), "D"),
    "B truth": AblationModel(
        "B, Psi from true boxes in training", lambda config: ground_truth_boxes(MODELS["B"].build(config))
    ),
    "D variant A": AblationModel("D with V and M as logits", _with_potential("A")),
    "D variant C": AblationModel("D with s (V + M)", _with_potential("C")),
    "Panoptic FPN": AblationModel("summed levels, heuristic fusion", panoptic_fpn),
    "UPSNet": AblationModel("variant A, void channel, true boxes in training", upsnet),
}
"""By the key used in records and folder names; a time budget is fitted to the first one, the largest."""

SINUSOIDAL_WAVELENGTHS = 5
"""Number of wavelengths of the sinusoidal positional encoding: 8 to 128 cells."""
ROPE_WAVELENGTHS = 7
"""Number of wavelengths of RoPE: 8 to 512 cells."""
SCENE_SIZE = (96, 192)
"""Size of the scenes in the ablations, about half the pixels of those that the bundled checkpoint was trained on."""


def scenes_recipe() -> Config:
    """What all models on drawn scenes share: small images, from scratch, d = 2.

    d = 2 instead of the paper's 4, because a car of 30 pixels here corresponds to one of 300 on Cityscapes. The
    positional encoding and the loss on Psi were chosen on other scenes than those used for the tables.
    """
    base = scenes()
    return replace(
        base,
        name="ablation",
        detection=replace(base.detection, anchor_sizes=(12, 21, 36, 63, 108), roi_canonical=60),
        affinity=AffinityConfig(positional_encoding=SINUSOIDAL_WAVELENGTHS),
        loss=replace(base.loss, potential=1.0),
        heuristic=replace(base.heuristic, min_stuff_area=TRIMMED_SHARE),
        train=replace(base.train, ema_decay=0.99, validations=4, validation_images=8),
    )


def photos_recipe() -> Config:
    """What all models on a folder of photographs share: large crops, from the bundled checkpoint.

    The crop covers most of an image, because affinities learn to separate only as many objects as they see at once.
    The positional encoding is RoPE, because the sinusoidal one does not generalise beyond the crop. Masks have a cross
    entropy in addition to the Lovasz hinge, which on its own leaves them too weak for s V M. Batch norm is frozen as in
    the paper, because the statistics of two very different images are noise.
    """
    base = finetune()
    return replace(
        base,
        name="finetune",
        backbone=replace(base.backbone, weights="checkpoint", frozen=True),
        data=replace(base.data, short_side=512, max_side=1024, crop=(384, 384), window=(0.0, 0.0)),  # 8 bits
        affinity=AffinityConfig(rope=ROPE_WAVELENGTHS),
        loss=replace(base.loss, mask_kind="both"),
        heuristic=replace(base.heuristic, min_stuff_area=TRIMMED_SHARE),
        train=replace(base.train, batch_size=2, validations=1, validation_images=6),
    )
