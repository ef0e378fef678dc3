// The page: its state, and what each gesture does with it.
import * as api from "./api.js";
import { History, moved, ordered } from "./boxes.js";
import { affinityOverlay, colorBar, differOverlay, greyed, mapOverlay, marginOverlay, outlines } from "./paint.js";
import { find, options, share, showBox, showLegend, showSegments } from "./panel.js";
import { Stage } from "./stage.js";

const FUSIONS = { affinity: "argmax of P", potential: "argmax of Ψ", heuristic: "heuristic", upsnet: "UPSNet" };
const about = await api.overview().catch((error) => { complain(error); throw error; });
const classes = about.classes, things = classes.filter((each) => each.thing);

const view = {
  scene: null, // key, name, width, height, source
  history: new History([]), saved: "[]", draft: null,
  bitmap: null, grey: null, maps: {}, margin: null, cache: new Map(),
  mode: "look", layer: "map", fusion: about.fusion, other: "", wipe: 0.5,
  opacity: 0.62, outlines: true, hidden: new Set(), sort: { by: "area", down: true },
  selected: null, marked: null, hovered: null, pins: [], keyed: null, adding: false, label: 0,
  boxes() {
    return this.list().map((each) => ({ ...each, name: things[each.label].name, color: things[each.label].tints[each.tint % 64] }));
  },
  list() { return this.draft ?? this.history.present; },
  selectedBox() { return this.boxes().find((each) => each.uid === this.selected) ?? null; },
  wiping() { return this.sides().length > 1; },
  ground() { return this.layer === "map" ? this.bitmap : this.grey; },
  sides() { return sides(); },
};
let uids = 0;

const stage = new Stage(find("stage"), view, {
  hover: (at) => { view.hovered = at; readout(); stage.draw(); },
  click: (x, y, time) => pin(x, y, time),
  wipe: (place) => setWipe(place),
  select: (uid) => select(uid),
  change: (uid, box, time) => { draft(view.list().map((each) => (each.uid === uid ? { ...each, box } : each)), time); },
  add: (box, time) => addBox(box, time),
  done: () => commit(),
});

// ---- what is on the stage

function cached(name, parts, make) {
  const found = view.cache.get(name);
  if (found && found.parts.length === parts.length && found.parts.every((each, number) => each === parts[number])) return found.value;
  const value = make();
  view.cache.set(name, { parts, value });
  return value;
}

function side(fusion, number) {
  const map = view.maps[fusion];
  if (!map) return null;
  const overlay = cached(`map ${number}`, [map, view.opacity, [...view.hidden].join()], () => mapOverlay(map, view.opacity, view.hidden, classes));
  const edges = view.outlines ? cached(`edges ${number}`, [map], () => outlines(map.ids)) : null;
  const key = view.hoveredRow ?? view.marked, segment = map.segments.find((each) => each.key === key);
  const marked = segment ? cached(`marked ${number}`, [map, segment.id], () => outlines(map.ids, segment.id)) : null;
  return { overlay, edges, marked, smooth: false };
}

function sides() {
  const faint = () => { const found = side(view.fusion, 0); return found && { edges: found.edges, marked: found.marked }; };
  if (view.layer === "affinity") {
    const limit = Math.max(...view.pins.map((each) => each.data?.limit ?? 0));
    const ready = pinsFromLeft();
    if (!ready.length) return [faint()];
    return ready.map((each) => ({
      overlay: cached(`affinity ${view.pins.indexOf(each)}`, [each.data, limit], () => affinityOverlay({ affinity: each.data.arrays.affinity, scale: each.data.scale }, limit)),
      edges: faint()?.edges, smooth: true,
    }));
  }
  if (view.layer === "margin") {
    if (!view.margin) return [faint()];
    return [{ ...faint(), overlay: cached("margin", [view.margin, view.opacity], () => marginOverlay(view.margin, view.opacity)), smooth: false }];
  }
  if (view.layer === "differ") {
    const found = difference();
    return [{ overlay: found?.canvas, smooth: false }];
  }
  const first = side(view.fusion, 0);
  return view.other ? [first, side(view.other, 1)] : [first];
}

/** Each pixel's affinities are shown on its own side of the wipe. */
const pinsFromLeft = () => view.pins.filter((each) => each.data).sort((a, b) => a.x - b.x);

function difference() {
  const first = view.maps.affinity, second = view.maps.potential;
  return first && second ? cached("differ", [first, second], () => differOverlay(first, second)) : null;
}

