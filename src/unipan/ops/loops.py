"""The two loops over pixels that numpy cannot run fast, compiled by numba (the extra `eval`) where it is installed.

They run without the interpreter's lock, so threads share the work of many images. Callers import this file only where
numba is there, and have a slower way where it is not. The first call of an installation compiles for a few seconds.
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


@_compiled
def _undo_sub(line, row, channels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Each byte is the difference to the pixel at its left."""
    if channels == 3:  # the usual case in registers: no byte waits for memory
        red, green, blue = np.uint8(0), np.uint8(0), np.uint8(0)
        for x in range(0, row.size, 3):
            red, green = np.uint8(red + line[x]), np.uint8(green + line[x + 1])
            blue = np.uint8(blue + line[x + 2])
            row[x], row[x + 1], row[x + 2] = red, green, blue
        return
    for x in range(row.size):
        row[x] = line[x] + (row[x - channels] if x >= channels else 0)


@_compiled
def _undo_paeth(line, above, row, channels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Each byte is the difference to that of left, above and corner which is nearest to left + above - corner."""
    for x in range(channels):
        row[x] = line[x] + above[x]
    for start in range(channels, row.size, channels):
        flat, steady = True, True  # inside segments the pixels above are equal, or those at the left
        for x in range(start, start + channels):
            flat &= above[x] == above[x - channels]
            steady &= row[x - channels] == above[x - channels]
        for x in range(start, start + channels):
            left, up, corner = np.int32(row[x - channels]), np.int32(above[x]), np.int32(above[x - channels])
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
def undo_filters(raw, pixels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Turn what a PNG's data inflate to into its pixels (PNG specification, 9: one filter per row).

    Args:
        raw: uint8, H * (1 + W * C) bytes.
        pixels: (H, W, C) uint8, to be written.

    Returns:
        False if a row has a filter that does not exist.
    """
    height, width, channels = pixels.shape
    stride = width * channels
    rows = pixels.reshape(height, stride)
    above = np.zeros(stride, np.uint8)
    for y in range(height):
        start = y * (stride + 1)
        kind, line, row = raw[start], raw[start + 1 : start + 1 + stride], rows[y]
        if kind == 0:
            row[:] = line
        elif kind == 1:
            _undo_sub(line, row, channels)
        elif kind == 2:
            for x in range(stride):
                row[x] = line[x] + above[x]
        elif kind == 3:
            for x in range(stride):
                left = np.int32(row[x - channels]) if x >= channels else np.int32(0)
                row[x] = line[x] + ((left + np.int32(above[x])) >> 1)
        elif kind == 4:
            _undo_paeth(line, above, row, channels)
        else:
            return False
        above = row
    return True


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
