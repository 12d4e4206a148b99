// The Sessions page: a table of sessions, the worst first, with links to each session.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const VALUE_COLUMN = 2;
  const NUMBERS = ["value", "mos", "startup", "stalls", "stalled", "longest", "length"];
  const TEXTS = ["channel", "isp", "district", "platform"];
  const { local, utc } = swarmscope_times;

  function cell(text, kind = "") {
    return Object.assign(document.createElement("td"), { textContent: text, className: kind, title: kind ? "" : text });
  }

  function line(row) {
    const element = document.createElement("tr");
    const peer = document.createElement("th");
    peer.scope = "row";
    peer.append(Object.assign(document.createElement("a"), { href: swarmscope.session_address(row.session_id), textContent: row.peer_id, title: row.peer_id }));
    const session = document.createElement("td");
    session.append(Object.assign(document.createElement("a"), { href: swarmscope.session_address(row.session_id), textContent: row.session_id, title: row.session_id }));
    const since = cell(local(row.since));
    since.title = utc(row.since);
    element.append(peer, session, ...NUMBERS.map((name) => cell(row[name], "number")));
    element.append(...TEXTS.map((name) => cell(row[name])), since, cell(row.state));
    return element;
  }

  let latest = null;
  let shown_span = null;

  addEventListener("DOMContentLoaded", () => {
    const form = $("find");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      swarmscope.choose({ "p.find": form.elements.find.value.trim(), "p.min": Number(form.elements.min.value) ? form.elements.min.value : "" });
    });
    form.addEventListener("search", () => form.requestSubmit());
    $("refresh").addEventListener("click", () => { fill(latest); });
    for (const button of document.querySelectorAll("#sessions .sort")) {
      button.addEventListener("click", () => {
        const { sort } = button.dataset;
        const again = latest?.sort === sort;
        // The third choice of a heading is the worst first again.
        choose_order(again && latest.reverse ? "" : sort, again && !latest.reverse);
      });
    }
  });

  function choose_order(sort, reverse) {
    swarmscope.choose({ "p.sort": sort, "p.order": reverse ? "reverse" : "" });
  }

  function fill(own) {
    const { measure, rows, sort, reverse } = own;
    const body = document.querySelector("#sessions tbody");
    const at = [...body.querySelectorAll("a")].indexOf(document.activeElement);
    body.replaceChildren(...rows.map(line));
    Object.assign(body.dataset, { holds: JSON.stringify(rows), asked: location.search });
    if (at >= 0) body.querySelectorAll("a")[at]?.focus();
    document.querySelector("#sessions-value button").textContent = measure;
    $("sessions-value").hidden = measure === "MOS";
    for (const row of body.rows) row.cells[VALUE_COLUMN].hidden = measure === "MOS";
    for (const button of document.querySelectorAll("#sessions .sort")) {
      const cell = button.parentElement;
      if (button.dataset.sort === sort) cell.ariaSort = reverse ? "ascending" : "descending";
      else cell.ariaSort = null;
    }
    swarmscope.show_sorted_column($("sessions"), sort);
    $("refresh").toggleAttribute("data-idle", true);
    swarmscope.put("#sessions-note", shown_span ? `${own.note}; ${swarmscope_times.range(shown_span.from, shown_span.to)}` : own.note);
  }

  // Rows do not move while a user reads them: newer rows wait for the button.
  swarmscope.page((own, { span }) => {
    latest = own;
    shown_span = span;
    const { rows, find, min, live } = own;
    const { dataset } = document.querySelector("#sessions tbody");
    const holds = live && dataset.asked === location.search && dataset.holds !== "[]";
    if (!holds) fill(own);
    else $("refresh").toggleAttribute("data-idle", dataset.holds === JSON.stringify(rows));
    const shown = document.querySelector("#sessions tbody").rows.length;
    $("sessions").hidden = shown === 0;
    $("no-sessions").hidden = shown > 0;
    $("no-sessions").textContent = find ? `No peer ID or session ID begins with “${find}” in this time range and with these filters.` : "No sessions.";
    for (const [name, value] of Object.entries({ find, min: min || "" })) {
      const input = $("find").elements[name];
      if (document.activeElement !== input) input.value = value;
    }
  });
})();
