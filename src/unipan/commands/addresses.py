"""Addresses where a command takes paths, refused before `Path` makes https:/a of https://a."""

from collections.abc import Sequence
from itertools import pairwise

PATHS_BESIDE_ADDRESSES = {"predict": ("--out", "--like", "--json"), "push": ("--data", "--dry-run", "--json")}
"""Of verbs that look at the other words themselves: images for --ray, and a repository."""


def refuse_addresses(verb: str, arguments: Sequence[str]) -> None:
    """Raises ValueError that names the first address as it was given.

    >>> refuse_addresses("affinity", ["scenes", "https://a.org/b.png"])
    Traceback (most recent call last):
    ValueError: https://a.org/b.png: this is an address; give a path on this machine
    """
    for before, word in pairwise(["", *arguments]):
        option, value = before if before.startswith("--") else "", word
        if word.startswith("--"):
            option, _, value = word.partition("=")
        takes_paths = option in PATHS_BESIDE_ADDRESSES.get(verb, (option,)) and option != "--host"
        if takes_paths and "://" in value and not value.startswith("hf:"):
            raise ValueError(f"{option} {value}: this is an address; give a path on this machine".strip())
