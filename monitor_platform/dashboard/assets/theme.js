// The colour scheme: that of the system, light, or dark. This browser remembers the choice.
"use strict";

globalThis.swarmscope_theme = (() => {
  const THEMES = ["auto", "light", "dark"];
  const KEY = "swarmscope.theme";
  const root = document.documentElement;

  // A browser may forbid storage; then a choice holds for one page.
  function remembered() {
    try { return localStorage.getItem(KEY); } catch { return null; }
  }

  function remember(theme) {
    try { localStorage.setItem(KEY, theme); } catch { /* see above */ }
  }

  let theme = THEMES.includes(remembered()) ? remembered() : "auto";

  function show() {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button === null) return;
    button.dataset.shows = theme;
    button.ariaLabel = `Colours: ${theme === "auto" ? "as the system" : theme}`;
    button.title = `${button.ariaLabel}. Click for the next: as the system, light, dark.`;
  }

  function next() {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    remember(theme);
    show();
    document.dispatchEvent(new CustomEvent("themed"));
  }

  show();
  addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", next);
  });

  return { next };
})();
