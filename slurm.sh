#!/bin/bash
# One run on all machines of a Slurm job, a tower a GPU:   sbatch --nodes 8 slurm.sh RUN [options of main.py]
# The same command again goes on from the run's last checkpoint.  Wants clone, environment and arrays where all see them.
#SBATCH --ntasks-per-node 1
#SBATCH --gpus-per-node 8
#SBATCH --requeue

export RUN=$1
shift

# Rank 0 is the chief, the others serve it (engine/cluster.py).  Whoever is killed comes back, everybody else waits; an
# exit code below 128 is a result: done, stopped by itself, or an error that would come again, which ends all:
# they would wait for a chief that never comes.
srun --kill-on-bad-exit=1 bash -c '
while true; do
    if compgen -G "models_ex/$RUN/step-*" > /dev/null; then how="--restore $RUN"; else how="--run $RUN $*"; fi
    python main.py --train --gpus $(seq 0 $((SLURM_GPUS_ON_NODE - 1))) $how
    code=$?
    [ $code -lt 128 ] && exit $code
    sleep 5
done' bash "$@"
