// Maps: zoom and move by buttons, wheel, drag, two fingers and keys, and a box with the values of a region, beside the regions.
// One finger and the wheel alone scroll the page. The address remembers the part that is shown, as its
// centre and width in degrees (p.map, p.district).
"use strict";

(() => {
  const { chosen, choose, make, shows } = swarmscope;
  const MOST_ZOOM = 40;
  const STEP = 1.5;
  const DRAGGED_PX = 4;
  const REMEMBERED_AFTER_MS = 400;
  const KEYS = { "+": STEP, "=": STEP, "-": 1 / STEP, "0": 0 };
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  class RegionMap {
    constructor(box) {
      this.box = box;
      this.plot = box.querySelector(".figure");
      this.name = box.dataset.map;
      this.readout = box.querySelector(".readout");
      this.whole = null; // the ranges of the whole map, while it is zoomed
      box.addEventListener("click", (event) => this.on_button(event));
      this.plot.addEventListener("wheel", (event) => this.on_wheel(event), { passive: false });
      this.plot.addEventListener("pointerdown", (event) => this.on_press(event));
      this.plot.addEventListener("pointermove", (event) => this.place_readout(event));
      this.plot.addEventListener("touchstart", (event) => this.on_fingers(event), { passive: false });
      this.plot.addEventListener("touchmove", (event) => this.on_fingers(event), { passive: false });
      this.plot.addEventListener("keydown", (event) => this.on_key(event), { capture: true });
    }

    get view() {
      return [...Bokeh.index.roots].find((each) => each.model.id === this.plot.dataset.rootId);
    }

    // The shown part: centre and size in degrees, and the size of the drawing in pixels.
    part() {
      const { frame, model: { x_range, y_range } } = this.view;
      const { width, height } = frame.bbox;
      const [across, up] = [x_range.end - x_range.start, y_range.end - y_range.start];
      return { x: x_range.start + across / 2, y: y_range.start + up / 2, across, up, width, height };
    }

    // Shows the part around a place, within the whole map.
    look({ x, y, across }) {
      const now = this.part();
      this.whole ??= now;
      const zoom = Math.min(this.whole.across / across, MOST_ZOOM);
      if (zoom <= 1.001) { this.reset(); return; }
      const size = [this.whole.across / zoom, now.up / now.across * this.whole.across / zoom];
      const { x_range, y_range } = this.view.model;
      const middle = [this.within(x, size[0], this.whole.x, this.whole.across), this.within(y, size[1], this.whole.y, this.whole.up)];
      [x_range, y_range].forEach((range, i) => {
        range.have_updated_interactively = true;
        range.setv({ start: middle[i] - size[i] / 2, end: middle[i] + size[i] / 2 }, { sync: false });
      });
      this.mark(zoom);
    }

    within(at, size, middle, whole) {
      const most = Math.max(0, (whole - size) / 2);
      return Math.min(Math.max(at, middle - most), middle + most);
    }

    // `at`: the place in pixels that stays where it is; without one, the centre.
    zoom(factor, at = null) {
      if (factor === 0) { this.reset(); this.remember(); return; }
      const { x, y, across, up, width, height } = this.part();
      const [dx, dy] = at === null ? [0, 0] : [(at[0] / width - 0.5) * across, (0.5 - at[1] / height) * up];
      const most = (this.whole ?? this.part()).across;
      const applied = across / Math.min(Math.max(across / factor, most / MOST_ZOOM), most);
      this.look({ x: x + dx - dx / applied, y: y + dy - dy / applied, across: across / applied });
      this.remember();
    }

    move(right_px, down_px) {
      const { x, y, across, up, width, height } = this.part();
      this.look({ x: x - right_px / width * across, y: y + down_px / height * up, across });
      this.remember();
    }

    reset() {
      const { x_range, y_range } = this.view.model;
      this.whole = null;
      for (const range of [x_range, y_range]) range.have_updated_interactively = false;
      this.view.invalidate_layout();
      this.mark(1);
    }

    mark(zoom) {
      this.plot.dataset.zoom = zoom.toFixed(2);
      const [nearer, further, all] = this.box.querySelectorAll("[data-zoom-by]");
      nearer.disabled = zoom >= MOST_ZOOM;
      further.disabled = all.disabled = zoom <= 1;
    }

    // The address is updated when the user has stopped moving the map.
    remember() {
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        const { x, y, across } = this.part();
        const text = this.whole === null ? "" : [x, y, across].map((degrees) => degrees.toFixed(4)).join();
        if ((chosen().get(`p.${this.name}`) ?? "") !== text) choose({ [`p.${this.name}`]: text }, { keep: true });
      }, REMEMBERED_AFTER_MS);
    }

    recall() {
      const [x, y, across] = (chosen().get(`p.${this.name}`) ?? "").split(",").map(Number);
      if ([x, y, across].every(Number.isFinite) && across > 0) {
        this.look({ x, y, across });
      } else if (this.whole !== null) {
        this.reset();
      }
    }

    // A zoomed map keeps its scale and centre when the window changes.
    resized(before) {
      if (this.whole === null) return;
      const now = this.part();
      const by = [now.width / before.width, now.height / before.height];
      const { x_range, y_range } = this.view.model;
      const size = [now.across * by[0], now.up * by[1]];
      [[x_range, now.x], [y_range, now.y]].forEach(([range, middle], i) => {
        range.setv({ start: middle - size[i] / 2, end: middle + size[i] / 2 }, { sync: false });
      });
      this.whole = { ...this.whole, across: this.whole.across * by[0], up: this.whole.up * by[1] };
    }

    // ---- pointer, wheel and fingers ----

    inside({ clientX, clientY }) {
      const { left, top } = this.plot.getBoundingClientRect();
      return [clientX - left, clientY - top];
    }

    on_button({ target }) {
      const by = target.closest("[data-zoom-by]")?.dataset.zoomBy;
      if (by !== undefined) this.zoom(+by);
    }

    on_wheel(event) {
      if (!event.ctrlKey && !event.metaKey) { this.hint(); return; }
      event.preventDefault();
      this.zoom(STEP ** (-event.deltaY / 100), this.inside(event));
    }

    hint() {
      this.box.dataset.hint = "";
      clearTimeout(this.hinted);
      this.hinted = setTimeout(() => { delete this.box.dataset.hint; }, 1500);
    }

    on_press(event) {
      if (event.pointerType === "touch" || event.button !== 0 || this.whole === null) return;
      let last = this.inside(event);
      const first = last;
      const follow = (moved) => {
        const now = this.inside(moved);
        if (!this.dragging && Math.hypot(now[0] - first[0], now[1] - first[1]) < DRAGGED_PX) return;
        this.dragging = true;
        this.move(now[0] - last[0], now[1] - last[1]);
        last = now;
      };
      addEventListener("pointermove", follow);
      addEventListener("pointerup", () => { removeEventListener("pointermove", follow); this.dragging = false; }, { once: true });
    }

    on_fingers(event) {
      if (event.touches.length !== 2) { this.fingers = null; return; }
      event.preventDefault();
      const [one, other] = [...event.touches].map((touch) => this.inside(touch));
      const now = { x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2, apart: Math.hypot(one[0] - other[0], one[1] - other[1]) };
      const before = this.fingers;
      this.fingers = now;
      if (!before || event.type === "touchstart") return;
      if (this.whole !== null) this.move(now.x - before.x, now.y - before.y);
      this.zoom(now.apart / before.apart, [now.x, now.y]);
    }

    on_key(event) {
      const by = KEYS[event.key];
      const to = event.shiftKey ? MOVES[event.key] : undefined;
      if (event.ctrlKey || event.metaKey || event.altKey || (by === undefined && to === undefined)) return;
      event.preventDefault();
      event.stopPropagation();
      if (by !== undefined) this.zoom(by);
      else if (this.whole !== null) this.move(-to[0] * 64, to[1] * 64);
    }

    // ---- the values of a region ----

    // The box is at the left, or at the right while the pointer would be below it.
    place_readout(event) {
      const [x, y] = this.inside(event);
      const { offsetWidth, offsetHeight } = this.readout;
      this.readout.dataset.side = x < offsetWidth + 24 && y < offsetHeight + 24 ? "right" : "left";
    }

    // The region under the pointer, the one that the keys read, or the chosen one.
    read() {
      const { data_source } = this.view.model.renderers.at(-1);
      const at = data_source.inspected.indices[0] ?? this.pointed ?? data_source.selected.indices[0];
      this.readout.toggleAttribute("data-empty", at === undefined);
      if (at === undefined) return;
      const of = (name) => (data_source.data.get?.(name) ?? data_source.data[name])[at];
      const thin = of("hatch") === " " ? "" : "few peers: uncertain";
      const value = make("b", { textContent: of("text") });
      const lines = [[make("strong", { textContent: of("name") }), ` ${of("name_zh")}`], [`${of("title")} `, value], [of("peers_text")], [thin], [of("more")]];
      this.readout.replaceChildren(...lines.filter(([first]) => first !== "").map((parts) => {
        const line = make("p");
        line.append(...parts);
        return line;
      }));
    }

    begin() {
      const { data_source } = this.view.model.renderers.at(-1);
      const read = () => this.read();
      data_source.inspect.connect(read);
      data_source.selected.change.connect(read);
      this.plot.addEventListener("pointed", ({ detail }) => { this.pointed = detail; read(); });
      this.plot.addEventListener("blur", () => { this.pointed = undefined; read(); });
      data_source.patching.connect(read);
      data_source.properties.data.change.connect(read);
      let before = this.part();
      new ResizeObserver(() => { this.resized(before); before = this.part(); }).observe(this.plot);
      this.recall();
      this.read();
    }
  }

  const maps = [];
  let begun = false;

  function recolour() {
    // The names have the colours of the page.
    for (const map of maps) map.view?.model.properties.inner_width.change.emit();
  }

  addEventListener("DOMContentLoaded", () => {
    maps.push(...[...document.querySelectorAll("[data-map]")].map((box) => new RegionMap(box)));
    document.addEventListener("themed", recolour);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    for (const button of document.querySelectorAll("[data-shade]")) button.addEventListener("click", shade);
  });
  // With the first data, as soon as Bokeh has laid out the maps.
  function begin() {
    if (begun || !maps.length) return;
    if (!maps.every((map) => map.view?.frame.bbox.width)) { requestAnimationFrame(begin); return; }
    begun = true;
    for (const map of maps) map.begin();
  }

  document.addEventListener("shown", begin, { once: true });
  addEventListener("popstate", () => { if (begun) for (const map of maps) map.recall(); });

  // ---- what is coloured, and over which range ----

  function shade({ currentTarget: { dataset, ariaPressed } }) {
    const on = ariaPressed === "true";
    choose(dataset.shade === "change" ? { colour: on ? "value" : "change" } : { scale: on ? "" : "fixed" });
  }

  shows(({ keys, scale }) => {
    for (const button of document.querySelectorAll("[data-shade]")) {
      const key = keys[button.dataset.of];
      if (!key) continue;
      button.ariaPressed = String(button.dataset.shade === "change" ? key.change : scale === "fixed");
      button.disabled = button.dataset.shade === "fixed" && !key.fixed;
    }
  });
})();
