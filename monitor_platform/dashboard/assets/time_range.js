// The time control: the last minutes, hours or days, any other range, and the time zone; and the button that pauses a live page. All of it
// is in the address: `minutes`, or `from` and `to`, and `zone`. A live page with a fixed range is paused.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { chosen, choose, make, shows } = swarmscope;
  const { range, local_iso, from_local, zone, ours, is_utc } = swarmscope_times;
  let facts = null;
  let choices = null;

  function in_words(minutes) {
    if (minutes % 1440 === 0) return `${minutes / 1440} d`;
    return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
  }

  // The lengths that can be chosen; the first one needs no parameter.
  function lengths() {
    return facts?.page?.lengths ?? choices?.minutes ?? [];
  }

  function title_of(minutes) {
    return minutes ? `Last ${in_words(minutes)}` : "All";
  }

  function is_fixed() {
    return chosen().has("from") && chosen().has("to");
  }

  function show() {
    const query = chosen();
    const standard = lengths()[0] ?? 0;
    const minutes = lengths().includes(+query.get("minutes")) ? +query.get("minutes") : standard;
    const whole = !minutes && facts?.span && !facts.page?.lengths ? range(facts.span.from, facts.span.to) : title_of(minutes);
    const text = is_fixed() ? range(+query.get("from"), +query.get("to")) : whole;
    // The document has the text of a range whose lengths are not known yet.
    if (document.body.dataset.ranged === undefined) $("time-text").textContent = zone ?? ours;
    else if (is_fixed() || lengths().length) $("time-text").textContent = text;
    $("time-zone-text").textContent = zone ?? ours;
    $("hover-for-utc").hidden = is_utc;
    $("time-open").title = facts?.span ? `${range(facts.span.from, facts.span.to)}, ${zone ?? ours}` : "";
    // A page without a time range has a time zone only.
    if (!$("time-last")) return;
    const wanted = lengths().toSorted((one, other) => one - other).map((each) => [each, !is_fixed() && each === minutes]);
    swarmscope.keep_children($("time-last"), wanted, ([each, on]) => {
      const item = make("li");
      const button = make("button", { type: "button", textContent: title_of(each), ariaPressed: String(on) });
      button.addEventListener("click", () => {
        $("time").hidePopover();
        choose({ from: "", to: "", minutes: each === standard ? "" : String(each) });
      });
      item.append(button);
      return item;
    });
    if ($("hold")) $("hold").textContent = is_fixed() ? "Go live" : "Pause";
  }

  function open({ newState }) {
    $("time-open").setAttribute("aria-expanded", String(newState === "open"));
    if (newState !== "open") return;
    place();
    fill_zones();
    if ($("time-form")) fill_range();
  }

  function fill_range() {
    $("time-wrong").textContent = "";
    const { from, to } = $("time-form").elements;
    const [begin, end] = is_fixed() ? [+chosen().get("from"), +chosen().get("to")] : [facts?.span?.from, facts?.span?.to];
    if (begin) [from.value, to.value] = [local_iso(begin), local_iso(end)];
  }

  // Below its button; a narrow window shows it at the bottom (see the style).
  function place() {
    const box = $("time-open").getBoundingClientRect();
    const wide = $("time").offsetWidth;
    $("time").style.setProperty("--left", `${Math.max(8, Math.min(box.left, innerWidth - wide - 8))}px`);
    $("time").style.setProperty("--top", `${box.bottom + 4}px`);
  }

  function fill_zones() {
    if ($("zone").options.length) return;
    const others = Intl.supportedValuesOf("timeZone").filter((each) => each !== "UTC");
    $("zone").append(new Option(`Browser (${ours})`, ""), new Option("UTC", "UTC"), swarmscope.fragment(others.map((each) => [each, each])));
    if (zone && !others.includes(zone) && zone !== "UTC") $("zone").append(new Option(zone, zone));
    $("zone").value = zone ?? "";
  }

  function apply(event) {
    event.preventDefault();
    const { from, to } = $("time-form").elements;
    const [begin, end] = [from_local(from.value), from_local(to.value)];
    if (!(begin < end)) {
      $("time-wrong").textContent = "The end must be after the beginning.";
      return;
    }
    $("time").hidePopover();
    choose({ from: String(begin), to: String(end), "p.replay": "", "p.playing": "" });
  }

  // All texts change, and the platform makes other days on the History page.
  function change_zone() {
    const query = chosen();
    query.delete("p.timezone"); // the former name
    if ($("zone").value) query.set("zone", $("zone").value);
    else query.delete("zone");
    location.search = query.toString();
  }

  // A pause keeps the range that is shown; live continues with the length from before.
  function hold() {
    if (is_fixed()) choose({ from: "", to: "" });
    else if (facts?.span) choose({ from: String(facts.span.from), to: String(facts.span.to) });
  }

  function earlier_page() {
    if ((chosen().get("zone") ?? undefined) !== zone && (chosen().get("zone") ?? "") !== (zone ?? "")) location.reload();
    show();
  }

  addEventListener("DOMContentLoaded", () => {
    $("time").addEventListener("toggle", open);
    $("time-form")?.addEventListener("submit", apply);
    $("zone").addEventListener("change", change_zone);
    $("hold")?.addEventListener("click", hold);
    show();
  });
  addEventListener("popstate", earlier_page);

  shows((news) => { choices = news; show(); }, "choices");
  shows((news) => { facts = news; show(); });
})();
