// The tiles, the texts beside the figures (notes and colour keys), and the message that replaces missing data.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const { shows, choose, make, put } = swarmscope;

  function show_tiles(facts) {
    const box = $("tiles");
    if (box.children.length !== facts.tiles.length || box.querySelector("[data-waits]")) box.replaceChildren(...facts.tiles.map(tile));
    facts.tiles.forEach((fact, i) => { fill_tile(box.children[i], fact, facts.measure); });
  }

  // The comparison in words: the chosen measure on both sides, what is clearly worse or better, and the other time.
  function show_against({ against, tiles, length_minutes, extent }) {
    const line = $("against-text");
    if (!line) return;
    if (!against) { line.replaceChildren("\u00a0"); return; }
    const { name, from, to, both, verdict, kind, missing, in_logs } = against;
    const at = `${name} (${swarmscope_times.range(from, to)})`;
    if (missing) {
      const where = in_logs ? " in memory" : "";
      line.replaceChildren(`No change is shown: ${missing}${where} of the other time, ${at}. `, ...(in_logs ? [from_logs()] : shorter(length_minutes, extent)));
      return;
    }
    const says = make("b", { className: "change", textContent: verdict });
    if (verdict) says.dataset.kind = kind;
    const time = swarmscope_times.range(from, to);
    const compared = both ? [make("strong", { textContent: both }), ` (${time}): `, says] : [`Compared with ${at}`];
    line.replaceChildren(...compared, ". Clearly worse: ", changed(tiles, "worse"), ". Better: ", changed(tiles, "better"), ".");
  }

  function from_logs() {
    const button = make("button", { type: "button", className: "text", textContent: "Read it from the logs" });
    button.addEventListener("click", () => choose({ compare: "before" }));
    return button;
  }

  // "continuity, startup", in the colour of such changes.
  function changed(tiles, kind) {
    const names = tiles.filter(({ change }) => change.kind === kind).map(({ name }) => name);
    const found = make("b", { className: "change", textContent: names.join(", ") || "none" });
    if (names.length) found.dataset.kind = kind;
    return found;
  }

  // A button for the longest time range whose time before is recorded (the platform needs half of it).
  function shorter(minutes, extent) {
    const recorded = extent ? (extent.to - extent.from) / 60000 : 0;
    const fits = offered.filter((each) => each > 0 && each * 1.5 <= recorded && each < minutes);
    if (!fits.length) return [];
    const longest = Math.max(...fits);
    const button = make("button", { type: "button", className: "text", textContent: `Compare the last ${longest} min with those before` });
    button.addEventListener("click", () => choose({ minutes: String(longest), from: "", to: "" }));
    return [button];
  }

  let offered = [];
  shows(({ minutes }) => { offered = minutes; }, "choices");

  function tile() {
    const box = make("div", { className: "tile" });
    const button = make("button", { type: "button", className: "pick" });
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("viewBox", "0 0 56 20");
    line.setAttribute("preserveAspectRatio", "none");
    line.setAttribute("aria-hidden", "true");
    line.append(document.createElementNS(SVG, "path"));
    const value = make("strong");
    value.append(make("b"), make("i"));
    const change = make("em", { className: "change" });
    change.append(make("span", { ariaHidden: "true" }), make("span", { className: "heard" }));
    button.append(make("span", { className: "title" }), value, change, make("small"));
    button.addEventListener("click", () => choose({ measure: box.dataset.measure }));
    const about = make("a", { className: "about", textContent: "?" });
    const viewers = make("a", { className: "viewers", textContent: "Viewers" });
    box.append(button, viewers, about, line);
    return box;
  }

  function fill_tile(box, { measure, title, value, unit, note, note_means, now, gone, trend, change, sorts }, chosen) {
    const button = box.querySelector("button");
    box.dataset.measure = measure;
    button.setAttribute("aria-pressed", String(measure === chosen));
    box.querySelector(".title").textContent = title;
    box.querySelector("b").textContent = value;
    box.querySelector("i").textContent = unit && `\u202f${unit}`;
    const [shown, heard] = box.querySelector(".change").children;
    shown.textContent = change.arrow ? `${change.arrow}\u202f${change.text}` : change.text;
    heard.textContent = change.words;
    Object.assign(box.querySelector(".change"), { title: change.words }).dataset.kind = change.kind;
    const latest = now ? `now ${now.split("\u202f")[0]} · ` : ""; // in the unit of the value above
    Object.assign(box.querySelector("small"), { textContent: latest + note, title: latest ? `In the last period: ${now}. ${note_means}` : note_means });
    box.toggleAttribute("data-gone", gone);
    Object.assign(box.querySelector(".about"), { href: `measures#${measure}`, ariaLabel: `What is ${title}?` });
    const viewers = box.querySelector(".viewers");
    viewers.hidden = !sorts;
    if (sorts) {
      viewers.href = `sessions?${swarmscope.along({ "p.sort": sorts })}`;
      viewers.title = viewers.ariaLabel = `${title}: the viewers, worst first`;
    }
    box.querySelector("path").setAttribute("d", sparkline(trend));
  }

  function sparkline(values) {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) return "";
    const low = Math.min(...known);
    const high = Math.max(...known);
    // An almost constant line must look constant.
    const rise = Math.max(high - low, Math.abs(high) / 10) || 1;
    let pen = "M";
    return values.map((value, i) => {
      if (value === null) { pen = "M"; return ""; }
      const point = `${pen}${((i / (values.length - 1)) * 56).toFixed(1)} ${(19 - ((value - low) / rise) * 18).toFixed(1)}`;
      pen = "L";
      return point;
    }).join("");
  }

  function show_words({ notes, asides, drops, keys, state, gone }) {
    if ($("gone")) Object.assign($("gone"), { hidden: !gone, textContent: gone ?? "" });
    for (const [name, text] of Object.entries(notes)) put(`[data-note="${name}"]`, text);
    for (const [name, text] of Object.entries(asides)) put(`[data-aside="${name}"]`, text);
    put("#drops", drops);
    for (const [name, key] of Object.entries(keys)) show_key(document.querySelector(`[data-key="${name}"]`), key);
    if (state.kind !== "ok") show_state(state);
  }

  // The legend of a map. Its parts keep their places, so that nothing moves.
  function show_key(box, { title, colours, stepped, marks, ends, patterns }) {
    const [ramp, places, list] = ["ramp", "places", "patterns"].map((name) => box.querySelector(`.${name}`));
    const words = ends.map((word) => make("span", { className: "end", textContent: word }));
    box.querySelector(".scale").replaceChildren(words[0], make("span", { className: "what", textContent: title, title }), words[1]);
    list.replaceChildren(...patterns.map(([kind, text]) => {
      const item = make("li", { textContent: text });
      item.dataset.kind = kind;
      return item;
    }));
    const share = 100 / colours.length;
    const stops = stepped ? colours.map((colour, i) => `${colour} ${i * share}% ${(i + 1) * share}%`) : colours;
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    places.replaceChildren(...marks.map(([place, text]) => {
      const mark = make("span", { textContent: text });
      mark.style.left = `${place * 100}%`;
      return mark;
    }));
  }

  function show_state({ title, text, command, way_out }) {
    $("state-title").textContent = title;
    $("state-text").textContent = text;
    $("state-command").textContent = command;
    $("state-command").hidden = command === "";
    $("state-way-out").hidden = !way_out;
  }

  shows(show_tiles);
  shows(show_against);
  shows(show_words);
})();
