"""The paper's Figures 1, 6, 7, I, J and K from any checkpoint and dataset: chosen by measure, drawn as panels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unipan.datasets.panoptic_data import PanopticData, Subset
from unipan.inference import Segmenter
from unipan.reproduction.examples import Example, Reading, choose, fusions_of, measure, spread
from unipan.reproduction.figure_rows import attributed, compared, revised, truncated
from unipan.visualization.panels import AnyPicture, Panel, sheet, stack


@dataclass(frozen=True)
class FigurePlan:
    """What a figure shows.

    Attributes:
        number: the paper's.
        section: of the paper, where its text speaks of it.
        title, text: in our words.
        columns: labels.
        needs: `masks`, `affinity`, or both.
        signed: columns that have the colour scale of affinities.
        line: panels side by side; a row with more continues below.
    """

    number: str
    section: str
    title: str
    text: str
    columns: tuple[str, ...]
    needs: tuple[str, ...]
    signed: tuple[int, ...] = ()
    line: int = 4


PLANS = (
    FigurePlan(
        "1",
        "Sec. 1",
        "A box that cuts its object",
        "Of all objects that reach out of their predicted box, the one of which our map keeps most pixels out there "
        "that the heuristic merger loses; the cross marks one of them. The merger paints inside boxes and cannot get "
        "the rest back; the affinities of the crossed pixel (red attracts, blue repels) tie it to the rest of its "
        "object. Before the affinity is the argmax of Ψ of the same network. Stripes are void.",
        ("(a) Image with boxes", "(b) Ground truth", "(c) Heuristic merger", "(d) Ours", "(e) Instance affinities",
         "(f) Before the affinity"),
        ("masks", "affinity"),
        signed=(4,),
        line=3,
    ),
    FigurePlan(
        "6",
        "Sec. 4.1",
        "Affinities, and the potential before and after them",
        "Objects of which the argmax of P gets the largest share right that the argmax of Ψ gets wrong; the cross is "
        "in it. The last two columns are by how much the object’s own channel leads over the best other one, in Ψ "
        "and in P (on a square-root scale): where it is red the object wins the argmax, where it is blue something "
        "else does, and the line is the object’s true outline.",
        ("(a) Image with its box", "(b) Affinities", "(c) Before: lead", "(d) After: lead"),
        ("affinity",),
        signed=(1, 2, 3),
    ),
    FigurePlan(
        "7",
        "Sec. 4.2",
        "Void that the merger leaves",
        "The images in which the merger leaves most pixels void (striped) that have a label in the truth. It does so "
        "where masks and classes disagree; an argmax gives every pixel a label.",
        ("(a) Image", "(b) Ground truth", "(c) Heuristic merger", "(d) Ours"),
        ("masks",),
    ),
    FigurePlan(
        "I",
        "App. E",
        "Pixels outside their box, and under several boxes",
        "First an object that reaches out of its box, chosen as in Figure 1. Below it objects with most pixels under "
        "several boxes that the argmax of P gets right and the argmax of Ψ gets wrong. The cross marks one of those. "
        "The paper draws this figure with a network without masks.",
        ("(a) Image with boxes", "(b) Ground truth", "(c) Instance affinities", "(d) Panoptic prediction"),
        ("affinity",),
        signed=(2,),
    ),
    FigurePlan(
        "J",
        "App. F",
        "One network under two readings",
        "First objects with most pixels under several boxes that our map gets right and the merger does not, then "
        "objects that reach out of their box. Corners stand around the pixels in question; stripes are void.",
        ("(a) Image", "(b) Ground truth", "(c) Heuristic merger", "(d) Ours"),
        ("masks",),
    ),
    FigurePlan(
        "K",
        "App. F",
        "With and without parameters: gains and losses",
        "The argmax of Ψ has no parameters of its own; it stands where the paper shows UPSNet, whose panoptic head has "
        "none either (with --upsnet it is UPSNet itself). The images lie evenly over the ranking by what PQ gains "
        "from Ψ to P: the largest gain comes first, the smallest, or the largest loss, last. Corners stand around the "
        "largest part in which one of the two is right and the other wrong.",
        ("(a) Image", "(b) Ground truth", "(c) Before the affinity", "(d) Ours"),
        ("affinity",),
    ),
)  # fmt: skip
"""In the paper's order."""
K_UPSNET = FigurePlan(
    "K",
    "App. F",
    "Ours and UPSNet: gains and losses",
    "UPSNet’s panoptic head has no parameters; it is another network, trained apart and read by its own rules. The "
    "images lie evenly over the ranking by what PQ gains from UPSNet to ours: the largest gain comes first, the "
    "smallest, or the largest loss, last. Corners stand around the largest part in which one of the two is right and "
    "the other wrong; stripes are void.",
    ("(a) Image", "(b) Ground truth", "(c) UPSNet", "(d) Ours"),
    ("affinity",),
)
"""Figure K where there is a network of UPSNet, as in the paper."""

WANTS = {"affinity": "affinity head", "masks": "masks"}
Picks = Mapping[str, Sequence[Example]]
"""The examples of each figure, by its number."""


