#!/bin/bash
# A job with 128 ranks on two nodes, one core per rank. Adapt these lines to your cluster.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=64
#SBATCH --cpus-per-task=1
#SBATCH --time=24:00:00

export OMP_NUM_THREADS=1        # one core per rank
srun --kill-on-bad-exit=1 lmp -in nve.in -var repeat 40 -var steps 100000
