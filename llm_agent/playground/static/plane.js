// The phase plane of a plant with two states: bounds, vector field, trajectories, and a handle on the initial state.

import { POLICIES, element, path, scale, short, ticks } from "./svg.js";

const SIZE = 360, LEFT = 46, BOTTOM = 40, EDGE = 8;
const BEYOND = 0.07; // of the bounds' width, shown on every side
const NEAR = 0.1; // success: the final state is this near the origin, in units of the bounds
const ARROW = 9;

export class Plane {
  // Callbacks: `taken()` when a drag begins, `moved(state)` at each move, `released(wait)` when it ends; `wait` in ms.
  constructor(root, plant, { taken, moved, released }) {
    this.plant = plant;
    this.callbacks = { taken, moved, released };
    const view = plant.x_bounds.map(([low, high]) => [low - BEYOND * (high - low), high + BEYOND * (high - low)]);
    this.x = scale(view[0], [LEFT, SIZE - EDGE]);
    this.y = scale(view[1], [SIZE - BOTTOM, EDGE]);
    this.svg = element("svg", { viewBox: `0 0 ${SIZE} ${SIZE}` });
    this.#drawBackground(view);
    this.lines = Object.fromEntries(
      [...POLICIES].reverse().map((policy) => [policy, element("path", { class: `trajectory ${policy}` }, this.clipped)]),
    );
    this.tip = element("circle", { r: 3.5, class: "tip", visibility: "hidden" }, this.clipped);
    this.#makeHandle();
    root.replaceChildren(this.svg);
  }

  #drawBackground(view) {
    const { plant, x, y } = this;
    const defs = element("defs", {}, this.svg);
    const clip = element("clipPath", { id: "inside" }, defs);
    element("rect", this.#rectangle(view), clip);
    const background = element("g", { "aria-hidden": "true" }, this.svg);
    for (const value of ticks(plant.x_bounds[0])) {
      element("line", { x1: x(value), x2: x(value), y1: EDGE, y2: SIZE - BOTTOM, class: "grid" }, background);
      element("text", { x: x(value), y: SIZE - BOTTOM + 15, "text-anchor": "middle" }, background, short(value));
    }
    for (const value of ticks(plant.x_bounds[1])) {
      element("line", { x1: LEFT, x2: SIZE - EDGE, y1: y(value), y2: y(value), class: "grid" }, background);
      element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, background, short(value));
    }
    element("rect", { ...this.#rectangle(plant.x0_bounds), class: "start-box" }, background);
    this.#drawField(background);
    element("rect", { ...this.#rectangle(plant.x_bounds), class: "bound" }, background);
    const name = (i) => plant.state_names[i] + (plant.state_units[i] ? ` [${plant.state_units[i]}]` : "");
    element("text", { x: (LEFT + SIZE - EDGE) / 2, y: SIZE - 6, "text-anchor": "middle", class: "name" }, background, name(0));
    const middle = (EDGE + SIZE - BOTTOM) / 2;
    const turned = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})`, class: "name" };
    element("text", turned, background, name(1));
    this.clipped = element("g", { "clip-path": "url(#inside)", "aria-hidden": "true" }, this.svg);
    const near = plant.x_bounds.map(([low, high]) => NEAR * Math.max(Math.abs(low), Math.abs(high)));
    const radii = { rx: x(near[0]) - x(0), ry: y(0) - y(near[1]) };
    element("ellipse", { cx: x(0), cy: y(0), ...radii, class: "goal" }, this.clipped);
  }

  #drawField(parent) {
    const far = Math.max(...this.plant.field.map(([a, b, da, db]) => Math.hypot(this.x(da) - this.x(0), this.y(db) - this.y(0))));
    let strokes = "";
    for (const [a, b, da, db] of this.plant.field) {
      const [dx, dy] = [this.x(da) - this.x(0), this.y(db) - this.y(0)];
      const size = Math.hypot(dx, dy);
      if (size < 1e-9) continue;
      const length = ARROW * Math.sqrt(size / far); // the square root keeps slow regions visible
      const [ux, uy] = [(dx / size) * length, (dy / size) * length];
      const [tx, ty] = [this.x(a) + ux / 2, this.y(b) + uy / 2];
      const barb = (s) => `M${tx} ${ty}L${tx - 0.35 * ux - s * 0.25 * uy} ${ty - 0.35 * uy + s * 0.25 * ux}`;
      strokes += `M${this.x(a) - ux / 2} ${this.y(b) - uy / 2}L${tx} ${ty}${barb(1)}${barb(-1)}`;
    }
    element("path", { d: strokes, class: "field", fill: "none" }, parent);
  }

  #rectangle([[a, b], [c, d]]) {
    const { x, y } = this;
    return { x: x(a), y: y(d), width: x(b) - x(a), height: y(c) - y(d) };
  }

  #makeHandle() {
    const { plant, svg, callbacks } = this;
    this.handle = element("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": "initial state, moved by the arrow keys" }, svg);
    for (const [kind, r] of [["reach", 24], ["ring", 12], ["knob", 7]]) element("circle", { r, class: kind }, this.handle);
    this.handle.setAttribute("aria-valuemin", plant.x_bounds[0][0]);
    this.handle.setAttribute("aria-valuemax", plant.x_bounds[0][1]);
    // Keeps a finger on the handle from scrolling the page (touch-action has no effect inside an SVG in Chromium).
    this.handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    this.handle.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.handle.setPointerCapture(event.pointerId);
      this.dragging = true;
      callbacks.taken();
    });
    this.handle.addEventListener("pointermove", (event) => this.dragging && callbacks.moved(this.#stateAt(event)));
    const release = () => {
      if (!this.dragging) return;
      this.dragging = false;
      callbacks.released();
    };
    this.handle.addEventListener("pointerup", release);
    this.handle.addEventListener("pointercancel", release);
    svg.addEventListener("click", (event) => {
      if (this.handle.contains(event.target)) return;
      callbacks.taken();
      callbacks.moved(this.#stateAt(event));
      callbacks.released();
    });
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    this.handle.addEventListener("keydown", (event) => {
      const direction = directions[event.key];
      if (!direction) return;
      event.preventDefault();
      callbacks.taken();
      const step = plant.x_bounds.map(([low, high]) => (event.shiftKey ? 0.01 : Math.max(0.01, (high - low) / 40)));
      callbacks.moved(this.state.map((value, i) => value + direction[i] * step[i]));
      callbacks.released(300); // waits, because more keys may follow
    });
  }

  #stateAt(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [this.x.invert(point.x), this.y.invert(point.y)];
  }

  place(state) {
    this.state = state;
    this.handle.setAttribute("transform", `translate(${this.x(state[0])} ${this.y(state[1])})`);
    this.handle.setAttribute("aria-valuenow", state[0]);
    const values = state.map((value, i) => `${this.plant.state_names[i]} ${value.toFixed(2)}`);
    this.handle.setAttribute("aria-valuetext", values.join(", "));
  }

  draw(policy, trajectory) {
    const far = 1e5; // pixels: a diverged trajectory is clipped here
    const clip = (value) => Math.max(-far, Math.min(far, value));
    const points = trajectory ? trajectory.x.map(([a, b]) => [clip(this.x(a)), clip(this.y(b))]) : [];
    this.lines[policy].setAttribute("d", path(points));
    if (policy !== "model") return;
    this.tip.setAttribute("visibility", points.length > 1 ? "visible" : "hidden");
    if (points.length) [this.tip.cx.baseVal.value, this.tip.cy.baseVal.value] = points.at(-1);
  }
}
