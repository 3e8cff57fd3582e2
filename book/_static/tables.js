// Sorts tables of class "sortable" by a click on a column title, and filters those of class
// "searchable" by a field above them. Without this script they are plain tables.
(() => {
  "use strict";

  const text = (row, column) => row.cells[column].textContent.trim();
  const numeric = (value) => (/^[-+−]?[\d,]*\.?\d+$/.test(value)
    ? Number(value.replaceAll(",", "").replace("−", "-")) : NaN);

  function compare(a, b) {
    const [x, y] = [numeric(a), numeric(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const missing = (row) => ["", "–"].includes(text(row, column));
    const filled = rows.filter((row) => !missing(row));
    filled.sort((a, b) => direction * compare(text(a, column), text(b, column)));
    body.append(...filled, ...rows.filter(missing));
  }

  function makeSortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const upward = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", upward ? "ascending" : "descending");
        sort(table, column, upward ? 1 : -1);
      });
    });
  }

  function makeSearchable(table) {
    const bar = document.createElement("div");
    bar.className = "table-filter";
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Search this table";
    field.setAttribute("aria-label", "Search this table");
    const count = document.createElement("output");
    const rows = Array.from(table.tBodies[0].rows);
    const show = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const content = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => content.includes(word));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    field.addEventListener("input", show);
    bar.append(field, count);
    (table.closest(".pst-scrollable-table-container") ?? table).before(bar);
    show();
  }

  function enhance() {
    document.querySelectorAll("table.sortable").forEach((table) => {
      if (!table.tHead || !table.tBodies.length) return;
      makeSortable(table);
      if (table.classList.contains("searchable")) makeSearchable(table);
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", enhance);
  else enhance();
})();
