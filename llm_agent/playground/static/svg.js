// Helpers that draw SVG, shared by the plots.

export const POLICIES = ["model", "lqr", "mpc"]; // CSS classes of the lines; the model's line is drawn last, on top

export function element(name, attributes = {}, parent = null, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

export function scale([low, high], [first, last]) {
  const map = (value) => first + ((value - low) / (high - low)) * (last - first);
  map.invert = (pixel) => low + ((pixel - first) / (last - first)) * (high - low);
  return map;
}

// Round numbers in a range, about `count` of them.
export function ticks([low, high], count = 4) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) values.push(k * step);
  return values;
}

export const short = (value) => String(+value.toPrecision(3)).replace("-", "\u2212");

export function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
}

export function swatch(policy) {
  const svg = element("svg", { viewBox: "0 0 34 10", class: "swatch", "aria-hidden": "true" });
  element("path", { d: "M2 5H32", class: `trajectory ${policy}` }, svg);
  return svg;
}
