// The dialog of annotations: what happened at a time, shown on all timelines.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { shows, make, keep_children } = swarmscope;
  const { element, local_iso, from_local } = swarmscope_times;
  let span = null;

  async function act(method, path, body) {
    $("annotations-wrong").textContent = "";
    try {
      await swarmscope_changes.request(method, path, body);
      return true;
    } catch (error) {
      $("annotations-wrong").textContent = error.message;
      return false;
    }
  }

  function open() {
    $("annotations-wrong").textContent = "";
    $("annotations-form").reset();
    $("annotations-form").elements.from.value = local_iso(span?.to ?? Date.now()).slice(0, 19);
    $("annotations").showModal();
  }

  async function add(event) {
    event.preventDefault();
    const { text, from, to } = Object.fromEntries(new FormData($("annotations-form")));
    const times = { from: from_local(from), ...(to ? { to: from_local(to) } : {}) };
    if (await act("POST", "api/v1/annotations", { text, ...times })) $("annotations").close();
  }

  function row({ id, from, to, text, by }) {
    const item = make("li");
    const words = make("span");
    words.append(element(from));
    if (to > from) words.append(" – ", element(to));
    words.append(` ${text}${by ? ` (${by})` : ""}`);
    const remove = make("button", { type: "button", className: "small", textContent: "Remove", ariaLabel: `Remove: ${text}` });
    remove.addEventListener("click", () => act("DELETE", `api/v1/annotations/${id}`));
    item.append(words, swarmscope_changes.for_managers(remove));
    return item;
  }

  shows((facts) => {
    span = facts.span;
    const shown = facts.annotations ?? [];
    $("no-annotations").hidden = shown.length > 0;
    keep_children($("annotations-list"), shown, row, { key: ({ id }) => id, otherwise: () => $("annotations-title") });
  });

  addEventListener("DOMContentLoaded", () => {
    $("annotations-form").addEventListener("submit", add);
    document.querySelector("[data-annotate]")?.addEventListener("click", open);
  });
})();
