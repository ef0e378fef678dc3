"""The seeds for training, validation and testing, so that no network is evaluated on scenes it was trained on."""

from unipan.datasets.scenes.generator import HELD_OUT

TRAINING_SEEDS = range(0, 990_000)
VALIDATION_SEEDS = range(990_000, 990_100)
"""Below `HELD_OUT`, but never trained on."""
TEST_SEEDS = range(HELD_OUT, HELD_OUT + 200)


def use_in_training(seeds: range) -> str:
    """How training uses these seeds (a range of step 1) by default, in words."""
    words = []
    for word, used in (("SEEN in training", TRAINING_SEEDS), ("validated on in training", VALIDATION_SEEDS)):
        count = len(range(max(seeds.start, used.start), min(seeds.stop, used.stop)))
        if count:
            words.append(word if count == len(seeds) else f"{count} of them {word}")
    return ", ".join(words) or "never used in training"
