#!/bin/bash
# One run on all machines of a Slurm job, a tower a GPU:   sbatch --nodes 8 slurm.sh RUN [options of main.py]
# The same command again goes on from the run's last checkpoint.  Wants clone, environment and arrays where all see them.
#SBATCH --ntasks-per-node 1
#SBATCH --gpus-per-node 8
#SBATCH --requeue

export RUN=$1 MODELS=models_ex
shift
unset INIT
options=()
while [ $# -gt 0 ]; do          # a restart has all options but --init, and looks for the run where it was put
    case $1 in
        --ini*=*) export INIT=${1#*=} ;;
        --ini*) export INIT=$2; shift ;;
        --mod*=*) MODELS=${1#*=}; options+=("$1") ;;
        --mod*) MODELS=$2; options+=("$1") ;;
        *) options+=("$1") ;;
    esac
    shift
done

# Rank 0 is the chief, the others serve it (jointpose/cluster/cluster.py).  Whoever is killed comes back, everybody else waits; an
# exit code below 128 is a result: done, stopped by itself, or an error that would come again, which ends all:
# they would wait for a chief that never comes.
srun --kill-on-bad-exit=1 bash -c '
while true; do
    if ls "$MODELS/$RUN" 2> /dev/null | grep -Eq "^step-[0-9]+(\.old)?$"; then how=(--restore "$MODELS/$RUN")
    else how=(--run "$RUN" ${INIT+--init "$INIT"}); fi
    python main.py --train --gpus $(seq 0 $((SLURM_GPUS_ON_NODE - 1))) "${how[@]}" "$@"
    code=$?
    [ $code -lt 128 ] && exit $code
    sleep 5
done' bash "${options[@]}"
