"""`unipan serve`: what is looked at before the network is loaded, and the server itself."""

import os
import secrets
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from unipan.files import checkpoint_path
from unipan.folder_lock import folder_lock
from unipan.outputs import Outputs
from unipan.prediction.images import ImageJob, plan_images
from unipan.server.annotations import WRITTEN, Annotations, claim_annotations
from unipan.server.app import Studio
from unipan.server.guard import Guard, is_loopback
from unipan.server.scenes import SceneMaker
from unipan.server.shelf import SceneShelf
from unipan.server.uploads import Limits
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.terminal import tell

CONNECTIONS = 128
"""At once; others are told to come again."""


@dataclass(frozen=True)
class ServeOptions:
    """What `unipan serve` is told, besides the checkpoint.

    Attributes:
        images: a folder of photographs to go through; no other file is read.
        out: the dataset that accepted images become.
        host: the address to listen on; beyond 127.0.0.1 a token is asked for.
        port: 0 takes a free one.
        limits: of one picture.
        memory: GiB that open scenes may hold.
        show: open the page in a browser.
    """

    images: Path | None = None
    out: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8350
    limits: Limits = field(default_factory=Limits)
    memory: float = 1.0
    show: bool = False


@dataclass(frozen=True)
class ServePlan:
    """What was checked.

    Attributes:
        options: as given.
        jobs: the images of the folder.
        outputs: which has claimed the dataset; None without one.
        listener: the open socket.
    """

    options: ServeOptions
    jobs: list[ImageJob]
    outputs: Outputs | None
    listener: socket.socket

    @property
    def address(self) -> str:
        """Of the page."""
        host = self.options.host
        name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.listener.getsockname()[1]}/"


def plan_server(checkpoint: str, options: ServeOptions) -> ServePlan:
    """Find the images, claim the dataset and open the port, before seconds go into loading.

    Raises:
        FileNotFoundError, ValueError: what stands in the way.
        OSError: the port is taken.
    """
    checkpoint_path(checkpoint)
    for name, value in (("megabytes", options.limits.megabytes), ("megapixels", options.limits.megapixels)):
        if not 0 < value < 1e6:
            raise ValueError(f"--{name} {value:g}: give a number above 0")
    if not 0 < options.memory < 1e6:
        raise ValueError(f"--memory {options.memory:g}: give GiB, a number above 0")
    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port {options.port}: ports run from 0 (any free one) to 65535")
    jobs = [] if options.images is None else images_inside(options.images)
    outputs = None if options.out is None else claim_annotations(options.out, options.images)
    return ServePlan(options, jobs, outputs, open_port(options.host, options.port))


def images_inside(folder: Path) -> list[ImageJob]:
    """The images of a folder, without links that lead out of it.

    Raises:
        FileNotFoundError, ValueError: see `plan_images`; also a path that is no folder, or one with nothing left.
    """
    if folder.is_file():
        raise ValueError(f"--images {folder}: this is a file; give its folder, or drop it onto the page")
    jobs, _ = plan_images([folder], None)
    real = folder.resolve()
    inside = [job for job in jobs if job.path.resolve().is_relative_to(real)]
    if not inside:
        raise ValueError(f"--images {folder}: all its images are links that lead out of it")
    return inside


def serve(plan: ServePlan, checkpoint: str, maker: SceneMaker) -> None:
    """Serve until SIGINT or SIGTERM comes.

    Raises:
        ValueError, OSError: the dataset cannot be gone on with.
    """
    import uvicorn

    options = plan.options
    with ExitStack() as stack:
        annotations = None
        if options.out is not None and plan.outputs is not None:
            if note := stack.enter_context(folder_lock(options.out, "--out")):
                tell(note)
            plan.outputs.start_folder(options.out, WRITTEN)
            annotations = Annotations(options.out, maker.categories)
        token = None if is_loopback(options.host) else secrets.token_urlsafe(18)
        shelf = SceneShelf(int(options.memory * 2**30))
        studio = Studio(maker, checkpoint, jobs=plan.jobs, annotations=annotations, limits=options.limits, shelf=shelf)
        settings = uvicorn.Config(
            Guard(studio.app(), options.host, token), log_level="warning", access_log=False, server_header=False,
            proxy_headers=False, lifespan="off", ws="none", limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        address = plan.address + (f"?token={token}" if token else "")
        tell(f"{address}  (Ctrl-C stops)")
        if options.show:
            import webbrowser

            webbrowser.open(address)
        try:
            with StopSignals():
                uvicorn.Server(settings).run(sockets=[plan.listener])
        except (KeyboardInterrupt, StoppedBySignal):
            pass  # this is how a server ends
        if annotations is not None:
            tell(f"{annotations.folder}: {len(annotations.accepted)} images accepted")


def open_port(host: str, port: int) -> socket.socket:
    """An open socket; its answers are not held back for the client's acknowledgement (Nagle), which takes 40 ms."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise OSError(f"--host {host}: this name has no address here ({error.strerror})") from error
    # asyncio turns Nagle's algorithm off where a socket says that it is TCP; socket.create_server's do not.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        raise OSError(
            f"--port {port}: cannot be opened on {host} ({error.strerror}); --port 0 takes a free one"
        ) from error
    return listener
