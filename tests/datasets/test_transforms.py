"""Image and truth move together: in synthetic images the colour says which thing a pixel belongs to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from tests.tiny import CATEGORIES, draw
from unipan.config import DataConfig
from unipan.datasets.transforms import (
    TrainingTransform,
    collate,
    index_maps,
    network_size,
    resize_image,
    ssd_color,
    target_of,
)
from unipan.panoptic.maps import VOID, Sample, panoptic_map
from unipan.structures import IMAGENET_MEAN

SAME = DataConfig(short_side=0, flip=0.0, pad=True)
DISC, BOX, SKY, GROUND = CATEGORIES


def coded(height: int = 90, width: int = 120, side: int = 15) -> Sample:
    """A chessboard of things whose red channel is 4 * their row; sky between them, a band of void below."""
    ids = np.full((height, width), 1, np.int32)
    classes, number = {1: SKY}, 0
    image = np.full((height, width, 3), 255, np.uint8)
    for y in range(0, height - side, side):
        for x in range((y // side % 2) * side, width, 2 * side):
            ids[y : y + side, x : x + side] = 100 + number
            image[y : y + side, x : x + side] = 4 * number
            classes[100 + number] = CATEGORIES[number % 2]
            number += 1
    ids[height - side :] = 0
    image[height - side :] = 255
    return Sample(image, panoptic_map(ids, classes), "coded", "coded.png")


def inner(instances: Tensor) -> Tensor:
    """Pixels whose 5 x 5 surroundings have one label: antialiasing mixes colours elsewhere."""
    x = instances.float()[None, None]
    low, high = -F.max_pool2d(-x, 5, 1, 2), F.max_pool2d(x, 5, 1, 2)
    sure = (low == high)[0, 0]
    sure[:2], sure[-2:], sure[:, :2], sure[:, -2:] = False, False, False, False  # what a crop cut off is unknown
    return sure


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.sampled_from([0, 64, 100]), st.booleans(), st.booleans())
def test_image_and_labels_move_together(seed: int, short: int, flip: bool, crop: bool) -> None:
    data = DataConfig(
        short_side=short,
        max_side=500,
        scale=(0.7, 1.8),
        crop=(50, 70) if crop else (0, 0),
        flip=0.5 * flip,
        vertical_flip=0.5 * flip,
    )
    torch.manual_seed(seed)
    sample = coded()
    image, target = TrainingTransform(data, CATEGORIES)(sample)
    assert image.shape[-2:] == target.instances.shape == target.semantic.shape
    code = (image[0] * 255).round()
    sure = inner(target.instances)
    # The colour names the original row of each thing; a row of the target must be one colour, and one class.
    seen = set()
    for row in range(len(target.classes)):
        colours = code[(target.instances == row) & sure]
        if len(colours) == 0:
            continue
        number = round(float(colours.median()) / 4)
        assert (colours - 4 * number).abs().max() <= 1
        assert number not in seen
        seen.add(number)
        assert target.classes[row] == number % 2
    assert (code[(target.instances == VOID) & sure] == 255).all()
    assert ((target.semantic < 2) == (target.instances != VOID))[target.semantic != VOID].all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.3, 3.0))
def test_labels_are_resized_by_cell_centres(height: int, width: int, factor: float) -> None:
    ids = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    truth = panoptic_map(ids, {int(key): DISC for key in ids.ravel()})
    sample = Sample(np.zeros((height, width, 3), np.uint8), truth, 0, "x")
    _, target = TrainingTransform(replace(SAME, scale=(factor, factor)), CATEGORIES)(sample)
    h, w = target.instances.shape
    assert (h, w) == (max(1, round(height * factor)), max(1, round(width * factor)))
    # Of every row kept, the original number is found again by the order: rows were renumbered upwards.
    original = torch.from_numpy(ids.astype(np.int64)) - 1
    ys = ((torch.arange(h, dtype=torch.float64) + 0.5) * height / h).floor().long().clamp(max=height - 1)
    xs = ((torch.arange(w, dtype=torch.float64) + 0.5) * width / w).floor().long().clamp(max=width - 1)
    expected = original[ys[:, None], xs]
    kept = expected.unique()
    torch.testing.assert_close(kept[target.instances], expected)


@pytest.mark.parametrize("factor", [0.25, 0.37, 0.8, 1.6, 4.0])
def test_the_truth_is_not_shifted_against_the_image(factor: float) -> None:
    transform, offsets = TrainingTransform(replace(SAME, scale=(factor, factor)), CATEGORIES), []
    for start in range(20, 40):
        ids = np.ones((100, 120), np.int32)
        ids[start : start + 45, start : start + 52] = 2
        image = np.repeat(np.where(ids == 2, 255, 0).astype(np.uint8)[..., None], 3, 2)
        pixels, target = transform(Sample(image, panoptic_map(ids, {1: SKY, 2: DISC}), 0, "disc"))
        for axis in (0, 1):
            profiles = [pixels[0].mean(axis), (target.instances == 0).float().mean(axis)]
            seen, said = (float((p * torch.arange(len(p))).sum() / p.sum()) for p in profiles)
            offsets.append(said - seen)
    # Of an even number of pixels none is in the middle: half a pixel is .125 cells at a quarter. Plain nearest would be
    # off by (1 - factor) / 2 cells on average: .38 at a quarter, 1.5 at four.
    assert np.mean(offsets) == pytest.approx(0, abs=0.13)


def test_flips_mirror_both() -> None:
    sample = draw(3)
    plain_image, plain = TrainingTransform(SAME, CATEGORIES)(sample)
    for field, axis in (("flip", -1), ("vertical_flip", -2)):
        image, target = TrainingTransform(replace(SAME, **{field: 1.0}), CATEGORIES)(sample)  # type: ignore[arg-type]
        assert torch.equal(image, plain_image.flip(axis))
        assert torch.equal(target.instances, plain.instances.flip(axis))
        assert torch.equal(target.semantic, plain.semantic.flip(axis))
        side = image.shape[axis]
        low, high = (0, 2) if axis == -1 else (1, 3)
        assert torch.equal(target.boxes[:, low], side - plain.boxes[:, high])
        assert torch.equal(target.boxes[:, high], side - plain.boxes[:, low])


def test_without_augmentation_nothing_changes() -> None:
    sample = draw(1)
    image, target = TrainingTransform(SAME, CATEGORIES)(sample)
    assert torch.equal((image * 255).byte(), torch.from_numpy(sample.image).permute(2, 0, 1))
    assert torch.equal(image, resize_image(sample.image, SAME))
    things = [s for s in sample.truth if s.isthing]
    for row, segment in enumerate(things):
        x, y, w, h = segment.bbox
        assert target.boxes[row].tolist() == [x, y, x + w, y + h]
        assert (target.instances == row).sum() == segment.area
        assert CATEGORIES[int(target.classes[row])] == segment.category


def test_training_and_inference_see_the_same_pixels() -> None:
    data = DataConfig(short_side=48, max_side=500, flip=0.0)
    sample = draw(2)
    image, _ = TrainingTransform(data, CATEGORIES)(sample)
    assert torch.equal(image, resize_image(sample.image, data))


def test_the_crop_empties_things_and_rows_close_up() -> None:
    instances = torch.full((20, 30), VOID)
    instances[2:5, 2:5], instances[10:15, 20:28], instances[16:18, 1:2] = 0, 2, 3
    semantic = torch.where(instances == VOID, 2, instances % 2)
    target = target_of(instances, semantic, torch.tensor([0, 1, 0, 1]))
    assert target.classes.tolist() == [0, 0, 1]
    assert target.boxes.tolist() == [[2, 2, 5, 5], [20, 10, 28, 15], [1, 16, 2, 18]]
    assert sorted(target.instances.unique().tolist()) == [VOID, 0, 1, 2]
    assert torch.equal(target.semantic, semantic)
    # Smaller than asked for: no instance, but still a class.
    larger = target_of(instances, semantic, torch.tensor([0, 1, 0, 1]), smallest=9)
    assert larger.classes.tolist() == [0, 0]
    assert (larger.instances[16:18, 1] == VOID).all()
    assert torch.equal(larger.semantic, semantic)
    nothing = target_of(torch.full((4, 4), VOID), torch.full((4, 4), VOID), torch.zeros(0, dtype=torch.long))
    assert nothing.boxes.shape == (0, 4)


def test_crowds_have_a_class_but_are_no_instance() -> None:
    ids = np.array([[5, 5, 9, 9], [7, 7, 0, 0]], np.int32)
    truth = panoptic_map(ids, {5: DISC, 9: BOX, 7: GROUND}, crowds={9})
    instances, semantic, classes = index_maps(truth, CATEGORIES)
    assert instances.tolist() == [[0, 0, VOID, VOID], [VOID] * 4]
    assert semantic.tolist() == [[0, 0, 1, 1], [3, 3, VOID, VOID]]
    assert classes.tolist() == [0]


def test_a_map_without_segments_is_void() -> None:
    truth = panoptic_map(np.zeros((3, 4), np.int32), {})
    instances, semantic, classes = index_maps(truth, CATEGORIES)
    assert (instances == VOID).all()
    assert (semantic == VOID).all()
    assert len(classes) == 0
    image, target = TrainingTransform(replace(SAME, scale=(2.0, 2.0)), CATEGORIES)(
        Sample(np.zeros((3, 4, 3), np.uint8), truth, 0, "void")
    )
    assert image.shape == (3, 6, 8)
    assert len(target.classes) == 0


def test_an_image_of_one_pixel() -> None:
    sample = Sample(np.full((1, 1, 3), 7, np.uint8), panoptic_map(np.ones((1, 1), np.int32), {1: DISC}), 0, "dot")
    for data in (SAME, DataConfig(short_side=32, max_side=64, crop=(8, 8), color=1.0), replace(SAME, scale=(0.1, 0.2))):
        image, target = TrainingTransform(data, CATEGORIES)(sample)
        assert image.shape[-2:] == target.instances.shape
        assert target.classes.tolist() == [0]
        assert target.boxes.tolist() == [[0, 0, image.shape[-1], image.shape[-2]]]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(16, 1200), st.integers(16, 2000))
def test_the_networks_size(height: int, width: int, short: int, longest: int) -> None:
    data = DataConfig(short_side=short, max_side=longest, pad=True)
    h, w = network_size(height, width, data)
    assert min(h, w) >= 1
    assert max(h, w) <= max(longest, 1)
    assert min(h, w) <= short
    assert min(h, w) == short or max(h, w) == longest or min(height, width) / max(height, width) < 0.1
    assert network_size(height, width, DataConfig(short_side=0, pad=True)) == (height, width)
    for side, rounded in zip((h, w), network_size(height, width, replace(data, pad=False)), strict=True):
        assert rounded % 32 == 0
        assert abs(side - rounded) <= 16 or (side < 16 and rounded == 32)


def test_the_papers_sizes() -> None:
    coco = DataConfig(short_side=800, max_side=1333, pad=True)
    assert network_size(480, 640, coco) == (800, 1067)
    assert network_size(1024, 2048, DataConfig(short_side=1024, max_side=2048)) == (1024, 2048)
    assert network_size(200, 800, coco) == (333, 1333)


def test_collate_pads_below_and_to_the_right() -> None:
    batch = collate([(torch.ones(3, 33, 40), "a"), (torch.ones(3, 10, 65), "b")])
    assert batch.pixels.shape == (2, 3, 64, 96)
    assert batch.sizes == [(33, 40), (10, 65)]
    assert batch.names == ["a", "b"]
    assert (batch.pixels[0, :, :33, :40] == 1).all()
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)  # zero once normalised
    assert (batch.pixels[0, :, 33:] == mean).all()
    assert (batch.pixels[1, :, :, 65:] == mean).all()
    assert batch.pixels[1, :, :10, :65].min() == 1
    assert len(batch) == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([0, 48, 100]))
def test_a_network_that_never_met_padding_never_meets_it(height: int, width: int, short: int) -> None:
    """Whatever the image's size, at test and in training without a crop."""
    data = DataConfig(short_side=short, max_side=300, scale=(0.8, 1.3), flip=0.0)
    image, truth = np.zeros((height, width, 3), np.uint8), panoptic_map(np.ones((height, width), np.int32), {1: DISC})
    trained, target = TrainingTransform(data, CATEGORIES)(Sample(image, truth, 0, "drawn"))
    assert trained.shape[-2:] == target.instances.shape
    for seen in (resize_image(image, data), trained):
        batch = collate([(seen, "drawn")])
        assert batch.pixels.shape[-2:] == batch.sizes[0]


