// The page of one session: facts, scores with their terms, and the messages as a table.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { make } = swarmscope;
  const { local, utc } = swarmscope_times;

  function row_id(at) {
    return `message-${at}`;
  }

  function fact(name, ...content) {
    const value = make("dd");
    value.append(...content);
    value.title = value.textContent;
    return [make("dt", { textContent: name }), value];
  }

  // Its length and its time, which leads to the message in the table, if the table has it.
  function longest_stall({ length, at }, listed) {
    const time = swarmscope_times.element(at);
    if (!listed) return [`${length}, reported `, time];
    const link = make("a", { href: `#${row_id(at)}` });
    link.append(time);
    return [`${length}, reported `, link];
  }

  // Whose session it is, in the words of the list that leads here. One click selects the whole id, also where it is cut off.
  function show_heading({ session_id: id, peer, of, longest_stall: longest, rows }) {
    swarmscope.put("#story-title", `Peer ${peer}`);
    swarmscope.put("#story-of", of);
    swarmscope.put("#story-id", id);
    $("story-id").title = id;
    const listed = is_listed(longest, rows);
    refill($("story-longest"), [longest, listed], () => longest ? ["Longest stall ", ...longest_stall(longest, listed)] : ["No stall reported"]);
  }

  function is_listed(longest, rows) {
    return longest !== null && rows.some(([at]) => at === longest.at);
  }

  function show_facts({ facts, longest_stall: longest, rows }) {
    const listed = is_listed(longest, rows);
    refill($("facts"), [facts, longest, listed], () => facts.flatMap(([name, value]) => [
      ...fact(name, value),
      ...(name === "Stalls" && longest ? fact("Longest stall", ...longest_stall(longest, listed)) : []),
    ]));
  }

  function line([at, ...texts]) {
    const row = make("tr", { id: row_id(at) });
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

  // What a model inferred from the session's packets, beside what the session reported.
  function show_inferred(inferred) {
    $("inferred").hidden = !inferred;
    document.body.classList.toggle("judged", Boolean(inferred));
    if (!inferred) return;
    const { reason, score, words, evidence, rows, models, model } = inferred;
    swarmscope.put("#inferred-reason", reason);
    $("inferred-reason").dataset.reason = reason;
    $("inferred-reason").title = `Disagreement ${score}`;
    swarmscope.put("#inferred-words", words);
    swarmscope.put("#inferred-by", models.find(([sha]) => sha === model)[1]);
    $("inferred-models").hidden = models.length < 2;
    refill($("inferred-model"), models, () => models.map(([value, text]) => make("option", { value, textContent: text })));
    $("inferred-model").value = model;
    refill(document.querySelector("#inferred-values tbody"), rows, () => rows.map(([name, ...values]) => {
      const row = make("tr");
      row.append(make("th", { scope: "row", textContent: name }), ...values.map((text) => make("td", { textContent: text })));
      return row;
    }));
    refill($("inferred-evidence"), evidence, () => evidence.map(([of, text]) => make("li", { textContent: `${of}: ${text}` })));
  }

  function refill(box, content, children) {
    const wanted = JSON.stringify(content);
    if (box.dataset.holds === wanted) return;
    box.replaceChildren(...children());
    box.dataset.holds = wanted;
  }

  function unknown(id) {
    $("all-sessions").search = swarmscope.along();
    $("no-session-title").textContent = id ? "This session is not known" : "Which session?";
    $("no-session-text").textContent = id
      ? `No record in this time range is from session “${id}”. The session may have ended before the records in memory begin, or the id may be incomplete.`
      : "Choose a session in the list of sessions, or name one in the address: /session?session_id=…";
  }

  // A state's word needs about 7 px for each letter. The window may change, so the browser decides, for itself only.
  function show_words() {
    const ribbon = Bokeh.documents[0]?.get_model_by_name("story")?.children[0];
    const frame = ribbon && Bokeh.index.find_one(ribbon)?.frame;
    if (!frame) return;
    const source = ribbon.renderers[0].data_source;
    const column = (name) => Array.from(source.get(name));
    const { start, end } = ribbon.x_range;
    const [from, until] = [column("begin"), column("end")];
    const words = column("state").map((state, i) => {
      const wide = ((until[i] - from[i]) / (end - start)) * frame.bbox.width;
      return wide >= 8 + 7 * state.length ? state : "";
    });
    if (words.join() !== column("word").join()) source.setv({ data: { ...Object.fromEntries(source.columns().map((name) => [name, source.get(name)])), word: words } }, { sync: false });
  }

  document.addEventListener("shown", () => setTimeout(show_words, 50));
  addEventListener("DOMContentLoaded", () => {
    $("inferred-model").addEventListener("change", ({ target }) => swarmscope.choose({ "p.model": target.value }));
  });
  addEventListener("resize", () => setTimeout(show_words, 250));

  swarmscope.page((session) => {
    document.body.classList.toggle("unknown", !session.known);
    $("no-session").hidden = session.known;
    $("messages-card").hidden = !session.known;
    if (!session.known) { unknown(session.session_id); return; }
    show_heading(session);
    swarmscope.put("#story-note", session.not_yet ? "has not begun at this time of the replay" : `${local(session.from)} – ${local(session.until)}`);
    $("story-note").title = `${utc(session.from)} – ${utc(session.until)}`;
    swarmscope.put("#story-shares", session.shares);
    swarmscope.put("#story-thinned", session.thinned);
    refill($("story-annotations"), session.annotations, () => session.annotations.map(({ from, text }) => {
      const item = make("li");
      item.append(swarmscope_times.element(from), ` ${text}`);
      return item;
    }));
    swarmscope.put("#neighbours-text", session.neighbours.text);
    $("neighbours").href = session.neighbours.href;
    show_facts(session);
    show_inferred(session.inferred);
    refill($("scores"), session.scores, () => session.scores.map(score));
    refill(document.querySelector("#messages tbody"), session.rows, () => session.rows.map(line));
    const shown = session.rows.length;
    swarmscope.put("#messages-note", shown < session.rows_of ? `the latest ${shown} of ${session.rows_of} messages, latest first` : `${shown} messages, latest first`);
  });
})();
