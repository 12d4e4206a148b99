// The dialog that silences or acknowledges an alert.
"use strict";

globalThis.swarmscope_silence = (() => {
  const $ = (id) => document.getElementById(id);
  const FURTHER = "Silence further ones"; // of an alert that has ended
  let target = null;

  // `alert` has rule, slice (null: the whole rule), title, whether it has ended and, to acknowledge it, from.
  function open(alert, { acknowledge = false } = {}) {
    target = alert;
    $("silence-title").textContent = acknowledge ? "Acknowledge the alert" : alert.ended ? "Silence further alerts like this one" : "Silence the alert";
    $("silence-what").textContent = alert.title;
    $("silence-means").textContent = acknowledge
      ? "All users see that you work on it. Webhooks still get its end."
      : "Webhooks, if there are any, get nothing until the silence ends. The alert stays on these pages.";
    $("silence-lengths").hidden = acknowledge;
    $("silence-acknowledge").hidden = !acknowledge;
    $("silence-all").hidden = acknowledge || alert.slice === null || !Object.keys(alert.slice).length;
    $("silence-all").firstElementChild.checked = false;
    $("silence-comment").value = "";
    $("silence-wrong").textContent = "";
    $("silence").showModal();
  }

  async function send(path, more) {
    try {
      await swarmscope_changes.request("POST", path, { rule: target.rule, comment: $("silence-comment").value, ...more });
      $("silence").close();
    } catch (error) {
      $("silence-wrong").textContent = error.message;
    }
  }

  function silence(minutes) {
    const slice = $("silence-all").firstElementChild.checked ? null : target.slice;
    send("api/v1/silences", { slice, minutes });
  }

  // A button that opens the dialog for `alert`.
  function button(text, alert, options) {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "small", textContent: text });
    made.ariaLabel = `${text}: ${alert.title}`;
    made.addEventListener("click", () => open(alert, options));
    return swarmscope_changes.for_managers(made);
  }

  addEventListener("DOMContentLoaded", () => {
    for (const each of $("silence-lengths").children) each.addEventListener("click", () => silence(+each.dataset.minutes));
    $("silence-acknowledge").addEventListener("click", () => send("api/v1/acknowledgements", { slice: target.slice, from: target.from }));
  });

  return { button, FURTHER };
})();
