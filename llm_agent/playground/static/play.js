// The page: reads an initial state, shows the model's text and the trajectories.

import { Courses } from "./courses.js";
import { events } from "./events.js";
import { Plane } from "./plane.js";
import { POLICIES, swatch } from "./svg.js";

const NO_PLAN = {
  missing_tags: "there is no <CONTROLS>...</CONTROLS> in it",
  duplicate_answer: "it holds more than one answer",
  empty: "there is nothing between the tags",
  not_a_number: "something between the tags is not a number",
  non_finite: "a number in it is not finite",
  wrong_count: "it has too few numbers or too many",
  too_long: "it is longer than the parser accepts",
};
const $ = (id) => document.getElementById(id);
const fixed = (value, decimals) => (value === null ? "\u2013" : value.toFixed(decimals).replace("-", "\u2212"));

let plants = [], plant = null, state = [], plane = null, courses = null;
let baselines = []; // the trajectories of LQR and MPC
let request = null; // the AbortController of the running problem
let timer = null; // of a problem that starts soon

// -- inputs -----------------------------------------------------------------------------------------------------

function choosePlant(name) {
  drop();
  plant = plants.find((candidate) => candidate.name === name);
  $("equation").textContent = plant.equation;
  $("model").textContent = `(${plant.model})`;
  const flat = plant.state_names.length === 2;
  $("plane").hidden = $("key").hidden = !flat;
  $("hint").textContent = flat
    ? "Drag the handle, click in the plane, or use the arrow keys (Shift for small steps)."
    : "Type the initial state. The phase plane is drawn for plants with two states only.";
  plane = flat ? new Plane($("plane"), plant, { taken: drop, moved: moveTo, released: (wait = 0) => start(wait) }) : null;
  courses = new Courses($("courses"), plant);
  $("states").replaceChildren(...plant.state_names.map(makeInput));
  legend();
  $("prompt").textContent = $("note").textContent = "";
  fillTable([null, null, null]);
  moveTo(plant.x0_bounds.map(([low, high], i) => low + (i % 2 ? 0.35 : 0.8) * (high - low)));
  start();
}

function makeInput(name, i) {
  const label = document.createElement("label");
  const unit = plant.state_units[i];
  label.append(unit ? `${name} [${unit}]` : name);
  const input = document.createElement("input");
  const [low, high] = plant.x_bounds[i];
  Object.assign(input, { type: "number", min: low, max: high, step: 0.01, required: true, name });
  input.addEventListener("change", () => input.checkValidity() && useInputs());
  label.append(input);
  return label;
}

const inputs = () => [...$("states").querySelectorAll("input")];

function useInputs() {
  if (!$("numbers").reportValidity()) return;
  drop();
  moveTo(inputs().map((input) => input.valueAsNumber));
  start();
}

function moveTo(values) {
  state = values.map((value, i) => {
    const [low, high] = plant.x_bounds[i];
    return Math.round(100 * Math.max(low, Math.min(high, value))) / 100 + 0;
  });
  inputs().forEach((input, i) => (input.value = state[i].toFixed(2)));
  plane?.place(state);
}

function legend() {
  const names = { model: plant.model, lqr: "LQR", mpc: "MPC" };
  $("legend").replaceChildren(...POLICIES.map((policy) => {
    const entry = document.createElement("span");
    entry.append(swatch(policy), names[policy]);
    return entry;
  }));
}

// -- running ----------------------------------------------------------------------------------------------------

function drop() {
  clearTimeout(timer);
  request?.abort();
  document.body.classList.add("stale");
}

function start(wait = 0) {
  clearTimeout(timer);
  timer = setTimeout(run, wait);
}

async function run() {
  const own = (request = new AbortController());
  $("text").replaceChildren();
  $("text").classList.add("busy");
  say("Generating");
  try {
    const query = new URLSearchParams({
      system: plant.name, x0: state.join(","), decoding: $("decoding").value, seed: $("seed").value || 0,
    });
    for await (const event of events(`/run?${query}`, own.signal)) {
      if (own !== request) return;
      handlers[event.event]?.(event);
    }
  } catch (error) {
    if (own.signal.aborted) return;
    say(`No answer: ${error.message}. Is the command still running?`, "bad");
  }
  if (own === request) $("text").classList.remove("busy");
}

// -- showing ----------------------------------------------------------------------------------------------------

