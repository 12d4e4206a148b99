// The Alerts page: open alerts first, each with its evidence. Values that end hosts sent are written as text.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { make } = swarmscope;
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

  function alert_box({ severity, lasts, title, text, from, until, minutes, href, sessions_href, slices, sessions }) {
    const item = make("li", { className: lasts ? "alert lasts" : "alert" });
    item.dataset.severity = severity;
    const head = make("h3", {});
    head.append(make("b", { className: "severity", textContent: lasts ? severity : `${severity}, ended` }), make("a", { href, textContent: title }));
    const when = make("p", { className: "when" });
    when.append("since ", minute(from));
    if (!lasts) when.append(" until ", minute(until), ` (${minutes} min)`);
    when.append(" · ", make("a", { href, textContent: "this slice in all views" }), " · ", make("a", { href: sessions_href, textContent: "sessions of this slice, worst first" }));
    const why = make("div", { className: "why" });
    // The evidence is stored when an alert begins, and again when it ends; the linked pages show the current records.
    const then = lasts ? " when it began" : "";
    why.append(...links(`Most affected${then}`, slices), ...links(`Worst sessions${then}`, sessions));
    item.append(head, when, make("p", { textContent: text }), why);
    return item;
  }

  swarmscope.page(({ rules, how, note = "", alerts }) => {
    $("no-rules").hidden = rules > 0;
    $("no-rules-how").textContent = how ?? "";
    $("no-alerts").hidden = rules === 0 || alerts.length > 0;
    swarmscope.put("#alerts-note", note);
    const wanted = JSON.stringify(alerts);
    if ($("alerts").dataset.holds === wanted) return;
    const at = [...$("alerts").querySelectorAll("a")].indexOf(document.activeElement);
    $("alerts").replaceChildren(...alerts.map(alert_box));
    $("alerts").dataset.holds = wanted;
    if (at >= 0) $("alerts").querySelectorAll("a")[at]?.focus();
  });
})();
