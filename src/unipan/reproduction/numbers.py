"""The numbers that `unipan reproduce` is given, checked before PyTorch is imported."""

from unipan.config_values import COUNT, STEPS, WEIGHT, Range, check_value


def check_counts(seeds: int, jobs: int, iterations: int | None, budget: float, panoptic: float) -> None:
    """Raises ValueError that names the option with a number that cannot be."""
    if min(seeds, jobs, 1 if iterations is None else iterations) < 1 or min(budget, panoptic) <= 0:
        raise ValueError("reproduce: --seeds, --jobs, --budget, --iterations and --panoptic must be above 0")
    check_value("--seeds", seeds, int, COUNT)
    check_value("--jobs", jobs, int, COUNT)
    check_value("--budget", budget, float, Range(0, 10**6))
    check_value("--iterations", 1 if iterations is None else iterations, int, STEPS)
    check_value("--panoptic", panoptic, float, WEIGHT)
