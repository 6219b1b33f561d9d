#!/usr/bin/env bash
# Compares runs with all classical policies; all arguments go to llm_agent.compare.
#   sbatch examples/slurm/evaluate.sh runs/qwen --system double_integrator --sampled
#   DRY_RUN=1 bash examples/slurm/evaluate.sh runs/qwen
#SBATCH --job-name=control-compare
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --output=slurm-%x-%j.out
set -euo pipefail

command=(python -m llm_agent.compare "$@")
if [[ -n ${DRY_RUN:-} ]]; then
  echo "srun: ${command[*]}"
  exit
fi
srun "${command[@]}"
