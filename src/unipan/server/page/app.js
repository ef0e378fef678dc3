// The page: what each act does with its state, and how the page follows.
import * as api from "./api.js";
import { History } from "./boxes.js";
import { listen } from "./controls.js";
import { Folder } from "./folder.js";
import { complain, quiet, tell, whisper } from "./notices.js";
import { pinsFromLeft, sides } from "./overlays.js";
import { colorBar, greyed } from "./paint.js";
import { find, showBox, showLegend, showSegments } from "./panel.js";
import { pinning } from "./pins.js";
import { Stage } from "./stage.js";
import { FUSIONS, LAYERS, about, changed, classes, plain, shownIndex, things, view } from "./state.js";
import { DRAWINGS, boxNote, hasVoid, readout, scale, tableTitle } from "./words.js";

Object.assign(view, { sides, wiping: () => sides().length > 1 });
let uids = 0;

const stage = new Stage(find("stage"), view, {
  hover: (at) => { view.hovered = at; showReadout(); stage.draw(); },
  press: (x, y) => press(x, y),
  rest: (x, y) => rest(x, y),
  click: (x, y, time) => pin(x, y, time),
  wipe: (place) => setWipe(place),
  select: (uid) => select(uid),
  change: (uid, box, time) => draft(view.list().map((each) => (each.uid === uid ? { ...each, box } : each)), time),
  add: (box, time) => addBox(box, time),
  done: () => commit(),
});
const folder = new Folder(load);

// ---- maps, live: one request at a time, and always the latest boxes

function wanted(fusions, margin = false) {
  const boxes = view.list().map(({ box, label, score, tint }) => ({ box, label, score, tint }));
  return { boxes, fusions, margin };
}

function wantedNow() {
  const found = [view.fusion];
  if (view.other) found.push(view.other);
  if (view.layer === "differ") found.push("affinity", "potential");
  return wanted([...new Set(found)], view.layer === "margin");
}

function takeMaps(answer, boxes) {
  for (const [fusion, segments] of Object.entries(answer.maps)) {
    for (const each of segments) each.key = each.box === null ? `class ${each.label}` : `box ${boxes[each.box].uid}`;
    view.maps[fusion] = { ids: answer.arrays[fusion], segments };
  }
  for (const fusion of Object.keys(view.maps)) if (!(fusion in answer.maps)) delete view.maps[fusion];
  view.mapped = new Map(boxes.map((each) => [each.uid, each]));
  view.margin = answer.arrays.margin ?? null; view.marginLimit = answer.margin;
}

let running = false, again = false, since = null;

async function refresh(time = performance.now()) {
  since ??= time;
  if (running) { again = true; return; }
  running = true;
  try {
    do {
      again = false;
      const started = since, picture = view.bitmap, boxes = view.list(), asked = wantedNow();
      since = null;
      if (!view.scene) break;
      const answer = await reopening((key) => api.maps(key, asked));
      if (picture !== view.bitmap) continue;
      takeMaps(answer, boxes);
      timing(started);
      showAll();
    } while (again);
  } catch (error) { complain(error); } finally { running = false; }
}

function timing(started) {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    find("timing").textContent = `shown in ${Math.max(1, Math.round(performance.now() - started))} ms`;
  }));
}

/** Do something with the scene; if the server has let it go, open it again first. */
async function reopening(work) {
  const scene = view.scene;
  try { return await work(scene.key); } catch (error) {
    if (error.status !== 410) throw error;
    scene.opening ??= api.open(scene.source).finally(() => { scene.opening = null; });
    const { key, name, version } = await scene.opening;
    if (version !== scene.version) {
      api.close(key);
      throw new api.Refused(409, `${name} has changed since it was opened; open it again`);
    }
    scene.key = key;
    return work(scene.key);
  }
}

// ---- opening

let opens = 0;

/** Open a picture: "open"; "overtaken" by another one; "kept", since the boxes changed meanwhile; or the error. */
async function load(source) {
  const own = ++opens, before = plain(view.list());
  find("busy").hidden = false; find("empty").hidden = true;
  try {
    const found = await api.open(source), bitmap = await api.picture(found.key);
    if (own !== opens || (plain(view.list()) !== before && !leave())) {
      api.close(found.key);
      return own === opens ? "kept" : "overtaken";
    }
    if (view.scene) api.close(view.scene.key);
    begin(found, bitmap, source);
    await refresh();
    whisper(`${found.name}: ${view.network.length} detections`);
    return "open";
  } catch (error) { return own === opens ? error : "overtaken"; } finally {
    if (own === opens) find("busy").hidden = true;
    showAll();
  }
}

