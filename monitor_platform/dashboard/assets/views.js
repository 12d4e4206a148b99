// The dialog of saved views: addresses that the user has named. It asks the platform when it opens.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const { make } = swarmscope;
  const { request } = swarmscope_changes;

  async function act(work) {
    $("views-wrong").textContent = "";
    try {
      await work();
    } catch (error) {
      $("views-wrong").textContent = error.message;
    }
  }

  function row({ id, name, address }) {
    const item = make("li");
    const remove = make("button", { type: "button", className: "small", textContent: "Remove", ariaLabel: `Remove the view ${name}` });
    remove.addEventListener("click", () => act(async () => {
      await request("DELETE", `api/v1/views/${id}`);
      await list();
      $("views-title").focus();
    }));
    item.append(make("a", { href: `.${address}`, textContent: name }), remove); // the dashboard may be below a path
    return item;
  }

  async function list() {
    const views = await request("GET", "api/v1/views");
    $("no-views").hidden = views.length > 0;
    $("views-list").replaceChildren(...views.map(row));
  }

  function save(event) {
    event.preventDefault();
    const { name } = Object.fromEntries(new FormData($("views-form")));
    act(async () => {
      await request("POST", "api/v1/views", { name, address: `/${location.pathname.split("/").at(-1)}${location.search}` });
      $("views-form").reset();
      await list();
    });
  }

  addEventListener("DOMContentLoaded", () => {
    $("views-form").addEventListener("submit", save);
    $("views-open").addEventListener("click", () => {
      $("views").showModal();
      act(list);
    });
  });
})();
