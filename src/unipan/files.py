"""Files are written whole or not at all, and paths are checked before any work begins."""

import errno
import json
import os
import secrets
import shutil
import socket
import stat
import zlib
from collections.abc import Container, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from unipan.hub_download import downloaded, is_on_hub

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""The folder of those that the package carries."""
_OURS = ".unipan-"
"""Temporary files begin with it; then come the process, its machine, and a random number."""
NAN_HINT = "`unipan data check --fix` removes such numbers from a dataset"


def write_atomically(path: Path, data: bytes, durable: bool = False) -> None:
    """Write a temporary file in the same folder and rename it, so that no reader meets half a file.

    Args:
        path: its folder is made if it is missing.
        data: the whole content.
        durable: see `replaced`.

    Raises:
        OSError: it cannot be written, in one sentence.
    """
    with replaced(path, durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replaced(path: Path, durable: bool = False) -> Generator[Path, None, None]:
    """The path of a temporary file, to be written inside, which then becomes `path`.

    However the process ends, `path` is the old file or the new one. If the machine itself may stop (power), `durable`
    says the same of the disk: the content is there before the name, at the price of waiting for it.

    Raises:
        OSError: it cannot be written, in one sentence.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
            if durable:
                sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path}: cannot be written ({reason}); make room, or give another place") from error


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody else takes, whatever the thread, process or machine."""
    return path.with_name(f"{_OURS}{os.getpid()}-{_process_space()}-{secrets.token_hex(4)}.tmp")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes were killed; those of other machines stay."""
    for path in folder.glob(f"{_OURS}*-{_process_space()}-*.tmp"):
        if not is_alive(int(path.name.removeprefix(_OURS).partition("-")[0])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be told (Windows)."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _process_space() -> str:
    """Where a process number means one process: this machine, or a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  it is no path
    except OSError:
        space = ""
    return f"{zlib.crc32(f'{socket.gethostname()} {space}'.encode()):08x}"


def write_json(path: Path, content: dict[str, Any], indent: int | None = None, durable: bool = False) -> Path:
    """Write a JSON file, whole or not at all, and return its path; `durable` as in `replaced`.

    Raises:
        ValueError: it would hold NaN or Infinity.
        OSError: it cannot be written.
    """
    try:
        text = json.dumps(content, indent=indent, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: it would hold NaN or Infinity, which JSON does not have; {NAN_HINT}") from error
    write_atomically(path, f"{text}\n".encode(), durable)
    return path


def make_folder(path: Path, option: str = "") -> None:
    """Make a folder and those above it, unless they are there. Raises OSError in one sentence, which begins with what
    gave the path."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{option}{path}: this folder cannot be made ({error.strerror}); give another place") from error


