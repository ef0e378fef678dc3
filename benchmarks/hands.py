"""The page in a person's hands: the way of README with a stop-watch, and how long a click takes until it is seen.

`way` goes through ten drawn street scenes as somebody does who has read README alone, whose commands it takes word by
word: draw the scenes, start `unipan serve`, click, drag a box, delete one, draw it anew, change a class, undo that,
accept, check, and train on what was accepted. The mouse moves and clicks, and each act waits for a second or more.
`speed` clicks and moves boxes; times go from the event to the frame after the one that shows the answer, as the page
itself says beside the zoom. `pictures` takes those of docs/serve.md on the same way. All need playwright and a
Chromium. Give them no real-time priority: on two cores Chromium's processes then waited for each other without end.

    OMP_NUM_THREADS=1 python benchmarks/hands.py way [--pause 1.5] [--shots DIR]
    OMP_NUM_THREADS=1 python benchmarks/hands.py speed [--repetitions 50]
    OMP_NUM_THREADS=1 python benchmarks/hands.py pictures --shots docs/images
"""

import argparse
import html
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

UNIPAN = [sys.executable, "-m", "unipan"]
README = Path(__file__).resolve().parents[1] / "README.md"
IMAGES = 10
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
READY = "() => document.querySelector('#segments tbody tr') && !document.querySelector('#accept:disabled')"
HELD = 80
"""Milliseconds from a button's way down to its way up, as a person clicks."""
RESTED = 100
"""Milliseconds for which a mouse lies still before its button goes down; a tap on a touch pad holds it for none."""
THINGS = {"car", "bus", "person", "rider"}


def readme_commands() -> list[list[str]]:
    """What README has somebody type: unipan scenes, serve, data check, train; each as it stands there."""
    [block] = [
        each for each in re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL) if "unipan scenes" in each
    ]
    lines = [line.partition("#")[0].split() for line in block.splitlines()]
    found = [line for line in lines if line[:1] == ["unipan"]]
    assert [line[1] for line in found] == ["scenes", "serve", "data", "train"]
    return found


