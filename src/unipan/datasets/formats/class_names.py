"""Classes of formats that know names and nothing more: which are stuff, and the background."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unipan.datasets.formats.classes import ClassesFile, read_classes
from unipan.datasets.formats.format import FormatOptions
from unipan.panoptic.categories import Categories, Category, distinct_color

BACKGROUND_COLOR = (90, 90, 90)


def classes_of_names(
    names: Iterable[str], options: FormatOptions, source: Path, numbers: Mapping[str, int] | None = None
) -> Categories:
    """The classes of these names: those of `options.classes`, or things with ids from 1 in this order.

    `options.as_stuff` and `options.background` change them as in `with_roles`.

    Args:
        names: all that the annotations use.
        options: what was asked for.
        source: what messages call the dataset.
        numbers: ids that the format itself has for (some) names.

    Raises:
        FileNotFoundError, ValueError: no name, a broken classes file or one that lacks a name, or see `with_roles`.
    """
    listed = list(dict.fromkeys(names))
    if options.classes is not None:
        known = read_classes(options.classes, source).categories
        missing = [
            n for n in listed if n not in known.index_of_name and n not in (options.background, *options.as_stuff)
        ]
        if missing:
            raise ValueError(
                f"{source}: its class {missing[0]!r} is not in {options.classes}; list it there (id, name, isthing)"
            )
        return with_roles(known, options, source)
    if not listed:
        raise ValueError(f"{source}: it names no class; give --classes FILE, a JSON with COCO `categories`")
    ids = {name: number for number, name in enumerate(listed, start=1)}
    if numbers is not None and set(listed) <= set(numbers):
        ids = {name: numbers[name] for name in listed}
    elif options.class_maps is not None:
        raise ValueError(f"--class-maps: {source} has names and no numbers of classes; give --classes FILE with both")
    named = [Category(ids[name], name, True, distinct_color(n)) for n, name in enumerate(listed)]
    return with_roles(Categories.of(named), options, source)


def with_roles(categories: Categories, options: FormatOptions, source: Path) -> Categories:
    """The classes with those of `--as-stuff` as stuff, and the `--background`, which is added if it is not there.

    Raises:
        ValueError: a name of `--as-stuff` is no class, or the name of the background is empty.
    """
    unknown = [name for name in options.as_stuff if name not in categories.index_of_name]
    if unknown:
        raise ValueError(
            f"--as-stuff {unknown[0]}: {source} has no such class; it has {spell_names(c.name for c in categories)}"
        )
    stuff = {*options.as_stuff, options.background}
    kept = [replace(each, isthing=False) if each.name in stuff else each for each in categories]
    if options.background is not None and options.background not in categories.index_of_name:
        if not options.background.strip():
            raise ValueError("--background: the name is empty; give one, like --background background")
        number = max(category.id for category in categories) + 1
        kept.append(Category(number, options.background, False, BACKGROUND_COLOR))
    return Categories.of(kept)


def classes_and_background(options: FormatOptions, folder: Path) -> ClassesFile:
    """The classes of `options.classes`, or of `folder/classes.json`, and the class of `options.background`.

    Raises:
        FileNotFoundError, ValueError: see `read_classes` and `with_background_class`.
    """
    found = read_classes(options.classes, folder)
    if options.background is None:
        return found
    categories = with_background_class(found.categories, options.background, found.source)
    return replace(found, background=background_of(categories, options))


def with_background_class(categories: Categories, name: str, source: Path) -> Categories:
    """The classes with a stuff class of this name, which is added if it is not there.

    Raises:
        ValueError: the class is one of things, or its name is empty.
    """
    known = categories.index_of_name.get(name)
    if known is not None and categories[known].isthing:
        raise ValueError(f"--background {name}: {source} has things of this name; give another")
    return with_roles(categories, FormatOptions(background=name), source)


def background_of(categories: Categories, options: FormatOptions) -> Category | None:
    """The class that covers all pixels without another, if there is one."""
    return None if options.background is None else categories[categories.index_of_name[options.background]]


def spell_names(names: Iterable[str], most: int = 12) -> str:
    """Names with commas, the first few of them."""
    listed: Sequence[str] = list(names)
    return ", ".join(listed[:most]) + f" and {len(listed) - most} more" * (len(listed) > most)
