"""Which values a field of a config may have: its annotation says it, a number's range as `Annotated[float, SHARE]`.

They are checked wherever a section of a config is made, from a command line, a checkpoint or Python, so that nobody
finds out after an hour that a cut-off was NaN.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds.

    Attributes:
        least, most: the bounds, which belong to it.
        above: that `least` does not.
        below: that `most` does not.
        entries: the fewest entries of a tuple of any length.
    """

    least: int | float = 0
    most: int | float = math.inf
    above: bool = False
    below: bool = False
    entries: int = 0

    def __contains__(self, value: int | float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))  # isfinite overflows on large integers
            and (value > self.least if self.above else value >= self.least)
            and (value < self.most if self.below else value <= self.most)
        )

    def words(self, whole: bool) -> str:
        """What it allows, after "is not": "a whole number from 1 to 8"."""
        if not whole and (self.above or self.below) and self.most < math.inf:
            return f"in {'(' if self.above else '['}{self.least:g}, {self.most:g}{')' if self.below else ']'}"
        if self.most < math.inf:
            return f"a {'whole ' * whole}number from {self.least} to {self.most}"
        return f"a {'whole' if whole else 'finite'} number {'above' if self.above else 'of at least'} {self.least:g}"


SHARE = Range(0, 1)
SOME_SHARE = Range(0, 1, above=True)
WEIGHT = Range(0)
POSITIVE = Range(0, above=True)
CHANNELS = Range(1, 2**16)
"""Widths of layers: far above any network, far below what overflows when four of them are multiplied."""
WAVELENGTHS = Range(0, 64)
PIXELS = Range(1, 2**16)
PIXELS_OR_NONE = Range(0, 2**16)
COUNT = Range(1, 10**6)
COUNT_OR_NONE = Range(0, 10**6)
STEPS = Range(1, 10**9)
AMOUNT = Range(0, 10**12)
"""Of images or pixels, on a command line; 0 often means all."""
SEED = Range(0, 10**12)
"""torch takes 64 bits, and the trainer multiplies by a million."""
ANYTHING = Range(-math.inf)


class Section:
    """A part of a config, a dataclass; its values are checked whenever one is made.

    Raises:
        ValueError: a value of another kind than its annotation, or outside its range.
    """

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config").lower()
        section: Any = type(self)
        for field, (kind, allowed) in allowed_values(section).items():
            check_value(f"{name}.{field}", getattr(self, field), kind, allowed)


@cache  # experiments make thousands of sections
def allowed_values(section: type[Any]) -> dict[str, tuple[Any, Range]]:
    """Kind and range of each field of a section; texts and choices have no range: `ANYTHING` of their kind."""
    hints = get_type_hints(section, include_extras=True)
    return {name: get_args(hint) if get_origin(hint) is Annotated else (hint, ANYTHING) for name, hint in hints.items()}


def check_value(option: str, value: object, kind: Any, allowed: Range = ANYTHING) -> None:
    """Check one value.

    Args:
        option: its dotted name.
        value: what was given.
        kind: its annotation.
        allowed: its range.

    Raises:
        ValueError: it is not allowed; the sentence names the option, the value and what is.
    """
    if not _fits(value, kind, allowed):
        raise ValueError(f"{option}: {_shown(value)} is not {_wanted(kind, allowed)}")


def _fits(value: object, kind: Any, allowed: Range) -> bool:
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in choices)  # True is no 1
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        counted = len(value) >= allowed.entries if choices[1] is ... else len(value) == len(choices)
        return counted and all(_fits(each, choices[0], allowed) for each in value)
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return value in allowed and (kind is float or isinstance(value, int))
    return isinstance(value, kind)


def _wanted(kind: Any, allowed: Range) -> str:
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        *others, last = map(str, choices)
        return f"{', '.join(others)} or {last}"
    if get_origin(kind) is tuple:
        any_number = f"{allowed.entries} or more" if allowed.entries else "any number of"
        count = any_number if choices[1] is ... else len(choices)
        return f"a tuple of {count} entries, each {_wanted(choices[0], allowed)}"
    if kind in (int, float):
        return allowed.words(kind is int)
    return {bool: "True or False", str: "text"}[kind]


def _shown(value: object) -> str:
    """A value in an error message; a file may hold anything instead of a number."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