// ---- maps, live: one request at a time, and always the latest boxes

const wantedFusions = () => {
  const found = [view.fusion];
  if (view.other) found.push(view.other);
  if (view.layer === "differ") found.push("affinity", "potential");
  return [...new Set(found)];
};
const wanted = () => ({ boxes: view.list().map(({ box, label, score, tint }) => ({ box, label, score, tint })), fusions: wantedFusions(), margin: view.layer === "margin" });
let running = false, again = false, since = null;

async function refresh(time = performance.now()) {
  since ??= time;
  if (running) { again = true; return; }
  running = true;
  try {
    do {
      again = false;
      const started = since, scene = view.scene, uidsThen = view.list().map((each) => each.uid), asked = wanted();
      since = null;
      if (!scene) break;
      const answer = await reopening(() => api.maps(view.scene.key, asked));
      if (scene.name !== view.scene?.name || scene.bitmapOf !== view.scene.bitmapOf) continue;
      for (const [fusion, segments] of Object.entries(answer.maps)) {
        for (const each of segments) each.key = each.box === null ? `class ${each.label}` : `box ${uidsThen[each.box]}`;
        view.maps[fusion] = { ids: answer.arrays[fusion], segments };
      }
      for (const fusion of Object.keys(view.maps)) if (!(fusion in answer.maps)) delete view.maps[fusion];
      view.margin = answer.arrays.margin ?? null; view.marginLimit = answer.margin;
      timing(started);
      showAll();
    } while (again);
  } catch (error) { complain(error); } finally { running = false; }
}

function timing(started) {
  requestAnimationFrame(() => requestAnimationFrame(() => { find("timing").textContent = `${Math.max(1, Math.round(performance.now() - started))} ms`; }));
}

/** Do something with the scene; if the server has let it go, open it again first. */
async function reopening(work) {
  try { return await work(); } catch (error) {
    if (error.status !== 410 || !view.scene) throw error;
    view.scene.key = (await api.open(view.scene.source)).key;
    return work();
  }
}

// ---- opening

async function open(source) {
  if (!leave()) return;
  find("busy").hidden = false; find("empty").hidden = true; quiet();
  try {
    const found = await api.open(source), bitmap = await api.picture(found.key);
    if (view.scene) api.close(view.scene.key);
    const number = (each) => ({ ...each, uid: ++uids });
    const network = found.found.map(number), start = (found.kept ?? found.found).map(number);
    Object.assign(view, {
      scene: { key: found.key, name: found.name, width: found.width, height: found.height, source, bitmapOf: bitmap },
      network, history: new History(start), saved: plain(start), draft: null, bitmap, grey: greyed(bitmap),
      maps: {}, margin: null, selected: null, marked: null, hoveredRow: null, pins: [], keyed: null, adding: false,
    });
    view.cache.clear();
    document.title = `${found.name} – unipan`;
    if (source.kind === "image") find("images").value = source.index;
    if (view.layer === "affinity") setLayer("map");
    stage.whole(); stage.fit();
    await refresh();
    say(`${found.name}: ${network.length} detections`);
  } catch (error) { complain(error); find("empty").hidden = view.scene !== null; } finally { find("busy").hidden = true; showAll(); }
}

const plain = (boxes) => JSON.stringify(boxes.map(({ box, label, score }) => [box, label, score]));
const changed = () => plain(view.history.present) !== view.saved;
const leave = () => !(about.accepts && view.scene && changed()) || confirm(`${view.scene.name}: the changed boxes are not accepted yet. Leave them?`);
addEventListener("beforeunload", (event) => { if (about.accepts && view.scene && changed()) event.preventDefault(); });

// ---- affinities

async function pin(x, y, time = performance.now()) {
  const { width, height } = view.scene;
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return;
  view.marked = keyAt(view.fusion, x, y);
  if (!about.affinity) { showAll(); return; }
  const own = { x, y, data: null };
  view.pins = view.layer === "affinity" && view.pins.length === 1 ? [...view.pins, own] : [own];
  setLayer("affinity");
  try {
    own.data = await reopening(() => api.affinity(view.scene.key, x, y));
    if (view.pins.length > 1) setWipe((view.pins[0].x + view.pins[1].x + 1) / 2 / width);
    timing(time);
    showAll();
  } catch (error) { complain(error); }
}

// ---- boxes

