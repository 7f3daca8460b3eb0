#!/bin/bash
# Written by `residuum study export sbatch`. Submits one array of jobs a kind of stage and a step of the plan, each
# behind the arrays that it waits for:
#
#     bash DIR/submit.sh -p gpu --account mine        # options go to sbatch
#
# Line N of `commands` is job N; `sh -e commands` runs all of them here, one after the other. Give the same command again
# after a failure: a job whose stage is done ends at once.
set -eu
here=HERE

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    exec sh -c "$(sed -n "$(($1 + SLURM_ARRAY_TASK_ID))p" "$here/commands")"
fi

declare -A id
mkdir -p "$here/logs"
options=("$@")

# Name, its first job, how many, MB, minutes, threads, the arrays that it waits for.
array() {
    local name=$1 first=$2 last=$(($3 - 1)) mb=$4 minutes=$5 threads=$6 wait="" of
    shift 6
    for of in "$@"; do wait+=":${id[$of]}"; done
    id[$name]=$(sbatch --parsable --job-name="$name" --array="0-$last" --mem="${mb}M" --time="$minutes" \
        --cpus-per-task="$threads" --output="$here/logs/%x-%a.log" --kill-on-invalid-dep=yes \
        ${wait:+--dependency="afterok$wait"} ${options[@]+"${options[@]}"} "$here/submit.sh" "$first")
    id[$name]=${id[$name]%%;*}
    echo "$name: $((last + 1)) jobs as ${id[$name]}${wait:+, behind ${wait#:}}"
}

