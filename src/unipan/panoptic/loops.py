"""The loops over pixels that numpy cannot run fast, compiled by numba (the extra `eval`) where it is installed.

They run without the interpreter's lock, so threads share the work of many images. Callers import this file only where
numba is there, and have a slower way where it is not. The first call of an installation compiles for a few seconds.

Label maps are flat, so a PNG's filters leave zeros nearly everywhere: a zero says "as my neighbour", and eight pixels
of them are dealt with at once. Rows are those of RGB: a byte for the filter, then three bytes a pixel (PNG
specification, 9).
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    # The tests' type checker wraps every function; numba compiles the bare one.
    compiled: Callable[..., Any] = njit(nogil=True, cache=True)(inspect.unwrap(loop))
    return compiled


_GROUP = 8  # pixels: three words of eight bytes
_FREE = np.uint64(2**64 - 1)


@_compiled
def _copy(source, target):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """As `target[:] = source`, which numba compiles to something ten times slower."""
    for x in range(source.size):
        target[x] = source[x]


@_compiled
def _undo_sub(line, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Each byte is the difference to the pixel at its left; three registers, so no byte waits for memory."""
    red, green, blue = np.uint8(0), np.uint8(0), np.uint8(0)
    for x in range(0, row.size, 3):
        red, green = np.uint8(red + line[x]), np.uint8(green + line[x + 1])
        blue = np.uint8(blue + line[x + 2])
        row[x], row[x + 1], row[x + 2] = red, green, blue


