"""PPO (Schulman et al., 2017) on the numeric environments, by Stable-Baselines3.

    python -m baselines.ppo --system double_integrator --seed 0
    python -m baselines.ppo --system all --seeds 3
    python -m baselines.ppo --system van_der_pol --seed 0 --resume

A run folder ``runs/ppo/SYSTEM/seed_K`` holds the trained policy with the statistics that its observations are
normalised by (``policy.safetensors``), the settings (``ppo.json``), and the checkpoints of Stable-Baselines3. These are
pickles, which can run any code, and are read only by ``--resume``: resume only runs that you trust.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.controllers.ppo import OUTPUT, train
from baselines.controllers.ppo_settings import REWARDS, read_settings, settings_for
from control_envs.systems import SYSTEMS, get_systems
from control_envs.systems.settings import add_settings_flag
from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.files import check_input_file, check_output_dir

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser(prog="python -m baselines.ppo", description=__doc__)
    parser.add_argument(
        "--system", default="double_integrator", help=f"plants, comma-separated, or all: {', '.join(SYSTEMS)}"
    )
    add_settings_flag(parser)
    parser.add_argument("--seed", type=at_least(0), default=0, help="the first seed (0)")
    parser.add_argument("--seeds", type=at_least(1), default=1, help="number of seeds, one run each (1)")
    parser.add_argument(
        "--total-timesteps", type=at_least(1), default=None, help="environment steps (tuned for each plant)"
    )
    parser.add_argument("--reward", choices=REWARDS, default=None, help="reward to maximise (stage_cost)")
    parser.add_argument("--config", type=Path, default=None, help="YAML file of PPOSettings values, by name")
    parser.add_argument("--output-dir", type=Path, default=OUTPUT, help="parent of the run folders (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)

    def work() -> None:
        check_output_dir(args.output_dir)
        flags = {"reward": args.reward, "total_timesteps": args.total_timesteps}
        changes = read_settings(check_input_file(args.config, "--config")) if args.config else {}
        changes |= {name: value for name, value in flags.items() if value is not None}
        for system in get_systems(args.system, args.set):
            for seed in range(args.seed, args.seed + args.seeds):
                settings = settings_for(system, **changes)
                folder = train(system, seed, settings, args.output_dir, args.resume, not args.no_progress)
                print(f"{system.name}, seed {seed}: {folder}")

    return guarded(work, "stopped: continue with --resume", extra="ppo")


if __name__ == "__main__":
    sys.exit(main())
