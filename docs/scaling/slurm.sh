#!/bin/bash
# Trains by two workers on Slurm: sbatch docs/scaling/slurm.sh, in the folder of the project.
#
# Submitted again after an interruption, it continues. The file system must be shared by the nodes,
# and `make setup` done. For keras_vae, do `make setup-backends` and set PACKAGE=keras_vae.
#SBATCH --job-name=vae
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
#SBATCH --time=01:00:00
#SBATCH --output=vae-%j.log
set -euo pipefail

export PACKAGE=${PACKAGE:-tf_vae} PORT=${PORT:-23450} KERAS_BACKEND=tensorflow
if [ "$PACKAGE" = keras_vae ]; then KERAS_BACKEND=jax; fi

# The address of each task, in the order of their numbers; tasks on one node get different ports.
WORKERS=$(srun bash -c 'echo "$SLURM_PROCID $(hostname):$((PORT + SLURM_LOCALID))"' |
    sort --numeric-sort | cut --delimiter=" " --fields=2 | paste --serial --delimiters=,)
export WORKERS

# --kill-on-bad-exit ends the job if a worker ends; the others notice it by themselves, too.
srun --kill-on-bad-exit=1 bash -c '
    exec .venv/bin/python -m "$PACKAGE" train "$@" --out "runs/slurm-$PACKAGE" --resume \
        --workers "$WORKERS" --worker "$SLURM_PROCID"' \
    bash --recipe post-keras --data "${DATA:-mnist}"
