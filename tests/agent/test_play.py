"""`llm_agent.play`: the session, the page in a real browser, and the terminal."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from browsing import browser  # noqa: F401
from starting import start

from control_envs import SYSTEMS, System, get_system

ROOT = Path(__file__).parents[2]
LOOPBACK = "http://127.0.0.1"

pytest.importorskip("transformers")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from llm_agent import play
from llm_agent.models.shipped import UNIVERSAL, shipped
from llm_agent.playground.server import build_app, listen
from llm_agent.playground.session import Problem, Session, plan_so_far, shipped_for

TRIPLE = System(
    name="triple_integrator",
    title="a triple integrator",
    equation="x1' = x2, x2' = x3, x3' = u",
    state_names=("position", "velocity", "x3"),
    control_names=("u",),
    vector_field=lambda x, u, xp=None: (x[1], x[2], u[0]),
    x_bounds=1.0,
    u_bounds=3.0,
    x0_bounds=0.3,
)


@pytest.fixture(scope="module")
def session():
    return Session()


@pytest.fixture
def client(session):
    from starlette.testclient import TestClient

    return TestClient(build_app(session, "double_integrator"), base_url=LOOPBACK)


def served(session, chosen):
    """The page's address, and what ends its server, which runs in a thread of this process."""
    import uvicorn

    sock = listen(0)
    server = uvicorn.Server(
        uvicorn.Config(build_app(session, chosen), log_level="critical", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()

    def end():
        server.should_exit = True
        thread.join(10)

    return f"{LOOPBACK}:{sock.getsockname()[1]}", end


def problem(name="double_integrator", x0=(0.4, -0.2), **kwargs):
    return Problem(get_system(name), x0, **kwargs)


# -- the session ----------------------------------------------------------------------------------------------------


def test_an_answer_comes_piece_by_piece_and_is_the_policys(session):
    first, *pieces, last = session.answer(problem())
    assert first["event"] == "problem"
    assert "position=0.40, velocity=-0.20" in first["prompt"]
    assert [trajectory["name"] for trajectory in first["trajectories"]] == ["LQR", "MPC"]
    text = "".join(piece["text"] for piece in pieces)
    assert [text] == session.policy(get_system("double_integrator")).act(first["prompt"])
    rolled_out = [len(piece["trajectory"]["u"]) for piece in pieces if piece["trajectory"]]
    assert rolled_out == sorted(rolled_out)
    assert len(rolled_out) > 40  # nearly each control as it came
    assert last["event"] == "outcome"
    assert last["trajectory"]["success"]
    assert last["trajectory"]["cost_ratio"] > 1
    assert rolled_out[-1] == 50


def test_sampled_answers_repeat_with_their_seed(session):
    def text(seed):
        return "".join(e["text"] for e in session.answer(problem(greedy=False, seed=seed)) if e["event"] == "text")

    assert text(3) == text(3) != text(4)


def test_a_new_problem_drops_the_one_before(session):
    older = session.answer(problem())
    next(older)
    newer: list = []
    thread = threading.Thread(target=lambda: newer.extend(session.answer(problem(x0=(0.1, 0.1)))))
    thread.start()
    time.sleep(0.5)  # the newer one has come and waits
    *pieces, end = older
    assert end == {"event": "dropped"}
    assert len(pieces) < 20
    thread.join(20)
    assert newer[-1]["event"] == "outcome"


def test_a_missing_model_is_reported(tmp_path):
    (event,) = Session(str(tmp_path)).answer(problem())
    assert event["event"] == "error"
    assert f"cannot load model '{tmp_path}'" in event["message"]


def test_a_plan_as_far_as_it_is_written():
    plant = get_system("double_integrator")
    assert plan_so_far("<REASONING>-1.0, 2", plant).shape == (0, 1)
    assert plan_so_far("<CONTROLS>-1.00, 0.5", plant).tolist() == [[-1.0]]  # 0.5 may go on
    assert plan_so_far("<CONTROLS>-1.00, 0.5</CONTROLS>", plant).tolist() == [[-1.0], [0.5]]
    assert len(plan_so_far("<CONTROLS>" + "1, " * 60, plant)) == 50
    assert len(plan_so_far("<CONTROLS>1, nan, 2,", plant)) == 0


def test_each_plant_is_answered_by_the_model_made_for_it_if_one_ships(system):
    own = f"tiny-{system.name.replace('_', '-')}"
    assert shipped_for(system) == (own if own in shipped() else UNIVERSAL)


@pytest.mark.parametrize("x0", [(0.4,), (2.0, 0.0), (float("nan"), 0.0)])
def test_a_bad_state_is_refused(x0):
    with pytest.raises(ValueError, match="initial state must be 2 finite numbers"):
        problem(x0=x0)


# -- the application ---------------------------------------------------------------------------------------------


def test_the_application_answers_line_by_line(client):
    assert {plant["name"] for plant in client.get("/plants").json()["plants"]} == set(SYSTEMS)
    lines = client.get("/run", params={"system": "van_der_pol", "x0": "1,0.5"}).text.splitlines()
    assert json.loads(lines[0])["event"] == "problem"
    assert json.loads(lines[-1])["trajectory"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"system": "pendulum", "x0": "0,0"}, "there is no plant 'pendulum'"),
        ({"system": "double_integrator", "x0": "a,0"}, "x0 must be numbers"),
        ({"system": "double_integrator", "x0": "7,0"}, "x0 must be 2 finite numbers"),
        ({"system": "double_integrator", "x0": "0,0", "seed": "a"}, "seed must be a whole number"),
        ({"system": "double_integrator", "x0": "0,0", "decoding": "best"}, "decoding must be"),
        ({"system": "double_integrator", "x0": "0,0", "decoding": "sampled", "seed": "-1"}, "seed must be"),
    ],
)
def test_bad_problems_are_named(client, query, said):
    answer = client.get("/run", params=query)
    assert answer.status_code == 400
    assert said in answer.text


