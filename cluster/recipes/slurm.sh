#!/usr/bin/env bash
# A study on Slurm: Ray on all nodes of a job, the study on the first of them, and Ray gone when the job ends. Podium's
# folder and its environment must be where all nodes see them. All commands from Podium's folder.
#
# once:    python -m venv .venv && .venv/bin/pip install -e .
# start:   source .venv/bin/activate
# run:     sbatch --nodes=4 --time=4:00:00 cluster/recipes/slurm.sh --model cnn --trials 50 --name first
# resume:  sbatch --nodes=4 --time=4:00:00 cluster/recipes/slurm.sh --resume first
# look:    tail -f podium-JOB.log
# end:     scancel --batch --signal=USR1 JOB
#
# USR1 comes to this script alone, from `end` or five minutes before the time is over; the study then ends well, as with
# Ctrl-C: it ranks what is finished, and can be resumed. A plain scancel ends everything at once; what was finished is
# in the journal, and --resume goes on all the same.
#
#SBATCH --job-name=podium
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=1:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --output=podium-%j.log
# A node that fails takes its own trials along, and no more: they are started again elsewhere.
#SBATCH --no-kill
# With GPUs, here or on sbatch's command line:
##SBATCH --gres=gpu:1
set -euo pipefail

trap 'exit 143' TERM USR1 # until the study runs
fail() { echo "slurm.sh: $1" >&2 && exit 1; }
[[ -f hpo/run.py ]] || fail "submit it from Podium's folder"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${nodes[0]}
all=$(IFS=, && echo "${nodes[*]}")
# Not the loopback, which is what a node may call itself.
ip=$({ getent ahostsv4 "$first" || true; hostname -I || true; } | tr -s ' ' '\n' |
    awk '/^[0-9]+[.][0-9.]+$/ && !/^127[.]/ && !seen++')
[[ -n $ip ]] || fail "$first has no address that other nodes can reach"
port=$((20000 + SLURM_JOB_ID % 5000 * 2)) # two for each job, because jobs may share a node
cpus=${SLURM_CPUS_PER_TASK:-1}

private=$PWD/.podium-$SLURM_JOB_ID # this job's nodes see it, other users do not
unset RAY_AUTH_TOKEN               # it would come before the file
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$private/token RAY_USAGE_STATS_ENABLED=0
# Without its memory monitor, Ray does not end a whole study for one trial that takes too much; Linux ends the trial.
export RAY_memory_monitor_refresh_ms=0
# On each node: short, because of Ray's sockets, and a name that nobody can have taken before.
RAY_TMPDIR=/tmp/podium-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
export RAY_TMPDIR

# on NODE,NODE: what comes before a command that is to run there, once on each, with all CPUs of the job.
on() {
    local commas=${1//[^,]/}
    task=(srun --overlap --no-kill --kill-on-bad-exit=0 --nodes=$((${#commas} + 1)) --ntasks=$((${#commas} + 1))
        --ntasks-per-node=1 --cpus-per-task="$cpus" --nodelist="$1")
}

steps=()
end_ray() {
    local status=$?
    trap '' TERM USR1 # what follows takes a moment, and is needed
    kill -TERM "${steps[@]}" 2> /dev/null || true
    wait
    on "$all"
    "${task[@]}" rm -rf "$RAY_TMPDIR" || true
    rm -rf "$private"
    exit "$status"
}
trap end_ray EXIT

rm -rf "$private"
mkdir -m 700 "$private"
(umask 077 && od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' > "$private/token")

# shellcheck disable=SC2016 # it is the node's shell that fills in how many GPUs there are
start='umask 077; exec ray start --block --num-cpus="$0" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" "$@"'
# No dashboard, because nobody has to be let in. The second port is Ray Client's, which cannot be left out.
on "$first"
"${task[@]}" bash -c "$start" "$cpus" --head --node-ip-address="$ip" --port="$port" \
    --ray-client-server-port=$((port + 1)) --include-dashboard=false &
steps+=($!)
until ray health-check --address "$ip:$port" > /dev/null 2>&1; do
    kill -0 "${steps[0]}" 2> /dev/null || fail "Ray does not start on $first; see above"
    sleep 1
done
if ((${#nodes[@]} > 1)); then
    on "${all#*,}"
    "${task[@]}" bash -c "$start" "$cpus" --address="$ip:$port" &
    steps+=($!)
fi
# The study looks once at what there is, so all nodes have to be there.
python - "$ip:$port" "${#nodes[@]}" << 'PYTHON'
import sys, time
import ray

address, wanted = sys.argv[1], int(sys.argv[2])
ray.init(address, log_to_driver=False, logging_level="ERROR")
until = time.monotonic() + 120
while (here := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() > until:
        sys.exit(f"slurm.sh: after two minutes {here} of {wanted} nodes have joined")
    time.sleep(0.5)
PYTHON

python hpo/run.py --address "$ip:$port" "$@" &
study=$!
trap 'kill -TERM "$study" 2> /dev/null || true' TERM USR1
while kill -0 "$study" 2> /dev/null; do
    wait "$study" || true # a signal ends the waiting, not the study
done
wait "$study"
