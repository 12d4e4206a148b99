// The History page: its controls, and its numbers as tables.
"use strict";

(() => {
  const line = (cells, head) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text, i) => Object.assign(document.createElement(head || !i ? "th" : "td"), { textContent: text })));
    row.querySelectorAll("th").forEach((cell) => { cell.scope = head ? "col" : "row"; });
    return row;
  };

  // The address of the overview for a time range.
  const looking = ([from, to]) => `./?${swarmscope.along({ from: String(from), to: String(to), minutes: "" })}`;

  swarmscope.look = ({ final, geometry: { x0, x1 } }) => {
    const [from, to] = [Math.round(Math.min(x0, x1)), Math.round(Math.max(x0, x1))];
    if (final && to - from >= 1000) location.href = looking([from, to]);
  };

  function link_first(row, hour) {
    const head = row.firstChild;
    head.replaceChildren(Object.assign(document.createElement("a"), { textContent: head.textContent, href: looking(hour) }));
    return row;
  }

  document.addEventListener("change", ({ target }) => {
    if (target.form?.id === "history-form") swarmscope.choose({ [`p.${target.name}`]: target.value });
  });

  swarmscope.page(({ message = "", absent = false, status, unit, day, note, rows = [], isps = [], hours = [], busiest = null, rate_unit = "" }) => {
    document.getElementById("history-rate-unit").textContent = rate_unit && `(${rate_unit})`;
    const busy = status && !status.complete
      ? status.error || `Reading logs: ${Math.round((100 * status.done_bytes) / Math.max(1, status.all_bytes))} %. `
      : "";
    const notice = document.getElementById("history-message");
    notice.textContent = busy + message;
    notice.hidden = !notice.textContent;
    notice.closest(".card").classList.toggle("no-history", absent);
    const form = document.getElementById("history-form");
    for (const [name, value] of Object.entries({ unit, day })) {
      if (value && document.activeElement !== form.elements[name]) form.elements[name].value = value;
    }
    document.getElementById("history-day").textContent = day ? `${day}, ${note}` : "";
    document.querySelector("#history-rows tbody").replaceChildren(
      ...rows.map((cells, at) => (hours[at] ? link_first(line(cells, false), hours[at]) : line(cells, false))),
    );
    const busy_hour = document.getElementById("history-busiest");
    busy_hour.hidden = busiest === null;
    if (busiest !== null) busy_hour.href = looking(busiest);
    const [head, ...body] = isps;
    document.querySelector("#history-isps thead").replaceChildren(...(head ? [line(head, true)] : []));
    document.querySelector("#history-isps tbody").replaceChildren(...body.map((cells) => line(cells, false)));
  });
})();
