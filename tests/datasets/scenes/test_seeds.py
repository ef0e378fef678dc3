"""What is said of a range of seeds holds for all of it."""

import pytest

from unipan.datasets.scenes.seeds import TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, use_in_training


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (TRAINING_SEEDS, "SEEN in training"),
        (VALIDATION_SEEDS, "validated on in training"),
        (TEST_SEEDS, "never used in training"),
        (range(990_100, 990_101), "never used in training"),
        (range(989_990, 990_005), "10 of them SEEN in training, 5 of them validated on in training"),
        (range(990_090, 1_000_100), "10 of them validated on in training"),
        (range(989_999, 1_000_001), "1 of them SEEN in training, 100 of them validated on in training"),
    ],
)
def test_a_range_that_mixes_uses_says_so(seeds: range, words: str) -> None:
    assert use_in_training(seeds) == words
