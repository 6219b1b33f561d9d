"""Studies and shipped models: real runs of a step or two, their tables, and what comes with the package."""

import json
import shutil

import numpy as np
import pytest
from refusing import refusal

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from control_envs import format_prompt, get_system, measure, parse_completion, sample_states, simulate
from llm_agent import study, train_sft
from llm_agent.models import shipped, shipping
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.storage.run_folder import RunFolder
from llm_agent.studies.definitions import STUDIES, Options
from llm_agent.studies.tables import steps_to_convergence

SHORT = ["--max_steps", "2", "--per_device_train_batch_size", "8", "--num_generations", "4", "--eval-states", "4"]
SHORT += ["--skip-report"]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model trained for a few steps, as a run."""
    folder = tmp_path_factory.mktemp("start") / "run"
    flags = [
        "--max_steps",
        "4",
        "--per_device_train_batch_size",
        "8",
        "--eval-states",
        "4",
        "--output-dir",
        str(folder),
    ]
    assert train_sft.main(flags) == 0
    return folder


@pytest.mark.slow
def test_a_study_trains_its_variants_and_grows_by_seeds(start, tmp_path, capsys):
    common = ["curriculum", "--system", "double_integrator", "--start", str(start), "--output-dir", str(tmp_path)]
    assert study.main([*common, "--seeds", "1", "--jobs", "2", *SHORT]) == 0
    table = capsys.readouterr().out
    assert table.count("| double_integrator-whole box ") == 3  # greedy, sampled, and how it learnt
    runs = sorted(tmp_path.glob("*/seed0"))
    assert [r.parent.name for r in runs] == ["double_integrator-growing-box", "double_integrator-whole-box"]
    assert not list(tmp_path.glob("*/seed0/*/checkpoint-*"))
    before = (runs[1] / "evaluation.json").stat().st_mtime
    assert study.main([*common, "--seeds", "2", "--jobs", "2", "--only", "whole", *SHORT]) == 0
    assert "| 2     |" in capsys.readouterr().out
    assert (runs[1] / "evaluation.json").stat().st_mtime == before
    assert "whole box" in (tmp_path / "table.md").read_text()


def test_a_study_says_which_runs_failed(tmp_path, capsys):
    args = ["curriculum", "--start", "nowhere", "--seeds", "1", "--only", "whole", "--output-dir", str(tmp_path)]
    assert study.main([*args, "--system", "double_integrator"]) == 1
    assert "nowhere" in capsys.readouterr().err
    for flag, bad in (("--seeds", "0"), ("--steps", "0"), ("--system", "pendulum")):
        assert bad in refusal(study.main, ["curriculum", flag, bad], capsys)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_variants_with_names_of_their_own(name):
    names = [v.name for v in STUDIES[name].variants(Options(["double_integrator", "van_der_pol"], "tiny"))]
    assert len(set(names)) == len(names) >= 2


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_takes_the_steps_it_is_given(name):
    both = ["double_integrator", "van_der_pol"]
    asked = {"7", "14"} if name == "specialists" else {"7"}  # the universal model has both plants' steps
    for variant in STUDIES[name].variants(Options(both, "tiny", steps=7)):
        given = variant.flags[variant.flags.index("--max_steps") + 1]
        assert given in asked if name != "reasoning" else 0 < int(given) <= 8  # equal compute, not equal steps


def test_steps_to_convergence():
    assert steps_to_convergence(list(np.linspace(0, 1, 100))) in range(85, 100)
    assert steps_to_convergence([0.0] * 30 + [1.0] * 70) in range(35, 45)
    assert steps_to_convergence([1.0] * 50 + [0.0] * 50) is None
    assert steps_to_convergence([1.0]) is None


def test_a_run_becomes_a_shipped_model(start, tmp_path):
    folder = shipping.ship(RunFolder.open(start), "tiny-test", tmp_path)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["command"]
    assert provenance["evaluation"]["double_integrator"]
    assert provenance["start"] == shipped.record_of(shipped.BASE)  # which it was trained from
    assert sum(f.stat().st_size for f in folder.iterdir()) < 4e6
    next_part = RunFolder.open(shutil.copytree(start, tmp_path / "next"))  # a run that started from that one
    record = next_part.record
    record["settings"]["model"] = str(start)
    (next_part.path / "run.json").write_text(json.dumps(record))
    assert shipping.record_with_start(next_part)["start"] == shipping.record_with_start(RunFolder.open(start))
    with pytest.raises(ValueError, match="letters"):
        shipping.ship(RunFolder.open(start), "../elsewhere", tmp_path)


@pytest.mark.parametrize("name", shipped.shipped())
def test_shipped_models_answer(name):
    policy = LLMPolicy.from_pretrained(name)
    prompt = format_prompt(get_system("double_integrator"), [0.4, -0.2])
    assert "</CONTROLS>" in policy.act(prompt)[0]
    assert policy.model.dtype == torch.float32


def test_the_universal_model_is_what_its_record_says(system):
    """On every plant its answers hold plans, and about as many succeed as in the record that ships with it."""
    policy = LLMPolicy.from_pretrained(shipped.UNIVERSAL)
    record = json.loads((shipped.SHIPPED / shipped.UNIVERSAL / shipped.PROVENANCE).read_text())["evaluation"]
    x0 = sample_states(system, 16)
    texts = policy.act([format_prompt(system, x) for x in x0], max_new_tokens=policy.room_for(system))
    plans = [parse_completion(text, system.horizon, system.m) for text in texts]
    valid = np.array([plan.verdict == "ok" for plan in plans])
    assert valid.mean() >= 0.6
    controls = system.saturate(np.stack([plan.controls for plan in plans if plan.verdict == "ok"]))
    success = measure(simulate(system, x0[valid], controls)).success.sum() / len(x0)
    recorded = record[system.name]["policies"]["SFT greedy"]["measures"]["success"]["mean"]
    assert success == pytest.approx(recorded, abs=0.3)
