// Plots by keyboard: the arrow keys read a plot's values one by one, and Enter chooses what a pointer would choose.
"use strict";

(() => {
  const { make } = swarmscope;
  const { local } = swarmscope_times;
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
  const read = new Map(); // the place of each plot's value that was read last

  function columns(renderer) {
    const { data } = renderer.data_source;
    return (name) => Array.from(data.get?.(name) ?? data[name] ?? []);
  }

  // The values of a plot in words: one of a map's regions, a histogram's ranges, or the moments of a timeline.
  function values(name, model) {
    if (name === "histogram") {
      const of = columns(model.renderers.at(-1));
      return of("range").map((range, i) => `${range}: ${of("share")[i].toFixed(1)} % of peers`);
    }
    if (name === "swarm" || name === "network") return of_nodes(model);
    if (name.startsWith("history_") && !model.children) return of_periods(model);
    if (!model.children) return of_regions(model);
    return of_moments(model.children.filter((panel) => panel.visible));
  }

  function of_regions(model) {
    const of = columns(model.renderers.at(-1));
    const peers = of("peers_text");
    return of("name").map((place, i) => `${place}: ${of("text")[i]}, ${peers[i]}`).filter((_, i) => peers[i] && !peers[i].startsWith("0 "));
  }

  function of_nodes(model) {
    const of = columns(model.renderers.at(-1));
    return of("name").map((node, i) => `${node}: ${of("text")[i].replaceAll("\n", "; ")}`);
  }

  function of_periods(model) {
    const points = model.renderers.filter((each) => each.glyph.type === "Scatter");
    const of = columns(points[0]);
    const names = points.map((each) => each.glyph.y.field);
    return of("period").map((period, i) => `${period}: ${names.map((each) => `${each.replaceAll("_", " ")} ${of(each)[i].toFixed(2)}`).join(", ")}`);
  }

  function of_moments(panels) {
    const sources = panels.flatMap((panel) => panel.renderers.map(columns).filter((of) => of("at").length && of("text").length).slice(0, 1));
    const words = sources.map((of) => new Map(of("at").map((at, i) => [at, `${of("title")[i]} ${of("text")[i]}`])));
    const moments = [...new Set(words.flatMap((each) => [...each.keys()]))].sort((one, other) => one - other);
    return moments.map((at) => [local(at), ...words.map((each) => each.get(at)).filter(Boolean)].join(", "));
  }

  function on_key(event) {
    const plot = event.currentTarget;
    const step = event.shiftKey ? undefined : STEPS[event.key];
    const root = [...Bokeh.index.roots].find((each) => each.model.id === plot.dataset.rootId);
    if (step === undefined && event.key !== "Enter" || !root) return;
    event.preventDefault();
    if (event.key === "Enter") { choose(root.model, read.get(plot)?.text ?? ""); return; }
    const words = values(root.model.name, root.model);
    if (!words.length) return;
    const before = read.get(plot)?.at ?? (step > 0 ? -1 : words.length);
    const at = Math.max(0, Math.min(words.length - 1, before + step));
    read.set(plot, { at, text: words[at] });
    plot.dispatchEvent(new CustomEvent("pointed", { detail: place_of(root.model, words[at])[1] }));
    line_of(plot).textContent = `${words[at]} (${at + 1} of ${words.length})`;
  }

  // As a tap does.
  function choose(model, text) {
    const [source, at] = place_of(model, text);
    if (at >= 0) source.selected.indices = [at];
  }

  function place_of(model, text) {
    const source = model.renderers?.at(-1).data_source;
    if (!source || !text) return [null, -1];
    const of = columns(model.renderers.at(-1));
    const named = of("name").length ? of("name") : of("range");
    return [source, named.findIndex((each) => text.startsWith(`${each}: `))];
  }

  function line_of(plot) {
    const next = plot.nextElementSibling;
    if (next?.matches(".read")) return next;
    const line = make("p", { className: "aside read" });
    line.setAttribute("role", "status");
    plot.after(line);
    return line;
  }

  addEventListener("DOMContentLoaded", () => {
    for (const plot of document.querySelectorAll(".figure")) plot.addEventListener("keydown", on_key);
  });
})();
