// The Trainings page: the list of trainings, one of them with its sessions, and the form of a new one. The platform asks the lab.
"use strict";

addEventListener("DOMContentLoaded", () => {
  // The page becomes visible with the first answer of the lab, so that nothing moves.
  const show_page = () => { document.body.dataset.filled = ""; };
  if (document.getElementById("training-form") === null) { show_page(); return; } // no lab is connected
  const $ = (id) => document.getElementById(id);
  const { make, put, keep_children, choose, chosen } = swarmscope;
  const { request, for_managers } = swarmscope_changes;
  const EVERY_MS = 2000;
  const STATUSES = Object.fromEntries([...$("training-status").options].map(({ value, text }) => [value, text]));
  const ENDED = ["finished", "cancelled"];
  const PLAYED_BY = JSON.parse($("played-by").textContent);

  // ---- words ----

  const mbps = (limit) => `${limit}\u202fMbit/s`;

  function length(seconds) {
    if (seconds < 90) return `${Math.round(seconds)}\u202fs`;
    if (seconds < 5400) return `${Math.round(seconds / 60)}\u202fmin`;
    return `${Math.floor(seconds / 3600)}\u202fh ${String(Math.round((seconds % 3600) / 60)).padStart(2, "0")}\u202fmin`;
  }

  // Of a training that mixes sources or clients.
  const several = (names) => names.replaceAll(",", " + ");

  function counts({ captured, planned, running, given_up, discarded }) {
    const repeated = Object.values(discarded).reduce((sum, count) => sum + count, 0);
    const more = [[running, "running"], [given_up, "given up"], [repeated, `discarded attempt${repeated === 1 ? "" : "s"}`]];
    return [`${captured} of ${planned} captured`, ...more.filter(([count]) => count).map(([count, what]) => `${count} ${what}`)].join(", ");
  }

  // ---- the list ----

  // Captured, running and given-up sessions as parts of one bar; the text beside it has the same numbers.
  function bar(parts, whole) {
    const box = make("span", { className: "share", ariaHidden: "true" });
    for (const [kind, count] of Object.entries(parts)) {
      const part = make("span", { className: kind });
      part.style.width = `${(100 * count) / Math.max(1, whole)}%`;
      box.append(part);
    }
    return box;
  }

  function cell(label, ...content) {
    const made = make("td");
    if (label) made.dataset.label = label;
    made.append(...content);
    return made;
  }

  function action(name, word, title) {
    const button = make("button", { type: "button", className: "small", textContent: title, ariaLabel: `${title}: ${name}` });
    button.addEventListener("click", () => (word === "cancel" ? ask_cancel(name) : act(name, word)));
    return for_managers(button);
  }

  function row(training) {
    const { settings, state, captured, running, given_up, planned, remaining_s, created_ms, dataset } = training;
    const { name } = settings;
    const line = make("tr", { className: name === chosen().get("p.training") ? "chosen-row" : "" });
    const title = make("th", { scope: "row" });
    const show = make("button", { type: "button", className: "link", textContent: name });
    show.addEventListener("click", () => { choose({ "p.training": name }); refresh(); });
    const limits = settings.limits_mbps.join(", ");
    title.append(show, make("span", { className: "quiet", textContent: `${several(settings.source)}, ${several(settings.client)}, ${limits}\u202fMbit/s, ${length(settings.seconds)} each` }));
    const word = make("b", { className: "severity", textContent: state });
    word.dataset.kind = state;
    const buttons = [];
    if (state === "running") buttons.push(action(name, "pause", "Pause"), " ");
    if (state === "paused") buttons.push(action(name, "resume", "Resume"), " ");
    if (!ENDED.includes(state)) buttons.push(action(name, "cancel", "Cancel"));
    if (ENDED.includes(state)) buttons.push(make("span", { className: "quiet", textContent: dataset ? "data set exported" : "no data set yet" }));
    line.append(
      cell("State", word), title,
      cell("Progress", bar({ captured, running, given_up }, planned), make("span", { textContent: counts(training) })),
      cell("Remaining", remaining_s === null ? "–" : `about ${length(remaining_s)}`),
      cell("Begun", swarmscope_times.element(created_ms, { seconds: false })),
      cell("", ...buttons),
    );
    return line;
  }

  function show_list({ trainings }) {
    $("trainings").hidden = trainings.length === 0;
    $("no-trainings").hidden = trainings.length > 0;
    const running = trainings.filter(({ state }) => state === "running").length;
    put("#trainings-note", `${trainings.length} training${trainings.length === 1 ? "" : "s"}, ${running} running`);
    keep_children($("trainings").tBodies[0], trainings, row, { key: ({ settings }) => settings.name });
  }

  // ---- one training ----

  function facts({ settings, created_ms, dataset, training_id }) {
    const { source, client, seconds, sessions, delay_ms, loss, queue_ms, congestion_control, trace, seed } = settings;
    return [
      ["Source", several(source)], ["Client", several(client)], ["Sessions", String(sessions)], ["Seconds of each", String(seconds)],
      ["Delay each way", `${delay_ms}\u202fms`], ["Loss", String(loss)], ["Queue", `${queue_ms}\u202fms`], ["Congestion control", congestion_control],
      ["Rate follows", trace ?? "a fixed limit"], ["Seed", String(seed)], ["Begun", swarmscope_times.local(created_ms)], ["ID in messages", training_id],
      ["Data set", dataset ? "exported" : `not yet: swarmscope lab export ${settings.name}`],
    ];
  }

  function attempt({ number, block, limit_mbps, attempt: nth, status, reason, detail, changed_ms, session_id }) {
    const line = make("tr");
    const word = make("b", { className: "severity", textContent: STATUSES[status] });
    word.dataset.kind = STATUSES[status].replace(" ", "-");
    const why = [reason, detail].filter(Boolean).join(": ") || "–";
    const played = session_id && status > 0;
    const id = played ? make("a", { href: `session?${new URLSearchParams({ session_id })}`, textContent: session_id, title: session_id }) : session_id ?? "–";
    line.append(
      make("th", { scope: "row", textContent: number }), cell("Block", String(block)), cell("Limit", mbps(limit_mbps)), cell("Attempt", nth ? String(nth) : "–"),
      cell("Status", word), cell("Why", why), cell("Changed", changed_ms ? swarmscope_times.element(changed_ms) : "–"), cell("ID", id),
    );
    return line;
  }

  function show_training(training) {
    $("training-card").hidden = training === null;
    if (training === null) return;
    const { settings, limits, discarded, failure, sessions, attempts, state } = training;
    put("#training-title", `Training ${settings.name}`);
    Object.assign($("training-csv"), { href: `api/v1/trainings/${encodeURIComponent(settings.name)}?format=csv`, download: `training-${settings.name}.csv` });
    put("#training-note", `${state}: ${counts(training)}`);
    $("training-failure").hidden = !failure;
    put("#training-failure", failure ? `It ended early: ${failure}` : "");
    keep_children($("training-facts"), facts(training), ([name, value]) => {
      const pair = make("div");
      pair.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
      return pair;
    });
    keep_children($("training-limits"), limits, ({ limit_mbps, captured, planned }) => {
      const item = make("li");
      item.append(make("span", { textContent: mbps(limit_mbps) }), bar({ captured }, planned), make("span", { textContent: `${captured} of ${planned}` }));
      return item;
    });
    const reasons = Object.entries(discarded).sort((one, other) => other[1] - one[1]);
    $("training-none-discarded").hidden = reasons.length > 0;
    keep_children($("training-discarded"), reasons, ([reason, count]) => make("li", { textContent: `${count} × ${reason}` }));
    $("no-attempts").hidden = sessions.length > 0;
    $("attempts").hidden = sessions.length === 0;
    keep_children($("attempts").tBodies[0], sessions, attempt, { key: ({ number, attempt: nth }) => `${number} ${nth}` });
    put("#attempts-note", sessions.length < attempts ? `the last ${sessions.length} of ${attempts.toLocaleString()}` : "");
  }

  // ---- requests ----

  function wrong(text) {
    $("lab-wrong").hidden = !text;
    put("#lab-wrong", text);
  }

  // The status that the list of attempts is limited to, as a query.
  function filter() {
    const status = $("training-status").value;
    return status && `?${new URLSearchParams({ status })}`;
  }

  let asking = 0;

  // An answer that a later request has overtaken changes nothing.
  async function refresh() {
    const own = ++asking;
    const name = chosen().get("p.training");
    try {
      const list = await request("GET", "api/v1/trainings");
      const known = name && list.trainings.some((each) => each.settings.name === name);
      const one = known ? await request("GET", `api/v1/trainings/${encodeURIComponent(name)}${filter()}`) : null;
      if (own !== asking) return;
      show_list(list);
      show_training(one);
      wrong(name && !known ? `There is no training ${name}.` : "");
    } catch (error) {
      if (own === asking) wrong(error.message);
    }
    show_page();
  }

  async function act(name, word) {
    try {
      await request("POST", `api/v1/trainings/${encodeURIComponent(name)}/${word}`);
    } catch (error) {
      wrong(error.message);
      return;
    }
    await refresh();
  }

  function ask_cancel(name) {
    put("#training-cancel-title", `Cancel the training ${name}?`);
    $("training-cancel").dataset.training = name;
    $("training-cancel").showModal();
  }

  // ---- the form ----

  function limits_of(text) {
    return text.split(/[,;\s]+/).filter(Boolean).map(Number);
  }

  function settings() {
    const given = Object.fromEntries(new FormData($("training-form")));
    const { name, source, client, congestion_control } = given;
    const numbers = ["sessions", "seconds", "delay_ms", "loss", "queue_ms", "seed"];
    return { name, source, client, congestion_control, trace: given.trace || null, limits_mbps: limits_of(given.limits), ...Object.fromEntries(numbers.map((each) => [each, Number(given[each])])) };
  }

  // What the form would begin, such as "4 sessions at each of 3 limits, about 8 min if one plays at a time".
  function show_plan() {
    if ($("training-form").querySelector("fieldset").disabled) return;
    const { sessions, seconds, limits_mbps } = settings();
    const known = limits_mbps.length > 0 && limits_mbps.every((each) => each > 0);
    if (!known || !sessions || !seconds) { put("#training-plan", "Limits are numbers with commas, such as 0.25, 1, 2"); return; }
    const [least, rest] = [Math.floor(sessions / limits_mbps.length), sessions % limits_mbps.length];
    const each = rest ? `${least} or ${least + 1}` : String(least);
    const at = limits_mbps.length === 1 ? "at one limit" : `at each of ${limits_mbps.length} limits`;
    put("#training-plan", `${each} session${each === "1" ? "" : "s"} ${at}; ${length(sessions * seconds)} of playback`);
  }

  function show_clients() {
    const { source, client } = $("training-form").elements;
    client.replaceChildren(...PLAYED_BY[source.value].map((name) => make("option", { value: name, textContent: several(name) })));
  }

  async function begin(event) {
    event.preventDefault();
    put("#training-wrong", "");
    $("training-begin").disabled = true;
    try {
      const begun = await request("POST", "api/v1/trainings", settings());
      choose({ "p.training": begun.settings.name });
      $("training-form").elements.name.value = "";
      await refresh();
    } catch (error) {
      put("#training-wrong", error.message);
    } finally {
      $("training-begin").disabled = false;
    }
  }

  $("training-form").addEventListener("submit", begin);
  $("training-form").addEventListener("input", show_plan);
  $("training-form").elements.source.addEventListener("change", show_clients);
  $("training-status").addEventListener("change", refresh);
  $("training-close").addEventListener("click", () => { choose({ "p.training": "" }); show_training(null); });
  $("training-cancel-yes").addEventListener("click", () => {
    $("training-cancel").close();
    act($("training-cancel").dataset.training, "cancel");
  });
  addEventListener("popstate", refresh);
  show_clients();
  show_plan();

  async function follow() {
    if (document.visibilityState === "visible") await refresh();
    setTimeout(follow, EVERY_MS);
  }
  follow();
});
