// A mouse button goes up some 80 ms after it went down: what a click will ask is asked meanwhile.

export class Early {
  #asked = null;

  /** Both promise the answer about a pixel; `guess(x, y)` may fail, since nobody has clicked yet. */
  constructor(guess, ask) { this.guess = guess; this.ask = ask; }

  /** The button went down on a pixel of a picture; it may become a click. */
  press(picture, x, y) {
    this.#asked = { picture, x, y, answer: this.guess(x, y) };
    this.#asked.answer.catch(() => {}); // of a drag, nobody wants to know
  }

  /** The answer, guessed before or asked now. */
  answer(picture, x, y) {
    const asked = this.#asked;
    this.#asked = null;
    const right = asked?.picture === picture && asked.x === x && asked.y === y;
    return right ? asked.answer.catch(() => this.ask(x, y)) : this.ask(x, y);
  }
}
