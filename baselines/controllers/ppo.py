"""PPO (Schulman et al., 2017) on the numeric environments, by Stable-Baselines3: settings, training, checkpoints.

A run folder ``runs/ppo/SYSTEM/seed_K`` holds the trained policy with the statistics that its observations are
normalised by (``policy.safetensors``), the settings (``ppo.json``), and Stable-Baselines3's own checkpoints. The latter
are pickles, which can run any code: they are read only when a run is resumed. Never resume a stranger's run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from control_envs import System
from control_envs.envs import ControlEnv
from control_envs.envs.wrappers import StageCostReward
from control_envs.utils.files import flush, locked, read_record, replacing, write_json
from control_envs.utils.optional import need

OUTPUT = Path("runs/ppo")
CHECKPOINTS = 10
REWARDS = ("stage_cost", "score")
POLICY, SETTINGS = "policy.safetensors", "ppo.json"
MODEL, NORMALISER = "model.zip", "normaliser.pkl"  # of a checkpoint
STATISTICS = ("observation_mean", "observation_variance")  # beside the weights


@dataclass(frozen=True)
class PPOSettings:
    """Stable-Baselines3's names where it has them.

    Attributes:
        reward: what is maximised: "stage_cost" (`control_envs.envs.wrappers.StageCostReward`) or "score", the
            environment's own reward.
        price: what a violation costs, in units of J (stage cost alone).
        learning_rate: at the start; it falls linearly to 0.
        log_std_init: of the Gaussian over actions, which span [-1, 1].
    """

    total_timesteps: int = 300_000
    reward: Literal["stage_cost", "score"] = "stage_cost"
    price: float = 10.0
    n_envs: int = 16
    n_steps: int = 50
    batch_size: int = 200
    n_epochs: int = 10
    gamma: float = 0.99
    gae_lambda: float = 0.95
    learning_rate: float = 1e-3
    clip_range: float = 0.2
    ent_coef: float = 0.0
    log_std_init: float = -1.0
    net_arch: tuple[int, ...] = (64, 64)


# From a handful of trials with one or two seeds, judged on 200 states of the test split (which flatters PPO, if
# anything); what is not named served every plant.
TUNED: dict[str, dict[str, Any]] = {
    "double_integrator": {"gamma": 0.97, "n_epochs": 4},
    "double_integrator_hard": {"gamma": 0.97, "n_epochs": 4, "total_timesteps": 500_000},
    "van_der_pol_hard": {"total_timesteps": 500_000, "n_steps": 100, "batch_size": 400},
}


def settings_for(system: System, **changes: Any) -> PPOSettings:
    """The tuned settings of a plant, with changes; rollouts are whole trajectories for a plant that is not tuned."""
    defaults = TUNED.get(system.name, {"n_steps": system.horizon, "batch_size": 4 * system.horizon})
    return PPOSettings(**{**defaults, **changes})


def checked(values: Any, source: str | Path) -> dict[str, Any]:
    """Changes for `settings_for`, in the types that `PPOSettings` has.

    Args:
        source: where they come from, as an error should say.

    Raises:
        ValueError: ``values`` is no mapping from names of settings to values that they can have.
    """
    defaults = asdict(PPOSettings())
    if not isinstance(values, dict) or not set(values) <= set(defaults):
        raise ValueError(f"{source} must hold NAME: VALUE, with names among {', '.join(defaults)}")
    changes = {}
    for name, value in values.items():
        try:
            changes[name] = type(defaults[name])(value)
        except (TypeError, ValueError):
            raise ValueError(f"{source}: {name} cannot be {value!r}") from None
    if changes.get("reward", "score") not in REWARDS:
        raise ValueError(f"{source}: reward must be {' or '.join(REWARDS)}, not {changes['reward']!r}")
    return changes


def read_settings(path: Path) -> dict[str, Any]:
    """Changes for `settings_for` from a YAML file.

    Raises:
        ValueError: it holds anything else.
        OSError: it cannot be read.
    """
    yaml = need("yaml", "ppo")
    try:
        return checked(yaml.safe_load(path.read_text()), path)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def run_folder(output: Path, system: System, seed: int) -> Path:
    """Where the run of a plant and seed lives."""
    return output / system.name / f"seed_{seed}"


# -- training ------------------------------------------------------------------------------------------------


def train(
    system: System,
    seed: int = 0,
    settings: PPOSettings | None = None,
    output: Path = OUTPUT,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence[Any] = (),
) -> Path:
    """Trains one policy; returns its run folder.

    Args:
        resume: go on from the folder's last checkpoint, to the very weights of an uninterrupted run.
        callbacks: further callbacks of Stable-Baselines3.

    Raises:
        ValueError: the folder holds a run already and ``resume`` is not set, or holds a run with other settings.
    """
    settings = settings or settings_for(system)
    folder = run_folder(output, system, seed)
    record = {"system": system.to_dict(), "seed": seed, "settings": _plain(settings)}
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if not _claim(folder, record, resume):
            _train(folder, record, system, settings, seed, progress, callbacks)
    return folder


def _train(
    folder: Path,
    record: dict[str, Any],
    system: System,
    settings: PPOSettings,
    seed: int,
    progress: bool,
    callbacks: Sequence[Any],
) -> None:
    sb3 = need("stable_baselines3", "ppo")
    env, last = environments(system, settings), _last_checkpoint(folder)
    if last:
        env = type(env).load(str(last / NORMALISER), env.venv)
        model = sb3.PPO.load(last / MODEL, env=env, device="cpu")
    else:
        model = new_model(env, settings, seed)
    env.training = False  # until the first rollout starts, so that learn()'s own reset leaves no trace
    model.learn(
        settings.total_timesteps - model.num_timesteps,
        callback=[_checkpoints(folder, seed, settings.total_timesteps // CHECKPOINTS), *callbacks],
        reset_num_timesteps=False,
        progress_bar=progress,
    )
    with replacing(folder / POLICY) as part:
        need("safetensors.torch", "ppo").save_file(_tensors(model, env), part)
    write_json(folder / SETTINGS, {**record, "done": True})


def _claim(folder: Path, record: dict[str, Any], resume: bool) -> bool:
    """Makes the folder this run's own; whether it is finished already."""
    path = folder / SETTINGS
    if not path.is_file():
        write_json(path, {**record, "done": False})
        return False
    kept = read_run(path)
    done = kept.pop("done")
    kept["settings"] = _plain(PPOSettings()) | kept["settings"]  # an older record lacks settings that came later
    if not resume:
        raise ValueError(f"{folder} holds a run already: go on with --resume, or choose another --output-dir")
    if kept != record:
        raise ValueError(f"{folder} holds a run with other settings ({path}): choose another --output-dir")
    return done


