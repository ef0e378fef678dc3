// A finger goes up some 80 ms after it came down: what a click will ask is asked meanwhile.

export class Early {
  #asked = null;

  /** `ask(x, y)` promises the answer about a pixel. */
  constructor(ask) { this.ask = ask; }

  /** A finger came down on a pixel of a picture; it may become a click. */
  press(picture, x, y) {
    this.#asked = { picture, x, y, answer: this.ask(x, y) };
    this.#asked.answer.catch(() => {}); // of a drag, nobody wants to know
  }

  /** The answer, asked before or now. */
  answer(picture, x, y) {
    const asked = this.#asked;
    this.#asked = null;
    return asked?.picture === picture && asked.x === x && asked.y === y ? asked.answer : this.ask(x, y);
  }
}
