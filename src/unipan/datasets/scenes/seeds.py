"""Which seeds of the scenes are for what, so that nobody scores a network on scenes that it has seen."""

from unipan.datasets.scenes.generator import HELD_OUT

TRAINING_SEEDS = range(0, 990_000)
VALIDATION_SEEDS = range(990_000, 990_100)
"""Cut from the training range (below `HELD_OUT`) but never trained on: what is chosen by them stays honest."""
TEST_SEEDS = range(HELD_OUT, HELD_OUT + 200)


def use_in_training(seeds: range) -> str:
    """What training has done with these seeds (a range of step 1) unless told otherwise, in words."""
    words = []
    for word, used in (("SEEN in training", TRAINING_SEEDS), ("validated on in training", VALIDATION_SEEDS)):
        count = len(range(max(seeds.start, used.start), min(seeds.stop, used.stop)))
        if count:
            words.append(word if count == len(seeds) else f"{count} of them {word}")
    return ", ".join(words) or "never used in training"
