"""Single rows of the matrix of affinities, for a closer look at some pixels; P never needs them.

The legend is that of `affinity.py`; R rows.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unipan.models.affinity import Angles, InstanceAffinity
from unipan.ops.pointwise import matrix_and_bias
from unipan.ops.positional_encoding import rotate
from unipan.ops.upsampling import nine_around, upsampled_between


def mean_of_phi0(head: InstanceAffinity, queries: Float[Tensor, "C _ _"], size: tuple[int, int]) -> Float[Tensor, " C"]:
    """Over the cells of Q that a grid of Psi of this size has."""
    queries = head.covered(queries, *size)
    return head.apply_phi0(head.features(queries), head.angles(queries)).mean(1)


def affinity_rows(
    head: InstanceAffinity,
    queries: Float[Tensor, "C _ _"],
    size: tuple[int, int],
    cells: Int[Tensor, "R 2"],
    centre: Float[Tensor, " C"] | None = None,
) -> Float[Tensor, "R h w"]:
    """phi0(Q_p) . phi1(Q_j) of some cells p to all cells j, before any division by Psi's mass.

    Args:
        head: the affinity head.
        queries: Q of one image.
        size: (h, w) of Psi's grid.
        cells: y, x of each p on it.
        centre: `mean_of_phi0`, to take the means of phi0 and phi1 away first: what they add is the same for every p or
            for every j.
    """
    queries = head.covered(queries, *size)
    grid, features, angles = queries.shape[1:], head.features(queries), head.angles(queries)
    near = nine_around((grid[0], grid[1]), head.upsampling, cells).flatten()
    around = head.apply_phi0(features[:, near], None if angles is None else angles[:, near])
    own = upsampled_between(around.view(-1, len(cells), 9), head.upsampling, cells)
    if centre is None:
        rows = _times_phi1(head, own, features, angles)
    else:
        rows = _times_phi1(head, own - centre, features, angles)
        rows = rows - rows.mean(1, keepdim=True)  # as if the mean of phi1 were taken from it
    return head.upsampled(rows.view(-1, *grid), *size)


def _times_phi1(
    head: InstanceAffinity, own: Float[Tensor, "R C"], features: Float[Tensor, "I n"], angles: Angles
) -> Float[Tensor, "R n"]:
    """own phi1(Q). Where phi1 is linear, only the few channels that RoPE rotates are made for all cells."""
    if head.activation != "identity" or head.normalise == "softmax":
        return own @ head.apply_phi1(features, angles)
    (weight, bias), kept = matrix_and_bias(head.phi1), own.shape[1] - (0 if angles is None else 2 * len(angles))
    rows = torch.addmm((own[:, :kept] @ bias[:kept])[:, None], own[:, :kept] @ weight[:kept], features)
    if angles is None:
        return rows
    rotated = rotate(torch.addmm(bias[kept:, None], weight[kept:], features), angles)
    return torch.addmm(rows, own[:, kept:], rotated)