function draft(boxes, time) { view.draft = boxes; showBoxForm(); stage.draw(); refresh(time); }

function commit() {
  if (view.draft) { view.history.push(view.draft); view.draft = null; view.adding = false; refresh(); }
  showAll();
}

function freeTint(label) {
  const taken = new Set(view.list().filter((each) => each.label === label).map((each) => each.tint));
  let tint = 0;
  while (taken.has(tint)) tint++;
  return tint;
}

function addBox(box, time) {
  const own = { uid: ++uids, box, label: view.label, score: 1, tint: freeTint(view.label) };
  view.selected = own.uid; view.marked = `box ${own.uid}`;
  draft([...view.list(), own], time);
  return own.uid;
}

function changeBox(change) {
  const uid = view.selected;
  if (uid === null) return;
  draft(view.list().map((each) => (each.uid === uid ? { ...each, ...change(each) } : each)));
}

function deleteBox() {
  if (view.selectedBox() === null) return;
  view.draft = view.list().filter((each) => each.uid !== view.selected);
  view.selected = null; view.marked = null;
  commit();
}

function select(uid) {
  view.selected = uid; view.marked = uid === null ? null : `box ${uid}`;
  const box = view.selectedBox();
  if (box) view.label = box.label;
  showAll();
}

function step(forward) {
  view.draft = null;
  if (!(forward ? view.history.redo() : view.history.undo())) return;
  if (!view.selectedBox()) view.selected = null;
  refresh(); showAll();
}

// ---- accepting

async function accept() {
  if (!view.scene || !about.accepts) return;
  commit();
  const boxes = view.history.present, { source, name } = view.scene;
  find("accept").disabled = true;
  try {
    const answer = await reopening(() => api.accept(view.scene.key, { ...wanted(), fusions: [view.fusion], margin: false }));
    view.saved = plain(boxes);
    if (source.kind === "image") about.images[source.index].accepted = true;
    showImages();
    say(`${answer.name} is accepted; the dataset has ${answer.accepted} image${answer.accepted === 1 ? "" : "s"}`, true);
    const count = about.images.length, start = source.kind === "image" ? source.index : -1;
    const next = [...Array(count).keys()].map((each) => (start + 1 + each) % count).find((each) => !about.images[each].accepted);
    if (source.kind === "image" && next !== undefined) await open({ kind: "image", index: next });
  } catch (error) { complain(error); } finally { showAll(); }
  return name;
}

