"""The paper's tables: their rows, the orders they claim and the figures they print.

A `Row` is one way to read the maps of a `Model`, so one training serves several rows (C1 and C2 of Table 1 are the same
network). Rows that the paper lacks are marked `ours`.
"""

from dataclasses import dataclass

from unipan.reproduction.ablations import MODELS

Figures = tuple[float | None, float | None, float | None]
"""PQ of all classes, things and stuff in percent; None for what the paper does not print."""
Rest = tuple[float | None, float | None, float | None, float | None, float | None]
"""SQ, RQ, IoU of V, AP of masks and of boxes in percent; the same."""


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
        rest: what else the paper prints of the row (Table I: of stuff alone, IoU of the panoptic map).
        trimmed: whether small stuff is removed before scoring, as in all of the paper's tables (App. C); Table I has
            both.
    """

    label: str
    model: str
    reading: str
    text: str
    paper: Figures | None = None
    rest: Rest | None = None
    trimmed: bool = True

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
        Row("C1+", "C+", "heuristic", "C1 with the panoptic loss on Psi"),
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
        Row("C1 as long as D", "C as D", "heuristic", "C1 with D's training time"),
        Row("C2 as long as D", "C as D", "potential", "C with D's training time"),
        Row("C2+ as long as D", "C+ as D", "potential", "C+ with D's training time"),
    ),
    (
        Order("B", "A", "affinity and panoptic loss help without masks", (4.4, 4.2, 4.4)),
        Order("C2", "C1", "argmax beats the merger", (0.3, 1.0, -0.2)),
        Order("D1", "C1", "end-to-end training helps, merger or not", (1.3, 1.0, 1.5)),
        Order("D1", "C2", "end-to-end training and a merger beat argmax without it", (1.0, 0.0, 1.7)),
        Order("D2", "C2", "affinity and panoptic loss help with masks", (1.8, 2.3, 1.5)),
        Order("D2", "D1", "argmax of P beats the merger", (0.8, 2.3, -0.2)),
        Order("D2", "B", "masks help the full model", (2.4, 4.5, 1.0)),
        Order("C2", "A", "masks help without affinity too", (5.0, 6.4, 3.9)),
        Order("C1", "B", "masks and a merger beat affinity on boxes", (0.3, 1.2, -0.3)),
        Order("D1", "B", "masks help where a merger reads them", (1.6, 2.2, 1.2)),
        Order("C2", "C1 tuned", "argmax beats a tuned merger"),
        Order("D2", "D1 tuned", "argmax of P beats a tuned merger"),
        Order("C2+", "C1+", "argmax beats the merger where the loss has trained Psi"),
        Order("C2 as long as D", "C1 as long as D", "argmax beats the merger after more training"),
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
        Order("B printed", "A+", "affinity alone without code of place and added losses, without masks"),
        Order("D2 printed", "C2+", "affinity alone without code of place and added losses, with masks"),
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
        Row("Ours printed", "D printed", "affinity", "D2 printed of Table 1"),
    ),
    (
        Order("Ours w/ mask", "UPSNet", "the full model beats UPSNet", (2.1, 0.1, 3.6)),
        Order("Ours w/ mask", "Panoptic FPN", "the full model beats Panoptic FPN", (3.7, 3.1, 4.1)),
        Order("Ours w/o mask", "Panoptic FPN", "so does the one without masks", (1.3, -1.4, 3.1)),
        Order("UPSNet", "Panoptic FPN", "UPSNet beats Panoptic FPN", (1.6, 3.0, 0.5)),
        Order("UPSNet", "Ours w/o mask", "UPSNet, which has masks, beats the one without", (0.3, 4.4, -2.6)),
        Order("Ours w/ mask", "Ours w/o mask", "masks help", (2.4, 4.5, 1.0)),
        Order("Ours w/ mask", "Panoptic FPN tuned", "and Panoptic FPN with a tuned merger"),
        Order("Ours printed", "UPSNet", "also without code of place and added losses"),
        Order("Ours printed", "Panoptic FPN", "the same beside Panoptic FPN"),
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
        Row(
            "Panoptic FPN",
            "Panoptic FPN",
            "heuristic whole",
            "",
            (None, None, 59.9),
            (79.3, 72.9, 74.7, None, None),
            trimmed=False,
        ),
        Row(
            "Panoptic FPN, trimmed",
            "Panoptic FPN",
            "heuristic whole",
            "",
            (None, None, 62.0),
            (79.6, 75.5, 74.5, None, None),
        ),
        Row("UPSNet", "UPSNet", "upsnet whole", "", (None, None, 60.5), (79.8, 73.6, 75.8, None, None), trimmed=False),
        Row("UPSNet, trimmed", "UPSNet", "upsnet whole", "", (None, None, 62.8), (80.0, 76.3, 75.7, None, None)),
        Row("Ours", "D", "affinity", "", (None, None, 64.2), (81.4, 77.1, 78.3, None, None), trimmed=False),
        Row("Ours, trimmed", "D", "affinity", "", (None, None, 66.3), (81.8, 79.4, 78.2, None, None)),
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
PAPER_G = {"things": (95.1, 4.9), "stuff": (0.0, 100.0)}
"""Table G on Cityscapes: of the truth's things (stuff) predicted as things and as stuff, in percent."""
TABLES: dict[str, Table] = {
    "table1": TABLE_1,
    "table2": TABLE_2,
    "tableF": TABLE_F,
    "tableG": TABLE_G,
    "tableH": TABLE_H,
    "tableI": TABLE_I,
    "speed": TABLE_SPEED,
}
