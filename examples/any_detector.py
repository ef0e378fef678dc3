"""Panoptic segmentation with a detector that is not ours, in three steps: fuse, train the head, fuse again.

The detector is torchvision's FCOS, untrained, so that this runs in seconds anywhere; put your own in its place.

    python examples/any_detector.py
"""

import numpy as np
import torch
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

import unipan
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, Scenes
from unipan.datasets.transforms import index_maps, target_of
from unipan.interop.outputs import read_torchvision_one_stage
from unipan.structures import Detections

THINGS, STUFF = len(SCENE_CATEGORIES.things), len(SCENE_CATEGORIES.stuff)


class Backbone(torch.nn.Module):
    """One map of features at stride 4."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(32, 32, 3, 2, 1)
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, 32, H / 4, W / 4)."""
        features: torch.Tensor = self.layers(pixels)
        return features


def main() -> None:
    """Detect, fuse, train the head for a few steps."""
    torch.manual_seed(0)
    sample = Scenes(range(4_000_000, 4_000_001), (64, 128))[0]
    pixels = torch.from_numpy(sample.image).permute(2, 0, 1).float() / 255
    anchors = AnchorGenerator(((16,),), ((1.0,),))
    detector = FCOS(
        Backbone(), THINGS, min_size=64, max_size=128, anchor_generator=anchors, score_thresh=0.0, detections_per_img=20
    ).eval()
    detector.requires_grad_(False)
    [output] = detector([pixels])
    found = read_torchvision_one_stage(output)

    # 1. Nothing trained: any semantic logits and any detections, in NumPy.
    semantic = np.random.default_rng(0).normal(size=(THINGS + STUFF, 64, 128))
    print(unipan.fuse(semantic, **found, categories=SCENE_CATEGORIES, score_threshold=0.0, image=sample.image))

    # 2. The head learns on the frozen features, here V as well, since a detector has none.
    head = unipan.PanopticHead(
        in_channels=32, num_things=THINGS, num_stuff=STUFF, stride=4, learn_semantic=True, width=32, channels=32,
        score_threshold=0.0,
    )  # fmt: skip
    features = detector.backbone(pixels[None])
    boxes, scores, classes = (torch.from_numpy(found[key]) for key in ("boxes", "scores", "classes"))
    target = target_of(*index_maps(sample.truth, SCENE_CATEGORIES))
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3)
    for step in range(10):
        losses = head(features, None, [Detections(boxes, scores, classes)], [target])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        if step in (0, 9):
            print(f"step {step}:", {name: round(loss.item(), 2) for name, loss in losses.items()})

    # 3. P, and the map of its argmax.
    with torch.no_grad():
        panoptic = head(features, None, [Detections(boxes, scores, classes)])
    [result] = head.results(panoptic, SCENE_CATEGORIES, [(64, 128)])
    print(f"{len(result)} segments: {', '.join(segment.category.name for segment in result)}")


if __name__ == "__main__":
    main()