def run_line(line: list[str], cwd: Path) -> str:
    """One of these commands, shown while it runs; what it has said."""
    said = []
    with subprocess.Popen([*UNIPAN, *line[1:]], stdout=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            said.append(text)
    assert process.returncode == 0, line
    return "".join(said)


@contextmanager
def served(*arguments: str, cwd: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`unipan serve`, its address and its process."""
    command = [*UNIPAN, "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, "the server did not start"
        try:
            yield found[0], process
        finally:
            process.send_signal(signal.SIGINT)


class Hand:
    """A person at the page: where things are is looked up, then the mouse goes there."""

    def __init__(self, page: Any, pause: float, shots: Path | None) -> None:
        self.page, self.pause, self.shots, self.count = page, pause, shots, 0

    def wait(self) -> None:
        """To look, and to think."""
        self.page.wait_for_timeout(1000 * self.pause)

    def shot(self, name: str) -> None:
        """What is seen now."""
        if self.shots is not None:
            self.count += 1
            self.page.screenshot(path=self.shots / f"{self.count:02d}_{name}.png")

    def click_at(self, x: float, y: float) -> None:
        """Move there and click."""
        self.page.mouse.move(x, y, steps=8)
        self.page.mouse.click(x, y)
        self.wait()

    def click(self, selector: str) -> None:
        """Click a button, which must be in sight."""
        place = self.page.locator(selector).first
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        self.click_at(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """On the screen, of a pixel of the image, whose whole is in sight."""
        box = self.page.locator("#stage").bounding_box()
        return box["x"] + x / 256 * box["width"], box["y"] + y / 128 * box["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """From pixel to pixel of the image."""
        self.page.mouse.move(*self.place(*start), steps=8)
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end), steps=15)
        self.page.mouse.up()
        self.wait()

    def press(self, key: str) -> None:
        """A key."""
        self.page.keyboard.press(key)
        self.wait()

    def things(self) -> list[int]:
        """Rows of the table that are things."""
        names = self.page.locator("#segments tbody td:first-child").all_inner_texts()
        return [row for row, name in enumerate(names) if name.strip() in THINGS]

    def select(self, row: int) -> tuple[list[float], str]:
        """Click a row of the table; the sides of its box, and its class."""
        self.click(f"#segments tbody tr:nth-child({row + 1}) button")
        sides = [float(self.page.locator(f"#box-{side}").input_value()) for side in range(4)]
        return sides, self.page.locator("#box-title").inner_text().removeprefix("Box: ")


def correct(hand: Hand, number: int) -> None:
    """One image: delete a box, draw it anew, change the class of another and think better of it, accept."""
    page, title = hand.page, hand.page.title()
    rows = hand.things()
    (left, top, right, bottom), _ = hand.select(rows[-1])
    hand.press("Delete")
    hand.shot("deleted")
    # Nothing is selected now, so a drag draws wherever it begins.
    hand.drag((left, top), (min(right, 255.5), min(bottom, 127.5)))
    hand.shot("drawn")
    _, name = hand.select(hand.things()[0])
    page.locator("#box-class").select_option(next(each for each in sorted(THINGS) if each != name))
    hand.wait()
    hand.shot("class")
    hand.press("Control+z")
    hand.press("Escape")
    hand.click("#accept")
    if number < IMAGES - 1:
        page.wait_for_function("(before) => document.title !== before", arg=title)
    page.wait_for_function(READY)
    hand.shot("accepted")


class Watch:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float]] = []

    def time(self, name: str, step: Callable[[], object]) -> None:
        """Do it and note how long it took."""
        start = time.perf_counter()
        step()
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Note a step that was timed elsewhere."""
        self.rows.append((name, seconds))
        print(f"{seconds:7.1f} s  {name}", flush=True)


def look(hand: Hand) -> None:
    """Click two pixels, and go back to the map."""
    for x, y in ((136, 67), (26, 55)):
        hand.click_at(*hand.place(x, y))
        hand.page.wait_for_function("() => !document.getElementById('scale').hidden")
        hand.shot("affinities")
    hand.press("Escape")


def edit(hand: Hand) -> None:
    """Widen a box, move it, and undo both."""
    hand.click("label[for=mode-edit]")
    (left, top, right, bottom), _ = hand.select(hand.things()[0])
    hand.drag((right, (top + bottom) / 2), (min(right + 20, 255), (top + bottom) / 2))
    hand.shot("widened")
    hand.drag(((left + right) / 2, (top + bottom) / 2), ((left + right) / 2 - 15, (top + bottom) / 2))
    hand.shot("moved")
    hand.press("Control+z")
    hand.press("Control+z")


def walk(options: argparse.Namespace, folder: Path) -> None:
    """The whole way, with a line for each step."""
    drawing, serving, checking, training = readme_commands()
    watch = Watch()
    watch.time(" ".join(drawing), lambda: run_line(drawing, folder))
    start = time.perf_counter()
    with served(*serving[2:], cwd=folder) as (address, process), sync_playwright() as playwright:
        watch.add(f"{' '.join(serving)}, until its address is there", time.perf_counter() - start)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        hand = Hand(page, options.pause, options.shots)

        def come() -> None:
            page.goto(address)
            page.wait_for_function(READY)
            hand.wait()
            hand.shot("map")

        watch.time("open the page, until the first map is there", come)
        watch.time("click a pixel, and a second one", lambda: look(hand))
        watch.time("widen a box and move it; undo", lambda: edit(hand))
        watch.time("correct and accept ten images", lambda: [correct(hand, each) for each in range(IMAGES)])
        assert page.locator("#news code").all_inner_texts() == [" ".join(checking), " ".join(training)]
        browser.close()
        process.send_signal(signal.SIGINT)
    watch.time(" ".join(checking), lambda: run_line(checking, folder))
    watch.time(" ".join(training), lambda: run_line(training, folder))
    print(f"{sum(seconds for _, seconds in watch.rows):7.1f} s  together")


def take_terminal(browser: Any, said: list[tuple[list[str], str]], path: Path) -> None:
    """Commands and what they said, as a terminal shows them."""
    parts = [f"<b>$ {html.escape(' '.join(line))}</b>\n{html.escape(text)}" for line, text in said]
    style = "background: #16181d; color: #d8dee9; padding: 20px; margin: 0; font: 14px/1.5 monospace"
    page = browser.new_page(viewport={"width": 1000, "height": 300})
    text = "\n".join(parts).rstrip()
    page.set_content(f'<pre style="{style}; white-space: pre-wrap">{text}</pre><style>b {{ color: #8fd19e }}</style>')
    page.locator("pre").screenshot(path=path)


def take_pictures(folder: Path, shots: Path) -> None:
    """Of the page, for its documentation."""
    drawing, serving, checking, training = readme_commands()
    run_line(drawing, folder)
    with served(*serving[2:], cwd=folder) as (address, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def visit(width: int, height: int, **more: Any) -> Hand:
            page = browser.new_page(viewport={"width": width, "height": height}, **more)
            page.goto(address)
            page.wait_for_function(READY)
            return Hand(page, 1, None)

        def keep(hand: Hand, name: str) -> None:
            hand.page.wait_for_timeout(1000)
            hand.page.screenshot(path=shots / f"serve_{name}.jpg", quality=75)

        hand = visit(400, 760, color_scheme="dark", is_mobile=True, has_touch=True)
        hand.page.locator("#other").select_option("heuristic")
        hand.page.evaluate("() => scrollTo(0, 0)")
        keep(hand, "narrow")
        hand = visit(1180, 720)
        hand.click_at(*hand.place(26, 55))
        keep(hand, "affinities")
        hand.press("Escape")
        hand.click("label[for=mode-edit]")
        (left, top, _, bottom), _ = hand.select(hand.things()[0])
        hand.drag((left, (top + bottom) / 2), (left - 20, (top + bottom) / 2))
        keep(hand, "boxes")
        hand.press("Control+z")
        for number in range(IMAGES):
            hand.press("Control+Enter")
            hand.page.wait_for_function(f"() => progress.textContent.startsWith('{number + 1} of')")
            hand.page.wait_for_function(READY)
        hand.click("label[for=mode-look]")
        keep(hand, "accepted")
        process.send_signal(signal.SIGINT)
        said = [(line, run_line(line, folder)) for line in (checking, training)]
        take_terminal(browser, said, shots / "serve_training.png")
        browser.close()


def speed(options: argparse.Namespace) -> None:
    """Median and 90th percentile of what a person waits for, and the part of it that is the server's answer."""
    with served() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_function("() => document.querySelector('#segments tbody tr')")
        hand, found = Hand(page, 0, None), {}
        page.wait_for_timeout(2000)
        for rested, held in ((0, 0), (RESTED, 0), (0, HELD)):
            acts = [click(each, rested, held) for each in range(options.repetitions)]
            found[f"affinities, rested {rested} ms, held {held} ms"] = [timed(hand, "affinity", act) for act in acts]
        page.keyboard.press("Escape")
        page.keyboard.press("]")
        sides = [float(page.locator(f"#box-{side}").input_value()) for side in range(4)]
        page.locator("#stage").focus()
        found["map of a moved box"] = [timed(hand, "maps", nudge(each)) for each in range(options.repetitions)]
        browser.close()
    print(f"box {sides}; milliseconds: median, 90 % below; of them the server's answer")
    for name, rows in found.items():
        seen, answer = ([row[part] for row in rows] for part in (0, 1))
        ninth = statistics.quantiles(seen, n=10)[-1]
        parts = f"{statistics.median(seen):6.0f} {ninth:6.0f} {statistics.median(answer):6.0f}"
        print(f"{name:38}{parts}  ({100 * statistics.median(answer) / statistics.median(seen):.0f} %)")


def click(number: int, rested: int, held: int) -> Callable[[Hand], None]:
    """On another pixel each time; a first one, since a second one would compare.

    The mouse lies still for so many ms before it, and the button is held for so many.
    """

    def act(hand: Hand) -> None:
        place = hand.place(20 + 4.3 * number % 216, 30 + 7.7 * number % 80)
        hand.page.mouse.move(*place)
        hand.page.wait_for_timeout(rested)
        hand.page.mouse.click(*place, delay=held)

    return act


def nudge(number: int) -> Callable[[Hand], None]:
    """Move the selected box by a pixel."""
    return lambda hand: hand.page.keyboard.press(("ArrowRight", "ArrowLeft")[number // 5 % 2])


def timed(hand: Hand, kind: str, act: Callable[[Hand], None]) -> tuple[float, float]:
    """What the page says that it took, and from the request to the last byte of the answer."""
    page = hand.page
    if kind == "affinity":
        page.keyboard.press("Escape")
    page.evaluate("() => { performance.clearResourceTimings(); document.getElementById('timing').textContent = ''; }")
    page.wait_for_timeout(100)
    act(hand)
    page.wait_for_function("() => document.getElementById('timing').textContent")
    page.wait_for_timeout(500)
    script = """(kind) => JSON.stringify([document.getElementById("timing").textContent,
        performance.getEntriesByType("resource").filter((each) => each.name.includes(kind))
        .map((each) => each.responseEnd - each.requestStart)])"""
    text, spans = json.loads(page.evaluate(script, kind))
    return float(text.split()[2]), spans[-1]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["way", "speed", "pictures"])
    parser.add_argument("--pause", type=float, default=1.5, help="seconds after each act")
    parser.add_argument("--shots", type=Path, help="a folder for screenshots of each step")
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    if options.shots is not None:
        options.shots.mkdir(parents=True, exist_ok=True)
    if options.what == "speed":
        speed(options)
        return
    with tempfile.TemporaryDirectory(prefix="unipan-hands-") as folder:
        if options.what == "way":
            walk(options, Path(folder))
        elif options.shots is None:
            parser.error("pictures needs --shots DIR")
        else:
            take_pictures(Path(folder), options.shots.resolve())


if __name__ == "__main__":
    main()
