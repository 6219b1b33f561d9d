"""The end of the main job: sentences that a person can repeat, and a table for a terminal of 100 columns."""

import copy
import json

import pytest

from llm_agent.evaluation.labels import Label
from llm_agent.models.shipped import PROVENANCE, SHIPPED, shipped
from llm_agent.reporting.headline import headline, short_table

TRAINED = [name for name in shipped() if "grpo" in json.loads((SHIPPED / name / PROVENANCE).read_text())["phases"]]


@pytest.fixture(params=TRAINED)
def reports(request):
    """The evaluation of a model that ships, after SFT and GRPO."""
    return json.loads((SHIPPED / request.param / PROVENANCE).read_text())["evaluation"]


def test_a_label_is_read_as_it_is_written():
    for name in ("SFT greedy", "GRPO sampled", "GRPO best of 16"):
        assert str(Label.parse(name)) == name
    assert Label.parse("GRPO greedy").is_greedy
    for name in ("LQR", "optimum J*", "my-run GRPO greedy"):
        assert Label.parse(name) is None


def test_the_table_fits_a_terminal_and_says_what_grpo_gained(reports):
    for report in reports.values():
        lines = short_table(report).splitlines()
        assert max(map(len, lines)) <= 100
        assert len(lines[2:]) == len(report["policies"]) <= 7
        assert lines[0].count("|") == 6
        gain = next(d for d in report["paired"] if d["policies"][0] == "GRPO greedy" and d["measure"] == "reward_1.3")
        (row,) = [line for line in lines if line.startswith("| GRPO greedy")]
        assert f"{gain['mean']:+.1f} [{gain['interval'][0]:+.1f}, {gain['interval'][1]:+.1f}]" in row


def test_the_headline_names_the_gain_and_the_distance_from_lqr(reports):
    for report in reports.values():
        measures = {name: policy["measures"] for name, policy in report["policies"].items()}
        gained, distance, *_ = headline(report)
        assert gained.startswith("GRPO raised the reward of greedy plans by ")
        assert f"{measures['SFT greedy']['reward_1.3']['mean']:.1f} to " in gained
        assert f"where LQR earns {measures['LQR']['reward_1.3']['mean']:.1f}" in distance


def test_completions_without_a_plan_are_counted_by_verdict(reports):
    report = copy.deepcopy(next(iter(reports.values())))
    policy = report["policies"]["GRPO sampled"]
    policy["verdicts"] = {"ok": 400, "wrong_count": 60, "missing_tags": 40}
    policy["measures"]["answered"]["mean"] = 0.8
    assert "GRPO sampled: 80.0 % of the completions parsed (wrong_count 60, missing_tags 40)." in headline(report)


def test_sft_alone_has_no_gain(reports):
    report = copy.deepcopy(next(iter(reports.values())))
    report["policies"] = {name: p for name, p in report["policies"].items() if not name.startswith("GRPO")}
    report["paired"] = []
    assert headline(report)[0].startswith("SFT greedy earns ")
    assert "GRPO" not in short_table(report).splitlines()[2]
