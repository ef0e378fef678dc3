"""Eight browsers at once, for a few hundred requests. `benchmarks/page_requests.py` does it with 10,000."""

import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.server.browsing import Serve
from tests.server.clients import png, studio
from unipan.inference import Segmenter
from unipan.server.scenes import OpenScene

CLIENTS, STEPS = 8, 25
SHELF = 1 << 20
"""Bytes: a few open scenes, so that most are let go again."""
GROWTH = 12 << 20
"""Bytes that the second half may need beyond the first: what allocators keep."""


def resident() -> int:
    """Bytes of this process that are its own."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def visitor(address: str, number: int, statuses: Counter[tuple[str, int]]) -> Iterator[None]:
    """One browser: it opens pictures, clicks, edits and downloads; a step is a request or two."""
    host, chance, scene = address.split("/")[2], random.Random(number), None
    connection = HTTPConnection(host, timeout=60)
    cookie = f"unipan_session_{host.rpartition(':')[2]}={number:024d}"

    def ask(kind: str, method: str, path: str, body: bytes | str = b"") -> Any:
        connection.request(method, path, body, {"x-unipan": "1", "x-name": "a.png", "cookie": cookie})
        answer = connection.getresponse()
        content = answer.read()
        statuses[kind, answer.status] += 1
        return content

    while True:
        if scene is None or chance.random() < 0.15:
            size = chance.choice([(40, 56), (64, 48), (56, 56)])
            scene = json.loads(ask("open", "POST", "/api/scenes", png(*size, seed=chance.randrange(20))))
        path, boxes = f"/api/scenes/{scene['key']}", scene["found"]
        kind = chance.choice(["affinity", "maps", "maps", "maps", "image", "download", "nonsense"])
        if kind == "affinity":
            ask(kind, "GET", f"{path}/affinity?x={chance.randrange(40)}&y={chance.randrange(40)}")
        elif kind == "image":
            ask(kind, "GET", f"{path}/image")
        else:
            wanted = {"boxes": boxes[: chance.randrange(5)], "fusions": ["affinity"], "margin": chance.random() < 0.3}
            body = "{" if kind == "nonsense" else json.dumps(wanted)
            ask(kind, "POST", f"{path}/{'download' if kind == 'download' else 'maps'}", body)
        rest = time.monotonic()
        yield
        if time.monotonic() - rest > 3:  # the server closes it after five seconds; a browser opens another one
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_many_requests_of_several_clients_end_well_and_memory_stays_flat(maker: Segmenter, serve: Serve) -> None:
    made = studio(maker, memory=SHELF)
    address, statuses = serve(made), Counter[tuple[str, int]]()
    visitors = [visitor(address, number, statuses) for number in range(CLIENTS)]

    def steps(each: Iterator[None]) -> None:
        for _ in range(STEPS):
            next(each)

    peaks = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(2):
            list(pool.map(steps, visitors))
            peaks.append(resident())
    assert sum(statuses.values()) >= 2 * CLIENTS * STEPS
    assert {status for kind, status in statuses if kind == "nonsense"} <= {400, 410}
    assert {status for kind, status in statuses if kind != "nonsense"} <= {200, 410}
    assert any(status == 410 for _, status in statuses)  # some were let go
    assert made.shelf.nbytes <= SHELF
    assert peaks[1] - peaks[0] < GROWTH, [round(each / 2**20) for each in peaks]
    gc.collect()
    alive = sum(isinstance(each, OpenScene) for each in gc.get_objects())
    assert alive <= len(made.shelf) + CLIENTS  # what was let go is gone