def test_other_hosts_and_other_sites_are_refused(client):
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        assert client.get("/plants", headers={"Host": host}).status_code == 400
    for site in ("cross-site", "same-site"):
        assert client.get("/plants", headers={"Sec-Fetch-Site": site}).status_code == 403
    page = client.get("/", headers={"Host": "localhost:8000"})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get("/static/../play.py").status_code == 404


# -- the page ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(session):
    url, end = served(session, "double_integrator")
    yield url
    end()


@pytest.fixture
def visit(browser):  # noqa: F811
    """Opens a page, and sees to it that it says nothing in the console and asks nobody but this machine."""
    pages, complaints = [], []

    def opened(url, **settings):
        page = browser.new_page(**settings)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(LOOPBACK) or complaints.append(request.url))
        pages.append(page)
        page.goto(url)
        return page

    yield opened
    for page in pages:
        page.close()
    assert complaints == []


def judged(page):
    page.locator("#verdict.good, #verdict.bad").wait_for(timeout=20_000)
    return page.inner_text("#verdict")


def line(page, policy):
    return page.get_attribute(f"#plane .trajectory.{policy}", "d")


def drag(page, dx, dy):
    """Takes the handle, moves it, and lets it go."""
    box = page.locator(".handle .knob").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def test_the_handle_is_dragged_and_the_model_runs_from_there(visit, address):
    page = visit(address)
    assert "Success" in judged(page)
    before, position = line(page, "model"), float(page.input_value("#states input >> nth=0"))
    drag(page, -80, -40)
    page.wait_for_selector("#prompt:not(:empty)")
    moved = float(page.input_value("#states input >> nth=0"))
    assert moved < position - 0.2
    page.locator("#prompt", has_text=f"position={moved:.2f}").wait_for()
    assert judged(page)
    assert page.inner_text("#text").endswith("</CONTROLS>")
    assert line(page, "model") != before
    assert all(line(page, policy).count("L") == 50 for policy in ("model", "lqr", "mpc"))
    assert page.locator("#courses svg").count() == 3
    assert page.locator("#courses .trajectory.model").count() == 3
    rows = page.locator("#table tbody tr").all_inner_texts()
    assert [re.search(r"tiny-double-integrator|LQR|MPC", row)[0] for row in rows] == [
        "tiny-double-integrator",
        "LQR",
        "MPC",
    ]
    assert all("yes" in row for row in rows)


def test_keys_move_the_handle(visit, address):
    page = visit(address)
    judged(page)
    position, velocity = (float(page.input_value(f"#states input >> nth={i}")) for i in (0, 1))
    page.focus(".handle")
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowRight"):
        page.keyboard.press(key)
    expected = (position - 0.09, velocity + 0.05)
    page.locator("#prompt", has_text=f"position={expected[0]:.2f}, velocity={expected[1]:.2f}").wait_for()
    assert "position 0.39" in page.get_attribute(".handle", "aria-valuetext")
    judged(page)