const handlers = {
  problem(event) {
    document.body.classList.remove("stale");
    $("prompt").textContent = event.prompt;
    baselines = event.trajectories;
    draw("model", null);
    baselines.forEach((trajectory, i) => draw(POLICIES[i + 1], trajectory.x && trajectory));
    $("note").textContent = [
      event.best_cost === null ? "No plan that keeps the bounds was found from this initial state, so there is no J*." : "",
      plant.made_for ? "" : `No shipped model was trained on this plant; ${plant.model} is used instead.`,
    ].join(" ").trim();
    $("caption").textContent = `From ${plant.state_names.map((name, i) => `${name} ${fixed(state[i], 2)}`).join(", ")}`;
    fillTable([null, ...baselines]);
  },
  text(event) {
    write(event.text);
    if (event.trajectory) draw("model", event.trajectory);
  },
  outcome({ trajectory }) {
    draw("model", trajectory.x && trajectory);
    fillTable([trajectory, ...baselines]);
    judge(trajectory);
  },
  dropped() {
    say("Stopped: another page started a problem. Press Run to start this one again.", "bad");
  },
  error(event) {
    say(event.message, "bad");
  },
};

function draw(policy, trajectory) {
  plane?.draw(policy, trajectory);
  courses.draw(policy, trajectory);
}

function write(piece) {
  const box = $("text");
  const following = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const text = box.textContent + piece;
  box.replaceChildren(...text.split(/(<\/?[A-Z]+>)/).map((part) => {
    if (!/^<\/?[A-Z]+>$/.test(part)) return part;
    const tag = document.createElement("span");
    tag.className = "tag";
    tag.textContent = part;
    return tag;
  }));
  if (following) box.scrollTop = box.scrollHeight;
}

function say(text, kind = "") {
  $("verdict").textContent = text;
  $("verdict").className = `verdict ${kind}`;
}

function judge(trajectory) {
  if (!trajectory.answered) {
    say(`The text holds no plan (${trajectory.verdict}): ${NO_PLAN[trajectory.verdict] ?? "it cannot be parsed"}.`, "bad");
  } else if (trajectory.success) {
    const regret = trajectory.cost_ratio === null ? "" : `, ${fixed(100 * Math.max(0, trajectory.cost_ratio - 1), 1)} % above the least cost`;
    say(`Success: the trajectory reaches the origin within the bounds${regret}.`, "good");
  } else {
    say(`No success: the trajectory ${failure(trajectory)}.`, "bad");
  }
}

function failure(trajectory) {
  const distance = trajectory.final_error >= 0.1 ? `ends ${fixed(trajectory.final_error, 2)} from the origin` : "";
  return [trajectory.violated ? "violates the bounds" : "", distance].filter(Boolean).join(" and ");
}

function fillTable(trajectories) {
  const names = [plant.model, "LQR", "MPC"];
  $("table").tBodies[0].replaceChildren(...trajectories.map((trajectory, i) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.append(swatch(POLICIES[i]), names[i]);
    row.append(name);
    const cells = trajectory
      ? [fixed(trajectory.reward, 2), fixed(trajectory.cost_ratio, 4), success(trajectory)]
      : ["\u2026", "\u2026", "\u2026"];
    for (const text of cells) row.insertCell().textContent = text;
    if (trajectory) row.cells[3].className = trajectory.success ? "good" : "bad";
    return row;
  }));
}

function success(trajectory) {
  if (trajectory.success) return "\u2713 yes";
  return trajectory.answered ? `\u2717 ${failure(trajectory)}` : `\u2717 ${trajectory.verdict}`;
}

// -- loading the page -------------------------------------------------------------------------------------------

async function begin() {
  $("details").open = innerWidth > 640;
  const { plants: described, chosen } = await (await fetch("/plants")).json();
  plants = described;
  $("system").replaceChildren(...plants.map(({ name, title }) => new Option(name.endsWith("_hard") ? `${title}, hard` : title, name)));
  $("system").value = chosen;
  $("system").addEventListener("change", () => choosePlant($("system").value));
  $("decoding").addEventListener("change", () => {
    $("seed-label").hidden = $("decoding").value === "greedy";
    drop();
    start();
  });
  $("seed").addEventListener("change", () => $("seed").checkValidity() && (drop(), start()));
  $("numbers").addEventListener("submit", (event) => {
    event.preventDefault();
    useInputs();
  });
  $("random").addEventListener("click", () => {
    drop();
    moveTo(plant.x0_bounds.map(([low, high]) => low + Math.random() * (high - low)));
    start();
  });
  choosePlant(chosen);
}

begin().catch((error) => say(`The page cannot start: ${error.message}`, "bad"));
