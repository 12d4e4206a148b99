// Times as text, from Unix milliseconds, in the page's time zone: that of the browser, or the one in the address. Tooltips have UTC.
"use strict";

globalThis.swarmscope_times = (() => {
  const YEAR = { year: "numeric" };
  const DAY = { month: "short", day: "numeric" };
  const MINUTE = { hour: "2-digit", minute: "2-digit", hour12: false };
  const SECOND = { ...MINUTE, second: "2-digit" };
  const SWEDISH = { dateStyle: "short", timeStyle: "medium" };
  const forms = new Map();

  const asked = new URLSearchParams(location.search);
  const ours = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // `p.timezone`: its former name, on the History page. undefined: the browser's. A page has one zone; another one loads the page again.
  const zone = named(asked.get("zone") ?? asked.get("p.timezone"));

  const is_utc = (zone ?? ours) === "UTC";

  function named(text) {
    try {
      return Intl.DateTimeFormat("en", { timeZone: text ?? undefined }).resolvedOptions() && (text || undefined);
    } catch {
      return undefined; // an unknown name
    }
  }

  // To make a format takes a hundred times as long as to use it.
  function form(language, options) {
    const key = JSON.stringify(options);
    if (!forms.has(key)) forms.set(key, new Intl.DateTimeFormat(language, { ...options, timeZone: zone }));
    return forms.get(key);
  }

  // "2012-08-07 09:30:15 UTC"
  function utc(ms, { seconds = true } = {}) {
    return `${new Date(ms).toISOString().slice(0, seconds ? 19 : 16).replace("T", " ")} UTC`;
  }

  // "Aug 7, 17:30:15"
  function local(ms, { year = false, day = true, seconds = true } = {}) {
    return form(undefined, { ...(year ? YEAR : {}), ...(day ? DAY : {}), ...(seconds ? SECOND : MINUTE) }).format(ms);
  }

  // "2012-08-07T17:30:15", as <input type="datetime-local"> takes it. Sweden writes times like this.
  function local_iso(ms) {
    return form("sv-SE", SWEDISH).format(ms).replace(" ", "T");
  }

  // The inverse of local_iso; NaN for a text that is no time.
  function from_local(text) {
    const wanted = Date.parse(`${text}Z`);
    let at = wanted;
    // Twice, because the first guess may be on the other side of a change of the clocks.
    for (let i = 0; i < 2 && !Number.isNaN(at); i++) at += wanted - Date.parse(`${local_iso(at)}Z`);
    return at;
  }

  // "Aug 7, 17:30:15 – 17:50:00"; with the day at both ends only if it differs, and without it today; with the years if they differ.
  function range(from, to) {
    const [first, last, today] = [from, to, Date.now()].map((ms) => local_iso(ms).slice(0, 10));
    const year = first.slice(0, 4) !== last.slice(0, 4);
    return `${local(from, { year, day: first !== last || last !== today })} – ${local(to, { year, day: first !== last })}`;
  }

  // A <time> element with the local time as its text.
  function element(ms, { day = true, seconds = true } = {}) {
    return Object.assign(document.createElement("time"), {
      dateTime: new Date(ms).toISOString(),
      textContent: local(ms, { day, seconds }),
      title: is_utc ? "" : utc(ms, { seconds }),
    });
  }

  return { utc, local, local_iso, from_local, range, element, zone, ours, is_utc };
})();
