"""The network that the tests of the server share, and a browser. Skipped, with the reason, where there is none."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.server.browsing import PATIENCE, Browser, Page, Serve, Visit
from tests.test_inference import segmenter_of, tiny
from unipan.datasets.scenes.generator import draw_scene
from unipan.datasets.scenes.seeds import TEST_SEEDS
from unipan.inference import Segmenter
from unipan.presets import scenes
from unipan.scene import Scene

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def maker() -> Segmenter:
    """Untrained, with masks; it finds a few things in anything."""
    config = tiny(scenes())
    return segmenter_of(replace(config, detection=replace(config.detection, max_detections=4)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason='this needs playwright: pip install "unipan[dev]"')
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt install chromium")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load("scenes")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a studio from a thread and gives its address."""
    uvicorn = pytest.importorskip("uvicorn", reason='this needs uvicorn: pip install "unipan[serve]"')
    from unipan.server.app import Studio
    from unipan.server.guard import Guard
    from unipan.server.plan import open_port

    servers = []

    def begin(made: Studio) -> str:
        listener = open_port("127.0.0.1", 0)
        settings = uvicorn.Config(Guard(made.app(), "127.0.0.1"), log_level="warning", lifespan="off")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield begin
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens an address; whatever the page complains of in its console fails the test."""
    complaints: list[str] = []
    contexts = []

    def begin(address: str, width: int = 1280, height: int = 800, wait: bool = True, **more: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(address)
        if wait:
            page.locator("#segments tbody tr").nth(3).wait_for()
        return page

    yield begin
    for context in contexts:
        context.close()
    assert [each for each in complaints if "status of 4" not in each and "ERR_FAILED" not in each] == []


@pytest.fixture(scope="module")
def sample(segmenter: Segmenter) -> Scene:
    """What the page opens first."""
    from unipan.server.app import SAMPLES

    return segmenter.scene(draw_scene(TEST_SEEDS[SAMPLES[0]]).image)
