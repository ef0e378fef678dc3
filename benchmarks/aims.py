"""What a benchmark has measured beside what we aim at: the list with which its output ends."""

from collections.abc import Iterable

Aim = tuple[str, float, float]
"""What was measured, in words, its value, and the aim, which is met by its value and by less."""


def print_aims(found: Iterable[Aim]) -> None:
    """One line for each."""
    print("\naims:")
    for words, value, aim in found:
        print(f"  {words:66}{value:8.3g}   aim {aim:.3g}   {'met' if value <= aim else 'missed'}", flush=True)
