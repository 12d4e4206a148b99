// Changes that users make on a page: requests to the platform.
"use strict";

globalThis.swarmscope_changes = (() => {
  // The answer of the platform, or an error with the reason in words.
  async function request(method, path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) }).catch(() => null);
    if (answer?.ok) return answer.json();
    const problem = await answer?.json().catch(() => null);
    throw new Error(problem?.detail ?? "the monitoring platform does not answer; try again");
  }

  const is_viewer = document.body.dataset.role === "viewer";

  // A button of a change that others see; a viewer cannot use it. The platform refuses the request, too.
  function for_managers(button) {
    if (is_viewer) Object.assign(button, { disabled: true, title: "Your role is viewer. Ask a manager for this change." });
    return button;
  }

  return { request, for_managers, is_viewer };
})();