@contextmanager
def folder_atomically(path: Path, option: str) -> Generator[Path, None, None]:
    """A temporary folder next to `path`, which is renamed to `path` if all goes well and removed otherwise.

    An empty folder that is there already stays, since it may be a mounted disk or somebody's current folder: it gets
    what a temporary folder in it holds, the files after the folders. Errors raised inside that name the temporary
    folder name `path` instead.

    Raises:
        ValueError: something is there already; `option` is what gave the path.
        OSError: it cannot be made, in one sentence.
    """
    full, there = path.absolute(), path.is_dir()
    temporary = temporary_name(full / full.name if there else full)
    require_new_folder(path, option)
    remove_leftovers(temporary.parent)
    try:
        make_folder(temporary, f"{option} ")
        yield temporary
        if there:
            for each in sorted(temporary.iterdir(), key=Path.is_file):
                each.replace(full / each.name)
        else:
            temporary.replace(full)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename2 and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise OSError(f"{option} {path}: another command has written it meanwhile; give a new folder") from error
        if str(temporary) not in str(error):
            raise
        kind = ValueError if isinstance(error, ValueError) else OSError
        raise kind(str(error).replace(str(temporary), str(path))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_file(path: Path, option: str) -> None:
    """Look, before hours of work, whether a file can be written; nothing is made yet.

    Raises:
        ValueError: what stands in the way; `option` is what gave the path.
    """
    if path.exists() and not path.is_file():  # to replace /dev/null would break the system
        kind = "folder" if path.is_dir() else "pipe or a device"
        raise ValueError(f"{option} {path}: a {kind} of this name is there; give the name of a file")
    require_folder(path.parent, option)


def require_other_file(path: Path, option: str, inputs: Iterable[Path]) -> None:
    """`require_file` for a file that may not replace any of the files that are read.

    Raises:
        ValueError: what stands in the way, or `path` is one of `inputs` (which need not exist).
    """
    require_file(path, option)
    if path.exists() and any(given.exists() and path.samefile(given) for given in inputs):
        raise ValueError(f"{option} {path}: this file is an input and would be overwritten; give another name")


def require_weights(path: Path, expected: str) -> None:
    """Look whether a file of weights is there.

    Raises:
        FileNotFoundError: it is not; `expected` is what may be given.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights {path}: {no_file_words(path)}; give {expected}")


def require_folder(path: Path, option: str) -> None:
    """The same for files in a folder, which may still be missing."""
    try:
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
    except OSError as error:  # of a name that is too long
        raise ValueError(f"{option} {path}: no folder can have this name ({error.strerror}); give another") from error
    nowhere = next((each for each in (path, *path.absolute().parents) if each.is_symlink() and not each.exists()), None)
    if nowhere is not None:
        raise ValueError(f"{option} {path}: {nowhere} is a link to nothing; give another folder")
    if not place.is_dir():
        raise ValueError(f"{option} {path}: {place} is a file; give another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: nothing may be written to {place}; give another folder")


def require_new_folder(path: Path, option: str) -> None:
    """The same for a folder that is written as a whole; an empty one may be there, or one with what a killed process
    left of a temporary folder, which goes."""
    require_folder(path, option)
    if path.is_dir():
        remove_leftovers(path)
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"{option} {path}: this folder is not empty; give a new one")


def no_file_words(path: Path) -> str:
    """What is there instead of a file that can be read, to be said after its path."""
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116  see `require_regular`
    except (FileNotFoundError, ValueError):  # ValueError: a NUL, or half a character
        link = os.path.islink(path)  # noqa: PTH114
        return f"a link to {os.readlink(path)}, where nothing is" if link else "there is no such file"  # noqa: PTH115
    except OSError as error:
        no_name = error.errno == errno.ENAMETOOLONG
        return "there is no such file" if no_name else f"it cannot be reached ({error.strerror})"
    return f"this is a {'folder' if stat.S_ISDIR(kind) else 'pipe or a device'}"


def local_path(given: str | Path) -> Path:
    """A path as it was given. Raises ValueError for an address, of which `Path` would make https:/a."""
    if "://" in str(given):
        raise ValueError(f"{given}: this is an address; give a path on this machine")
    return Path(given)


def require_regular(path: Path) -> None:
    """Look whether a file is there that can be read more than once and has an end.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a folder, a pipe or a device.
    """
    # Path's own methods raise for a name that no file can have: too long, with a NUL, or half a character.
    if os.path.isfile(path):  # noqa: PTH113
        return
    if not os.path.exists(path):  # noqa: PTH110
        raise FileNotFoundError(f"{path}: {no_file_words(path).removeprefix('there is ')}")
    raise ValueError(f"{path}: {no_file_words(path)}, a file is needed")


def files_below(folder: Path, suffixes: Container[str], closed: list[Path] | None = None) -> list[Path]:
    """The files of a folder and of those in it with one of these endings (lower case), in order.

    A link to nothing, or to a place that cannot be reached, is among them: it stands for a file, and whoever reads it
    says what is wrong. Links to folders are not followed, because they may lead anywhere, and round in circles. What
    programs keep for themselves is left out: folders as `is_programs_folder` tells them, and what macOS stores beside
    a file on other disks (`._photo.jpg`, which is no picture).

    Args:
        folder: to look through.
        suffixes: with the dot.
        closed: gets the folders in it that cannot be read.

    Raises:
        OSError: a folder that cannot be read, if nobody takes them.
    """

    def note(error: OSError) -> None:
        if closed is None:
            raise OSError(f"{error.filename}: this folder cannot be read ({error.strerror})") from error
        closed.append(Path(error.filename))

    found = []
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not is_programs_folder(name)]
        found += [Path(place, name) for name in names if PurePath(name).suffix.lower() in suffixes]
    return sorted(path for path in found if not (path.name.startswith("._") and _is_apple_double(path)))


def is_programs_folder(name: str) -> bool:
    """Whether a folder is a program's own and no place for a user's files, by its name: hidden ones
    (`.ipynb_checkpoints` keeps old copies of pictures), Synology's thumbnails, and what macOS adds to archives."""
    return name.startswith(".") or name in ("@eaDir", "__MACOSX")


def _is_apple_double(path: Path) -> bool:
    """Whether a file holds what macOS keeps of another one (AppleSingle and AppleDouble, version 2)."""
    try:
        return read_bytes(path).startswith(b"\x00\x05\x16\x07")
    except (OSError, ValueError):
        return False


def read_bytes(path: Path | str) -> bytes:
    """The bytes of a file, or one sentence that names it; with four calls into the system where Path has seven.

    Pipes and devices are no files: some have no end, and a pipe without a writer would never open.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                require_regular(Path(path))
            size = found.st_size
            data = os.read(descriptor, size + 1)
            if len(data) != size:  # a file that grows, or more than one call reads
                with open(descriptor, "rb", closefd=False) as rest:
                    data += rest.read()
        finally:
            os.close(descriptor)
        return data
    except (OSError, ValueError):  # ValueError: no file can have such a name
        require_regular(Path(path))
        raise


def read_text(path: Path | str) -> str:
    """The text of a file in UTF-8, with or without its mark at the beginning; raises as `read_bytes`.

    Raises:
        ValueError: it is no such text.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error


def read_lines(path: Path | str) -> list[str]:
    """The lines of a text that are not empty, without space around them. Raises as `read_text`."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def bundled_checkpoints() -> list[str]:
    """Names of the checkpoints that the package carries."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors"))


