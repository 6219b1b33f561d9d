"""A run's page and the comparison of runs, looked at in a real browser; the trajectories they are made of."""

import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from browsing import browser  # noqa: F401

from baselines.controllers.classical import lqr_policy
from baselines.evaluation.comparison import Comparison, compare
from control_envs import System, get_system
from llm_agent import report, train_grpo
from llm_agent.evaluation.trajectories import FILE, read_trajectories
from llm_agent.reporting import figures as report_figures
from llm_agent.reporting.data import hand_picked, worst
from llm_agent.reporting.finish import try_to_report
from llm_agent.reporting.markdown import to_html
from llm_agent.storage.run_folder import RunFolder

GRPO = ["--max_steps", "3", "--num_generations", "4", "--per_device_train_batch_size", "8", "--logging_steps", "1"]
CONTRAST = 4.5  # WCAG AA of text
LOWEST_CONTRAST = """() => {
  const parse = c => { const [r, g, b, a = 1] = c.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255]; };
  let found = [21, ""];
  for (const e of document.querySelectorAll("h1,h2,h3,p,th,td,li,dt,dd,small,a,code,pre,summary,strong,svg text")) {
    const s = getComputedStyle(e), a = light(parse(e.tagName == "text" ? s.fill : s.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (e.textContent.trim() && ratio < found[0]) found = [ratio, e.outerHTML.slice(0, 200)];
  }
  return found;
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of the model that ships, and a second one under another name."""
    root = tmp_path_factory.mktemp("runs")
    arguments = ["--sft-from", "tiny-double-integrator", *GRPO, "--eval-states", "12", "--output-dir"]
    assert train_grpo.main([*arguments, str(root / "first")]) == 0
    shutil.copytree(root / "first", root / "second")
    return RunFolder.open(root / "first"), RunFolder.open(root / "second")


@pytest.fixture(scope="module")
def pages(runs):
    first, second = runs
    assert report.main([str(first.path), str(second.path)]) == 0
    return {"one run": first.path / "report.html", "comparison": first.path.parent / "comparison.html"}


