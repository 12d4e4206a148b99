// Single keys for what the pointer does most, and the dialog that lists them. They can be switched off, because speech input types letters.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const OFF = "swarmscope.keys-off";
  const TYPED_INTO = "input:not([type='checkbox'], [type='range']), select, textarea, [contenteditable]";

  // A browser may forbid storage; then the keys are always on.
  function are_on() {
    try { return localStorage.getItem(OFF) === null; } catch { return true; }
  }

  function turn({ target }) {
    try {
      target.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1");
    } catch { /* see above */ }
  }

  function to_page(digit) {
    const links = document.querySelectorAll("nav a:not([hidden])");
    links[(digit || 10) - 1]?.click();
  }

  function to_filters() {
    if ($("open-filters").checkVisibility() && $("open-filters").getAttribute("aria-expanded") === "false") $("open-filters").click();
    [...$("filters").elements].find((control) => control.checkVisibility())?.focus();
  }

  const ACTIONS = {
    "?": () => $("keys").showModal(),
    f: to_filters,
    x: () => { if ($("clear").checkVisibility()) $("clear").click(); },
    w: () => $("wall-open").click(),
    c: () => swarmscope_theme.next(),
    t: () => { if ($("time-open").checkVisibility()) $("time-open").click(); },
    p: () => ($("hold") ?? $("replay-play"))?.click(),
  };

  function on_key(event) {
    const { key, target } = event;
    const taken = event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]");
    if (taken || !are_on() || target.matches?.(TYPED_INTO)) return;
    const act = /^\d$/.test(key) ? () => to_page(+key) : ACTIONS[key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  addEventListener("DOMContentLoaded", () => {
    addEventListener("keydown", on_key);
    $("show-keys").addEventListener("click", ACTIONS["?"]);
    $("keys-on").checked = are_on();
    $("keys-on").addEventListener("change", turn);
  });
})();
