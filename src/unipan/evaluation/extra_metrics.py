"""The figures that `unipan pq --explain` prints below PQ, and what a metric must offer to be one of them."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from unipan.evaluation.image_pair import ImagePair
from unipan.evaluation.matching import Batch
from unipan.panoptic.categories import Categories


@runtime_checkable
class ExtraMetric(Protocol):
    """A metric that is counted in addition to PQ, from the same overlaps.

    Objects that have counted nothing are copied for each part of the images; the copies are added up in the end. Those
    that can be pickled are counted on all cores.
    """

    def add(self, pair: ImagePair) -> object:
        """Count one image."""

    def __add__(self, other: Any, /) -> Any:
        """Merge the counts of two parts."""

    def to_json(self) -> Any:
        """What --json writes."""

    def lines(self) -> list[str]:
        """What the terminal shows."""


@runtime_checkable
class BatchMetric(ExtraMetric, Protocol):
    """An extra metric that needs no maps: it counts several images at once, which takes little longer than one."""

    def add_batch(self, batch: Batch, names: Sequence[str]) -> object:
        """Count the images of these names, in the order of the batch."""


def extra_metrics(
    categories: Categories, explain: bool = True, page: bool = False, trim_stuff: int | None = None
) -> dict[str, ExtraMetric]:
    """The metrics of some options of `unipan pq`, by their names in its JSON; nothing is counted yet.

    Args:
        categories: of the dataset.
        explain: those of --explain, in the order in which they are shown.
        page: those that the page of --html always shows.
        trim_stuff: stuff segments of fewer pixels are trimmed, see `unipan.evaluation.trimming`; None leaves it out.
    """
    found: dict[str, ExtraMetric] = {}  # imported where they are asked for: boundary PQ needs OpenCV
    if explain:  # a page has it too, then: on its own it costs more than the rest of the page
        from unipan.evaluation.boundary import BoundaryQuality

        found["boundary"] = BoundaryQuality(categories)
    if explain or page:
        from unipan.evaluation.covering import ParsingCovering
        from unipan.evaluation.dagger import DaggerQuality
        from unipan.evaluation.semantic_iou import SemanticIoU

        found["dagger"] = DaggerQuality(categories)
        found["covering"] = ParsingCovering(categories)
        found["iou"] = SemanticIoU(categories)
    if explain:
        from unipan.evaluation.confusion import ThingStuffConfusion

        found["thing_stuff"] = ThingStuffConfusion(categories)
    if explain or page:
        from unipan.evaluation.error_costs import ErrorDecomposition

        found["errors"] = ErrorDecomposition(categories)
    if trim_stuff is not None:
        from unipan.evaluation.trimming import TrimEffect

        found["trim_stuff"] = TrimEffect.of(categories, trim_stuff)
    return found
