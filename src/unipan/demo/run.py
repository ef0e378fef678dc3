"""Three fusions of one network on freshly drawn street scenes: one table and one page."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unipan import __version__
from unipan.arrays import Float32
from unipan.config import Fusion, Runtime
from unipan.config_values import COUNT, SEED
from unipan.datasets.scenes.generator import Scenes
from unipan.datasets.scenes.seeds import use_in_training
from unipan.demo.changes import change_picture, error_picture, right_pixels
from unipan.evaluation.bootstrap import METRICS, Intervals, bootstrap_quality, paired_bootstrap_pq
from unipan.evaluation.panoptic_quality import PanopticQuality
from unipan.evaluation.pq_scores import GROUPS
from unipan.files import require_file
from unipan.panoptic.maps import PanopticMap, Sample
from unipan.result import PanopticResult
from unipan.runtimes import AnyDetections, AnyScene, AnySegmenter, open_network
from unipan.terminal import printable, tell, told_of_output
from unipan.visualization.flat import resize_map
from unipan.visualization.heatmap import affinity_picture, diverging
from unipan.visualization.overlay import draw_boxes, mark, overlay
from unipan.visualization.pages import CaptionedImage, GalleryPage, ImageRow, ScoreRow, data_uri, write_page
from unipan.visualization.palette import colors_like, instance_color, segment_colors
from unipan.visualization.regions import box_mask, deepest, own_box

SHOWN_FUSIONS: dict[Fusion, tuple[str, str]] = {
    "heuristic": ("Heuristic fusion", "rules of Panoptic FPN"),
    "potential": ("Argmax of Ψ", "boxes, masks and classes"),
    "affinity": ("Argmax of P", "Ψ revised by affinities"),
}
"""In the order of the table: the paper's result stands last."""

DEMO_LEAD = (
    "The network sees each scene once, and three fusions make a map of its output: rules, the argmax of a first guess "
    "Ψ, and the argmax of P, which revises Ψ by the affinities of all pairs of pixels. A click enlarges a picture.",
)
DEMO_READING = (
    "The network’s boxes, masks and classes give the first guess Ψ, with one channel for every detected object and "
    "every stuff class. Its affinities, learned between all pairs of pixels, then revise that guess: P = Ψ + AΨ, and "
    "the map is the argmax of P. No rule pastes, sorts or trims anything, and the network was trained with the same "
    "logic.",
    "Each scene shows the boxes with one crossed pixel, what this pixel is attracted to and repelled by (the "
    "paper’s Fig. 1e and 6), the pixels that the affinities change, and the truth; then three fusions of the same "
    "forward pass, as in its Fig. 1 and 7, and what is still wrong. Look at objects that are cut off by their box: the "
    "heuristic fusion can only paint inside it, and leaves void (black) where masks and classes disagree, while the "
    "affinities carry a label across the edge. An object has the same colour in every picture.",
)
SHOWN_WIDTH = 768
"""Pictures are enlarged to about this width in pixels, so that boxes and names stay sharp."""
FEWEST_MARKED_PIXELS = 12
"""Fewer pixels outside a box, or under other boxes, are not worth a cross."""


@dataclass
class DemoRun:
    """What has been collected over the scenes so far.

    Attributes:
        segmenter: the network.
        qualities: PQ of each fusion.
        rows: pictures of the first scenes.
        best: how many pixels more P has right than Psi in the scene where they are most, and its pictures.
        seconds: for networks and fusions.
    """

    segmenter: AnySegmenter
    qualities: dict[Fusion, PanopticQuality]
    rows: list[ImageRow] = field(default_factory=list)
    best: tuple[int, ImageRow] | None = None
    seconds: float = 0.0


def run_demo(
    out: Path,
    count: int = 60,
    seed0: int = 2_000_000,
    shown: int = 8,
    segmenter: AnySegmenter | None = None,
    runtime: Runtime = "auto",
) -> tuple[Path, dict[Fusion, PanopticQuality]]:
    """Segment `count` held-out scenes, print the scores of three fusions and write `out/index.html`.

    Args:
        out: output folder, made if missing.
        count: how many scenes to score.
        seed0: the first seed; those from `datasets.scenes.generator.HELD_OUT` on were never used in training.
        shown: how many scenes are on the page.
        segmenter: by default the bundled checkpoint `scenes`; it needs masks.
        runtime: of the bundled checkpoint.

    Returns:
        the page, and PQ of each fusion.

    Raises:
        ValueError: no scenes, a network without masks, or a folder that cannot be written to.
    """
    if seed0 < 0 or count not in COUNT or seed0 not in SEED:
        raise ValueError(f"demo: {count} scenes from seed {seed0} cannot be drawn; give --count from 1, --seed0 from 0")
    require_file(out / "index.html", "--out")
    console = Console()
    segmenter = segmenter or open_network("scenes", "cpu", runtime)
    run = DemoRun(segmenter, {fusion: PanopticQuality(segmenter.categories) for fusion in SHOWN_FUSIONS})
    scenes = Scenes(range(seed0, seed0 + count))
    # Without a terminal rich would show no bar, but print an empty line.
    tracked = track(scenes, "segmenting scenes", console=console, transient=True) if console.is_terminal else scenes
    for number, sample in enumerate(tracked):
        _score_scene(run, sample, show=number < shown)
    _lead_with_the_best(run, shown)
    found = {fusion: bootstrap_quality(quality) for fusion, quality in run.qualities.items()}
    note = _scores_note(run, seed0, count)
    page = out / "index.html"
    write_page(page, _page(run, found, note))
    with told_of_output():
        console.print(score_table(found))
        console.print(printable(note), highlight=False, markup=False)
    tell(f"pictures: {page}")
    return page, run.qualities


