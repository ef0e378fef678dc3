// The canvas: what is drawn, and what the pointer does on it. It knows no server.
import { CURSORS, HANDLES, boxAt, contains, handleAt, moved, ordered, resized } from "./boxes.js";

const CLICK = 4; // pixels that a click may slip
const MOST_ZOOM = 24;

export class Stage {
  /** `view` is what is shown, see state.js; `on` are its answers to gestures. */
  constructor(canvas, view, on) {
    this.canvas = canvas; this.view = view; this.on = on;
    this.zoom = 1; this.center = [0.5, 0.5]; this.pointers = new Map(); this.gesture = null; this.waiting = false; this.edges = [];
    // Not at once: it changes what is observed, which browsers report as an error.
    new ResizeObserver(() => requestAnimationFrame(() => this.fit())).observe(canvas.parentElement);
    addEventListener("resize", () => this.fit());
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event, name === "pointercancel"));
    canvas.addEventListener("pointerleave", (event) => { if (!this.gesture && event.pointerType !== "touch") { on.hover(null); on.rest(-1, -1); } });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** The canvas as large as its column, but no taller than the window lets see at once. */
  fit() {
    const { width, height } = this.view.scene ?? { width: 2, height: 1 };
    const { clientHeight } = document.documentElement, wide = this.canvas.parentElement.clientWidth;
    // On narrow screens the picture stays in view above its controls, see app.css.
    const most = matchMedia("(max-width: 900px)").matches ? clientHeight * 0.45 : Math.max(240, clientHeight * 0.68);
    // A canvas of no pixels cannot be drawn: split screens and printing make windows of no height for a moment.
    const tall = Math.max(1, Math.round(Math.min((wide * height) / width, most))), dpr = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(wide * dpr) || this.canvas.height !== Math.round(tall * dpr)) {
      this.canvas.width = Math.round(wide * dpr); this.canvas.height = Math.round(tall * dpr);
      this.canvas.style.height = `${tall}px`;
      this.paint(); // at once: the new size has cleared it
    } else this.draw();
  }

  place() {
    const { width, height } = this.view.scene, dpr = devicePixelRatio || 1;
    const scale = Math.min(this.canvas.width / width, this.canvas.height / height) * this.zoom;
    const left = this.canvas.width / 2 - this.center[0] * width * scale, top = this.canvas.height / 2 - this.center[1] * height * scale;
    return { scale, left, top, dpr };
  }

  /** What the canvas shows, in pixels of the image; it may reach beyond them. */
  seen() {
    const { scale, left, top } = this.place(), { width, height } = this.canvas;
    return { left: -left / scale, top: -top / scale, right: (width - left) / scale, bottom: (height - top) / scale };
  }

  /** A point of the screen in pixels of the image. */
  point(event) {
    const { scale, left, top, dpr } = this.place(), box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * dpr - left) / scale, ((event.clientY - box.top) * dpr - top) / scale];
  }

  zoomBy(factor, at = null) {
    if (!this.view.scene) return;
    const { width, height } = this.view.scene, old = this.zoom;
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), MOST_ZOOM);
    if (at) {
      const share = 1 - old / this.zoom;
      this.center[0] += (at[0] / width - this.center[0]) * share; this.center[1] += (at[1] / height - this.center[1]) * share;
    }
    this.keepInside();
  }

  keepInside() {
    const half = 0.5 / this.zoom;
    this.center = this.center.map((each) => Math.min(Math.max(each, half), 1 - half));
    this.canvas.classList.toggle("zoomed", this.zoom > 1);
    this.draw();
  }

  whole() { this.zoom = 1; this.center = [0.5, 0.5]; this.keepInside(); }

  // ---- gestures

  down(event) {
    if (!this.view.scene || event.button > 0) return;
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 2) { this.cancel(); this.gesture = { kind: "pinch" }; return; }
    if (this.pointers.size > 2) return;
    const [x, y] = this.point(event), view = this.view, { scale, dpr } = this.place();
    this.on.hover([x, y]);
    const reach = ((event.pointerType === "touch" ? 18 : 8) * dpr) / scale, at = { x, y, clientX: event.clientX, clientY: event.clientY };
    const selected = view.mode === "edit" ? view.selectedBox() : null, handle = selected ? handleAt(selected.box, x, y, reach) : -1;
    if (view.wiping() && handle < 0 && Math.abs(x - view.wipe * view.scene.width) < reach) this.gesture = { kind: "wipe", at };
    else if (view.mode === "look") this.gesture = { kind: "look", at, center: [...this.center] };
    else if (handle >= 0) this.gesture = { kind: "resize", at, handle, uid: selected.uid, start: selected.box };
    else if (selected && !view.adding && contains(selected, x, y)) this.gesture = { kind: "shift", at, uid: selected.uid, start: selected.box };
    else this.gesture = { kind: "draw", at };
    this.canvas.setPointerCapture(event.pointerId);
    if (this.gesture.kind === "look" && event.pointerType !== "touch") this.on.press(Math.floor(x), Math.floor(y)); // a finger may scroll
  }

  move(event) {
    if (!this.view.scene) return;
    const known = this.pointers.get(event.pointerId), [x, y] = this.point(event), g = this.gesture;
    if (known) this.pointers.set(event.pointerId, event);
    if (g?.kind === "pinch" && known) { this.pinch(known, event); return; }
    this.on.hover([x, y]);
    if (!g) {
      this.cursor(event, x, y);
      if (this.view.mode === "look" && event.pointerType !== "touch") this.on.rest(Math.floor(x), Math.floor(y));
      return;
    }
    if (!g.at) return;
    g.slipped ||= Math.hypot(event.clientX - g.at.clientX, event.clientY - g.at.clientY) > CLICK;
    if (!g.slipped) return;
    const { width, height } = this.view.scene;
    if (g.kind === "wipe") this.on.wipe(Math.min(Math.max(x / width, 0), 1));
    else if (g.kind === "look" && this.zoom > 1) {
      const { scale, dpr } = this.place();
      this.center = [g.center[0] - ((event.clientX - g.at.clientX) * dpr) / scale / width, g.center[1] - ((event.clientY - g.at.clientY) * dpr) / scale / height];
      this.keepInside();
    } else if (g.kind === "resize") this.on.change(g.uid, resized(g.start, g.handle, x, y, width, height), event.timeStamp);
    else if (g.kind === "shift") this.on.change(g.uid, moved(g.start, x - g.at.x, y - g.at.y, width, height), event.timeStamp);
    else if (g.kind === "draw") {
      const box = ordered([g.at.x, g.at.y, x, y], width, height);
      if (g.uid === undefined) g.uid = this.on.add(box, event.timeStamp);
      else this.on.change(g.uid, box, event.timeStamp);
    }
  }

  up(event, cancelled) {
    this.pointers.delete(event.pointerId);
    const g = this.gesture;
    if (!g || (g.kind === "pinch" && this.pointers.size)) return;
    this.gesture = null;
    if (g.kind === "pinch") return;
    if (g.slipped) { if (["resize", "shift", "draw"].includes(g.kind)) this.on.done(); return; }
    if (cancelled) return;
    if (g.kind === "look" || g.kind === "wipe") this.on.click(Math.floor(g.at.x), Math.floor(g.at.y), event.timeStamp);
    else this.on.select(boxAt(this.view.boxes(), g.at.x, g.at.y)?.uid ?? null);
  }

  cancel() { if (this.gesture?.slipped && this.gesture.uid !== undefined) this.on.done(); this.gesture = null; }

  pinch(before, event) {
    const other = [...this.pointers.values()].find((each) => each.pointerId !== event.pointerId);
    if (!other) return;
    const span = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY);
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    this.zoomBy(span(event) / (span(before) || 1), this.point(middle));
  }

  wheel(event) {
    if (!this.view.scene || !(event.ctrlKey || event.metaKey)) return; // the page scrolls
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 240), this.point(event));
  }

  cursor(event, x, y) {
    const { scale, dpr } = this.place(), reach = (8 * dpr) / scale, view = this.view;
    let shape = view.mode === "look" && this.zoom > 1 ? "grab" : "crosshair";
    if (view.wiping() && Math.abs(x - view.wipe * view.scene.width) < reach) shape = "ew-resize";
    const selected = view.mode === "edit" ? view.selectedBox() : null;
    if (selected) {
      const handle = handleAt(selected.box, x, y, reach);
      if (handle >= 0) shape = CURSORS[handle % 4];
      else if (contains(selected, x, y)) shape = "move";
    }
    this.canvas.style.cursor = shape;
  }

  // ---- drawing

  /** Draw soon, once. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const c = this.canvas.getContext("2d"), view = this.view;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!view.scene) return;
    const { scale, left, top, dpr } = this.place(), { width, height } = view.scene;
    const line = dpr / scale; // one pixel of the screen
    c.setTransform(scale, 0, 0, scale, left, top);
    c.imageSmoothingEnabled = true; c.imageSmoothingQuality = scale < 1 ? "high" : "low"; // "high" takes five times as long
    c.drawImage(view.ground(), 0, 0, width, height);
    const sides = view.sides(), split = sides.length > 1 ? view.wipe * width : width;
    sides.forEach((side, number) => {
      if (!side) return;
      c.save();
      c.beginPath();
      if (number === 0) c.rect(0, 0, split, height); else c.rect(split, 0, width - split, height);
      c.clip();
      c.imageSmoothingEnabled = side.smooth;
      if (side.overlay) c.drawImage(side.overlay, 0, 0, width, height);
      if (side.edges) {
        c.setTransform(1, 0, 0, 1, 0, 0);
        c.drawImage(this.drawnEdges(side.edges, number), 0, 0);
        c.setTransform(scale, 0, 0, scale, left, top);
      }
      if (side.marked) { c.strokeStyle = "#111"; c.lineWidth = 5 * line; c.stroke(side.marked); c.strokeStyle = "#ffd54a"; c.lineWidth = 2.5 * line; c.stroke(side.marked); }
      c.restore();
    });
    if (sides.length > 1) this.paintWipe(c, split, height, line);
    if (view.mode === "edit") for (const each of view.boxes()) this.paintBox(c, each, each.uid === view.selected, line);
    if (view.mode === "look" || view.layer === "affinity") view.pins.forEach((pin, number) => this.paintPin(c, pin, view.pins.length > 1 ? number + 1 : 0, line));
    if (view.keyed) this.paintCursor(c, view.keyed, line);
  }

  /** Outlines as they are on the screen; they take long to draw, and change with the map and the zoom alone. */
  drawnEdges(edges, number) {
    const { scale, left, top, dpr } = this.place(), { width, height } = this.canvas, parts = [edges, scale, left, top, width, height];
    const found = this.edges[number];
    if (found?.parts.every((each, place) => each === parts[place])) return found.canvas;
    const canvas = found?.canvas ?? document.createElement("canvas");
    canvas.width = width; canvas.height = height; // clears it
    const c = canvas.getContext("2d");
    c.setTransform(scale, 0, 0, scale, left, top);
    for (const [color, wide] of [["rgb(0 0 0 / .35)", 3], ["rgb(255 255 255 / .9)", 1.3]]) {
      c.strokeStyle = color; c.lineWidth = (wide * dpr) / scale; c.stroke(edges);
    }
    this.edges[number] = { parts, canvas };
    return canvas;
  }

  paintWipe(c, x, height, line) {
    c.strokeStyle = "#111"; c.lineWidth = 4 * line; c.beginPath(); c.moveTo(x, 0); c.lineTo(x, height); c.stroke();
    c.strokeStyle = "#fff"; c.lineWidth = 2 * line; c.stroke();
    c.fillStyle = "#fff"; c.strokeStyle = "#111"; c.lineWidth = 1.5 * line;
    c.beginPath(); c.arc(x, height / 2, 9 * line, 0, 7); c.fill(); c.stroke();
    c.beginPath();
    for (const side of [-1, 1]) { c.moveTo(x + side * 2.5 * line, height / 2 - 3 * line); c.lineTo(x + side * 5.5 * line, height / 2); c.lineTo(x + side * 2.5 * line, height / 2 + 3 * line); }
    c.stroke();
  }

  paintBox(c, { box: [x0, y0, x1, y1], color, name, score }, selected, line) {
    c.strokeStyle = "rgb(0 0 0 / .75)"; c.lineWidth = (selected ? 5 : 3.5) * line; c.strokeRect(x0, y0, x1 - x0, y1 - y0);
    c.strokeStyle = selected ? "#fff" : `rgb(${color.join(" ")})`; c.lineWidth = (selected ? 2.5 : 1.75) * line;
    c.strokeRect(x0, y0, x1 - x0, y1 - y0);
    if (!selected) return;
    c.font = `600 ${12 * line}px system-ui, sans-serif`;
    const text = `${name} ${score.toFixed(2)}`, wide = c.measureText(text).width + 10 * line, tall = 19 * line;
    const { left, top, right, bottom } = this.seen(); // of an enlarged picture a part; the words stay inside
    const x = Math.max(left, Math.min(x0, right - wide)), above = y0 - tall - 5 * line;
    const y = Math.min(above > top ? above : Math.max(y0, top) + 7 * line, bottom - tall);
    c.fillStyle = "rgb(0 0 0 / .8)"; c.fillRect(x, y, wide, tall);
    c.fillStyle = "#fff"; c.textBaseline = "middle"; c.fillText(text, x + 5 * line, y + tall / 2);
    c.strokeStyle = "#111"; c.lineWidth = 1.5 * line;
    for (const [u, v] of HANDLES) {
      const at = x0 + u * (x1 - x0) - 4 * line, down = y0 + v * (y1 - y0) - 4 * line, side = 8 * line;
      c.fillStyle = "#fff"; c.fillRect(at, down, side, side); c.strokeRect(at, down, side, side);
    }
  }

  paintPin(c, { x, y }, number, line) {
    const r = 7 * line;
    for (const [color, wide] of [["#111", 4.5], ["#fff", 2]]) {
      c.strokeStyle = color; c.lineWidth = wide * line; c.beginPath();
      c.arc(x + 0.5, y + 0.5, r, 0, 7);
      for (const [u, v] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { c.moveTo(x + 0.5 + u * r * 0.55, y + 0.5 + v * r * 0.55); c.lineTo(x + 0.5 + u * r * 1.6, y + 0.5 + v * r * 1.6); }
      c.stroke();
    }
    if (!number) return;
    c.font = `700 ${12 * line}px system-ui, sans-serif`; c.textBaseline = "middle"; c.textAlign = "center";
    const { top, right } = this.seen(), round = 9 * line, beside = x + 0.5 + 1.9 * r, above = y + 0.5 - 1.9 * r;
    const at = beside + round < right ? beside : x + 0.5 - 1.9 * r, up = above - round > top ? above : y + 0.5 + 1.9 * r;
    c.fillStyle = "#111"; c.beginPath(); c.arc(at, up, round, 0, 7); c.fill();
    c.fillStyle = "#fff"; c.fillText(String(number), at, up); c.textAlign = "start";
  }

  paintCursor(c, [x, y], line) {
    for (const [color, wide] of [["#111", 4], ["#ffd54a", 2]]) {
      c.strokeStyle = color; c.lineWidth = wide * line; c.beginPath();
      for (const [u, v] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { c.moveTo(x + 0.5 + u * 3 * line, y + 0.5 + v * 3 * line); c.lineTo(x + 0.5 + u * 12 * line, y + 0.5 + v * 12 * line); }
      c.stroke();
    }
  }
}