@_compiled
def _undo_average(line, above, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Each byte is the difference to the mean of left and above."""
    for x in range(row.size):
        left = np.int32(row[x - 3]) if x >= 3 else np.int32(0)
        row[x] = line[x] + ((left + np.int32(above[x])) >> 1)


@_compiled
def _paeth_pixels(line, above, row, first, last):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for start in range(first, last, 3):
        flat, steady = True, True  # inside segments the pixels above are equal, or those at the left
        for x in range(start, start + 3):
            flat &= above[x] == above[x - 3]
            steady &= row[x - 3] == above[x - 3]
        for x in range(start, start + 3):
            left, up, corner = np.int32(row[x - 3]), np.int32(above[x]), np.int32(above[x - 3])
            if flat:
                found = left
            elif steady:
                found = up
            else:
                to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                found = up if to_up <= to_corner else corner
                if to_left <= to_up and to_left <= to_corner:
                    found = left
            row[x] = line[x] + found


@_compiled
def _undo_paeth(words, above, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Each byte is the difference to that of left, above and corner which is nearest to left + above - corner.

    Args:
        words: uint64, the line, filled up with zeros.
        above, row: uint8, the pixels above and those to be written.
    """
    line = words.view(np.uint8)
    for x in range(3):
        row[x] = line[x] + above[x]
    _paeth_pixels(line, above, row, 3, min(24, row.size))
    for start in range(24, row.size, 24):
        word, end = start >> 3, min(start + 24, row.size)
        if end == start + 24 and words[word] | words[word + 1] | words[word + 2] == 0:
            x = start - 3
            if row[x] == above[x] and row[x + 1] == above[x + 1] and row[x + 2] == above[x + 2]:
                _copy(above[start:end], row[start:end])  # left is the corner, so each is the one above, and so on
                continue
            change, up, corner = np.uint8(0), above[start:end], above[start - 3 : end - 3]
            for byte in range(24):
                change |= up[byte] ^ corner[byte]
            if change == 0:  # above is the corner, so each is the one at its left
                red, green, blue = row[x], row[x + 1], row[x + 2]
                for x in range(start, end, 3):
                    row[x], row[x + 1], row[x + 2] = red, green, blue
                continue
        _paeth_pixels(line, above, row, start, end)


@_compiled
def undo_filters(raw, pixels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Turn what a PNG's data inflate to into its pixels.

    Args:
        raw: uint8, H * (1 + 3 W) bytes; every filter is one of 0..4.
        pixels: (H, W, 3) uint8, to be written.
    """
    height, width, _ = pixels.shape
    stride = 3 * width
    rows = pixels.reshape(height, stride)
    above, words = np.zeros(stride, np.uint8), np.zeros(3 * (width // _GROUP + 1), np.uint64)
    for y in range(height):
        start = y * (stride + 1)
        kind, line, row = raw[start], raw[start + 1 : start + 1 + stride], rows[y]
        if kind == 0:
            _copy(line, row)
        elif kind == 1:
            _undo_sub(line, row)
        elif kind == 2:
            for x in range(stride):
                row[x] = line[x] + above[x]
        elif kind == 3:
            _undo_average(line, above, row)
        else:
            _copy(line, words.view(np.uint8))
            _undo_paeth(words, above, row)
        above = row


@_compiled
def filter_by_sub(raw, height, width):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Rewrite rows in place, as if the filter of each were Sub: differences to the left alone tell where runs begin.

    None and Up need no pixels for it, because differences add up; Average and Paeth do.

    Args:
        raw: uint8, H * (1 + 3 W) bytes; every filter is one of 0..4.
    """
    stride = 3 * width
    words = np.zeros(3 * (width // _GROUP + 1), np.uint64)
    line = words.view(np.uint8)[:stride]
    rows = np.zeros((2, stride), np.uint8)
    known = -1  # the row whose pixels are in rows[0]
    for y in range(height):
        start = y * (stride + 1)
        kind, new = raw[start], raw[start + 1 : start + 1 + stride]
        raw[start] = 1
        if kind == 1:
            continue
        old = raw[start - stride : start] if y else rows[1]  # of the first row zeros
        _copy(new, line)
        above, row = rows[0], rows[1]
        if kind >= 3:
            if known < y - 1:
                _undo_sub(old, above)
            if kind == 3:
                _undo_average(line, above, row)
            else:
                _undo_paeth(words, above, row)
            _copy(row, line)
            _copy(row, above)
            known = y
        _copy(line[:3], new)
        later, left, right = new[3:], line[: stride - 3], line[3:]  # slices, or numba would look for negative indices
        for x in range(stride - 3):
            later[x] = right[x] - left[x]
        if kind == 2:
            for x in range(stride):
                new[x] += old[x]


@_compiled
def _slots(ids):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """A hash table: position among `ids` of each id, and of void (0) one beyond the last; roomy, so few collide."""
    room = 64
    while room < 16 * (ids.size + 1):
        room *= 2
    table = np.full(room, _FREE, np.uint64)
    for position in range(ids.size + 1):
        key = np.uint32(ids[position]) if position < ids.size else np.uint32(0)
        at = _first_slot(table, key)
        while table[at] != _FREE:
            at = (at + 1) & (room - 1)
        table[at] = np.uint64(key) << np.uint64(32) | np.uint64(position)
    return table


@_compiled
def _first_slot(table, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return np.intp((key * np.uint32(2654435769)) >> np.uint32(8)) & (table.size - 1)  # 2^32 / golden ratio


@_compiled
def _position(table, red, green, blue, unknown):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    key = np.uint32(red) | np.uint32(green) << np.uint32(8) | np.uint32(blue) << np.uint32(16)
    at = _first_slot(table, key)
    entry = table[at]
    while np.uint32(entry >> np.uint64(32)) != key and entry != _FREE:
        at = (at + 1) & (table.size - 1)
        entry = table[at]
    return unknown if entry == _FREE else np.intp(entry & np.uint64(2**32 - 1))


@_compiled
def _changes(line, other, words, groups, starts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where in a row a run begins in either picture; nothing branches, because noise cannot be foretold."""
    either = words.view(np.uint8)
    for x in range(line.size):
        either[x] = line[x] | other[x]
    either[0] = 1  # a row begins with a run
    found = 0
    for group in range(groups.size - 1):
        groups[found] = group
        found += (words[3 * group] | words[3 * group + 1] | words[3 * group + 2]) != 0
    count = 0
    for group in groups[:found]:
        part = either[24 * group : 24 * group + 24]
        for pixel in range(_GROUP):
            starts[count] = _GROUP * group + pixel
            count += (part[3 * pixel] | part[3 * pixel + 1] | part[3 * pixel + 2]) != 0
    return count


@_compiled
def _tally(line, other, starts, slots, others, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the lengths of a row's runs to the pairs of ids that they belong to."""
    red, green, blue = np.uint8(0), np.uint8(0), np.uint8(0)
    red_too, green_too, blue_too = np.uint8(0), np.uint8(0), np.uint8(0)
    unknown, unknown_too = counts.shape[0] - 1, counts.shape[1] - 1
    for run in range(starts.size - 1):
        x = 3 * np.intp(starts[run])
        red, green = np.uint8(red + line[x]), np.uint8(green + line[x + 1])
        blue = np.uint8(blue + line[x + 2])
        red_too, green_too = np.uint8(red_too + other[x]), np.uint8(green_too + other[x + 1])
        blue_too = np.uint8(blue_too + other[x + 2])
        mine = _position(slots, red, green, blue, unknown)
        theirs = _position(others, red_too, green_too, blue_too, unknown_too)
        counts[mine, theirs] += starts[run + 1] - starts[run]


@_compiled
def count_filtered(one, other, width, ids, other_ids):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Count the pixels of every pair of ids that meets, from what two PNGs' data inflate to.

    Args:
        one, other: uint8, H * (1 + 3 W) bytes each; their filters become Sub.
        ids, other_ids: int64, the N and M ids whose positions are wanted.

    Returns:
        Positions among `ids` and among `other_ids` (void, 0: one beyond the last; an unknown id: two beyond), and
        pixels, int64; by positions, ascending.
    """
    stride = 3 * width
    height = one.size // (stride + 1)
    filter_by_sub(one, height, width)
    filter_by_sub(other, height, width)
    slots, others = _slots(ids), _slots(other_ids)
    counts = np.zeros((ids.size + 2, other_ids.size + 2), np.int64)
    full = (width + _GROUP - 1) // _GROUP
    words, groups = np.zeros(3 * full, np.uint64), np.empty(full + 1, np.int32)
    starts = np.empty(_GROUP * full + 1, np.int32)
    for y in range(height):
        row = slice(y * (stride + 1) + 1, (y + 1) * (stride + 1))
        count = _changes(one[row], other[row], words, groups, starts)
        starts[count] = width
        _tally(one[row], other[row], starts[: count + 1], slots, others, counts)
    rows, columns = np.nonzero(counts)
    pixels = np.empty(rows.size, np.int64)
    for pair in range(rows.size):
        pixels[pair] = counts[rows[pair], columns[pair]]
    return rows, columns, pixels


@_compiled
def cut_runs(one, other, runs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Cut two pictures, read row after row, where either of them changes, and after 2^16 pixels.

    Args:
        one, other: uint8, flat RGB of one size.
        runs: uint64, room for every pixel; `one`'s id goes to the highest 24 bits, `other`'s to the next, and the
            length less one to the lowest 16.

    Returns:
        how many runs there are.
    """
    pixels = one.size // 3
    count, start = 0, 0
    eight, sixteen = np.uint64(8), np.uint64(16)
    for position in range(pixels):
        x = 3 * position
        if position and position - start < 65536:
            change = (one[x] ^ one[x - 3]) | (one[x + 1] ^ one[x - 2]) | (one[x + 2] ^ one[x - 1])
            change |= (other[x] ^ other[x - 3]) | (other[x + 1] ^ other[x - 2]) | (other[x + 2] ^ other[x - 1])
            if change == 0:
                continue
        if count:
            runs[count - 1] |= np.uint64(position - start - 1)
        first = np.uint64(one[x]) | np.uint64(one[x + 1]) << eight | np.uint64(one[x + 2]) << sixteen
        second = np.uint64(other[x]) | np.uint64(other[x + 1]) << eight | np.uint64(other[x + 2]) << sixteen
        runs[count] = first << np.uint64(40) | second << sixteen
        count, start = count + 1, position
    if count:
        runs[count - 1] |= np.uint64(pixels - start - 1)
    return count
