"""A background for formats in which void is void: every void pixel becomes one stuff class."""

from pathlib import Path

import numpy as np

from unipan.datasets.formats.class_names import with_background_class
from unipan.datasets.formats.format import PanopticDataset
from unipan.datasets.formats.listed_dataset import ListedDataset, with_other_maps
from unipan.panoptic.categories import Category
from unipan.panoptic.maps import VOID_ID, PanopticMap, panoptic_map


def with_background(data: PanopticDataset, name: str, source: Path) -> ListedDataset:
    """The same dataset with its void pixels as the stuff class `name`, which is added if there is none of that name.

    Raises:
        ValueError: the class is one of things.
    """
    categories = with_background_class(data.categories, name, source)
    background = categories[categories.index_of_name[name]]
    return with_other_maps(data, source, categories, lambda index: _filled_map(data, index, background))


def _filled_map(data: PanopticDataset, index: int, background: Category) -> PanopticMap:
    truth = data.truth(index)
    void = truth.ids == VOID_ID
    if not void.any():
        return truth
    classes = {segment.id: segment.category for segment in truth}
    key = next((k for k, c in classes.items() if c == background), None) or max(classes, default=0) + 1
    return panoptic_map(
        np.where(void, key, truth.ids).astype(np.int32),
        {**classes, key: background},
        {segment.id: segment.score for segment in truth},
        {segment.id for segment in truth if segment.iscrowd},
        data.file_names[index],
    )
