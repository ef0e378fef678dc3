// Sorts the tables, sorts and filters the pictures. The address keeps the choice (#class=car&order=name), so that a
// view can be sent to a colleague and opened by a test.
"use strict";

const value = (row, column) => {
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
};

const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));

function sortTable(table, column, descending) {
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (descending ? -1 : 1) * compare(value(a, column), value(b, column)));
  table.tBodies[0].append(...rows);
  for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const turn = () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      sortTable(table, column, descending);
      remember({ [table.id]: `${column}${descending ? "-" : ""}` });
    };
    head.tabIndex = 0;
    head.addEventListener("click", turn);
    head.addEventListener("keydown", (event) => event.key === "Enter" && turn());
  });
}

const gallery = document.getElementById("gallery");
const controls = gallery
  ? Object.fromEntries(["class", "order", "text"].map((name) => [name, document.getElementById(`by-${name}`)]))
  : {};

function showGallery() {
  const wanted = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value]));
  const cards = [...gallery.querySelectorAll("article")];
  const key = (card) => (wanted.order === "name" ? card.dataset.name : Number(card.dataset[wanted.order]));
  const upward = wanted.order === "pq" || wanted.order === "name";
  cards.sort((a, b) => (upward ? 1 : -1) * compare(key(a), key(b)));
  let shown = 0;
  for (const card of cards) {
    const classes = card.dataset.classes.split("|");
    const fits = (!wanted.class || classes.includes(wanted.class)) &&
      card.dataset.name.toLowerCase().includes(wanted.text.trim().toLowerCase());
    card.hidden = !fits;
    shown += fits;
  }
  gallery.append(...cards);
  document.getElementById("shown").textContent = `${shown} of ${cards.length} shown`;
}

function remember(change) {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, text] of Object.entries(change)) text ? state.set(name, text) : state.delete(name);
  history.replaceState(null, "", `#${state}`);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, control] of Object.entries(controls)) {
    const found = state.get(name);
    if (found !== null) control.value = found;
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.selectedIndex = 0;
  }
  for (const table of document.querySelectorAll("table.bars")) {
    const [, column, down] = /^(\d+)(-?)$/.exec(state.get(table.id) ?? "") ?? [];
    if (column && column < table.tHead.rows[0].cells.length) sortTable(table, Number(column), down === "-");
  }
  if (gallery) showGallery();
}

document.querySelectorAll("table.bars").forEach(makeSortable);
for (const [name, control] of Object.entries(controls)) {
  control.addEventListener("input", () => {
    remember({ [name]: control.value });
    showGallery();
  });
}
addEventListener("hashchange", restore);
restore();
