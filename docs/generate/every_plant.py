"""A shipped model beside LQR on every plant it was evaluated on, as a table, from the record that ships with it.

python docs/generate/every_plant.py tiny-universal | python docs/insert.py README.md every_plant
"""

import json
import sys

from control_envs.utils.tables import table
from llm_agent.models.shipped import PROVENANCE, SHIPPED

HEAD = ["plant", "success %", "LQR's", "J/J* median", "LQR's", "reward 1.3", "LQR's", "the optimum's"]


def measured(policies, name, measure):
    """One measure of one policy."""
    return policies[name]["measures"][measure]


def reward(policies, name):
    """A policy's mean reward and its interval."""
    found = measured(policies, name, "reward_1.3")
    low, high = found["interval"]
    return f"{found['mean']:.1f} [{low:.1f}, {high:.1f}]"


def row(plant, report, model="SFT greedy"):
    """One plant's cells."""
    policies = report["policies"]
    pairs = [
        [f"{100 * measured(policies, name, 'success')['mean']:.1f}" for name in (model, "LQR")],
        [f"{measured(policies, name, 'cost_ratio')['median']:.3f}" for name in (model, "LQR")],
        [reward(policies, name) for name in (model, "LQR", "optimum J*")],
    ]
    return [plant, *(cell for pair in pairs for cell in pair)]


def main(name):
    """Prints what the model cost, and the table."""
    record = json.loads((SHIPPED / name / PROVENANCE).read_text())
    minutes = sum(phase["seconds"] for phase in record["phases"].values()) / 60
    states = next(iter(record["evaluation"].values()))["states"]["count"]
    machine = f"{record['machine']['threads']} of {record['machine']['cores']} cores"
    print(f"Trained in {minutes:.0f} minutes on {machine}. One greedy plan from each of {states} held-out states.\n")
    print(table(HEAD, [row(plant, report) for plant, report in record["evaluation"].items()]))


if __name__ == "__main__":
    main(sys.argv[1])
