// Buttons, forms, dropped pictures and keys: what each asks for. `act` is what app.js can do.
import { moved, ordered } from "./boxes.js";
import { tellOff, whisper } from "./notices.js";
import { find, options } from "./panel.js";
import { FUSIONS, about, classes, things, view } from "./state.js";

const on = (id, name, work) => find(id).addEventListener(name, work);
const help = () => find("help").showModal();
let sample = about.images.length ? -1 : 0; // which one is on the stage when the page opens

export function listen(act) {
  fill();
  listenToBar(act); listenToLook(act); listenToForm(act); listenToFiles(act);
  on("stage", "keydown", (event) => { if (!event.ctrlKey && !event.metaKey && view.scene) stageKey(act, event); });
  addEventListener("keydown", (event) => pageKey(act, event));
}

function fill() {
  const fusions = about.fusions.map((each) => [each, FUSIONS[each].name]);
  options(find("fusion"), fusions, view.fusion);
  options(find("other"), [["", "nothing"], ...fusions], "");
  for (const each of [...find("fusion").options, ...find("other").options]) {
    each.title = FUSIONS[each.value]?.sentence ?? "";
  }
  options(find("box-class"), things.map((each, label) => [label, each.name]), 0);
  find("sample").hidden = !about.samples;
  find("folder").hidden = !about.images.length;
  find("accept").hidden = !about.accepts;
}

function listenToBar(act) {
  on("sample", "click", () => act.open({ kind: "sample", index: ++sample % about.samples }));
  on("images", "change", (event) => act.choose(Number(event.target.value)));
  on("previous", "click", () => act.turn(-1)); on("next", "click", () => act.turn(1));
  on("undo", "click", () => act.step(false)); on("redo", "click", () => act.step(true));
  on("reset", "click", act.reset); on("download", "click", act.download); on("accept", "click", act.accept);
  on("keys", "click", help);
}

function listenToLook(act) {
  const { stage } = act;
  for (const [name, set] of [["mode", act.setMode], ["layer", act.setLayer]]) {
    for (const radio of document.getElementsByName(name)) radio.addEventListener("change", () => set(radio.value));
  }
  on("zoom-in", "click", () => stage.zoomBy(1.5)); on("zoom-out", "click", () => stage.zoomBy(1 / 1.5));
  on("zoom-fit", "click", () => stage.whole());
  on("fusion", "change", (event) => { view.fusion = event.target.value; act.refresh(); act.showAll(); });
  on("other", "change", (event) => {
    view.other = event.target.value;
    if (view.layer !== "map") act.setLayer("map");
    act.refresh(); act.showAll();
  });
  on("opacity", "input", (event) => { view.opacity = event.target.value / 100; stage.draw(); });
  on("outlines", "change", (event) => { view.outlines = event.target.checked; stage.draw(); });
  on("wipe", "input", (event) => act.setWipe(event.target.value / 1000));
  on("show-all", "click", () => { view.hidden.clear(); act.showAll(); });
  on("show-none", "click", () => { classes.forEach((_, label) => view.hidden.add(label)); act.showAll(); });
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const by = button.dataset.sort;
      view.sort = { by, down: view.sort.by === by ? !view.sort.down : by !== "name" };
      act.showAll();
    });
  }
}

function listenToForm(act) {
  on("box-class", "change", (event) => act.setClass(Number(event.target.value)));
  on("box-slider", "input", (event) => {
    act.changeBox(() => ({ score: event.target.value / 1000 }));
    find("box-score").value = event.target.value / 1000;
  });
  on("box-slider", "change", act.commit);
  on("box-score", "change", (event) => {
    const score = Number(event.target.value);
    if (score >= 0 && score <= 1) act.changeBox(() => ({ score }));
    act.commit();
  });
  for (let number = 0; number < 4; number++) {
    on(`box-${number}`, "change", (event) => {
      const side = Number(event.target.value), { width, height } = view.scene;
      const change = ({ box }) => ({ box: ordered(box.with(number, side), width, height) });
      if (Number.isFinite(side)) act.changeBox(change);
      act.commit();
    });
  }
  on("box-add", "click", () => addInTheMiddle(act)); on("box-delete", "click", act.deleteBox);
}

function addInTheMiddle({ stage, setMode, addBox, commit }) {
  if (!view.scene) return;
  const { width, height } = view.scene, w = width / 8 / stage.zoom, h = height / 5 / stage.zoom;
  const [x, y] = view.keyed ?? [stage.center[0] * width, stage.center[1] * height];
  setMode("edit"); addBox(ordered([x - w, y - h, x + w, y + h], width, height)); commit();
  find("stage").focus();
}

