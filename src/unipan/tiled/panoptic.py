"""Sec. 3.4 in windows: Psi and P of a whole picture, of which only a window ever exists.

Eq. 3 needs one sum over the picture, phi1(Q)^T Psi, which is added up window by window; with it, P of any window is a
matter of that window. So the affinities hold across all seams, and there is nothing to join.

Legend: D detections, S stuff classes, K = D + S channels (detections first), C affinity channels, u = how many times
finer Psi's grid is than Q's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from unipan.models.affinity import InstanceAffinity
from unipan.models.network import PanopticNetwork
from unipan.models.parts import P2_STRIDE
from unipan.ops.upsampling import transposed_upsampling, upsample_bilinear
from unipan.structures import Detections
from unipan.tiled.decoder import read_upsampled
from unipan.tiled.windows import CellWindow, FeatureMap, GridSize, split, windows

OUT_OF_REACH = -1e4
"""P of a thing where it cannot win; finite, because it is interpolated."""


@dataclass(frozen=True, eq=False)
class WindowedPanoptic:
    """V, Q and the detections of a whole picture, and from them Psi and P of windows.

    Attributes:
        network: whose potential and affinity head are used.
        semantic: V before its softmax, at the stride of P2.
        queries: Q; None without the affinity head, whose P is Psi.
        detections: those that enter Psi, boxes in pixels of the network's input.
        size: height and width of Psi's grid, without padding.
        reach: pixels of the network's input around its box in which a thing may win; None is everywhere (Eq. 4).
        log: whether the network's loss takes log P, so that P is positive.
    """

    network: PanopticNetwork
    semantic: FeatureMap
    queries: FeatureMap | None
    detections: Detections
    size: GridSize
    reach: int | None = None
    log: bool = False

    @property
    def stride(self) -> int:
        """Pixels of the network's input per cell of Psi."""
        return self.network.potential.stride

    @property
    def device(self) -> torch.device:
        """Where windows are computed."""
        return self.detections.boxes.device

    @cached_property
    def spans(self) -> Int[Tensor, "D 4"]:
        """Of each detection the first row, the end of the rows, the first column and the end of the columns."""
        axes = [
            _cells_between(self.detections.boxes[:, axis], self.detections.boxes[:, axis + 2], length, self.stride)
            for axis, length in ((1, self.size[0]), (0, self.size[1]))
        ]
        return torch.cat(axes, 1)

    def psi(self, window: CellWindow) -> tuple[Float[Tensor, "_ h w"], Int[Tensor, " R"]]:
        """Psi of a window: the channels of the detections that are in it, then those of stuff; and these detections."""
        rows = _meeting(self.spans, window, 0).nonzero()[:, 0]
        v = read_upsampled(self.semantic, window, P2_STRIDE // self.stride, self.device)
        corner = self.detections.boxes.new_tensor([window.left, window.top] * 2) * self.stride
        found = self.detections[rows]
        moved = Detections(found.boxes - corner, found.scores, found.classes, found.masks)
        return self.network.potential(v, moved), rows

    def panoptic(self, window: CellWindow) -> tuple[Float[Tensor, "_ h w"], Int[Tensor, " R"]]:
        """P of a window: the channels of the detections that can win in it, then those of stuff; and these."""
        psi, inside = self.psi(window)
        if self._zero_elsewhere:
            return psi, inside
        able = self.able(window)
        rows = able.nonzero()[:, 0]
        columns = self._columns(rows)
        values = psi.new_zeros(len(columns), *window.size) if self.head is None else self._message(window, columns)
        place = torch.full((len(able),), -1, device=self.device)
        place[rows] = torch.arange(len(rows), device=self.device)
        count = len(self.detections)
        stuff = torch.arange(len(rows), len(columns), device=self.device)
        values[torch.cat([place[inside], stuff])] += psi
        if self.reach is not None and count:
            barred = ~_inside(self.spans[rows], window, self._margin)
            values[: len(rows)][barred] = 0.0 if self.log else OUT_OF_REACH
        return values, rows

    def able(self, window: CellWindow) -> Bool[Tensor, " D"]:
        """Which detections can win a cell of the window."""
        if self._zero_elsewhere:
            return _meeting(self.spans, window, 0)
        if self.reach is None:
            return torch.ones(len(self.detections), dtype=torch.bool, device=self.device)
        return _meeting(self.spans, window, self._margin)

    def count(self, window: CellWindow) -> int:
        """How many values P of a window has."""
        return (int(self.able(window).sum()) + self.semantic.tensor.shape[0]) * math.prod(window.size)

    @property
    def head(self) -> InstanceAffinity | None:
        """The affinity head, if there is one."""
        return None if self.queries is None else self.network.affinity

    @property
    def _zero_elsewhere(self) -> bool:
        """Whether a thing is 0 outside its box and can win nothing there, because all probabilities are positive."""
        return self.head is None and self.network.potential.variant != "A"

    def absent(self, rows: Int[Tensor, " R"]) -> int:
        """How many channels of a window are 0 in all of it, and left out beside these detections."""
        return len(self.detections) - len(rows) if self._zero_elsewhere else 0

    @property
    def _affinity(self) -> tuple[InstanceAffinity, FeatureMap]:
        """The affinity head and Q of a network that has them."""
        assert self.network.affinity is not None
        assert self.queries is not None
        return self.network.affinity, self.queries

    @property
    def _margin(self) -> int:
        assert self.reach is not None
        return -(-self.reach // self.stride)

    def _columns(self, rows: Int[Tensor, " R"]) -> Int[Tensor, " _"]:
        """The channels of some detections and of stuff among all K."""
        count = len(self.detections)
        stuff = self.semantic.tensor.shape[0] - self.network.potential.num_things
        return torch.cat([rows, torch.arange(count, count + stuff, device=rows.device)])

    @cached_property
    def covered(self) -> GridSize:
        """The cells of Q that Psi is interpolated from; the others are padding."""
        head, queries = self._affinity
        cells = head.covered(queries.tensor, *self.size)
        return cells.shape[1], cells.shape[2]

    @cached_property
    def context(self) -> Float[Tensor, "C K"]:
        """phi1(Q)^T Psi, divided by what `affinity.normalise` says (Eq. 3)."""
        head, _ = self._affinity
        channels = len(self._columns(torch.arange(len(self.detections), device=self.device)))
        sums = torch.zeros(head.phi1.out_channels, channels, dtype=torch.float64, device=self.device)
        mass = torch.zeros(channels, dtype=torch.float64, device=self.device)
        largest = torch.full((head.phi1.out_channels,), -torch.inf, dtype=torch.float64, device=self.device)
        for window in self._windows_of_queries():
            queries, psi, rows, own = self._shared(window)
            columns = self._columns(rows)
            mass[columns] += own
            _, q1 = head.project(queries, (window.top, window.left))
            part = (q1 @ psi.T).double()
            if head.normalise == "softmax":  # over all pixels, of which a window has some
                scale = _exponents(head, head.features(queries, (window.top, window.left)))
                total = torch.logaddexp(largest, scale)
                sums *= (largest - total).exp()[:, None]
                part, largest = part * (scale - total).exp()[:, None], total
            sums[:, columns] += part
        if head.normalise == "pixels":
            return (sums / (self.size[0] * self.size[1])).float()
        return (sums / (mass + 1) if head.normalise == "segment" else sums).float()

    def _windows_of_queries(self) -> Iterator[CellWindow]:
        u, stuff = self._affinity[0].upsampling, self.semantic.tensor.shape[0]

        def count(part: CellWindow) -> int:
            return (int(_meeting(self.spans, part.times(u), 0).sum()) + stuff) * math.prod(part.times(u).size)

        for window in windows(self.covered, 256):
            yield from split(window, count)

    def _shared(self, window: CellWindow) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of a window of Q's cells: Q, U^T Psi (R + S, n), the detections in it, and the mass of these channels."""
        head, queries = self._affinity
        u = head.upsampling
        seen = window.grown(1 if u > 1 else 0, self.covered)
        fine = seen.times(u).cut(self.size)
        psi, rows = self.psi(fine)
        own = window.times(u).cut(self.size)
        mass = psi[:, *own.within(fine)].abs().flatten(1).double().sum(1)
        if u > 1:
            height, width = (u * side for side in seen.size)
            psi = transposed_upsampling(F.pad(psi, (0, width - psi.shape[2], 0, height - psi.shape[1])), u)
        return queries.read(window, self.device), psi[:, *window.within(seen)].flatten(1), rows, mass

    def _message(self, window: CellWindow, columns: Int[Tensor, " _"]) -> Float[Tensor, "_ h w"]:
        """A Psi in a window, of some channels."""
        head, queries = self._affinity
        u = head.upsampling
        seen = window.over(u).grown(1 if u > 1 else 0, self.covered).cut(self.covered)
        q0, _ = head.project(queries.read(seen, self.device), (seen.top, seen.left))
        message = (self.context[:, columns].T @ q0).view(-1, *seen.size)
        return message if u == 1 else upsample_bilinear(message, u)[:, *window.within(seen.times(u))]


def _exponents(head: InstanceAffinity, features: Float[Tensor, "I n"]) -> Float[Tensor, " C"]:
    """log sum exp of phi1(Q) over the cells of a window."""
    values = F.conv2d(features[None, :, :, None], head.phi1.weight, head.phi1.bias)
    return values[0, :, :, 0].double().logsumexp(1)


def _cells_between(
    start: Float[Tensor, " D"], end: Float[Tensor, " D"], length: int, stride: int
) -> Int[Tensor, "D 2"]:
    """First cell and end of each box along one axis, as `ops.boxes.inside_axis` has them."""
    first, last = ((each / stride - 0.5).ceil() for each in (start, end))
    middle = ((start + end) / (2 * stride)).floor().clamp(0, length - 1)
    first, last = first.clamp(min=0), last.clamp(max=length)
    empty = last <= first
    return torch.stack([torch.where(empty, middle, first), torch.where(empty, middle + 1, last)], 1).long()


def _meeting(spans: Int[Tensor, "D 4"], window: CellWindow, margin: int) -> Bool[Tensor, " D"]:
    """Which spans, grown by a margin, have a cell in the window."""
    rows = (spans[:, 0] - margin < window.bottom) & (spans[:, 1] + margin > window.top)
    return rows & (spans[:, 2] - margin < window.right) & (spans[:, 3] + margin > window.left)


def _inside(spans: Int[Tensor, "R 4"], window: CellWindow, margin: int) -> Bool[Tensor, "R h w"]:
    """Which cells of the window lie in each span, grown by a margin."""
    rows = torch.arange(window.top, window.bottom, device=spans.device)
    columns = torch.arange(window.left, window.right, device=spans.device)
    tall = (rows >= spans[:, :1] - margin) & (rows < spans[:, 1:2] + margin)
    wide = (columns >= spans[:, 2:3] - margin) & (columns < spans[:, 3:] + margin)
    return tall[:, :, None] & wide[:, None, :]
