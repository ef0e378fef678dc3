"""`unipan.PanopticHead`: potential, affinity and panoptic matching loss (Sec. 3.4 and 3.5) on any frozen detector.

Legend: B images, D detections, S stuff classes, K = D + S channels of one image, L = T + S classes (things first),
F channels of the features, C affinity channels, h w the grid of V, Psi and P, a b that of the features.
"""

from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unipan.config import HeuristicConfig
from unipan.config_values import CHANNELS, PIXELS, SHARE, WAVELENGTHS, WEIGHT, Range, check_value
from unipan.fusion.argmax import decode
from unipan.fusion.heuristic import merge
from unipan.models.affinity import Activation, InstanceAffinity, Normalisation
from unipan.models.criterion import panoptic_loss, semantic_loss
from unipan.models.matching import channel_labels, match
from unipan.models.network import crop
from unipan.models.potential import DynamicPotential, Variant
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID, PanopticMap
from unipan.structures import Detections, Geometry, PanopticOutput, Target

NORM_GROUPS = 8
"""Groups of the GroupNorm in a tower; its width is a multiple of them."""


ALLOWED: dict[str, tuple[Any, Range]] = {
    "variant": (Variant, Range()),
    "activation": (Activation, Range()),
    "normalise": (Normalisation, Range()),
    **dict.fromkeys(("in_channels", "num_things", "num_stuff", "channels", "width"), (int, CHANNELS)),
    **dict.fromkeys(("stride", "label_stride"), (int, PIXELS)),
    "layers": (int, Range(1, 100)),
    "positional_encoding": (int, WAVELENGTHS),
    "rope": (int, WAVELENGTHS),
    "iou_threshold": (float, SHARE),
    "score_threshold": (float, SHARE),
    "temperature": (float, WEIGHT),
}
"""The numbers and choices that a head may have."""


