"""Pages of HTML for tests: parsed to a tree, or opened in a real browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
WITHOUT_END = {"meta", "img", "link", "br", "hr", "input", "wbr"}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--allow-file-access-from-files", "--disable-background-networking", "--disable-component-update"]


class _Parser(HTMLParser):
    """Fails on tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.builder = TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in WITHOUT_END:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.builder.data(data)


def parse(text: str) -> Element:
    """The tree of a page that closes its tags and needs nothing from outside."""
    assert "://" not in text
    assert not re.search(r"url\(|@import|<link", text)
    parser = _Parser()
    parser.feed(text)
    assert parser.open == []
    return parser.builder.close()


def words(element: Element | None) -> str:
    """The text in an element, its white space folded."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def table(root: Element, name: str) -> list[list[str]]:
    """The text of each cell of the table with this id, without its head."""
    return [[words(cell) for cell in row] for row in root.findall(f".//*[@id='{name}']//tbody/tr")]


def dom_of(file: Path, profile: Path, state: str = "") -> str:
    """The document as Chromium has it once the script has run."""
    address = f"{file.resolve().as_uri()}#{state}"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom", address]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
