"""What a panoptic dataset is: its classes, and samples by index."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import Sample


@runtime_checkable
class PanopticData(Protocol):
    """A dataset: `Scenes`, `CocoPanoptic` and the readers of `datasets.formats` are some."""

    @property
    def categories(self) -> Categories:
        """Its classes."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Subset:
    """Some images of a dataset: `Subset(data, [3, 5])[1]` is `data[5]`."""

    def __init__(self, data: PanopticData, indices: Sequence[int]) -> None:
        self.data, self.indices = data, indices

    @property
    def categories(self) -> Categories:
        """The classes of the whole dataset."""
        return self.data.categories

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.data[self.indices[index]]
