// Counters and feedback servers, as plain tables.
"use strict";

swarmscope.page(({ counters, servers }) => {
  const row = (cells) => {
    const line = document.createElement("tr");
    line.append(...cells.map((text, i) => Object.assign(document.createElement(i ? "td" : "th"), { textContent: text })));
    line.firstChild.scope = "row";
    return line;
  };
  document.querySelector("#counters tbody").replaceChildren(...counters.map(row));
  document.querySelector("#servers tbody").replaceChildren(...servers.map(row));
  document.getElementById("servers").hidden = !servers.length;
  document.getElementById("no-servers").hidden = servers.length > 0;
});
