// What the page says beside the picture: refusals, news that stay until the next act, and words for screen readers.
import { Refused } from "./api.js";
import { find } from "./panel.js";

export function complain(error) {
  tellOff(error.message || String(error));
  if (!(error instanceof Refused)) console.error(error);
}

/** A sentence of what did not work. */
export function tellOff(sentence) {
  find("alert").textContent = sentence; find("alert").hidden = false;
}

/** What was done, visible until the next act; commands are what to type next. */
export function tell(sentence, commands = []) {
  const line = find("news"), parts = commands.map((each) => {
    const code = document.createElement("code");
    code.textContent = each;
    return code;
  });
  line.replaceChildren(sentence, ...parts);
  line.hidden = false;
}

/** The next act begins. */
export function quiet() { find("alert").hidden = true; find("news").hidden = true; }

/** For screen readers alone: what everybody else sees. */
export function whisper(sentence) { find("status").textContent = sentence; }