def test_sampled_plants_and_numbers_are_chosen(visit, address):
    page = visit(address)
    judged(page)
    page.select_option("#system", "van_der_pol")
    page.locator("#prompt", has_text="Van der Pol").wait_for()
    judged(page)
    page.select_option("#decoding", "sampled")
    page.fill("#seed", "5")
    page.fill("#states input >> nth=0", "-0.7")
    page.keyboard.press("Enter")
    page.locator("#prompt", has_text="position=-0.70").wait_for()
    judged(page)
    sampled = page.inner_text("#text")
    page.select_option("#decoding", "greedy")
    page.locator("#seed-label").wait_for(state="hidden")
    judged(page)
    page.locator("#verdict", has_text="least cost").wait_for()
    assert page.inner_text("#text") != sampled


def test_a_phone_in_the_dark_by_touch(visit, address):
    page = visit(address, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True, is_mobile=True)
    judged(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#verdict").bounding_box()["y"] > 700  # in sight
    box = page.locator("#plane .bound").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.locator("#prompt", has_text="position=-0.5").wait_for(state="attached")
    judged(page)
    knob = page.locator(".handle .knob").bounding_box()
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
    fingers = page.context.new_cdp_session(page)
    for kind, points in [("Start", [(x, y)]), ("Move", [(x + 20, y + 30)]), ("Move", [(x + 40, y + 60)]), ("End", [])]:
        touched = [{"x": at[0], "y": at[1]} for at in points]
        fingers.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touched})
    page.locator("#prompt", has_text=re.compile(r"velocity=-0\.[45]")).wait_for(state="attached")
    assert page.evaluate("scrollY") == 0  # the handle moved, and not the page
    judged(page)


def test_a_plant_of_three_states_and_a_text_without_a_plan(visit, monkeypatch):
    monkeypatch.setitem(SYSTEMS, TRIPLE.name, TRIPLE)
    url, end = served(Session("tiny"), TRIPLE.name)
    try:
        page = visit(url)
        assert re.search(r"The text holds no plan \(\w+\)", judged(page))
        assert page.locator("#plane").is_hidden()
        assert page.locator("#courses .trajectory.lqr").count() == 4
        assert page.locator("#courses .trajectory.model").count() == 0
        page.fill("#states input >> nth=2", "0.1")
        page.keyboard.press("Enter")
        page.locator("#prompt", has_text="x3=0.10").wait_for()
        judged(page)
    finally:
        end()


# -- the command -------------------------------------------------------------------------------------------------


def test_without_starlette_it_plays_in_the_terminal():
    code = """
import runpy, sys
sys.modules["starlette"] = None
sys.argv = ["play", "--no-open", "--seed", "3"]
runpy.run_module("llm_agent.play", run_name="__main__")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, input="0.5, -0.3\nhere\n9 9\n\n", timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("</REASONING><CONTROLS>") == 4  # two prompts, two answers
    assert "position=0.50, velocity=-0.30" in done.stdout
    assert re.search(r"\| tiny-double-integrator \| 1\d\d\.\d\d +\| 1\.0\d\d\d \| yes +\| ok", done.stdout)
    assert "velocity over 5 s   * tiny-double-integrator   l LQR   m MPC" in done.stdout
    missing, *errors = done.stderr.splitlines()
    assert "[play]'" in missing
    assert [line.partition(":")[0] for line in errors] == ["error", "error"]


def test_the_terminal_reports_a_text_without_a_plan(capsys):
    assert play.main(["tiny", "--terminal", "--x0", "-0.5,0.3"]) == 0
    out = capsys.readouterr().out
    assert "position=-0.50, velocity=0.30" in out
    verdict = re.search(r"The text holds no plan \((\w+)\)", out)[1]  # an untrained model writes anything
    assert re.search(rf"\| tiny   \| -10.00     \| -      \| no      \| {verdict} +\|", out)


def test_bad_flags_get_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for args, said in [
            (["--port", port], f"cannot listen on port {port}"),
            (["--system", "pendulum"], "there is no plant"),
            (["--x0=3,0"], "--x0 must be 2 finite numbers"),
        ]:
            assert play.main(["--no-open", *args]) == 2
            (error,) = capsys.readouterr().err.splitlines()
            assert said in error


def test_ctrl_c_ends_the_page_in_one_line_while_an_answer_is_written():
    process = start("llm_agent.play", "tiny", "--no-open", "--port", "0", cwd=ROOT)
    url = process.stdout.readline().split()[0]
    with urllib.request.urlopen(f"{url}/run?system=double_integrator&x0=0.4,-0.2&decoding=sampled") as answer:
        assert json.loads(answer.readline())["event"] == "problem"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    assert rest == "stopped\n"


def test_the_plot_contains_every_state():
    from llm_agent.playground.terminal import plot

    lines = plot([("*", np.linspace(1, 0, 51)), ("l", np.zeros(51))]).splitlines()
    assert lines[0].startswith("    1.00 |*")
    assert "l" in lines[-1]
