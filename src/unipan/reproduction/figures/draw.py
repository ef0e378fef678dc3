"""What each of the paper's figures shows, and drawing all that a checkpoint and a dataset allow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unipan.config import check_fusion
from unipan.datasets.panoptic_data import PanopticData, Subset
from unipan.inference import Segmenter, open_segmenter
from unipan.panoptic.categories import Categories
from unipan.reproduction.figures.examples import Example, FusedImage, choose, fusions_of, measure, spread
from unipan.reproduction.figures.rows import attributed, compared, revised, truncated
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
        "The object with most pixels outside its predicted box that our map keeps and the heuristic fusion loses; the "
        "cross marks one of them. The heuristic fusion paints inside boxes only and cannot recover the rest; the "
        "affinities of the crossed pixel (red attracts, blue repels) tie it to the rest of its object. “Before the "
        "affinity” is the argmax of Ψ of the same network. Stripes are void.",
        ("(a) Image with boxes", "(b) Ground truth", "(c) Heuristic fusion", "(d) Ours", "(e) Instance affinities",
         "(f) Before the affinity"),
        ("masks", "affinity"),
        signed=(4,),
        line=3,
    ),
    FigurePlan(
        "6",
        "Sec. 4.1",
        "Affinities, and the potential before and after them",
        "Objects with the largest share of pixels that the argmax of P gets right and the argmax of Ψ gets wrong; the "
        "cross marks one of these pixels. The last two columns show the lead of the object’s own channel over the "
        "best other one, in Ψ and in P (on a square-root scale): the object wins the argmax where it is red and loses "
        "where it is blue. The line is the object’s true outline.",
        ("(a) Image with its box", "(b) Affinities", "(c) Before: lead", "(d) After: lead"),
        ("affinity",),
        signed=(1, 2, 3),
    ),
    FigurePlan(
        "7",
        "Sec. 4.2",
        "Void that the heuristic fusion leaves",
        "The images in which the heuristic fusion leaves most labelled pixels void (striped). It does so where masks "
        "and classes disagree; an argmax gives every pixel a label.",
        ("(a) Image", "(b) Ground truth", "(c) Heuristic fusion", "(d) Ours"),
        ("masks",),
    ),
    FigurePlan(
        "I",
        "App. E",
        "Pixels outside their box, and under several boxes",
        "First an object that extends beyond its box, chosen as in Figure 1. Below it the objects with most pixels "
        "under several boxes that the argmax of P gets right and the argmax of Ψ gets wrong; the cross marks one of "
        "them. The paper draws this figure with a network without masks.",
        ("(a) Image with boxes", "(b) Ground truth", "(c) Instance affinities", "(d) Panoptic prediction"),
        ("affinity",),
        signed=(2,),
    ),
    FigurePlan(
        "J",
        "App. F",
        "One network under two fusions",
        "First the objects with most pixels under several boxes that our map gets right and the heuristic fusion "
        "wrong, then objects that extend beyond their box. Corners frame the pixels in question; stripes are void.",
        ("(a) Image", "(b) Ground truth", "(c) Heuristic fusion", "(d) Ours"),
        ("masks",),
    ),
    FigurePlan(
        "K",
        "App. F",
        "With and without parameters: gains and losses",
        "The argmax of Ψ has no parameters of its own; it takes the place of UPSNet in the paper, whose panoptic head "
        "has none either (with --upsnet it is UPSNet itself). The images are spread evenly over the ranking by the "
        "gain in PQ from Ψ to P: the largest gain comes first, the smallest, or the largest loss, last. Corners frame "
        "the largest part in which one of the two is right and the other wrong.",
        ("(a) Image", "(b) Ground truth", "(c) Before the affinity", "(d) Ours"),
        ("affinity",),
    ),
)  # fmt: skip
"""In the paper's order."""
K_UPSNET = FigurePlan(
    "K",
    "App. F",
    "Ours and UPSNet: gains and losses",
    "UPSNet’s panoptic head has no parameters; it is a network of its own, trained apart and fused by its own rules. "
    "The images are spread evenly over the ranking by the gain in PQ from UPSNet to ours: the largest gain comes "
    "first, the smallest, or the largest loss, last. Corners frame the largest part in which one of the two is right "
    "and the other wrong; stripes are void.",
    ("(a) Image", "(b) Ground truth", "(c) UPSNet", "(d) Ours"),
    ("affinity",),
)
"""Figure K where there is a network of UPSNet, as in the paper."""

REQUIREMENTS = {"masks": ("heuristic", "masks"), "affinity": ("affinity", "affinity head")}
"""What a figure needs -> the fusion that shows whether it is there, and its name."""
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
    """Measure images, choose examples, draw the figures.

    Args:
        segmenter: with the same class names as the data.
        data: images with their truth.
        images: how many to measure; if there are more, a random sample.
        seed: of that sample.
        rows: of a figure, at most; Figure 1 has one example.
        each: called after every image that was measured.
        upsnet: a network that was trained as UPSNet, for Figure K; without it the argmax of Psi takes its place.

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
        examples += measure(FusedImage.of(segmenter, part, index, upsnet))
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


def open_upsnet(checkpoint: str, device: str, categories: Categories) -> Segmenter:
    """A network for Figure K. Raises ValueError if it was not trained as UPSNet, or on other classes."""
    segmenter = open_segmenter(checkpoint, device)
    try:
        check_fusion(segmenter.config, "upsnet")
        return segmenter.with_categories(categories)
    except ValueError as error:
        raise ValueError(f"--upsnet {checkpoint}: {error}") from error


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
    fusions = fusions_of(segmenter)
    reasons = {}
    for plan in PLANS:
        missing = [name for fusion, name in (REQUIREMENTS[part] for part in plan.needs) if fusion not in fusions]
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
        seen = FusedImage.of(segmenter, data, index, upsnet)
        for number, found in picks.items():
            for place, example in enumerate(found):
                if example.index == index:
                    rows[number][place] = _figure_row(number, seen, example)
    return rows


def _figure_row(number: str, seen: FusedImage, example: Example) -> list[Panel]:
    match number:
        case "1":
            return truncated(seen, example)
        case "6":
            return revised(seen, example)
        case "I":
            return attributed(seen, example)
        case "K":
            return compared(seen, example, seen.without_parameters, "affinity")
        case _:
            return compared(seen, example, "heuristic", seen.ours)


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
