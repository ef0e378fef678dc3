"""Many requests to `unipan serve` from several clients at once: errors, times, and whether memory stays flat.

Each client opens pictures, clicks, edits boxes and downloads, as a browser of its own, and sends some requests that are
none. The command is a process; its resident memory is sampled, and its peak told for each tenth of the requests.

    OMP_NUM_THREADS=1 python benchmarks/page_requests.py [--requests 10000] [--clients 8] [--memory 0.05]
"""

import argparse
import asyncio
import io
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

OURS = {"x-unipan": "1"}


def picture(seed: int, size: tuple[int, int]) -> bytes:
    """Noise, smooth enough to be compressed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC).save(file, "png")
    return file.getvalue()


def resident(pid: int) -> int:
    """Bytes of a process that are its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class Client:
    """One browser."""

    def __init__(self, address: str, number: int, record: "Record") -> None:
        self.http = httpx2.AsyncClient(base_url=address, headers=OURS, timeout=120)
        self.chance, self.record, self.scenes = random.Random(number), record, []
        self.number = number

    async def ask(self, kind: str, method: str, path: str, wanted: tuple[int, ...] = (200,), **more: Any) -> Any:
        """One request, its time and its status."""
        start = time.perf_counter()
        answer = await self.http.request(method, path, **more)
        self.record.add(kind, time.perf_counter() - start, answer.status_code, answer.status_code in wanted)
        return answer

    async def open(self) -> None:
        """A sample or a picture of some size; the last four are remembered."""
        if self.chance.random() < 0.5:
            answer = await self.ask("open a sample", "POST", f"/api/samples/{self.chance.randrange(6)}")
        else:
            size = self.chance.choice([(128, 256), (192, 160), (96, 320)])
            content = picture(self.chance.randrange(50), size)
            answer = await self.ask(
                "open a picture", "POST", "/api/scenes", content=content, headers={"x-name": "a.png"}
            )
        self.scenes = [*self.scenes[-3:], answer.json()]

    async def step(self) -> None:
        """What somebody might do next."""
        chance = self.chance.random()
        if not self.scenes or chance < 0.06:
            await self.open()
            return
        scene = self.chance.choice(self.scenes)
        key, boxes, let_go = scene["key"], [dict(box) for box in scene["found"]], (200, 410)
        if chance < 0.4:
            x, y = self.chance.randrange(scene["width"]), self.chance.randrange(scene["height"])
            await self.ask("affinity", "GET", f"/api/scenes/{key}/affinity?x={x}&y={y}", let_go)
        elif chance < 0.9:
            if boxes:
                box = self.chance.choice(boxes)
                box["box"] = [max(side + self.chance.uniform(-4, 4), 0) for side in box["box"]]
                box["box"][2:] = (
                    [box["box"][0] + 9, box["box"][1] + 9] if self.chance.random() < 0.1 else box["box"][2:]
                )
            boxes = [box for box in boxes if box["box"][0] + 1 < min(box["box"][2], scene["width"])
                     and box["box"][1] + 1 < min(box["box"][3], scene["height"])]  # fmt: skip
            fusions = self.chance.choice([["affinity"], ["affinity", "heuristic"], ["potential"]])
            wanted = {"boxes": boxes, "fusions": fusions, "margin": self.chance.random() < 0.1}
            await self.ask("map", "POST", f"/api/scenes/{key}/maps", let_go, json=wanted)
        elif chance < 0.94:
            await self.ask("image", "GET", f"/api/scenes/{key}/image", let_go)
        elif chance < 0.96:
            await self.ask("download", "POST", f"/api/scenes/{key}/download", let_go, json={"boxes": boxes})
        elif chance < 0.98:
            await self.ask("the page", "GET", self.chance.choice(["/", "/page/app.js", "/api/overview"]))
        else:
            path, content = f"/api/scenes/{key}/maps", self.chance.choice([b"{", b"[]", b'{"boxes": 1}', b"\xff" * 50])
            await self.ask("nonsense", "POST", path, (400, 410), content=content)


class Record:
    """Times and statuses by kind."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[int] = Counter()
        self.unexpected = 0
        self.memory: list[tuple[int, int]] = []

    @property
    def count(self) -> int:
        return sum(self.statuses.values())

    def add(self, kind: str, seconds: float, status: int, expected: bool) -> None:
        self.seconds[kind].append(seconds)
        self.statuses[status] += 1
        self.unexpected += not expected

    def summary(self) -> dict[str, Any]:
        tenths = [
            [size for at, size in self.memory if tenth <= 10 * at / self.count <= tenth + 1] for tenth in range(10)
        ]
        mib = [round(max(each) / 2**20) for each in tenths if each]
        times = {
            kind: {"count": len(each), "median_ms": round(1e3 * statistics.median(each)),
                   "p95_ms": round(1e3 * float(np.quantile(each, 0.95)))}
            for kind, each in sorted(self.seconds.items())
        }  # fmt: skip
        return {"requests": self.count, "statuses": dict(self.statuses), "unexpected": self.unexpected,
                "peak_mib_by_tenths": mib, "times": times}  # fmt: skip


async def run(address: str, pid: int, requests: int, clients: int) -> Record:
    record = Record()
    browsers = [Client(address, number, record) for number in range(clients)]

    async def work(browser: Client) -> None:
        while record.count < requests:
            await browser.step()

    async def watch() -> None:
        while True:
            record.memory.append((record.count, resident(pid)))
            await asyncio.sleep(1)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(work(browser) for browser in browsers))
    watcher.cancel()
    record.memory.append((record.count, resident(pid)))
    for browser in browsers:
        await browser.http.aclose()
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--memory", type=float, default=0.05, help="GiB for open scenes; small, so that they are let go"
    )
    options = parser.parse_args()
    command = [sys.executable, "-m", "unipan", "serve", "--port", "0", "--memory", str(options.memory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        start = time.perf_counter()
        record = asyncio.run(run(address, process.pid, options.requests, options.clients))
        seconds = time.perf_counter() - start
    finally:
        process.terminate()
    code = process.wait()
    summary = {**record.summary(), "seconds": round(seconds), "exit": code}
    print(json.dumps(summary, indent=1))
    return int(record.unexpected > 0 or code != 0)


if __name__ == "__main__":
    sys.exit(main())
