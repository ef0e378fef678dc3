// The sentences that follow what is looked at.
import { affinityLimit, difference } from "./overlays.js";
import { share } from "./panel.js";
import { FUSIONS, LAYERS, about, classes, things, view } from "./state.js";

/** Of photographs and a network that has seen none. */
export const DRAWINGS = "The bundled network knows drawn street scenes alone: its maps of other pictures mean little. "
  + "Train on some of yours first (unipan train finetune), and start the page with that network.";

/** The segment at a pixel of a map, by its key. */
export function keyAt(fusion, x, y) {
  const map = view.maps[fusion];
  if (!map || x < 0 || y < 0 || x >= map.ids.width || y >= map.ids.height) return null;
  const id = map.ids.values[Math.floor(y) * map.ids.width + Math.floor(x)];
  return map.segments.find((each) => each.id === id)?.key ?? null;
}

function valueAt(array, x, y) {
  const { width, height } = view.scene;
  const row = Math.min(array.height - 1, Math.floor((y / height) * array.height));
  return array.values[row * array.width + Math.min(array.width - 1, Math.floor((x / width) * array.width))];
}

const minus = (text) => text.replace("-", "−");
const whole = (number) => number.toLocaleString("en");
const affinityOf = (pin, x, y) => minus((valueAt(pin.data.arrays.affinity, x, y) * pin.data.scale).toFixed(2));

// ---- under the picture

/** What a click or a drag would do now. */
function hint() {
  if (view.mode === "edit") {
    return view.selectedBox() ? "Drag the box or its handles to change it, or drag beside it to draw another."
      : "Drag to draw a box, click one to change it.";
  }
  if (!about.affinity) return "Click a pixel to mark its segment.";
  if (view.layer === "affinity" && view.pins.length === 1) return "Click another pixel to compare.";
  return "Click a pixel: which others does it attract?";
}

function numbersAt(x, y) {
  const found = [];
  if (view.layer === "affinity") {
    const ready = view.pins.filter((each) => each.data);
    const name = (pin) => (view.pins.length > 1 ? `pixel ${view.pins.indexOf(pin) + 1}` : "the clicked pixel");
    const words = ready.map((each) => `to ${name(each)}: ${affinityOf(each, x, y)}`);
    if (words.length) found.push(`affinity ${words.join(", ")}`);
  }
  if (view.layer === "margin" && view.margin) {
    const step = valueAt(view.margin, x, y);
    found.push(`margin ${step === 255 ? "≥ " : ""}${((step / 255) * view.marginLimit).toPrecision(2)}`);
  }
  return found;
}

/** [what is emphasised, the rest] of the line under the picture. */
export function readout() {
  if (!view.scene) return ["", ""];
  const { width, height, name } = view.scene, [x, y] = view.keyed ?? view.hovered?.map(Math.floor) ?? [-1, -1];
  if (x < 0 || y < 0 || x >= width || y >= height) return [hint(), ` ${name}, ${width}\u00a0×\u00a0${height} pixels`];
  const fusion = view.layer === "map" && view.other && x >= view.wipe * width ? view.other : view.fusion;
  const key = keyAt(fusion, x, y), found = view.maps[fusion]?.segments.find((each) => each.key === key);
  const size = found ? `${whole(found.area)} pixels (${share(found.area / (width * height))})` : "of no class";
  const words = found ? `score ${found.score.toFixed(3)}, ${size}` : size;
  return [found ? classes[found.label].name : "void", ` at (${x}, ${y}): ${[words, ...numbersAt(x, y)].join("; ")}`];
}

/** Of the colour bar: its kind ("" without one), the words at its ends and in its middle, and the sentence below. */
export function scale() {
  if (view.layer === "affinity" && view.pins.some((each) => each.data)) return affinityScale();
  if (view.layer === "margin" && view.margin) {
    const [middle, most] = [view.marginLimit / 2, view.marginLimit].map((each) => each.toPrecision(2));
    return { kind: "margin", ticks: ["0: unsure", middle, `${most} and more`], note: LAYERS.margin };
  }
  if (view.layer === "margin") return { note: "Only an argmax has a margin: choose the argmax of P or of Ψ." };
  const found = view.layer === "differ" ? difference() : null;
  if (!found) return { note: LAYERS[view.layer] };
  return { note: `P and Ψ differ on ${share(found.share)} of the pixels, which have the colour that P gives them.` };
}

function affinityScale() {
  const limit = affinityLimit().toPrecision(2), [one, two] = view.pins;
  const ticks = [`−${limit} and less`, "0", `${limit} and more`];
  if (!two) {
    const what = `Affinity of pixel (${one.x}, ${one.y}) to all others: red attracts, blue repels.`;
    return { kind: "affinity", ticks, note: `${what} Another click compares.` };
  }
  let note = `Affinities of pixels 1 (${one.x}, ${one.y}) and 2 (${two.x}, ${two.y}).`;
  if (one.data && two.data) {
    note += ` From 1 to 2: ${affinityOf(one, two.x, two.y)}, from 2 to 1: ${affinityOf(two, one.x, one.y)}`;
    note += "; affinities are not symmetric.";
  }
  return { kind: "affinity", ticks, note };
}

// ---- of boxes and maps

function hasClassInside(map, { box, label }) {
  const wanted = new Set(map.segments.filter((each) => classes[each.label] === things[label]).map((each) => each.id));
  const [x0, y0, x1, y1] = box.map(Math.round), { width, height, values } = map.ids;
  for (let y = Math.max(0, y0); wanted.size && y < Math.min(y1, height); y++) {
    for (let x = Math.max(0, x0); x < Math.min(x1, width); x++) if (wanted.has(values[y * width + x])) return true;
  }
  return false;
}

/** Why the selected box has no segment; "" if it has one, null if the map of this box is still on its way. */
export function boxNote() {
  const box = view.list().find((each) => each.uid === view.selected), map = view.maps[view.fusion];
  if (!box || !map) return "";
  if (view.mapped.get(box.uid) !== box) return null;
  if (map.segments.some((each) => each.key === `box ${box.uid}`)) return "";
  const { name } = things[box.label], argmax = view.fusion === "affinity" || view.fusion === "potential";
  if (!argmax) return `The box wins no pixel in the map of ${FUSIONS[view.fusion].name}.`;
  if (hasClassInside(map, box)) return `All pixels of ${name} here go to other boxes, so this one wins no pixel.`;
  const advice = "fit it closer, or change its class.";
  if (box.score < 0.5) return `With a score of ${+box.score.toFixed(3)} the box wins no pixel; raise it, ${advice}`;
  return `The network sees no ${name} here, so the box wins no pixel; ${advice}`;
}

/** Whether some pixel of a shown map has no class. */
export function hasVoid() {
  if (view.layer !== "map" || !view.scene) return false;
  const shown = [view.maps[view.fusion], view.maps[view.other]].filter(Boolean);
  const covered = (map) => map.segments.reduce((sum, each) => sum + each.area, 0);
  return shown.some((map) => covered(map) < map.ids.width * map.ids.height);
}

/** Of the table of segments. */
export function tableTitle() {
  const wiped = view.layer === "map" && view.other !== "";
  return `Segments of ${FUSIONS[view.fusion].name}${wiped ? " (left)" : ""}`;
}
