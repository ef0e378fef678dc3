"""How many frames a video should have by its own header, where that can be relied on.

OpenCV gives a number for every file. For AVI and MP4 it is counted, and a file with fewer frames is damaged; for others
it is a duration times a rate, both of which may be guesses. An MP4 may also hide frames by an edit list, as telephones
do when a clip is trimmed, and one in fragments has no count. Of these and of Matroska (WebM) the sizes of their parts
tell whether a file is cut short. Matroska's blocks are counted, see `matroska`.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import error as StructError
from struct import unpack_from
from typing import BinaryIO

from unipan.prediction.matroska import frames_of_matroska, vint

_MOST_MOOV = 1 << 28
"""Bytes of an MP4's table of contents; no real one comes near."""
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_MPEG = (b"\0\0\1\xba", b"\0\0\1\xb3")  # a programme stream, a bare video stream
_TS_PACKET = 188  # bytes of a packet of MPEG's transport stream
_TOLERANCE = 2  # frames, by which headers are wrong where nothing is


def why_lost(path: Path, counted: int, found: int) -> str | None:
    """Why some of a video cannot be read; None where it is whole, or where that cannot be known.

    Args:
        path: the file.
        counted: what OpenCV takes from its header (CAP_PROP_FRAME_COUNT).
        found: how many it could read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            matroska = frames_of_matroska(file) if head.startswith(_EBML) else None
            if matroska is not None:
                total = matroska.shown or 0
            elif counted - found > _TOLERANCE and (_is_avi(head) or (_is_mp4(head) and _mp4_counts(file, counted))):
                total = counted
            else:
                total = 0
    except (OSError, StructError, ValueError, OverflowError):  # what is damaged here is damaged anywhere
        return None
    if total - found > _TOLERANCE:
        return f"only {found} of its {total} frames can be read; the file may be cut short or damaged, copy it again"
    if ends_early(path):
        return "the file is cut short, copy it again"
    if matroska is not None and matroska.damaged:
        return f"a part of the file is damaged, and only {found} frames can be read; copy it again"
    return None


def begins_as_video(path: Path) -> bool:
    """Whether a file begins as one of the containers that are read, whatever it is called.

    FFmpeg takes some forty more for a video, among them lists of other files (ffconcat) and of addresses (HLS, SDP).
    """
    with path.open("rb") as file:
        head = file.read(_TS_PACKET + 1)
    transport = head[:1] == head[_TS_PACKET:] == b"G"  # the sync byte of two packets
    return _is_avi(head) or _is_mp4(head) or head.startswith((_EBML, *_MPEG)) or transport


def ends_early(path: Path) -> bool:
    """Whether an MP4 or a Matroska file (WebM) is shorter than the sizes of its parts say."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            head = file.read(64)
            if _is_mp4(head):
                return any(end > size for _, _, end in _outer_boxes(file, size))
            if head.startswith(_EBML):
                begin, length, _ = vint(head, len(_EBML))
                at = begin + length
                if head[at : at + 4] == _SEGMENT:
                    begin, length, known = vint(head, at + 4)
                    return known and begin + length > size
    except (OSError, StructError, IndexError, ValueError, OverflowError):
        return False
    return False


def _is_avi(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def _is_mp4(head: bytes) -> bool:
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _mp4_counts(file: BinaryIO, counted: int) -> bool:
    """Whether all frames that an MP4 counts are to be shown: it has no fragments, and no edit list leaves some out."""
    size = file.seek(0, 2)
    moov = b""
    for kind, begin, end in _outer_boxes(file, size):
        if kind == b"moov" and end - begin < _MOST_MOOV:
            file.seek(begin)
            moov = file.read(end - begin)
    tracks = [track for kind, *track in _boxes(moov, 0, len(moov)) if kind == b"trak"]
    header = _box_inside(moov, (0, len(moov)), b"mvhd")
    if header is None or _box_inside(moov, (0, len(moov)), b"mvex") is not None:
        return False
    for begin, end in tracks:
        media = _box_inside(moov, (begin, end), b"mdia")
        handler = media and _box_inside(moov, media, b"hdlr")
        if media and handler and moov[handler[0] + 8 : handler[0] + 12] == b"vide":
            length = _box_inside(moov, media, b"mdhd")
            shown = _seconds_shown(moov, (begin, end), _clock(moov, header[0])[0])
            if length is None:
                return False
            rate, duration = _clock(moov, length[0])
            return shown is None or shown >= duration / rate * (1 - _TOLERANCE / counted)
    return False


def _seconds_shown(moov: bytes, track: tuple[int, int], rate: int) -> float | None:
    """How much of a track its edit list shows; None where there is no list."""
    edits = _box_inside(moov, track, b"edts")
    table = edits and _box_inside(moov, edits, b"elst")
    if not table:
        return None
    version, count = moov[table[0]], unpack_from(">I", moov, table[0] + 4)[0]
    layout, step = (">Qq", 20) if version else (">Ii", 12)
    rows = [unpack_from(layout, moov, table[0] + 8 + step * row) for row in range(min(count, len(moov)))]
    shown = sum(duration for duration, start in rows if start != -1)  # -1: nothing is shown, for a late start
    return shown / rate if shown else None


def _clock(moov: bytes, at: int) -> tuple[int, int]:
    """Ticks a second, and the duration in ticks, of a header (mvhd, mdhd)."""
    rate, duration = unpack_from(">IQ", moov, at + 20) if moov[at] else unpack_from(">II", moov, at + 12)
    if not rate:
        raise ValueError("a clock without ticks")
    return rate, duration


def _box_inside(data: bytes, place: tuple[int, int], wanted: bytes) -> tuple[int, int] | None:
    return next(((begin, end) for kind, begin, end in _boxes(data, *place) if kind == wanted), None)


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in a part of an MP4: kind, and where their content begins and ends (ISO/IEC 14496-12, 4.2)."""
    while at + 8 <= stop:
        length, kind = unpack_from(">I4s", data, at)
        if length < 8:
            return
        yield kind, at + 8, min(at + length, stop)
        at += length


def _outer_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a whole file; the end of a box may be behind that of the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = unpack_from(">I4s", head)
        begin = at + 8
        if length == 1:
            begin, length = at + 16, unpack_from(">Q", head, 8)[0]
        if length < begin - at:  # 0: to the end of the file
            return
        yield kind, begin, at + length
        at += length
