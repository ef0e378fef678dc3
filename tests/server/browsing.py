"""What the tests do with the page in a browser."""

from collections.abc import Callable
from typing import Any

from unipan.scene import Scene

Browser = Page = Any
"""Playwright's, which may be missing."""
PATIENCE = 30_000
"""Milliseconds, on a machine that has more to do."""
Serve = Callable[..., str]
"""Serves a studio and gives its address."""
Visit = Callable[..., Page]


def at(page: Page, u: float, v: float) -> tuple[float, float]:
    """A place of the picture, 0..1 from its upper left corner, on the screen."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=8)
    page.mouse.up()


def rows(page: Page) -> list[str]:
    """The table of segments, read at once: it is made anew with every map."""
    script = """() => [...document.querySelectorAll("#segments tbody tr")]
        .map((row) => [...row.cells].map((cell) => cell.textContent).join(" "))"""
    return list(page.evaluate(script))


def picture(page: Page) -> str:
    """What is on the stage, once it is drawn."""
    page.wait_for_timeout(150)
    return str(page.evaluate("() => document.getElementById('stage').toDataURL()"))


def eventually(page: Page, check: Callable[[], bool]) -> None:
    """Wait for the answers that are on their way."""
    for _ in range(PATIENCE // 100):
        if check():
            return
        page.wait_for_timeout(100)
    assert check()


def values(page: Page) -> list[float]:
    """The sides of the selected box."""
    return [float(page.locator(f"#box-{side}").input_value()) for side in range(4)]


def name_of(sample: Scene, row: int) -> str:
    """The class of a detection."""
    return sample.categories[int(sample.detections.classes[row])].name
