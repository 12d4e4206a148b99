// The Disagreements page: sessions whose report differs from what a model inferred. Sorting and filters are part of the address.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { make, put, keep_children, choose, chosen } = swarmscope;
  let latest = null;

  function cell(label, ...content) {
    const made = make("td");
    made.dataset.label = label;
    made.append(...content);
    return made;
  }

  // "reported 0.0 %, inferred 25.4 %": the two values below each other.
  function pair(label, [reported, inferred]) {
    const box = make("span", { className: "pair" });
    box.append(make("span", { textContent: reported }), make("span", { className: "inferred", textContent: inferred }));
    return cell(label, box);
  }

  function row({ session_id, peer_id, score, share, reason, words, evidence, stalled, mos, startup, app, model, model_text, since }) {
    const line = make("tr");
    const bar = make("span", { className: "degree", ariaHidden: "true" });
    bar.style.setProperty("--share", `${Math.round(share * 100)}%`);
    const session = make("th", { scope: "row" });
    session.append(make("a", { href: swarmscope.session_address(session_id), textContent: session_id, title: session_id }), make("span", { className: "quiet", textContent: peer_id, title: peer_id }));
    const pill = make("b", { className: "reason", textContent: reason, title: words });
    pill.dataset.reason = reason;
    const why = make("ul", { className: "why" });
    why.append(...evidence.map(([of, text]) => make("li", { textContent: of === reason ? text : `${of}: ${text}` })));
    line.append(
      cell("Disagreement", bar, make("span", { textContent: score })), session, cell("Likely reason", pill, why),
      pair("Stalled", stalled), pair("MOS", mos), pair("Startup", startup),
      cell("App", app), cell("Model", make("span", { textContent: model, title: model_text })), cell("Since", swarmscope_times.element(since, { seconds: false })),
    );
    return line;
  }

  function options(select, all) {
    const wanted = JSON.stringify(all);
    if (select.dataset.holds === wanted) return;
    select.replaceChildren(make("option", { value: "", textContent: "all" }), ...all.map(([value, text]) => make("option", { value, textContent: text })));
    select.dataset.holds = wanted;
  }

  addEventListener("DOMContentLoaded", () => {
    const form = $("disagreements-find");
    const apply = () => {
      const { find, reason, model, min } = form.elements;
      choose({ "p.find": find.value.trim(), "p.reason": reason.value, "p.model": model.value, "p.min": min.value });
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
    form.addEventListener("search", apply);
    for (const name of ["reason", "model"]) form.elements[name].addEventListener("change", apply);
    for (const button of document.querySelectorAll("#disagreements .sort")) {
      button.addEventListener("click", () => {
        const again = latest?.sort === button.dataset.sort;
        choose({ "p.sort": again && latest.reverse ? "" : button.dataset.sort, "p.order": again && !latest.reverse ? "reverse" : "" });
      });
    }
  });

  swarmscope.page((own) => {
    if (!own.rows) return; // no record has arrived yet
    latest = own;
    const { rows, counts, models, judged, note, sort, reverse, complete_from } = own;
    keep_children($("disagreements").tBodies[0], rows, row, { key: ({ session_id, model_text }) => `${session_id} ${model_text}` });
    $("disagreements").hidden = rows.length === 0;
    $("no-disagreements").hidden = rows.length > 0;
    put("#no-disagreements", judged ? "No session disagrees that much with these filters." : "No model has judged a session of this time range. docs/formats/inference.md describes what a model sends.");
    const form = $("disagreements-find").elements;
    options(form.reason, counts.map(([name, count]) => [name, `${name} (${count})`]));
    options(form.model, models.map((name) => [name, name]));
    for (const name of ["find", "reason", "model", "min"]) if (document.activeElement !== form[name]) form[name].value = own[name];
    for (const button of document.querySelectorAll("#disagreements .sort")) {
      button.parentElement.ariaSort = button.dataset.sort === sort ? (reverse ? "ascending" : "descending") : null;
    }
    const query = chosen();
    query.set("view", "disagreements");
    $("disagreements-csv").href = `api/v1/table?${query}`;
    put("#disagreements-note", note);
    $("disagreements-incomplete").hidden = complete_from === null;
    put("#disagreements-incomplete", complete_from === null ? "" : `The page has the inferences since ${swarmscope_times.local(complete_from)}. Earlier ones of this time range are missing here; the CSV has them.`);
  });
})();
