import pytest

pytest.importorskip("torch")
image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

from llm_agent import animate


@pytest.mark.parametrize("arguments", [["--x0", "-0.4,0.6"], ["tiny-van-der-pol", "--policies", "lqr"]])
def test_an_episode_side_by_side(arguments, tmp_path, capsys):
    path = tmp_path / "new" / "trajectory.gif"
    assert animate.main([*arguments, "--into", str(path)]) == 0
    assert capsys.readouterr().out == f"animation: {path}\n"
    with image.open(path) as gif:
        assert gif.n_frames == 51
        columns = 3 if "--x0" in arguments else 2
        assert gif.width == pytest.approx(297 * columns, abs=2)
        seen = {gif.seek(i) or gif.convert("RGB").tobytes() for i in range(0, 51, 5)}
        assert len(seen) > 5
        gif.seek(10)
        assert gif.info["duration"] == 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--x0", "3,0"], "--x0 must be 2 finite numbers inside"),
        (["--x0", "here"], "--x0 must be numbers separated by commas"),
        (["--system", "penduluum"], "there is no plant 'penduluum'"),
        (["--policies", "pid"], "there is no policy 'pid'"),
        (["--into", "trajectory.mp4"], "a .gif file"),
    ],
)
def test_bad_arguments(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert animate.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "Traceback" not in error
