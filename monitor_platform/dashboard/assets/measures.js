// The Measures page: a table of definitions. /measures#mos scrolls to the row of MOS.
"use strict";

swarmscope.page(({ measures }) => {
  const body = document.querySelector("#definitions tbody");
  if (body.children.length === measures.length) return;
  body.replaceChildren(...measures.map(({ name, title, meaning, unit, formula, source }) => {
    const row = Object.assign(document.createElement("tr"), { id: name });
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: title });
    head.append(Object.assign(document.createElement("code"), { textContent: name }));
    row.append(head, ...Object.entries({ Meaning: meaning, Unit: unit, Formula: formula, Source: source }).map(([label, textContent]) => {
      const cell = Object.assign(document.createElement("td"), { textContent });
      cell.dataset.label = label;
      return cell;
    }));
    return row;
  }));
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView({ block: "center" });
});
