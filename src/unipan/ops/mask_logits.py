"""The end of the mask head of Mask R-CNN (arXiv 1703.06870, Sec. 3): logits of the class of each box, and no others.

A transposed convolution by 2 x 2 with stride 2 is a matrix product: each cell becomes four, and none overlap. On a CPU
one box after the other is multiplied, so that its cells, four times as many as there were, stay in the processor's
cache. The backward pass makes them again: nothing but the features is kept. Afterwards only the row of the box's class
is multiplied, where torchvision's predictor has a map for every class.

Legend: N boxes, I channels before and O after the transposed convolution, T classes, h w cells of a box, n = h w.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from unipan.ops.weighted_rows import samples_by_rows


def class_mask_logits(
    features: Float[Tensor, "N I h w"],
    classes: Int[Tensor, " N"],
    up_weight: Float[Tensor, "I O 2 2"],
    up_bias: Float[Tensor, " O"],
    weight: Float[Tensor, "T O 1 1"],
    bias: Float[Tensor, " T"],
    *,
    plain: bool | None = None,
) -> Float[Tensor, "N 2*h 2*w"]:
    """Of each box the map of its class in torchvision's `MaskRCNNPredictor`, equal but for rounding.

    Under autocast the products and the result have its type. All gradients exist once: there is no second derivative.

    Args:
        features: of the cells of each box, in any memory format.
        classes: of each box, from 0 to T - 1.
        up_weight: of the transposed convolution, `conv5_mask`, which a ReLU follows.
        up_bias: of the same.
        weight: of the 1x1 convolution, `mask_fcn_logits`.
        bias: of the same.
        plain: make the maps of all classes by PyTorch's convolutions; by default wherever `samples_by_rows` says no.
    """
    if plain is None:
        plain = not samples_by_rows(features)
    if plain:
        every = F.conv2d(F.relu(F.conv_transpose2d(features, up_weight, up_bias, stride=2)), weight, bias)
        return every[torch.arange(len(classes), device=classes.device), classes]
    device = features.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
    # Rows are chosen before they are rounded: the gradients of a class's boxes are then added in the weights' type.
    own, own_bias = (each.flatten(1).index_select(0, classes).to(dtype) for each in (weight, bias[:, None]))
    with torch.autocast(device, enabled=False):
        logits: Tensor = _ClassMaskLogits.apply(features.to(dtype), up_weight, up_bias, own)
        return logits + own_bias[:, :, None]


class _ClassMaskLogits(torch.autograd.Function):
    """Without the bias of the classes, whose rows of the weight are `own` (N, O)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, up_weight: Tensor, up_bias: Tensor, own: Tensor) -> Tensor:
        ctx.save_for_backward(features, up_weight, up_bias, own)
        count, _, height, width = features.shape
        lifted = _Lifted(features, up_weight, up_bias)
        logits = features.new_empty(count, height * width * 4)
        for box in range(count):
            torch.mv(lifted.make(box), own[box], out=logits[box])
        # Of each cell its four, to the lines of the map.
        by_line = logits.view(count, height, width, 2, 2).transpose(2, 3)
        return by_line.reshape(count, 2 * height, 2 * width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        features, up_weight, up_bias, own = ctx.saved_tensors
        count, channels, height, width = features.shape
        by_cell = outer.reshape(count, height, 2, width, 2).transpose(2, 3).reshape(count, height * width * 4)
        lifted = _Lifted(features, up_weight, up_bias)
        back = lifted.matrix.T.contiguous()
        exact = torch.promote_types(up_weight.dtype, torch.float32)
        to_matrix, to_bias = torch.zeros_like(lifted.matrix, dtype=exact), torch.zeros_like(lifted.bias, dtype=exact)
        to_own = torch.empty_like(own)
        to_features = features.new_empty(count, height * width, channels) if ctx.needs_input_grad[0] else None
        for box in range(count):
            cells = lifted.make(box)
            torch.mv(cells.T, by_cell[box], out=to_own[box])
            # From here on the gradient of the cells: 1 where the ReLU let a number through, times both factors.
            cells.sign_().mul_(own[box]).mul_(by_cell[box, :, None])
            to_bias += lifted.cells.sum(0, dtype=exact)
            to_matrix += lifted.rows(box).T @ lifted.cells
            if to_features is not None:
                torch.mm(lifted.cells, back, out=to_features[box])
        if to_features is not None:
            to_features = to_features.view(count, height, width, channels).permute(0, 3, 1, 2)
        to_weight = to_matrix.view(channels, 2, 2, -1).permute(0, 3, 1, 2).to(up_weight.dtype)
        return to_features, to_weight, to_bias.view(4, -1).sum(0).to(up_bias.dtype), to_own


class _Lifted:
    """The cells of one box after the transposed convolution and the ReLU.

    Attributes:
        matrix: the weight (I, 4 O), in the type of the features.
        bias: (4 O), in the same.
        cells: of the box that was made last (n, 4 O).
    """

    def __init__(self, features: Tensor, up_weight: Tensor, up_bias: Tensor) -> None:
        self.pixels = features.permute(0, 2, 3, 1)
        self.matrix = up_weight.permute(0, 2, 3, 1).flatten(1).to(features.dtype)
        self.bias = up_bias.to(features.dtype).repeat(4)
        self.cells = features.new_empty(features.shape[2] * features.shape[3], len(self.bias))
        self.channels = len(up_bias)

    def rows(self, box: int) -> Float[Tensor, "n I"]:
        """Its features, one cell a row."""
        return self.pixels[box].flatten(0, 1)

    def make(self, box: int) -> Float[Tensor, "_ O"]:
        """Its 4 n cells, in `cells`: what was made before is overwritten."""
        torch.addmm(self.bias, self.rows(box), self.matrix, out=self.cells)
        return self.cells.relu_().view(-1, self.channels)
