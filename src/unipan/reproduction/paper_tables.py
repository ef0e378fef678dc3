"""The paper's tables: their rows, the comparisons drawn from them, and the printed numbers.

A `TableRow` is one fusion of an `AblationModel`, so one training serves several rows: C1 and C2 of Table 1 are the same
network. Rows that are not in the paper have no printed numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

from unipan.reproduction.ablations import MODELS


class Printed(NamedTuple):
    """The printed numbers of one row, in percent; None where the paper prints nothing."""

    pq: float | None = None
    things: float | None = None
    stuff: float | None = None
    sq: float | None = None
    rq: float | None = None
    iou: float | None = None
    ap_mask: float | None = None
    ap_box: float | None = None


Difference = tuple[float | None, float | None, float | None]
"""PQ of all classes, of things and of stuff."""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        label: its name, the paper's if the paper has the row.
        model: key in MODELS.
        fusion: a fusion; that of a baseline followed by `whole`, which keeps small stuff; or `tuned`, the heuristic
            fusion with thresholds from a grid search.
        text: a short description.
        paper: the paper's numbers (Cityscapes val unless the table says otherwise); in Table I SQ, RQ and IoU are those
            of stuff.
        trimmed: whether small stuff is removed before scoring, as in all of the paper's tables (App. C); Table I has
            both.
    """

    label: str
    model: str
    fusion: str
    text: str
    paper: Printed | None = None
    trimmed: bool = True


