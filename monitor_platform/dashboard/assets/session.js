// One viewer's story beside its figures: facts, scores with their terms, and every message as a table.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, said) => Object.assign(document.createElement(tag), said);
  const local = (ms) => new Date(ms).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const utc = (ms) => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

  function line([at, ...texts]) {
    const row = document.createElement("tr");
    row.append(make("th", { scope: "row", textContent: local(at), title: utc(at) }), ...texts.map((text) => make("td", { textContent: text })));
    return row;
  }

  function score({ title, value, terms }) {
    const box = make("section", { className: "score" });
    const head = make("h3", { textContent: `${title} ` });
    head.append(make("b", { textContent: value }));
    const list = document.createElement("ul");
    list.append(...terms.map(([part, why]) => {
      const item = document.createElement("li");
      item.append(make("b", { textContent: part }), ` ${why}`);
      return item;
    }));
    box.append(head, list);
    return box;
  }

  function once(box, said, children) {
    const wanted = JSON.stringify(said);
    if (box.dataset.holds === wanted) return;
    box.replaceChildren(...children());
    box.dataset.holds = wanted;
  }

  function unknown(id) {
    const query = new URLSearchParams(location.search);
    query.delete("session_id");
    $("all-sessions").search = query.toString();
    $("no-session-title").textContent = id ? "This session is not known" : "Which session?";
    $("no-session-text").textContent = id
      ? `Nothing that is shown here was said by session “${id}”. It may have ended before the records that are kept in memory, or its id may be cut off.`
      : "A session is chosen from the list of sessions, or named in the address: /session?session_id=…";
  }

  swarmscope.page((told) => {
    document.body.classList.toggle("unknown", !told.known);
    $("no-session").hidden = told.known;
    $("said").hidden = !told.known;
    if (!told.known) { unknown(told.session_id); return; }
    swarmscope.put("#story-title", `Session ${told.session_id}`);
    swarmscope.put("#story-note", told.not_yet ? "not begun yet at this moment of the replay" : `${local(told.from)} – ${local(told.until)}`);
    $("story-note").title = `${utc(told.from)} – ${utc(told.until)}`;
    swarmscope.put("#story-shares", told.shares);
    swarmscope.put("#story-thinned", told.thinned);
    swarmscope.put("#neighbours-text", told.neighbours.text);
    $("neighbours").href = told.neighbours.href;
    once($("facts"), told.facts, () => told.facts.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value, title: value })]));
    once($("scores"), told.scores, () => told.scores.map(score));
    once(document.querySelector("#messages tbody"), told.rows, () => told.rows.map(line));
    const shown = told.rows.length;
    swarmscope.put("#said-note", shown < told.rows_of ? `the latest ${shown} of ${told.rows_of} messages, latest first` : `${shown} messages, latest first`);
  });
})();