class PanopticHead(nn.Module):
    """What turns the outputs of a detector into P, and learns to do so. The detector may be frozen, and of any kind.

    Called with targets it returns the losses, without them the output with P of every image; `results` makes panoptic
    maps of it. Only the head's own parameters are trained, unless the features or scores that come in have a gradient.

    Args:
        in_channels: F.
        num_things: T.
        num_stuff: S.
        stride: pixels of the boxes' coordinates per cell of V's grid, and so of Psi and P.
        label_stride: pixels per cell of the labels in the loss, a divisor of `stride` (P is then upsampled as at
            inference); `stride` itself by default.
        learn_semantic: learn V from the features too, for detectors that have none (Faster and Mask R-CNN, FCOS).
        channels: C, of Q.
        width: channels of the towers from the features to Q and V.
        layers: 3x3 convolutions in each tower.
        variant: of Psi: A logits, B s V M, C s (V + M).
        activation, normalise, positional_encoding, rope: of the affinities, see `InstanceAffinity`.
        iou_threshold: t, the least box IoU of a match.
        score_threshold: detections below it do not enter Psi at inference.
        temperature: initial learned factor on P before the loss's softmax; 0 means none.

    Raises:
        ValueError: sizes that are not positive, or do not divide each other where they must.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_things: int,
        num_stuff: int,
        stride: int,
        label_stride: int | None = None,
        learn_semantic: bool = False,
        channels: int = 128,
        width: int = 128,
        layers: int = 2,
        variant: Variant = "B",
        activation: Activation = "identity",
        normalise: Normalisation = "segment",
        positional_encoding: int = 0,
        rope: int = 0,
        iou_threshold: float = 0.5,
        score_threshold: float = 0.5,
        temperature: float = 10.0,
    ) -> None:
        super().__init__()
        given = locals()  # the arguments, by name
        for name, (kind, allowed) in ALLOWED.items():
            if name != "label_stride" or label_stride is not None:
                check_value(f"PanopticHead: {name}", given[name], kind, allowed)
        if width % NORM_GROUPS:
            raise ValueError(f"PanopticHead: width is {width}; make it a multiple of {NORM_GROUPS}")
        self.label_stride = label_stride or stride
        if stride % self.label_stride:
            raise ValueError(f"PanopticHead: label_stride {label_stride} does not divide the stride {stride}")
        self.num_classes = num_things + num_stuff
        self.potential = DynamicPotential(variant=variant, num_things=num_things, stride=stride)
        self.affinity = InstanceAffinity(
            extractor=tower(in_channels, width, channels, layers),
            channels=channels,
            activation=activation,
            normalise=normalise,
            positional_encoding=positional_encoding,
            rope=rope,
        )
        self.semantic = tower(in_channels, width, self.num_classes, layers) if learn_semantic else None
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold
        self.temperature = (
            nn.Parameter(torch.tensor(float(temperature))) if temperature else nn.Buffer(torch.tensor(1.0))
        )

    @overload
    def forward(
        self,
        features: Float[Tensor, "B F a b"],
        semantic: Float[Tensor, "B L h w"] | None,
        detections: list[Detections],
        targets: list[Target],
        sizes: list[tuple[int, int]] | None = None,
    ) -> dict[str, Tensor]: ...

    @overload
    def forward(
        self,
        features: Float[Tensor, "B F a b"],
        semantic: Float[Tensor, "B L h w"] | None,
        detections: list[Detections],
        targets: None = None,
        sizes: list[tuple[int, int]] | None = None,
    ) -> PanopticOutput: ...

    def forward(
        self,
        features: Float[Tensor, "B F a b"],
        semantic: Float[Tensor, "B L h w"] | None,
        detections: list[Detections],
        targets: list[Target] | None = None,
        sizes: list[tuple[int, int]] | None = None,
    ) -> PanopticOutput | dict[str, Tensor]:
        """P of every image, or the losses.

        Args:
            features: one map of any backbone, at any stride; Q is brought to V's grid bilinearly.
            semantic: V before its softmax, things first; None where the head learns it, on the grid of the features.
            detections: per image, boxes in pixels of the (padded) input that V's grid covers at `stride`.
            targets: per image, at the same size; crowds and void have no loss.
            sizes: (height, width) of each image, if the batch is padded: the padding enters neither P nor the loss.

        Returns:
            Without targets the output. With them the terms `panoptic` (Sec. 3.5) and, where V is learnt, `semantic`
            (cross entropy), whose sum is what to minimise.

        Raises:
            ValueError: inputs that do not fit together.
        """
        self._check_features(features, semantic)
        v = self._semantic(features, semantic)
        self._check(v, detections, targets, sizes)
        queries = self._at_grid(self.affinity.extractor(features), v)
        height, width = (side * self.potential.stride for side in v.shape[-2:])
        sizes = sizes or [(height, width)] * len(v)
        entering, labels = self._entering(detections, targets, sizes)
        views = [crop(each, size, self.potential.stride) for each, size in zip(v, sizes, strict=True)]
        potentials = [self.potential(each, found) for each, found in zip(views, entering, strict=True)]
        panoptic = [self.affinity(psi, q) for psi, q in zip(potentials, queries, strict=True)]
        if targets is None or labels is None:
            return PanopticOutput(v, queries, entering, detections, potentials, panoptic, self.temperature)
        terms = {"panoptic": panoptic_loss(panoptic, labels, self.temperature)}
        if self.semantic is not None:
            wanted = [_filled(target.semantic, height, width) for target in targets]
            terms["semantic"] = semantic_loss(v, torch.stack(wanted), "cross_entropy", 1)
        return terms

    def results(
        self,
        output: PanopticOutput,
        categories: Categories,
        sizes: list[tuple[int, int]],
        fusion: str = "affinity",
        image_sizes: list[tuple[int, int]] | None = None,
        heuristic: HeuristicConfig | None = None,
    ) -> list[PanopticMap]:
        """The panoptic map of every image.

        Args:
            output: of this head.
            categories: the classes in V's order.
            sizes: (height, width) of each image in the (padded) input.
            fusion: `affinity` (argmax of P), `potential` (argmax of Psi), or `heuristic`, which shows what the
                detector's own masks give when Panoptic FPN's rules merge them with V.
            image_sizes: (H, W) of the maps, where the images had another size before they became the input.
            heuristic: thresholds of the heuristic fusion.

        Raises:
            ValueError: an unknown fusion, or heuristic fusion without masks.
        """
        if fusion not in ("affinity", "potential", "heuristic"):
            raise ValueError(f"PanopticHead: fusion {fusion!r} is unknown; choose affinity, potential or heuristic")
        maps = []
        for index, (size, image_size) in enumerate(zip(sizes, image_sizes or sizes, strict=True)):
            geometry = Geometry(image_size, size, self.potential.stride)
            if fusion == "heuristic":
                v = crop(output.semantic[index], size, self.potential.stride)
                maps.append(merge(output.candidates[index], v, categories, heuristic or HeuristicConfig(), geometry))
                continue
            channels = output.panoptic[index] if fusion == "affinity" else output.potentials[index]
            found, factor = output.detections[index], float(output.temperature.detach())
            maps.append(decode(channels.detach(), _detached(found), categories, geometry, temperature=factor))
        return maps

    def _check_features(self, features: Tensor, semantic: Tensor | None) -> None:
        first = next(each for each in self.affinity.extractor.modules() if isinstance(each, nn.Conv2d))
        wanted = first.in_channels
        if features.ndim != 4 or features.shape[1] != wanted:
            raise ValueError(
                f"PanopticHead: features have shape {tuple(features.shape)}; give (images, {wanted}, height, width), "
                f"as in_channels={wanted} says"
            )
        if semantic is not None and (semantic.ndim != 4 or len(semantic) != len(features)):
            raise ValueError(
                f"PanopticHead: semantic has shape {tuple(semantic.shape)} for {len(features)} images; give (images, "
                f"{self.num_classes}, height, width)"
            )

    def _semantic(self, features: Tensor, semantic: Tensor | None) -> Float[Tensor, "B L h w"]:
        if (semantic is None) == (self.semantic is None):
            raise ValueError(
                "PanopticHead: give semantic logits, or build the head with learn_semantic=True"
                if semantic is None
                else "PanopticHead: with learn_semantic=True the head makes its own V; give None for semantic"
            )
        v: Tensor = semantic if semantic is not None else self.semantic(features)  # type: ignore[misc]
        return v

    def _check(
        self, v: Tensor, detections: list[Detections], targets: list[Target] | None, sizes: list[tuple[int, int]] | None
    ) -> None:
        if v.shape[1] != self.num_classes:
            raise ValueError(f"PanopticHead: semantic has {v.shape[1]} classes, the head {self.num_classes}")
        for name, given in (("detections", detections), ("targets", targets), ("sizes", sizes)):
            if given is not None and len(given) != len(v):
                raise ValueError(f"PanopticHead: {len(given)} {name} for {len(v)} images; give one for each")
        things = self.potential.num_things
        for index, found in enumerate(detections):
            if len(found) and not 0 <= int(found.classes.min()) <= int(found.classes.max()) < things:
                raise ValueError(
                    f"PanopticHead: image {index} has detections of class {sorted(set(found.classes.tolist()))}, but "
                    f"there are {things} thing classes; they count from 0, without background"
                )

    def _at_grid(self, queries: Tensor, v: Tensor) -> Float[Tensor, "B C h w"]:
        if queries.shape[-2:] == v.shape[-2:]:
            return queries
        return F.interpolate(queries, v.shape[-2:], mode="bilinear", align_corners=False)

    def _entering(
        self, detections: list[Detections], targets: list[Target] | None, sizes: list[tuple[int, int]]
    ) -> tuple[list[Detections], list[Tensor] | None]:
        """The detections that make Psi's channels, and with targets what each cell of P should say."""
        if targets is None:
            return [found[found.scores >= self.score_threshold] for found in detections], None
        stride, entering, labels = self.potential.stride, [], []
        for found, target, size in zip(detections, targets, sizes, strict=True):
            kept, rows = match(found, target, self.iou_threshold)
            cells = -(-size[0] // stride) * stride, -(-size[1] // stride) * stride
            labels.append(channel_labels(target, rows, self.potential.num_things, cells, self.label_stride))
            entering.append(kept)
        return entering, labels


def tower(in_channels: int, width: int, out_channels: int, layers: int) -> nn.Sequential:
    """3x3 convolutions with GroupNorm and ReLU, then 1x1: as the decoders of Q and V (A.1), on one level."""
    stages: list[nn.Module] = []
    for index in range(layers):
        convolution = nn.Conv2d(width if index else in_channels, width, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        stages += [convolution, nn.GroupNorm(NORM_GROUPS, width), nn.ReLU(inplace=True)]
    last = nn.Conv2d(width, out_channels, 1)
    nn.init.normal_(last.weight, std=0.01)
    for each in (*stages, last):
        if isinstance(each, nn.Conv2d) and each.bias is not None:
            nn.init.zeros_(each.bias)
    return nn.Sequential(*stages, last)


def _detached(found: Detections) -> Detections:
    masks = None if found.masks is None else found.masks.detach()
    return Detections(found.boxes.detach(), found.scores.detach(), found.classes, masks, found.whole)


def _filled(labels: Tensor, height: int, width: int) -> Tensor:
    return F.pad(labels, (0, width - labels.shape[1], 0, height - labels.shape[0]), value=VOID)
