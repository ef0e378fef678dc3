"""Sec. 3.1 with other networks: the feature pyramid on top of any convolutional network of the package timm.

B images, H W their size; level p_l has stride 2^l.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from unipan.models.pyramid import FeaturePyramid
from unipan.models.timm_weights import load_timm
from unipan.structures import IMAGENET_MEAN, IMAGENET_STD

STRIDES = [4, 8, 16, 32]


class TimmFPN(nn.Module):
    """Features F at strides 4 to 64 from a network of timm, with squeeze-and-excite and FPN as in `ResNetFPN`.

    Args:
        network: its name in timm; it must have features at strides 4, 8, 16 and 32.
        fpn_channels: of every level.
        se_reduction: of the squeeze-and-excite; 0 leaves it out.
        frozen: freeze batch norm, and all layers up to stride 4, as the paper does.
        fixed: train nothing of the network below the FPN.

    Raises:
        ValueError: timm is missing, knows no such network, or the network has other strides.
    """

    def __init__(
        self,
        *,
        network: str,
        fpn_channels: int = 256,
        se_reduction: int = 16,
        frozen: bool = False,
        fixed: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.out_channels = fpn_channels
        self.must_match: Mapping[str, object] = {"network": network}
        self.body, channels, stem, wanted = _body(network)
        # The pixels come normalised for torchvision's weights; those of this network may want another mean and std.
        (mean, std), (own_mean, own_std) = _statistics(IMAGENET_MEAN, IMAGENET_STD), _statistics(*wanted)
        self.scale = nn.Buffer(std / own_std, persistent=False)
        self.shift = nn.Buffer((mean - own_mean) / own_std, persistent=False)
        self.fixed = fixed
        self.excite = (
            SqueezeExcitation(channels[-1], max(channels[-1] // se_reduction, 1)) if se_reduction else nn.Identity()
        )
        self.fpn = FeaturePyramid(in_channels=channels, out_channels=fpn_channels)
        if frozen or fixed:
            import timm.layers

            layers: Any = timm.layers
            layers.freeze_batch_norm_2d(self.body)
            held = [p for _, p in self.body.named_parameters()]
            for parameter in held if fixed else held[: _count_up_to(self.body, stem)]:
                parameter.requires_grad_(False)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B F _ _"]]:
        """From normalised pixels to p2..p6; p6 is for the RPN only."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.fixed):
            stages = self.stages(pixels)
        stages[-1] = self.excite(stages[-1])
        features: dict[str, Tensor] = self.fpn(stages)
        return features

    def stages(self, pixels: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """C2 to C5."""
        found: list[Tensor] = self.body(pixels * self.scale + self.shift)
        return found

    def train(self, mode: bool = True) -> "TimmFPN":
        """Nothing random happens in a network that is not trained (drop path, dropout)."""
        super().train(mode)
        if self.fixed:
            self.body.eval()
        return self

    def load_pretrained(self, weights: str) -> None:
        """Fill the network, see `load_timm`; squeeze-and-excite and FPN keep their fresh weights."""
        load_timm(self.body, weights, network=self.network)


def _body(network: str) -> tuple[nn.Module, list[int], str, tuple[Sequence[float], Sequence[float]]]:
    """The network with outputs at the four strides, their channels, the layer that ends stride 4, and mean and std."""
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"backbone.network {network}: needs the package timm, which is missing; pip install 'unipan[photos]'"
        ) from error
    if not timm.is_model(network):
        near = ", ".join(timm.list_models(f"*{network.partition('_')[0]}*")[:3])
        raise ValueError(
            f"backbone.network {network}: timm has no network of this name{f' (it has {near})' if near else ''}; "
            "`timm.list_models()` lists them"
        )
    try:
        features: Any = timm.create_model(network, features_only=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise ValueError(f"backbone.network {network}: timm has no features of it ({error}); give another") from error
    reductions: list[int] = features.feature_info.reduction()
    if not set(STRIDES) <= set(reductions):
        raise ValueError(
            f"backbone.network {network}: it has features at the strides {', '.join(map(str, reductions))}, and a "
            "feature pyramid needs 4, 8, 16 and 32; give another network"
        )
    body: Any = timm.create_model(network, features_only=True, out_indices=tuple(map(reductions.index, STRIDES)))
    facts = body.feature_info.get_dicts(keys=["module", "num_chs"])
    settings: Any = timm.get_pretrained_cfg(network)
    return body, [fact["num_chs"] for fact in facts], facts[0]["module"], (settings.mean, settings.std)


def _statistics(mean: Sequence[float], std: Sequence[float]) -> tuple[Float[Tensor, "3 1 1"], Float[Tensor, "3 1 1"]]:
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


def _count_up_to(body: nn.Module, layer: str) -> int:
    """How many parameters there are up to the end of a layer; `stages.0` is `stages_0` where timm flattens."""
    names = [name.replace(".", "_") for name, _ in body.named_parameters()]
    inside = [n for n, name in enumerate(names) if name.startswith(f"{layer.replace('.', '_')}_")]
    return max(inside) + 1