// ---- dropping and pasting

const isPicture = (file) => file.type.startsWith("image/") || /\.tiff?$/i.test(file.name);

async function pick(act, given) {
  const files = [...given], file = files.find(isPicture);
  if (!files.length) return;
  if (!file) {
    const one = files.length === 1, what = one ? `${files[0].name} does not look` : "None of these files looks";
    tellOff(`${what} like a picture; PNG, JPEG, TIFF, WebP, BMP and GIF can be opened.`);
    return;
  }
  const others = `${file.name} is one of ${files.length} files; the others are left out. unipan serve --images opens folders.`;
  await act.open({ kind: "file", file }, files.length > 1 ? [others] : []);
}

function listenToFiles(act) {
  const frame = find("frame");
  on("file", "change", (event) => { pick(act, [...event.target.files]); event.target.value = ""; });
  addEventListener("dragover", (event) => { event.preventDefault(); frame.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) frame.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault(); frame.classList.remove("over");
    if (event.dataTransfer.files.length) pick(act, event.dataTransfer.files);
    else tellOff("What was dropped is no file; save the picture, and drop that.");
  });
  addEventListener("paste", (event) => pick(act, event.clipboardData?.files ?? []));
}

// ---- keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let settle = 0;

function stageKey(act, event) {
  const arrow = ARROWS[event.key], { width, height } = view.scene, by = event.shiftKey ? 10 : 1;
  if (arrow && view.mode === "edit" && view.selectedBox()) {
    event.preventDefault();
    const [dx, dy] = arrow.map((each) => each * by);
    const grown = ([x0, y0, x1, y1]) => {
      return ordered([x0, y0, Math.max(x1 + dx, x0 + 1), Math.max(y1 + dy, y0 + 1)], width, height);
    };
    act.changeBox(({ box }) => ({ box: event.altKey ? grown(box) : moved(box, dx, dy, width, height) }));
    clearTimeout(settle);
    settle = setTimeout(act.commit, 400); // a row of strokes is one step back
  } else if (arrow) {
    event.preventDefault();
    const last = view.pins.at(-1), [x, y] = view.keyed ?? (last ? [last.x, last.y] : [width >> 1, height >> 1]);
    const inside = (value, most) => Math.min(Math.max(value, 0), most - 1);
    view.keyed = [inside(x + arrow[0] * by, width), inside(y + arrow[1] * by, height)];
    act.showReadout(); whisper(find("readout").textContent); act.stage.draw();
  } else if ((event.key === "Enter" || event.key === " ") && view.mode === "look" && view.keyed) {
    event.preventDefault();
    act.pin(...view.keyed);
  }
}

const FIELDS = "input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea";

function pageKey(act, event) {
  const open = find("help").open, typing = event.target.matches?.(FIELDS) || open;
  const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
  if (command && key === "enter" && !open) {
    event.preventDefault();
    if (!event.repeat) act.accept();
    return;
  }
  if (typing || event.altKey) return;
  if (command && (key === "z" || key === "y")) { event.preventDefault(); act.step(key === "y" || event.shiftKey); }
  else if (!command) plainKey(act, event, key);
}

function plainKey(act, event, key) {
  const layer = ["map", "affinity", "margin", "differ"][Number(key) - 1], around = { "[": -1, "]": 1 }[key];
  if (layer && !find(`layer-${layer}`).disabled) act.setLayer(layer);
  else if (around && view.list().length) selectAround(act, around);
  else if (key === "e") act.setMode(view.mode === "edit" ? "look" : "edit");
  else if (key === "n") { event.preventDefault(); addInTheMiddle(act); }
  else if (key === "delete" || key === "backspace") {
    if (view.mode === "edit") { event.preventDefault(); act.deleteBox(); }
  } else if (key === "0") act.stage.whole();
  else if (key === "," || key === ".") act.turn(key === "," ? -1 : 1);
  else if (key === "?") help();
  else if (key === "escape") letGo(act);
}

function selectAround(act, by) {
  const boxes = view.list(), at = boxes.findIndex((each) => each.uid === view.selected);
  const from = at >= 0 ? at : by > 0 ? -1 : boxes.length;
  act.setMode("edit");
  act.select(boxes[(from + by + boxes.length) % boxes.length].uid);
}

function letGo(act) {
  view.pins = []; view.keyed = null;
  act.select(null);
  if (view.layer === "affinity") act.setLayer("map");
}
