// Tables and CSV of the views.
"use strict";

(() => {
  const { shows, chosen, choose, filter, make, keep_children } = swarmscope;
  let facts = null;

  function show_tables(news) {
    facts = news;
    for (const box of document.querySelectorAll("[data-listed]")) {
      const name = box.dataset.listed;
      const table = facts.tables[name] ?? (name === "timeline" ? facts.tables.breakdown : undefined);
      box.hidden = table === undefined;
      const button = document.querySelector(`[data-table="${name}"]`);
      button.setAttribute("aria-pressed", String(table !== undefined));
      box.parentElement.classList.toggle("with-table", table !== undefined);
      if (table) keep_children(box, [{ ...table, view: name }], list);
    }
    for (const link of document.querySelectorAll("[data-csv]")) link.href = csv_of(link.dataset.csv);
  }

  function list({ head, rows, filters: offers, more, view }) {
    const table = make("table");
    const heading = table.createTHead().insertRow();
    heading.append(...head.map((text) => make("th", { scope: "col", textContent: text })));
    const body = table.createTBody();
    rows.forEach((cells, at) => {
      const row = body.insertRow();
      cells.forEach((text, i) => {
        const cell = make(i ? "td" : "th");
        if (!i) cell.scope = "row";
        if (!i && offers[at]) {
          const button = make("button", { type: "button", className: "link", textContent: text });
          button.addEventListener("click", () => filter(...offers[at]));
          cell.append(button);
        } else cell.textContent = text;
        row.append(cell);
      });
    });
    const box = make("div");
    box.append(table);
    if (more) box.append(rest(more, view));
    return box;
  }

  function rest(more, view) {
    const line = make("p", { className: "aside", textContent: `and ${more.toLocaleString()} more, ` });
    line.append(make("a", { href: csv_of(view), download: "", textContent: "as CSV" }));
    return line;
  }

  function csv_of(view) {
    const query = chosen();
    query.set("view", view === "timeline" && facts.by ? "breakdown" : view);
    return `api/v1/table?${query}`;
  }

  function toggle_table(name) {
    const on = new Set((chosen().get("table") ?? "").split(",").filter(Boolean));
    const names = name === "timeline" && facts?.by ? ["timeline", "breakdown"] : [name];
    if (names.some((each) => on.has(each))) for (const each of names) on.delete(each);
    else on.add(names.at(-1));
    choose({ table: [...on].sort().join(",") });
  }

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-table]")) button.addEventListener("click", () => toggle_table(button.dataset.table));
  });

  shows(show_tables);
})();