def few_things() -> Sample:
    """Two squares of 6 pixels far apart on 180 x 260 pixels of ground."""
    ids = np.ones((180, 260), np.int32)
    ids[10:16, 20:26], ids[170:176, 200:206] = 2, 3
    image = np.zeros((180, 260, 3), np.uint8)
    return Sample(image, panoptic_map(ids, {1: GROUND, 2: DISC, 3: BOX}), "few", "few.png")


def test_crops_around_things_hold_one_and_reach_all_places() -> None:
    crops = replace(SAME, crop=(40, 48))
    around = TrainingTransform(replace(crops, crop_around_things=1.0), CATEGORIES)
    torch.manual_seed(0)
    targets = [around(few_things())[1] for _ in range(60)]
    assert all(len(target.classes) == 1 for target in targets)
    assert {int(target.classes[0]) for target in targets} == {0, 1}  # each thing alike
    assert {target.semantic.shape for target in targets} == {(40, 48)}
    corners = torch.stack([target.boxes[0, :2] for target in targets])
    assert (corners.amax(0) - corners.amin(0) > 20).all()
    anywhere = TrainingTransform(crops, CATEGORIES)
    assert sum(len(anywhere(few_things())[1].classes) for _ in range(60)) < 20


def test_without_things_a_crop_lies_anywhere() -> None:
    around = TrainingTransform(replace(SAME, crop=(8, 8), crop_around_things=1.0), CATEGORIES)
    assert around(draw(0))[0].shape == (3, 8, 8)


