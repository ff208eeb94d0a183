"""Tables that are sorted in the page, by their headings. Without scripts they stay in the study's order."""

# A heading becomes a button, so that the keyboard reaches it: ascending, descending, the study's order.
# Whichever way, numbers (data-value) come before words, and empty cells last.
SCRIPT = """
"use strict";
const ORDERS = {none: "ascending", ascending: "descending", descending: "none"};
const WORDS = new Intl.Collator("en", {numeric: true});

function key(cell) {
  if ("value" in cell.dataset) return {rank: 0, value: Number(cell.dataset.value)};
  const word = cell.textContent.trim();
  return {rank: word ? 1 : 2, value: word};
}

function compare(one, other) {
  return one.rank ? WORDS.compare(one.value, other.value) : one.value - other.value;
}

function sorted(rows, column, order) {
  if (order === "none") return rows;
  const sign = order === "ascending" ? 1 : -1;
  return rows.map((row) => ({row, ...key(row.cells[column])}))
    .sort((one, other) => one.rank - other.rank || sign * compare(one, other))
    .map((entry) => entry.row);
}

for (const table of document.querySelectorAll("table")) {
  const rows = [...table.tBodies[0].rows], headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    heading.ariaSort = "none";
    button.addEventListener("click", () => {
      const order = ORDERS[heading.ariaSort];
      for (const each of headings) each.ariaSort = "none";
      heading.ariaSort = order;
      table.tBodies[0].append(...sorted(rows, column, order));
    });
  });
}
"""