@dataclass(frozen=True)
class Comparison:
    """The claim that one row is better than another.

    Attributes:
        better, worse: labels of rows.
        claim: what that would show.
        paper: the difference in the paper; None if the paper does not make this comparison.
    """

    better: str
    worse: str
    claim: str
    paper: Difference | None = None


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper, at the size of your own data."""

    title: str
    rows: tuple[TableRow, ...]
    comparisons: tuple[Comparison, ...] = ()

    @property
    def models(self) -> list[str]:
        """Keys of the networks that it needs, in the order in which they are trained."""
        return sorted(dict.fromkeys(row.model for row in self.rows), key=lambda key: MODELS[key].turn)


PRINTED = {
    "A": Printed(54.6, 46.0, 60.9, 77.9, 68.4, 75.0, None, 36.9),
    "B": Printed(59.0, 50.2, 65.3, 80.1, 72.4, 77.8, None, 38.1),
    "C1": Printed(59.3, 51.4, 65.0, 79.8, 73.2, 78.1, 33.8, 38.1),
    "C2": Printed(59.6, 52.4, 64.8, 80.4, 72.9, 78.1, 33.8, 38.1),
    "D1": Printed(60.6, 52.4, 66.5, 80.4, 74.2, 79.5, 33.7, 38.8),
    "D2": Printed(61.4, 54.7, 66.3, 81.1, 74.7, 79.5, 33.7, 38.8),
    "Panoptic FPN": Printed(57.7, 51.6, 62.2, None, None, 75.0, 32.0, None),
    "UPSNet": Printed(59.3, 54.6, 62.7, 79.7, 73.0, 75.2, 33.3, 39.1),
    "variant C": Printed(60.3, None, None, 80.8, 73.5),
    "true boxes": Printed(58.6, None, None, 80.0, 72.0, 77.8, None, 36.8),
}
"""Tables 1 (A to D2), 2, F and H."""

TABLE_1 = PaperTable(
    "Table 1: what affinity, panoptic loss and argmax bring",
    (
        TableRow("A", "A", "potential", "boxes; argmax of Psi", PRINTED["A"]),
        TableRow("A+", "A+", "potential", "A with the panoptic loss on Psi"),
        TableRow("B own Psi", "B", "potential", "argmax of B's own Psi"),
        TableRow("B", "B", "affinity", "boxes, affinity; argmax of P", PRINTED["B"]),
        TableRow("C1", "C", "heuristic", "masks; heuristic fusion, published thresholds", PRINTED["C1"]),
        TableRow("C1 tuned", "C", "tuned", "C1, thresholds searched on this model"),
        TableRow("C2", "C", "potential", "masks; argmax of Psi", PRINTED["C2"]),
        TableRow("C1+", "C+", "heuristic", "C1 with the panoptic loss on Psi"),
        TableRow("C2+", "C+", "potential", "C2 with the panoptic loss on Psi"),
        TableRow("D1", "D", "heuristic", "masks, affinity; heuristic fusion, published thresholds", PRINTED["D1"]),
        TableRow("D1 tuned", "D", "tuned", "D1, thresholds searched on this model"),
        TableRow("D2 own Psi", "D", "potential", "argmax of D's own Psi"),
        TableRow("D2", "D", "affinity", "masks, affinity; argmax of P", PRINTED["D2"]),
        TableRow("B plain", "B plain", "affinity", "B without positional encoding and added losses"),
        TableRow("D2 plain", "D plain", "affinity", "D2 without positional encoding and added losses"),
        TableRow("A as long as B", "A as B", "potential", "A with B's training time"),
        TableRow("A+ as long as B", "A+ as B", "potential", "A+ with B's training time"),
        TableRow("C1 as long as D", "C as D", "heuristic", "C1 with D's training time"),
        TableRow("C2 as long as D", "C as D", "potential", "C with D's training time"),
        TableRow("C2+ as long as D", "C+ as D", "potential", "C+ with D's training time"),
    ),
    (
        Comparison("B", "A", "affinity and panoptic loss help without masks", (4.4, 4.2, 4.4)),
        Comparison("C2", "C1", "argmax beats the heuristic fusion", (0.3, 1.0, -0.2)),
        Comparison("D1", "C1", "end-to-end training helps the heuristic fusion too", (1.3, 1.0, 1.5)),
        Comparison("D1", "C2", "end-to-end training and heuristic fusion beat argmax without it", (1.0, 0.0, 1.7)),
        Comparison("D2", "C2", "affinity and panoptic loss help with masks", (1.8, 2.3, 1.5)),
        Comparison("D2", "D1", "argmax of P beats the heuristic fusion", (0.8, 2.3, -0.2)),
        Comparison("D2", "B", "masks help the full model", (2.4, 4.5, 1.0)),
        Comparison("C2", "A", "masks help without affinity too", (5.0, 6.4, 3.9)),
        Comparison("C1", "B", "masks and heuristic fusion beat affinity on boxes", (0.3, 1.2, -0.3)),
        Comparison("D1", "B", "masks help with the heuristic fusion", (1.6, 2.2, 1.2)),
        Comparison("C2", "C1 tuned", "argmax beats tuned heuristic fusion"),
        Comparison("D2", "D1 tuned", "argmax of P beats tuned heuristic fusion"),
        Comparison("C2+", "C1+", "argmax beats the heuristic fusion where the loss has trained Psi"),
        Comparison("C2 as long as D", "C1 as long as D", "argmax beats the heuristic fusion after more training"),
        Comparison("A+", "A", "the panoptic loss alone, without masks"),
        Comparison("B", "A+", "affinity alone, without masks"),
        Comparison("B", "B own Psi", "P over the same network's Psi, without masks"),
        Comparison("C2+", "C2", "the panoptic loss alone, with masks"),
        Comparison("D2", "C2+", "affinity alone, with masks"),
        Comparison("D2", "D2 own Psi", "P over the same network's Psi, with masks"),
        Comparison("B", "B plain", "positional encoding and added losses, without masks"),
        Comparison("D2", "D2 plain", "positional encoding and added losses, with masks"),
        Comparison("B plain", "A", "A to B without positional encoding and added losses"),
        Comparison("D2 plain", "C2", "C2 to D2 without positional encoding and added losses"),
        Comparison("B plain", "A+", "affinity alone without positional encoding and added losses, without masks"),
        Comparison("D2 plain", "C2+", "affinity alone without positional encoding and added losses, with masks"),
        Comparison("B", "A as long as B", "B over A at equal time"),
        Comparison("B", "A+ as long as B", "affinity alone at equal time, without masks"),
        Comparison("D2", "C2 as long as D", "D over C at equal time"),
        Comparison("D2", "C2+ as long as D", "affinity alone at equal time, with masks"),
    ),
)
TABLE_2 = PaperTable(
    "Table 2: against Panoptic FPN and UPSNet",
    (
        TableRow("Panoptic FPN", "Panoptic FPN", "heuristic", "published thresholds", PRINTED["Panoptic FPN"]),
        TableRow("Panoptic FPN tuned", "Panoptic FPN", "tuned", "thresholds searched on this model"),
        TableRow("UPSNet", "UPSNet", "upsnet", "its head, pruning and voting", PRINTED["UPSNet"]),
        TableRow("Ours w/o mask", "B", "affinity", "B of Table 1", PRINTED["B"]),
        TableRow("Ours w/ mask", "D", "affinity", "D2 of Table 1", PRINTED["D2"]),
        TableRow("Ours plain", "D plain", "affinity", "D2 plain of Table 1"),
    ),
    (
        Comparison("Ours w/ mask", "UPSNet", "the full model beats UPSNet", (2.1, 0.1, 3.6)),
        Comparison("Ours w/ mask", "Panoptic FPN", "the full model beats Panoptic FPN", (3.7, 3.1, 4.1)),
        Comparison("Ours w/o mask", "Panoptic FPN", "so does the one without masks", (1.3, -1.4, 3.1)),
        Comparison("UPSNet", "Panoptic FPN", "UPSNet beats Panoptic FPN", (1.6, 3.0, 0.5)),
        Comparison("UPSNet", "Ours w/o mask", "UPSNet, which has masks, beats the one without", (0.3, 4.4, -2.6)),
        Comparison("Ours w/ mask", "Ours w/o mask", "masks help", (2.4, 4.5, 1.0)),
        Comparison("Ours w/ mask", "Panoptic FPN tuned", "also against tuned thresholds"),
        Comparison("Ours plain", "UPSNet", "also without positional encoding and added losses"),
        Comparison("Ours plain", "Panoptic FPN", "the same against Panoptic FPN"),
    ),
)
TABLE_F = PaperTable(
    "Table F: variants of the potential (A is not in the paper's table)",
    (
        TableRow("variant A", "D variant A", "affinity", "V and M as logits, no score"),
        TableRow("variant B", "D", "affinity", "s V M (SQ of Tables 1, 2, J; F prints that of stuff)", PRINTED["D2"]),
        TableRow("variant C", "D variant C", "affinity", "s (V + M)", PRINTED["variant C"]),
    ),
    (
        Comparison("variant B", "variant C", "B beats C (Cityscapes; on COCO C beats B by 0.7)", (1.1, None, None)),
        Comparison("variant B", "variant A", "B beats A"),
    ),
)
TABLE_H = PaperTable(
    "Table H: boxes that Psi is made of in training",
    (
        TableRow("ground truths", "B truth", "affinity", "true boxes", PRINTED["true boxes"]),
        TableRow("predictions", "B", "affinity", "B of Table 1", PRINTED["B"]),
    ),
    (Comparison("predictions", "ground truths", "training on one's own detections helps", (0.4, None, None)),),
)
TABLE_I = PaperTable(
    "Table I: small stuff removed before scoring (stuff; the share of 2048 pixels of 1024 x 2048)",
    tuple(
        TableRow(f"{label}{', trimmed' * trimmed}", model, fusion, "", Printed(None, None, *stuff), trimmed)
        for label, model, fusion, trimmed, *stuff in (
            ("Panoptic FPN", "Panoptic FPN", "heuristic whole", False, 59.9, 79.3, 72.9, 74.7),
            ("Panoptic FPN", "Panoptic FPN", "heuristic whole", True, 62.0, 79.6, 75.5, 74.5),
            ("UPSNet", "UPSNet", "upsnet whole", False, 60.5, 79.8, 73.6, 75.8),
            ("UPSNet", "UPSNet", "upsnet whole", True, 62.8, 80.0, 76.3, 75.7),
            ("Ours", "D", "affinity", False, 64.2, 81.4, 77.1, 78.3),
            ("Ours", "D", "affinity", True, 66.3, 81.8, 79.4, 78.2),
        )
    ),
    (
        Comparison("Panoptic FPN, trimmed", "Panoptic FPN", "trimming lifts stuff", (None, None, 2.1)),
        Comparison("UPSNet, trimmed", "UPSNet", "trimming lifts stuff", (None, None, 2.3)),
        Comparison("Ours, trimmed", "Ours", "trimming lifts stuff", (None, None, 2.1)),
    ),
)
TABLE_G = PaperTable(
    "Table G: things and stuff confused by V", (TableRow("full model", "D", "affinity", "", PRINTED["D2"]),)
)
TABLE_SPEED = PaperTable(
    "Inference speed (Sec. 4.2)",
    (
        TableRow("Ours", "D", "affinity", "the full model"),
        TableRow("Ours w/o mask", "B", "affinity", "boxes alone"),
        TableRow("UPSNet", "UPSNet", "upsnet", "its head, pruning and voting"),
        TableRow("Panoptic FPN", "Panoptic FPN", "heuristic", "heuristic fusion"),
    ),
)
PAPER_MILLISECONDS = {"Ours": 197, "UPSNet": 201, "Panoptic FPN": 386}
"""Per Cityscapes image on an RTX 2080 Ti (Sec. 4.2), by row of TABLE_SPEED."""
PAPER_G = {"things": (95.1, 4.9), "stuff": (0.0, 100.0)}
"""Table G on Cityscapes: true things (stuff) predicted as things and as stuff, in percent."""
TABLES: dict[str, PaperTable] = {
    "table1": TABLE_1,
    "table2": TABLE_2,
    "tableF": TABLE_F,
    "tableG": TABLE_G,
    "tableH": TABLE_H,
    "tableI": TABLE_I,
    "speed": TABLE_SPEED,
}


def table_names(text: str) -> list[str]:
    """The keys of TABLES in a list with commas; `all` is all of them. Raises ValueError for any other name."""
    names = list(TABLES) if text == "all" else text.split(",")
    for name in names:
        if name not in TABLES:
            raise ValueError(f"reproduce: there is no table {name!r}; choose from {', '.join(TABLES)}, or all")
    return names