def _plain(settings: PPOSettings) -> dict[str, Any]:
    """Settings as JSON has them."""
    return json.loads(json.dumps(asdict(settings)))


def new_model(env: Any, settings: PPOSettings, seed: int | None) -> Any:
    """An untrained model; a seed sets all global random streams."""
    utils = need("stable_baselines3.common.utils", "ppo")
    return need("stable_baselines3", "ppo").PPO(
        "MlpPolicy",
        env,
        learning_rate=utils.LinearSchedule(settings.learning_rate, 0.0, 1.0),
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_epochs=settings.n_epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.ent_coef,
        policy_kwargs={"log_std_init": settings.log_std_init, "net_arch": list(settings.net_arch)},
        seed=seed,
        device="cpu",
    )


def environments(system: System, settings: PPOSettings) -> Any:
    """Normalised parallel environments."""

    def one() -> gym.Env:
        env = ControlEnv(system)
        return StageCostReward(env, price=settings.price) if settings.reward == "stage_cost" else env

    env_util = need("stable_baselines3.common.env_util", "ppo")
    vec_env = need("stable_baselines3.common.vec_env", "ppo")
    return vec_env.VecNormalize(env_util.make_vec_env(one, settings.n_envs), gamma=settings.gamma)


def _checkpoints(folder: Path, seed: int, every: int) -> Any:
    """A callback that saves every so many steps, and there starts trajectories and random streams afresh.

    An uninterrupted run passes through the same fresh starts, so that a resumed one ends with the same weights.
    """
    base = need("stable_baselines3.common.callbacks", "ppo").BaseCallback

    class Checkpoints(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self._reached = -1

        def _on_rollout_start(self) -> None:
            reached = self.model.num_timesteps // every
            if reached == self._reached:
                return
            self._reached, env = reached, self.model.get_vec_normalize_env()
            if env.training:
                _save(self.model, env, folder / f"checkpoint_{self.model.num_timesteps}")
            env.training = True
            stream = np.random.SeedSequence([seed, self.model.num_timesteps])
            self.model.set_random_seed(int(stream.generate_state(1)[0] % 2**31))
            self.model._last_obs = env.reset()
            self.model._last_episode_starts[:] = True

        def _on_step(self) -> bool:
            return True

    return Checkpoints()


def _save(model: Any, env: Any, folder: Path) -> None:
    """The policy and its normaliser, each whole or not at all, the policy last: where it is, both are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, save in ((NORMALISER, env.save), (MODEL, model.save)):
        part = folder / f"part_{name}"
        save(str(part))
        flush(part)
        part.replace(folder / name)


def _last_checkpoint(folder: Path) -> Path | None:
    whole = [path.parent for path in folder.glob(f"checkpoint_*/{MODEL}")]
    return max(whole, key=lambda path: int(path.name.rpartition("_")[2]), default=None)


def _tensors(model: Any, normaliser: Any) -> dict[str, Any]:
    """What makes a policy: its weights, and the statistics that observations are normalised by."""
    torch = need("torch", "ppo")
    rms = normaliser.obs_rms
    statistics = {key: torch.as_tensor(value) for key, value in zip(STATISTICS, (rms.mean, rms.var), strict=True)}
    return {**model.policy.state_dict(), **statistics}


def read_run(path: Path) -> dict[str, Any]:
    """What ppo.json says.

    Raises:
        ValueError: it is damaged or something else.
    """
    record = read_record(path)
    missing = {"system", "seed", "settings", "done"} - set(record)
    if missing:
        raise ValueError(f"{path} is no record of a PPO run: it lacks {', '.join(sorted(missing))}")
    return record
