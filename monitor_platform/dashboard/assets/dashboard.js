// The page around the figures. It sends what the viewer chooses as the query part of the page's own address, and writes what comes
// back with textContent only: channel names, ISPs and the like are whatever an end host cares to send.
"use strict";

const swarmscope = (() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  let exchange = null;
  let choices = null;
  let facts = null;
  let own = null;

  // ---- what the viewer chooses, as address ----

  function chosen() {
    return new URLSearchParams(location.search);
  }

  function choose(changes, { keep = false } = {}) {
    const query = chosen();
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    show_address(query.toString(), keep);
    ask();
  }

  function show_address(query, keep) {
    const address = location.pathname + (query ? `?${query}` : "");
    if (address === location.pathname + location.search) return;
    keep ? history.replaceState(null, "", address) : history.pushState(null, "", address);
    point_links();
  }

  function sorted(query) {
    const names = new URLSearchParams(query);
    names.sort();
    return names.toString();
  }

  // Filters and a replay go along to the other pages; what a page keeps for itself does not.
  function point_links() {
    const query = chosen();
    const along = ["p.replay", "p.playing"];
    for (const name of [...query.keys()]) if (name.startsWith("p.") && !along.includes(name)) query.delete(name);
    for (const link of document.querySelectorAll("nav a, .brand, .trust, #about-measure, [data-along]")) link.search = query.toString();
  }

  function ask() {
    if (exchange !== null) exchange.asked = location.search.slice(1);
  }

  // ---- controls ----

  function fill_select(select, groups, value) {
    const wanted = JSON.stringify(groups);
    if (select.dataset.filled !== wanted) {
      select.replaceChildren(...groups.map(([title, options]) => title === "" ? fragment(options) : group(title, options)));
      select.dataset.filled = wanted;
    }
    // A name from a bookmark may be unknown by now; it stays visible, or nobody could see why nothing matches.
    if (![...select.options].some((option) => option.value === value)) select.append(new Option(value, value));
    if (document.activeElement !== select || select.value !== value) select.value = value;
    select.classList.toggle("set", value !== "" && select.name !== "measure" && select.name !== "minutes");
  }

  function fragment(options) {
    const all = document.createDocumentFragment();
    all.append(...options.map(([value, text]) => new Option(text, value)));
    return all;
  }

  function group(title, options) {
    const element = document.createElement("optgroup");
    element.label = title;
    element.append(fragment(options));
    return element;
  }

  function show_choices() {
    if (choices === null || facts === null) return;
    const query = chosen();
    const controls = $("filters").elements;
    const place = query.get("district") ? `district:${query.get("district")}` : query.get("area") ? `area:${query.get("area")}` : "";
    $("about-measure").hash = facts.measure.startsWith("extra.") ? "" : facts.measure;
    fill_select(controls.measure, [["", choices.measures]], facts.measure);
    fill_select(controls.channel, [["", [["", "All channels"], ...choices.channels]]], query.get("channel") ?? "");
    fill_select(controls.isp, [["", [["", "All ISPs"], ...choices.isps]]], query.get("isp") ?? "");
    fill_select(controls.location, [["", [["", "Everywhere"]]], ...choices.places], place);
    if (controls.minutes) fill_select(controls.minutes, [["", choices.minutes]], String(facts.minutes));
    fill_select(controls.by, [["", choices.by], ["From the apps", choices.by_extra]], facts.by);
    fill_select(controls.compare, [["", choices.compare]], facts.compare);
    if ($("series")) show_series();
    if (controls.begin) show_span(controls);
  }

  function show_series() {
    const box = $("series");
    const known = new Set([...box.querySelectorAll("input")].map((input) => input.value));
    box.append(...choices.series.filter(([name]) => !known.has(name)).map(([name, title]) => chip(name, title)));
    for (const input of box.querySelectorAll("input")) {
      input.checked = facts.series.includes(input.value);
      input.disabled = !input.checked && facts.series.length >= choices.most_series;
    }
  }

  function chip(name, title) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "checkbox", value: name, name: "series" });
    label.append(input, title);
    return label;
  }

  function on_choice(event) {
    const { name, value } = event.target;
    if (name === "location") {
      const [kind, ...id] = value.split(":");
      choose({ district: kind === "district" ? id.join(":") : "", area: kind === "area" ? id.join(":") : "" });
    } else if (name === "begin" || name === "end") {
      choose_span();
    } else if (name === "series") {
      const on = [...$("series").querySelectorAll("input:checked")].map((input) => input.value);
      choose({ series: on.join(",") });
    } else {
      choose({ [name]: value });
    }
  }

  function filters() {
    const others = ["measure", "series", "minutes", "from", "to", "by", "compare", "table"];
    return [...chosen().keys()].filter((name) => !others.includes(name) && !name.startsWith("p.") && !name.startsWith("vs."));
  }

  function clear() {
    choose(Object.fromEntries([...filters(), "from", "to"].map((name) => [name, ""])));
  }

  // ---- what is chosen, as chips that take it away ----

  function show_chips() {
    $("chosen").hidden = !facts.chips.length;
    $("clear").hidden = !filters().length && !chosen().has("from");
    keep_children($("chips"), facts.chips, ({ names, text, span }) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button", className: "chip" });
      const said = span ? `${local_time(span[0])} – ${local_time(span[1])}` : text;
      button.append(said, Object.assign(document.createElement("span"), { textContent: "×", ariaHidden: "true" }));
      button.setAttribute("aria-label", `Take away: ${said}`);
      button.title = said;
      button.addEventListener("click", () => choose(Object.fromEntries(names.map((name) => [name, ""]))));
      item.append(button);
      return item;
    });
  }

  // Children are made anew only when what they say has changed: a button must not vanish under the hand or lose the focus.
  function keep_children(box, all, make) {
    const wanted = JSON.stringify(all);
    if (box.dataset.holds === wanted) return;
    const at = [...box.querySelectorAll("button, a")].indexOf(document.activeElement);
    box.replaceChildren(...all.map(make));
    box.dataset.holds = wanted;
    if (at >= 0) box.querySelectorAll("button, a")[at]?.focus();
  }

  function filter(name, value) {
    choose(name === "area" || name === "district" ? { area: "", district: "", [name]: value } : { [name]: value });
  }

  // ---- slices, legend, data health ----

  function show_slices() {
    if (!$("slices")) return;
    $("no-slices").hidden = facts.slices.length > 0;
    keep_children($("slices"), facts.slices, ({ name, value, title, text, peers, mean, rest, share, thin }) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button", className: thin ? "slice thin" : "slice" });
      const part = (kind, said) => Object.assign(document.createElement("span"), { className: kind, textContent: said });
      const bar = part("bar", "");
      bar.style.setProperty("--share", `${Math.max(2, share * 100)}%`);
      button.append(part("what", title), part("who", text), part("n", `n = ${peers}`), part("mean", mean), bar);
      button.title = `${title} ${text}: ${mean}, the rest ${rest}; ${peers} peers${thin ? "; thin: fewer than 25 sessions" : ""}`;
      if (thin) button.querySelector(".who").prepend(part("flag", "thin"));
      button.addEventListener("click", () => filter(name, value));
      item.append(button);
      return item;
    });
  }

  function show_legend() {
    if (!$("legend")) return;
    keep_children($("legend"), facts.legend, ({ colour, text, name, value }) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement(value ? "button" : "span"), { textContent: text, title: text });
      button.style.setProperty("--colour", colour);
      if (value) {
        button.type = "button";
        button.addEventListener("click", () => filter(name, value));
      }
      item.append(button);
      return item;
    });
  }

  function show_health() {
    if (!facts.health) return;
    const { figures, wrong, text } = facts.health;
    document.body.dataset.trust = wrong ? "missing" : "whole";
    put("#trust-text", wrong ? "Data missing" : "Data whole");
    $("trust").title = text;
    if (!$("health")) return;
    keep_children($("health"), figures, ({ title, value, means, wrong: bad }) => {
      const box = document.createElement("div");
      box.className = bad ? "wrong" : "";
      box.title = means;
      box.append(Object.assign(document.createElement("dt"), { textContent: title }), Object.assign(document.createElement("dd"), { textContent: value }));
      return box;
    });
  }

  // ---- the same numbers as tables and files ----

  function show_tables() {
    for (const box of document.querySelectorAll("[data-listed]")) {
      const name = box.dataset.listed;
      const table = facts.tables[name] ?? (name === "timeline" ? facts.tables.breakdown : undefined);
      box.hidden = table === undefined;
      const button = document.querySelector(`[data-table="${name}"]`);
      button.setAttribute("aria-pressed", String(table !== undefined));
      box.parentElement.classList.toggle("with-table", table !== undefined);
      if (table) keep_children(box, [table], list);
    }
    for (const link of document.querySelectorAll("[data-csv]")) {
      const query = chosen();
      query.set("view", link.dataset.csv === "timeline" && facts.by ? "breakdown" : link.dataset.csv);
      link.href = `/api/v1/table?${query}`;
    }
  }

  function list({ head, rows, filters: offers }) {
    const table = document.createElement("table");
    const heading = table.createTHead().insertRow();
    heading.append(...head.map((text) => Object.assign(document.createElement("th"), { scope: "col", textContent: text })));
    const body = table.createTBody();
    rows.forEach((cells, at) => {
      const row = body.insertRow();
      cells.forEach((text, i) => {
        const cell = document.createElement(i ? "td" : "th");
        if (!i) cell.scope = "row";
        if (!i && offers[at]) {
          const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: text });
          button.addEventListener("click", () => filter(...offers[at]));
          cell.append(button);
        } else cell.textContent = text;
        row.append(cell);
      });
    });
    return table;
  }

  function toggle_table(name) {
    const on = new Set((chosen().get("table") ?? "").split(",").filter(Boolean));
    const names = name === "timeline" && facts?.by ? ["timeline", "breakdown"] : [name];
    if (names.some((each) => on.has(each))) for (const each of names) on.delete(each);
    else on.add(names.at(-1));
    choose({ table: [...on].sort().join(",") });
  }

  async function save_picture(name, type) {
    const view = Object.values(Bokeh.index.roots ?? Bokeh.index).find((each) => each.model.name === name);
    const blob = await view.export(type, type === "png").to_blob();
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `swarmscope-${name}.${type}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  // ---- the time range of recorded files: two thumbs on one rail ----

  const STEPS = 1000;

  function span_at(begin, end) {
    const { from, to } = facts.extent;
    const at = (step) => Math.round(from + ((to - from) * step) / STEPS);
    return [at(begin), at(end)];
  }

  function show_span({ begin, end }) {
    if (!facts.extent || begin.matches(":active") || end.matches(":active")) return;
    const { from, to } = facts.extent;
    begin.value = Math.round(((facts.span.from - from) / (to - from)) * STEPS);
    end.value = Math.round(((facts.span.to - from) / (to - from)) * STEPS);
    describe_span();
  }

  function describe_span() {
    const { begin, end } = $("filters").elements;
    const [from, to] = span_at(+begin.value, +end.value);
    $("span-text").textContent = `${local_time(from)} – ${local_time(to)}`;
    $("span-text").title = `${utc(from)} – ${utc(to)} UTC`;
    begin.setAttribute("aria-valuetext", local_time(from));
    end.setAttribute("aria-valuetext", local_time(to));
    begin.parentElement.style.setProperty("--from", `${begin.value / 10}%`);
    begin.parentElement.style.setProperty("--to", `${end.value / 10}%`);
  }

  function keep_order(event) {
    const { begin, end } = $("filters").elements;
    if (event.target === begin) begin.value = Math.min(+begin.value, +end.value - 1);
    if (event.target === end) end.value = Math.max(+end.value, +begin.value + 1);
    describe_span();
  }

  function choose_span() {
    const { begin, end } = $("filters").elements;
    const whole = +begin.value === 0 && +end.value === STEPS;
    const [from, to] = span_at(+begin.value, +end.value);
    choose({ from: whole ? "" : String(from), to: whole ? "" : String(to) });
  }

  function local_time(ms) {
    return new Date(ms).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  }

  function utc(ms) {
    return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  }

  // ---- what the platform says ----

  function show_facts() {
    document.body.dataset.state = facts.state.kind;
    if (facts.state.kind !== "ok") show_state(facts.state);
    show_tiles();
    for (const [name, text] of Object.entries(facts.notes)) put(`[data-note="${name}"]`, text);
    for (const [name, text] of Object.entries(facts.asides)) put(`[data-aside="${name}"]`, text);
    put("#drops", facts.drops);
    for (const [name, key] of Object.entries(facts.keys)) show_key(document.querySelector(`[data-key="${name}"]`), key);
    // A tap on the map has chosen a place over there; the address follows. An answer to an older question does not.
    if (facts.asked === exchange.asked) show_address(facts.query, sorted(facts.query) === sorted(location.search));
    show_choices();
    show_chips();
    show_slices();
    show_legend();
    show_health();
    show_tables();
    if (own !== null && facts.page) own(facts.page, facts);
    document.dispatchEvent(new CustomEvent("shown", { detail: facts }));
  }

  // A page's own script is told what its part on the platform says, from then on.
  function page(show) {
    own = show;
    if (facts?.page) own(facts.page, facts);
  }

  function put(selector, text) {
    const element = document.querySelector(selector);
    if (element !== null && element.textContent !== text) element.textContent = text;
  }

  function show_key(box, { colours, stepped, marks }) {
    const [ramp] = box.children;
    const share = 100 / colours.length;
    const stops = stepped ? colours.map((colour, i) => `${colour} ${i * share}% ${(i + 1) * share}%`) : colours;
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    box.replaceChildren(ramp, ...marks.map(([place, text]) => {
      const mark = document.createElement("span");
      mark.textContent = text;
      mark.style.left = `${place * 100}%`;
      return mark;
    }));
  }

  function show_state({ title, text, command, way_out }) {
    $("state-title").textContent = title;
    $("state-text").textContent = text;
    $("state-command").textContent = command;
    $("state-command").hidden = command === "";
    $("state-way-out").hidden = !way_out;
  }

  function show_tiles() {
    const box = $("tiles");
    if (box.children.length !== facts.tiles.length) box.replaceChildren(...facts.tiles.map(tile));
    facts.tiles.forEach((fact, i) => fill_tile(box.children[i], fact));
  }

  function tile() {
    const box = Object.assign(document.createElement("div"), { className: "tile" });
    const button = Object.assign(document.createElement("button"), { type: "button", className: "pick" });
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("viewBox", "0 0 56 20");
    line.setAttribute("aria-hidden", "true");
    line.append(document.createElementNS(SVG, "path"));
    const value = document.createElement("strong");
    value.append(document.createElement("b"), document.createElement("i"));
    const change = Object.assign(document.createElement("em"), { className: "change" });
    change.append(Object.assign(document.createElement("span"), { ariaHidden: "true" }), Object.assign(document.createElement("span"), { className: "heard" }));
    button.append(Object.assign(document.createElement("span"), { className: "title" }), value, change, document.createElement("small"));
    button.addEventListener("click", () => { if (!button.disabled) choose({ measure: box.dataset.measure }); });
    const about = Object.assign(document.createElement("a"), { className: "about", textContent: "?" });
    box.append(button, about, line);
    return box;
  }

  function fill_tile(box, { measure, title, value, unit, note, note_means, trend, change, colours }) {
    const button = box.querySelector("button");
    box.dataset.measure = measure;
    button.disabled = !colours;
    if (colours) button.setAttribute("aria-pressed", String(measure === facts.measure));
    box.querySelector(".title").textContent = title;
    box.querySelector("b").textContent = value;
    box.querySelector("i").textContent = unit && `\u202f${unit}`;
    const [shown, heard] = box.querySelector(".change").children;
    shown.textContent = change.text && `${change.arrow}\u202f${change.text}`;
    heard.textContent = change.words;
    Object.assign(box.querySelector(".change"), { title: change.words }).dataset.kind = change.kind;
    Object.assign(box.querySelector("small"), { textContent: note, title: note_means });
    Object.assign(box.querySelector(".about"), { href: `/measures#${measure}`, ariaLabel: `What is ${title}?` });
    box.querySelector("path").setAttribute("d", sparkline(trend));
  }

  function sparkline(values) {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) return "";
    const low = Math.min(...known);
    const high = Math.max(...known);
    // A line that hardly moves has to look like one.
    const rise = Math.max(high - low, Math.abs(high) / 10) || 1;
    let pen = "M";
    return values.map((value, i) => {
      if (value === null) { pen = "M"; return ""; }
      const point = `${pen}${((i / (values.length - 1)) * 56).toFixed(1)} ${(19 - ((value - low) / rise) * 18).toFixed(1)}`;
      pen = "L";
      return point;
    }).join("");
  }

  function show_pill() {
    const { kind, title, text, hint } = JSON.parse(exchange.pill);
    document.body.dataset.pill = kind;
    $("pill-kind").textContent = title;
    $("pill-text").textContent = text;
    $("pill").title = hint;
  }

  // ---- beginning, and getting back after the platform was restarted ----

  function begin(model) {
    exchange = model;
    exchange.properties.facts.change.connect(() => { facts = JSON.parse(exchange.facts); show_facts(); });
    exchange.properties.choices.change.connect(() => { choices = JSON.parse(exchange.choices); show_choices(); });
    exchange.properties.pill.change.connect(show_pill);
    if (exchange.choices) choices = JSON.parse(exchange.choices);
    if (exchange.pill) show_pill();
    if (exchange.facts) { facts = JSON.parse(exchange.facts); show_facts(); }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  }

  function repaint() {
    for (const view of Object.values(Bokeh.index)) for (const part of view.children_views ?? [view]) part.invalidate_layout?.();
    dispatchEvent(new Event("resize"));
  }

  function lost() {
    document.body.dataset.pill = "stale";
    $("pill-kind").textContent = "Disconnected";
    $("pill-text").textContent = "the monitoring platform does not answer; trying again";
    setInterval(async () => {
      const answer = await fetch("/readyz").catch(() => null);
      if (answer?.ok) location.reload();
    }, 2000);
  }

  addEventListener("DOMContentLoaded", () => {
    $("filters").addEventListener("change", on_choice);
    $("filters").addEventListener("input", (event) => { if (event.target.type === "range") keep_order(event); });
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("series")?.addEventListener("change", on_choice);
    for (const button of document.querySelectorAll("[data-table]")) button.addEventListener("click", () => toggle_table(button.dataset.table));
    for (const button of document.querySelectorAll("[data-picture]")) {
      button.addEventListener("click", () => save_picture(button.dataset.of, button.dataset.picture));
    }
    $("clear").addEventListener("click", clear);
    $("state-way-out").addEventListener("click", clear);
    point_links();
  });
  addEventListener("popstate", () => { ask(); show_choices(); });

  return { begin, lost, page, choose, put, fragment };
})();
