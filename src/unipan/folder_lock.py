"""One process at a time works in a folder. The lock is the system's, so that it ends with the process, however it ends.

POSIX record locks are not inherited by forked workers, and NFS passes them on to the server. Where a file system has
none, what the lock file says decides.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unipan.files import is_alive, make_folder

LOCK = ".unipan.lock"
"""In the folder while a process works there: who it is."""
_HELD: dict[tuple[int, int], dict[str, Any]] = {}
"""The folders that threads of this process work in, and who says so: to the system all its threads are one owner."""
_HELD_LOCK = threading.Lock()


@contextmanager
def folder_lock(folder: Path, option: str) -> Iterator[str | None]:
    """Keep other processes of unipan out of a folder.

    Args:
        folder: made if missing, and removed in the end if it is still empty.
        option: what gave it, for messages.

    Yields:
        a sentence about a lock that a killed process has left, or None.

    Raises:
        ValueError: another process, or another thread of this one, works there; it is named.
        OSError: the lock file cannot be written.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    path = folder / LOCK
    me = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.strftime("%F %T")}
    with _held_in_process(folder, option, me), _opened_lock(path, option) as (descriptor, locked):
        owner = _owner_in(os.pread(descriptor, 4096, 0)) if hasattr(os, "pread") else {}
        if locked is False or (locked is None and _may_live(owner)):
            raise ValueError(f"{option} {folder}: {_owner_words(owner)} works there{_remedy(path, locked)}")
        _sign(descriptor, me, path)
        try:
            yield f"note: {_owner_words(owner)} was killed here, and left its lock behind" if owner else None
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                for place in missing:  # work that ended before it wrote anything leaves no folder
                    place.rmdir()


@contextmanager
def _held_in_process(folder: Path, option: str, me: dict[str, Any]) -> Iterator[None]:
    """Refuse a folder that another thread works in, before its lock file is opened: closing it would unlock it."""
    found = folder.stat()
    key = (found.st_dev, found.st_ino)
    with _HELD_LOCK:
        owner = _HELD.get(key, {})
        if owner.get("pid") == me["pid"]:  # a forked process has a copy of what its parent holds
            raise ValueError(f"{option} {folder}: {_owner_words(owner)} works there{_remedy(folder / LOCK, False)}")
        _HELD[key] = me
    try:
        yield
    finally:
        with _HELD_LOCK:
            del _HELD[key]


@contextmanager
def _opened_lock(path: Path, option: str) -> Iterator[tuple[int, bool | None]]:
    """`_open_lock`, closed in the end, which unlocks it."""
    descriptor, locked = _open_lock(path, option)
    try:
        yield descriptor, locked
    finally:
        os.close(descriptor)


def _open_lock(path: Path, option: str) -> tuple[int, bool | None]:
    """The open lock file, and what `_lock` says."""
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe has no owner written in it
        raise OSError(f"{option} {path.parent}: {path} is a pipe or a device; remove it, or give another folder")
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OSError(
                f"{option} {path.parent}: nothing may be written there ({error.strerror}); give another folder"
            ) from error
        locked = _lock(descriptor)
        try:
            if not locked or os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor, locked
        except FileNotFoundError:
            pass
        os.close(descriptor)  # its owner removed it between our two calls


def _lock(descriptor: int) -> bool | None:
    """Whether the lock is ours; None where the system or the file system has no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _sign(descriptor: int, owner: dict[str, Any], path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(owner).encode())
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror}); make room, or give another place") from error


def _owner_in(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _may_live(owner: dict[str, Any]) -> bool:
    if not owner:
        return False
    return owner.get("host") != socket.gethostname() or is_alive(int(owner.get("pid", 0)))


def _owner_words(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process"
    return f"process {owner.get('pid')} on {owner.get('host')}, since {owner.get('started')},"


def _remedy(path: Path, locked: bool | None) -> str:
    text = "; wait for it, stop it, or give another folder"
    # Without locks of the system nobody can tell a killed process on another machine from one that runs.
    return text if locked is False else f"{text}; if it was killed, remove {path}"
