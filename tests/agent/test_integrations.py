"""What all integrations share, and the reward function for veRL, without any of those libraries."""

import json

import numpy as np
import pytest

from control_envs import SYSTEMS, format_completion, get_system, sample_states, score_completions
from llm_agent import export
from llm_agent.data.prompts import list_prompts
from llm_agent.integrations.core import Problem, Reward, make_problems
from llm_agent.integrations.episode import Episode
from llm_agent.integrations.trl_environment import ControlEnvironment
from llm_agent.integrations.verl import compute_score

START = Problem("double_integrator", (0.4, -0.2))


def zeros(name):
    system = get_system(name)
    return np.zeros((system.horizon, system.m))


def test_answers_to_problems_of_several_plants_are_scored_as_the_environment_does():
    problems = make_problems("all", 2 * len(SYSTEMS), "test", seed=1)
    assert {problem.system for problem in problems} == set(SYSTEMS)
    texts = [format_completion(zeros(problem.system)) if i % 3 else "nothing" for i, problem in enumerate(problems)]
    for problem, text, answer in zip(problems, texts, Reward().answers(problems, texts), strict=True):
        scores = score_completions(get_system(problem.system), [problem.x0], [text])
        assert answer.reward == scores.total[0]
        assert answer.verdict == scores.verdicts[0]
        assert answer.success == (bool(scores.metrics.success[0]) if scores.valid[0] else False)
        assert sum(answer.terms.values()) <= answer.reward + 1e-9  # the total is after the floor
        assert answer == Reward().answer(problem, text)


def test_problems_are_those_of_the_prompts_and_of_one_split():
    problems = make_problems("van_der_pol,attitude", 6, "test", seed=3)
    rows = list_prompts(["van_der_pol", "attitude"], 6, "test", 3)
    assert [problem.prompt for problem in problems] == [row["prompt"] for row in rows]
    assert all("Call play with the next controls" in problem.tool_prompt for problem in problems)
    (changed,) = make_problems("double_integrator(dt=0.5,horizon=10)", 1)
    assert "10 controls" in changed.prompt
    with pytest.raises(ValueError, match="count must be at least 1"):
        make_problems("all", 0)


@pytest.mark.parametrize("version", ["1.3", "2.0"])
def test_the_scaled_reward_is_linear_and_within_0_and_1(version):
    rng, system = np.random.default_rng(0), get_system("van_der_pol")
    plans = [format_completion(rng.normal(0, size, (system.horizon, 1)).clip(-9, 9)) for size in (0, 0.1, 1, 9)]
    texts = [*plans, "nothing", "<REASONING></REASONING><CONTROLS>1.0</CONTROLS>"]
    problems = [Problem("van_der_pol", tuple(x)) for x in sample_states(system, len(texts))]
    plain, scaled = (
        np.array([answer.reward for answer in Reward(version, scaled).answers(problems, texts)])
        for scaled in (False, True)
    )
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert scaled[4] == 0.0
    np.testing.assert_allclose(np.polyval(np.polyfit(plain, scaled, 1), plain), scaled, atol=1e-12)


def test_the_scale_that_the_documentation_states():
    reward = Reward("1.3", scaled=True)
    assert [round(reward.scale(value), 2) for value in (-10, -5, 30, 163)] == [0.0, 0.03, 0.23, 1.0]
    assert reward.scale(83.0) == pytest.approx((83 + 10) / 173)
    for version in ("1.0", "1.1", "1.2"):
        with pytest.raises(
            ValueError, match=rf"^scaled: reward version {version} has no lower bound; choose 1.3 or 2.0$"
        ):
            Reward(version, scaled=True)


def test_an_episode_played_again_is_the_same_episode():
    controls = [0.5] * 20
    episode = Episode.replay(START, controls)
    assert (episode.left, episode.over, episode.success, episode.problem) == (30, False, False, START)
    assert episode.score() == -5.0
    assert episode.play([0.0] * 30) == Episode.replay(START, controls).play([0.0] * 30)
    assert episode.score() == Episode.replay(START, [*controls, *[0.0] * 30]).score()
    assert Episode.replay(START, reward=Reward(scaled=True)).score() == pytest.approx(5 / 173)
    for wrong in ("left", [[1.0], [2.0, 3.0]], None):
        with pytest.raises(ValueError, match="finite numbers"):
            Episode.replay(START).play(wrong)


def test_trl_gets_a_scaled_reward_if_it_wants_one():
    plain, scaled = (ControlEnvironment(scaled=scaled) for scaled in (False, True))
    for environment in (plain, scaled):
        environment.reset(START.x0)
        environment.play([0.0] * 50)
    assert scaled.get_reward() == pytest.approx((plain.get_reward() + 10) / 173)


def test_compute_score_scores_a_row():
    text, truth = format_completion(zeros("double_integrator")), json.dumps({"system": START.system, "x0": START.x0})
    expected = score_completions(get_system(START.system), [START.x0], [text]).total[0]
    assert compute_score("control-grpo/double_integrator", text, truth, {"index": 0}) == expected
    assert compute_score("any", text, json.loads(truth), scaled=True) == pytest.approx((expected + 10) / 173)
    assert compute_score("any", text, truth, reward_version=2.0) == Reward("2.0").answer(START, text).reward
    assert compute_score("any", None, truth) == -10.0
    for wrong in ("", "{}", "[]", '{"system": "double_integrator"}', '{"system": "double_integrator", "x0": ["a"]}', 3):
        with pytest.raises(ValueError, match=r"^ground_truth must state a problem"):
            compute_score("any", text, wrong)
    with pytest.raises(ValueError, match="Did you mean 'double_integrator'"):
        compute_score("any", text, truth.replace("integrator", "integrater"))


def test_rows_for_verl_hold_the_problem(tmp_path, capsys):
    datasets = pytest.importorskip("datasets")
    flags = ["--system", "double_integrator", "--count", "3", "--held-out", "1"]
    assert export.main(["prompts", *flags, "--format", "verl", "--output-dir", str(tmp_path / "verl")]) == 0
    assert export.main(["prompts", *flags, "--output-dir", str(tmp_path / "plain")]) == 0
    verl, plain = (
        datasets.Dataset.from_parquet(str(tmp_path / name / "train.parquet"), cache_dir=str(tmp_path / "cache"))
        for name in ("verl", "plain")
    )
    for i, (row, other) in enumerate(zip(verl, plain, strict=True)):
        assert set(row) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
        assert row["prompt"] == [{"role": "user", "content": other["prompt"]}]
        assert row["reward_model"]["style"] == "rule"
        assert json.loads(row["reward_model"]["ground_truth"]) == {"system": other["system"], "x0": other["x0"]}
        assert row["extra_info"] == {"split": "train", "index": i}
    capsys.readouterr()
    assert export.main(["demonstrations", "--format", "verl", "--output-dir", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == "error: --format verl is a format of prompts: leave it out for demonstrations\n"
