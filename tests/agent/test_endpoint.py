"""Served models: nothing is lost or asked twice, whatever the server does; errors are one line."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs the endpoint extra")

from faulty_server import Server

from baselines.controllers.text import TextPolicy
from control_envs import format_prompt, get_system, sample_states
from control_envs.utils.commands import CommandError
from llm_agent import compare, evaluate, play
from llm_agent.endpoints import EndpointPolicy
from llm_agent.policies.text_policies import text_policies

PROMPTS = [f"problem {i}" for i in range(24)]


def policy(server, tmp_path, **settings):
    return EndpointPolicy("stub", server.url, answers=tmp_path / "answers.jsonl", **{"concurrency": 8, **settings})


def records(tmp_path):
    return [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "fault", [429, 500, 503, "cut", "truncated json", "html", "empty choices", "slow"], ids=lambda f: str(f)
)
def test_every_prompt_is_answered_whatever_fails_once(tmp_path, fault):
    faults = [None] * 3 + [fault, None] * 4
    with Server(faults) as server:
        asked = policy(server, tmp_path, timeout=1.0 if fault == "slow" else 60.0)
        seen = []
        answers = asked.act(PROMPTS, progress=seen.append)
    assert all("<CONTROLS>" in answer and answer.failure is None for answer in answers)
    assert sum(seen) == len(PROMPTS)
    assert sorted(r["messages"][0]["content"] for r in records(tmp_path)) == sorted(PROMPTS)
    assert asked.failed == 0


def test_answers_are_kept_and_not_asked_for_again(tmp_path):
    with Server() as server:
        first = policy(server, tmp_path).act(PROMPTS[:10])
        again = policy(server, tmp_path)
        assert again.act([*PROMPTS, PROMPTS[0]])[:10] == first
        assert again.asked == 14
        assert again.reused == 11
        assert len(server.answered) == len(set(server.answered)) == 24
        sampled = policy(server, tmp_path).act(["same"] * 3, greedy=False, seed=0)  # three answers, three seeds
        assert policy(server, tmp_path).act(["same"] * 3, greedy=False, seed=0) == sampled
        assert server.answered.count("same") == 3
        assert len({r["seed"] for r in server.requests if "seed" in r}) == 3
        policy(server, tmp_path).act(["same"] * 3, greedy=False, seed=1)
        assert server.answered.count("same") == 6


def test_a_half_written_line_costs_one_answer(tmp_path):
    with Server() as server:
        policy(server, tmp_path).act(PROMPTS[:4])
        file = tmp_path / "answers.jsonl"
        file.write_bytes(file.read_bytes()[:-30])
        again = policy(server, tmp_path)
        again.act(PROMPTS[:5])
        assert again.asked == 2
        assert policy(server, tmp_path).act(PROMPTS[:5]) == again.act(PROMPTS[:5])
        assert len(server.answered) == 6


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "answers.jsonl").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="is not a file of answers"):
        EndpointPolicy("stub", "http://127.0.0.1:1/v1", answers=tmp_path / "answers.jsonl")


def test_truncated_refused_and_failed_answers_are_counted_apart(tmp_path):
    system = get_system("double_integrator")
    faults = [None, "length", "refusal", "empty content", *[500] * 2]
    with Server(faults) as server:
        asked = policy(server, tmp_path, concurrency=1, max_retries=1)
        act = TextPolicy("stub", system, asked.act).start(sample_states(system, 6))
        act.control(sample_states(system, 6), 0)
    assert act.verdicts.tolist() == ["ok", "truncated", "refused", "missing_tags", "failed", "ok"]
    assert asked.failed == 1
    assert len(records(tmp_path)) == 5  # the failed one is asked for again


def test_thoughts_are_kept_apart(tmp_path):
    with Server(thoughts="<CONTROLS>no</CONTROLS>") as server:
        (answer,) = policy(server, tmp_path).act("one")
    assert "no" not in answer
    assert records(tmp_path)[0]["thoughts"] == "<CONTROLS>no</CONTROLS>"


@pytest.mark.parametrize("setting", ["max_tokens", "temperature", "seed"])
def test_settings_that_a_server_does_not_take_are_left_out(tmp_path, setting):
    with Server([setting] * 30) as server:
        answers = policy(server, tmp_path, max_new_tokens=77).act(PROMPTS, greedy=False, seed=0)
        assert all(answers)
        last = server.requests[-1]
        assert setting not in last
        assert last.get("max_completion_tokens", last.get("max_tokens")) == 77
        assert len(server.requests) == len(PROMPTS) + 1


def test_extra_body_and_structured_output_are_sent(tmp_path):
    with Server() as server:
        policy(server, tmp_path, extra_body={"min_p": 0.1}).act("one", pattern="a+")
        assert server.requests[0]["min_p"] == 0.1
        assert server.requests[0]["structured_outputs"] == {"regex": "a+"}


def test_the_rate_limit_holds(tmp_path):
    with Server() as server:
        began = time.monotonic()
        policy(server, tmp_path, requests_per_minute=1200).act(PROMPTS[:11])
        assert time.monotonic() - began >= 10 * 0.05


def test_keys_come_from_the_environment_and_are_never_written(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret-key")
    with Server() as server:
        asked = policy(server, tmp_path, api_key_env="MY_KEY")
        asked.act("one")
        assert server.keys == {"Bearer secret-key"}
    assert "secret" not in (tmp_path / "answers.jsonl").read_text() + asked.summary()


def test_the_summary_counts_tokens_and_cost(tmp_path):
    with Server([None, "another model"]) as server:
        asked = policy(server, tmp_path, prices=(1.0, 10.0))
        asked.act(PROMPTS[:10])
        asked.act(PROMPTS[:12])
    said = asked.summary()
    assert "12 answers asked for, 10 kept before, 1,200 prompt tokens, 120 completion tokens, cost 0.0024" in said
    assert "answered by another" in said


def test_one_event_loop_serves_many_calls_and_callers_with_a_loop(tmp_path):
    import asyncio

    with Server() as server:
        asked = policy(server, tmp_path)

        async def notebook():
            return [asked.act([prompt])[0] for prompt in PROMPTS[:3]]

        assert asyncio.run(notebook()) == asked.act(PROMPTS[:3])


def test_pieces_arrive_as_they_are_written(tmp_path):
    with Server() as server:
        asked = policy(server, tmp_path)
        pieces = list(asked.stream("one"))
        assert len(pieces) > 3
        assert "".join(pieces) == asked.act("one")[0]


# -- errors in one line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("other", {}, "the server has no model 'other' .*: it serves stub"),
        ("stub", {"faults": [401]}, "the server wants another key .*told to fail.*there is no key in .OPENAI_API_KEY"),
        ("stub", {"context": 512}, "do not fit the model's context .*512 tokens.*: give --max-new-tokens"),
        ("stub", {"faults": [400]}, "the server refuses the request .HTTP 400: told to fail"),
        ("stub", {"faults": [500] * 2}, "the server does not answer .HTTP 500: told to fail"),
    ],
)
def test_what_is_wrong_with_all_costs_one_request(tmp_path, monkeypatch, model, settings, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Server(**settings) as server:
        asked = EndpointPolicy(model, server.url, max_retries=1, answers=tmp_path / "answers.jsonl")
        with pytest.raises(ValueError, match=message):
            asked.act(PROMPTS)
        assert len(server.requests) <= 2


def test_a_url_without_v1_is_named(tmp_path):
    with Server() as server:
        asked = EndpointPolicy("stub", server.url[:-3] + "/other", answers=tmp_path / "a")
        with pytest.raises(ValueError, match=r"no chat completion at .*/other.*often ends in /v1"):
            asked.act("one")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["endpoint:"], "name the model that the server serves"),
        (["endpoint:m", "--base-url", "localhost:8000"], "--base-url localhost:8000 is not a URL"),
        (["endpoint:m", "--base-url", "http://127.0.0.1:9/v1", "--states", "1"], "no server answers at http"),
        (["endpoint:m", "--extra-body", "min_p"], "--extra-body 'min_p' is not a JSON object"),
        (["endpoint:m", "--prices", "1"], "--prices '1' must be two prices"),
        (["tiny-base", "--concurrency", "4"], "--concurrency is for served models"),
    ],
)
@pytest.mark.parametrize("command", [evaluate, compare])
def test_commands_say_what_is_wrong(capsys, tmp_path, monkeypatch, command, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTROL_GRPO_CACHE", str(tmp_path))
    assert command.main(flags) == 2
    said = capsys.readouterr().err.splitlines()
    assert any(message in line for line in said if line.startswith("error:"))


def test_later_errors_say_what_is_kept(tmp_path):
    with (
        Server([None] * 5 + [401] * 100) as server,
        pytest.raises(CommandError, match=r"answers are kept in .* goes on"),
    ):
        policy(server, tmp_path, concurrency=1).act(PROMPTS)
    assert len(records(tmp_path)) == 5


# -- whole commands ----------------------------------------------------------------------------------------


def test_compare_flies_a_served_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Server() as server:
        flags = ["--base-url", server.url, "--answers", "answers.jsonl", "--states", "5", "--policies", "lqr"]
        assert compare.main(["endpoint:stub", *flags, "--no-pictures"]) == 0
        said = capsys.readouterr()
        assert "endpoint:stub greedy" in said.out
        assert "5 answers asked for" in said.err


def test_play_watches_a_served_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Server() as server:
        flags = ["endpoint:stub", "--base-url", server.url, "--terminal", "--x0", "-0.5,0.3"]
        assert play.main(flags) == 0
        assert "<CONTROLS>0.10, 0.10" in capsys.readouterr().out
        assert play.main([*flags[:2], server.url[:-3], *flags[3:]]) == 1
        assert "often ends in /v1" in capsys.readouterr().err


def test_a_killed_evaluation_goes_on_and_asks_no_prompt_twice(tmp_path):
    command = [sys.executable, "-m", "llm_agent.evaluate", "endpoint:stub", "--states", "40", "--concurrency", "4"]
    with Server(delay=0.05) as server:
        flags = ["--base-url", server.url, "--answers", str(tmp_path / "answers.jsonl")]
        first = subprocess.Popen([*command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(server.answered) < 30:
            assert first.poll() is None
            time.sleep(0.01)
        first.kill()
        first.wait()
        kept = len(records(tmp_path))
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True)
        asked = [(r["messages"][0]["content"], r.get("seed")) for r in server.requests]
    assert "endpoint:stub sampled" in done.stdout
    assert f"{80 - kept} answers asked for, {kept} kept before" in done.stderr
    assert len(asked) - len(set(asked)) <= 4  # what was on its way when the process died
    assert len(records(tmp_path)) == 80


def test_a_real_server_serves_a_shipped_model(tmp_path):
    """`transformers serve`: its greedy answers are those of the same model here."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
    from llm_agent.models.shipped import SHIPPED
    from llm_agent.policy import LLMPolicy

    folder = tmp_path / "tiny-double-integrator"
    shutil.copytree(SHIPPED / "tiny-double-integrator", folder)  # which has no chat template
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    system = get_system("double_integrator")
    prompts = [format_prompt(system, x) for x in sample_states(system, 3)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "transformers", "serve", folder, "--port", str(port), "--dtype", "float32"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}/v1"
        asked = EndpointPolicy(str(folder), url, answers=tmp_path / "answers.jsonl", max_new_tokens=200)
        for _ in range(240):
            if "Uvicorn running" in (tmp_path / "log").read_text():
                break
            assert server.poll() is None, (tmp_path / "log").read_text()[-500:]
            time.sleep(0.5)
        answers = asked.act(prompts)
    finally:
        server.terminate()
        server.wait()
    assert answers == LLMPolicy.from_pretrained("tiny-double-integrator").act(prompts)
    assert asked.tokens["completion"] > 0


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_no_model_library_is_needed(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code = (
        f"import sys; from llm_agent import {command}\n"
        f"sys.exit({command}.main(sys.argv[1:]) or bool({{'torch', 'transformers', 'trl', 'peft'}} & set(sys.modules)))"
    )
    with Server() as server:
        flags = ["endpoint:stub", "--base-url", server.url, "--states", "3", "--answers", str(tmp_path / "a.jsonl")]
        subprocess.run([sys.executable, "-c", code, *flags], check=True, capture_output=True, text=True)


def test_the_room_of_an_answer_grows_with_the_plan():
    system = get_system("attitude")
    asked = EndpointPolicy("m", "http://127.0.0.1:9/v1")
    assert asked.room_for(system) >= 10 * system.horizon * system.m
    assert EndpointPolicy("m", "http://127.0.0.1:9/v1", max_new_tokens=5).room_for(system) == 5
    (greedy,) = text_policies(system, {"m": asked}, ["greedy"])
    assert greedy._act.keywords["max_new_tokens"] == asked.room_for(system)
