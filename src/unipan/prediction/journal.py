"""What `unipan predict` has finished so far, written beside the results until they are complete.

After a signal, a kill, or a full disk, the same command reads it and goes on with the images that are missing.
Processes of a cluster each write a shard of it, since no two may append to one file of a network's file system.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipan.files import read_bytes, write_atomically
from unipan.panoptic.categories import Categories, Category
from unipan.panoptic.maps import PanopticMap, Segment
from unipan.panoptic.png import decode_png
from unipan.prediction.images import ImageJob

JOURNAL = ".unipan.unfinished.jsonl"
"""In the output folder: the run in the first line, then one line when an image is begun and one when it is done."""
SHARDS = ".unipan.unfinished-*.jsonl"
"""The same of other processes, until the journal gathers them."""
BEGUN = 2
"""An image that has ended so many runs in a row is left out: most likely memory runs out, and the system kills."""


@dataclass(frozen=True)
class FinishedImage:
    """What is known of an image that an earlier run has finished.

    Attributes:
        panoptic: its map, as it was given to the writer.
        page: its row of the page, and its rows of the table; None for a submission.
    """

    panoptic: PanopticMap
    page: dict[str, Any] | None


class Journal:
    """The list of finished images in an output folder."""

    def __init__(self, folder: Path, run: dict[str, Any], categories: Categories, shard: str | None = None) -> None:
        """Read what an earlier run has left, or begin anew if it did something else.

        Args:
            folder: of the output.
            run: what decides the results besides the images, for JSON; another run's images are made again.
            categories: those of the maps.
            shard: the name of this process, if it is one of several that write into the folder; the journal without a
                name is the one that gathers theirs.

        Raises:
            OSError: the journal cannot be written.
        """
        self.folder = folder
        self._path = folder / (JOURNAL if shard is None else SHARDS.replace("*", shard))
        self._categories, self._gathers = categories, shard is None
        self._done: dict[str, dict[str, Any]] = {}
        self._begun: Counter[str] = Counter()
        self._files: dict[str, int] = {}
        self._versions: dict[str, list[int] | None] = {}
        self._lock = threading.Lock()
        self.run = json.loads(json.dumps(run))
        self.replaced = False
        self._read()

    def _read(self) -> None:
        """Read the file, and those of other processes; what belongs to another run goes."""
        shards = sorted(self.folder.glob(SHARDS)) if self._gathers else []
        files = [list(_whole_lines(path)) for path in (self._path, *shards)]
        self.replaced = any(len(lines) > 1 and lines[0] != {"run": self.run} for lines in files)
        kept = [line for lines in files if lines and lines[0] == {"run": self.run} for line in lines[1:]]
        self._begun.clear()
        for line in kept:
            self._note(line)
        # A line that was cut by a kill or a full disk goes, so that the next one begins where a line begins.
        write_atomically(self._path, "".join(map(_line, ({"run": self.run}, *kept))).encode())
        for shard in shards:
            shard.unlink(missing_ok=True)

    def _note(self, line: dict[str, Any]) -> None:
        if "begin" in line:
            self._begun[line["begin"]] += 1
        elif "done" in line:
            self._begun[line["done"]] = 0
            self._done[line["done"]] = line

    def gather(self) -> None:
        """Take over what the other processes have written, which have ended; none of their images has ended the run.

        Raises:
            OSError: the folder has gone, or is full.
        """
        self.require_place()
        self._read()
        for name, count in list(self._begun.items()):
            if count:
                self._append({"done": name})
                self._begun[name] = 0

    def adopt(self, line: dict[str, Any]) -> None:
        """Know of an image that another process has finished, from its `line_of`; it stands in that one's shard."""
        self._note(line)

    def line_of(self, job: ImageJob) -> dict[str, Any] | None:
        """What is written here of an image that is finished, has not changed since, and whose files are all there."""
        line = self._done.get(job.name)
        if line is None or "map" not in line or line["id"] != job.image_id or line["source"] != job.version:
            return None
        if any(size != _size(self.folder / name) for name, size in line["files"].items()):
            return None
        return line

    def find(self, job: ImageJob) -> FinishedImage | None:
        """An image of `line_of`, with its map."""
        line = self.line_of(job)
        if line is None:
            return None
        by_id = {category.id: category for category in self._categories}
        segments = tuple(_segment(row, by_id[row["category_id"]]) for row in line["segments"])
        self._files |= line["files"]
        return FinishedImage(PanopticMap(decode_png(self.folder / line["map"]), segments), line["page"])

    def ended_runs(self, job: ImageJob) -> int:
        """How many earlier runs in a row were killed while this image was begun, perhaps beside others."""
        return self._begun[job.name]

    def begin(self, job: ImageJob) -> None:
        """Note that an image is begun, before its file is read; a video was opened earlier. Threads may do this."""
        self._versions[job.name] = job.version if job.frame is None else job.frame.video.version
        self._append({"begin": job.name})

    def was_replaced(self, job: ImageJob) -> bool:
        """Whether the file of a begun image is another one now, so that nobody knows which of them was segmented."""
        return job.version not in (None, self._versions[job.name])

    def leave_out(self, job: ImageJob) -> None:
        """Note that a begun image has not ended the run."""
        self._append({"done": job.name})

    def finish(
        self, job: ImageJob, panoptic: PanopticMap, map_name: str, files: Sequence[str], page: dict[str, Any] | None
    ) -> None:
        """Note that an image is done.

        Args:
            job: of the image.
            panoptic: its map.
            map_name: of its PNG, below the folder.
            files: all that were written for it, below the folder.
            page: what the page and the table need.

        Raises:
            OSError: one of them, or the folder, has gone.
        """
        sizes = {name: _size(self.folder / name) for name in dict.fromkeys([map_name, *files])}
        self._require(sizes)
        rows = [segment.to_coco(score=True) for segment in panoptic]
        done = {"done": job.name, "id": job.image_id, "source": self._versions[job.name], "map": map_name}
        line = {**done, "files": sizes, "segments": rows, "page": page}
        self._append(line)
        if not self._gathers:  # a worker is asked for it
            self._note(line)
        self._files |= {name: size for name, size in sizes.items() if size is not None}

    def require_all(self) -> None:
        """Raises OSError unless every file of this result is there, whole."""
        self._require({name: _size(self.folder / name) for name in self._files}, self._files)

    def close(self) -> None:
        """The result is complete: nothing is left to continue."""
        self._path.unlink(missing_ok=True)
        for shard in self.folder.glob(SHARDS):
            shard.unlink(missing_ok=True)

    def _require(self, found: dict[str, int | None], expected: dict[str, int] | None = None) -> None:
        gone = [name for name, size in found.items() if size is None or (expected and size != expected[name])]
        if gone:
            more = f" and {len(gone) - 1} more files" if len(gone) > 1 else ""
            raise OSError(f"{self.folder / gone[0]}{more}: it was written and has gone, or was changed by others")

    def require_place(self) -> None:
        """Raises OSError if the folder has gone, which the next file would make anew."""
        if not self._path.is_file():
            raise OSError(f"{self.folder}: this folder was moved or removed while results were written to it")

    def _append(self, content: dict[str, Any]) -> None:
        self.require_place()
        try:
            with self._lock, self._path.open("ab", buffering=0) as file:
                file.write(_line(content).encode())
        except OSError as error:
            raise OSError(f"{self._path}: cannot be written ({error.strerror}); make room") from error


def run_identity(checkpoint: Path | str, graphs: Iterable[Path] = (), **settings: object) -> dict[str, Any]:
    """What decides the results besides the images: the bytes of the checkpoint, those of its graphs if these are what
    runs, and the settings."""
    found = {"checkpoint": str(checkpoint), "sha256": _sha256_of(Path(checkpoint)), **settings}
    made = {path.name: _sha256_of(path) for path in graphs}
    return {**found, "graphs": made} if made else found


def _sha256_of(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parents_of(folder: Path, names: Iterable[str]) -> set[Path]:
    """The folders of files that are named relative to `folder`."""
    return {(folder / name).parent for name in names}


def _segment(row: dict[str, Any], category: Category) -> Segment:
    return Segment(row["id"], category, row["score"], row["area"], tuple(row["bbox"]), bool(row["iscrowd"]))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = read_bytes(path).splitlines(keepends=True)
    except OSError:
        return
    for line in lines:
        try:
            content = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            return
        yield content


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
