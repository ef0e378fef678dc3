// Sorts tables. The address keeps the choice (#images=2-), so that a view can be sent to a colleague.
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
    if (head.classList.contains("fixed")) return;
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

function remember(change) {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, text] of Object.entries(change)) text ? state.set(name, text) : state.delete(name);
  history.replaceState(null, "", `#${state}`);
}

function restoreTables() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const table of document.querySelectorAll("table.bars")) {
    const [, column, down] = /^(\d+)(-?)$/.exec(state.get(table.id) ?? "") ?? [];
    if (column && column < table.tHead.rows[0].cells.length) sortTable(table, Number(column), down === "-");
  }
}

document.querySelectorAll("table.bars").forEach(makeSortable);