function begin(found, bitmap, source) {
  const numbered = (each) => ({ ...each, uid: ++uids }), { key, name, version, width, height, drawings } = found;
  const network = found.found.map(numbered), start = found.kept?.map(numbered) ?? network;
  Object.assign(view, {
    scene: { key, name, version, width, height, drawings, source }, network, history: new History(start),
    saved: plain(start), draft: null,
    bitmap, grey: greyed(bitmap), maps: {}, mapped: new Map(), margin: null, selected: null, marked: null,
    hoveredRow: null, pins: [], keyed: null, adding: false,
  });
  view.cache.clear();
  document.title = `${name} – unipan`;
  folder.show();
  if (view.layer === "affinity") setLayer("map");
  stage.whole(); stage.fit();
  showAll();
}

/** What a person opens: boxes that would be lost are asked about. With it come sentences to be told then. */
async function open(source, sentences = []) {
  if (!leave()) return;
  quiet();
  const result = await load(source);
  if (result instanceof Error) complain(result);
  if (result === "open" && source.kind === "file" && view.scene.drawings) sentences.push(DRAWINGS.trim());
  if (sentences.length && result !== "overtaken") tell(sentences.join(" "));
}

const turn = (by) => { if (about.images.length && leave()) { quiet(); folder.turn(by); } };
const choose = (index) => { if (leave()) { quiet(); folder.choose(index); } else folder.show(); };

function leave() {
  if (!changed()) return true;
  const lost = about.accepts ? "are not accepted yet" : "are kept nowhere yet; Download keeps them";
  return confirm(`${view.scene.name}: the changed boxes ${lost}. Leave them?`);
}
addEventListener("beforeunload", (event) => { if (changed()) event.preventDefault(); });

// ---- affinities

const { press, rest, pin } = pinning({
  guess: (x, y, scene) => api.affinity(scene.key, x, y), ask: (x, y) => reopening((key) => api.affinity(key, x, y)),
  setLayer: (layer) => setLayer(layer), setWipe: (place) => setWipe(place), showAll: () => showAll(), timing,
});

// ---- boxes

function draft(boxes, time) { view.draft = boxes; showBoxForm(); stage.draw(); refresh(time); }

