// A mouse rests before its button goes down, which goes up some 80 ms later: what a click will ask is asked meanwhile.

const REST = 50; // milliseconds after which a mouse that has not moved may be about to click
const QUICK = 80; // an answer that takes longer than these milliseconds would keep a click elsewhere waiting

export class Early {
  #asked = null;
  #resting = null;
  #awaited = 0; // guesses that are not answered yet
  #quick = true;

  /** Both promise the answer about a pixel; `guess(x, y, picture)` may fail, since nobody has clicked yet. */
  constructor(guess, ask) { this.guess = guess; this.ask = ask; }

  /** The mouse is over a pixel of a picture; if it stays there, it may become a click. */
  rest(picture, x, y) {
    this.leave();
    this.#resting = setTimeout(() => {
      if (this.#awaited) this.rest(picture, x, y);
      else if (this.#quick) this.press(picture, x, y);
    }, REST);
  }

  /** The mouse is over no pixel any more. */
  leave() { clearTimeout(this.#resting); }

  /** The button went down on a pixel of a picture; it may become a click. */
  press(picture, x, y) {
    this.leave();
    if (this.#isAbout(picture, x, y)) return;
    const asked = { picture, x, y, answer: this.guess(x, y, picture) }, since = performance.now();
    this.#asked = asked;
    this.#awaited++;
    asked.answer.then(
      () => { this.#quick = performance.now() - since < QUICK; },
      () => { if (this.#asked === asked) this.#asked = null; }, // of a drag or a rest, nobody wants to know
    ).finally(() => { this.#awaited--; });
  }

  /** The answer, guessed before or asked now. */
  answer(picture, x, y) {
    this.leave();
    const guessed = this.#isAbout(picture, x, y) ? this.#asked.answer : null;
    this.#asked = null;
    return guessed ? guessed.catch(() => this.ask(x, y)) : this.ask(x, y);
  }

  #isAbout(picture, x, y) { return this.#asked?.picture === picture && this.#asked.x === x && this.#asked.y === y; }
}
