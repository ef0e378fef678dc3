"""The figures that stand beside PQ, in one object: what one report of one prediction asks for."""

from dataclasses import dataclass, fields
from typing import Any

from unipan.evaluation.boundary import BoundaryQuality
from unipan.evaluation.confusion import SegmentConfusion, thing_stuff_shares
from unipan.evaluation.covering import ParsingCovering
from unipan.evaluation.dagger import DaggerQuality
from unipan.evaluation.error_costs import ErrorDecomposition
from unipan.evaluation.panoptic_quality import GROUPS
from unipan.evaluation.semantic_iou import SemanticIoU
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap


@dataclass(frozen=True)
class BesidePQ:
    """Collects images; `a + b` merges two parts, in any order.

    Attributes:
        boundary, dagger, covering, iou, segments, errors: see there.
    """

    boundary: BoundaryQuality
    dagger: DaggerQuality
    covering: ParsingCovering
    iou: SemanticIoU
    segments: SegmentConfusion
    errors: ErrorDecomposition

    @classmethod
    def of(cls, categories: Categories) -> "BesidePQ":
        """Nothing counted yet."""
        return cls(
            BoundaryQuality(categories),
            DaggerQuality(categories),
            ParsingCovering(categories),
            SemanticIoU(categories),
            SegmentConfusion(categories),
            ErrorDecomposition(categories),
        )

    def update(self, truth: PanopticMap, prediction: PanopticMap, name: str) -> None:
        """Count one image. Raises ValueError as `PanopticQuality.update`."""
        for part in fields(self):
            getattr(self, part.name).update(truth, prediction, name)

    def __add__(self, other: "BesidePQ") -> "BesidePQ":
        return BesidePQ(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def to_json(self) -> dict[str, Any]:
        """Fractions by figure and group, null for a group without classes.

        `{"boundary": {group: {"pq", "sq", "rq", "n"}, "per_class"}, "dagger": {group}, "covering": {group}, "iou":
        {"mean", "things", "stuff", "per_class"}, "thing_stuff": Table G by pixels, "errors": see `ErrorCosts`}`.
        """
        return {
            "boundary": self.boundary.compute().to_json(),
            "dagger": self.dagger.compute(),
            "covering": self.covering.compute(),
            "iou": self.iou.compute().to_json(),
            "thing_stuff": thing_stuff_shares(self.iou.confusion, self.iou.categories),
            "errors": self.errors.compute().to_json(),
        }

    def describe(self) -> list[str]:
        """The same as lines for a terminal, in percent: all, things, stuff."""
        boundary, iou = self.boundary.compute(), self.iou.compute()
        scores = {group: boundary[group] for group in GROUPS}
        rows = {
            "boundary PQ": [None if each is None else each.pq for each in scores.values()],
            "PQ†": list(self.dagger.compute().values()),
            "parsing covering": list(self.covering.compute().values()),
            "mean IoU": [iou.mean, iou.things, iou.stuff],
        }
        lines = [f"{name}: {_percents(values)}" for name, values in rows.items()]
        shares = thing_stuff_shares(self.iou.confusion, self.iou.categories)
        for side, share in shares.items():
            parts = ", ".join(f"{_percent(value)} as {name}" for name, value in share.items())
            lines.append(f"pixels of {side}: {parts}")
        return lines

    def describe_errors(self) -> list[str]:
        """What each kind of error costs, dearest first."""
        costs = self.errors.compute()
        kinds = sorted(costs.kinds.items(), key=lambda pair: -(pair[1].cost["All"] or 0.0))
        lines = ["PQ that each kind of error costs (they do not add up), of all, things, stuff:"]
        lines += [
            f"  {kind}: {_percents(list(found.cost.values()))}; {found.truths} true, {found.predictions} false segments"
            for kind, found in kinds
        ]
        return [*lines, f"  all repaired: PQ {_percents(list(costs.repaired.values()))}"]


def _percents(values: list[float | None]) -> str:
    return ", ".join(_percent(value) for value in values)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
