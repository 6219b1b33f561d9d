"""The benchmark: what a score means, that results are reproducible, joined and checked, and the leaderboard's page."""

import json
from pathlib import Path

import pytest

pytest.importorskip("pydantic", reason="needs the endpoint extra")

from browsing import browser  # noqa: F401
from faulty_server import Server

from control_envs import SYSTEMS, format_completion, get_system, parse_completion
from control_envs.text import format_prompt
from llm_agent import benchmark, leaderboard
from llm_agent.benchmarking.checks import read
from llm_agent.benchmarking.page import gathered, to_html, to_markdown
from llm_agent.benchmarking.prompts import PROMPTS, vary
from llm_agent.benchmarking.schema import Result
from llm_agent.benchmarking.suites import SUITES

ROOT = Path(__file__).parents[2]
SHORT = SUITES["short"].systems[0]


def answer(prompts):
    """A callable entrant: ten zeros."""
    return [format_completion([[0.0]] * 10) for _ in prompts]


def run(*flags):
    return benchmark.main([*flags, "--suite", "short"] if "--merge" not in flags else list(flags))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A result of controllers and of a function, both of the short suite."""
    folder = tmp_path_factory.mktemp("results")
    assert run("lqr", "zero", "--output", str(folder / "a.json")) == 0
    assert run("python:test_benchmark:answer", "--output", str(folder / "b.json"), "--prompts", "bare,example") == 0
    return folder


def test_scores_mean_what_they_say(results):
    lqr, zero = read(results / "a.json").entries
    suite = SUITES["short"]
    assert lqr.score(suite) > 95
    assert zero.score(suite) < 5
    assert {cell.mode for cell in lqr.cells} == {"open-loop", "closed-loop"}
    bare, example = read(results / "b.json").entries
    assert (bare.prompt, example.prompt) == ("bare", "example")
    assert bare.score(suite) == zero.score(suite)  # the same plan by another way
    low, high = lqr.interval()
    assert low <= lqr.score(suite) <= high


def test_a_second_run_goes_on_from_what_is_there(results, capsys):
    before = (results / "b.json").read_text()
    assert run("python:no.such:module", "--output", str(results / "b.json")) == 2  # refused before any work
    assert "python:no.such:module: No module named" in capsys.readouterr().err
    assert run("python:test_benchmark:answer", "--output", str(results / "b.json")) == 0
    assert json.loads((results / "b.json").read_text())["entries"] == json.loads(before)["entries"]


def test_results_are_joined(results, tmp_path, capsys):
    both = str(tmp_path / "both.json")
    assert run("--merge", str(results / "a.json"), str(results / "b.json"), "--output", both) == 0
    assert [entry.policy for entry in read(both).entries][:2] == ["LQR", "no control"]
    assert benchmark.main(["--submit", both]) == 0
    assert "can enter" in capsys.readouterr().err


def test_parts_of_an_entry_are_joined_and_contradictions_refused(results, tmp_path, capsys):
    part, other = str(tmp_path / "open.json"), str(tmp_path / "closed.json")
    assert run("lqr", "--modes", "open-loop", "--output", part) == 0
    assert benchmark.main(["--submit", part]) == 2
    assert f"LQR lacks {SHORT}, closed-loop" in capsys.readouterr().err
    assert run("lqr", "--modes", "closed-loop", "--output", other) == 0
    seconds = [read(file).entries[0].seconds for file in (part, other)]
    assert run("--merge", part, other, "--output", part) == 0
    assert read(part).entries[0].seconds == pytest.approx(sum(seconds))
    assert benchmark.main(["--submit", part]) == 0
    assert run("lqr", "--states", "5", "--output", other + "2") == 0
    assert benchmark.main(["--submit", other + "2"]) == 2
    assert "fewer than 100 initial states" in capsys.readouterr().err
    assert run("--merge", part, other + "2", "--output", part) == 2
    assert "differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(suite_version="0.9"), "is of version 0.9 of the suite 'short', this package has 1.0"),
        (lambda r: r.update(suite="other"), "there is no suite 'other'"),
        (lambda r: r["entries"][0]["cells"][0].update(score=99.9), "by its own values, not 99.90"),
        (lambda r: r["entries"][0]["cells"][0].update(fingerprint="0"), "its initial states were others"),
        (lambda r: r["entries"][0]["cells"][0].update(system="x"), "has no such plant"),
        (lambda r: r["entries"].append(r["entries"][0]), "two entries have the same policy"),
        (lambda r: r.pop("entries") and r.update(entries=3), "is not a result of the benchmark: entries"),
        (lambda r: r.update(extra=1), "is not a result of the benchmark: extra"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(results, tmp_path, capsys, change, message):
    record = json.loads((results / "a.json").read_text())
    change(record)
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(record))
    assert benchmark.main(["--submit", str(file)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name what enters the benchmark"),
        (["lqr", "--suite", "x"], "--suite 'x': choose from all, short"),
        (["lqr", "--suite", "short", "--system", "attitude"], "--system 'attitude': choose from"),
        (["lqr", "--modes", "sideways"], "--modes 'sideways': choose from"),
        (["lqr", "--prompts", "long"], "--prompts 'long': choose from"),
        (["lqr", "mpc", "--name", "x"], "--name x names one policy"),
        (["--merge", "x.json", "--output", "y.json"], "--merge x.json: there is no such file"),
        (["--merge", "x.json"], "--merge needs --output"),
    ],
)
def test_flags_are_checked_first(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert benchmark.main(flags) == 2
    assert message in capsys.readouterr().err


def test_a_served_model_enters(tmp_path, capsys):
    with Server(numbers=10) as server:
        flags = ["--base-url", server.url, "--answers", str(tmp_path / "answers.jsonl"), "--states", "4"]
        assert run("endpoint:stub", *flags, "--prompts", "criterion", "--output", str(tmp_path / "r.json")) == 0
    (entry,) = read(tmp_path / "r.json").entries
    assert (entry.policy, entry.kind, entry.prompt) == ("stub", "endpoint", "criterion")
    assert (
        entry.tokens["prompt"] == 100 * 4 * 6
    )  # closed loop begins with the plan of open loop, which is asked for once
    assert len(server.requests) == 4 * 5
    assert all("Minimize the sum" in request["messages"][0]["content"] for request in server.requests)
    assert "answers asked for" in capsys.readouterr().err


@pytest.mark.parametrize("name", SYSTEMS)
def test_prompts_of_every_plant(name):
    system = get_system(name)
    prompt = format_prompt(system, system.x0_bounds[:, 1] / 2)
    assert vary("bare", system, [prompt]) == [prompt]
    (criterion,) = vary("criterion", system, [prompt])
    assert criterion.startswith(prompt)
    assert "Minimize the sum over all steps of" in criterion
    (example,) = vary("example", system, [prompt])
    assert example.endswith(prompt)
    shown = example.removesuffix(prompt).splitlines()[1]
    assert parse_completion(shown, system.horizon, system.m).verdict == "ok"
    assert set(PROMPTS) == {"bare", "criterion", "example"}


def test_the_page_sorts_and_filters(results, tmp_path, browser):  # noqa: F811
    page_file = tmp_path / "leaderboard.html"
    assert leaderboard.main([str(results), "--output", str(page_file)]) == 0
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_file.as_uri())
    names = lambda: [text.split("\n")[0] for text in page.locator("tbody th").all_inner_texts()]  # noqa: E731
    assert names()[0] == "LQR"
    page.get_by_role("button", name="Score").click()
    assert names()[-1] == "LQR"
    page.get_by_role("button", name="Policy").click()
    assert names() == sorted(names(), key=str.lower)
    page.select_option("#kind", "callable")
    assert names() == ["python:test_benchmark:answer"] * 2
    page.select_option("#kind", "")
    page.select_option("#mode", "open-loop")
    page.select_option("#system", SHORT)
    assert len(names()) == 4
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    page.close()


def test_a_folder_without_results_is_named(tmp_path, capsys):
    assert leaderboard.main([str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err


def test_the_documented_table_and_schema_are_current():
    results = gathered(ROOT / "benchmarks" / "results")
    page = (ROOT / "docs" / "benchmark.md").read_text()
    assert to_markdown(results).strip() in page, "run  make leaderboard"
    assert to_html(results) == (ROOT / "docs" / "leaderboard.html").read_text(), "run  make leaderboard"
    assert json.loads((ROOT / "benchmarks" / "result.schema.json").read_text()) == Result.model_json_schema()


def test_committed_results_can_be_submitted():
    for file in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert benchmark.main(["--submit", str(file)]) == 0
