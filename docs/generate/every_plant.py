"""A shipped model beside LQR on every plant it was evaluated on, as a table, from the record that ships with it.

python docs/generate/every_plant.py tiny-universal | python docs/insert.py README.md every_plant
"""

import json
import sys

from baselines.evaluation.tables import SUCCESS, Column
from control_envs.utils.tables import table
from llm_agent.models.shipped import PROVENANCE, SHIPPED
from llm_agent.reporting.headline import REWARD

HEAD = ["plant", "success %", "LQR's", "J/J* median", "LQR's", "reward 1.3", "LQR's", "the optimum's"]
MEDIAN = Column("J/J* median", "cost_ratio", "median")


def row(plant, report, model="SFT greedy"):
    """One plant's cells."""
    ours, lqr, optimum = (report["policies"][name] for name in (model, "LQR", "optimum J*"))
    success = [SUCCESS.cell(policy).partition(" ")[0] for policy in (ours, lqr)]
    rewards = [REWARD.cell(policy) for policy in (ours, lqr, optimum)]
    return [plant, *success, MEDIAN.cell(ours), MEDIAN.cell(lqr), *rewards]


def main(name):
    """Prints what the model cost, and the table."""
    record = json.loads((SHIPPED / name / PROVENANCE).read_text())
    minutes = sum(record["phases"][phase]["seconds"] for phase in ("data", "sft")) / 60
    states = next(iter(record["evaluation"].values()))["states"]["count"]
    used = record["machine"]["threads"] * record["machine"].get("processes", 1)
    machine = f"{used} of {record['machine']['cores']} cores"
    print(f"Trained in {minutes:.0f} minutes on {machine}. One greedy plan from each of {states} held-out states.\n")
    print(table(HEAD, [row(plant, report) for plant, report in record["evaluation"].items()]))


if __name__ == "__main__":
    main(sys.argv[1])
