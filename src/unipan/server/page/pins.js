// Clicked pixels: what a click asks, and when it is shown.
import { Early } from "./early.js";
import { complain, quiet } from "./notices.js";
import { about, view } from "./state.js";
import { keyAt } from "./words.js";

const AT_ONCE = 80; // milliseconds in which an answer needs nothing to be shown before it

const inPicture = (x, y) => x >= 0 && y >= 0 && x < view.scene.width && y < view.scene.height;

/** What a resting mouse, a button going down and a click do; `guess` and `ask` promise the affinities of a pixel, see Early. */
export function pinning({ guess, ask, setLayer, setWipe, showAll, timing }) {
  const early = new Early(guess, ask);
  let awaited = null;

  function press(x, y) { if (about.affinity && inPicture(x, y)) early.press(view.scene, x, y); }

  /** The mouse is over a pixel, or over none. */
  function rest(x, y) {
    if (about.affinity && view.scene && inPicture(x, y)) early.rest(view.scene, x, y);
    else early.leave();
  }

  async function pin(x, y, time = performance.now()) {
    if (!inPicture(x, y)) return;
    quiet();
    view.marked = keyAt(view.fusion, x, y);
    if (!about.affinity) { showAll(); return; }
    awaited?.(); // the click before is shown, with or without its answer
    const own = { x, y, data: null }, scene = view.scene, answer = early.answer(scene, x, y);
    const show = () => {
      if (scene !== view.scene || view.pins.includes(own)) return;
      view.pins = view.layer === "affinity" && view.pins.length === 1 ? [...view.pins, own] : [own];
      setLayer("affinity");
    };
    awaited = show;
    const waiting = setTimeout(show, AT_ONCE);
    try {
      own.data = await answer;
      if (awaited === show) show();
      if (!view.pins.includes(own)) return; // of a picture or a click that is gone
      if (view.pins.length > 1) setWipe((view.pins[0].x + view.pins[1].x + 1) / 2 / scene.width);
      timing(time);
      showAll();
    } catch (error) {
      view.pins = view.pins.filter((each) => each !== own);
      if (view.layer === "affinity" && !view.pins.length) setLayer("map");
      complain(error); showAll();
    } finally {
      clearTimeout(waiting);
      if (awaited === show) awaited = null;
    }
  }

  return { press, rest, pin };
}
