"""The networks that the paper's ablations train, and the rows and orders that its tables read off them.

A `Model` is one training; a `Row` is one way to read its maps, so one training serves several rows (C1 and C2 of
Table 1 are the same network). Rows that the paper lacks are marked `ours`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from unipan.config import Config
from unipan.presets import finetune, ground_truth_boxes, panoptic_fpn, scenes, upsnet

Figures = tuple[float | None, float | None, float | None]
"""PQ of all classes, things and stuff in percent; None for what the paper does not print."""
Rest = tuple[float | None, float | None, float | None, float | None, float | None]
"""SQ, RQ, IoU of V, AP of masks and of boxes in percent; the same."""

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


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: its name, the paper's where it is the paper's.
        model: key in MODELS.
        reading: how the map is read off: a fusion; a baseline's fusion `whole`, which keeps small stuff; or `tuned`,
            the merger with grid-searched limits.
        text: what it is.
        paper: the paper's PQ, PQ of things and of stuff (Cityscapes val unless the table says otherwise).
        trimmed: whether small stuff is removed before scoring (Table I).
        rest: what else the paper prints of the row.
    """

    label: str
    model: str
    reading: str
    text: str
    paper: Figures | None = None
    trimmed: bool = False
    rest: Rest | None = None

    @property
    def ours(self) -> bool:
        """Whether the paper has no such row."""
        return self.paper is None


@dataclass(frozen=True)
class Order:
    """A claim that one row is better than another.

    Attributes:
        better, worse: labels of rows.
        says: what that would show.
        paper: by how much in the paper (PQ, things, stuff); None for what only we ask.
    """

    better: str
    worse: str
    says: str
    paper: Figures | None = None


@dataclass(frozen=True)
class Table:
    """One table of the paper at the size of one's own data."""

    title: str
    rows: tuple[Row, ...]
    orders: tuple[Order, ...]

    @property
    def models(self) -> list[str]:
        """Keys of the networks that it needs, in the order of their turns."""
        return sorted(dict.fromkeys(row.model for row in self.rows), key=lambda key: MODELS[key].turn)


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
    """Without what the paper does not have: codes of place, the loss on Psi beside that on P, another mask loss."""
    affinity = replace(config.affinity, places=0, rotary=0)
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

REST_B: Rest = (80.1, 72.4, 77.8, None, 38.1)
REST_D2: Rest = (81.1, 74.7, 79.5, 33.7, 38.8)

