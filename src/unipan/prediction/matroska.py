"""What a Matroska file (WebM) tells of its frames: whether its parts follow one another, and how many are shown.

It has no count of frames, and its duration is none: frames may last as long as they like. But each frame has a block,
and each block a size, so a part that was overwritten is where no block can begin (RFC 9559; EBML is RFC 8794).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

EBML_ID, _SEGMENT_ID = 0x1A45DFA3, 0x18538067
_CLUSTER, _TRACKS, _ENTRY, _GROUP = 0x1F43B675, 0x1654AE6B, 0xAE, 0xA0
_SIMPLE_BLOCK, _BLOCK = 0xA3, 0xA1
_NUMBER, _TYPE, _CODEC = 0xD7, 0x83, 0x86
_VIDEO = 1
_OPENED = {_SEGMENT_ID, _CLUSTER, _TRACKS, _ENTRY, _GROUP}
_MATROSKA_IDS = {
    *_OPENED, EBML_ID, _SIMPLE_BLOCK, _BLOCK,
    *(0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367),  # of the segment
    *(0xE7, 0x5854, 0xA7, 0xAB, 0xAF),  # of a cluster
    *(0x9B, 0xFA, 0xFB, 0xA4, 0x75A1, 0x75A2, 0x8E),  # of a group of blocks
    *(0xEC, 0xBF),  # padding and checksums, which may be anywhere
}  # fmt: skip
_ONE_FRAME_EACH = ("V_VP8", "V_VP9", "V_AV1", "V_MJPEG")
"""Codecs of which a block holds one frame that is shown; of others it may be half of one, or hidden."""
_VP8_SHOWN = 0x10
_ELEMENT_HEAD = 16
"""Bytes in which an element's id and size fit, and what a block says before its frame."""


@dataclass(frozen=True)
class MatroskaFrames:
    """What was found.

    Attributes:
        shown: frames of the first video track; None where the codec leaves that open.
        damaged: whether there is a place at which no part of the file can begin.
    """

    shown: int | None
    damaged: bool


def vint(data: bytes, at: int, keep_marker: bool = False) -> tuple[int, int, bool]:
    """A number of EBML (RFC 8794, section 4): where it ends, its value, and whether it is known."""
    width = 9 - data[at].bit_length()
    if width > 8:
        raise ValueError("no number begins with a byte of zeros")
    whole = int.from_bytes(data[at : at + width])
    digits = whole & ((1 << 7 * width) - 1)
    return at + width, whole if keep_marker else digits, digits != (1 << 7 * width) - 1


def frames_of_matroska(file: BinaryIO) -> MatroskaFrames:
    """Go through the parts of a file without reading the frames."""
    size = file.seek(0, 2)
    tracks: list[dict[int, bytes]] = []
    blocks: dict[int, int] = {}
    hidden: dict[int, int] = {}
    try:
        for kind, begin, end in _elements(file, size):
            if kind == _ENTRY:
                tracks.append({})
            elif kind in (_NUMBER, _TYPE, _CODEC) and tracks:
                file.seek(begin)
                tracks[-1][kind] = file.read(min(end - begin, _ELEMENT_HEAD))
            elif kind in (_SIMPLE_BLOCK, _BLOCK):
                file.seek(begin)
                head = file.read(_ELEMENT_HEAD)
                at, number, _ = vint(head, 0)
                blocks[number] = blocks.get(number, 0) + 1
                hidden[number] = hidden.get(number, 0) + (not head[at + 3] & _VP8_SHOWN)  # after time and flags
    except (ValueError, IndexError):
        return MatroskaFrames(None, damaged=True)
    for track in tracks:
        if int.from_bytes(track.get(_TYPE, b"")) == _VIDEO:
            codec, number = track.get(_CODEC, b"").decode("ascii", "replace"), int.from_bytes(track.get(_NUMBER, b""))
            if codec.startswith(_ONE_FRAME_EACH):
                return MatroskaFrames(blocks.get(number, 0) - (codec == "V_VP8") * hidden.get(number, 0), damaged=False)
            break
    return MatroskaFrames(None, damaged=False)


def _elements(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """The elements one after the other, those inside others too: id, and where the content begins and ends.

    Raises:
        ValueError, IndexError: no element can begin where one has to.
    """
    at, stop, inside_tracks = 0, size, 0
    while at < stop:
        kind, begin, end, known = _element(file, at)
        own = kind in _MATROSKA_IDS or at < inside_tracks  # what a track says of itself is its own
        if not own and (end > stop or (end < stop and _element(file, end)[0] not in _MATROSKA_IDS)):
            raise ValueError("neither this nor what follows is an element")
        if end > size or (not known and kind not in _OPENED):
            return  # cut short, which its sizes tell, or nobody knows where it ends
        if kind == _SEGMENT_ID and known:
            stop = end
        if kind == _TRACKS:
            inside_tracks = end
        yield kind, begin, end
        at = begin if kind in _OPENED else end


def _element(file: BinaryIO, at: int) -> tuple[int, int, int, bool]:
    """Id, where the content begins and ends, and whether its size is known."""
    file.seek(at)
    head = file.read(_ELEMENT_HEAD)
    after, kind, _ = vint(head, 0, keep_marker=True)
    begin, length, known = vint(head, after)
    return kind, at + begin, at + begin + length * known, known
