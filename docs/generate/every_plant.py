"""Models beside LQR on every plant they were evaluated on, as a table, from the records of shipped models or of runs.

python docs/generate/every_plant.py tiny-universal | python docs/insert.py README.md every_plant
python docs/generate/every_plant.py tiny-universal | python docs/insert.py docs/tiny_model.md every_plant
"""

import json
import sys

from baselines.evaluation.tables import SUCCESS, Column
from control_envs.utils.tables import table
from llm_agent.models.shipped import PROVENANCE, SHIPPED
from llm_agent.models.shipping import record_with_start
from llm_agent.reporting.headline import REWARD
from llm_agent.storage.run_folder import RunFolder

HEAD = ["plant", "success %", "LQR's", "J/J* median", "LQR's", "reward 1.3", "LQR's", "the optimum's"]
MEDIAN = Column("J/J* median", "cost_ratio", "median")


def row(plant, report, model="SFT greedy"):
    """One plant's cells."""
    ours, lqr, optimum = (report["policies"][name] for name in (model, "LQR", "optimum J*"))
    success = [SUCCESS.cell(policy).partition(" ")[0] for policy in (ours, lqr)]
    rewards = [REWARD.cell(policy) for policy in (ours, lqr, optimum)]
    return [plant, *success, MEDIAN.cell(ours), MEDIAN.cell(lqr), *rewards]


def record_of(name):
    """The record of a shipped model, or of a run folder."""
    if (SHIPPED / name / PROVENANCE).is_file():
        return json.loads((SHIPPED / name / PROVENANCE).read_text())
    run = RunFolder.open(name)
    return {**record_with_start(run), "evaluation": run.evaluation()}


def minutes(record):
    """Minutes of a training, and of those that it started from."""
    own = sum(record["phases"][phase]["seconds"] for phase in ("data", "sft")) / 60
    return own + (minutes(record["start"]) if "start" in record else 0)


def main(names):
    """Prints what the models cost, and the table."""
    records = [record_of(name) for name in names]
    evaluations = [report for record in records for report in record["evaluation"].items()]
    machine = records[0]["machine"]
    used, cores = machine["threads"] * machine.get("processes", 1), machine["cores"]
    states = evaluations[0][1]["states"]["count"]
    took = " and ".join(f"{minutes(record):.0f}" for record in records)
    print(
        f"Trained in {took} minutes on {used} of {cores} cores. "
        f"One greedy plan from each of {states} held-out states.\n"
    )
    print(table(HEAD, [row(plant, report) for plant, report in evaluations]))


if __name__ == "__main__":
    main(sys.argv[1:])
