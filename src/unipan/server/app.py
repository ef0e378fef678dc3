"""The addresses of the page and of what it asks for. What takes time happens one at a time, in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unipan import __version__
from unipan.datasets.scenes.generator import SCENE_CATEGORIES, draw_scene, scene_file
from unipan.datasets.scenes.seeds import TEST_SEEDS
from unipan.panoptic.categories import Category
from unipan.panoptic.png import png_of_rgb
from unipan.prediction.images import ImageJob
from unipan.prediction.plan import drawings_note
from unipan.processes import short_of_memory
from unipan.server.annotations import Annotations, archive, next_commands
from unipan.server.messages import GZIP_FROM, affinity_message, box_color, maps_message, squeezed
from unipan.server.photographs import ChangedError, file_version
from unipan.server.scenes import (
    BoxList,
    EditableScene,
    OpenScene,
    PageBox,
    SceneMaker,
    found_boxes,
    possible_fusions,
    with_boxes,
)
from unipan.server.shelf import SceneShelf
from unipan.server.uploads import Limits, TooLargeError, read_limited, safe_name, segment_bytes, segment_file
from unipan.visualization.palette import Color

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LONGEST_REQUEST = 200_000
"""Bytes of JSON: several times what MOST_BOXES take."""
ARRIVALS = 4
"""Pictures that may be on their way at once; each takes its bytes of memory."""
TINTS = 64
"""Colours of a class before they are used again."""
SAMPLES = (12, 3, 41, 77, 8, 150)
"""Positions of sample scenes among the test seeds."""
Answer = TypeVar("Answer")


class LetGoError(Exception):
    """A scene that a session no longer has open, or never had."""


class MapsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What maps the page wants: of which boxes, by which fusions, and whether with the margin of the first."""

    boxes: BoxList
    fusions: list[str] = []
    margin: bool = False