@dataclass(frozen=True)
class FigureSheet:
    """A figure, drawn.

    Attributes:
        plan: what it shows.
        picture: RGB.
        examples: one for each row, in their order.
    """

    plan: FigurePlan
    picture: AnyPicture
    examples: tuple[Example, ...]


def draw_figures(
    segmenter: Segmenter,
    data: PanopticData,
    images: int = 50,
    seed: int = 0,
    rows: int = 4,
    each: Callable[[], None] = lambda: None,
    upsnet: Segmenter | None = None,
) -> tuple[list[FigureSheet], list[str]]:
    """Measure images, choose the telling ones, draw them.

    Args:
        segmenter: its classes must be the data's, by name.
        data: images with their truth.
        images: how many to measure; if there are more, so many are drawn by `seed`.
        rows: of a figure, at most; Figure 1 has one example.
        each: called after every image that was measured.
        upsnet: a network that was trained as UPSNet, to stand in Figure K; without it the argmax of Psi does.

    Returns:
        the figures in the paper's order, and a sentence for each one that is left out.

    Raises:
        ValueError: other classes, no images, no figure that this checkpoint and these images could fill, or an `upsnet`
            without what UPSNet's rules need.
    """
    if not len(data):
        raise ValueError("figures: DATA has no images; give a dataset that lists some")
    segmenter = segmenter.with_categories(data.categories)
    upsnet = upsnet and upsnet.with_categories(data.categories)
    part = Subset(data, sorted(np.random.default_rng(seed).permutation(len(data))[:images].tolist()))
    examples: list[Example] = []
    for index in range(len(part)):
        examples += measure(Reading.of(segmenter, part, index, upsnet))
        each()
    picks = pick(examples, rows)
    left_out = unfit(segmenter, picks, len(part))
    if len(left_out) == len(PLANS):
        raise ValueError(f"figures: nothing can be drawn. {' '.join(left_out.values())}")
    kept = {number: found for number, found in picks.items() if number not in left_out}
    panels = _draw(segmenter, upsnet, part, kept)
    plans = [K_UPSNET if upsnet and plan.number == "K" else plan for plan in PLANS if plan.number in kept]
    sheets = [FigureSheet(plan, _sheet(plan, panels[plan.number]), tuple(kept[plan.number])) for plan in plans]
    return sheets, list(left_out.values())


def pick(examples: Sequence[Example], rows: int) -> Picks:
    """The examples of every figure; an image shows an object a second time only where no other image qualifies."""
    used: set[int] = set()
    half = rows // 2
    found = {"1": choose(examples, "outside", 1, used), "6": choose(examples, "revised", rows, used)}
    found["I"] = choose(examples, "outside", min(rows, 1), used)
    found["I"] += choose(examples, "shared", rows - len(found["I"]), used)
    found["J"] = choose(examples, "conflict", rows - half, used) + choose(examples, "outside", half, used)
    found["7"] = choose(examples, "void", rows, set())
    found["K"] = spread(examples, "quality", rows)
    return found


def unfit(segmenter: Segmenter, picks: Picks, measured: int) -> dict[str, str]:
    """Figures that cannot be drawn, by number, each with a sentence that says why."""
    can = {"masks": "heuristic", "affinity": "affinity"}
    fusions = fusions_of(segmenter)
    reasons = {}
    for plan in PLANS:
        missing = [WANTS[part] for part in plan.needs if can[part] not in fusions]
        if missing:
            words = " and no ".join(missing)
            reasons[plan.number] = f"Figure {plan.number} is left out: this checkpoint has no {words}."
        elif not picks[plan.number]:
            reasons[plan.number] = f"Figure {plan.number} is left out: none of the {measured} images has an example."
    return reasons


def _draw(
    segmenter: Segmenter, upsnet: Segmenter | None, data: PanopticData, picks: Picks
) -> dict[str, list[list[Panel]]]:
    """The rows of every figure. Images are read again, one by one: Q and P of all of them would fill the memory."""
    rows: dict[str, list[list[Panel]]] = {number: [[]] * len(found) for number, found in picks.items()}
    for index in sorted({example.index for found in picks.values() for example in found}):
        reading = Reading.of(segmenter, data, index, upsnet)
        for number, found in picks.items():
            for place, example in enumerate(found):
                if example.index == index:
                    rows[number][place] = _row(number, reading, example)
    return rows


def _row(number: str, reading: Reading, example: Example) -> list[Panel]:
    match number:
        case "1":
            return truncated(reading, example)
        case "6":
            return revised(reading, example)
        case "I":
            return attributed(reading, example)
        case "K":
            return compared(reading, example, reading.without_parameters, "affinity")
        case _:
            return compared(reading, example, "heuristic", reading.ours)


def _sheet(plan: FigurePlan, rows: Sequence[Sequence[Panel]]) -> AnyPicture:
    starts = range(0, len(plan.columns), plan.line)
    return stack(
        [
            sheet(
                plan.columns[start : start + plan.line],
                [row[start : start + plan.line] for row in rows],
                [column - start for column in plan.signed],
            )
            for start in starts
        ]
    )
