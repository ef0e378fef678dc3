"""A server in this process: an untrained network behind the real addresses and their guard."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason='this needs starlette: pip install "unipan[serve]"')

from PIL import Image
from starlette.testclient import TestClient

from unipan.prediction.images import ImageJob
from unipan.server.annotations import Annotations
from unipan.server.app import Studio
from unipan.server.guard import Guard
from unipan.server.scenes import SceneMaker
from unipan.server.shelf import SceneShelf
from unipan.server.uploads import Limits

OURS = {"x-unipan": "1"}


def studio(
    maker: SceneMaker,
    jobs: list[ImageJob] | None = None,
    annotations: Annotations | None = None,
    limits: Limits | None = None,
    memory: int = 1 << 30,
    checkpoint: str = "tiny",
) -> Studio:
    return Studio(
        maker,
        checkpoint,
        jobs=jobs or [],
        annotations=annotations,
        limits=limits or Limits(),
        shelf=SceneShelf(memory),
    )


def client(made: Studio, host: str = "127.0.0.1", token: str | None = None, **headers: str) -> TestClient:
    """A browser of its own; it names the server as `unipan serve` would be named."""
    return TestClient(
        Guard(made.app(), host, token),
        base_url="http://127.0.0.1:8350",
        headers=headers or OURS,
        raise_server_exceptions=False,
        follow_redirects=False,
    )


def png(height: int = 40, width: int = 56, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """As api.js reads a message."""
    import json

    assert sys.byteorder == "little"
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    arrays = {}
    for name, row in header["arrays"].items():
        start, (height, width) = 4 + length + row["offset"], row["shape"]
        assert start % 4 == 0
        values = np.frombuffer(message, row["type"], height * width, start)
        arrays[name] = values.reshape(height, width)
    return header, arrays


def folder_of(path: Path, names: list[str]) -> Path:
    """Photographs."""
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(png(seed=number))).save(path / name)
    return path


def accept(browser: TestClient, opened: dict[str, Any]) -> Any:
    """The answer to an opened picture with the boxes that were found."""
    return browser.post(f"/api/scenes/{opened['key']}/accept", json={"boxes": opened["found"]}).json()
