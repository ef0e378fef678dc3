"""The graphs as modules: an image to the cues, the cues to Psi and P, boxes to masks. All layers are the network's own.

Legend: D detections, L classes (things first), C affinity channels, K channels of Psi and P, H W the padded image,
h w the grid of V, a b that of Q, m cells of a mask.
"""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unipan.export.detection import find, mask_logits_of
from unipan.models.affinity import Angles, InstanceAffinity
from unipan.models.detection.head import DetectionHead
from unipan.models.network import PanopticNetwork
from unipan.models.parts import LEVELS
from unipan.structures import Detections


class DenseGraph(nn.Module):
    """From an image to V, phi0(Q), phi1(Q) and the detections (Sec. 3.1 to 3.3, and the convolutions of 3.4.2)."""

    def __init__(self, network: PanopticNetwork) -> None:
        super().__init__()
        if not isinstance(network.detection, DetectionHead):
            raise ValueError(
                f"export: this network has a detector of its own ({type(network.detection).__name__}), which cannot be "
                "converted; `unipan.export.convert.head_graph(network)` makes the graph of the head alone"
            )
        self.network, self.detection = network, network.detection

    def forward(self, pixels: Float[Tensor, "1 3 H W"], size: Int[Tensor, " 2"]) -> dict[str, Tensor]:
        """Outputs by name, without batch axis; what the network lacks is left out.

        A network with a mask head also gives the backbone's levels p2 to p5, as they are, with their batch axis: they
        are what `MaskGraph` takes.

        Args:
            pixels: RGB in 0..1, padded at the bottom and right to multiples of 32 with the mean colour.
            size: height and width of what is no padding.
        """
        network = self.network
        features = network.backbone((pixels - network.mean) / network.std)
        outputs = {"semantic": network.semantic(features)[0]}
        if network.affinity is not None:
            queries = network.affinity.extract(features)[0]
            for name, phi in zip(("phi0", "phi1"), network.affinity.project(queries), strict=True):
                outputs[name] = phi.view(-1, *queries.shape[1:])
        found = find(self.detection, features, pixels, size)
        outputs |= {"boxes": found.boxes, "scores": found.scores, "classes": found.classes}
        if found.masks is None:
            return outputs
        return outputs | {"masks": found.masks} | {name: features[name] for name in LEVELS}


class MaskGraph(nn.Module):
    """From the backbone's levels and any boxes to their masks (Sec. 3.3), for scenes whose boxes are edited."""

    def __init__(self, network: PanopticNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        p2: Float[Tensor, "1 I _ _"],
        p3: Float[Tensor, "1 I _ _"],
        p4: Float[Tensor, "1 I _ _"],
        p5: Float[Tensor, "1 I _ _"],
        boxes: Float[Tensor, "D 4"],
        classes: Int[Tensor, " D"],
    ) -> dict[str, Float[Tensor, "D m m"]]:
        """`masks`: logits of each box's class; boxes are in pixels of the padded image."""
        levels = dict(zip(LEVELS, (p2, p3, p4, p5), strict=True))
        assert isinstance(self.network.detection, DetectionHead)
        masks = mask_logits_of(self.network.detection, levels, boxes, classes)
        assert masks is not None
        return {"masks": masks}


class HeadGraph(nn.Module):
    """From the cues to Psi and P (Sec. 3.4), for any number of detections; it has no weights.

    Psi is there as well because the fusion `potential` decodes it.
    """

    def __init__(self, network: PanopticNetwork) -> None:
        super().__init__()
        self.potential = network.potential
        self.affinity = None if network.affinity is None else GivenProjections.of(network.affinity)

    def forward(
        self,
        semantic: Float[Tensor, "L h w"],
        boxes: Float[Tensor, "D 4"],
        scores: Float[Tensor, " D"],
        classes: Int[Tensor, " D"],
        masks: Float[Tensor, "D m m"] | None = None,
        phi0: Float[Tensor, "C a b"] | None = None,
        phi1: Float[Tensor, "C a b"] | None = None,
    ) -> dict[str, Tensor]:
        """`potential` and, with the affinity head, `panoptic`; V and both phi without the cells of the padding."""
        psi = self.potential(semantic, Detections(boxes, scores, classes, masks))
        if self.affinity is None or phi0 is None or phi1 is None:
            return {"potential": psi}
        return {"potential": psi, "panoptic": self.affinity(psi, torch.cat([phi0, phi1]))}


class GivenProjections(InstanceAffinity):
    """The affinity head where phi0(Q) and phi1(Q), one upon the other, are given instead of Q."""

    @classmethod
    def of(cls, head: InstanceAffinity) -> "GivenProjections":
        """A head with the same normalisation and grid, without weights."""
        given = copy.copy(head)
        given._modules = {}
        given.__class__ = cls
        given.linear = False
        return given  # type: ignore[return-value]

    def covered(self, queries: Float[Tensor, "both _ _"], height: int, width: int) -> Float[Tensor, "both a b"]:
        """All that is given. On a coarser grid whether a cell is there to be cut off is a branch, which cannot be
        exported."""
        return queries if self.upsampling > 1 else super().covered(queries, height, width)

    def features(
        self,
        queries: Float[Tensor, "both a b"],
        origin: tuple[int, int] = (0, 0),  # noqa: ARG002  what is given knows its place
    ) -> Float[Tensor, "both n"]:
        """The two halves, cell by cell."""
        return queries.flatten(1)

    def angles(self, queries: Float[Tensor, "both a b"], origin: tuple[int, int] = (0, 0)) -> None:
        """None: what is given is rotated."""

    def apply_phi0(self, features: Float[Tensor, "both n"], angles: Angles) -> Float[Tensor, "C n"]:  # noqa: ARG002
        """The first half."""
        return features.chunk(2)[0]

    def apply_phi1(self, features: Float[Tensor, "both n"], angles: Angles) -> Float[Tensor, "C n"]:  # noqa: ARG002
        """The second half; a softmax over all cells becomes one over these."""
        q1 = features.chunk(2)[1]
        return q1 / (q1.sum(1, keepdim=True) * self.upsampling**2) if self.normalise == "softmax" else q1
