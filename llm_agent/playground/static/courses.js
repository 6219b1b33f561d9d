// States and controls over time, one small plot each.

import { POLICIES, element, path, scale, short, ticks } from "./svg.js";

const WIDTH = 340, HEIGHT = 170, LEFT = 44, RIGHT = 8, TOP = 24, BOTTOM = 36;
const BEYOND = 0.3; // of the bounds' width: the axes reach no further past a bound, and values are clipped there

export class Courses {
  constructor(root, plant) {
    this.plant = plant;
    this.trajectories = {};
    const states = plant.state_names.map((name, i) => ({ name, unit: plant.state_units[i], i, kind: "x", bounds: plant.x_bounds[i] }));
    const controls = plant.control_names.map((name, i) => ({ name, unit: "", i, kind: "u", bounds: plant.u_bounds[i] }));
    this.plots = [...states, ...controls].map((quantity) => {
      const title = quantity.name + (quantity.unit ? ` [${quantity.unit}]` : "");
      const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} over time, of the model, LQR and MPC` });
      return { ...quantity, title, svg };
    });
    root.replaceChildren(...this.plots.map((plot) => plot.svg));
    this.#redraw();
  }

  draw(policy, trajectory) {
    this.trajectories[policy] = trajectory;
    this.#redraw();
  }

  #redraw() {
    for (const plot of this.plots) this.#drawOne(plot);
  }

  #range({ kind, i, bounds: [low, high] }) {
    const values = Object.values(this.trajectories).flatMap((trajectory) => (trajectory ? trajectory[kind].map((row) => row[i]) : []));
    const width = high - low;
    const lower = Math.max(Math.min(0, ...values), low - BEYOND * width);
    const upper = Math.min(Math.max(0, ...values), high + BEYOND * width);
    const margin = Math.max(0.06 * (upper - lower), 0.02 * width);
    return [lower - margin, upper + margin];
  }

  #drawOne(plot) {
    const { svg, kind, i, title, bounds } = plot;
    const { dt, horizon } = this.plant;
    const range = this.#range(plot);
    const t = scale([0, horizon * dt], [LEFT, WIDTH - RIGHT]);
    const y = scale(range, [HEIGHT - BOTTOM, TOP]);
    svg.replaceChildren();
    element("text", { x: LEFT, y: 14, class: "name" }, svg, title);
    for (const value of ticks(range, 3)) {
      element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: Math.abs(value) < 1e-12 ? "axis" : "grid" }, svg);
      element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, svg, short(value));
    }
    for (const value of ticks([0, horizon * dt], 5)) {
      element("text", { x: t(value), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, svg, short(value));
    }
    element("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, svg, "time [s]");
    for (const bound of bounds) {
      if (bound < range[0] || bound > range[1]) continue;
      element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(bound), y2: y(bound), class: "bound" }, svg);
    }
    const clipped = (value) => y(Math.max(range[0], Math.min(range[1], value)));
    for (const policy of [...POLICIES].reverse()) {
      const rows = this.trajectories[policy]?.[kind];
      if (!rows) continue;
      // zero-order hold: a control is constant over its interval
      const points = kind === "x"
        ? rows.map((row, k) => [t(k * dt), clipped(row[i])])
        : rows.flatMap((row, k) => [[t(k * dt), clipped(row[i])], [t((k + 1) * dt), clipped(row[i])]]);
      element("path", { d: path(points), class: `trajectory ${policy}` }, svg);
    }
  }
}
