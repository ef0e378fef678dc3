"""The server itself: from a plan and a network to a page, until a signal comes."""

import secrets
from contextlib import ExitStack
from typing import Any

import uvicorn

from unipan.folder_lock import folder_lock
from unipan.prediction.plan import drawings_note
from unipan.server.annotations import WRITTEN, Annotations
from unipan.server.app import Studio
from unipan.server.guard import Guard, is_loopback
from unipan.server.plan import CONNECTIONS, ServePlan
from unipan.server.scenes import SceneMaker
from unipan.server.shelf import SceneShelf
from unipan.stopping import StoppedBySignal, StopSignals
from unipan.terminal import tell


def serve(plan: ServePlan, checkpoint: str, maker: SceneMaker) -> dict[str, Any]:
    """Serve until SIGINT or SIGTERM comes.

    Returns:
        what `--json` writes: the address (without its token), how many images the folder has, the dataset and the names
        of its images, and the commands that are next.

    Raises:
        ValueError, OSError: the dataset cannot be gone on with.
    """
    options = plan.options
    with ExitStack() as stack:
        annotations = None
        if options.out is not None and plan.outputs is not None:
            if note := stack.enter_context(folder_lock(options.out, "--out")):
                tell(note)
            plan.outputs.start_folder(options.out, WRITTEN)
            annotations = Annotations(options.out, maker.categories, {job.name: job.path for job in plan.jobs})
        token = None if is_loopback(options.host) else secrets.token_urlsafe(18)
        shelf = SceneShelf(int(options.memory * 2**30))
        studio = Studio(maker, checkpoint, jobs=plan.jobs, annotations=annotations, limits=options.limits, shelf=shelf)
        settings = uvicorn.Config(
            Guard(studio.app(), options.host, token), log_level="warning", access_log=False, server_header=False,
            proxy_headers=False, lifespan="off", ws="none", limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=3,
        )  # fmt: skip
        plain = plan.address  # of a socket that is closed at the end
        address = plain + (f"?token={token}" if token else "")
        if note := drawings_note(checkpoint, plan.jobs):
            tell(note, error=True)
        tell(f"{address}  (Ctrl-C stops)")
        if options.show:
            import webbrowser

            webbrowser.open(address)
        try:
            with StopSignals():
                uvicorn.Server(settings).run(sockets=[plan.listener])
        except (KeyboardInterrupt, StoppedBySignal):
            pass  # this is how a server ends
        names = [] if annotations is None else annotations.accepted
        following = studio.next_commands() if names else []
        if annotations is not None:
            tell(f"{annotations.folder}: {len(names)} image{'s' * (len(names) != 1)} accepted")
            tell(*(f"  {each}" for each in following))
        dataset = None if options.out is None else str(options.out)
        found = {"address": plain, "images": len(plan.jobs), "dataset": dataset}
        return found | {"accepted": names, "next": following}
