"""Which classes of two datasets are the same, by name: for starting a network from one trained on other classes.

COCO panoptic calls its merged stuff `sky-other-merged`, Cityscapes calls it `sky`: endings that only say how COCO
merged its labels fall away. What remains different is in `ALIASES`, which is short on purpose: a class that is merely
alike (Cityscapes' rider and COCO's person, traffic sign and stop sign) starts afresh.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from unipan.panoptic.categories import Categories

ENDINGS = (" merged", " other")
"""Of COCO's stuff: sky-other-merged, fence-merged, water-other."""

ALIASES = {
    "pavement": "sidewalk",  # COCO's pavement-merged is Cityscapes' sidewalk
    "tree": "vegetation",
    "grass": "terrain",
    "motorbike": "motorcycle",  # VOC's and older COCO lists'
    "aeroplane": "airplane",
    "pedestrian": "person",
}
"""Normalised name -> the name used for both."""

MOST_NAMED = 12
"""Classes that a sentence names; Cityscapes has 11 of stuff and 8 things."""


def normalised(name: str) -> str:
    """A class name without case, punctuation and COCO's endings, its alias replaced: 'sky-other-merged' -> 'sky'."""
    plain = " ".join(name.lower().replace("-", " ").replace("_", " ").split())
    for ending in ENDINGS:
        plain = plain.removesuffix(ending)
    return ALIASES.get(plain, plain)


def same_classes(old: Categories, new: Categories) -> dict[int, int]:
    """Class index of `new` -> class index of `old` for the classes that both have.

    Equal names match first; then normalised names, if only one class on each side has them.
    Thing or stuff does not matter here: COCO's traffic lights are things, those of Cityscapes are stuff.
    """
    found = {index: old.index_of_name[c.name] for index, c in enumerate(new) if c.name in old.index_of_name}
    taken = set(found.values())
    rest = {index: normalised(c.name) for index, c in enumerate(new) if index not in found}
    left = {normalised(c.name): index for index, c in enumerate(old) if index not in taken}
    here, there = (
        _unambiguous(rest.values()),
        _unambiguous(normalised(c.name) for i, c in enumerate(old) if i not in taken),
    )
    return found | {index: left[name] for index, name in rest.items() if name in here and name in there}


def _unambiguous(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count == 1}


def check_classes(own: Categories, other: Categories) -> None:
    """Raises ValueError listing both sides, of many names a few, unless both have the same things and stuff."""
    for kind in ("things", "stuff"):
        mine = [category.name for category in getattr(own, kind)]
        theirs = [category.name for category in getattr(other, kind)]
        if sorted(mine) != sorted(theirs):
            raise ValueError(
                f"classes: the checkpoint knows the {kind} {_few_of(mine, theirs)}; the data has "
                f"{_few_of(theirs, mine)}; give data with the checkpoint's classes, or finetune on this data first"
            )


def _few_of(names: Sequence[str], other: Sequence[str]) -> str:
    """Names for a sentence. Of many, those come first that the other side lacks, and the rest is counted."""
    if len(names) <= MOST_NAMED:
        return ", ".join(names) or "none"
    few = sorted(names, key=set(other).__contains__)[:MOST_NAMED]
    return f"{', '.join(few)} and {len(names) - len(few)} more"


def in_the_order_of(own: Categories, other: Categories) -> Categories:
    """A dataset's classes, with their ids and colours, in the order of a network's.

    Raises:
        ValueError: see `check_classes`.
    """
    check_classes(own, other)
    return Categories(tuple(other[other.index_of_name[each.name]] for each in own))
