"""Rows of classes that a checkpoint does not have: means of their kind, by naive forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unipan.class_rows import CLASS_LAYERS, class_rows
from unipan.panoptic.categories import Category


def classes(things: int, stuff: int, first: int = 0) -> tuple[Category, ...]:
    return tuple(Category(first + n, f"class {first + n}", n < things, (0, 0, 0)) for n in range(things + stuff))


def layers(things: int, total: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for layer, (rows, backgrounds) in CLASS_LAYERS.items():
        count = ((things if layer.startswith("detection.") else total) + backgrounds) * rows
        found[f"{layer}.weight"] = torch.randn(count, 5, generator=generator)
        found[f"{layer}.bias"] = torch.randn(count, generator=generator)
    return found


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_new_classes_are_means_and_shared_ones_are_kept(
    old_things: int, old_stuff: int, new_things: int, new_stuff: int, shared: int
) -> None:
    """Thing n of the network is thing n of the checkpoint for the first `shared` of both."""
    old, new = classes(old_things, old_stuff), classes(new_things, new_stuff, 100)
    same = {n: n for n in range(min(shared, old_things, new_things))}
    own, stored = layers(new_things, len(new), 1), layers(old_things, len(old), 2)
    found = class_rows(own, stored, (old, new, same), (old[:old_things], new[:new_things], same))
    assert found.keys() == own.keys()
    for layer, (rows, backgrounds) in CLASS_LAYERS.items():
        of = new[:new_things] if layer.startswith("detection.") else new
        before, after = (each[f"{layer}.weight"].reshape(-1, rows, 5) for each in (stored, found))
        assert torch.equal(after[:backgrounds], before[:backgrounds])
        for n, category in enumerate(of):
            kin = range(old_things) if category.isthing else range(old_things, len(old))
            there = [same[n]] if n in same else list(kin)
            expected = sum(before[backgrounds + o] for o in there) / len(there)
            torch.testing.assert_close(after[backgrounds + n], expected)


@pytest.mark.parametrize(("there", "here"), [(1, 1), (3, 1), (1, 4), (5, 2)])
def test_new_things_together_weigh_what_the_old_ones_did(there: int, here: int) -> None:
    """Where all things of the checkpoint have one logit, things and background share the scores as before."""
    old, new = classes(there, 1), classes(here, 1, 100)
    own, stored = layers(here, here + 1, 1), layers(there, there + 1, 2)
    for layer in ("semantic.project", "detection.roi.box_predictor.cls_score"):
        first = CLASS_LAYERS[layer][1]
        for kind in ("weight", "bias"):
            rows = stored[f"{layer}.{kind}"]
            rows[first : first + there] = rows[first].clone()
    found = class_rows(own, stored, (old, new, {}), (old[:there], new[:here], {}))
    x = torch.randn(5, generator=torch.Generator().manual_seed(3))
    for layer in ("semantic.project", "detection.roi.box_predictor.cls_score"):
        first = CLASS_LAYERS[layer][1]
        before, after = ((each[f"{layer}.weight"] @ x + each[f"{layer}.bias"]).softmax(0) for each in (stored, found))
        torch.testing.assert_close(after[first : first + here].sum(), before[first : first + there].sum())


def test_a_kind_that_the_checkpoint_lacks_keeps_its_own_rows() -> None:
    old, new = classes(0, 2), classes(1, 1, 100)
    own, stored = layers(1, 2, 1), layers(0, 2, 2)
    found = class_rows(own, stored, (old, new, {}), ((), new[:1], {}))
    assert found.keys() == {"semantic.project.weight", "semantic.project.bias"}
    assert torch.equal(found["semantic.project.weight"][0], own["semantic.project.weight"][0])
    torch.testing.assert_close(found["semantic.project.weight"][1], stored["semantic.project.weight"].mean(0))


def test_layers_of_other_widths_are_left() -> None:
    """Another number of channels: neither weights nor biases are taken."""
    old = classes(1, 1)
    own, stored = layers(1, 2, 1), layers(1, 2, 2)
    own["semantic.project.weight"] = torch.zeros(2, 6)
    found = class_rows(own, stored, (old, old, {0: 0, 1: 1}), (old[:1], old[:1], {0: 0}))
    assert not [key for key in found if key.startswith("semantic.")]
    assert torch.equal(
        found["detection.mask_predictor.mask_fcn_logits.bias"], stored["detection.mask_predictor.mask_fcn_logits.bias"]
    )
