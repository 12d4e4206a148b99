// The form of an alert rule: it is checked and tried by the platform, which writes it into the rules file.
"use strict";

globalThis.swarmscope_rules = (() => {
  const $ = (id) => document.getElementById(id);
  const { make } = swarmscope;
  const { request } = swarmscope_changes;
  const LIMITS = ["below", "above", "deviates"];
  const minute = (ms) => swarmscope_times.element(ms, { seconds: false });
  let replaces = null;
  let revision = "";

  // ---- the rule in the form ----

  function entry() {
    const { name, kind, measure, severity, limit, value, for_minutes, least_sessions, baseline_minutes, by, where, ...own } = Object.fromEntries(new FormData($("rule-form")));
    const filters = where.split("\n").filter((line) => line.trim()).map((line) => line.split(/=(.*)/s).slice(0, 2).map((text) => (text ?? "").trim()));
    return {
      name, measure, by: listed(by), where: Object.fromEntries(filters), [limit]: +value, severity,
      for_minutes: +for_minutes, baseline_minutes: limit === "deviates" ? +baseline_minutes : null, diagnose: own.diagnose ? true : null,
      destinations: own.diagnose ? listed(own.destinations) : [],
      ...(kind === "measurement" ? { kind, ...of_measurements(own) } : { least_sessions: +least_sessions }),
    };
  }

  function of_measurements({ least_operations, window_minutes, expected }) {
    return { least_operations: +least_operations, window_minutes: +window_minutes, expected: listed(expected) };
  }

  function listed(text) {
    return text.split(",").map((each) => each.trim()).filter(Boolean);
  }

  function fill(rule) {
    const form = $("rule-form").elements;
    for (const name of ["name", "measure", "kind", "severity", "for_minutes", "least_sessions", "baseline_minutes", "least_operations", "window_minutes"]) form[name].value = rule[name];
    form.by.value = rule.by.join(", ");
    form.expected.value = rule.expected.join(", ");
    form.diagnose.checked = rule.diagnose;
    form.destinations.value = rule.destinations.join(", ");
    form.where.value = Object.entries(rule.where).map((pair) => pair.join("=")).join("\n");
    form.limit.value = LIMITS.find((name) => rule[name] !== null) ?? "below";
    form.value.value = rule[form.limit.value] ?? "";
    show_limit();
    show_kind();
  }

  // Each kind of rules has fields of its own, and so has a diagnosis.
  function show_kind() {
    const kind = $("rule-form").elements.kind.value;
    $("rule-destinations").hidden = !$("rule-form").elements.diagnose.checked;
    for (const label of $("rule-form").querySelectorAll("[data-kind]")) label.hidden = label.dataset.kind !== kind;
    $("rule-form").elements.measure.setAttribute("list", `rule-measures-${kind}`);
    $("rule-form").elements.by.setAttribute("list", `rule-dimensions-${kind}`);
  }

  function show_limit() {
    const deviates = $("rule-form").elements.limit.value === "deviates";
    $("rule-baseline").hidden = !deviates;
    $("rule-unit").textContent = deviates ? "Standard deviations" : "Limit (shares: 0 to 1; times: ms; rates: kbit/s)";
  }

  // ---- requests ----

  async function act(work) {
    $("rule-wrong").textContent = "";
    try {
      return await work();
    } catch (error) {
      $("rule-wrong").textContent = error.message;
      return null;
    }
  }

  function is_complete() {
    return $("rule-form").reportValidity();
  }

  function show_state({ file, changed, not_writable, revision: current }) {
    revision = current;
    $("rule-load").hidden = !changed;
    for (const id of ["rule-save", "rule-remove"]) $(id).disabled = Boolean(not_writable) || changed;
    const why = changed ? "Another process has changed the rules file. Load it before you change a rule." : not_writable;
    $("rule-wrong").textContent = why ? `${why[0].toUpperCase()}${why.slice(1)}` : "";
    $("rules-file").textContent = `Rules are in ${file}`;
  }

  const NEW = { name: "", measure: "mos", severity: "warning", by: [], where: {}, below: null, above: null, deviates: null, for_minutes: 2, least_sessions: 25, baseline_minutes: 60, kind: "feedback", least_operations: 1, window_minutes: 5, expected: [], diagnose: false, destinations: [] };

  async function open(name) {
    replaces = name;
    $("rule-title").textContent = name === null ? "New rule" : `Rule ${name}`;
    $("rule-remove").hidden = name === null;
    $("rule-found").replaceChildren();
    $("rule-wrong").textContent = "";
    fill(NEW);
    $("rule").showModal();
    const state = await act(() => request("GET", "api/v1/rules"));
    if (state === null) return;
    fill(state.rules.find((each) => each.name === name) ?? NEW);
    show_state(state);
  }

  async function save(rule) {
    const state = await act(() => request("POST", "api/v1/rules", { rule, replaces, revision }));
    if (state === null) show_changed();
    else {
      show_state(state);
      $("rule").close();
    }
  }

  // A change may have been refused because the file has changed; its reason stays in the dialog.
  async function show_changed() {
    const why = $("rule-wrong").textContent;
    const state = await request("GET", "api/v1/rules").catch(() => null);
    if (state !== null) show_state(state);
    $("rule-wrong").textContent = why;
  }

  async function dry_run() {
    if (!is_complete()) return;
    const found = await act(() => request("POST", "api/v1/rules/dry-run", entry()));
    if (found === null) return;
    const { from, until, alerts, more } = found;
    const head = make("p");
    head.append(make("b", { textContent: count_text(alerts.length + more) }), " from ", minute(from), " to ", minute(until));
    const list = make("ul");
    list.append(...alerts.slice(0, 10).map((each) => {
      const item = make("li");
      item.append(`${each.title}: `, minute(each.from), each.until ? " – " : ", still open; ", each.until ? minute(each.until) : "", ` ${each.text.split(",")[0]}`);
      return item;
    }));
    $("rule-found").replaceChildren(head, list);
  }

  function count_text(count) {
    return count === 0 ? "No alert" : count === 1 ? "1 alert" : `${count} alerts`;
  }

  async function load() {
    const state = await act(() => request("POST", "api/v1/rules/load"));
    if (state === null) return;
    const same = state.rules.find((each) => each.name === replaces);
    if (same) fill(same);
    show_state(state);
  }

  addEventListener("DOMContentLoaded", () => {
    $("rule-new").addEventListener("click", () => open(null));
    $("rule-form").elements.limit.addEventListener("change", show_limit);
    for (const name of ["kind", "diagnose"]) $("rule-form").elements[name].addEventListener("change", show_kind);
    $("rule-form").addEventListener("submit", (event) => event.preventDefault());
    $("rule-try").addEventListener("click", dry_run);
    $("rule-save").addEventListener("click", () => is_complete() && save(entry()));
    $("rule-remove").addEventListener("click", () => save(null));
    $("rule-load").addEventListener("click", load);
  });

  return { open };
})();
