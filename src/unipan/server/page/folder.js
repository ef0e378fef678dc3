// The images of the chosen folder: where one is, which are accepted, and which cannot be opened.
import { Refused } from "./api.js";
import { complain, tell, tellOff } from "./notices.js";
import { find, options } from "./panel.js";
import { about, shownIndex, view } from "./state.js";

const BROKEN = [400, 404, 413, 500, 507];
/* What the server answers about an image that it cannot open; anything else may pass. */

export class Folder {
  /** `load` opens a picture, see app.js. */
  constructor(load) { this.load = load; this.show(); }

  /** The list and the progress. */
  show() {
    const mark = ({ name, accepted, broken }) => {
      if (broken) return `✗ ${name}, cannot be opened`;
      return accepted ? `✓ ${name}` : name;
    };
    options(find("images"), about.images.map((each, index) => [index, mark(each)]));
    find("images").selectedIndex = view.scene ? shownIndex() : view.index; // -1: nothing of the folder
    const count = (kind) => about.images.filter((each) => each[kind]).length, words = [];
    if (about.accepts) words.push(`${count("accepted")} of ${about.images.length} accepted`);
    if (count("broken")) words.push(`${count("broken")} left out`);
    find("progress").textContent = words.join(", ");
  }

  /** All places after one, going round; that one is the last. */
  after(index, by = 1) {
    const count = about.images.length;
    return Array.from({ length: count }, (_, each) => (((index + by * (each + 1)) % count) + count) % count);
  }

  /** Open the first of these that can be opened; those that cannot are marked and named. True if the walk is over. */
  async walk(places) {
    const origin = view.index, reasons = [];
    for (const index of places) {
      view.index = index;
      const result = await this.load({ kind: "image", index });
      if (result === "open") { about.images[index].broken = false; this.show(); }
      if (result === "kept") view.index = origin;
      if (!(result instanceof Error)) return true;
      if (!(result instanceof Refused && BROKEN.includes(result.status))) {
        view.index = origin;
        this.show(); complain(result);
        return true;
      }
      about.images[index].broken = true;
      reasons.push(result.message);
      tellOff(`Left out: ${reasons.join("; ")}`);
      this.show();
    }
    view.index = origin;
    this.show();
    return false;
  }

  unbroken(places) { return places.filter((each) => !about.images[each].broken); }

  /** To the next image that can be opened, or to the previous one. */
  async turn(by) {
    const from = view.index < 0 && by < 0 ? 0 : view.index;
    const places = this.unbroken(this.after(from, by)).filter((each) => each !== shownIndex());
    if (!(await this.walk(places))) tell("No other image of the folder can be opened.");
  }

  /** One of the list, even if it could not be opened before. */
  choose(index) { return this.walk([index]); }

  /** After an image is accepted: true if there was another one to do. */
  goOn(index) { return this.walk(this.unbroken(this.after(index)).filter((each) => !about.images[each].accepted)); }

  /** At the end of the folder. */
  finished() {
    const broken = about.images.filter((each) => each.broken && !each.accepted).length;
    const which = broken ? `that can be opened (${broken} cannot) ` : "";
    return `All images of the folder ${which}are accepted.`;
  }

  /** The first that is not accepted, or else the first. */
  async start() {
    const places = this.after(-1), rest = places.filter((each) => !about.images[each].accepted);
    if (!(await this.walk([...rest, ...places.filter((each) => !rest.includes(each))]))) view.index = 0;
  }
}