async function download() {
  try {
    const blob = await reopening(() => api.download(view.scene.key, { ...wanted(), fusions: [view.fusion], margin: false }));
    const link = document.createElement("a"), address = URL.createObjectURL(blob);
    link.href = address; link.download = `${view.scene.name.replace(/\.[^.]*$/, "").replaceAll("/", "_")}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) { complain(error); }
}

// ---- words

function keyAt(fusion, x, y) {
  const map = view.maps[fusion];
  if (!map || x < 0 || y < 0 || x >= map.ids.width || y >= map.ids.height) return null;
  const id = map.ids.values[Math.floor(y) * map.ids.width + Math.floor(x)];
  return map.segments.find((each) => each.id === id)?.key ?? null;
}

function valueAt(array, x, y) {
  const { width, height } = view.scene;
  return array.values[Math.min(array.height - 1, Math.floor((y / height) * array.height)) * array.width + Math.min(array.width - 1, Math.floor((x / width) * array.width))];
}

const signed = (value) => value.toFixed(2).replace("-", "−");

function readout() {
  const line = find("readout"), at = view.keyed ?? view.hovered?.map(Math.floor);
  if (!view.scene) { line.textContent = ""; return; }
  const { width, height, name } = view.scene;
  if (!at || at[0] < 0 || at[1] < 0 || at[0] >= width || at[1] >= height) { line.textContent = `${name}, ${width} × ${height} pixels`; return; }
  const fusion = view.layer === "map" && view.other && at[0] >= view.wipe * width ? view.other : view.fusion;
  const found = view.maps[fusion]?.segments.find((each) => each.key === keyAt(fusion, ...at)), strong = document.createElement("b");
  strong.textContent = found ? classes[found.label].name : "void";
  const words = found ? `, score ${found.score.toFixed(3)}, ${found.area} pixels (${share(found.area / (width * height))})` : "";
  const more = [`  at ${at[0]}, ${at[1]}`];
  if (view.layer === "affinity") view.pins.forEach((each, number) => { if (each.data) more.push(`affinity${view.pins.length > 1 ? ` to ${number + 1}` : ""} ${signed(valueAt(each.data.arrays.affinity, ...at) * each.data.scale)}`); });
  if (view.layer === "margin" && view.margin) { const step = valueAt(view.margin, ...at); more.push(`margin ${step === 255 ? "≥ " : ""}${((step / 255) * view.marginLimit).toPrecision(2)}`); }
  line.replaceChildren(strong, `${words}${more.join("; ")}`);
}

function say(sentence, visible = false) {
  find("status").textContent = sentence;
  if (visible) find("readout").textContent = sentence;
}

function complain(error) {
  const place = find("alert");
  place.textContent = error.message || String(error); place.hidden = false;
  if (!(error instanceof api.Refused)) console.error(error);
}

const quiet = () => { find("alert").hidden = true; };

// ---- the page follows the state

function showScale() {
  const kind = view.layer === "affinity" && view.pins.some((each) => each.data) ? "affinity" : view.layer === "margin" && view.margin ? "margin" : "";
  find("scale-row").hidden = view.layer !== "differ" && view.layer === "map";
  find("scale").hidden = !kind;
  find("scale").parentElement.querySelector(".ticks").hidden = !kind;
  const note = find("scale-note");
  if (kind === "affinity") {
    const limit = Math.max(...view.pins.map((each) => each.data?.limit ?? 0));
    colorBar(find("scale"), "affinity");
    [find("tick-low").textContent, find("tick-middle").textContent, find("tick-high").textContent] = [`−${limit.toPrecision(2)}`, "0", limit.toPrecision(2)];
    const [one, two] = view.pins;
    const between = two?.data && one.data ? ` From 1 to 2: ${signed(valueAt(one.data.arrays.affinity, two.x, two.y) * one.data.scale)}, from 2 to 1: ${signed(valueAt(two.data.arrays.affinity, one.x, one.y) * two.data.scale)}.` : "";
    note.textContent = two ? `Affinities of pixels 1 (${one.x}, ${one.y}) and 2 (${two.x}, ${two.y}).${between}` : `Affinity of pixel (${one.x}, ${one.y}) to all others: red attracts, blue repels. Another click compares.`;
  } else if (kind === "margin") {
    colorBar(find("scale"), "margin");
    [find("tick-low").textContent, find("tick-middle").textContent, find("tick-high").textContent] = ["0: unsure", (view.marginLimit / 2).toPrecision(2), `${view.marginLimit.toPrecision(2)} and more`];
    note.textContent = "By how much the best channel leads the second one.";
  } else if (view.layer === "affinity") note.textContent = "Click a pixel of the image.";
  else if (view.layer === "margin") note.textContent = "Only an argmax has a margin: choose the argmax of P or of Ψ.";
  else if (view.layer === "differ") {
    const found = difference();
    note.textContent = found ? `P and Ψ differ on ${share(found.share)} of the pixels, which have the colour that P gives them.` : "";
  }
}

function showBoxForm() {
  const box = view.selectedBox(), wins = box && view.maps[view.fusion]?.segments.some((each) => each.key === `box ${box.uid}`);
  showBox(box, things, view.mode === "edit" && view.scene !== null, view.label, wins);
}

function showAll() {
  const map = view.maps[view.fusion], segments = map?.segments ?? [], total = view.scene ? view.scene.width * view.scene.height : 1;
  const counts = new Map();
  for (const each of segments) counts.set(each.label, (counts.get(each.label) ?? 0) + 1);
  showSegments(segments, classes, total, {
    sort: view.sort, selected: view.marked, hidden: view.hidden,
    onSelect: (key) => { const next = key === view.marked ? null : key; select(next?.startsWith("box ") ? Number(next.slice(4)) : null); view.marked = next; showAll(); },
    onHover: (key) => { view.hoveredRow = key; stage.draw(); },
  });
  showLegend(classes, counts, view.hidden, (label, shown) => { if (shown) view.hidden.delete(label); else view.hidden.add(label); showAll(); });
  showBoxForm(); showScale(); readout();
  const two = view.wiping();
  find("wipe-row").hidden = !two;
  [find("wipe-left").textContent, find("wipe-right").textContent] = view.layer === "affinity" ? pinsFromLeft().map((each) => `pixel ${view.pins.indexOf(each) + 1}`) : [FUSIONS[view.fusion], FUSIONS[view.other] ?? ""];
  find("undo").disabled = !view.history.past.length; find("redo").disabled = !view.history.future.length;
  find("reset").disabled = !view.scene || plain(view.list()) === plain(view.network); find("download").disabled = !view.scene;
  find("accept").hidden = !about.accepts; find("accept").disabled = !view.scene;
  find("stage").classList.toggle("editing", view.mode === "edit");
  find("empty").hidden = view.scene !== null || !find("busy").hidden;
  stage.draw();
}

function showImages() {
  options(find("images"), about.images.map((each, index) => [index, `${each.accepted ? "✓ " : ""}${each.name}`]), view.scene?.source.kind === "image" ? view.scene.source.index : 0);
  if (about.accepts) find("progress").textContent = `${about.images.filter((each) => each.accepted).length} of ${about.images.length} accepted`;
}

function setLayer(layer) {
  view.layer = layer;
  find(`layer-${layer}`).checked = true;
  if (layer === "margin" || layer === "differ") refresh();
  showAll();
}

function setMode(mode) {
  view.mode = mode;
  find(`mode-${mode}`).checked = true;
  view.keyed = null;
  if (mode === "edit" && view.layer === "affinity") setLayer("map");
  showAll();
}

function setWipe(place) { view.wipe = place; find("wipe").value = Math.round(place * 1000); stage.draw(); readout(); }

// ---- controls

find("network").textContent = about.network;
find("sample").hidden = !about.samples;
find("folder").hidden = !about.images.length;
showImages();
options(find("fusion"), about.fusions.map((each) => [each, FUSIONS[each]]), view.fusion);
options(find("other"), [["", "nothing"], ...about.fusions.map((each) => [each, FUSIONS[each]])], "");
options(find("box-class"), things.map((each, label) => [label, each.name]), 0);
for (const each of ["affinity", "differ"]) find(`layer-${each}`).disabled = !about.affinity;

let sample = -1;
const on = (id, name, work) => find(id).addEventListener(name, work);
const pick = (files) => { const file = [...files].find((each) => each.type.startsWith("image/") || /\.tiff?$/i.test(each.name)); if (file) open({ kind: "file", file }); };
on("file", "change", (event) => { pick(event.target.files); event.target.value = ""; });
on("sample", "click", () => open({ kind: "sample", index: ++sample % about.samples }));
on("images", "change", (event) => open({ kind: "image", index: Number(event.target.value) }).then(showImages));
const turn = (by) => { const count = about.images.length, from = view.scene?.source.kind === "image" ? view.scene.source.index : 0; if (count) open({ kind: "image", index: (from + by + count) % count }); };
on("previous", "click", () => turn(-1)); on("next", "click", () => turn(1));
on("undo", "click", () => step(false)); on("redo", "click", () => step(true));
on("reset", "click", () => { view.draft = view.network; view.selected = null; view.marked = null; commit(); });
on("download", "click", download); on("accept", "click", accept);
on("keys", "click", () => find("help").showModal());
for (const radio of document.querySelectorAll("[name=mode]")) radio.addEventListener("change", () => setMode(radio.value));
for (const radio of document.querySelectorAll("[name=layer]")) radio.addEventListener("change", () => setLayer(radio.value));
on("zoom-in", "click", () => stage.zoomBy(1.5)); on("zoom-out", "click", () => stage.zoomBy(1 / 1.5)); on("zoom-fit", "click", () => stage.whole());
on("fusion", "change", (event) => { view.fusion = event.target.value; refresh(); showAll(); });
on("other", "change", (event) => { view.other = event.target.value; if (view.layer !== "map") setLayer("map"); refresh(); showAll(); });
on("opacity", "input", (event) => { view.opacity = event.target.value / 100; stage.draw(); });
on("outlines", "change", (event) => { view.outlines = event.target.checked; stage.draw(); });
on("wipe", "input", (event) => setWipe(event.target.value / 1000));
on("show-all", "click", () => { view.hidden.clear(); showAll(); });
on("show-none", "click", () => { classes.forEach((_, label) => view.hidden.add(label)); showAll(); });
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => { const by = button.dataset.sort; view.sort = { by, down: view.sort.by === by ? !view.sort.down : by !== "name" }; showAll(); });
}
on("box-class", "change", (event) => { view.label = Number(event.target.value); changeBox(() => ({ label: view.label, tint: freeTint(view.label) })); commit(); });
on("box-slider", "input", (event) => { changeBox(() => ({ score: event.target.value / 1000 })); find("box-score").value = event.target.value / 1000; });
on("box-slider", "change", commit);
on("box-score", "change", (event) => { const score = Number(event.target.value); if (score >= 0 && score <= 1) changeBox(() => ({ score })); commit(); });
for (let number = 0; number < 4; number++) {
  on(`box-${number}`, "change", (event) => {
    const side = Number(event.target.value), { width, height } = view.scene;
    if (Number.isFinite(side)) changeBox(({ box }) => ({ box: ordered(box.map((each, place) => (place === number ? side : each)), width, height) }));
    commit();
  });
}
const addInTheMiddle = () => {
  if (!view.scene) return;
  const { width, height } = view.scene, [x, y] = view.keyed ?? [stage.center[0] * width, stage.center[1] * height], w = width / 8 / stage.zoom, h = height / 5 / stage.zoom;
  setMode("edit"); addBox(ordered([x - w, y - h, x + w, y + h], width, height)); commit(); find("stage").focus();
};
on("box-add", "click", addInTheMiddle); on("box-delete", "click", deleteBox);

// Dropping and pasting.
const frame = find("frame");
addEventListener("dragover", (event) => { event.preventDefault(); frame.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) frame.classList.remove("over"); });
addEventListener("drop", (event) => { event.preventDefault(); frame.classList.remove("over"); pick(event.dataTransfer.files); });
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) pick(event.clipboardData.files); });

// ---- keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let settle = 0;

find("stage").addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  if (!view.scene || event.ctrlKey || event.metaKey) return;
  const { width, height } = view.scene, by = event.shiftKey ? 10 : 1;
  if (arrow && view.mode === "edit" && view.selectedBox()) {
    event.preventDefault();
    const [dx, dy] = arrow.map((each) => each * by);
    changeBox(({ box }) => ({ box: event.altKey ? ordered([box[0], box[1], Math.max(box[2] + dx, box[0] + 1), Math.max(box[3] + dy, box[1] + 1)], width, height) : moved(box, dx, dy, width, height) }));
    clearTimeout(settle);
    settle = setTimeout(commit, 400); // a row of strokes is one step back
  } else if (arrow) {
    event.preventDefault();
    const [x, y] = view.keyed ?? view.pins.at(-1)?.xy ?? [Math.floor(width / 2), Math.floor(height / 2)];
    view.keyed = [Math.min(Math.max(x + arrow[0] * by, 0), width - 1), Math.min(Math.max(y + arrow[1] * by, 0), height - 1)];
    readout(); say(find("readout").textContent); stage.draw();
  } else if ((event.key === "Enter" || event.key === " ") && view.mode === "look" && view.keyed) { event.preventDefault(); pin(...view.keyed); }
});

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea") || find("help").open;
  const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
  if (command && key === "enter" && !find("help").open) { event.preventDefault(); accept(); return; }
  if (typing || event.altKey) return;
  if (command && (key === "z" || key === "y")) { event.preventDefault(); step(key === "y" || event.shiftKey); return; }
  if (command) return;
  const layer = ["map", "affinity", "margin", "differ"][Number(key) - 1], around = { "[": -1, "]": 1 }[key];
  if (layer && !find(`layer-${layer}`).disabled) setLayer(layer);
  else if (around && view.list().length) {
    const boxes = view.list(), at = boxes.findIndex((each) => each.uid === view.selected);
    setMode("edit"); select(boxes[(at < 0 ? (around > 0 ? 0 : boxes.length - 1) : at + around + boxes.length) % boxes.length].uid);
  } else if (key === "e") setMode(view.mode === "edit" ? "look" : "edit");
  else if (key === "n") { event.preventDefault(); addInTheMiddle(); }
  else if (key === "delete" || key === "backspace") { if (view.mode === "edit") { event.preventDefault(); deleteBox(); } }
  else if (key === "0") stage.whole();
  else if (key === ",") turn(-1); else if (key === ".") turn(1);
  else if (key === "?") find("help").showModal();
  else if (key === "escape") { view.pins = []; view.keyed = null; select(null); if (view.layer === "affinity") setLayer("map"); }
});

showAll();
const first = about.images.findIndex((each) => !each.accepted);
if (about.images.length) await open({ kind: "image", index: Math.max(first, 0) });
else if (about.samples) await open({ kind: "sample", index: ++sample });