@pytest.mark.parametrize("page", ["one run", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_in_a_browser(browser, pages, page, scheme, width):  # noqa: F811
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        tab, said, asked = context.new_page(), [], []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(pages[page].as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert said == []
        assert asked == [pages[page].as_uri()]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        ratio, where = tab.evaluate(LOWEST_CONTRAST)
        assert ratio >= CONTRAST, where
        assert tab.locator("svg[role=img]").count() > 20
        cut = (
            "[...document.querySelectorAll('svg[role=img]')].filter(s => s.getBoundingClientRect().width < 200).length"
        )
        assert tab.evaluate(cut) == 0
        if width >= 1280 and page == "one run":  # the main table needs no scrolling on a laptop
            main_table = tab.locator("h3:text('All policies') + .scroll")
            assert main_table.evaluate("box => box.scrollWidth <= box.clientWidth")
    finally:
        context.close()


def test_a_page_shows_the_run(runs, pages):
    run, _ = runs
    text = pages["one run"].read_text()
    evaluation = run.evaluation()["double_integrator"]
    success = evaluation["policies"]["GRPO greedy"]["measures"]["success"]["mean"]
    assert f"success from {100 * success:.1f}" in text
    for policy in (*evaluation["policies"], "MPC", "PPO"):
        assert f'<th scope="row">{policy}</th>' in text
    for part in (
        "Reward terms",
        "What drives the advantage",
        "Cost over initial states",
        "Worst initial states of GRPO greedy",
    ):
        assert part in text
    for term in ("terminal", "progress", "efficiency"):
        assert f'aria-label="{term}"' in text
    assert "&lt;REASONING&gt;" in text
    assert "verdict" in text
    assert run.record["command"] in text
    assert str(run.record["commit"]).removesuffix("-dirty") in text
    assert "<script" not in text
    for colour in ("#009E73", "#E69F00", "#0072B2"):
        assert f"{colour};" in text


def test_a_comparison_shows_both_runs(pages):
    text = pages["comparison"].read_text()
    for name in ("first GRPO greedy", "second GRPO greedy"):
        assert f'<th scope="row">{name}</th>' in text
    assert "second GRPO greedy - first GRPO greedy" in text


def test_trajectories_are_stored_exactly(runs):
    run, _ = runs
    system = get_system("double_integrator")
    saved = run.evaluation()["double_integrator"]
    x0, results = read_trajectories(run.path / FILE, saved)
    assert x0.shape == (12, 2)
    assert [r.name for r in results] == list(saved["policies"])
    by_name = {r.name: r for r in results}
    again = compare(Comparison(system, [lqr_policy(system)], states=12, progress=False))
    assert by_name["LQR"].trajectories == again.results[1].trajectories
    for name, result in by_name.items():
        cost = saved["policies"][name]["measures"]["cost"]["mean"]
        assert np.nanmean(result.values["cost"]) == pytest.approx(cost, rel=1e-12)
    assert all("<CONTROLS>" in text for text in by_name["GRPO greedy"].controller.completions)


def test_a_run_without_trajectories_still_has_a_page(runs, tmp_path, capsys):
    folder = shutil.copytree(runs[0].path, tmp_path / "old")
    (folder / FILE).unlink()
    assert report.main([str(folder)]) == 0
    text = (folder / "report.html").read_text()
    assert "This run has no evaluation.parquet" in text
    assert "GRPO greedy" in text


def test_a_failed_report_does_not_fail_the_run(runs, tmp_path):
    folder = shutil.copytree(runs[0].path, tmp_path / "damaged")
    (folder / "metrics.jsonl").write_text('{"no": "phase"}\n')
    said = try_to_report(RunFolder.open(folder))
    assert said.startswith("the report could not be made (KeyError")
    assert f"python -m llm_agent.report {folder}" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere holds no run"),
        (["{first}", "{first}"], "two of these runs have the same name"),
        (["{first}", "{other}"], "evaluated from different initial states"),
    ],
)
def test_bad_arguments(runs, tmp_path, capsys, arguments, said):
    other = shutil.copytree(runs[0].path, tmp_path / "other")
    text = (other / "evaluation.json").read_text()
    (other / "evaluation.json").write_text(text.replace('"count": 12', '"count": 13', 1))
    given = [a.format(first=runs[0].path, other=other) for a in arguments]
    assert report.main(given) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def comparison(n):
    names, units = tuple("abc"[:n]), ("",) * n
    plant = System(f"plant{n}", f"a plant of {n}", "x' = u", names, tuple(f"u{i}" for i in names),
                   lambda x, u, xp=None: tuple(u[i] - 0.1 * x[i] for i in range(n)),
                   1.0, 1.0, 0.8, units, horizon=10)  # fmt: skip
    return plant, compare(Comparison(plant, [lqr_policy(plant)], states=20, cache=False, progress=False))


@pytest.mark.parametrize("n", [1, 3])
def test_figures_of_any_number_of_states_and_controls(n):
    plant, held = comparison(n)
    picked = hand_picked(plant, held.x0)
    assert len(picked) >= 3
    drawn = [
        *report_figures.portraits(held.results, picked),
        *report_figures.courses(held.results, picked[0]),
        *report_figures.cost_maps(held.results, held.x0),
        report_figures.regrets(held.results),
    ]
    assert len(drawn) == 2 + 2 * n + 2 + 1
    assert all(svg.startswith("<svg ") and svg.endswith("</svg>") for svg in drawn)


def test_the_worst_states_are_those_without_a_plan_then_those_out_of_bounds():
    _, held = comparison(1)
    result = held.results[1]
    values = dict(result.values)
    values["cost_ratio"] = np.linspace(1.0, 2.0, 20)
    values["violated"] = np.where(np.arange(20) == 4, 1.0, 0.0)
    answered = np.arange(20) != 7
    changed = type(result)(**{**vars(result), "values": values, "valid": answered})
    assert worst(changed) == [7, 4, 19, 18, 17]


def test_markdown_is_escaped():
    html = to_html("## a < b\n\n| policy | n |\n|---|---|\n| <b> | 1 |\n\nsee `code`")
    assert "<h3>a &lt; b</h3>" in html
    assert '<th scope="row">&lt;b&gt;</th><td>1</td>' in html
    assert "<p>see <code>code</code></p>" in html
