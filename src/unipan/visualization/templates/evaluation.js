// Sorts and filters the pictures; sort.js, which comes first, sorts the tables. The address keeps the choice
// (#class=car&order=name), so that a view can be sent to a colleague and opened by a test.

const gallery = document.getElementById("gallery");
const controls = gallery
  ? Object.fromEntries(["class", "order", "text"].map((name) => [name, document.getElementById(`by-${name}`)]))
  : {};

const FEW = 4; // worst images that are shown before the other sections, until more are wanted
const more = document.getElementById("more");
let everything = false;
more?.addEventListener("click", () => {
  everything = true;
  remember({ all: "1" });
  showGallery();
});

function showGallery() {
  const wanted = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
  const cards = [...gallery.querySelectorAll("article")];
  const key = (card) => (wanted.order === "name" ? card.dataset.name : Number(card.dataset[wanted.order]));
  const upward = wanted.order === "pq" || wanted.order === "name";
  cards.sort((a, b) => (upward ? 1 : -1) * compare(key(a), key(b)));
  const few = !everything && !wanted.class && !wanted.text.trim();
  let shown = 0;
  for (const card of cards) {
    const classes = card.dataset.classes.split("|");
    const fits = (!wanted.class || classes.includes(wanted.class)) &&
      card.dataset.name.toLowerCase().includes(wanted.text.trim().toLowerCase());
    card.hidden = !fits || (few && shown >= FEW);
    shown += fits && !card.hidden;
  }
  gallery.append(...cards);
  more.hidden = !few || cards.length <= FEW;
  more.textContent = `Show all ${cards.length}`;
  document.getElementById("shown").textContent = `${shown} of ${cards.length} shown`;
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, control] of Object.entries(controls)) {
    const found = state.get(name);
    if (found !== null) control.value = found;
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.selectedIndex = 0;
  }
  everything = state.has("all");
  restoreTables();
  if (gallery) showGallery();
}

for (const [name, control] of Object.entries(controls)) {
  control.addEventListener("input", () => {
    remember({ [name]: control.value });
    showGallery();
  });
}
addEventListener("hashchange", restore);
restore();