def test_a_crop_larger_than_the_image_takes_all_of_it() -> None:
    image, _ = TrainingTransform(replace(SAME, crop=(500, 50)), CATEGORIES)(draw(0))
    assert image.shape == (3, 64, 50)


def jitters() -> list[v2.ColorJitter]:
    """Those of `ssd_color`, wherever they stand in it."""
    found: list[v2.ColorJitter] = []

    def collect(transform: object) -> None:
        if isinstance(transform, v2.ColorJitter):
            found.append(transform)
        for each in getattr(transform, "transforms", []):
            collect(each)

    for step in ssd_color(1.0):
        collect(step)
    return found


def test_colour_jitter_has_ssds_numbers_as_torchvisions_factors() -> None:
    ranges = {
        name: tuple(round(v, 6) for v in getattr(jitter, name))
        for jitter in jitters()
        for name in ("brightness", "contrast", "saturation", "hue")
        if getattr(jitter, name) is not None
    }
    assert ranges == {
        "brightness": (round(1 - 32 / 255, 6), round(1 + 32 / 255, 6)),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-0.1, 0.1),
    }


def test_colour_jitter_blends_where_ssd_adds_and_multiplies() -> None:
    """SSD would move every grey by up to 32 and halve all pixels with the contrast; black and means stay here."""
    half_black, half_light = (torch.full((3, 8, 8), value, dtype=torch.uint8) for value in (128, 160))
    half_black[:, 4:], half_light[:, 4:] = 0, 96
    brightness = next(jitter for jitter in jitters() if jitter.brightness is not None)
    contrast = next(jitter for jitter in jitters() if jitter.contrast is not None)
    moved = []
    for seed in range(200):
        torch.manual_seed(seed)
        found = brightness(half_black)
        assert (found[:, 4:] == 0).all()
        moved.append(abs(int(found[0, 0, 0]) - 128))
        assert contrast(half_light).float().mean() == pytest.approx(128, abs=1)
    assert 14 <= max(moved) <= 16


