// The Swarm page: names in the tree as far as there is room, zoom, groups, failures, and the table of nodes.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { choose, chosen, filter, session_address, make, put, keep_children, show_sorted_column } = swarmscope;
  const { element, local } = swarmscope_times;
  const LINE_PX = 12; // the least height of a row with a name
  const LETTER_PX = 6.5;
  const NARROW_PX = 560;
  const ZOOM = 1.5;
  let shown = null;
  let known = null; // the figure

  // ---- the figure ----

  function figure() {
    return Bokeh.documents[0]?.get_model_by_name("swarm") ?? null;
  }

  function view() {
    return [...Bokeh.index.roots].find((each) => each.model.name === "swarm") ?? null;
  }

  function renderer(name) {
    return figure().renderers.find((each) => each.name === name);
  }

  function columns(source) {
    return (name) => Array.from(source.get(name));
  }

  // Only for this browser; the platform does not know the size of the window.
  function write(source, changed) {
    const whole = Object.fromEntries(source.columns().map((name) => [name, source.get(name)]));
    source.setv({ data: { ...whole, ...changed } }, { sync: false });
  }

  function whole() {
    const rows = columns(renderer("nodes").data_source)("y").map((y) => -y);
    return { start: -Math.max(...rows, 0) - 0.9, end: 0.9 };
  }

  // A name needs a row of 12 px, and the width between two columns. Where there is none for all, names of nodes that a search found
  // or that failed come first, then those of inner nodes.
  function show_words() {
    const plot = figure();
    const frame = view()?.frame?.bbox;
    if (!plot || !frame || !frame.width) return;
    const source = renderer("nodes").data_source;
    const of = columns(source);
    const [x, y, label, detail, leaf, rank] = ["x", "y", "label", "detail", "leaf", "rank"].map(of);
    if (!x.length) return;
    const deepest = Math.max(...x);
    const longest = Math.max(...label.map((text, i) => (leaf[i] ? text.length : 0)));
    const narrow = frame.width < NARROW_PX;
    const margin = Math.min(longest * LETTER_PX + (narrow ? 12 : 180), frame.width * (narrow ? 0.38 : 0.36));
    const column_px = (frame.width - margin - (narrow ? 40 : 56)) / Math.max(deepest, 1);
    plot.x_range.setv({ start: -(narrow ? 24 : 40) / column_px, end: deepest + (margin + 16) / column_px }, { sync: false });
    const row_px = frame.height / (plot.y_range.end - plot.y_range.start);
    const taken = [];
    const order = x.map((_, i) => i).sort((one, other) => rank[one] - rank[other] || y[other] - y[one]);
    const word = x.map(() => "");
    for (const i of order) {
      const text = fitted(label[i], detail[i], leaf[i], leaf[i] && x[i] === deepest ? margin : column_px, narrow);
      const wide = text.length * LETTER_PX;
      const left = x[i] * column_px + (leaf[i] ? 12 : -wide / 2);
      const top = -y[i] * row_px - (leaf[i] ? LINE_PX / 2 : LINE_PX + 8);
      const box = { left, right: left + wide, top, bottom: top + LINE_PX };
      if (taken.some((each) => each.left < box.right && box.left < each.right && each.top < box.bottom && box.top < each.bottom)) continue;
      taken.push(box);
      word[i] = text;
    }
    if (word.join("\n") !== of("word").join("\n")) write(source, { word });
    show_gaps(row_px, narrow);
    const ink = getComputedStyle(document.body).color;
    for (const name of ["names", "gaps"]) {
      const { glyph } = renderer(name);
      if (glyph.text_color?.value !== ink) glyph.setv({ text_color: { value: ink } }, { sync: false });
    }
    const card = { value: getComputedStyle(document.documentElement).getPropertyValue("--card").trim() || "#ffffff" };
    const { glyph: halo } = renderer("halos");
    if (halo.text_color?.value !== card.value) halo.setv({ text_color: card, text_outline_color: card }, { sync: false });
  }

  function fitted(label, detail, leaf, room_px, narrow) {
    const letters = Math.max(4, Math.floor((room_px - (leaf ? 12 : 2)) / LETTER_PX));
    const cut = label.length > letters ? `${label.slice(0, letters - 1)}…` : label;
    const rest = letters - label.length - 3;
    if (!leaf || !detail || narrow || rest < Math.min(detail.length, 12)) return cut;
    return `${label}   ${detail.length <= rest ? detail : `${detail.slice(0, rest - 1)}…`}`;
  }

  function show_gaps(row_px, narrow) {
    const source = renderer("marks").data_source;
    const of = columns(source);
    const word = of("gap").map((text) => (row_px >= LINE_PX && !narrow ? text : ""));
    if (word.join() !== of("word").join()) write(source, { word });
  }

  function zoom(factor) {
    const { y_range } = figure();
    const middle = (y_range.start + y_range.end) / 2;
    const half = ((y_range.end - y_range.start) * factor) / 2;
    const limits = whole();
    if (half * 2 >= limits.end - limits.start) y_range.setv(limits);
    else y_range.setv({ start: middle - half, end: middle + half });
  }

  // A finger or mouse that drags scrolls the page, unless the tree is larger than its frame.
  function on_zoom() {
    const { y_range, toolbar } = figure();
    const limits = whole();
    const zoomed = y_range.end - y_range.start < limits.end - limits.start - 0.01;
    const pan = toolbar.tools.find((tool) => tool.type === "PanTool");
    if (pan.active !== zoomed) pan.setv({ active: zoomed }, { sync: false });
    show_words();
  }

  function on_choice() {
    const source = renderer("nodes").data_source;
    const [at] = source.selected.indices;
    if (at === undefined) return;
    const of = columns(source);
    source.selected.indices = [];
    const [opens, session] = [of("opens")[at], of("session")[at]];
    if (opens) open(opens);
    else if (session) location.assign(session_address(session));
  }

  function begin() {
    known = figure();
    if (!known) return;
    renderer("nodes").data_source.selected.properties.indices.change.connect(on_choice);
    renderer("nodes").data_source.properties.data.change.connect(() => setTimeout(show_words, 0));
    for (const end of ["start", "end"]) known.y_range.properties[end].change.connect(() => setTimeout(on_zoom, 0));
    const plot = document.querySelector(".card.swarm .figure");
    const keys = { "+": () => zoom(1 / ZOOM), "=": () => zoom(1 / ZOOM), "-": () => zoom(ZOOM), 0: () => known.y_range.setv(whole()) };
    plot.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault(); // elsewhere, 0 leads to the tenth page
      keys[event.key]();
    });
  }

  // ---- groups, in the address ----

  function names(parameter) {
    return (chosen().get(parameter) ?? "").split(",").filter(Boolean).map(decodeURIComponent);
  }

  function as_parameter(all) {
    return [...new Set(all)].map(encodeURIComponent).join(",");
  }

  function open(node) {
    choose({ "p.open": as_parameter([...names("p.open"), node]), "p.closed": as_parameter(names("p.closed").filter((each) => each !== node)) });
  }

  function close(node) {
    choose({ "p.closed": as_parameter([...names("p.closed"), node]), "p.open": as_parameter(names("p.open").filter((each) => each !== node)) });
  }

  // ---- key figures, failures, table ----

  function number([title, value, wrong]) {
    const box = make("div", { className: wrong ? "wrong" : "" });
    box.append(make("dt", { textContent: title }), make("dd", { textContent: value }));
    return box;
  }

  function outage({ at, failed, back, text, wrong, moved, more }) {
    const item = make("li", { className: wrong ? "felt" : "" });
    const head = make("p");
    head.append(element(at), " ", make("b", { textContent: failed }), back ? " failed, and reports again: " : " failed: ", text);
    const list = make("ul");
    list.append(...moved.map(([name, session, parent, gap]) => {
      const line = make("li");
      line.append(make("a", { href: session_address(session), textContent: name }), ` → ${parent}, ${gap}`);
      return line;
    }));
    if (more) list.append(make("li", { textContent: `and ${more} more` }));
    item.append(head, list);
    return item;
  }

  function heading([name, title, text]) {
    const { sort, reverse } = shown;
    const cell = make("th", { scope: "col", className: text ? "text" : "" });
    const button = make("button", { type: "button", textContent: title });
    if (name === sort) {
      cell.ariaSort = reverse ? "ascending" : "descending";
      button.textContent += reverse ? " ▲" : " ▼";
    }
    // The third choice of a heading is the order of the tree again.
    button.addEventListener("click", () => {
      const again = shown.sort === name;
      choose({ "p.sort": again && shown.reverse ? "" : name, "p.order": again && !shown.reverse ? "reverse" : "" });
    });
    cell.append(button);
    return cell;
  }

  function row({ name, session, feeds, problem, cells }, head) {
    const line = make("tr", { className: problem ? "problem" : "" });
    const first = make("th", { scope: "row", title: name, className: "text" });
    first.append(session ? make("a", { href: session_address(session), textContent: name }) : make("span", { textContent: name }));
    line.append(first, ...cells.map((text, at) => make("td", { textContent: text, className: head[at + 1][2] ? "text" : "" })), make("td"));
    if (feeds > 1) {
      const grouped = shown.grouped.includes(name);
      const button = make("button", { type: "button", className: "toggle", textContent: grouped ? "Show" : "Group" });
      button.ariaLabel = grouped ? `Show all nodes below ${name}` : `Group the nodes below ${name}`;
      button.addEventListener("click", () => (grouped ? open(name) : close(name)));
      line.lastElementChild.append(button);
    }
    return line;
  }

  // Columns that no node reports are left out.
  function used(head, rows, sort) {
    const kept = head.map(([name], at) => at === 0 || name === sort || rows.some(({ cells }) => cells[at - 1] && cells[at - 1] !== "–"));
    const only = (all) => all.filter((_, at) => kept[at]);
    return [only(head), rows.map((each) => ({ ...each, cells: only(["", ...each.cells]).slice(1) }))];
  }

  function fill_table({ head: all, rows: known, rows_of, sort, reverse, grouped, find }) {
    const table = $("swarm-rows");
    const [head, rows] = used(all, known, sort);
    const holds = JSON.stringify([head, rows, sort, reverse, grouped, location.search]);
    if (table.dataset.holds !== holds) {
      const at = [...table.querySelectorAll("button, a")].indexOf(document.activeElement);
      table.tHead.rows[0].replaceChildren(...head.map(heading), make("th", { scope: "col", textContent: "Children" }));
      table.tBodies[0].replaceChildren(...rows.map((each) => row(each, head)));
      table.dataset.holds = holds;
      if (at >= 0) table.querySelectorAll("button, a")[at]?.focus();
      show_sorted_column(table, sort);
    }
    const order = sort ? "" : "; those with a problem first";
    const matching = find ? ` with “${find}” in the name` : "";
    put("#swarm-rows-note", rows.length < rows_of ? `the first ${rows.length} of ${rows_of} nodes${matching}${order}; the CSV has all` : `${rows_of} nodes${matching}${order}`);
  }

  function fill_choices({ find, depth, depths, stream, streams }) {
    const { elements } = $("swarm-choices");
    const options = (select, all, value) => {
      const holds = JSON.stringify([all, value]);
      if (select.dataset.holds === holds || document.activeElement === select) return;
      select.replaceChildren(...all.map(([name, title]) => make("option", { value: name, textContent: title })));
      Object.assign(select, { value });
      select.dataset.holds = holds;
    };
    options(elements.depth, [["", "all"], ...depths.map((each) => [String(each), String(each)])], depth);
    options(elements.stream, streams.map(([name, nodes]) => [name, `${name} (${nodes})`]), stream);
    $("swarm-stream").hidden = streams.length < 2;
    if (document.activeElement !== elements.find) elements.find.value = find;
    const own = ["p.open", "p.closed", "p.depth"];
    $("swarm-regroup").hidden = !own.some((name) => chosen().has(name));
  }

  function show(own) {
    shown = own;
    document.body.classList.toggle("no-swarm", !own.known);
    $("no-swarm").hidden = own.known;
    if (!own.known) return;
    if (known !== figure()) begin();
    put("#swarm-note", `${own.stream} at ${local(own.at)}${own.moved ? ", the last moment with nearly all nodes" : ""}`);
    keep_children($("swarm-numbers"), own.numbers, number);
    keep_children($("swarm-loss"), own.loss, ([colour, text], ) => {
      const item = make("li", { textContent: `${text} lost` });
      const line = make("i", { ariaHidden: "true" });
      line.style.setProperty("--colour", colour);
      item.prepend(line);
      return item;
    });
    keep_children($("outages"), own.outages, outage, { key: ({ at, failed }) => `${at} ${failed}` });
    const more = own.more_outages ? `the latest ${own.outages.length}; ${own.more_outages} more in this time range` : "in this time range, the latest first";
    put("#outages-note", own.outages.length ? more : "none in this time range");
    fill_choices(own);
    fill_table(own);
    const query = chosen();
    query.set("view", "swarm");
    $("swarm-csv").href = `api/v1/table?${query}`;
    setTimeout(show_words, 50);
  }

  addEventListener("DOMContentLoaded", () => {
    const form = $("swarm-choices");
    const find = () => choose({ "p.find": form.elements.find.value.trim() });
    form.addEventListener("submit", (event) => { event.preventDefault(); find(); });
    form.addEventListener("search", find);
    form.elements.depth.addEventListener("change", ({ target }) => choose({ "p.depth": target.value }));
    form.elements.stream.addEventListener("change", ({ target }) => filter("channel", target.value));
    $("swarm-regroup").addEventListener("click", () => choose({ "p.open": "", "p.closed": "", "p.depth": "" }));
    $("swarm-in").addEventListener("click", () => zoom(1 / ZOOM));
    $("swarm-out").addEventListener("click", () => zoom(ZOOM));
    $("swarm-whole").addEventListener("click", () => figure().y_range.setv(whole()));
    addEventListener("resize", () => setTimeout(show_words, 250));
    document.addEventListener("themed", () => setTimeout(show_words, 0));
  });

  swarmscope.page(show);
})();
