"""App. B: turns an image and its ground truth, at their original size, into what the network trains on."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from unipan.config import DataConfig
from unipan.datasets.sizes import MULTIPLE, network_size, scaled_size, whole_size
from unipan.ops.boxes import boxes_of
from unipan.ops.masks import reduce_labels
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import VOID, VOID_ID, PanopticMap, Sample
from unipan.structures import IMAGENET_MEAN, ImageBatch, Target

# The ranges are SSD's (in detectron2's PointRend: brightness +-32 of 255, contrast and saturation 0.5 to 1.5, hue +-18
# of 180). The operations are not SSD's but torchvision's, as in its own RandomPhotometricDistort:
# - Brightness: SSD adds a number. Ours is a factor of 0.875 to 1.125, which changes a mid-grey half as much and black
#   not at all.
# - Contrast: SSD multiplies the pixels, which also makes an image darker or brighter. Ours blends with the image's mean
#   grey.
# - Saturation: SSD multiplies that of HSV. Ours blends each pixel with its own grey.
SSD_BRIGHTNESS, SSD_CONTRAST, SSD_SATURATION, SSD_HUE = 32 / 255, 0.5, 0.5, 18 / 180


def resize_image(image: UInt8[np.ndarray, "H W 3"], data: DataConfig) -> Float[Tensor, "3 h w"]:
    """An image at the network's size, RGB in 0..1, as in inference and in training without augmentation."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return resize_pixels(pixels, *network_size(image.shape[0], image.shape[1], data)).float() / 255


def resize_pixels(pixels: UInt8[Tensor, "3 H W"], height: int, width: int) -> UInt8[Tensor, "3 h w"]:
    """Bilinear, without aliasing."""
    if pixels.shape[-2:] == (height, width):
        return pixels
    from torchvision.transforms.v2.functional import resize  # torchvision takes seconds to import

    found: Tensor = resize(pixels, [height, width], antialias=True)
    return found


def collate(pairs: list[tuple[Tensor, str]]) -> ImageBatch:
    """Pad images (3, h, w) in 0..1 at the bottom and right to one size, with the mean colour (normalised: zero)."""
    heights = [image.shape[-2] for image, _ in pairs]
    widths = [image.shape[-1] for image, _ in pairs]
    height, width = (math.ceil(max(sides) / MULTIPLE) * MULTIPLE for sides in (heights, widths))
    pixels = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1).repeat(len(pairs), 1, height, width)
    for row, (image, _) in enumerate(pairs):
        pixels[row, :, : image.shape[-2], : image.shape[-1]] = image
    return ImageBatch(pixels, list(zip(heights, widths, strict=True)), [name for _, name in pairs])


def index_maps(truth: PanopticMap, categories: Categories) -> tuple[Tensor, Tensor, Tensor]:
    """The instance map, the semantic map and the class of each instance, at the size of the ground truth."""
    things = [segment for segment in truth if segment.isthing and not segment.iscrowd]
    row_of = {segment.id: row for row, segment in enumerate(things)}
    listed = [(s.id, row_of.get(s.id, VOID), categories.index_of_id[s.category.id]) for s in truth]
    ids, rows, classes = np.array(sorted([(VOID_ID, VOID, VOID), *listed]), dtype=np.int64).T
    place = np.searchsorted(ids, truth.ids).clip(max=len(ids) - 1)
    known = ids[place] == truth.ids
    instances = torch.from_numpy(np.where(known, rows[place], VOID))
    semantic = torch.from_numpy(np.where(known, classes[place], VOID))
    thing_classes = torch.tensor([categories.index_of_id[s.category.id] for s in things], dtype=torch.long)
    return instances, semantic, thing_classes


def target_of(instances: Tensor, semantic: Tensor, classes: Tensor, smallest: int = 0) -> Target:
    """A Target from index maps, without the things that a crop has removed.

    Things of fewer than `smallest` pixels are left out too, but they keep their class in the semantic map.
    """
    area = torch.bincount(instances[instances >= 0], minlength=len(classes))
    kept = area >= max(smallest, 1)
    renumber = torch.full((len(classes) + 1,), VOID)
    renumber[:-1][kept] = torch.arange(int(kept.sum()))
    instances = renumber[instances]  # VOID = -1 selects the last entry, which is VOID
    return Target(boxes_of(instances, int(kept.sum())), classes[kept], instances, semantic)


