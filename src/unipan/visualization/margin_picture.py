"""The margin of the argmax as a picture: dark where the network is unsure, with a bar that tells the numbers."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

STOPS_OF_MARGIN = np.array(
    [[59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]], np.float32
)
"""Dark violet over red to pale yellow, of evenly rising lightness: unsure to sure."""
INK_OF_SCALE, PAPER = (40, 38, 35), (255, 255, 255)


def margin_limit(margin: Float[np.ndarray, "H W"]) -> float:
    """The margin from which the picture has its lightest colour: above nine tenths of the pixels."""
    finite = margin[np.isfinite(margin)]
    return float(np.quantile(finite[:: max(finite.size // 1_000_000, 1)], 0.9)) if finite.size else 1.0


def margin_colors(margin: Float[np.ndarray, "H W"], limit: float) -> UInt8[np.ndarray, "H W 3"]:
    """The margins as colours, from 0 to `limit`; what lies above is as light as the limit."""
    steps = np.rint(np.clip(margin / (limit or 1.0), 0, 1) * 255).astype(np.uint8)
    place = np.linspace(0, len(STOPS_OF_MARGIN) - 1, 256)
    table = np.stack([np.interp(place, np.arange(len(STOPS_OF_MARGIN)), stop) for stop in STOPS_OF_MARGIN.T], 1)
    return np.asarray(np.rint(table).astype(np.uint8)[steps], np.uint8)


def margin_picture(margin: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """`margin_colors` with a colour bar and its numbers below; a small picture is enlarged so that they can be read."""
    limit = margin_limit(margin)
    colors = margin_colors(margin, limit)
    factor = max(-(-480 // max(margin.shape)), 1)
    colors = cv2.resize(colors, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    width = colors.shape[1]
    size = max(12, round(width / 70))
    bar = np.broadcast_to(np.linspace(0, limit, width, dtype=np.float32), (size, width))
    strip = Image.new("RGB", (width, round(size * 3.4)), PAPER)
    strip.paste(Image.fromarray(margin_colors(bar, limit)), (0, size // 2))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size)
    baseline = round(size * 2.9)
    words = ["0: unsure", f"{limit / 2:.3g}", f"{limit:.3g} and more"]
    for text, x, anchor in zip(words, (2, width // 2, width - 2), ("ls", "ms", "rs"), strict=True):
        draw.text((x, baseline), text, INK_OF_SCALE, font, anchor=anchor)
    return np.asarray(np.concatenate([colors, np.asarray(strip)]), np.uint8)
