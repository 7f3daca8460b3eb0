"""The headline numbers of a run folder, computed again from its activations, scores and logs in NumPy.

    python recompute.py <run folder> [--texts FOLDER ...] [--draws 10000] [--self-test]

Nothing is shared with the toolkit but its files and docs/format.md. What has a closed form must agree to 1e-5
of its size; what is drawn at random must lie within 5 standard errors of both sides' draws. A quantity that the
run does not hold is named as such; one that it holds and of which nothing was compared is a failure, as is a row
too few or too many. The layer's RMS is taken as stored: it is over tokens, of which a run keeps means alone.
`--self-test` then changes one stored number of each kind, and some of the files, and fails unless each is seen.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from afresh import behaviour, cause, inside, words
from afresh.folder import Folder
from afresh.table import Table

CHECKS = [
    inside.shifts,
    inside.shift_contrasts,
    inside.cosines,
    behaviour.scores,
    behaviour.contrasts,
    behaviour.towards,
    behaviour.claims,
    behaviour.acquiescence,
    behaviour.one_factor,
    cause.ablations,
    cause.doses,
    words.verdicts,
]


def recomputed(run, draws):
    table = Table(run)
    for check in CHECKS:
        before = len(table.absent), sum(row.rows for row in table.quantities.values())
        check(run, table, draws, np.random.default_rng(1))
        after = len(table.absent), sum(row.rows for row in table.quantities.values())
        if before == after:
            table.failed[check.__name__, "", 0] = f"{check.__name__}: compared nothing"
    if not table.quantities:
        table.failed["", "", 0] = "nothing was compared"
    return table


def other(value, rng):
    """A number, count or word that is not this one."""
    if isinstance(value, str):
        return value + " not"
    if isinstance(value, (int, np.integer)):
        # Not one more, which a changed word elsewhere may make right.
        return value + 17
    if math.isnan(value):
        return 0.5
    return value + (0.5 + abs(value)) * rng.choice([-1, 1])


def self_test(run, draws, table):
    """Changes a stored number of each kind that was compared, and sees each complained of; then files."""
    rng, changed = np.random.default_rng(2), {}
    for (_, path, name), at in table.compared.items():
        if (path, name, at) not in changed:
            record = run.record(path)[name]
            changed[path, name, at] = record[at]
            record[at] = other(record[at], rng)
    seen = recomputed(run, draws).failed
    missed = [key for key in changed if key not in seen]
    for (path, name, at), value in changed.items():
        run.record(path)[name][at] = value
    state = run.of(run.role("focus"))[0]
    of_files = ["geometry/shifts", "behaviour/contrasts", *(["causal/ablation"] if run.has("causal/ablation") else [])]
    run.neutral(state, run.positions()[0])[0] *= 1.5
    scale(run.lines(f"behaviour/{state}.jsonl"), 1.5)
    if run.has("causal/ablation"):
        scale(run.json(f"causal/ablated-{state}.json")[0]["edits"][0]["scores"], 1.5)
    seen = {key[0] for key in recomputed(run, draws).failed}
    missed += [f"{path}: what it is computed from was changed" for path in of_files if path not in seen]
    return len(changed) + len(of_files), missed


def scale(scores, by):
    for s in scores:
        if isinstance(s, dict):
            for name in ("express_log_prob", "oppose_log_prob", "log_odds"):
                s[name] *= by
        else:
            s[2] *= by


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="folders of texts that are not shipped")
    parser.add_argument("--draws", type=int, default=10000)
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    run = Folder(args.folder, args.texts)
    table = recomputed(run, args.draws)
    print(table.text())
    for line in list(table.failed.values())[:40]:
        print(f"FAILED  {line}")
    if table.failed:
        sys.exit(f"{len(table.failed)} numbers of {args.folder} do not agree with their recomputation")
    if args.self_test:
        n, missed = self_test(run, min(args.draws, 4000), table)
        for key in missed:
            print(f"MISSED  {key}")
        if missed:
            sys.exit(f"{len(missed)} of {n} changes were not seen")
        print(f"ok      {n} changes seen")


if __name__ == "__main__":
    main()
