// What the page knows: the network, as the server tells of it, and what is looked at.
import * as api from "./api.js";
import { History } from "./boxes.js";
import { complain } from "./notices.js";

export const about = await api.overview().catch((error) => { complain(error); throw error; });
export const classes = about.classes, things = classes.filter((each) => each.thing);

export const FUSIONS = {
  affinity: {
    name: "argmax of P",
    sentence: "Each pixel goes to the largest channel of P = Ψ + AΨ: boxes and classes, revised by affinities.",
  },
  potential: {
    name: "argmax of Ψ",
    sentence: "Each pixel goes to the largest channel of Ψ: boxes and classes, without affinities.",
  },
  heuristic: {
    name: "heuristic",
    sentence: "Rules: masks are painted in the order of their scores, stuff fills the rest, what is left is void.",
  },
  upsnet: {
    name: "UPSNet",
    sentence: "UPSNet's fusion: a largest channel as well, of masks and classes, with one for void.",
  },
};

export const LAYERS = {
  map: "The segments in their colours, over the picture.",
  affinity: "How much the pixel that you click attracts or repels every other one.",
  margin: "By how much the best channel leads the second one: where little, the argmax is unsure.",
  differ: "The pixels that P and Ψ give to different boxes or classes: what affinities change.",
};

export const view = {
  scene: null, // key, name, width, height, drawings, source
  index: -1, // the place in the folder; it moves on even where an image cannot be opened
  history: new History([]), saved: "[]", draft: null, network: [],
  bitmap: null, grey: null, maps: {}, mapped: new Map(), margin: null, marginLimit: 0, cache: new Map(),
  mode: "look", layer: "map", fusion: about.fusion, other: "", wipe: 0.5,
  opacity: 0.62, outlines: true, hidden: new Set(), sort: { by: "area", down: true },
  selected: null, marked: null, hovered: null, hoveredRow: null, pins: [], keyed: null, adding: false, label: 0,
  boxes() {
    return this.list().map((each) => {
      const own = things[each.label];
      return { ...each, name: own.name, color: own.tints[each.tint % 64] };
    });
  },
  list() { return this.draft ?? this.history.present; },
  selectedBox() { return this.boxes().find((each) => each.uid === this.selected) ?? null; },
  ground() { return this.layer === "map" ? this.bitmap : this.grey; },
};

/** The image of the folder that is on the stage, or -1. */
export const shownIndex = () => (view.scene?.source.kind === "image" ? view.scene.source.index : -1);

export const plain = (boxes) => JSON.stringify(boxes.map(({ box, label, score }) => [box, label, score]));
export const changed = () => view.scene !== null && plain(view.list()) !== view.saved;
