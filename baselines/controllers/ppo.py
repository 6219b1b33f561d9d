"""PPO (Schulman et al., 2017) on the numeric environments, by Stable-Baselines3: training and checkpoints.

A run folder ``runs/ppo/SYSTEM/seed_K`` holds the trained policy with the statistics that its observations are
normalised by (``policy.safetensors``), the settings (``ppo.json``), and the checkpoints of Stable-Baselines3. These are
pickles, which can run any code, and are read only to resume a run: resume only runs that you trust.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from baselines.controllers.ppo_settings import REWARDS, PPOSettings, checked, read_settings, settings_for
from control_envs import System
from control_envs.envs import ControlEnv
from control_envs.envs.wrappers import StageCostReward
from control_envs.utils.files import flush, locked, read_record, replacing, write_json
from control_envs.utils.optional import need

__all__ = [
    "OUTPUT",
    "REWARDS",
    "PPOSettings",
    "checked",
    "environments",
    "new_model",
    "read_run",
    "read_settings",
    "run_folder",
    "settings_for",
    "train",
]

OUTPUT = Path("runs/ppo")
CHECKPOINTS = 10
POLICY, SETTINGS = "policy.safetensors", "ppo.json"
MODEL, NORMALISER = "model.zip", "normaliser.pkl"  # of a checkpoint
STATISTICS = ("observation_mean", "observation_variance")  # beside the weights


def run_folder(output: Path, system: System, seed: int) -> Path:
    """The run folder of a plant and seed."""
    return output / system.name / f"seed_{seed}"


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
        system: the plant.
        seed: seed of weights and environments.
        settings: `settings_for` the plant by default.
        output: parent of the run folders.
        resume: continue from the last checkpoint; the final weights equal those of an uninterrupted run.
        progress: show a progress bar.
        callbacks: further Stable-Baselines3 callbacks.

    Raises:
        ValueError: the folder holds a run and ``resume`` is not set, or its run has other settings.
    """
    settings = settings or settings_for(system)
    folder = run_folder(output, system, seed)
    record = {"system": system.to_dict(), "seed": seed, "settings": _as_json(settings)}
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
    env.training = False  # until the first rollout: the reset in learn() must not change the statistics
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "rich is experimental")  # tqdm's word on SB3's progress bar
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
    """Records the run in its folder, or checks it against the record there; returns whether the run is finished."""
    path = folder / SETTINGS
    if not path.is_file():
        write_json(path, {**record, "done": False})
        return False
    recorded = read_run(path)
    done = recorded.pop("done")
    recorded["settings"] = _as_json(PPOSettings()) | recorded["settings"]  # older records lack newer settings
    if not resume:
        raise ValueError(f"{folder} holds a run already: continue it with --resume, or choose another --output-dir")
    if recorded != record:
        raise ValueError(f"{folder} holds a run with other settings ({path}): choose another --output-dir")
    return done


def _as_json(settings: PPOSettings) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return json.loads(json.dumps(asdict(settings)))


def new_model(env: Any, settings: PPOSettings, seed: int | None) -> Any:
    """An untrained model; a seed also seeds the global random generators."""
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
    """Parallel environments with normalised observations and rewards."""

    def make() -> gym.Env:
        env = ControlEnv(system)
        return StageCostReward(env, price=settings.price) if settings.reward == "stage_cost" else env

    env_util = need("stable_baselines3.common.env_util", "ppo")
    vec_env = need("stable_baselines3.common.vec_env", "ppo")
    return vec_env.VecNormalize(env_util.make_vec_env(make, settings.n_envs), gamma=settings.gamma)


def _checkpoints(folder: Path, seed: int, every: int) -> Any:
    """A callback that saves a checkpoint every ``every`` steps and then resets environments and random generators.

    An uninterrupted run performs the same resets, so that a resumed run ends with the same weights.
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
    """Saves normaliser and policy atomically, the policy last: a checkpoint with a policy is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, save in ((NORMALISER, env.save), (MODEL, model.save)):
        part = folder / f"part_{name}"
        save(str(part))
        flush(part)
        part.replace(folder / name)


def _last_checkpoint(folder: Path) -> Path | None:
    complete = [path.parent for path in folder.glob(f"checkpoint_*/{MODEL}")]
    return max(complete, key=lambda path: int(path.name.rpartition("_")[2]), default=None)


def _tensors(model: Any, normaliser: Any) -> dict[str, Any]:
    """The tensors of a policy: its weights, and the statistics that normalise observations."""
    torch = need("torch", "ppo")
    rms = normaliser.obs_rms
    statistics = {key: torch.as_tensor(value) for key, value in zip(STATISTICS, (rms.mean, rms.var), strict=True)}
    return {**model.policy.state_dict(), **statistics}


def read_run(path: Path) -> dict[str, Any]:
    """Reads ppo.json.

    Raises:
        ValueError: the file is damaged or holds anything else.
    """
    record = read_record(path)
    missing = {"system", "seed", "settings", "done"} - set(record)
    if missing:
        raise ValueError(f"{path} is not a record of a PPO run: it lacks {', '.join(sorted(missing))}")
    return record
