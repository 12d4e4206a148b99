// Times as text, from Unix milliseconds. The texts have the browser's time zone, and tooltips have UTC.
"use strict";

globalThis.swarmscope_times = (() => {
  const DAY = { month: "short", day: "numeric" };
  const MINUTE = { hour: "2-digit", minute: "2-digit", hour12: false };
  const SECOND = { ...MINUTE, second: "2-digit" };

  // "2012-08-07 09:30:15 UTC"
  function utc(ms, { seconds = true } = {}) {
    return `${new Date(ms).toISOString().slice(0, seconds ? 19 : 16).replace("T", " ")} UTC`;
  }

  // "Aug 7, 17:30:15"
  function local(ms, { day = true, seconds = true } = {}) {
    return new Date(ms).toLocaleString(undefined, { ...(day ? DAY : {}), ...(seconds ? SECOND : MINUTE) });
  }

  // "2012-08-07T17:30:15" in the browser's time zone, as <input type="datetime-local"> takes it.
  function local_iso(ms) {
    return new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  }

  // A <time> element with the local time as its text.
  function element(ms, { day = true, seconds = true } = {}) {
    return Object.assign(document.createElement("time"), {
      dateTime: new Date(ms).toISOString(),
      textContent: local(ms, { day, seconds }),
      title: utc(ms, { seconds }),
    });
  }

  return { utc, local, local_iso, element };
})();
