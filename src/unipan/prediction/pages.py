"""The pages of TIFF stacks and the frames of animations, one image each. No torch.

A stack may be a series, slices of a volume, or the channels of one image, and no file says which. So pages are
segmented only where the user says so.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from unipan.panoptic.images import page_count


def split_pages(
    found: Iterable[tuple[Path, str]], pages: str
) -> tuple[list[tuple[Path, str, int | None]], dict[Path, str]]:
    """Each image with its name and page; of a stack, every wanted page with a name of its own.

    Args:
        found: paths and names.
        pages: see `page_numbers`.

    Returns:
        paths, names and pages; and what is wrong with files whose pages cannot be counted, which are one image each.

    Raises:
        ValueError: no image has several pages, or one lacks a wanted page.
    """
    split: list[tuple[Path, str, int | None]] = []
    broken: dict[Path, str] = {}
    for path, name in found:
        try:
            count = page_count(path)
        except (ValueError, OSError) as error:
            broken[path], count = str(error), 1
        if count == 1:
            split.append((path, name, None))
            continue
        whole, digits = PurePosixPath(name), len(str(count))
        for number in page_numbers(pages, count, str(path)):
            split.append((path, str(whole.with_name(f"{whole.stem}_page{number:0{digits}}{whole.suffix}")), number))
    if not broken and all(page is None for _, _, page in split):
        raise ValueError(f"--pages {pages}: none of these images has several pages; leave it out")
    return split, broken


def page_numbers(pages: str, count: int, source: str = "image") -> Sequence[int]:
    """The pages that are wanted of `count`, the first of which is 1.

    Args:
        pages: `all`, or numbers and ranges: `3`, `2-5`, `1,4,7-9`.
        count: of the stack.
        source: what error messages call it.

    Raises:
        ValueError: it is neither, or there is no such page.
    """
    if pages == "all":
        return range(1, count + 1)
    wanted: list[int] = []
    for part in pages.split(","):
        first, to, last = part.strip().partition("-")
        ends = (first, last if to else first)
        if not all(end.isdecimal() and len(end) < 10 for end in ends) or int(ends[1]) < int(ends[0]):
            raise ValueError(
                f"--pages {pages}: {part.strip()!r} is no page; give all, or numbers like 3, 2-5 or 1,4,7-9"
            )
        if int(ends[0]) < 1 or int(ends[1]) > count:
            raise ValueError(f"--pages {pages}: {source} has the pages 1 to {count}")
        wanted += range(int(ends[0]), int(ends[1]) + 1)
    return sorted(set(wanted))