class TrainingTransform:
    """Resizing, random scale, crop, flips and SSD's colour distortion (App. B).

    Flips and colours are torchvision's transforms v2 on tv_tensors.

    Randomness comes from torch's global generator; seed it for each image to make runs repeatable.
    """

    def __init__(self, data: DataConfig, categories: Categories) -> None:
        from torchvision.transforms import v2

        self.data = data
        self.categories = categories
        steps: list[nn.Module] = []
        if data.flip:
            steps.append(v2.RandomHorizontalFlip(data.flip))
        if data.vertical_flip:
            steps.append(v2.RandomVerticalFlip(data.vertical_flip))
        if data.color:
            steps += ssd_color(data.color)
        self.steps = v2.Compose(steps) if steps else v2.Identity()

    def __call__(self, sample: Sample) -> tuple[Float[Tensor, "3 h w"], Target]:
        """The image in 0..1 and its target, both at the training size."""
        from torchvision import tv_tensors

        instances, semantic, classes = index_maps(sample.truth, self.categories)
        pixels = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)
        pixels, maps = self._resize(pixels, torch.stack([instances, semantic]))
        image, mask = self.steps(tv_tensors.Image(pixels), tv_tensors.Mask(maps))
        instances, semantic = mask.as_subclass(Tensor)
        target = target_of(instances, semantic, classes, self.data.min_thing_area)
        return image.as_subclass(Tensor).float() / 255, target

    def _resize(self, pixels: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Resize the short side to its target length times a random factor, then crop."""
        low, high = self.data.scale
        factor = low + (high - low) * float(torch.rand(()))
        sides = scaled_size(pixels.shape[-2], pixels.shape[-1], self.data)
        height, width = (max(1, round(side * factor)) for side in sides)
        if self.data.crop == (0, 0):
            height, width = whole_size(height, width, self.data)
        pixels = resize_pixels(pixels, height, width)
        if maps.shape[-2:] != (height, width):
            # Labels are read at cell centres; plain nearest-neighbour resizing would shift the truth against the image.
            maps = torch.stack([reduce_labels(each, height, width) for each in maps])
        if self.data.crop == (0, 0):
            return pixels, maps
        return self._crop(pixels, maps)

    def _crop(self, pixels: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = self.data.crop
        room = [max(side - crop, 0) for side, crop in zip(pixels.shape[-2:], (rows, columns), strict=True)]
        top, left = (int(torch.randint(most + 1, ())) for most in room)
        if self.data.crop_around_things and float(torch.rand(())) < self.data.crop_around_things:
            top, left = self._around_a_thing(maps[0], room) or (top, left)
        window = (..., slice(top, top + rows), slice(left, left + columns))
        return pixels[window], maps[window]

    def _around_a_thing(self, instances: Tensor, room: list[int]) -> tuple[int, int] | None:
        """The corner of a random crop that holds the centre of one thing; None without things."""
        present = torch.bincount(instances[instances >= 0]).nonzero()[:, 0]
        if not len(present):
            return None
        thing = present[int(torch.randint(len(present), ()))]
        x0, y0, x1, y1 = boxes_of(torch.where(instances == thing, 0, VOID), 1)[0].tolist()
        corner = []
        for centre, crop, most in zip(((y0 + y1) / 2, (x0 + x1) / 2), self.data.crop, room, strict=True):
            low, high = max(0, math.ceil(centre - crop + 1)), min(most, math.floor(centre))
            corner.append(low + int(torch.randint(max(high - low, 0) + 1, ())))
        return min(corner[0], room[0]), min(corner[1], room[1])


def ssd_color(strength: float = 1.0) -> list[nn.Module]:
    """SSD's photometric distortion with torchvision's operations: each with probability 1/2, contrast before or after
    saturation and hue."""
    from torchvision.transforms import v2

    brightness = v2.ColorJitter(brightness=SSD_BRIGHTNESS * strength)
    contrast = v2.ColorJitter(contrast=SSD_CONTRAST * strength)
    colours = [v2.ColorJitter(saturation=SSD_SATURATION * strength), v2.ColorJitter(hue=SSD_HUE * strength)]
    maybe = [v2.RandomApply([step], 0.5) for step in (brightness, contrast, *colours)]
    return [maybe[0], v2.RandomChoice([v2.Compose(maybe[1:]), v2.Compose([*maybe[2:], maybe[1]])])]