def test_colour_changes_the_image_alone() -> None:
    sample = draw(4)
    plain_image, plain = TrainingTransform(SAME, CATEGORIES)(sample)
    transform = TrainingTransform(replace(SAME, color=1.0), CATEGORIES)
    changed = 0
    for seed in range(8):
        torch.manual_seed(seed)
        image, target = transform(sample)
        assert torch.equal(target.instances, plain.instances)
        assert image.min() >= 0
        assert image.max() <= 1
        changed += not torch.equal(image, plain_image)
    assert changed >= 6


def test_the_same_seed_gives_the_same_sample() -> None:
    data = DataConfig(short_side=70, max_side=200, scale=(0.5, 2.0), crop=(60, 60), color=1.0)
    pairs = []
    for _ in range(2):
        torch.manual_seed(11)
        pairs.append(TrainingTransform(data, CATEGORIES)(draw(5)))
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1].instances, pairs[1][1].instances)


@pytest.mark.parametrize("span", [(0.5, 2.0), (1.0, 1.0), (2.0, 2.0)])
def test_scales_stay_in_their_range(span: tuple[float, float]) -> None:
    transform = TrainingTransform(replace(SAME, scale=span), CATEGORIES)
    heights = [transform(draw(0))[0].shape[-2] for _ in range(12)]
    assert min(heights) >= round(64 * span[0])
    assert max(heights) <= round(64 * span[1])
    assert len(set(heights)) > 5 or span[0] == span[1]
