"""One training step: the network and its losses as one module, so that DDP sees a single forward pass."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from unipan.files import replaced
from unipan.models.criterion import Criterion
from unipan.models.network import PanopticNetwork
from unipan.ops.distributed import in_any_process
from unipan.structures import ImageBatch, Target


class NonFiniteLossError(ValueError):
    """A loss became NaN or infinite; the message names the term, the images and the saved batch."""


class TrainingStep(nn.Module):
    """Forward pass and named losses of a batch.

    Args:
        network: to be trained.
        criterion: its losses.
        bf16: run the network's convolutions and matrix products in bf16 (losses, Psi and P stay in 32 bits).

    Attributes:
        panoptic: whether the panoptic submodule takes part; before a late start it does not.
    """

    def __init__(self, network: PanopticNetwork, criterion: Criterion, bf16: bool) -> None:
        super().__init__()
        self.network = network
        self.criterion = criterion
        self.bf16 = bf16
        self.panoptic = True

    def forward(self, images: ImageBatch, targets: list[Target], labelled: float | None = None) -> dict[str, Tensor]:
        """The named terms of the loss, unweighted; `labelled` is the criterion's."""
        with torch.autocast(images.pixels.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.network(images, targets, panoptic=self.panoptic)
            terms: dict[str, Tensor] = self.criterion(output, targets, labelled)
        if not self.panoptic:  # DDP waits for a gradient of every parameter
            for parameter in self.network.panoptic_parameters():
                terms["semantic"] = terms["semantic"] + parameter.sum() * 0
        return terms


def runs_bf16(precision: str, device: torch.device) -> bool:
    """Whether to use bf16: as `precision` says, or (auto) if the processor multiplies it natively.

    Measured: a 3x3 convolution is 3 to 5 times faster in bf16 on a Xeon with AMX; a whole step takes 0.74 to 0.81 of
    the time on an EPYC with AVX512_BF16; processors with neither are slower in bf16.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Not every supported version of torch has it.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16"))


def check_finite(
    terms: Mapping[str, Tensor], step: nn.Module, images: ImageBatch, targets: list[Target], folder: Path
) -> None:
    """Stop if a loss is not finite: save the batch, and name the term and the images.

    All processes stop together, because one that went on would wait for the others forever.

    Raises:
        NonFiniteLossError: and `folder/nonfinite.pt` holds the batch and the weights.
    """
    bad = [name for name, term in terms.items() if not torch.isfinite(term)]
    if not in_any_process(bool(bad), images.pixels.device):
        return
    path = folder / "nonfinite.pt"
    if bad:
        # Saved first, because searching for the images changes the batch norm statistics.
        with replaced(path) as beside:
            torch.save({"images": images, "targets": targets, "weights": step.state_dict()}, beside)
    culprits = _culprits(step, images, targets) or images.names  # in every process: losses are averaged over all
    if not bad:
        raise NonFiniteLossError("training: a loss of another process is not finite; that process reports which")
    raise NonFiniteLossError(
        f"training: the loss term {bad[0]!r} is {terms[bad[0]].item()} on {', '.join(culprits)}; batch and weights are "
        f"saved in {path}; lower the learning rate or look at the image"
    )


@torch.no_grad()
def _culprits(step: nn.Module, images: ImageBatch, targets: list[Target]) -> list[str]:
    """Names of the images that give a non-finite loss by themselves."""
    found = []
    for row, name in enumerate(images.names):
        alone = ImageBatch(images.pixels[row : row + 1], images.sizes[row : row + 1], [name])
        terms = step(alone, targets[row : row + 1])
        if not all(torch.isfinite(term) for term in terms.values()):
            found.append(name)
    return found


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, decay: float, iteration: int) -> None:
    """Update the exponential moving average of weights and buffers; the decay is smaller in the first iterations."""
    decay = min(decay, (1 + iteration) / (10 + iteration))
    for mean, value in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value.to(mean.dtype), 1 - decay)
        else:
            mean.copy_(value)
