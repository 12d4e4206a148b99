// The lists of a page: chips, slices, lines of a breakdown, alerts of the timeline, and data health.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { shows, choose, filter, narrowed, along, make, put, keep_children } = swarmscope;
  const { local, range, element } = swarmscope_times;

  // ---- active filters as chips, which remove them ----

  function show_chips({ chips: all }) {
    // The page of a session ignores filters; its links to other pages keep them.
    const chips = document.body.dataset.page === "session" ? all.filter(({ names }) => names.includes("from")) : all;
    keep_children($("chips"), chips, chip, {
      key: ({ names }) => names.join(),
      otherwise: (gone) => swarmscope.control_of(gone.dataset.keeps.split(",")[0]),
    });
    $("unfiltered").hidden = chips.length > 0;
  }

  function chip({ names, text, span, at }) {
    const label = span ? range(...span) : at ? `${text} ${local(at)}` : text;
    const item = make("li");
    const button = make("button", { type: "button", className: "chip", title: label, ariaLabel: `Remove: ${label}` });
    button.append(make("span", { textContent: label, className: "text" }), make("span", { textContent: "×", ariaHidden: "true" }));
    button.addEventListener("click", () => choose(Object.fromEntries(names.map((name) => [name, ""]))));
    item.append(button);
    return item;
  }

  // ---- slices, each with a link to its sessions ----

  function show_slices({ slices, query }) {
    if (!$("slices")) return;
    $("no-slices").hidden = slices.length > 0;
    // The links keep the other filters.
    keep_children($("slices"), slices.map((each) => ({ ...each, query })), slice, {
      key: ({ name, value }) => JSON.stringify([name, value]),
      otherwise: () => document.querySelector("#chips li:last-child button"),
    });
  }

  function slice({ name, value, title, text, peers, mean, rest, share, thin }) {
    const item = make("li");
    const button = make("button", { type: "button", className: thin ? "slice thin" : "slice" });
    const bar = make("span", { className: "bar" });
    bar.style.setProperty("--share", `${Math.max(2, share * 100)}%`);
    const parts = { what: title, who: text, n: `n = ${peers}`, mean };
    button.append(...Object.entries(parts).map(([kind, value]) => make("span", { className: kind, textContent: value })), bar);
    button.title = `${title} ${text}: ${mean}, the rest ${rest}; ${peers} peers${thin ? "; thin: fewer than 25 sessions" : ""}`;
    if (thin) button.querySelector(".who").prepend(make("span", { className: "flag", textContent: "thin" }), " ");
    button.addEventListener("click", () => filter(name, value));
    const sessions = make("a", { className: "to-sessions", textContent: "Sessions", href: `sessions?${along(narrowed(name, value))}` });
    sessions.ariaLabel = `Sessions of ${title} ${text}, worst first`;
    sessions.title = sessions.ariaLabel;
    item.append(button, sessions);
    return item;
  }

  // ---- the lines of a breakdown, and the alerts of the timeline as text ----

  function show_legend({ legend }) {
    if (!$("legend")) return;
    keep_children($("legend"), legend, line, {
      key: ({ name, value }) => JSON.stringify([name, value]),
      otherwise: () => document.querySelector("#chips li:last-child button"),
    });
  }

  function line({ colour, text, name, value }) {
    const item = make("li");
    const button = make(value ? "button" : "span", { className: "line", title: text });
    button.append(make("span", { className: "text", textContent: text }));
    button.style.setProperty("--colour", colour);
    if (value) {
      button.type = "button";
      button.addEventListener("click", () => filter(name, value));
    }
    item.append(button);
    return item;
  }

  function show_marks({ marks, span }) {
    if (!$("marks")) return;
    const days = span !== null && span.to - span.from > 64800000;
    const more = marks.more ? [{ more: marks.more }] : [];
    keep_children($("marks"), [...marks.shown.map((each) => ({ ...each, days })), ...more], mark, { key: ({ from, title }) => `${from} ${title}` });
  }

  function mark({ severity, title, from, until, href, days, more, rule, slice, silenced_until, can_silence }) {
    const item = make("li");
    if (more) {
      item.append(make("a", { href: "alerts", textContent: `and ${more} more` }));
      return item;
    }
    item.dataset.severity = severity;
    const when = element(from, { day: days, seconds: false });
    const link = make("a", { href, textContent: title, title });
    item.append(make("b", { textContent: severity }), when, until ? `– ${local(until, { day: days, seconds: false })}` : "(open)", link);
    if (silenced_until) item.append(make("span", { className: "silenced", textContent: `silenced until ${local(silenced_until, { seconds: false })}` }));
    else if (can_silence) item.append(swarmscope_silence.button(until ? swarmscope_silence.FURTHER : "Silence", { rule, slice, title, ended: Boolean(until) }));
    return item;
  }

  // ---- data health, and the number of open alerts ----

  function show_health({ health }) {
    if (!health) return;
    document.body.dataset.trust = health.wrong ? "missing" : "whole";
    put("#trust-text", health.wrong ? "Data missing" : "Data whole");
    $("trust").title = health.text;
    if (!$("health")) return;
    keep_children($("health"), health.figures, ({ title, value, means, wrong }) => {
      const box = make("div", { className: wrong ? "wrong" : "", title: means });
      box.append(make("dt", { textContent: title }), make("dd", { textContent: value }));
      return box;
    });
  }

  function show_alerts({ lasting }) {
    if (!lasting) return;
    $("lasting").hidden = !lasting.number;
    $("lasting").dataset.severity = lasting.severity;
    put("#lasting-number", String(lasting.number));
  }

  for (const show of [show_chips, show_slices, show_legend, show_marks, show_health, show_alerts]) shows(show);
})();
