"""What a command may write: one place decides about every path, before any work begins.

An output never replaces what the command reads. It replaces another file only if unipan wrote that file, or if the user
says `--overwrite`; and it does not go into a folder of inputs, where the next run would read it. A single file says in
its first bytes who wrote it; a folder has a manifest, `.unipan.json`, that lists its files, so that the pictures in it
are never taken for photographs.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from unipan import __version__
from unipan.files import make_folder, require_folder, require_new_folder, require_other_file, write_json

MANIFEST = ".unipan.json"
"""Lists what unipan wrote into its folder: name -> verb. A name that ends in / stands for all files below. Of complete
files it has digests, which tell whether somebody has changed one since."""
RESULT_PARTS = ("panoptic", "overlays")
"""Next to a panoptic.json these folders hold maps and overlays, of unipan 0.2 and others, and no photographs."""
_HEAD = 4096


def signature(verb: str) -> str:
    """Who wrote a file, as files of unipan say it."""
    return f"unipan {verb} {__version__}"


def signed_by(path: Path) -> str | None:
    """The verb of unipan that wrote a file, in any version, if its first bytes say so."""
    if not path.is_file():  # a pipe would wait for its writer
        return None
    try:
        with path.open("rb") as file:
            found = re.search(rb"unipan ([a-z]+(?: [a-z]+)?) \d+\.\d+\.\d+", file.read(_HEAD))
    except OSError:
        return None
    return None if found is None else found[1].decode()


class Outputs:
    """The paths that a command is about to write, each claimed before the work.

    >>> from pathlib import Path
    >>> outputs = Outputs("pq", reads=[Path("gt.json"), Path("gt")])
    >>> outputs.claim(Path("scores.json"), "--json")
    """

    def __init__(self, verb: str, reads: Iterable[Path | None] = (), overwrite: bool | None = None) -> None:
        """Start without outputs.

        Args:
            verb: the command, as `unipan VERB` names it.
            reads: the files and folders that it reads; they need not exist, and None is left out.
            overwrite: whether files that unipan did not write may be replaced; None where there is no such option.
        """
        self.verb, self.overwrite = verb, overwrite
        given = [path for path in reads if path is not None]
        self._files = {_real(path): path for path in given if not path.is_dir()}
        self._folders = {_real(path): path for path in given if path.is_dir()}
        self._inodes = {_identity(path) for path in self._files if path.exists()}
        self._claims: dict[Path, str] = {}

    def claim(self, path: Path, option: str, header: bytes | None = None) -> None:
        """Say that a file will be written.

        Args:
            path: of the file.
            option: what gave the path, for messages.
            header: how a file of unipan begins if its format cannot say who wrote it.

        Raises:
            ValueError: the file may not be written, and why.
        """
        require_other_file(path, option, self._files.values())
        ours = path.is_file() and (signed_by(path) == self.verb if header is None else _begins(path, header))
        self._claim(path, option, ours)

    def claim_optional(self, path: Path | None, option: str, header: bytes | None = None) -> None:
        """`claim` for an option that may not be given; `-` is standard output."""
        if path is not None and path != Path("-"):
            self.claim(path, option, header)

    def claim_all(self, paths: Iterable[Path], option: str) -> None:
        """`claim` for each."""
        for path in paths:
            self.claim(path, option)

    def claim_folder(self, folder: Path, option: str, names: Iterable[str]) -> None:
        """Say that these files will be written into a folder, which may have others.

        Args:
            folder: made later, if it is missing.
            option: what gave it.
            names: of the files below it, with `/`; one that ends in `/` is a folder that is written as a whole.

        Raises:
            ValueError: one of them may not be written, and why. What another verb wrote is not ours, and neither is
                what somebody has changed: both may have taken weeks.
        """
        require_folder(folder, option)
        names = list(names)
        known, digests = written_names(folder), _entries_of(folder, "digests")
        for place in dict.fromkeys((folder / name).parent for name in names):
            require_folder(place, option)
        for path in folder.glob(".unipan.*"):  # manifest, lock, journals: all are opened
            _require_file_or_nothing(path, option)
        for name in names:
            path, author = folder / name, verb_of(name, known)
            if name.endswith("/"):
                require_folder(path, option)
                ours = author == self.verb or not path.is_dir() or not any(path.iterdir())
            else:
                _require_file_or_nothing(path, option)
                ours = author == self.verb and (bool(self.overwrite) or _is_as_written(path, digests.get(name)))
            self._claim(path, option, ours, author)

    def claim_new_folder(self, folder: Path, option: str) -> None:
        """Say that a folder will be made; one that is there must be empty.

        Raises:
            ValueError: it is not, or it lies where the command reads.
        """
        require_new_folder(folder, option)
        self._claim(folder, option, ours=True)

    def start_folder(self, folder: Path, names: Iterable[str]) -> Path:
        """Make a folder whose files were claimed, and list them in its manifest: they are known even if the run is
        interrupted. Returns the folder."""
        make_folder(folder)
        names = list(names)
        files = {**written_names(folder), **dict.fromkeys(names, self.verb)}
        digests = _entries_of(folder, "digests")
        for name in names:  # from here on they change
            digests.pop(name, None)
        self._write_manifest(folder, files, digests)
        return folder

    def finish_folder(self, folder: Path, names: Iterable[str]) -> None:
        """Note what the files of `start_folder` hold now that they are complete; those that are not there are not."""
        digests = _entries_of(folder, "digests")
        for name in names:
            if (digest := _digest_of(folder / name)) is not None:
                digests[name] = digest
        self._write_manifest(folder, written_names(folder), digests)

    def withdraw_folder(self, folder: Path, names: Iterable[str]) -> None:
        """Undo `start_folder` after work that has written nothing: empty folders go, and names of files not there."""
        for place in sorted({(folder / name).parent for name in names} - {folder}, reverse=True):
            with suppress(OSError):
                place.rmdir()
        kept = {name: verb for name, verb in written_names(folder).items() if (folder / name).exists()}
        if kept:
            self._write_manifest(folder, kept, _entries_of(folder, "digests"))
        else:
            (folder / MANIFEST).unlink(missing_ok=True)

    def _write_manifest(self, folder: Path, files: Mapping[str, str], digests: Mapping[str, str]) -> None:
        content = {"generator": signature(self.verb), "files": files}
        kept = {name: digest for name, digest in digests.items() if name in files}
        write_json(folder / MANIFEST, {**content, "digests": kept} if kept else content)

    def _claim(self, path: Path, option: str, ours: bool, author: str | None = None) -> None:
        real = _real(path)
        for place in (real, *real.parents):
            if place in self._claims:
                raise ValueError(f"{option} {path}: {self._claims[place]} is written there too; give another name")
        inside = next((self._folders[place] for place in (real, *real.parents) if place in self._folders), None)
        there = path.is_file()
        if real in self._files or (there and (_identity(path) in self._inodes or (inside is not None and not ours))):
            raise ValueError(f"{option} {path}: this file is an input and would be overwritten; give another name")
        if not self.overwrite:
            remedy = "" if self.overwrite is None else ", or --overwrite"
            if inside is not None:
                raise ValueError(f"{option} {path}: it lies in {inside}, which is read; give a place outside{remedy}")
            if path.exists() and not ours:
                who = f"nothing says that `unipan {self.verb}` wrote it"
                if author is not None:
                    who = f"`unipan {author}` wrote it" + ", but it was changed since" * (author == self.verb)
                raise ValueError(f"{option} {path}: it is there already, and {who}; give another place{remedy}")
        self._claims[real] = option


class ResultFolders:
    """Tells the pictures that unipan wrote from photographs; what it has read of the folders is kept."""

    def __init__(self) -> None:
        self._manifests: dict[Path, dict[str, str]] = {}
        self._results: dict[Path, bool] = {}

    def author(self, path: Path) -> str | None:
        """The verb that wrote a picture, by the manifest of a folder above it or by the layout of a result; or None."""
        full = _real(path)
        for folder in full.parents:
            names = self._names(folder)
            if names:
                found = verb_of("/".join(full.relative_to(folder).parts), names)
                if found is not None:
                    return found
            if folder.name in RESULT_PARTS and self._is_result(folder.parent):
                return "predict"
        return signed_by(path)

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._manifests:
            self._manifests[folder] = written_names(folder)
        return self._manifests[folder]

    def _is_result(self, folder: Path) -> bool:
        if folder not in self._results:
            self._results[folder] = (folder / "panoptic.json").is_file()
        return self._results[folder]


def written_names(folder: Path) -> dict[str, str]:
    """The files that unipan wrote into a folder, with the verb of each; none where there is no manifest to read."""
    return _entries_of(folder, "files")


def _entries_of(folder: Path, part: str) -> dict[str, str]:
    """What the manifest of a folder says of each name: its verb in `files`, what it holds in `digests`."""
    if not (folder / MANIFEST).is_file():
        return {}
    try:
        found = json.loads((folder / MANIFEST).read_text())[part]
        return {str(name): str(value) for name, value in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _require_file_or_nothing(path: Path, option: str) -> None:
    """Raises ValueError for what is not replaced even with `--overwrite`: a folder, and a pipe, which has a reader."""
    if path.exists() and not path.is_file():
        kind = "folder" if path.is_dir() else "pipe or a device"
        raise ValueError(f"{option} {path}: cannot be written, a {kind} has this name; remove it")


def _is_as_written(path: Path, digest: str | None) -> bool:
    """Whether a file is what the manifest says; a run that was stopped, or an older version, has said nothing."""
    return digest is None or not path.exists() or _digest_of(path) == digest


def _digest_of(path: Path) -> str | None:
    """What a file holds, in few letters; None if there is none that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError:
        return None


def verb_of(name: str, known: Mapping[str, str]) -> str | None:
    """The verb that wrote a file, by the names of a manifest: its own, or that of a folder it lies in."""
    parts = name.split("/")
    above = ("/".join(parts[:count]) + "/" for count in range(1, len(parts)))
    return next((known[each] for each in (name, *above) if each in known), None)


def _begins(path: Path, header: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(header)) == header


def _real(path: Path) -> Path:
    """Its place without links; Path.resolve raises for a link that leads to itself, in some versions of Python."""
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int]:
    """What two names of one file share, whether links or letters of another case."""
    found = path.stat()
    return found.st_dev, found.st_ino