TABLE_1 = Table(
    "Table 1: what affinity, panoptic loss and argmax bring",
    (
        Row("A", "A", "potential", "boxes; argmax of Psi", (54.6, 46.0, 60.9), rest=(77.9, 68.4, 75.0, None, 36.9)),
        Row("A+", "A+", "potential", "A with the panoptic loss on Psi"),
        Row("B own Psi", "B", "potential", "argmax of B's own Psi"),
        Row("B", "B", "affinity", "boxes, affinity; argmax of P", (59.0, 50.2, 65.3), rest=REST_B),
        Row(
            "C1",
            "C",
            "heuristic",
            "masks; merger, published limits",
            (59.3, 51.4, 65.0),
            rest=(79.8, 73.2, 78.1, 33.8, 38.1),
        ),
        Row("C1 tuned", "C", "tuned", "C1, limits searched on this model"),
        Row("C2", "C", "potential", "masks; argmax of Psi", (59.6, 52.4, 64.8), rest=(80.4, 72.9, 78.1, 33.8, 38.1)),
        Row("C2+", "C+", "potential", "C2 with the panoptic loss on Psi"),
        Row(
            "D1",
            "D",
            "heuristic",
            "masks, affinity; merger, published limits",
            (60.6, 52.4, 66.5),
            rest=(80.4, 74.2, 79.5, 33.7, 38.8),
        ),
        Row("D1 tuned", "D", "tuned", "D1, limits searched on this model"),
        Row("D2 own Psi", "D", "potential", "argmax of D's own Psi"),
        Row("D2", "D", "affinity", "masks, affinity; argmax of P", (61.4, 54.7, 66.3), rest=REST_D2),
        Row("B printed", "B printed", "affinity", "B without code of place and added losses"),
        Row("D2 printed", "D printed", "affinity", "D2 without code of place and added losses"),
        Row("A as long as B", "A as B", "potential", "A with B's training time"),
        Row("A+ as long as B", "A+ as B", "potential", "A+ with B's training time"),
        Row("C2 as long as D", "C as D", "potential", "C with D's training time"),
        Row("C2+ as long as D", "C+ as D", "potential", "C+ with D's training time"),
    ),
    (
        Order("B", "A", "affinity and panoptic loss help without masks", (4.4, 4.2, 4.4)),
        Order("C2", "C1", "argmax beats the merger", (0.3, 1.0, -0.2)),
        Order("D1", "C1", "end-to-end training helps, merger or not", (1.3, 1.0, 1.5)),
        Order("D2", "C2", "affinity and panoptic loss help with masks", (1.8, 2.3, 1.5)),
        Order("D2", "D1", "argmax of P beats the merger", (0.8, 2.3, -0.2)),
        Order("D2", "B", "masks help", (2.4, 4.5, 1.0)),
        Order("C2", "C1 tuned", "argmax beats a tuned merger"),
        Order("D2", "D1 tuned", "argmax of P beats a tuned merger"),
        Order("A+", "A", "the panoptic loss alone, without masks"),
        Order("B", "A+", "affinity alone, without masks"),
        Order("B", "B own Psi", "P over the same network's Psi, without masks"),
        Order("C2+", "C2", "the panoptic loss alone, with masks"),
        Order("D2", "C2+", "affinity alone, with masks"),
        Order("D2", "D2 own Psi", "P over the same network's Psi, with masks"),
        Order("B", "B printed", "code of place and added losses, without masks"),
        Order("D2", "D2 printed", "code of place and added losses, with masks"),
        Order("B printed", "A", "A to B without code of place and added losses"),
        Order("D2 printed", "C2", "C2 to D2 without code of place and added losses"),
        Order("B", "A as long as B", "B over A at equal time"),
        Order("B", "A+ as long as B", "affinity alone at equal time, without masks"),
        Order("D2", "C2 as long as D", "D over C at equal time"),
        Order("D2", "C2+ as long as D", "affinity alone at equal time, with masks"),
    ),
)
TABLE_2 = Table(
    "Table 2: against Panoptic FPN and UPSNet",
    (
        Row(
            "Panoptic FPN",
            "Panoptic FPN",
            "heuristic",
            "merger, published limits",
            (57.7, 51.6, 62.2),
            rest=(None, None, 75.0, 32.0, None),
        ),
        Row("Panoptic FPN tuned", "Panoptic FPN", "tuned", "merger, limits searched on this model"),
        Row(
            "UPSNet",
            "UPSNet",
            "upsnet",
            "its head, pruning and voting",
            (59.3, 54.6, 62.7),
            rest=(79.7, 73.0, 75.2, 33.3, 39.1),
        ),
        Row("Ours w/o mask", "B", "affinity", "B of Table 1", (59.0, 50.2, 65.3), rest=REST_B),
        Row("Ours w/ mask", "D", "affinity", "D2 of Table 1", (61.4, 54.7, 66.3), rest=REST_D2),
    ),
    (
        Order("Ours w/ mask", "UPSNet", "the full model beats UPSNet", (2.1, 0.1, 3.6)),
        Order("Ours w/ mask", "Panoptic FPN", "the full model beats Panoptic FPN", (3.7, 3.1, 4.1)),
        Order("Ours w/o mask", "Panoptic FPN", "so does the one without masks", (1.3, -1.4, 3.1)),
        Order("Ours w/ mask", "Panoptic FPN tuned", "and Panoptic FPN with a tuned merger"),
    ),
)
TABLE_F = Table(
    "Table F: variants of the potential (A is not in the paper's table)",
    (
        Row("variant A", "D variant A", "affinity", "V and M as logits, no score"),
        Row(
            "variant B",
            "D",
            "affinity",
            "s V M (SQ of Tables 1, 2, J; F prints that of stuff)",
            (61.4, 54.7, 66.3),
            rest=REST_D2,
        ),
        Row(
            "variant C", "D variant C", "affinity", "s (V + M)", (60.3, None, None), rest=(80.8, 73.5, None, None, None)
        ),
    ),
    (
        Order("variant B", "variant C", "B beats C (Cityscapes; on COCO C beats B by .7)", (1.1, None, None)),
        Order("variant B", "variant A", "B beats A"),
    ),
)
TABLE_H = Table(
    "Table H: boxes that Psi is made of in training",
    (
        Row(
            "ground truths",
            "B truth",
            "affinity",
            "true boxes",
            (58.6, None, None),
            rest=(80.0, 72.0, 77.8, None, 36.8),
        ),
        Row("predictions", "B", "affinity", "B of Table 1", (59.0, 50.2, 65.3), rest=REST_B),
    ),
    (Order("predictions", "ground truths", "training on one's own detections helps", (0.4, None, None)),),
)
TABLE_I = Table(
    "Table I: small stuff removed before scoring (stuff; the share of 2048 pixels of 1024 x 2048)",
    (
        Row("Panoptic FPN", "Panoptic FPN", "heuristic whole", "", (None, None, 59.9)),
        Row("Panoptic FPN, trimmed", "Panoptic FPN", "heuristic whole", "", (None, None, 62.0), True),
        Row("UPSNet", "UPSNet", "upsnet whole", "", (None, None, 60.5)),
        Row("UPSNet, trimmed", "UPSNet", "upsnet whole", "", (None, None, 62.8), True),
        Row("Ours", "D", "affinity", "", (None, None, 64.2)),
        Row("Ours, trimmed", "D", "affinity", "", (None, None, 66.3), True),
    ),
    (
        Order("Panoptic FPN, trimmed", "Panoptic FPN", "trimming lifts stuff", (None, None, 2.1)),
        Order("UPSNet, trimmed", "UPSNet", "trimming lifts stuff", (None, None, 2.3)),
        Order("Ours, trimmed", "Ours", "trimming lifts stuff", (None, None, 2.1)),
    ),
)
TABLE_G = Table(
    "Table G: things and stuff confused by V",
    (Row("full model", "D", "affinity", "", (61.4, 54.7, 66.3)),),
    (),
)
TABLE_SPEED = Table(
    "Inference speed (Sec. 4.2)",
    (
        Row("Ours", "D", "affinity", "the full model"),
        Row("Ours w/o mask", "B", "affinity", "boxes alone"),
        Row("UPSNet", "UPSNet", "upsnet", "its head, pruning and voting"),
        Row("Panoptic FPN", "Panoptic FPN", "heuristic", "merger"),
    ),
    (),
)
PAPER_MILLISECONDS = {"Ours": 197, "UPSNet": 201, "Panoptic FPN": 386}
"""An image of Cityscapes on an RTX 2080 Ti (Sec. 4.2), by row of TABLE_SPEED."""
TABLES: dict[str, Table] = {
    "table1": TABLE_1,
    "table2": TABLE_2,
    "tableF": TABLE_F,
    "tableG": TABLE_G,
    "tableH": TABLE_H,
    "tableI": TABLE_I,
    "speed": TABLE_SPEED,
}

