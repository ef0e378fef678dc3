"""Some images of a dataset as a dataset."""

from collections.abc import Sequence

from unipan.datasets.loading import PanopticData
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import Sample


class Subset:
    """`Subset(data, [3, 5])[1]` is `data[5]`."""

    def __init__(self, data: PanopticData, indices: Sequence[int]) -> None:
        self.data, self.indices = data, indices

    @property
    def categories(self) -> Categories:
        """Those of the whole."""
        return self.data.categories

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.data[self.indices[index]]
