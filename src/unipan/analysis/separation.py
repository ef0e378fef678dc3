"""Do affinities tell objects apart? The area under the ROC curve of "belongs to the same object", pixel by pixel.

From a few cells of every thing, all other cells are ranked by their affinity to it. AUC is the share of pairs of an own
and a foreign cell in which the own one ranks higher: 1 is perfect, 0.5 is chance. Foreign cells are all others, or only
those of other things of the same class, which Q can tell from its own only by what is special about an object. Two
rankings that need no affinity head stand beside it: nearness, and the agreement of the class probabilities of V.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unipan.models.affinity_rows import affinity_rows, mean_of_phi0
from unipan.panoptic.maps import PanopticMap
from unipan.scene import Scene

RANKINGS = ("affinity", "V", "nearness")
AGAINST = ("all", "class")
"""Foreign cells: all that are not void, or those of other things of the class."""
CELLS = 4
"""Cells of a thing from which others are ranked."""
LEAST = 4
"""Things of fewer cells are left out."""


@dataclass
class Separation:
    """Means over things; `a + b` merges the counts of two parts.

    Attributes:
        sums: by (ranking, foreign cells): the sum of the AUC of every thing, and of how many.
    """

    sums: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def update(self, scene: Scene, truth: PanopticMap) -> None:
        """Count the things of one image; without an affinity head there is nothing to count."""
        if scene.head is None or scene.output.queries is None:
            return
        objects, classes = _things(scene, truth)
        for thing in range(len(classes)):
            own = objects == thing
            if int(own.sum()) < LEAST:
                continue
            cells = own.nonzero()
            cells = cells[torch.linspace(0, len(cells) - 1, CELLS).long()]
            same = torch.isin(objects, (classes == classes[thing]).nonzero()[:, 0])
            foreign = {"all": (objects >= STUFF) & ~own, "class": same & ~own}
            for name, ranking in zip(RANKINGS, _rankings(scene, cells), strict=True):
                for against, others in foreign.items():
                    if others.any():
                        each = [
                            auc(rank, own, others, cell) for rank, cell in zip(ranking, cells.tolist(), strict=True)
                        ]
                        total, count = self.sums.get((name, against), (0.0, 0))
                        self.sums[name, against] = total + sum(each) / len(each), count + 1

    def __add__(self, other: "Separation") -> "Separation":
        keys = self.sums.keys() | other.sums.keys()
        nothing = (0.0, 0)
        pairs = {key: (self.sums.get(key, nothing), other.sums.get(key, nothing)) for key in keys}
        return Separation({key: (a[0] + b[0], a[1] + b[1]) for key, (a, b) in pairs.items()})

    def to_json(self) -> dict[str, dict[str, float | int | None]] | None:
        """By foreign cells: the AUC of each ranking and the number of things; None where nothing was counted."""
        if not self.sums:
            return None
        found: dict[str, dict[str, float | int | None]] = {}
        for against in AGAINST:
            counted = {name: self.sums.get((name, against), (0.0, 0)) for name in RANKINGS}
            found[against] = {name: total / count if count else None for name, (total, count) in counted.items()}
            found[against]["things"] = max(count for _, count in counted.values())
        return found


STUFF, VOID_CELL = -1, -2


def _things(scene: Scene, truth: PanopticMap) -> tuple[Int[Tensor, "h w"], Int[Tensor, " T"]]:
    """For each cell of Psi's grid the row of its thing in the truth, STUFF or VOID_CELL; and the things' classes.

    A crowd's cells are void: nobody says which of them belong together.
    """
    listed = [segment for segment in truth if segment.isthing and not segment.iscrowd]
    height, width = scene.potential.shape[1:]
    (rows, columns) = (
        np.minimum((np.arange(cells) + 0.5) * scene.geometry.stride * side / seen, side - 1).astype(int)
        for cells, side, seen in zip((height, width), scene.size, scene.geometry.input_size, strict=True)
    )
    ids = truth.ids[rows[:, None], columns]
    objects = np.full(ids.shape, VOID_CELL)
    objects[np.isin(ids, [segment.id for segment in truth if not segment.isthing])] = STUFF
    for row, segment in enumerate(listed):
        objects[ids == segment.id] = row
    index = scene.categories.index_of_name
    classes = [index[segment.category.name] for segment in listed]
    return torch.from_numpy(objects), torch.tensor(classes, dtype=torch.long)


@torch.no_grad()
def _rankings(scene: Scene, cells: Int[Tensor, "R 2"]) -> Iterable[Float[Tensor, "R h w"]]:
    """In the order of RANKINGS."""
    assert scene.head is not None
    assert scene.output.queries is not None
    height, width = scene.potential.shape[1:]
    device, queries = scene.potential.device, scene.output.queries[0].float()
    centre = mean_of_phi0(scene.head, queries, (height, width))
    yield affinity_rows(scene.head, queries, (height, width), cells.to(device), centre).cpu()
    v = scene.semantic.float().softmax(0).cpu()
    yield torch.einsum("cr,chw->rhw", v[:, cells[:, 0], cells[:, 1]], v)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    yield -torch.stack([((y - row).square() + (x - column).square()).float() for row, column in cells.tolist()])


def auc(
    ranking: Float[Tensor, "h w"], own: Bool[Tensor, "h w"], others: Bool[Tensor, "h w"], cell: Iterable[int]
) -> float:
    """Share of pairs of an own and another cell in which the own one ranks higher, half of the ties; without `cell`."""
    row, column = cell
    kept = own.clone()
    kept[row, column] = False
    a, b = ranking[kept].double().sort().values, ranking[others].double().sort().values
    below = torch.searchsorted(b, a, right=False) + torch.searchsorted(b, a, right=True)
    return float(below.double().mean()) / (2 * len(b))
