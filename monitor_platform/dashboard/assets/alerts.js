// The Alerts page: rules, alerts with their evidence, silences and webhooks. Values that end hosts sent are written as text.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { make, keep_children } = swarmscope;
  const minute = (ms) => swarmscope_times.element(ms, { seconds: false });

  function links(title, all) {
    if (!all.length) return [];
    const box = make("div", { className: "links" });
    const list = document.createElement("ul");
    list.append(...all.map(({ text, value, n, href }) => {
      const item = document.createElement("li");
      item.append(make("a", { href, textContent: text, title: text }), make("span", { textContent: n ? `${value}, ${n}` : value }));
      return item;
    }));
    box.append(make("h4", { textContent: title }), list);
    return [box];
  }

  // "by Mei: the fix is on its way"
  function noted({ by, comment }) {
    return `${by ? ` by ${by}` : ""}${comment ? `: ${comment}` : ""}`;
  }

  // What users have done about an alert, and the buttons to do it.
  function response({ title, rule, slice, from, lasts, can_silence, silence, acknowledgement }) {
    const line = make("p", { className: "response" });
    if (silence) {
      const text = make("span");
      text.append("Silenced until ", minute(silence.until), noted(silence));
      line.append(text, end_button(silence.id, title));
    }
    if (acknowledgement) {
      const text = make("span");
      text.append("Acknowledged ", minute(acknowledgement.at), noted(acknowledgement));
      line.append(text);
    }
    const alert = { title, rule, slice, from, ended: !lasts };
    if (can_silence && lasts && !acknowledgement) line.append(swarmscope_silence.button("Acknowledge", alert, { acknowledge: true }));
    if (can_silence && !silence) line.append(swarmscope_silence.button(lasts ? "Silence" : swarmscope_silence.FURTHER, alert));
    return line.childNodes.length ? [line] : [];
  }

  const open_diagnoses = new Set();

  // The slices and sessions that were hit. On a phone they are closed, so that the next alert is in sight.
  const toggled = new Set();
  const is_phone = matchMedia("(max-width: 760px)").matches;

  function evidence(key, text, parts) {
    if (!parts.length) return [];
    const box = make("details", { className: "evidence" });
    box.open = is_phone === toggled.has(key);
    box.addEventListener("toggle", () => (box.open === is_phone ? toggled.add(key) : toggled.delete(key)));
    const why = make("div", { className: "why" });
    why.append(...parts);
    box.append(make("summary", { textContent: text }), why);
    return [box];
  }

  // The verdicts of the diagnosis that an alert started, with their evidence.
  function diagnosed(key, diagnosis) {
    if (!diagnosis) return [];
    const { at, state, text, answers } = diagnosis;
    const box = make("details", { className: `diagnosis ${state}` });
    box.open = open_diagnoses.has(key);
    box.addEventListener("toggle", () => (box.open ? open_diagnoses.add(key) : open_diagnoses.delete(key)));
    const head = make("summary");
    head.append(make("b", { textContent: "Diagnosis" }), " ", minute(at), state === "running" ? ": agents measure" : `: ${text}`);
    const list = make("ul");
    list.append(...answers.map((answer) => {
      const item = make("li");
      const evidence = make("ul");
      evidence.append(...answer.evidence.map((each) => make("li", { textContent: each })));
      item.append(make("b", { textContent: answer.text }), make("p", { textContent: answer.why }), evidence);
      return item;
    }));
    box.append(head, list);
    return [box];
  }

  function alert_box(alert) {
    const { severity, lasts, title, text, from, until, minutes, href, sessions_href, slices, sessions, silence, acknowledgement, network, paths, diagnosis, rule, slice } = alert;
    const seen_to = silence ? "silenced" : acknowledgement ? "acknowledged" : "";
    const item = make("li", { className: lasts && !seen_to ? "alert lasts" : "alert" });
    item.dataset.severity = severity;
    const head = make("h3", {});
    head.append(make("b", { className: "severity", textContent: [severity, lasts ? seen_to : "ended"].filter(Boolean).join(", ") }), make("a", { href, textContent: title }));
    const when = make("p", { className: "when" });
    when.append("since ", minute(from));
    if (!lasts) when.append(" until ", minute(until), ` (${minutes} min)`);
    const separator = () => make("span", { className: "separator", textContent: " · " });
    when.append(separator(), make("a", { href, textContent: network ? "what agents measured" : "this slice in all views" }));
    if (!network) when.append(separator(), make("a", { href: sessions_href, textContent: "its worst sessions" }));
    const key = JSON.stringify([rule, slice, from]);
    // The evidence is stored when an alert begins, and again when it ends; the linked pages show the current records.
    const then = lasts ? " when it began" : "";
    const hit = evidence(key, `Who was hit${then}`, [...links("Most affected", slices), ...links("Worst sessions", sessions)]);
    item.append(head, ...response(alert), when, make("p", { textContent: text }), ...paths.map((each) => make("p", { textContent: each })), ...diagnosed(key, diagnosis), ...hit);
    return item;
  }

  function cell(label, ...content) {
    const made = make("td");
    if (label) made.dataset.label = label;
    made.append(...content);
    return made;
  }

  // The last value of a rule: of its only slice, or of the one that is closest to the limit or furthest beyond it.
  function last_value({ value, of, n, slices, at }) {
    const box = make("span");
    box.append(make("b", { textContent: value }));
    const more = [of, slices > 1 ? `worst of ${slices} slices` : "", n].filter(Boolean).join(", ");
    if (more) box.append(" ", make("span", { className: "quiet", textContent: more }));
    if (at) box.append(" ", minute(at));
    return box;
  }

  function rule_row(rule) {
    const { name, severity, state, state_text, what, limit, since, can_silence, silenced_until } = rule;
    const row = make("tr", { className: state === "firing" ? "lasts" : "" });
    row.dataset.severity = severity;
    const title = make("th", { scope: "row" });
    title.append(make("span", { textContent: name }), make("span", { className: "quiet", textContent: ` ${severity}. ${what}` }));
    const silenced = make("span", { className: "silenced" });
    if (silenced_until) silenced.append("silenced until ", minute(silenced_until));
    const buttons = [];
    if (can_silence) {
      buttons.push(silenced_until ? silenced : swarmscope_silence.button("Silence", { rule: name, slice: null, title: `All alerts of the rule ${name}` }));
      const edit = make("button", { type: "button", className: "small", textContent: "Edit", ariaLabel: `Edit the rule ${name}` });
      edit.addEventListener("click", () => swarmscope_rules.open(name));
      buttons.push(" ", swarmscope_changes.for_managers(edit));
    }
    row.append(
      cell("State", make("b", { className: "severity", textContent: state_text })), title, cell("Last value", last_value(rule)),
      cell("Limit", limit), cell("Since", since ? minute(since) : "the start"), ...(can_silence ? [cell("", ...buttons)] : []),
    );
    return row;
  }

  function silence_row({ id, rule, slice, from, until, by, comment }) {
    const row = make("li");
    const text = make("p");
    text.append(make("b", { textContent: rule }), `, ${slice}: until `, minute(until), `, since `, minute(from), noted({ by, comment }));
    row.append(text, end_button(id, `${rule}, ${slice}`));
    return row;
  }

  function end_button(id, what) {
    const end = make("button", { type: "button", className: "small", textContent: "End now", ariaLabel: `End now: silence of ${what}` });
    end.addEventListener("click", () => act(end, "DELETE", `api/v1/silences/${id}`));
    return swarmscope_changes.for_managers(end);
  }

  // A button's request; an error is written beside the button.
  async function act(button, method, path) {
    button.parentElement.querySelector(".wrong")?.remove();
    try {
      return await swarmscope_changes.request(method, path);
    } catch (error) {
      button.after(make("span", { className: "wrong", role: "alert", textContent: error.message }));
      return null;
    }
  }

  const open_deliveries = new Set();

  function webhook_row({ number, host, shape, counts, failing, deliveries }) {
    const row = make("li", { className: failing ? "failing" : "" });
    const text = make("p");
    text.append(make("b", { textContent: host }), ` (${shape}): ${counts}`);
    const test = make("button", { type: "button", className: "small", textContent: "Send a test", ariaLabel: `Send a test message to ${host}` });
    test.addEventListener("click", () => act(test, "POST", `api/v1/webhooks/${number}/test`));
    row.append(text, swarmscope_changes.for_managers(test), ...deliveries.map((each) => delivery(number, each)));
    return row;
  }

  function delivery(number, { at, title, sent, outcome, answer, attempts }) {
    const box = make("details", { className: outcome });
    const key = `${number} ${at} ${title}`;
    box.open = open_deliveries.has(key);
    box.addEventListener("toggle", () => (box.open ? open_deliveries.add(key) : open_deliveries.delete(key)));
    const head = make("summary");
    head.append(minute(at), ` ${outcome}: ${title}`);
    box.append(head, make("p", { textContent: `Answer after ${attempts}: ${answer || "none yet"}` }), make("pre", { textContent: sent }));
    return box;
  }

  swarmscope.page(({ rules, how, note = "", alerts, states, silences, webhooks }) => {
    const live = webhooks !== null;
    $("no-rules").hidden = rules > 0;
    $("no-rules-how").textContent = how ?? "";
    $("no-alerts").hidden = rules === 0 || alerts.length > 0;
    $("rules").hidden = !states.length;
    $("rules").tHead.rows[0].lastElementChild.hidden = !live; // nothing can be done about recorded files
    $("silences-card").hidden = $("webhooks-card").hidden = !live;
    swarmscope.put("#alerts-note", note);
    keep_children(document.querySelector("#rules tbody"), states.map((each) => ({ ...each, can_silence: live })), rule_row, { key: ({ name }) => name });
    keep_children($("alerts"), alerts, alert_box, { key: ({ rule, slice, from }) => JSON.stringify([rule, slice, from]) });
    if (!live) return;
    $("no-silences").hidden = silences.length > 0;
    $("no-webhooks").hidden = webhooks.length > 0;
    keep_children($("silences"), silences, silence_row, { key: ({ id }) => id });
    keep_children($("webhooks"), webhooks.map((each, number) => ({ ...each, number })), webhook_row, { key: ({ number }) => String(number) });
  });
})();