def checkpoint_path(source: str | Path) -> Path:
    """The file of a bundled name, of a repository of the Hugging Face Hub (`hf:owner/name`), or of a path.

    Raises:
        FileNotFoundError: it is none of them.
        ValueError, OSError, ModuleNotFoundError: see `hub_download.downloaded`.
    """
    if is_on_hub(source):
        return downloaded(str(source))
    bundled = bundled_checkpoints()
    if str(source) in bundled:
        return CHECKPOINTS / f"{source}.safetensors"
    path = Path(source)
    if (path / "model.json").is_file():
        raise FileNotFoundError(
            f"checkpoint {source}: this is an export, which predict and affinity run; this verb needs the "
            ".safetensors file that it was made from"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"checkpoint {source}: {no_file_words(path)}, and the bundled ones are {', '.join(bundled) or 'none'}; "
            "give a .safetensors file that `unipan train` wrote"
        )
    return path


def is_export(source: str | Path) -> bool:
    """Whether a source is the folder of an export; a folder of a bundled name is `./NAME`, so that it hides none."""
    return str(source) not in bundled_checkpoints() and os.path.isdir(source)  # noqa: PTH112  it may be no name at all


def network_path(source: str | Path) -> Path:
    """The file that says which network it is: a checkpoint, or the description in the folder of an export.

    Raises:
        FileNotFoundError: see `checkpoint_path`.
    """
    described = Path(source) / "model.json"
    return described if is_export(source) and described.is_file() else checkpoint_path(source)
