// From numbers to colours: overlays as canvases of the image's size, outlines as paths, colour bars.

const AFFINITY = [[5, 48, 97], [33, 102, 172], [103, 169, 207], [247, 247, 247], [239, 138, 98], [178, 24, 43], [103, 0, 31]];
const MARGIN = [[59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

function table(stops, steps) {
  const found = [];
  for (let step = 0; step < steps; step++) {
    const place = (step / (steps - 1)) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2), share = place - below;
    found.push(stops[below].map((low, channel) => Math.round(low * (1 - share) + stops[below + 1][channel] * share)));
  }
  return found;
}
const AFFINITY_TABLE = table(AFFINITY, 513), MARGIN_TABLE = table(MARGIN, 256);

// Little-endian RGBA, as every browser has it today.
const rgba = (color, alpha) => ((Math.round(alpha * 255) << 24) | (color[2] << 16) | (color[1] << 8) | color[0]) >>> 0;

function canvasOf(width, height, fill) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  fill(new Uint32Array(pixels.data.buffer));
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** The segments of a map in their colours; void is dark, hidden classes are clear. */
export function mapOverlay({ ids, segments }, opacity, hidden, classes) {
  const colors = new Uint32Array(Math.max(0, ...segments.map((each) => each.id)) + 1);
  colors[0] = rgba([10, 10, 10], opacity * 1.2 > 1 ? 1 : opacity * 1.2);
  for (const each of segments) {
    const alpha = hidden.has(each.label) ? 0 : classes[each.label].thing ? opacity : opacity * 0.6;
    colors[each.id] = rgba(each.color, alpha);
  }
  return canvasOf(ids.width, ids.height, (out) => { for (let i = 0; i < out.length; i++) out[i] = colors[ids.values[i]]; });
}

/** Affinities: opacity grows with the absolute value, over a picture in grey. */
export function affinityOverlay({ affinity, scale }, limit) {
  const colors = new Uint32Array(513);
  for (let step = 0; step < 513; step++) colors[step] = rgba(AFFINITY_TABLE[step], Math.sqrt(Math.abs(step - 256) / 256) * 0.88);
  const factor = (256 * scale) / limit;
  return canvasOf(affinity.width, affinity.height, (out) => {
    for (let i = 0; i < out.length; i++) {
      const step = Math.round(affinity.values[i] * factor) + 256;
      out[i] = colors[step < 0 ? 0 : step > 512 ? 512 : step];
    }
  });
}

export function marginOverlay(margin, opacity) {
  const colors = new Uint32Array(MARGIN_TABLE.map((color) => rgba(color, Math.min(1, opacity + 0.25))));
  return canvasOf(margin.width, margin.height, (out) => { for (let i = 0; i < out.length; i++) out[i] = colors[margin.values[i]]; });
}

/** Where two maps give a pixel to another box or class: the first one's colours. Also the share of such pixels. */
export function differOverlay(first, second) {
  const same = new Map(second.segments.map((each) => [each.key, each.id]));
  const partner = new Int32Array(Math.max(0, ...first.segments.map((each) => each.id)) + 1).fill(-1), colors = new Uint32Array(partner.length);
  partner[0] = 0;
  colors[0] = rgba([10, 10, 10], 1);
  for (const each of first.segments) { partner[each.id] = same.get(each.key) ?? -1; colors[each.id] = rgba(each.color, 1); }
  let count = 0;
  const canvas = canvasOf(first.ids.width, first.ids.height, (out) => {
    for (let i = 0; i < out.length; i++) {
      const differs = partner[first.ids.values[i]] !== second.ids.values[i];
      count += differs;
      out[i] = differs ? colors[first.ids.values[i]] : 0;
    }
  });
  return { canvas, share: count / first.ids.values.length };
}

/** The picture in grey and paler, as ground for numbers in colour. */
export function greyed(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width; canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  context.globalCompositeOperation = "saturation"; // that of grey; WebKit knows no filters
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "rgb(255 255 255 / .45)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/** The edges between pixels of different ids; with `only`, around the pixels of one id. */
export function outlines({ width, height, values }, only = null) {
  const path = new Path2D(), ids = only === null ? values : values.map((id) => (id === only ? 1 : 0)), outer = only !== null;
  for (let y = outer ? 0 : 1; y < height + outer; y++) {
    const below = y * width, above = below - width;
    for (let x = 0, start = -1; x <= width; x++) {
      const edge = x < width && (y > 0 ? ids[above + x] : 0) !== (y < height ? ids[below + x] : 0);
      if (edge) { if (start < 0) start = x; }
      else if (start >= 0) { path.moveTo(start, y); path.lineTo(x, y); start = -1; }
    }
  }
  for (let x = outer ? 0 : 1; x < width + outer; x++) {
    for (let y = 0, start = -1; y <= height; y++) {
      const at = y * width + x, edge = y < height && (x > 0 ? ids[at - 1] : 0) !== (x < width ? ids[at] : 0);
      if (edge) { if (start < 0) start = y; }
      else if (start >= 0) { path.moveTo(x, start); path.lineTo(x, y); start = -1; }
    }
  }
  return path;
}

export function colorBar(canvas, kind) {
  if (canvas.dataset.kind === kind) return;
  const colors = (kind === "margin" ? MARGIN_TABLE : AFFINITY_TABLE).map((color) => rgba(color, 1));
  canvas.dataset.kind = kind;
  canvas.width = colors.length;
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  new Uint32Array(pixels.data.buffer).forEach((_, place, out) => { out[place] = colors[place % colors.length]; });
  context.putImageData(pixels, 0, 0);
}