class Studio:
    """Everything that the page can ask for."""

    def __init__(
        self,
        maker: SceneMaker,
        checkpoint: str,
        *,
        jobs: list[ImageJob],
        annotations: Annotations | None,
        limits: Limits,
        shelf: SceneShelf,
    ) -> None:
        """A studio of one network.

        Args:
            maker: the network.
            checkpoint: its name as it was given; the page shows the last part.
            jobs: the images of the chosen folder, none without one. No other file is ever read.
            annotations: where accepted images go; None keeps none.
            limits: of one picture.
            shelf: of open scenes.
        """
        self.maker, self.checkpoint, self.jobs, self.annotations = maker, checkpoint, jobs, annotations
        self.limits, self.shelf = limits, shelf
        self.fusions = possible_fusions(maker.config)
        self.samples = [TEST_SEEDS[each] for each in SAMPLES] if self._knows_scenes() else []
        # One thread, and always the same: each thread that computes would get cores' worth of helpers of its own.
        self._worker = ThreadPoolExecutor(1, "network")
        self._arrivals = asyncio.Semaphore(ARRIVALS)

    def _knows_scenes(self) -> bool:
        return {each.name for each in self.maker.categories} == {each.name for each in SCENE_CATEGORIES}

    async def _work(self, work: Callable[[], Answer]) -> Answer:
        """The result of what takes time, one after the other, in the order of the requests."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _scene(self, request: Request) -> OpenScene:
        found = self.shelf.get(request.scope["unipan.session"], request.path_params["key"])
        if found is None:
            raise LetGoError
        return found

    def _accepted(self) -> set[str]:
        """The names of the folder's images that are accepted."""
        kept = self.annotations
        return {job.name for job in self.jobs if kept is not None and kept.own_name(job.name, job.path) is not None}

    async def overview(self, _: Request) -> Response:
        """The network, the classes, the folder and the limits."""
        accepted = await self._work(self._accepted)
        default = self.maker.config.inference.fusion
        content = {
            "version": __version__,
            "network": Path(self.checkpoint).stem,
            "drawings": drawings_note(self.checkpoint, self.jobs) is not None,
            "classes": [
                {"name": each.name, "thing": each.isthing, "color": each.color, "tints": tints(each)}
                for each in self.maker.categories
            ],
            "fusions": self.fusions,
            "fusion": default if default in self.fusions else self.fusions[0],
            "affinity": self.maker.config.affinity.enabled,
            "samples": len(self.samples),
            "images": [{"name": job.name, "accepted": job.name in accepted} for job in self.jobs],
            "accepts": self.annotations is not None,
            "next": self.next_commands(),
            "megabytes": self.limits.megabytes,
            "megapixels": self.limits.megapixels,
        }
        return JSONResponse(content)

    def next_commands(self) -> list[str]:
        """What to do with what was accepted; nothing without a dataset."""
        if self.annotations is None:
            return []
        return next_commands(self.annotations.folder, self.checkpoint, self.maker.config)

    async def upload(self, request: Request) -> Response:
        """Open a picture that is sent as the request's body; x-name is its name, percent-encoded."""
        most = int(self.limits.megabytes * 1e6)
        length = request.headers.get("content-length", "")
        data = None
        if not (length.isdigit() and int(length) > most):  # the header may lie, or be missing
            async with self._arrivals:
                data = await read_limited(request.stream(), most)
        self.limits.check_bytes(most + 1 if data is None else len(data))
        name = safe_name(unquote(request.headers.get("x-name", "")))
        make = partial(segment_bytes, self.maker, data or b"", name, self.limits)
        return await self._open(request, make, name, None)

    async def open_image(self, request: Request) -> Response:
        """Open an image of the chosen folder, by its position."""
        index = request.path_params["index"]
        if index >= len(self.jobs):
            raise FileNotFoundError(f"the folder has {len(self.jobs)} images; reload the page")
        job = self.jobs[index]
        make = partial(segment_file, self.maker, job.path, job.name, self.limits)
        return await self._open(request, make, job.name, job.path)

    async def open_sample(self, request: Request) -> Response:
        """Open a drawn scene."""
        if not self.samples:
            raise FileNotFoundError("this network knows other classes than those of the drawn scenes")
        seed = self.samples[request.path_params["index"] % len(self.samples)]
        return await self._open(request, lambda: self.maker.scene(draw_scene(seed).image), scene_file(seed), None)

    async def _open(
        self, request: Request, make: Callable[[], EditableScene], name: str, source: Path | None
    ) -> Response:
        def work() -> tuple[OpenScene, list[PageBox] | None]:
            # Looked at before the network reads it: whatever comes later is a change.
            version = None if source is None else file_version(source, int(self.limits.megabytes * 1e6)) or "unknown"
            opened = OpenScene(make(), name, source, version)
            return opened, None if source is None or self.annotations is None else self.annotations.boxes(name, source)

        opened, kept = await self._work(work)
        scene, key = opened.scene, self.shelf.put(request.scope["unipan.session"], opened)
        found = found_boxes(scene)
        content = {
            "key": key,
            "name": name,
            "version": opened.version,
            "width": scene.image.shape[1],
            "height": scene.image.shape[0],
            "drawings": drawings_note(self.checkpoint, [ImageJob(Path(name), name, 1)]) is not None,
            "found": msgspec.to_builtins(found),
            "kept": None if kept is None else msgspec.to_builtins(kept),
        }
        return JSONResponse(content, background=BackgroundTask(self._prepare, scene))

    async def _prepare(self, scene: EditableScene) -> None:
        await self._work(scene.prepare)
        self.shelf.shrink()

    async def image(self, request: Request) -> Response:
        """The pixels of a scene as the network got them: upright, 8 bits, RGB."""
        scene = self._scene(request).scene
        return Response(await run_in_threadpool(png_of_rgb, scene.image), media_type="image/png")

    async def maps(self, request: Request) -> Response:
        """The maps of edited boxes, see `messages`."""
        opened, wanted = self._scene(request), await self._request(request)
        fusions = wanted.fusions or [self.fusions[0]]
        squeeze = "gzip" in request.headers.get("accept-encoding", "")

        def work() -> Response:
            message = maps_message(opened.scene, wanted.boxes, fusions, wanted.margin, self.maker.categories)
            return _message(message, squeeze and len(message) >= GZIP_FROM)

        return await self._work(work)

    async def affinity(self, request: Request) -> Response:
        """The affinities of pixel (x, y)."""
        opened = self._scene(request)
        x, y = (_whole(request.query_params.get(name, "")) for name in "xy")
        message = await self._work(lambda: affinity_message(opened.scene.affinity(x, y), x, y))
        return _message(message, squeeze=False)  # gzip takes off a sixteenth, and longer than all the rest

    async def accept(self, request: Request) -> Response:
        """Write a corrected image to the dataset; answered when it is on the disk."""
        opened, wanted = self._scene(request), await self._request(request)
        annotations = self.annotations
        if annotations is None:
            raise ValueError("nothing is kept; start `unipan serve` with --out DIR")

        def write() -> str:
            result = with_boxes(opened.scene, wanted.boxes).result(*wanted.fusions[:1])
            return annotations.accept(opened.name, opened.source, result, wanted.boxes, opened.version)

        name = await self._work(write)
        return JSONResponse({"name": name, "accepted": len(annotations.accepted)})

    async def download(self, request: Request) -> Response:
        """A corrected image as a dataset of its own, in a ZIP archive."""
        opened, wanted = self._scene(request), await self._request(request)

        def make() -> bytes:
            result = with_boxes(opened.scene, wanted.boxes).result(*wanted.fusions[:1])
            return archive(opened.name, result, self.maker.categories)

        return Response(await self._work(make), media_type="application/zip")

    async def close(self, request: Request) -> Response:
        """Let a scene go."""
        self.shelf.drop(request.scope["unipan.session"], request.path_params["key"])
        return Response(status_code=204)

    async def _request(self, request: Request) -> MapsRequest:
        body = await read_limited(request.stream(), LONGEST_REQUEST)
        if body is None:
            raise TooLargeError(f"a request has at most {LONGEST_REQUEST} bytes")
        try:
            wanted = msgspec.json.decode(body, type=MapsRequest)
        except msgspec.MsgspecError as error:
            raise ValueError(f"the request is not what the page sends: {error}") from error
        unknown = next((each for each in wanted.fusions if each not in self.fusions), None)
        if unknown is not None:
            raise ValueError(f"fusion {unknown[:40]!r}: this network can do {', '.join(self.fusions)}")
        return wanted

    def app(self) -> Starlette:
        """The application, without its guard."""
        get, post = ["GET"], ["POST"]
        scene = "/api/scenes/{key}"
        routes = [
            Route("/api/overview", self.overview, methods=get),
            Route("/api/scenes", self.upload, methods=post),
            Route("/api/images/{index:int}", self.open_image, methods=post),
            Route("/api/samples/{index:int}", self.open_sample, methods=post),
            Route(f"{scene}/image", self.image, methods=get),
            Route(f"{scene}/affinity", self.affinity, methods=get),
            Route(f"{scene}/maps", self.maps, methods=post),
            Route(f"{scene}/accept", self.accept, methods=post),
            Route(f"{scene}/download", self.download, methods=post),
            Route(scene, self.close, methods=["DELETE"]),
            *page_routes(),
        ]
        return Starlette(routes=routes, exception_handlers={Exception: _unexpected, **_SENTENCES})


