// The controls in the header. A choice goes into the address, and the controls show the address.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { chosen, choose, make, shows } = swarmscope;
  const { from_local, local_iso } = swarmscope_times;
  let choices = null;
  let facts = null;

  function fill_select(select, groups, value) {
    const wanted = JSON.stringify(groups);
    if (select.dataset.filled !== wanted) {
      select.replaceChildren(...groups.map(([title, options]) => title === "" ? fragment(options) : group(title, options)));
      select.dataset.filled = wanted;
    }
    // A value from a bookmark may be unknown now. It stays visible, as the reason why nothing matches.
    if (![...select.options].some((option) => option.value === value)) select.append(new Option(value, value));
    if (document.activeElement !== select || select.value !== value) select.value = value;
    select.classList.toggle("set", value !== "" && select.name !== "measure");
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

  function show() {
    if (choices === null || facts === null) return;
    const query = chosen();
    const controls = $("filters").elements;
    const place = query.get("district") ? `district:${query.get("district")}` : query.get("area") ? `area:${query.get("area")}` : "";
    $("about-measure").hash = facts.measure.startsWith("extra.") ? "" : facts.measure;
    fill_select(controls.measure, [["", choices.measures]], facts.measure);
    fill_select(controls.channel, [["", [["", "All channels"], ...choices.channels]]], query.get("channel") ?? "");
    fill_select(controls.isp, [["", [["", "All ISPs"], ...choices.isps]]], query.get("isp") ?? "");
    fill_select(controls.location, [["", [["", "Everywhere"]]], ...choices.places], place);
    fill_select(controls.by, [["", choices.by], ["From the apps", choices.by_extra]], facts.by);
    show_compare(controls);
    if ($("series")) show_series();
  }

  // ---- the other side of a comparison: a usual time, any other time, or other viewers ----

  const OTHER = "other";
  const VERSUS = "vs.";
  const ANYBODY = "*";

  function show_compare({ compare, other }) {
    const wanted = chosen().get("compare") ?? "";
    const begin = /^\d+$/.test(wanted) ? +wanted : null;
    const [standard, ...times] = choices.compare;
    const groups = [["", [standard]], ["Another time", [...times, [OTHER, "Any other…"]]], ["Other viewers", everybody()], ...cohorts()];
    fill_select(compare, groups, versus() || (begin === null ? wanted : OTHER));
    $("other-time").hidden = begin === null;
    if (begin !== null && document.activeElement !== other) other.value = local_iso(begin);
    if ($("compare-list")) swarmscope.keep_children($("compare-list"), choices.compare.map(([name, title]) => [name, title, name === wanted && (name !== "" || !versus())]), another_time);
  }

  // The same times in the sheet of the time range, where people look for them.
  function another_time([name, title, on]) {
    const item = make("li");
    const button = make("button", { type: "button", textContent: title, ariaPressed: String(on) });
    button.addEventListener("click", () => {
      $("time").hidePopover();
      compare_with(on ? "" : name);
    });
    item.append(button);
    return item;
  }

  function versus() {
    return new URLSearchParams([...chosen()].filter(([name]) => name.startsWith(VERSUS))).toString();
  }

  // The same without filters by fields. Filters by a range of means have no other cohort.
  function everybody() {
    const fields = filters().filter((name) => !name.startsWith("mean.") && !name.startsWith("not."));
    return fields.length ? [[new URLSearchParams(fields.map((name) => [VERSUS + name, ANYBODY])).toString(), "Everybody"]] : [];
  }

  function cohorts() {
    const viewers_of = (name, values) => values.map(([value, title]) => [new URLSearchParams({ [VERSUS + name]: value }).toString(), title]);
    return [["Viewers of the channel", viewers_of("channel", choices.channels)], ["Viewers at the ISP", viewers_of("isp", choices.isps)]];
  }

  function compare_with(value) {
    const none = Object.fromEntries([...chosen().keys()].filter((name) => name.startsWith(VERSUS)).map((name) => [name, ""]));
    if (value.startsWith(VERSUS)) {
      choose({ ...none, compare: "", ...Object.fromEntries(new URLSearchParams(value)) });
    } else if (value !== OTHER) {
      choose({ ...none, compare: value });
    } else if (facts.span !== null) {
      // Begin with the time just before the shown one.
      choose({ ...none, compare: String(Math.max(1, 2 * facts.span.from - facts.span.to)) });
      show();
      $("filters").elements.other.focus();
    }
  }

  function compare_from(text) {
    const at = from_local(text);
    // A year that is not typed completely is before 1970.
    if (at > 0) choose({ compare: String(at) }, { keep: true });
  }

  function show_series() {
    const box = $("series");
    document.body.style.setProperty("--panels", facts.series.length);
    const known = new Set([...box.querySelectorAll("input")].map((input) => input.value));
    box.append(...choices.series.filter(([name]) => !known.has(name)).map(([name, title]) => chip(name, title)));
    for (const input of box.querySelectorAll("input")) {
      input.checked = facts.series.includes(input.value);
      input.disabled = !input.checked && facts.series.length >= choices.most_series;
    }
  }

  function chip(name, title) {
    const label = document.createElement("label");
    const input = make("input", { type: "checkbox", value: name, name: "series" });
    label.append(input, title);
    return label;
  }

  function on_choice(event) {
    const { name, value } = event.target;
    if (name === "location") {
      const [kind, ...id] = value.split(":");
      choose({ district: kind === "district" ? id.join(":") : "", area: kind === "area" ? id.join(":") : "" });
    } else if (name === "compare") {
      compare_with(value);
    } else if (name === "other") {
      compare_from(value);
    } else if (name === "series") {
      const on = [...$("series").querySelectorAll("input:checked")].map((input) => input.value);
      choose({ series: on.join(",") });
    } else {
      choose({ [name]: value });
    }
  }

  // ---- removing filters ----

  function filters() {
    const others = ["measure", "series", "minutes", "from", "to", "zone", "by", "compare", "colour", "scale", "table"];
    return [...chosen().keys()].filter((name) => !others.includes(name) && !name.startsWith("p.") && !name.startsWith("vs."));
  }

  function clear() {
    choose(Object.fromEntries([...filters(), "from", "to"].map((name) => [name, ""])));
    control_of("").focus();
  }

  // The control of the parameter `name`, which gets the focus when the filter is removed.
  function control_of(name) {
    const controls = $("filters").elements;
    const called = { district: "location", area: "location", from: "time-open" }[name] ?? name;
    const control = controls[called] ?? $(called);
    return control?.checkVisibility() ? control : [...controls].find((each) => each.checkVisibility()) ?? document.querySelector(".brand");
  }

  addEventListener("DOMContentLoaded", () => {
    $("filters").addEventListener("change", on_choice);
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("series")?.addEventListener("change", on_choice);
    $("clear").addEventListener("click", clear);
    $("state-way-out").addEventListener("click", clear);
  });
  addEventListener("popstate", show);

  shows((news) => { choices = news; show(); }, "choices");
  shows((news) => {
    facts = news;
    show();
    const of_session = document.body.dataset.page === "session";
    $("clear").hidden = of_session || (!filters().length && !chosen().has("from"));
    $("filters-number").textContent = facts.chips.length && !of_session ? ` (${facts.chips.length})` : "";
  });
  Object.assign(swarmscope, { fragment, control_of });
})();
