// The Ranking page: a table of all values of a dimension with all measures. Sorting and searching are part of the address.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { choose, filter, narrowed, along, chosen, make, put, show_sorted_column } = swarmscope;

  function heading([name, title], { sort, best_first }) {
    const cell = make("th", { scope: "col" });
    const button = make("button", { type: "button", textContent: title });
    if (name === sort) {
      cell.ariaSort = best_first ? "ascending" : "descending";
      button.textContent += best_first ? " ▲" : " ▼";
      button.title = best_first ? "The best first; choose for the worst first" : "The worst first; choose for the best first";
    }
    button.addEventListener("click", () => {
      choose({ "p.sort": name, "p.order": name === sort && !best_first ? "best" : "", "p.page": "" });
    });
    cell.append(button);
    return cell;
  }

  // A value that is worse than that of all is also marked by a sign, not only by its colour.
  function cell(text, worse) {
    const made = make("td", { textContent: text });
    if (worse) {
      Object.assign(made, { className: "worse", title: "Worse than all, beyond the noise" });
      made.prepend(make("span", { ariaHidden: "true", textContent: "! " }));
      made.append(make("span", { className: "heard", textContent: " worse than all" }));
    }
    return made;
  }

  function row({ value, text, cells, thin, worse, reasons }, { by, chosen: here }) {
    const line = make("tr", { className: thin ? "thin" : "" });
    if (value && value === here) line.ariaCurrent = "true";
    const name = make("th", { scope: "row", title: text });
    if (value) {
      const button = make("button", { type: "button", className: "link", textContent: text });
      button.addEventListener("click", () => filter(by, value));
      name.append(button);
    } else name.textContent = text;
    if (reasons) name.append(make("small", { className: "reasons", textContent: `! ${reasons}`, ariaHidden: "true" })); // the cells have the same
    line.append(name, ...cells.map((each, i) => cell(each, worse[i])));
    if (value) {
      const sessions = make("a", { textContent: "Sessions", href: `sessions?${along(narrowed(by, value))}`, ariaLabel: `Sessions of ${text}` });
      const last = make("td");
      last.append(sessions);
      line.append(last);
    } else line.append(make("td"));
    return line;
  }

  function fill_choices({ by, dimensions, find, min }) {
    const { elements } = $("ranking-choices");
    if (!elements.by.options.length) {
      elements.by.append(...dimensions.map(([name, title]) => make("option", { value: name, textContent: title })));
    }
    for (const [name, value] of Object.entries({ by, find, min })) {
      if (document.activeElement !== elements[name]) elements[name].value = value;
    }
  }

  addEventListener("DOMContentLoaded", () => {
    const form = $("ranking-choices");
    const apply = () => {
      const { by, find, min } = form.elements;
      const usual = min.value === $("ranking").dataset.usual_min;
      choose({ "p.by": by.value, "p.find": find.value.trim(), "p.min": usual ? "" : min.value, "p.page": "" });
    };
    // A narrow window shows the table first.
    const show_more = (shown) => {
      form.classList.toggle("more", shown);
      $("ranking-more").ariaExpanded = String(shown);
    };
    show_more(Boolean(chosen().get("p.find")));
    $("ranking-more").addEventListener("click", () => show_more(!form.classList.contains("more")));
    $("ranking-few").querySelector("button").addEventListener("click", () => choose({ "p.min": "1", "p.page": "" }));
    form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
    form.addEventListener("search", apply);
    form.elements.by.addEventListener("change", apply);
    for (const button of document.querySelectorAll("#ranking-pager button")) {
      button.addEventListener("click", () => choose({ "p.page": String(Number($("ranking").dataset.page) + Number(button.dataset.to)) }));
    }
  });

  swarmscope.page((own) => {
    const table = $("ranking");
    const holds = JSON.stringify([own.head, own.sort, own.best_first, own.rows, own.total, own.chosen, location.search]);
    if (table.dataset.holds !== holds) {
      const at = [...table.querySelectorAll("button, a")].indexOf(document.activeElement);
      table.tHead.rows[0].replaceChildren(...own.head.map((each) => heading(each, own)), make("th", { scope: "col", textContent: "List" }));
      table.tBodies[0].replaceChildren(...own.rows.map((each) => row(each, own)));
      table.tFoot.rows[0].replaceChildren(
        make("th", { scope: "row", textContent: "All" }), ...own.total.map((each) => make("td", { textContent: each })), make("td"),
      );
      Object.assign(table.dataset, { holds, page: own.page });
      if (at >= 0) table.querySelectorAll("button, a")[at]?.focus();
      show_sorted_column(table, own.sort);
    }
    table.hidden = own.rows.length === 0;
    $("no-ranking").hidden = own.rows.length > 0;
    table.dataset.usual_min = own.usual_min;
    $("ranking-few").hidden = !own.with_few;
    put("#ranking-few span", `Left out: ${own.with_few.toLocaleString("en")} with fewer than ${own.min.toLocaleString("en")} sessions.`);
    $("ranking-pager").hidden = own.pages < 2;
    put("#ranking-pager span", `${own.page} of ${own.pages}`);
    const [back, next] = document.querySelectorAll("#ranking-pager button");
    back.disabled = own.page <= 1;
    next.disabled = own.page >= own.pages;
    const query = chosen();
    query.set("view", "ranking");
    $("ranking-csv").href = `api/v1/table?${query}`;
    fill_choices(own);
    put("#ranking-note", own.note);
  });
})();