def tints(category: Category) -> list[Color]:
    """The colours of a class's boxes; for stuff there is one."""
    return [box_color(category, tint) for tint in range(TINTS if category.isthing else 1)]


def page_routes() -> list[Route]:
    """The page and its parts, read once: no address becomes a path."""
    routes = []
    for path in sorted(PAGE.iterdir()):
        if path.suffix in TYPES:
            address = "/" if path.name == "index.html" else f"/page/{path.name}"
            answer = partial(_page_part, path.read_bytes(), TYPES[path.suffix])
            routes.append(Route(address, answer, methods=["GET"]))
    return routes


async def _page_part(content: bytes, kind: str, _: Request) -> Response:
    return Response(content, media_type=kind)


def _message(message: bytes, squeeze: bool) -> Response:
    body, headers = (squeezed(message), {"content-encoding": "gzip"}) if squeeze else (message, {})
    return Response(body, media_type="application/octet-stream", headers=headers)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ValueError(f"a pixel has two whole numbers, x and y; this is {text[:20]!r}")
    return int(text)


def _told(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


async def _too_large(_: Request, error: Exception) -> Response:
    return _told(413, str(error))


async def _let_go(_: Request, __: Exception) -> Response:
    return _told(410, "this image was let go, to make room for others; open it again")


async def _bad(_: Request, error: Exception) -> Response:
    return _told(400, " ".join(str(error).split()))


async def _changed(_: Request, error: Exception) -> Response:
    return _told(409, str(error))


async def _not_there(_: Request, error: Exception) -> Response:
    return _told(404, str(error))


async def _no_disk(_: Request, error: Exception) -> Response:
    return _told(507, str(error))


async def _too_slow(_: Request, error: Exception) -> Response:
    return _told(408, str(error))


async def _gone(_: Request, __: Exception) -> Response:
    return _told(400, "the request broke off")  # nobody is there to read it


async def _unexpected(_: Request, error: Exception) -> Response:
    if isinstance(error, MemoryError | RuntimeError) and short_of_memory(error):
        return _told(507, "there is too little memory for this picture; make it smaller")
    return _told(500, "this is an error of unipan; the terminal has more about it")


_SENTENCES: dict[Any, Any] = {
    TooLargeError: _too_large,
    LetGoError: _let_go,
    ChangedError: _changed,
    FileNotFoundError: _not_there,
    ValueError: _bad,
    ClientDisconnect: _gone,
    TimeoutError: _too_slow,
    OSError: _no_disk,
}
