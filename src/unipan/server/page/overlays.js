// What lies over the picture: one side, or the two sides of a wipe.
import { affinityOverlay, differOverlay, mapOverlay, marginOverlay, outlines } from "./paint.js";
import { classes, view } from "./state.js";

function cached(name, parts, make) {
  const found = view.cache.get(name);
  const same = found?.parts.length === parts.length && found.parts.every((each, number) => each === parts[number]);
  if (same) return found.value;
  const value = make();
  view.cache.set(name, { parts, value });
  return value;
}

function side(fusion, number) {
  const map = view.maps[fusion];
  if (!map) return null;
  const look = [map, view.opacity, [...view.hidden].join()];
  const overlay = cached(`map ${number}`, look, () => mapOverlay(map, view.opacity, view.hidden, classes));
  const edges = view.outlines ? cached(`edges ${number}`, [map], () => outlines(map.ids)) : null;
  const key = view.hoveredRow ?? view.marked, segment = map.segments.find((each) => each.key === key);
  const around = () => outlines(map.ids, segment.id);
  const marked = segment ? cached(`marked ${number}`, [map, segment.id], around) : null;
  return { overlay, edges, marked, smooth: false };
}

/** Outlines alone. */
function faint() {
  const found = side(view.fusion, 0);
  return found && { edges: found.edges, marked: found.marked };
}

/** Where the colours of all clicked pixels end. */
export const affinityLimit = () => Math.max(...view.pins.map((each) => each.data?.limit ?? 0));

/** Each pixel's affinities are shown on its own side of the wipe. */
export const pinsFromLeft = () => view.pins.filter((each) => each.data).sort((a, b) => a.x - b.x);

function affinitySides() {
  const limit = affinityLimit(), ready = pinsFromLeft();
  if (!ready.length) return [faint()];
  return ready.map(({ data }, number) => {
    const values = { affinity: data.arrays.affinity, scale: data.scale };
    const overlay = cached(`affinity ${number}`, [data, limit], () => affinityOverlay(values, limit));
    return { overlay, edges: faint()?.edges, smooth: true };
  });
}

/** Where P and Ψ differ; null as long as one of them is not there. */
export function difference() {
  const first = view.maps.affinity, second = view.maps.potential;
  return first && second ? cached("differ", [first, second], () => differOverlay(first, second)) : null;
}

export function sides() {
  if (view.layer === "affinity") return affinitySides();
  if (view.layer === "margin") {
    if (!view.margin) return [faint()];
    const parts = [view.margin, view.opacity];
    return [{ ...faint(), overlay: cached("margin", parts, () => marginOverlay(...parts)), smooth: false }];
  }
  if (view.layer === "differ") return [{ overlay: difference()?.canvas, smooth: false }];
  const first = side(view.fusion, 0);
  return view.other ? [first, side(view.other, 1)] : [first];
}
