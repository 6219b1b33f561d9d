#!/usr/bin/env bash
# GRPO on one or more nodes; all arguments go to llm_agent.train_grpo.
#   sbatch --nodes 2 examples/slurm/train.sh --config qwen3-4b --output-dir runs/qwen
#   DRY_RUN=1 bash examples/slurm/train.sh --config qwen3-4b     # prints the command without running it
# To continue a stopped job: sbatch --nodes 2 examples/slurm/train.sh --resume --output-dir runs/qwen
#SBATCH --job-name=control-grpo
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=slurm-%x-%j.out
set -euo pipefail

nodes=${SLURM_NNODES:-1}
gpus=${SLURM_GPUS_ON_NODE:-8}
config=${ACCELERATE_CONFIG:-accelerate_configs/multi_gpu.yaml}
head=localhost
if [[ -n ${SLURM_JOB_NODELIST:-} ]]; then
  hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
  head=${hosts%%$'\n'*}
fi

launch=(accelerate launch --config_file "$config" --num_machines "$nodes" --num_processes "$((nodes * gpus))"
  --main_process_ip "$head" --main_process_port "${MASTER_PORT:-29500}")
if [[ -n ${DRY_RUN:-} ]]; then
  echo "srun (one task a node): ${launch[*]} --machine_rank NODE -m llm_agent.train_grpo $*"
  exit
fi
# A task's node rank is known only when the task runs.
# shellcheck disable=SC2016
srun bash -c 'rank=$SLURM_NODEID; n=$1; shift; exec "${@:1:n}" --machine_rank "$rank" -m llm_agent.train_grpo "${@:n+1}"' \
  launch "${#launch[@]}" "${launch[@]}" "$@"