def _score_scene(run: DemoRun, sample: Sample, show: bool) -> None:
    """Run one scene through the network and count its three maps."""
    start = time.perf_counter()
    scene = run.segmenter.scene(sample.image)
    results = {fusion: scene.result(fusion) for fusion in SHOWN_FUSIONS}
    run.seconds += time.perf_counter() - start
    matched = {
        fusion: len(run.qualities[fusion].update(sample.truth, result, sample.name).truth)
        for fusion, result in results.items()
    }
    before, after = (right_pixels(sample.truth, results[fusion]) for fusion in ("potential", "affinity"))
    gain = int(after.sum()) - int(before.sum())
    best = run.best is None or gain > run.best[0]
    if show or best:
        row = scene_row(sample, scene, results, matched)
        if show:
            run.rows.append(row)
        if best:
            run.best = gain, row


def _lead_with_the_best(run: DemoRun, shown: int) -> None:
    """The scene where the affinities help most comes first, and says so; the others are the first ones drawn."""
    if run.best is None or shown < 1:
        return
    gain, best = run.best
    note = f"Of all scenes, the one in which the affinities put most pixels right: {gain:+,}. {best.note}"
    others = [row for row in run.rows if row is not best]
    run.rows = [replace(best, note=note), *others[: shown - 1]]


def score_table(found: Mapping[Fusion, Intervals]) -> Table:
    """The three groups, each under every fusion."""
    headers = [metric.upper() for metric in METRICS]
    table = Table("", "fusion", *headers, title="Panoptic quality in %, with 95% intervals", box=box.SIMPLE_HEAD)
    for group in GROUPS:
        for fusion in SHOWN_FUSIONS:
            each = found[fusion][group]
            cells = ["-" if each is None else str(each[metric]) for metric in METRICS]
            table.add_row(group if fusion == "heuristic" else "", fusion, *cells, end_section=fusion == "affinity")
    return table


def _scores_note(run: DemoRun, seed0: int, count: int) -> str:
    steps = []
    pairs: tuple[tuple[Fusion, Fusion], ...] = (("affinity", "potential"), ("potential", "heuristic"))
    for one, other in pairs:
        step = paired_bootstrap_pq(run.qualities[one], run.qualities[other])["All"]
        if step is not None:
            value, low, high = (f"{100 * v:+.1f}".replace("-", "−") for v in (step.value, step.low, step.high))
            steps.append(f"{one} minus {other} {value} PQ ({low} to {high})")
    origin = use_in_training(range(seed0, seed0 + count))
    return (
        f"{count} scenes, seeds {seed0:,} to {seed0 + count - 1:,}, {origin}. Percent, with 95% bootstrap "
        f"intervals over the scenes. Paired on the same scenes: {'; '.join(steps)}."
    )


def scene_row(
    sample: Sample, scene: AnyScene, results: Mapping[Fusion, PanopticResult], matched: Mapping[Fusion, int]
) -> ImageRow:
    """The eight pictures of one scene, with a sentence on the crossed pixel."""
    details = {}
    for fusion, (name, _) in SHOWN_FUSIONS.items():
        void = 100 * np.mean(results[fusion].ids == 0)
        details[name] = f"{matched[fusion]} of {len(sample.truth)} segments found, {void:.0f}\u00a0% void"
    images = [
        CaptionedImage(name, data_uri(picture), details.get(name, detail))
        for name, (picture, detail) in scene_pictures(sample, scene, results).items()
    ]
    return ImageRow(f"Scene {sample.image_id:,}", images, pixel_to_mark(sample.truth, scene.detections)[2])


