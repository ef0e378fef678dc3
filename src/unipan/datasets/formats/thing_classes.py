"""`--as-things`: classes that a file calls stuff, as things. Tools that know no difference write `isthing` 0."""

from dataclasses import replace
from pathlib import Path

from unipan.datasets.formats.class_names import spell_names
from unipan.datasets.formats.format import PanopticDataset
from unipan.datasets.formats.listed_dataset import ListedDataset, with_other_maps
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap


def with_things(data: PanopticDataset, names: tuple[str, ...], source: Path) -> ListedDataset:
    """The same dataset in which the classes of these names are things; each of their segments is one.

    Raises:
        ValueError: there is no class of such a name.
    """
    unknown = [name for name in names if name not in data.categories.index_of_name]
    if unknown:
        names_known = spell_names(each.name for each in data.categories)
        raise ValueError(f"--as-things {unknown[0]}: {source} has no such class; it has {names_known}")
    changed = {each.id: replace(each, isthing=True) for each in data.categories if each.name in names}
    categories = Categories.of(changed.get(each.id, each) for each in data.categories)
    return with_other_maps(data, source, categories, lambda index: _changed_map(data, index, changed))


def _changed_map(data: PanopticDataset, index: int, changed: dict[int, Category]) -> PanopticMap:
    truth = data.truth(index)
    segments = (replace(each, category=changed.get(each.category.id, each.category)) for each in truth)
    return replace(truth, segments=tuple(segments))
