"""What is looked at before seconds go into loading the network: images, dataset, limits, and the port."""

import errno
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from unipan.files import checkpoint_path
from unipan.outputs import Outputs
from unipan.prediction.images import ImageJob, plan_images
from unipan.server.annotations import claim_annotations
from unipan.server.uploads import Limits

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
        json_file: what is written when the server ends, see `unipan.server.run.serve`; `-` is standard output.
    """

    images: Path | None = None
    out: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8350
    limits: Limits = field(default_factory=Limits)
    memory: float = 1.0
    show: bool = False
    json_file: Path | None = None


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
    read = [] if options.images is None else [options.images]
    (outputs or Outputs("serve", read)).claim_optional(options.json_file, "--json")
    return ServePlan(options, jobs, outputs, open_port(options.host, options.port))


def images_inside(folder: Path) -> list[ImageJob]:
    """The images of a folder, without links that lead out of it.

    Raises:
        FileNotFoundError, ValueError: see `plan_images`; also a path that is no folder, or one with nothing left.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"--images {folder}: this is no folder; give that of the photographs, or drop one onto the page"
        )
    jobs, _ = plan_images([folder], None)
    real = folder.resolve()
    # `Path.resolve` raises for links in a circle before Python 3.13; they are left out by name when they are opened.
    inside = [job for job in jobs if Path(os.path.realpath(job.path)).is_relative_to(real)]
    if not inside:
        raise ValueError(f"--images {folder}: all its images are links that lead out of it")
    return inside


def open_port(host: str, port: int) -> socket.socket:
    """An open socket; its answers are not held back for the client's acknowledgement (Nagle), which takes 40 ms."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: no name can be so long, or have such parts
        reason = getattr(error, "strerror", None) or "no name is like this"
        raise OSError(f"--host {host}: this name has no address here ({reason})") from error
    # asyncio turns Nagle's algorithm off where a socket says that it is TCP; socket.create_server's do not.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(CONNECTIONS)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise OSError(f"--host {host}: this machine has no such address; give one of its own") from error
        raise OSError(
            f"--port {port}: cannot be opened on {host} ({error.strerror}); --port 0 takes a free one"
        ) from error
    return listener
