"""Flags that several commands share, and warnings that none of them prints."""

import json
import logging
import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from baselines import compare as classical_compare
from baselines import ppo
from control_envs.utils.files import check_output_dir
from llm_agent import animate, compare, evaluate, export, study, train_grpo, train_sft, tune
from llm_agent.models.tiny import build_tiny
from llm_agent.training.arguments import parse
from llm_agent.training.quiet import UNUSED_SAMPLING, UNUSED_SAMPLING_LOGGER, silence_known_warnings


def test_an_output_dir_may_be_new_and_must_not_be_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    assert check_output_dir(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert check_output_dir(str(tmp_path)) == tmp_path
    for name in ("file", "file/inside", "link"):
        with pytest.raises(ValueError, match=rf"--output-dir .*{name}: .* is not a folder, choose another path"):
            check_output_dir(tmp_path / name)


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (train_grpo.main, []),
        (train_sft.main, ["--model", "tiny"]),
        (evaluate.main, ["no/such-model"]),
        (compare.main, ["no/such-model"]),
        (export.main, ["prompts"]),
        (study.main, ["recipe"]),
        (tune.main, ["ppo"]),
        (classical_compare.main, []),
        (ppo.main, []),
    ],
)
def test_an_output_dir_that_is_a_file_gets_one_line(main, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("precious")
    assert main([*arguments, "--output-dir", "results"]) == 2
    assert capsys.readouterr().err == "error: --output-dir results: results is not a folder, choose another path\n"
    assert (tmp_path / "results").read_text() == "precious"


def test_a_model_is_compared_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    for names in (["no/such-model", "no/such-model"], ["model", "link"]):
        assert compare.main([*names, "--skip-mpc", "--states", "2"]) == 2
        assert capsys.readouterr().err == f"error: the model {names[1]} is named twice: name each model once\n"
    for folder in ("a", "b"):
        model, tokenizer = build_tiny()
        model.save_pretrained(tmp_path / folder / "model")
        tokenizer.save_pretrained(tmp_path / folder / "model")
    assert compare.main(["a/model", "b/model", "--skip-mpc", "--states", "2"]) == 2
    assert "two models are called 'model' in tables" in capsys.readouterr().err


def test_models_are_evaluated_on_several_plants(tmp_path, capsys):
    flags = ["tiny-base", "--system", "double_integrator,van_der_pol", "--states", "2", "--output-dir", str(tmp_path)]
    assert evaluate.main(flags) == 0
    out = capsys.readouterr().out
    assert "## double_integrator" in out
    assert "## van_der_pol" in out
    assert list(json.loads((tmp_path / "evaluation.json").read_text())) == ["double_integrator", "van_der_pol"]


def test_plants_are_checked_before_models_are_loaded(capsys):
    assert evaluate.main(["no/such-model", "--system", "double_integrator,pendulum"]) == 2
    assert "there is no plant 'pendulum'" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--gradient_checkpointing", "--gradient-checkpointing"])
def test_presets_name_activation_checkpointing_and_flags_may_use_its_old_name(flag):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model, expected in (("tiny-base", False), ("org/model", True)):
            assert parse("sft", ["--model", model]).sft.activation_checkpointing is expected
            assert parse("grpo", ["--model", model, "--zero-shot"]).grpo.activation_checkpointing is expected
    with pytest.warns(FutureWarning, match="Use `activation_checkpointing` instead"):
        assert not parse("sft", ["--model", "org/model", flag, "false"]).sft.activation_checkpointing


def test_known_warnings_are_silenced_by_name():
    model, _ = build_tiny()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        silence_known_warnings()
        _ = model.is_gradient_checkpointing
        model.gradient_checkpointing_enable()
        model.gradient_checkpointing_disable()
        warnings.warn_explicit("`other` is deprecated", FutureWarning, "x.py", 1, module="transformers.modeling_utils")
    assert [str(warning.message) for warning in shown] == ["`other` is deprecated"]
    silence_known_warnings()
    logger = logging.getLogger(UNUSED_SAMPLING_LOGGER)
    assert len(logger.filters) == 1
    for text, is_shown in ((f"{UNUSED_SAMPLING}: ['min_p'].", False), ("another message", True)):
        record = logging.LogRecord(logger.name, logging.WARNING, "x.py", 1, text, None, None)
        assert bool(logger.filter(record)) is is_shown


def test_a_model_is_evaluated_and_animated_once(capsys):
    for main in (evaluate.main, animate.main):
        assert main(["no/such-model", "no/such-model"]) == 2
        assert capsys.readouterr().err == "error: the model no/such-model is named twice: name each model once\n"


def test_a_parameter_that_no_plant_has_is_refused_before_any_work(tmp_path, capsys):
    flags = ["--system", "double_integrator", "--param", "mu=1.5", "--output-dir", str(tmp_path / "new")]
    assert classical_compare.main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: double_integrator has no setting 'mu'. It has Q, R, dt, horizon, mass, u_bounds, x0_bounds, x_bounds."
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("flag", ["num_generations", "steps_per_generation"])
def test_batches_of_nothing_are_refused(flag, capsys):
    assert train_grpo.main([f"--{flag}", "0"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert flag in line