def scene_pictures(
    sample: Sample, scene: AnyScene, results: Mapping[Fusion, PanopticResult]
) -> dict[str, tuple[np.ndarray, str]]:
    """The pictures of a scene and what they show, by name and in their order on the page."""
    factor = max(1, round(SHOWN_WIDTH / sample.image.shape[1]))
    image = np.asarray(cv2.resize(sample.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    x, y, _ = pixel_to_mark(sample.truth, scene.detections)
    place = (x * factor + factor // 2, y * factor + factor // 2)
    affinity = np.asarray(cv2.resize(scene.affinity(x, y), (image.shape[1], image.shape[0])), np.float32)
    # The few strongest pixels would leave the rest pale.
    limit = float(np.quantile(np.abs(affinity), 0.995))
    size = image.shape[:2]
    boxes = mark(_draw_detections(image, scene, factor), *place)
    truth = overlay(image, resize_map(sample.truth, size), segment_colors(sample.truth))
    maps = {
        name: (overlay(image, resize_map(results[fusion], size), colors_like(results[fusion], sample.truth)), "")
        for fusion, (name, _) in SHOWN_FUSIONS.items()
    }
    errors = error_picture(sample.truth, results["affinity"], size)
    return {
        "Image and boxes": (boxes, "the cross marks one pixel"),
        "Affinities of the crossed pixel": (
            affinity_picture(affinity, place, image, limit),
            "red attracts, blue repels",
        ),
        "From Ψ to P": _changes(sample, results, image),
        "Ground truth": (truth, f"{len(sample.truth)} segments"),
        **maps,
        "Errors of P": (errors, "red missed, blue invented, amber outline"),
    }


def _changes(sample: Sample, results: Mapping[Fusion, PanopticResult], image: np.ndarray) -> tuple[np.ndarray, str]:
    before, after = (right_pixels(sample.truth, results[fusion]) for fusion in ("potential", "affinity"))
    repaired, spoiled = int((after & ~before).sum()), int((before & ~after).sum())
    detail = f"{repaired:,} pixels put right (green), {spoiled:,} put wrong (red)"
    return change_picture(image, before, after), detail


def _draw_detections(image: np.ndarray, scene: AnyScene, factor: int) -> np.ndarray:
    found = scene.detections
    categories = [scene.categories[index] for index in found.classes.tolist()]
    labels = [f"{c.name} {score:.2f}" for c, score in zip(categories, found.scores.tolist(), strict=True)]
    colors = [instance_color(category.color, 0) for category in categories]
    return draw_boxes(image, _box_array(found) * factor, labels, colors)


def _box_array(found: AnyDetections) -> Float32[np.ndarray, "D 4"]:
    return np.array(found.boxes.tolist(), np.float32).reshape(-1, 4)


def pixel_to_mark(truth: PanopticMap, found: AnyDetections) -> tuple[int, int, str]:
    """The pixel to mark: x, y, and a sentence that says why.

    The first choice is the thing with most pixels outside its own predicted box, then the one with most pixels under
    other boxes, then the largest one; within that region it is the pixel farthest from the edge.
    """
    things = [segment for segment in truth if segment.isthing]
    boxes = _box_array(found)
    height, width = truth.ids.shape
    if not things:
        return width // 2, height // 2, "There is no object here; the cross is in the middle."
    cover = np.array([box_mask(box, truth.ids.shape) for box in boxes.tolist()], bool)
    whole = [truth.ids == segment.id for segment in things]
    outside, shared = ([np.zeros_like(mask) for mask in whole] for _ in range(2))
    for place, segment in enumerate(things):
        own = own_box(segment, boxes)
        if own is not None:
            outside[place] = whole[place] & ~cover[own]
            shared[place] = whole[place] & np.delete(cover, own, axis=0).any(axis=0)
    for regions, sentence in (
        (outside, "The crossed pixel belongs to a {} but lies outside its predicted box."),
        (shared, "The crossed pixel belongs to a {} and lies in the boxes of other objects too."),
        (whole, "The cross is on the largest object, a {}."),
    ):
        areas = [int(region.sum()) for region in regions]
        best = int(np.argmax(areas))
        if areas[best] >= FEWEST_MARKED_PIXELS:
            return *deepest(regions[best]), sentence.format(things[best].category.name)
    return *deepest(truth.ids == things[0].id), f"The cross is on a {things[0].category.name}."


def _page(run: DemoRun, found: Mapping[Fusion, Intervals], note: str) -> GalleryPage:
    segmenter = run.segmenter
    pace = run.seconds / max(len(run.qualities["affinity"]), 1)
    return GalleryPage(
        title="Street scenes, one network, three fusions",
        kicker="unipan · unified panoptic segmentation",
        verb="demo",
        lead=DEMO_LEAD,
        scores=[ScoreRow(name, what, found[fusion]) for fusion, (name, what) in SHOWN_FUSIONS.items()],
        scores_note=note,
        reading=DEMO_READING,
        rows=run.rows,
        legend=[(category.name, category.color) for category in segmenter.categories],
        scale=data_uri(diverging(np.linspace(-1, 1, 301, dtype=np.float32)[None].repeat(8, 0))),
        colophon=(
            f"unipan {__version__}, checkpoint {segmenter.config.name}, {pace:.2f} s a scene for the network and the "
            "three fusions. The scenes are drawn by a program; there is no photograph on this page. "
            "After Q. Li, X. Qi, P. H. S. Torr, Unifying Training and Inference for Panoptic Segmentation, CVPR 2020."
        ),
    )
