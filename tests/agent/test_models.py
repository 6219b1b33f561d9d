"""Tokenizer, tiny model, demonstrations, rewards for TRL, and the policy: each on the real thing."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import gymnasium as gym
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import (
    SYSTEMS,
    env_id,
    format_completion,
    format_prompt,
    get_system,
    measure,
    parse_completion,
    sample_states,
    score_completions,
)
from control_envs.systems.initial_states import SPLITS, split_of
from llm_agent.data.component_sum import STATE_DECIMALS
from llm_agent.data.demonstrations import (
    ERRORS,
    GAIN_RANGE,
    DemonstrationConfig,
    demonstrate,
    demonstration_rows,
    make_demonstrations,
    make_prompts,
)
from llm_agent.data.reasoning import REASONINGS, format_gains, parse_gains
from llm_agent.models.lengths import answer_tokens, completion_room
from llm_agent.models.loading import is_tiny, load_model
from llm_agent.models.tiny import FOURIER_SHARE, TURNS, build_tiny, registered_turns, save_tiny
from llm_agent.models.tokenizer import answer_begins, number_families, number_tokens
from llm_agent.policies.language_model import LLMPolicy, NumericPolicy
from llm_agent.training.number_targets import CHUNK, NumberTargets, cross_entropy, linear_cross_entropy
from llm_agent.training.optim import MuonAdamW, _Muon
from llm_agent.training.rewards import ControlReward, reward_functions
from llm_agent.training.sft import IGNORED, Teaching, make_trainer, tokenize


@pytest.fixture(scope="module")
def tiny():
    return build_tiny(seed=0)


# -- tokenizer and model -------------------------------------------------------------------------------------


def test_a_control_value_is_one_token(tiny, system):
    _, tokenizer = tiny
    controls = simulate_feedback(system, sample_states(system, 1)[0], lqr(system)[0], 2).u
    ids = tokenizer(format_completion(controls, format_gains(lqr(system)[0]))).input_ids
    gains = system.n * system.m
    assert len(ids) == system.horizon * system.m + 2 * gains + 2
    assert len(tokenizer(format_prompt(system, np.zeros(system.n))).input_ids) < 20


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(tiny, text):
    _, tokenizer = tiny
    text = text.replace("<pad>", "").replace("<eos>", "")
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_number_tokens_denote_their_text(tiny):
    _, tokenizer = tiny

    def number(i):
        """A token's text without its label and what follows the number."""
        return tokenizer.decode([i]).rstrip("+,; ").rpartition(" ")[2]

    for i, value in zip(*number_tokens(tokenizer), strict=True):
        fine = len(number(i).rpartition(".")[2]) == STATE_DECIMALS  # as a share of the coarse part's step
        assert float(number(i)) == (pytest.approx(value / 100) if fine else value)
    for family in number_families(tokenizer).values():
        assert np.all(np.diff([float(number(i)) for i in family]) > 0)


