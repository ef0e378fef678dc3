// The right column: table of segments, classes, the form of the selected box.

export const find = (id) => document.getElementById(id);

export function swatch(color) {
  const mark = document.createElement("span");
  mark.className = "swatch"; mark.setAttribute("aria-hidden", "true");
  mark.style.background = `rgb(${color.join(" ")})`;
  return mark;
}

/** The rows of the table; `sort` is {by, down}. */
export function showSegments(segments, classes, total, { sort, selected, hidden, onSelect, onHover }) {
  const value = { name: (each) => classes[each.label].name, score: (each) => each.score, area: (each) => each.area }[sort.by];
  const compare = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : b.area - a.area);
  const rows = [...segments].sort((a, b) => (sort.down ? compare(b, a) : compare(a, b))), body = find("segments").tBodies[0];
  const focused = document.activeElement?.closest?.("#segments tbody tr")?.dataset.key;
  body.replaceChildren(...rows.map((each) => {
    const row = document.createElement("tr"), name = document.createElement("td"), button = document.createElement("button");
    row.dataset.key = each.key;
    const word = document.createElement("span");
    word.textContent = button.title = classes[each.label].name;
    button.append(swatch(each.color), word);
    button.setAttribute("aria-pressed", String(each.key === selected));
    button.addEventListener("click", () => onSelect(each.key));
    row.addEventListener("pointerenter", () => onHover(each.key));
    row.addEventListener("pointerleave", () => onHover(null));
    row.className = `${each.key === selected ? "selected" : ""} ${hidden.has(each.label) ? "off" : ""}`.trim();
    name.append(button);
    row.append(name, cell(each.score.toFixed(3)), cell(share(each.area / total)));
    return row;
  }));
  if (focused) body.querySelector(`tr[data-key="${CSS.escape(focused)}"] button`)?.focus();
  find("count").textContent = segments.length || "";
  for (const head of find("segments").tHead.querySelectorAll("th")) {
    const own = head.querySelector("button").dataset.sort === sort.by;
    head.setAttribute("aria-sort", own ? (sort.down ? "descending" : "ascending") : "none");
  }
}

export function share(part) {
  const percent = 100 * part;
  return `${percent < 0.1 && percent > 0 ? "< 0.1" : percent.toFixed(1)}\u00a0%`;
}

function cell(text) {
  const found = document.createElement("td");
  found.className = "number"; found.textContent = text;
  return found;
}

/** The classes with how many segments each has; a checkbox hides them, unless they are `fixed`. */
export function showLegend(classes, counts, hidden, onToggle, { fixed, withVoid }) {
  const list = find("legend"), focused = document.activeElement?.dataset?.label;
  const items = classes.map((each, label) => {
    const [item, line, box, name] = ["li", "label", "input", "span"].map((tag) => document.createElement(tag));
    box.type = "checkbox"; box.checked = !hidden.has(label); box.disabled = fixed; box.dataset.label = label;
    box.addEventListener("change", () => onToggle(label, box.checked));
    const count = counts.get(label) ?? 0;
    name.textContent = each.thing && count > 1 ? `${each.name} (${count})` : each.name;
    line.className = count ? "" : "absent";
    line.append(box, swatch(each.color), name);
    item.append(line);
    return item;
  });
  if (withVoid) {
    const item = document.createElement("li");
    item.className = "void";
    item.append(swatch([10, 10, 10]), "void: of no class");
    items.push(item);
  }
  list.replaceChildren(...items);
  if (focused !== undefined) list.querySelector(`[data-label="${focused}"]`)?.focus();
}

export function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, text]) => {
    const option = document.createElement("option");
    option.value = key; option.textContent = text;
    return option;
  }));
  if (value !== undefined) select.value = value;
}

/** The form of a box; without one it is for the next box that is added. A note that is null is not known yet. */
export function showBox(box, things, editing, label, note) {
  find("box-card").hidden = !editing;
  find("box-title").textContent = box ? `Box: ${things[box.label].name}` : "Boxes";
  showBoxNote(box ? note : "", String(box?.uid));
  find("box-class").value = box ? box.label : label;
  find("corners").hidden = find("box-delete").hidden = find("box-slider").hidden = !box;
  find("box-score").parentElement.hidden = !box;
  if (!box) return;
  setUnlessTyped(find("box-score"), String(Math.round(box.score * 1000) / 1000));
  if (document.activeElement !== find("box-slider")) find("box-slider").value = Math.round(box.score * 1000);
  box.box.forEach((side, number) => setUnlessTyped(find(`box-${number}`), String(Math.round(side * 10) / 10)));
}

function showBoxNote(note, uid) {
  const line = find("box-note");
  if (note === null && line.dataset.uid === uid) return; // the old one, until there is another
  line.dataset.uid = uid;
  line.textContent = note ?? ""; line.hidden = !note;
}

function setUnlessTyped(input, text) {
  if (document.activeElement !== input) input.value = text;
}
