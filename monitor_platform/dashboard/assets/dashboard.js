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

  // Filters go along to the other pages; what a page keeps for itself does not.
  function point_links() {
    const query = chosen();
    for (const name of [...query.keys()]) if (name.startsWith("p.")) query.delete(name);
    for (const link of document.querySelectorAll("nav a, .brand")) link.search = query.toString();
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
    fill_select(controls.measure, [["", choices.measures]], facts.measure);
    fill_select(controls.channel, [["", [["", "All channels"], ...choices.channels]]], query.get("channel") ?? "");
    fill_select(controls.isp, [["", [["", "All ISPs"], ...choices.isps]]], query.get("isp") ?? "");
    fill_select(controls.location, [["", [["", "Everywhere"]]], ...choices.places], place);
    if (controls.minutes) fill_select(controls.minutes, [["", choices.minutes]], String(facts.minutes));
    $("clear").hidden = !filters().length;
    // Filters without a control of their own are named where they can be cleared.
    $("clear").textContent = ["Clear filters", ...facts.others].join(" · ");
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
    const others = ["measure", "series", "minutes", "from", "to"];
    return [...chosen().keys()].filter((name) => !others.includes(name) && !name.startsWith("p."));
  }

  function clear() {
    choose(Object.fromEntries(filters().map((name) => [name, ""])));
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
    if (facts.asked === exchange.asked) show_address(facts.query, false);
    show_choices();
    if (own !== null && facts.page) own(facts.page, facts);
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
    const button = Object.assign(document.createElement("button"), { type: "button", className: "tile" });
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("viewBox", "0 0 56 20");
    line.setAttribute("aria-hidden", "true");
    line.append(document.createElementNS(SVG, "path"));
    const value = document.createElement("strong");
    value.append(document.createElement("b"), document.createElement("i"));
    button.append(document.createElement("span"), value, document.createElement("small"), line);
    button.addEventListener("click", () => choose({ measure: button.dataset.measure }));
    return button;
  }

  function fill_tile(button, { measure, title, value, unit, note, note_means, trend }) {
    button.dataset.measure = measure;
    button.setAttribute("aria-pressed", String(measure === facts.measure));
    button.querySelector("span").textContent = title;
    button.querySelector("b").textContent = value;
    button.querySelector("i").textContent = unit && `\u202f${unit}`;
    Object.assign(button.querySelector("small"), { textContent: note, title: note_means });
    button.querySelector("path").setAttribute("d", sparkline(trend));
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
    if (exchange.facts) { facts = JSON.parse(exchange.facts); show_facts(); }
    if (exchange.pill) show_pill();
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
    $("clear").addEventListener("click", clear);
    $("state-way-out").addEventListener("click", clear);
    point_links();
  });
  addEventListener("popstate", () => { ask(); show_choices(); });

  return { begin, lost, page, choose, put, fragment };
})();
