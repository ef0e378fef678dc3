// Boxes under the hand: what lies under a point, how a drag changes a box, and the way back.

export const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
export const CURSORS = ["nwse-resize", "ns-resize", "nesw-resize", "ew-resize"];

export const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
const inside = ([x0, y0, x1, y1], x, y) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

/** The handle (0..7, clockwise from the upper left) of a box within reach of a point, or -1. */
export function handleAt([x0, y0, x1, y1], x, y, reach) {
  return HANDLES.findIndex(([u, v]) => Math.abs(x0 + u * (x1 - x0) - x) <= reach && Math.abs(y0 + v * (y1 - y0) - y) <= reach);
}

/** The smallest box around a point. */
export function boxAt(boxes, x, y) {
  const found = boxes.filter((each) => inside(each.box, x, y));
  return found.reduce((best, each) => (best === null || area(each.box) < area(best.box) ? each : best), null);
}

export const contains = (box, x, y) => inside(box.box, x, y);

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box moved by dx, dy without leaving the image. */
export function moved([x0, y0, x1, y1], dx, dy, width, height) {
  dx = clamp(dx, -x0, width - x1); dy = clamp(dy, -y0, height - y1);
  return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
}

/** The box with one handle at a point; past the other side it turns over. At least one pixel remains. */
export function resized(box, handle, x, y, width, height) {
  const [u, v] = HANDLES[handle], result = [...box];
  x = clamp(x, 0, width); y = clamp(y, 0, height);
  if (u !== 0.5) result[u * 2] = x;
  if (v !== 0.5) result[1 + v * 2] = y;
  return ordered(result, width, height);
}

export function ordered([x0, y0, x1, y1], width, height) {
  const sides = (a, b, most) => {
    const low = clamp(Math.min(a, b), 0, most - 1);
    return [low, clamp(Math.max(a, b), low + 1, most)];
  };
  const [left, right] = sides(x0, x1, width), [top, bottom] = sides(y0, y1, height);
  return [left, top, right, bottom];
}

/** Undo and redo over lists of boxes that are never changed in place. */
export class History {
  constructor(present) { this.past = []; this.present = present; this.future = []; }

  push(next) {
    if (JSON.stringify(next) === JSON.stringify(this.present)) return;
    this.past.push(this.present); this.present = next; this.future = [];
    if (this.past.length > 500) this.past.shift();
  }

  undo() { return this.step(this.past, this.future); }
  redo() { return this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length) return false;
    to.push(this.present); this.present = from.pop();
    return true;
  }
}
