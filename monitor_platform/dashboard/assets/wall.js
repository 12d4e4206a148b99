// Wall mode: pages without controls that follow one another, for a screen without an operator. It is part of the address: `p.wall` is the
// number of seconds of each page, `p.pages` the pages. The script runs before the page is drawn, so that no control flashes.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const LEAST_S = 5;
  const MOST_S = 3600;
  const RETRY_MS = 2000;
  const asked = new URLSearchParams(location.search);
  const seconds = Math.min(MOST_S, Math.max(LEAST_S, Number(asked.get("p.wall")) || 0));
  let turn = 0;
  const is_on = asked.has("p.wall");
  const mine = document.currentScript.src;
  if (is_on) document.documentElement.dataset.wall = "";

  // The path of a page as the platform knows it: the dashboard may be below a path of another server.
  function page_of({ pathname }) {
    return `/${pathname.split("/").at(-1)}`;
  }

  function links() {
    return [...document.querySelectorAll("nav a:not([hidden])")];
  }

  // The pages of the wall that the navigation has, in the order of the address.
  function pages() {
    const known = new Set(links().map(page_of));
    return (asked.get("p.pages") ?? "").split(",").filter((path) => known.has(path));
  }

  function address(path, changes) {
    const query = swarmscope.along(changes);
    return query ? `.${path}?${query}` : `.${path}`;
  }

  // The next page, but only if the platform answers and the user is still logged in: otherwise this page stays, and states it.
  async function go_on() {
    const all = pages();
    const next = all[(all.indexOf(page_of(location)) + 1) % all.length];
    if (next === undefined || next === page_of(location)) return;
    const answer = await fetch(mine, { method: "HEAD", cache: "no-store", redirect: "manual" }).catch(() => null);
    if ("framed" in document.body.dataset) return; // its frame goes on
    if (answer?.ok) location.assign(address(next, { "p.wall": String(seconds), "p.pages": all.join(",") }));
    else {
      if (answer) $("wall-stopped").hidden = false;
      turn = setTimeout(go_on, RETRY_MS);
    }
  }

  function leave() {
    top.location.assign(new URL(address(page_of(location), {}), location));
  }

  function start(event) {
    event.preventDefault();
    const form = new FormData($("wall-form"));
    const chosen = form.getAll("page");
    if (!chosen.length) return;
    location.assign(address(chosen[0], { "p.wall": form.get("seconds"), "p.pages": chosen.join(",") }));
  }

  function offer() {
    const offered = links().map((link) => {
      const label = swarmscope.make("label", { className: "check" });
      const box = swarmscope.make("input", { type: "checkbox", name: "page", value: page_of(link), checked: ["/", page_of(location)].includes(page_of(link)) });
      label.append(box, link.firstChild.textContent.trim());
      return label;
    });
    $("wall-pages").replaceChildren(...offered);
    $("wall").showModal();
  }

  // Browsers end the full screen at each new page. So several pages follow one another in a frame of this page, which remains.
  function offer_full_screen() {
    let frame = null;
    const show = () => { $("wall-full").hidden = !document.fullscreenEnabled || Boolean(document.fullscreenElement) || window !== top; };
    show();
    $("wall-full").addEventListener("click", async () => {
      await document.documentElement.requestFullscreen();
      if (pages().length < 2) return;
      clearTimeout(turn);
      document.body.dataset.framed = "";
      frame = swarmscope.make("iframe", { className: "wall-frame", title: "Pages of the wall", src: location.href });
      document.body.append(frame);
      frame.addEventListener("load", () => frame.contentWindow.focus());
    });
    document.addEventListener("fullscreenchange", () => {
      show();
      // The wall goes on in the window, with the page that the frame showed.
      if (frame && !document.fullscreenElement) location.assign(frame.contentWindow.location.href);
    });
  }

  addEventListener("DOMContentLoaded", () => {
    $("wall-form").addEventListener("submit", start);
    $("wall-open").addEventListener("click", offer);
    if (!is_on) return;
    $("wall-end").hidden = false;
    $("wall-end").addEventListener("click", leave);
    addEventListener("keydown", ({ key }) => { if (key === "Escape") leave(); });
    offer_full_screen();
    turn = setTimeout(go_on, seconds * 1000);
  });
})();
