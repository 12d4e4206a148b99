// The page around the figures: it sends the query part of its address to the platform, and passes the answer to the other scripts.
// All texts of an answer are written with textContent only, because end hosts can send any channel name, ISP and so on.
"use strict";

globalThis.swarmscope = (() => {
  const $ = (id) => document.getElementById(id);
  let exchange = null;
  const LONG_TEXT = 24;
  const listeners = { facts: [], choices: [] };

  // ---- the query, as the address ----

  function chosen() {
    return new URLSearchParams(location.search);
  }

  function choose(changes, { keep = false } = {}) {
    const query = chosen();
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    show_address(query.toString(), keep);
    ask();
  }

  // A district replaces an area, and an area a district.
  function filter(name, value) {
    choose(narrowed(name, value));
  }

  function narrowed(name, value) {
    return name === "area" || name === "district" ? { area: "", district: "", [name]: value } : { [name]: value };
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

  // Links to other pages keep filters and a replay, but neither a page's own parameters nor the session of its page.
  function along(changes = {}) {
    const query = chosen();
    if (document.body.dataset.page === "session") query.delete("session_id");
    const replay = ["p.replay", "p.playing"];
    for (const name of [...query.keys()]) if (name.startsWith("p.") && !replay.includes(name)) query.delete(name);
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    return query.toString();
  }

  function point_links() {
    const query = along();
    for (const link of document.querySelectorAll("nav a, .brand, .trust, #about-measure, [data-along]")) link.search = query;
  }

  function ask() {
    if (exchange !== null) exchange.asked = location.search.slice(1);
  }

  // From a query to its answer the numbers are those of the former query. The page shows this if it lasts.
  function show_asking() {
    const asks = exchange.facts !== "" && JSON.parse(exchange.facts).asked !== exchange.asked;
    document.body.toggleAttribute("data-asking", asks);
    $("main").ariaBusy = String(asks);
  }

  // ---- new facts for the parts of the page ----

  // Calls `part` with the facts (or, for "choices", with what the controls offer) whenever they change.
  function shows(part, what = "facts") {
    listeners[what].push(part);
    const last = exchange?.[what];
    if (last) part(JSON.parse(last));
  }

  // Calls `show` with what the page's own part on the platform returned.
  function page(show) {
    shows((facts) => { if (facts.page) show(facts.page, facts); });
  }

  function show_choices() {
    const choices = JSON.parse(exchange.choices);
    document.body.dataset.choices = "";
    for (const part of listeners.choices) part(choices);
  }

  function show_facts() {
    const facts = JSON.parse(exchange.facts);
    document.body.dataset.state = facts.state.kind;
    show_asking();
    // After a tap on a map the platform changes the query, and the address follows. An answer to an older query changes nothing.
    if (facts.asked === exchange.asked) show_address(facts.query, sorted(facts.query) === sorted(location.search));
    show_offered(facts);
    for (const part of listeners.facts) part(facts);
    if (exchange.pill) show_pill();
    document.dispatchEvent(new CustomEvent("shown", { detail: facts }));
    if (!exchange.drawn) end_first_picture();
  }

  // Some pages are in the navigation only if a message has what they show.
  function show_offered({ offered = [] }) {
    for (const link of document.querySelectorAll("nav a[hidden]")) link.hidden = !offered.includes(link.pathname);
  }

  // The page of a session. It has the filters in its address, although it ignores them, so that its links to other pages keep them.
  function session_address(id) {
    return `session?${new URLSearchParams({ session_id: id })}&${along()}`.replace(/&$/, "");
  }

  // ---- helpers to write into the page ----

  function make(tag, properties = {}) {
    return Object.assign(document.createElement(tag), properties);
  }

  function put(selector, text) {
    const element = document.querySelector(selector);
    if (element === null || element.textContent === text) return;
    element.textContent = text;
    if (element.matches(".note")) element.title = text; // for a note that is cut off
  }

  // In a narrow window, the column that sorts a table may be outside its box.
  function show_sorted_column(table, sort) {
    if (table.dataset.sort === sort) return;
    table.dataset.sort = sort;
    const cell = table.querySelector("thead [aria-sort]");
    const box = table.parentElement;
    box.scrollLeft = cell ? Math.max(0, cell.offsetLeft + cell.offsetWidth - box.clientWidth) : 0;
  }

  // Replaces the children only if their content has changed. The focus moves to the new child with the same key; without one, to the
  // child in the same place, or the last one; without any, to the element that `otherwise` returns.
  function keep_children(box, all, make_child, { key = () => "", otherwise = () => null } = {}) {
    const wanted = JSON.stringify(all);
    if (box.dataset.holds === wanted) return;
    const place = [...box.children].findIndex((child) => child.contains(document.activeElement));
    const held = box.children[place];
    const hand = held && focusable(held).indexOf(document.activeElement);
    box.replaceChildren(...all.map((fact) => {
      const child = make_child(fact);
      child.dataset.keeps = key(fact);
      return child;
    }));
    box.dataset.holds = wanted;
    if (!held) return;
    const same = held.dataset.keeps && [...box.children].find((child) => child.dataset.keeps === held.dataset.keeps);
    const next = same || box.children[Math.min(place, box.children.length - 1)];
    const inside = next ? focusable(next) : [];
    (inside[hand] ?? inside.at(-1) ?? otherwise(held))?.focus();
  }

  function focusable(element) {
    return [...element.querySelectorAll("button, a")];
  }

  // ---- start of the page, and reload after a restart of the platform ----

  // Bokeh draws each root of the document in the element that has the same place in the list. Its own script knows only the roots of
  // the first picture.
  function draw(token, roots) {
    const places = Object.fromEntries(roots.map((id) => [id, `figure-${id}`]));
    Bokeh.embed.embed_items({}, [{ token, root_ids: roots, roots: places }]);
  }

  function begin(model) {
    exchange = model;
    // The pill shows a lost connection; Bokeh's own notice would cover the navigation.
    exchange.document.config.setv({ notify_connection_status: false, reconnect_session: false }, { sync: false });
    exchange.zone = swarmscope_times.zone ?? swarmscope_times.ours;
    exchange.properties.choices.change.connect(show_choices);
    exchange.properties.facts.change.connect(show_facts);
    exchange.properties.asked.change.connect(show_asking);
    exchange.properties.pill.change.connect(show_pill);
    if (exchange.pill) show_pill();
    if (exchange.choices) show_choices();
    if (exchange.facts) show_facts();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    document.addEventListener("themed", repaint);
  }

  // Until the first picture is drawn, the platform sends nothing new. A page in the background is not drawn at all.
  function end_first_picture() {
    const end = () => { exchange.drawn = true; };
    requestAnimationFrame(() => requestAnimationFrame(end));
    setTimeout(end, 2000);
  }

  function show_pill() {
    const { kind, title, text, hint } = JSON.parse(exchange.pill);
    // A page without numbers is not live yet. A problem of the platform is stated at once.
    if (document.body.dataset.state === "loading" && !["late", "stale"].includes(kind)) return;
    // A live page with a fixed time range does not follow. A problem of the platform is more important.
    const paused = kind === "live" && chosen().has("from");
    document.body.dataset.pill = paused ? "paused" : kind;
    $("pill-kind").textContent = paused ? "Paused" : title;
    document.body.toggleAttribute("data-long-pill", !paused && text.length > LONG_TEXT);
    $("pill-text").textContent = paused ? `at ${swarmscope_times.local(+chosen().get("to"), { day: false })}` : text;
    $("pill").title = paused ? `The platform is live: ${text}. ${hint}` : `${text}. ${hint}`;
  }

  function repaint() {
    for (const view of Bokeh.index.roots) for (const part of [view, ...(view.child_views ?? [])]) part.invalidate_layout?.();
    dispatchEvent(new Event("resize"));
  }

  function lost() {
    if ("framed" in document.body.dataset) return; // the page in the frame reloads itself
    document.body.dataset.pill = "stale";
    $("pill-kind").textContent = "Disconnected";
    document.body.toggleAttribute("data-long-pill", true);
    $("pill-text").textContent = "the monitoring platform does not answer; retrying";
    setInterval(async () => {
      const answer = await fetch("readyz").catch(() => null);
      if (answer?.ok) location.reload();
    }, 2000);
  }

  addEventListener("DOMContentLoaded", () => {
    point_links();
    // In a narrow window the navigation is a strip that scrolls.
    const strip = document.querySelector("nav");
    const here = strip.querySelector("[aria-current]");
    if (here) strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;
    $("open-filters").addEventListener("click", () => {
      const open = document.body.classList.toggle("filters-open");
      $("open-filters").setAttribute("aria-expanded", String(open));
    });
  });
  addEventListener("popstate", ask);

  return { draw, begin, lost, page, shows, chosen, choose, filter, narrowed, along, session_address, make, put, keep_children, show_sorted_column };
})();