function commit() {
  if (view.draft) {
    quiet();
    view.history.push(view.draft); view.draft = null; view.adding = false;
    refresh();
  }
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

function setClass(label) {
  view.label = label;
  changeBox(() => ({ label, tint: freeTint(label) }));
  commit();
}

function deleteBox() {
  if (view.selectedBox() === null) return;
  view.draft = view.list().filter((each) => each.uid !== view.selected);
  view.selected = null; view.marked = null;
  commit();
}

function reset() {
  view.draft = view.network; view.selected = null; view.marked = null;
  commit();
}

function select(uid) {
  view.selected = uid; view.marked = uid === null ? null : `box ${uid}`;
  const box = view.selectedBox();
  if (box) view.label = box.label;
  showAll();
}

/** Of the table: a segment is marked, and its box selected. */
function selectRow(key) {
  const next = key === view.marked ? null : key;
  select(next?.startsWith("box ") ? Number(next.slice(4)) : null);
  view.marked = next;
  showAll();
}

function step(forward) {
  view.draft = null;
  if (!(forward ? view.history.redo() : view.history.undo())) return;
  quiet();
  if (!view.selectedBox()) view.selected = null;
  refresh(); showAll();
}

// ---- accepting

let accepting = false;

/** Whether there is a map that somebody can have looked at. */
const acceptable = () => view.scene !== null && view.fusion in view.maps && !accepting;

async function accept() {
  if (!about.accepts || !acceptable()) return;
  commit(); quiet();
  const boxes = view.history.present, index = shownIndex(), asked = wanted([view.fusion]), latest = opens;
  accepting = true; showAll();
  try {
    const answer = await reopening((key) => api.accept(key, asked));
    if (latest === opens) view.saved = plain(boxes);
    if (index >= 0) about.images[index].accepted = true;
    folder.show();
    const images = `${answer.accepted} image${answer.accepted === 1 ? "" : "s"}`;
    const done = `${answer.name} is accepted; the dataset has ${images}.`;
    tell(latest === opens && changed() ? `${done} The boxes were changed since: accept them again.` : done);
    if (index < 0 || latest !== opens || changed() || (await folder.goOn(index))) return;
    tell(`${done} ${folder.finished()} Next, in a terminal:`, about.next);
  } catch (error) { complain(error); } finally { accepting = false; showAll(); }
}

async function download() {
  const boxes = view.list(), { name } = view.scene, asked = wanted([view.fusion]), latest = opens;
  try {
    const blob = await reopening((key) => api.download(key, asked));
    const link = document.createElement("a"), address = URL.createObjectURL(blob);
    link.href = address; link.download = `${name.replace(/\.[^.]*$/, "").replaceAll("/", "_")}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    if (!about.accepts && latest === opens) view.saved = plain(boxes);
  } catch (error) { complain(error); }
}

// ---- the page follows the state

function showReadout() {
  const [strong, rest] = readout(), start = document.createElement("b");
  start.textContent = strong;
  find("readout").replaceChildren(start, rest);
}

function showScale() {
  const { kind, ticks, note } = scale();
  find("scale-row").hidden = view.layer === "map";
  find("scale").hidden = find("ticks").hidden = !kind;
  if (kind) colorBar(find("scale"), kind);
  ["low", "middle", "high"].forEach((each, place) => { find(`tick-${each}`).textContent = ticks?.[place] ?? ""; });
  find("scale-note").textContent = note;
}

function showBoxForm() {
  const drawing = stage.gesture?.kind === "draw";
  const editing = view.mode === "edit" && view.scene !== null;
  showBox(view.selectedBox(), things, editing, view.label, drawing ? "" : boxNote());
}

let tabled = [];

/** Segments, classes and their headings; made anew only where they change, since that takes longer than the rest. */
function showTables() {
  const map = view.maps[view.fusion], segments = map?.segments ?? [], { fusion, other, layer, marked, hidden, sort } = view;
  const parts = [map, view.maps[other], view.scene, fusion, other, layer, marked, [...hidden].join(), sort];
  if (parts.length === tabled.length && parts.every((each, place) => each === tabled[place])) return;
  tabled = parts;
  const total = view.scene ? view.scene.width * view.scene.height : 1, counts = new Map();
  for (const each of segments) counts.set(each.label, (counts.get(each.label) ?? 0) + 1);
  showSegments(segments, classes, total, {
    sort: view.sort, selected: view.marked, hidden: view.hidden, onSelect: selectRow,
    onHover: (key) => { view.hoveredRow = key; stage.draw(); },
  });
  find("table-title").textContent = tableTitle();
  find("fusion-note").textContent = FUSIONS[view.fusion].sentence;
  const toggle = (label, shown) => { if (shown) view.hidden.delete(label); else view.hidden.add(label); showAll(); };
  showLegend(classes, counts, view.hidden, toggle, { fixed: view.layer !== "map", withVoid: hasVoid() });
}

/** Whatever would change nothing is disabled. */
function enable() {
  const { layer, scene } = view, set = (ids, works) => { for (const id of ids) find(id).disabled = !works; };
  set(["opacity"], layer === "map" || layer === "margin");
  set(["outlines", "fusion", "other"], layer !== "differ");
  set(["show-all", "show-none"], layer === "map");
  set(["undo"], view.history.past.length); set(["redo"], view.history.future.length);
  set(["reset"], scene && plain(view.list()) !== plain(view.network));
  set(["download", "zoom-in", "zoom-out", "zoom-fit"], scene); set(["accept"], acceptable());
}

function showAll() {
  showTables(); showBoxForm(); showScale(); showReadout(); enable();
  find("wipe-row").hidden = !view.wiping();
  const pinned = () => pinsFromLeft().map((each) => `pixel ${view.pins.indexOf(each) + 1}`);
  const compared = () => [FUSIONS[view.fusion].name, FUSIONS[view.other]?.name ?? ""];
  const [left, right] = view.layer === "affinity" ? pinned() : compared();
  find("wipe-left").textContent = left ?? ""; find("wipe-right").textContent = right ?? "";
  find("stage").classList.toggle("editing", view.mode === "edit");
  find("empty").hidden = view.scene !== null || !find("busy").hidden;
  stage.draw();
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

function setWipe(place) {
  view.wipe = place;
  find("wipe").value = Math.round(place * 1000);
  stage.draw(); showReadout();
}

// ---- the start

find("network").textContent = about.network;
for (const [layer, sentence] of Object.entries(LAYERS)) find(`layer-${layer}`).nextElementSibling.title = sentence;
for (const layer of ["affinity", "differ"]) find(`layer-${layer}`).disabled = !about.affinity;
listen({
  stage, open, turn, choose, pin, commit, addBox, changeBox, setClass, deleteBox, reset, select, step, accept, download,
  refresh, showAll, showReadout, setLayer, setMode, setWipe,
});
showAll();
if (about.images.length) {
  await folder.start();
  if (about.drawings) tell(DRAWINGS);
}
else if (about.samples) await open({ kind: "sample", index: 0 });
