// PNG and SVG files of the views. Above the view is what it shows, because a picture leaves the page: title, measure, time and filters.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const { shows, make } = swarmscope;
  const { range, zone, ours } = swarmscope_times;
  const MARGIN = 16;
  const LINE = 20;
  let facts = null;

  function heading(name) {
    const card = document.querySelector(`.card.${name}`);
    const filters = facts.chips.filter((chip) => !chip.span).map((chip) => chip.text);
    return [
      `${card.querySelector("h2").textContent} · ${$("filters").elements.measure.selectedOptions[0].text}`,
      card.querySelector(".note").textContent,
      `${facts.span ? range(facts.span.from, facts.span.to) : ""} (${zone ?? ours})`,
      filters.length ? filters.join(" · ") : "no filters",
    ];
  }

  function colours() {
    const style = getComputedStyle(document.querySelector(".card"));
    return { ground: style.backgroundColor, ink: style.color };
  }

  function font_of(index) {
    return index ? "12px system-ui, sans-serif" : "600 14px system-ui, sans-serif";
  }

  async function png(view, lines) {
    const image = await createImageBitmap(await view.export("png", true).to_blob());
    const scale = devicePixelRatio;
    const above = MARGIN + LINE * lines.length;
    const canvas = make("canvas", { width: image.width, height: image.height + Math.round(above * scale) });
    const pen = canvas.getContext("2d");
    const { ground, ink } = colours();
    pen.fillStyle = ground;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, Math.round(above * scale));
    pen.scale(scale, scale);
    pen.fillStyle = ink;
    lines.forEach((text, i) => {
      pen.font = font_of(i);
      pen.fillText(text, MARGIN, LINE * (i + 1), image.width / scale - 2 * MARGIN);
    });
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  async function svg(view, lines) {
    const text = await (await view.export("svg", false).to_blob()).text();
    const inner = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    const above = MARGIN + LINE * lines.length;
    const [wide, high] = ["width", "height"].map((side) => Number.parseFloat(inner.getAttribute(side)));
    const { ground, ink } = colours();
    const outer = element("svg", { width: wide, height: high + above });
    outer.append(element("rect", { width: "100%", height: "100%", fill: ground }));
    outer.append(...lines.map((line, i) => {
      const written = element("text", { x: MARGIN, y: LINE * (i + 1), fill: ink, style: `font: ${font_of(i)}` });
      written.textContent = line;
      return written;
    }));
    inner.setAttribute("y", above);
    outer.append(inner);
    return new Blob([new XMLSerializer().serializeToString(outer)], { type: "image/svg+xml" });
  }

  function element(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  async function save({ target }) {
    const { of: name, picture: type } = target.dataset;
    const view = [...Bokeh.index.roots].find((each) => each.model.name === name);
    const blob = await (type === "png" ? png : svg)(view, heading(name));
    const link = make("a", { href: URL.createObjectURL(blob), download: `swarmscope-${name}.${type}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-picture]")) button.addEventListener("click", save);
  });

  shows((news) => { facts = news; });
})();
