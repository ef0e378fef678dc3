"""Checkpoints on the Hugging Face Hub, `hf:owner/name` or `hf:owner/name@revision`: their files, in the Hub's cache.

Only files of these names are fetched, and nothing of a repository is run. What it says in them is checked by whoever
opens them, as for any other file.
"""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

HUB_PREFIX = "hf:"
HUB_CHECKPOINT = "model.safetensors"
HUB_GRAPHS = ("model.onnx.json", "model.dense.onnx", "model.head.onnx", "model.masks.onnx")
"""Beside the checkpoint, where its owner has made them (`exported.graphs.BESIDE`)."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)


def is_on_hub(source: str | Path) -> bool:
    """Whether a source names a repository of the Hub."""
    return str(source).startswith(HUB_PREFIX)


def require_own_place(source: str | Path, option: str) -> None:
    """Raises ValueError for an `option` that would write into the Hub's cache."""
    if is_on_hub(source):
        raise ValueError(f"{option}: {source} lies in the cache of the Hub, which is left as it is; give --out DIR")


def repository_of(name: str, option: str) -> str:
    """The name of a repository, if it can be one; `option` is what gave it.

    Raises:
        ValueError: it cannot.
    """
    if len(name) > 96 or _REPOSITORY.fullmatch(name) is None or ".." in name or "--" in name or name.endswith(".git"):
        raise ValueError(
            f"{option}: {name!r} is no name of a repository; give owner/name, in letters, digits and single - _ ."
        )
    return name


@cache
def downloaded(source: str) -> Path:
    """The checkpoint of a repository, in the cache, with its graphs beside it where the repository has some.

    The Hub is asked once in a process, so that all that a command reads of a repository is of one revision. Without a
    network the cache answers.

    Raises:
        FileNotFoundError: the repository has no checkpoint, or cannot be had.
        ValueError: the source is no name of a repository.
        ModuleNotFoundError: the package huggingface_hub is missing.
    """
    name, at, revision = source.removeprefix(HUB_PREFIX).partition("@")
    repository_of(name, f"checkpoint {source}")
    if at and _REVISION.fullmatch(revision) is None:
        raise ValueError(f"checkpoint {source}: {revision!r} is no revision; give a branch, a tag or a commit")
    with hub_call(f"checkpoint {source}"):
        from huggingface_hub import snapshot_download

        # A fixed list: a repository may hold anything else, and gigabytes of it.
        folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=[HUB_CHECKPOINT, *HUB_GRAPHS]))
    path = folder / HUB_CHECKPOINT
    if not path.is_file():
        raise FileNotFoundError(
            f"checkpoint {source}: this repository, or its copy in the cache, has no {HUB_CHECKPOINT}; `unipan push` "
            "makes one that has"
        )
    return path


@contextmanager
def hub_call(what: str) -> Generator[None, None, None]:
    """Turn what huggingface_hub raises into one sentence about `what`; its bars are for terminals alone.

    Raises:
        FileNotFoundError: there is no such repository or revision, or neither a network nor a copy in the cache.
        OSError: the Hub refuses, or does not answer.
        ModuleNotFoundError: the package is missing.
    """
    try:
        from huggingface_hub import errors
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        sentence = f'{what}: the Hugging Face Hub needs huggingface_hub: pip install "unipan[hub]"'
        raise ModuleNotFoundError(sentence) from error
    from huggingface_hub import utils as hub

    hidden = not sys.stderr.isatty() and not hub.are_progress_bars_disabled()  # type: ignore[attr-defined]
    if hidden:
        hub.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    except errors.HfHubHTTPError as error:
        kind, sentence = _refusal(error)
        raise kind(f"{what}: {sentence}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise FileNotFoundError(
            f"{what}: the Hub cannot be reached, and the cache has no complete copy; connect (without HF_HUB_OFFLINE), "
            "or give a .safetensors file"
        ) from error
    except Exception as error:
        # Of the HTTP library, which huggingface_hub has changed more than once, and whose classes it hands on.
        if not type(error).__module__.startswith("httpx"):
            raise
        raise OSError(f"{what}: the Hub cannot be reached ({type(error).__name__}); connect and try again") from error
    finally:
        if hidden:
            hub.enable_progress_bars()  # type: ignore[attr-defined]


def _refusal(error: Any) -> tuple[type[OSError], str]:
    """What an answer of the Hub that is an error becomes."""
    from huggingface_hub import errors

    told = f" ({' '.join(error.server_message.split())[:200]})" if error.server_message else ""
    if isinstance(error, errors.GatedRepoError):
        access = "its owner gives access on request; ask on the repository's page, then log in with `hf auth login`"
        return FileNotFoundError, access
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError, "the repository has no such branch, tag or commit; see its page"
    if isinstance(error, errors.RepositoryNotFoundError):
        missing = "the Hub has no such repository, or it is private; check the name, and log in with `hf auth login`"
        return FileNotFoundError, f"{missing} or set HF_TOKEN"
    status = error.response.status_code
    if status == 401:
        return OSError, f"the Hub does not accept the token{told}; log in again with `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return OSError, f"the token does not allow this{told}; take one that may, for `unipan push` one that may write"
    return OSError, f"the Hub answered {status}{told}; try again later"
