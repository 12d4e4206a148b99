// The replay of recorded files: a clock in the browser is the end of the shown time range. The next range is requested when the last
// one is shown, so a busy platform gets fewer requests. The address has the clock (to), the start of the range (from), the speed
// (p.replay), and whether the replay runs (p.playing).
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const TICK_MS = 250;
  const ASK_EVERY_MS = 1000;
  const GIVE_UP_MS = 10000;
  const WINDOW_MS = 15 * 60000;
  // A replay begins with some seconds of records.
  const LEAD_MS = 10000;
  const STEPS = 1000;

  let facts = null;
  let clock = null; // Unix ms; null: no replay is on
  let window_ms = WINDOW_MS;
  let playing = false;
  let asked = { to: null, at: 0, query: null };
  let ticked = 0;
  let still = null; // the pill's content without a replay

  const speed = () => +$("replay-speed").value;
  const { utc } = swarmscope_times;
  const local = (ms) => swarmscope_times.local_iso(ms).slice(0, 16).replace("T", " ");

  // ---- from the address ----

  function adopt() {
    const query = new URLSearchParams(location.search);
    const to = +query.get("to");
    if (!query.has("p.replay") || !to || facts?.extent === null) {
      const left_over = query.has("p.replay") && clock !== null;
      clock = null;
      playing = false;
      // The user removed the time range's chip. That also ends the replay.
      if (left_over) swarmscope.choose({ "p.replay": "", "p.playing": "" }, { keep: true });
      return;
    }
    if (to !== asked.to) {
      const { from: first, to: last } = facts.extent;
      clock = Math.min(Math.max(to, first + 1000), last);
      const from = +query.get("from");
      window_ms = from <= first ? Math.max(WINDOW_MS, clock - first) : clock - from;
      asked.to = to;
    }
    const wanted = query.get("p.replay");
    if ([...$("replay-speed").options].some((option) => option.value === wanted)) $("replay-speed").value = wanted;
    playing = query.has("p.playing");
  }

  // ---- the clock ----

  function tick() {
    const now = performance.now();
    const passed = now - ticked;
    ticked = now;
    if (clock === null || !playing || facts === null) return;
    if (+new URLSearchParams(location.search).get("to") !== asked.to) { adopt(); return; }
    clock = Math.min(clock + passed * speed(), facts.extent.to);
    const waits = asked.query !== null && now - asked.at < GIVE_UP_MS;
    if (clock >= facts.extent.to) { playing = false; ask(true); }
    else if (!waits && now - asked.at >= ASK_EVERY_MS) ask(true);
    show();
  }

  function ask(keep) {
    const { from: first, to: last } = facts.extent;
    // Whole seconds, so that several users of the same replay share answers.
    const to = clock >= last ? last : Math.max(Math.floor(clock / 1000) * 1000, first + 1000);
    const from = Math.max(first, to - window_ms);
    asked = { to, at: performance.now(), query: null };
    swarmscope.choose({ from: String(from), to: String(to), "p.replay": String(speed()), "p.playing": playing ? "1" : "" }, { keep });
    asked.query = location.search.slice(1);
  }

  function begin() {
    const { from: first, to: last } = facts.extent;
    const span = facts.span ?? facts.extent;
    const whole = span.from <= first && span.to >= last;
    window_ms = whole ? WINDOW_MS : span.to - span.from;
    clock = span.to >= last ? first + LEAD_MS : span.to;
  }

  // ---- controls ----

  function play() {
    if (!facts?.extent) return;
    const fresh = clock === null;
    if (fresh) begin();
    else if (!playing && clock >= facts.extent.to) clock = facts.extent.from + LEAD_MS;
    playing = !playing;
    ticked = performance.now();
    ask(!fresh);
    show();
  }

  function turn() {
    if (!facts?.extent) return;
    const { from: first, to: last } = facts.extent;
    const fresh = clock === null;
    if (fresh) begin();
    clock = Math.max(first + ((last - first) * +$("replay-clock").value) / STEPS, first + 1000);
    ask(!fresh);
    show();
  }

  function preview() {
    if (!facts?.extent) return;
    const { from: first, to: last } = facts.extent;
    $("replay-time").textContent = local(first + ((last - first) * +$("replay-clock").value) / STEPS);
  }

  function end() {
    clock = null;
    playing = false;
    swarmscope.choose({ from: "", to: "", "p.replay": "", "p.playing": "" });
    show();
  }

  // ---- display ----

  function show() {
    const on = clock !== null;
    $("replay-play").textContent = playing ? "Pause" : "Play";
    $("replay-end").hidden = !on;
    const slider = $("replay-clock");
    const { from: first, to: last } = facts?.extent ?? { from: 0, to: 1 };
    if (!slider.matches(":active")) {
      slider.value = on ? Math.round(((clock - first) / (last - first)) * STEPS) : 0;
      slider.setAttribute("aria-valuetext", on ? local(clock) : "no replay");
      $("replay-time").textContent = on ? local(clock) : "";
      $("replay-time").title = on ? utc(clock) : "";
    }
    show_pill(on);
  }

  function show_pill(on) {
    const [kind, text] = [$("pill-kind"), $("pill-text")];
    if (!on) {
      if (still !== null) {
        [document.body.dataset.pill, kind.textContent, text.textContent, $("pill").title] = still;
        $("pill").removeAttribute("aria-live");
      }
      still = null;
      return;
    }
    if (document.body.dataset.pill === "stale") return; // the pill shows that the platform is disconnected
    still ??= [document.body.dataset.pill, kind.textContent, text.textContent, $("pill").title];
    document.body.dataset.pill = "replay";
    // Otherwise screen readers read the time each second.
    $("pill").setAttribute("aria-live", "off");
    kind.textContent = playing ? `Replay ×${speed()}` : "Paused";
    text.textContent = local(clock);
    $("pill").title = utc(clock);
  }

  document.addEventListener("shown", ({ detail }) => {
    facts = detail;
    if (detail.asked === asked.query) asked.query = null;
    if (facts.extent) adopt();
    show();
  });

  addEventListener("DOMContentLoaded", () => {
    $("replay-play").addEventListener("click", play);
    $("replay-end").addEventListener("click", end);
    $("replay-clock").addEventListener("input", preview);
    $("replay-clock").addEventListener("change", turn);
    $("replay-speed").addEventListener("change", () => { if (clock !== null) ask(true); show(); });
    setInterval(tick, TICK_MS);
  });
})();