def test_the_tiny_folder_is_an_ordinary_one(tmp_path, tiny):
    save_tiny(tmp_path, seed=0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert 0.8e6 < model.num_parameters() < 1.5e6
    assert is_tiny(tmp_path)
    text = format_prompt(get_system("van_der_pol"), [0.5, -0.25])
    assert tokenizer(text).input_ids == tiny[1](text).input_ids
    for a, b in zip(model.parameters(), tiny[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_near_numbers_start_near_each_other(tiny):
    model, tokenizer = tiny
    embedding = torch.nn.functional.normalize(model.get_input_embeddings().weight[:, :64], dim=1)
    family = number_families(tokenizer)["#"]
    here = embedding[family[len(family) // 2]]
    near, far = embedding[family[len(family) // 2 + 3]], embedding[family[len(family) // 2 + 150]]
    assert here @ near > here @ far + 0.3


def test_a_fresh_model_sees_the_fine_parts_of_products(tiny):
    """Numbers whose products with a plant's coefficient have the same fine part share a feature."""
    turns = registered_turns()
    assert 10.0 in turns.round(6)  # 0.1 of the double integrator: ten turns of a hundredth per unit
    assert 24.6 in turns.round(1)  # 0.2458 of the pendulum
    assert len(turns) <= TURNS
    model, tokenizer = tiny
    embedding = model.get_input_embeddings().weight
    pairs = int(embedding.shape[1] * FOURIER_SHARE) // 2
    feature = pairs - len(turns) + turns.round(6).tolist().index(10.0)
    for form in ("#", "#, ", "#; ", " d #"):
        family = number_families(tokenizer)[form]
        half = len(family) // 2  # the number 0
        first, same, apart = (embedding[family[half + steps]][[feature, pairs + feature]] for steps in (33, 43, 38))
        torch.testing.assert_close(first, same)  # 0.0330 and 0.0430
        torch.testing.assert_close(first, -apart)  # half a hundredth apart


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="cannot load model") as error:
        load_model(tmp_path / "nothing")
    assert "\n" not in str(error.value)


def test_an_answer_must_fit(tiny):
    _, tokenizer = tiny
    needed = answer_tokens(tokenizer, get_system("double_integrator"))
    assert completion_room(tokenizer, ["double_integrator"], None) > needed
    with pytest.raises(ValueError, match=f"takes {needed} tokens"):
        completion_room(tokenizer, ["double_integrator"], needed - 1)


def test_a_model_has_room_for_the_reasoning_that_it_was_taught(tiny):
    _, tokenizer = tiny
    rooms = [
        completion_room(tokenizer, ["double_integrator"], None, taught) for taught in ("brief", "states", "working")
    ]
    assert rooms == sorted(set(rooms))
    assert completion_room(tokenizer, ["double_integrator"], None) == rooms[-1]  # not known: the longest


# -- optimizer and targets -----------------------------------------------------------------------------------


def test_muon_adamw_resumes_exactly():
    def build():
        torch.manual_seed(0)
        model, _ = build_tiny()
        optimizer = MuonAdamW(model, lr=1e-2, weight_decay=0.01)
        return model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))

    def train(model, optimizer, scheduler, batches):
        for batch in batches:
            model(input_ids=batch, labels=batch).loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()

    batches = torch.randint(0, 2000, (4, 2, 8), generator=torch.Generator().manual_seed(1))
    whole = build()
    train(*whole, batches)
    first = build()
    train(*first, batches[:2])
    second = build()
    for new, old in zip(second, first, strict=True):
        new.load_state_dict(pickle.loads(pickle.dumps(old.state_dict())))
    train(*second, batches[2:])
    for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(a, b)
    assert len({id(g) for part in second[1]._parts for g in part.param_groups}) == 2
    assert all(g["lr"] == pytest.approx(1e-2 / 5) for part in second[1]._parts for g in part.param_groups)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_muon_is_torchs_in_any_precision(dtype):
    """The same steps as torch's own, which iterates in bfloat16."""
    start = torch.nn.Sequential(torch.nn.Linear(12, 40, bias=False), torch.nn.Linear(40, 12, bias=False))
    own, reference = copy.deepcopy(start), copy.deepcopy(start)
    options = {"lr": 1e-2, "weight_decay": 0.1}
    theirs = torch.optim.Muon(reference.parameters(), adjust_lr_fn="match_rms_adamw", **options)
    mine = _Muon(list(own.parameters()), dtype, **options)
    for i in range(3):
        x = torch.randn(64, 12, generator=torch.Generator().manual_seed(i))
        for net, optimizer in ((own, mine), (reference, theirs)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    for a, b, before in zip(own.parameters(), reference.parameters(), start.parameters(), strict=True):
        assert (b - before).abs().max() > 1e-3
        if dtype == torch.bfloat16:
            assert torch.equal(a, b)
        else:
            similarity = torch.nn.functional.cosine_similarity((a - before).flatten(), (b - before).flatten(), dim=0)
            assert similarity > 0.99


def test_number_targets_end_on_the_plain_cross_entropy(tiny):
    _, tokenizer = tiny
    targets = NumberTargets(tokenizer, width=0.05, until=0.9)
    family = torch.tensor(number_families(tokenizer)["#"])
    labels = torch.cat([family[[0, 300, 600, -1]], torch.tensor([3])])
    logits = torch.randn(len(labels), len(tokenizer), generator=torch.Generator().manual_seed(0))
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(cross_entropy(logits, *targets.of(labels, 1.0)), plain)
    soft = cross_entropy(logits, *targets.of(labels, 0.0))
    assert not torch.isclose(soft[:4], plain[:4]).any()
    assert torch.isclose(soft[4], plain[4])  # a token that is no number keeps its plain target
    guess = torch.full_like(logits, -20.0)
    guess[1, family[303]] = 0.0  # off by 0.03
    guess[1, family[300]] = -20.0
    soft, plain = (cross_entropy(guess, *targets.of(labels, progress)) for progress in (0.0, 1.0))
    assert soft[1] < plain[1]


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_loss_without_all_logits_is_the_loss_with_them(tiny, progress):
    _, tokenizer = tiny
    targets, generator = NumberTargets(tokenizer, width=0.02), torch.Generator().manual_seed(0)
    labels = torch.randint(len(tokenizer), (CHUNK + 40,), generator=generator)
    hidden = torch.randn(len(labels), 16, generator=generator, requires_grad=True)
    weight = torch.randn(len(tokenizer), 16, generator=generator, requires_grad=True)
    near, shares = targets.of(labels, progress)
    shares = shares * torch.rand(len(labels), 1, generator=generator)  # tokens of several weights
    with_logits = cross_entropy(hidden @ weight.T, near, shares).sum()
    expected = [with_logits, *torch.autograd.grad(3 * with_logits, (hidden, weight))]
    without = linear_cross_entropy(hidden, weight, near, shares)
    actual = [without, *torch.autograd.grad(3 * without, (hidden, weight))]
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-4)  # sums in another order


def test_padding_does_not_change_the_loss(tiny, tmp_path):
    """No mask is given: the loss of texts of two lengths is that of both texts, each alone."""
    _, tokenizer = tiny
    rows, _ = make_demonstrations(["attitude", "double_integrator"], 2, DemonstrationConfig())
    config = SFTConfig(str(tmp_path), max_length=None, report_to="none", use_cpu=True, bf16=False)
    trainer = make_trainer(build_tiny()[0], tokenizer, rows, config, None)
    texts = [{key: trainer.train_dataset[i][key] for key in ("input_ids", "labels")} for i in range(2)]
    assert len({len(text["input_ids"]) for text in texts}) == 2
    losses = [
        trainer.compute_loss(trainer.model, trainer.data_collator(part), num_items_in_batch=1).item()
        for part in (texts, texts[:1], texts[1:])
    ]
    assert losses[0] == pytest.approx(losses[1] + losses[2], rel=1e-5)


def test_tokens_of_the_answer_weigh_more(tiny, tmp_path):
    _, tokenizer = tiny
    rows, _ = make_demonstrations(["double_integrator"], 2, DemonstrationConfig("optimal", "states"))
    config = SFTConfig(str(tmp_path), max_length=None, report_to="none", use_cpu=True, bf16=False)

    def loss(weight: float, answer_only: bool = False) -> float:
        trainer = make_trainer(build_tiny()[0], tokenizer, rows, config, None, Teaching(answer_weight=weight))
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        if answer_only:
            in_answer = (batch["input_ids"] == answer_begins(tokenizer)).cumsum(dim=1).roll(1, dims=1) > 0
            batch["labels"][~in_answer] = IGNORED
        return trainer.compute_loss(trainer.model, batch, num_items_in_batch=1).item()

    assert loss(6.0) == pytest.approx(loss(1.0) + 5 * loss(1.0, answer_only=True), rel=1e-5)


# -- demonstrations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expert", "varied"])
def test_demonstrations_follow_the_gains_they_state(system, kind):
    rows, card = make_demonstrations([system.name], 200, DemonstrationConfig(kind), seed=3)
    K_lqr, _ = lqr(system)
    for row in list(rows)[:50]:
        parsed = parse_completion(row["completion"], system.horizon, system.m)
        K = parse_gains(row["completion"], system.n, system.m)
        assert parsed.verdict == "ok"
        assert row["prompt"] == format_prompt(system, row["x0"])
        if kind == "varied":
            rolled_out = simulate_feedback(system, row["x0"], K, decimals=2)
            assert np.array_equal(rolled_out.u, parsed.controls)
            ratios = (K / np.where(K_lqr, K_lqr, np.nan))[K_lqr != 0]
            assert np.all(ratios > GAIN_RANGE[0] - 0.05)
            assert np.all(ratios < GAIN_RANGE[1] + 0.05)
        elif not measure(simulate_feedback(system, row["x0"], K_lqr, decimals=2)).violations:
            np.testing.assert_allclose(K, K_lqr, atol=0.06)
    assert np.all(split_of(np.array(rows["x0"])) == SPLITS.index("train"))
    plant = card["plants"][system.name]
    assert card["count"] + plant["dropped"] == 200
    if not system.name.endswith("_hard"):  # from some states of a hard plant no plan keeps the bounds
        assert plant["dropped"] == 0
        assert plant["mean_reward_1.3"] > (150 if kind == "expert" else 130)


def test_demonstrations_keep_to_the_bounds_where_lqr_does_not():
    tight = get_system("double_integrator", x_bounds=[(-1, 1), (-0.5, 1)], x0_bounds=[(-1, 1), (-0.5, 0.8)])
    x0 = sample_states(tight, 400, "train")
    broken = measure(simulate_feedback(tight, x0, lqr(tight)[0], 2)).violations > 0
    assert broken.any()
    made = demonstrate(tight, x0, DemonstrationConfig("expert"))
    assert measure(made.trajectories).violations.sum() == 0
    assert made.dropped + len(made.K) == 400
    assert made.dropped < broken.sum()


def test_datasets_repeat_and_mix_plants():
    a, _ = make_demonstrations(list(SYSTEMS), 31, DemonstrationConfig(), seed=1)
    b, _ = make_demonstrations(list(SYSTEMS), 31, DemonstrationConfig(), seed=1)
    c, _ = make_demonstrations(list(SYSTEMS), 31, DemonstrationConfig(), seed=2)
    assert a[:] == b[:] != c[:]
    assert len(a) == 31
    assert set(a["system"]) == set(SYSTEMS)
    prompts = make_prompts(list(SYSTEMS), 31, "validation", 0)
    assert all(split_of(np.array([x0])) == SPLITS.index("validation") for x0 in prompts["x0"])
    with pytest.raises(ValueError, match="no kind of demonstration 'export'"):
        DemonstrationConfig("export")


def test_gains_are_written_and_parsed():
    K = np.array([[3.24, -0.04]])
    assert format_gains(K) == "feedback k1=3.2 k2=-0.0"
    assert parse_gains("<REASONING>feedback k1=3.2 k2=-0.1</REASONING>k3", 2, 1).tolist() == [[3.2, -0.1]]
    assert parse_gains("feedback k1=3.2", 2, 1) is None
    assert parse_gains(format_gains(np.ones((2, 3))), 3, 2).shape == (2, 3)


# -- rewards for TRL -----------------------------------------------------------------------------------------


def test_rewards_come_from_each_rows_own_plant_and_state():
    rows = make_prompts(list(SYSTEMS), 12, "train", 0)
    texts = []
    for row in rows:
        system = get_system(row["system"])
        texts.append(format_completion(simulate_feedback(system, row["x0"], lqr(system)[0], 2).u))
    texts[5] = "no"
    logged = {}
    control, exact, approximate = reward_functions("1.3")
    columns = {"system": rows["system"], "x0": rows["x0"]}
    rewards = control(rows["prompt"], texts, **columns, log_metric=lambda k, v: logged.setdefault(k, []).append(v))
    for reward, text, row in zip(rewards, texts, rows, strict=True):
        assert reward == score_completions(get_system(row["system"]), [row["x0"]], [text]).total[0]
    assert {"reward_terms/progress", "reward_terms/no_answer", "verdicts/ok", "control/success"} <= set(logged)
    assert exact(rows["prompt"], texts)[:6] == [1, 1, 1, 1, 1, 0]
    assert approximate(rows["prompt"], texts)[5] == -1.5
    chat = [[{"role": "assistant", "content": t}] for t in texts]
    assert control(rows["prompt"], chat, **columns) == rewards


def test_rewards_are_named_and_picklable():
    functions = reward_functions("1.1")
    assert [f.__name__ for f in functions] == ["control", "format_exact", "format_approximate"]
    assert pickle.loads(pickle.dumps(functions)) == functions
    with pytest.raises(ValueError, match="Known versions"):
        reward_functions("9.9")


def test_training_progress_shapes_version_1_1():
    class State:
        global_step, max_steps = 50, 100

    row = {"system": ["double_integrator"], "x0": [[0.8, 0.8]]}
    texts = [format_completion(np.full((50, 1), 3.0))]
    early, late = (ControlReward("1.1")([""], texts, **row, trainer_state=s)[0] for s in (None, State()))
    assert late < early


# -- policy --------------------------------------------------------------------------------------------------


def test_policy_answers_batches_of_prompts(tiny):
    policy = LLMPolicy(*tiny, max_new_tokens=5, batch_size=2)
    prompts = [format_prompt(system, [0.1] * system.n) for system in SYSTEMS.values()] * 2
    counted = []
    greedy = policy.act(prompts, progress=counted.append)
    assert greedy == policy.act(prompts)
    assert greedy[: len(SYSTEMS)] == greedy[len(SYSTEMS) :]
    assert len(greedy) == sum(counted) == len(prompts)
    state = torch.random.get_rng_state()
    assert policy.act(prompts, greedy=False, seed=1) == policy.act(prompts, greedy=False, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(policy.act(prompts[0])) == 1


def test_a_policy_comes_from_a_folder(tmp_path, tiny):
    save_tiny(tmp_path, seed=0)
    loaded = LLMPolicy.from_pretrained(tmp_path, max_new_tokens=4)
    prompt = format_prompt(SYSTEMS["double_integrator"], [0.1, 0.2])
    assert loaded.act([prompt]) == LLMPolicy(*tiny, max_new_tokens=4).act([prompt])


def test_a_text_policy_drives_a_numeric_environment(system):
    def act(prompts):
        (prompt,) = prompts
        x = [float(re.search(rf"{name}=(-?[\d.e-]+)", prompt)[1].rstrip(".")) for name in system.state_names]
        return [format_completion(simulate_feedback(system, x, lqr(system)[0], 2).u)]

    env = gym.make(env_id(system.name))
    for every, questions in ((None, 1), (10, system.horizon // 10)):
        policy = NumericPolicy(act, env, replan_every=every)
        observation, _ = env.reset(options={"x0": 0.1 * system.x_scale})
        done = False
        while not done:
            action, _ = policy.predict(observation)
            observation, _, done, _, info = env.step(action)
        assert info["metrics"]["success"] == 1.0
        assert policy.verdicts == ["ok"] * questions


# -- perturbed demonstrations, variations, reasoning, curriculum -----------------------------------------------


@pytest.mark.parametrize("errors", ERRORS)
def test_perturbed_demonstrations_teach_the_controls_of_the_stated_gains(system, errors):
    x0 = sample_states(system, 40, "train")
    made = demonstrate(system, x0, DemonstrationConfig(perturbation=0.1, errors=errors))
    want = system.saturate(-np.einsum("bij,bkj->bki", made.K, made.trajectories.x[:, :-1]))
    np.testing.assert_allclose(made.taught, want, atol=0.005 + 1e-9)
    added = (made.written - made.taught) / system.u_scale
    assert 0.03 < added.std() < 0.15
    assert np.abs(made.written).max() <= np.abs(system.u_bounds).max()
    clean = demonstrate(system, x0, DemonstrationConfig())
    assert np.array_equal(clean.taught, clean.written)
    assert np.array_equal(made.trajectories.u, made.written if errors == "answered" else clean.taught)


def test_labels_of_perturbed_demonstrations_are_what_is_taught(tiny):
    _, tokenizer = tiny
    rows, _ = make_demonstrations(["double_integrator"], 8, DemonstrationConfig(perturbation=0.1))
    for row, encoded in zip(rows, tokenize(rows, tokenizer), strict=True):
        asked = len(tokenizer(row["prompt"]).input_ids)
        assert tokenizer.decode(encoded["input_ids"]) == row["prompt"] + row["completion"] + tokenizer.eos_token
        assert tokenizer.decode(encoded["labels"][asked:]) == row["taught"] + tokenizer.eos_token
    assert sum(row["taught"] != row["completion"] for row in rows) > 4  # a trajectory's errors may be too small to show


def test_perturbed_demonstrations_need_one_token_a_number(tiny):
    rows = Dataset.from_list([{"prompt": "p", "completion": "1.00", "taught": "100.55, 2"}])
    with pytest.raises(ValueError, match="--perturbation 0"):
        tokenize(rows, tiny[1])


def test_variations_are_of_other_parameters_and_horizons():
    rows, card = make_demonstrations(["van_der_pol"], 200, DemonstrationConfig(variations=0.5))
    own = format_prompt(get_system("van_der_pol"), [0, 0]).partition("from")[0]
    assert sum(row["prompt"].startswith(own) for row in rows) < 140
    assert card["plants"]["van_der_pol"]["variations"] == pytest.approx(100, abs=5)
    horizons = {row["completion"].count(",") + 1 for row in rows}
    assert min(horizons) < 30
    assert max(horizons) == 50


@pytest.mark.parametrize("style", REASONINGS)
def test_reasoning_styles(style, system):
    made = demonstrate(system, sample_states(system, 3, "train"), DemonstrationConfig(reasoning=style))
    for row, K, x in zip(demonstration_rows(made, style), made.K, made.trajectories.x, strict=True):
        reasoning = re.search("<REASONING>(.*)</REASONING>", row["completion"])[1]
        assert parse_completion(row["completion"], system.horizon, system.m).verdict == "ok"
        stated = parse_gains(row["completion"], system.n, system.m)
        assert (stated is None) if style == "none" else np.array_equal(stated, K)
        if style == "waypoints":
            states = np.array(reasoning.partition("; ")[2].split(", "), dtype=float).reshape(9, system.n)
            np.testing.assert_allclose(states, x[:: system.horizon // 10][1:-1], atol=0.0051)


def test_a_curriculum_goes_from_the_middle_of_the_box_to_all_of_it():
    rows = make_prompts(["double_integrator", "van_der_pol"], 400, curriculum=0.5)
    reach = [max(abs(v) for v in row["x0"]) / (0.8 if row["system"] == "double_integrator" else 1.5) for row in rows]
    assert len(rows) == 400
    assert max(reach[:20]) <= 0.11
    assert max(reach[80:100]) <= 0.6
    assert max(reach[200:]) > 0.95
    assert set(rows[:20]["system"]) == {"double_integrator", "van_der_pol"}
