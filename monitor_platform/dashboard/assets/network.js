// The Network page: names on the map as far as there is room, zoom, the mesh, and the history of one path.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { choose, chosen, make, put, keep_children } = swarmscope;
  const { element } = swarmscope_times;
  const LETTER_PX = 6.6;
  const LINE_PX = 13;
  const ZOOM = 1.5;
  const DARK = new Set(["#73a9d6", "#ee9a4d", "#bdb9b1"]); // grounds on which dark ink is legible
  let begun = null; // the figure whose events are connected
  let limits = null; // its ranges when the whole map is shown

  // ---- the map ----

  function figure() {
    return Bokeh.documents[0]?.get_model_by_name("network") ?? null;
  }

  function view() {
    return [...Bokeh.index.roots].find((each) => each.model.name === "network") ?? null;
  }

  function renderer(name) {
    return figure().renderers.find((each) => each.name === name);
  }

  // Only for this browser; the platform does not know the size of the window.
  function write(source, changed) {
    const whole = Object.fromEntries(source.columns().map((name) => [name, source.get(name)]));
    source.setv({ data: { ...whole, ...changed } }, { sync: false });
  }

  // Agents and destinations have their names beside the map, routers above their place if there is room.
  function show_words() {
    const plot = figure();
    const frame = view()?.frame?.bbox;
    if (!plot || !frame?.width) return;
    const source = renderer("nodes").data_source;
    const column = (name) => Array.from(source.get(name));
    const [x, y, label, role] = ["x", "y", "label", "role"].map(column);
    if (!x.length) return;
    const last = Math.max(...x, 1);
    const narrow = frame.width < 560;
    const longest = (wanted) => Math.max(0, ...label.filter((_, i) => role[i] === wanted).map((text) => text.length));
    const room = (wanted) => Math.min(longest(wanted) * LETTER_PX + 24, frame.width * (narrow ? 0.26 : 0.2));
    const [left, right] = [room("agent"), room("destination")];
    const column_px = Math.max((frame.width - left - right) / last, 1);
    limits = { x: [-left / column_px, last + right / column_px], y: [-Math.max(...y.map((each) => -each)) - 0.7, 0.7] };
    if (!zoomed) plot.x_range.setv({ start: limits.x[0], end: limits.x[1] }, { sync: false });
    const scale_x = frame.width / (plot.x_range.end - plot.x_range.start);
    const scale_y = frame.height / (plot.y_range.end - plot.y_range.start);
    const word = x.map(() => "");
    const taken = x.map((at, i) => ({ left: at * scale_x - 8, right: at * scale_x + 8, top: -y[i] * scale_y - 8, bottom: -y[i] * scale_y + 8, of: i }));
    const order = x.map((_, i) => i).sort((one, other) => (role[one] === "router") - (role[other] === "router"));
    for (const i of order) {
      const beside = role[i] === "agent" || role[i] === "destination";
      const letters = Math.floor((beside ? (role[i] === "agent" ? left : right) - 16 : scale_x * 0.95) / LETTER_PX);
      const text = label[i].length > letters ? (letters > 5 ? `${label[i].slice(0, letters - 1)}…` : "") : label[i];
      const wide = text.length * LETTER_PX;
      const from = x[i] * scale_x + (role[i] === "agent" ? -13 - wide : beside ? 12 : -wide / 2);
      const top = -y[i] * scale_y - (beside ? LINE_PX / 2 : LINE_PX + 8);
      const box = { left: from, right: from + wide, top, bottom: top + LINE_PX, of: i };
      if (taken.some((each) => each.of !== i && each.left < box.right && box.left < each.right && each.top < box.bottom && box.top < each.bottom)) continue;
      taken.push(box);
      word[i] = text;
    }
    if (word.join("\n") !== column("word").join("\n")) write(source, { word });
    const { glyph } = renderer("names");
    const ink = getComputedStyle(document.body).color;
    if (glyph.text_color?.value !== ink) glyph.setv({ text_color: { value: ink } }, { sync: false });
  }

  let zoomed = false;

  function zoom(factor) {
    const { x_range, y_range } = figure();
    for (const [range, [least, most]] of [[x_range, limits.x], [y_range, limits.y]]) {
      const middle = (range.start + range.end) / 2;
      const half = Math.min(((range.end - range.start) * factor) / 2, (most - least) / 2);
      range.setv({ start: middle - half, end: middle + half });
    }
    on_zoom();
  }

  function whole() {
    const { x_range, y_range } = figure();
    zoomed = false;
    x_range.setv({ start: limits.x[0], end: limits.x[1] });
    y_range.setv({ start: limits.y[0], end: limits.y[1] });
    on_zoom();
  }

  // A finger or mouse that drags scrolls the page, unless the map is larger than its frame.
  function on_zoom() {
    const { x_range, toolbar } = figure();
    zoomed = x_range.end - x_range.start < limits.x[1] - limits.x[0] - 0.01;
    const pan = toolbar.tools.find((tool) => tool.type === "PanTool");
    if (pan.active !== zoomed) pan.setv({ active: zoomed }, { sync: false });
    show_words();
  }

  // An agent or a destination leads to its first path.
  function on_choice() {
    const source = renderer("nodes").data_source;
    const [at] = source.selected.indices;
    if (at === undefined) return;
    const key = source.get("key")[at];
    source.selected.indices = [];
    const [role, name] = [key.slice(0, key.indexOf(" ")), key.slice(key.indexOf(" ") + 1)];
    const matches = { agent: (each) => each.startsWith(`${name}|`), destination: (each) => each.endsWith(`|${name}`) }[role];
    const path = matches && [...$("network-paths").options].map((each) => each.value).find(matches);
    if (path) choose({ "p.path": path });
  }

  function begin() {
    const plot = figure();
    if (!plot || plot === begun) return;
    begun = plot;
    const { data_source } = renderer("nodes");
    data_source.selected.properties.indices.change.connect(on_choice);
    data_source.properties.data.change.connect(() => setTimeout(show_words, 0));
    for (const end of ["start", "end"]) plot.y_range.properties[end].change.connect(() => setTimeout(show_words, 0));
    const keys = { "+": () => zoom(1 / ZOOM), "=": () => zoom(1 / ZOOM), "-": () => zoom(ZOOM), 0: whole };
    document.querySelector(".network-map .figure").addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault(); // elsewhere, 0 leads to the tenth page
      keys[event.key]();
    });
  }

  // ---- texts and tables ----

  function number([title, value, wrong]) {
    const box = make("div", { className: wrong ? "wrong" : "" });
    box.append(make("dt", { textContent: title }), make("dd", { textContent: value }));
    return box;
  }

  function coloured([name, colour]) {
    const item = make("li");
    item.style.setProperty("--colour", colour);
    item.append(make("span", { className: "text", textContent: name }));
    return item;
  }

  function legend([colour, text]) {
    const item = make("li");
    const line = make("i");
    line.style.setProperty("--colour", colour);
    item.append(line, text);
    return item;
  }

  function switch_of([name, title, on]) {
    const button = make("button", { type: "button", textContent: title, ariaPressed: String(on) });
    button.addEventListener("click", () => choose({ "p.colour": name }));
    return button;
  }

  function link({ name, problem, cells }) {
    const row = make("tr", { className: problem ? "problem" : "" });
    row.append(make("th", { scope: "row", textContent: name }), ...[problem, ...cells].map((text) => make("td", { textContent: text })));
    return row;
  }

  function cell(path) {
    const box = make("td");
    if (!path) return box;
    const button = make("button", { type: "button", textContent: path.text, title: path.title, ariaPressed: String(path.chosen), ariaLabel: path.title });
    if (path.colour) {
      button.style.setProperty("--colour", path.colour);
      button.dataset.ink = DARK.has(path.colour) ? "dark" : "light";
    }
    if (path.failed) button.className = "failed";
    button.addEventListener("click", () => {
      choose({ "p.path": path.key });
      $("network-path-card").scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
    box.append(button);
    return box;
  }

  function listed(title, texts) {
    const box = make("details");
    const list = make("ul");
    list.append(...texts.map((textContent) => make("li", { textContent })));
    box.append(make("summary", { textContent: title }), list);
    return box;
  }

  function verdict({ title, subject, confidence, because, viewers, evidence, alternatives }) {
    const item = make("li");
    const head = make("h3", { textContent: `${title}: ` });
    head.append(make("b", { textContent: subject }), make("span", { textContent: `${confidence} confidence` }));
    item.append(head, ...viewers.map((textContent) => make("p", { className: "felt", textContent })), make("p", { className: "aside", textContent: because }));
    item.append(listed(`Evidence of ${evidence.length} ${evidence.length === 1 ? "measurement" : "measurements"}`, evidence));
    if (alternatives.length) item.append(listed("Also possible", alternatives));
    return item;
  }

  function fill_diagnosis({ from, to, verdicts, missing, more_missing }) {
    put("#network-diagnosed", `of ${swarmscope_times.range(from, to)}, the end of the time range`);
    keep_children($("network-verdicts"), verdicts, verdict, { key: ({ cause, subject }) => `${cause} ${subject}` });
    $("network-no-verdict").hidden = verdicts.length > 0;
    const box = $("network-missing");
    box.hidden = !missing.length;
    put("#network-missing summary", `Not enough evidence: ${missing.length + more_missing}`);
    keep_children(box.lastElementChild, missing, (textContent) => make("li", { textContent }));
  }

  function fill_mesh({ head, rows, more }) {
    const table = $("network-mesh");
    const titles = make("tr");
    titles.append(make("th", { scope: "col", textContent: "Agent" }), ...head.map(([name, address]) => make("th", { scope: "col", textContent: name, title: address })));
    keep_children(table.tHead, [head], () => titles);
    keep_children(table.tBodies[0], rows, ([agent, cells]) => {
      const row = make("tr");
      row.append(make("th", { scope: "row", textContent: agent, title: agent }), ...cells.map(cell));
      return row;
    }, { key: ([agent]) => agent });
    put("#network-mesh-note", `a row for each agent, a column for each destination; choose a cell to see its history${more ? `; ${more} rows and columns more in the CSV` : ""}`);
  }

  function fill_path(path, paths) {
    $("network-path-card").hidden = !path;
    if (!path) return;
    const select = $("network-paths");
    const holds = JSON.stringify(paths);
    if (select.dataset.holds !== holds && document.activeElement !== select) {
      select.replaceChildren(...paths.map(([value, textContent]) => make("option", { value, textContent })));
      select.dataset.holds = holds;
    }
    if (document.activeElement !== select) select.value = path.key;
    keep_children($("network-facts"), path.facts, ([title, value]) => {
      const pair = make("div", { className: "pair" });
      pair.append(make("dt", { textContent: title }), make("dd", { textContent: value }));
      return pair;
    });
    keep_children($("network-changes"), path.changes, ({ at, text, changed }) => {
      const item = make("li", { className: changed ? "changed" : "" });
      item.append(element(at), ` ${text}`);
      return item;
    });
    $("network-unviewed").hidden = path.viewed;
  }

  function point_csv() {
    const query = chosen();
    query.set("view", "network");
    $("network-csv").search = query.toString();
  }

  // ---- a measurement that a manager starts ----

  // "count=20 name=example.org" as an object; what looks like a number or a truth value is one.
  function parameters(text) {
    const value = (given) => (given === "true" || given === "false" ? given === "true" : given !== "" && Number.isFinite(+given) ? +given : given);
    const pairs = text.split(/\s+/).filter(Boolean).map((pair) => pair.split(/=(.*)/s));
    return Object.fromEntries(pairs.map(([name, given]) => [name, value(given ?? "")]));
  }

  async function start(event) {
    event.preventDefault();
    const given = Object.fromEntries(new FormData($("trigger-form")));
    const words = (text) => text.split(/[\s,]+/).filter(Boolean);
    const body = { technique: given.technique, destinations: words(given.destinations), agents: words(given.agents), parameters: parameters(given.parameters) };
    $("trigger-wrong").textContent = "";
    $("trigger-send").disabled = true;
    try {
      const { id, planned } = await swarmscope_changes.request("POST", "api/v1/measurement-requests", body);
      $("trigger").close();
      put("#network-measured", `${given.technique} has begun: ${planned} ${planned === 1 ? "operation" : "operations"} (request ${id})`);
    } catch (error) {
      $("trigger-wrong").textContent = error.message;
    }
    $("trigger-send").disabled = false;
  }

  function offer_trigger(own) {
    $("network-hands").hidden = !own.can_measure;
    if (own.can_measure) swarmscope_changes.for_managers($("network-measure"));
    const { destinations } = $("trigger-form").elements;
    if (!destinations.value && own.path) destinations.value = own.path.key.split("|").at(-1);
  }

  swarmscope.page((own) => {
    offer_trigger(own);
    document.body.classList.toggle("no-network", !own.known);
    $("no-network").hidden = own.known;
    $("network-empty").hidden = !own.empty;
    if (!own.known) return;
    begin();
    point_csv();
    put("#network-note", own.note);
    put("#network-techniques", `median, and p10 to p90 as a band${own.techniques ? `; ${own.techniques}` : ""}`);
    keep_children($("network-numbers"), own.numbers, number);
    keep_children($("network-colours"), own.colours.map(([name, title]) => [name, title, name === own.colour]), switch_of, { key: ([name]) => name });
    keep_children($("network-legend"), own.legend, legend);
    keep_children($("network-links").tBodies[0], own.links, link);
    keep_children($("network-agents"), own.agents, coloured);
    keep_children($("network-isps"), own.isps, coloured);
    fill_diagnosis(own.diagnosis);
    fill_mesh(own.mesh);
    fill_path(own.path, own.paths);
    setTimeout(show_words, 50);
  });

  addEventListener("DOMContentLoaded", () => {
    $("network-in").addEventListener("click", () => zoom(1 / ZOOM));
    $("network-out").addEventListener("click", () => zoom(ZOOM));
    $("network-whole").addEventListener("click", whole);
    $("network-measure").addEventListener("click", () => $("trigger").showModal());
    $("trigger-form").addEventListener("submit", start);
    $("network-paths").addEventListener("change", (event) => choose({ "p.path": event.target.value }));
  });
  document.addEventListener("themed", () => setTimeout(show_words, 50));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(show_words, 50));
  addEventListener("resize", () => setTimeout(show_words, 250));
})();
