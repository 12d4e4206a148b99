// The Sessions page: a table of sessions, the worst first, with links to each session.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const NUMBERS = ["mos", "value", "startup", "stalls", "stalled"];
  const TEXTS = ["channel", "isp", "district", "platform"];
  const { local, utc } = swarmscope_times;

  function cell(text, kind = "") {
    return Object.assign(document.createElement("td"), { textContent: text, className: kind, title: kind ? "" : text });
  }

  // The address of a session's page with the same measure and time. Filters are not needed: the ID selects one session.
  function story(id) {
    const here = new URLSearchParams(location.search);
    const query = new URLSearchParams({ session_id: id });
    for (const name of ["measure", "from", "to", "p.replay", "p.playing"]) if (here.has(name)) query.set(name, here.get(name));
    return `/session?${query}`;
  }

  function line(row) {
    const element = document.createElement("tr");
    const peer = document.createElement("th");
    peer.scope = "row";
    peer.append(Object.assign(document.createElement("a"), { href: story(row.session_id), textContent: row.peer_id, title: row.peer_id }));
    const session = document.createElement("td");
    session.append(Object.assign(document.createElement("a"), { href: story(row.session_id), textContent: row.session_id, title: row.session_id }));
    const since = cell(local(row.since));
    since.title = utc(row.since);
    element.append(peer, session, ...TEXTS.map((name) => cell(row[name])), since);
    element.append(...NUMBERS.map((name) => cell(row[name], "number")), cell(row.state));
    return element;
  }

  addEventListener("DOMContentLoaded", () => {
    $("find").addEventListener("submit", (event) => {
      event.preventDefault();
      swarmscope.choose({ "p.find": $("find").elements.find.value.trim() });
    });
    $("find").addEventListener("search", () => $("find").requestSubmit());
  });

  swarmscope.page(({ measure, rows, find, note }) => {
    const body = document.querySelector("#sessions tbody");
    const wanted = JSON.stringify([rows, location.search]);
    if (body.dataset.holds !== wanted) {
      const at = [...body.querySelectorAll("a")].indexOf(document.activeElement);
      body.replaceChildren(...rows.map(line));
      body.dataset.holds = wanted;
      if (at >= 0) body.querySelectorAll("a")[at]?.focus();
    }
    $("sessions-value").textContent = measure;
    $("sessions-value").hidden = measure === "MOS";
    for (const row of body.rows) row.cells[8].hidden = measure === "MOS";
    $("sessions").hidden = rows.length === 0;
    $("no-sessions").hidden = rows.length > 0;
    $("no-sessions").textContent = find ? `No peer ID or session ID begins with “${find}” in this time range and with these filters.` : "No sessions.";
    const input = $("find").elements.find;
    if (document.activeElement !== input) input.value = find;
    swarmscope.put("#sessions-note", note);
  });
})();