PLACES = 5
"""Wavelengths of the code of place: 8 to 128 cells."""
ROTARY = 7
"""Wavelengths of the rotary code: 8 to 512 cells."""
SCENE_SIZE = (96, 192)
"""Of the scenes in the ablations: half the bundled checkpoint's pixels."""


def scenes_recipe() -> Config:
    """What all models on drawn scenes share: small images, from scratch, d = 2.

    d = 2 in the place of the paper's 4, because a car of 30 pixels is here what one of 300 is on Cityscapes. The code
    of place and the loss on Psi were chosen on the validation scenes (docs/results/table1.md).
    """
    base = scenes()
    return replace(
        base,
        name="ablation",
        detection=replace(base.detection, anchor_sizes=(12, 21, 36, 63, 108), roi_canonical=60),
        affinity=replace(base.affinity, places=PLACES),
        loss=replace(base.loss, potential=1.0),
        merger=replace(base.merger, stuff_area=TRIMMED_SHARE),
        train=replace(base.train, average=0.99, validations=4, validation_images=8),
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
        affinity=replace(base.affinity, rotary=ROTARY),
        loss=replace(base.loss, mask_kind="both"),
        merger=replace(base.merger, stuff_area=TRIMMED_SHARE),
        train=replace(base.train, batch=2, validations=1, validation_images=6),
    )
