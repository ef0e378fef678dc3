"""The numbers that `unipan reproduce` is given, checked before PyTorch is imported."""

from dataclasses import replace

from unipan.config_values import COUNT, POSITIVE, STEPS, check_value


def check_counts(seeds: int, jobs: int, iterations: int | None, budget: float, panoptic: float) -> None:
    """Raises ValueError that names the option, the number that cannot be, and its range."""
    check_value("--seeds", seeds, int, COUNT)
    check_value("--jobs", jobs, int, COUNT)
    check_value("--budget", budget, float, replace(POSITIVE, most=10**6))
    check_value("--iterations", 1 if iterations is None else iterations, int, STEPS)
    check_value("--panoptic", panoptic, float, POSITIVE)
