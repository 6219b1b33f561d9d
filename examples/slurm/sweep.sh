#!/usr/bin/env bash
# Hyperparameter search as a job array: all tasks share one study, stored in a file that all nodes can read.
#   sbatch --array 0-15 examples/slurm/sweep.sh grpo --sft-from runs/sft --trials 64
#   DRY_RUN=1 bash examples/slurm/sweep.sh grpo --sft-from runs/sft --trials 64
# If a task fails, the others run its remaining trials. The same command continues the study.
#SBATCH --job-name=control-tune
#SBATCH --array=0-7
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --output=slurm-%x-%A-%a.out
set -euo pipefail

command=(python -m llm_agent.tune "$@")
if [[ -n ${DRY_RUN:-} ]]; then
  echo "srun (each task of the array): ${command[*]}"
  exit
fi
srun "${command[@]}"
