"""The words of findings, from stored p, intervals and bounds, and that findings carry the numbers of their
records."""

import math

from .stats import Z, holm

PATH = "report/findings"
TESTED = ("shift", "change-of-coupling", "own-claim", "isolated", "prevention", "one-factor", "dose-response",
          "conversation", "link", "ranking")
BOUNDED = {"change-of-coupling": "cosine", "isolated": "preference", "prevention": "preference"}
# Smallest effect with a chance of .8, over the half-width of a 95 % interval.
POWER = (Z + 0.8416212335729143) / Z


def word(f):
    if math.isnan(f["p_max"]):
        return ""
    if f["least_p"] > 0.05:
        return "not testable"
    # A p over items holds the fine-tunes fixed: the interval, which counts them, must lie apart from 0 as well.
    shown = f["p_max"] <= 0.05 and not f["lo"] <= 0 <= f["hi"]
    return "none" if not shown else "lower" if f["estimate"] < 0 else "higher"


def verdicts(run, table, draws, rng):
    bounds = {row["quantity"]: row["bound"] for _, row in run.rows("study/bounds")}
    seen = set()
    for i, f in run.rows(PATH):
        q, name = f["quantity"], f"verdict: {f['quantity']}"
        if q in TESTED:
            verdict = word(f)
            # Of prevention the claim has no bounds.
            bound = bounds[BOUNDED[q]] if q in BOUNDED and (q != "prevention" or "isolated" in f["outcome"]) else math.nan
            table.exact("verdict: bounds", PATH, "bound", i, bound)
            if -bound < f["lo"] and f["hi"] < bound and verdict not in ("higher", "lower"):
                verdict = "equivalent"
            table.same(name, PATH, "verdict", i, verdict)
            seen.add(verdict)
            if q not in ("link", "ranking"):
                table.exact("verdict: smallest effect shown", PATH, "detectable", i, POWER * (f["hi"] - f["lo"]) / 2)
        elif q == "ablation":
            table.same(name, PATH, "verdict", i, of_ablation(run, f))
        elif q == "took":
            t = next(t for _, t in run.rows("behaviour/took") if t["set"] == f["set"])
            table.same(name, PATH, "verdict", i, "took" if t["took"] else "rose" if t["rose"] else "not taken")
        elif q == "preferences":
            count_of(run, table, i, f, bounds["preference"])
    carried(run, table)


def of_ablation(run, f):
    """More than its controls; less than a third of a total that is there; or neither."""
    outcome = {"isolated preferences": "isolated", "all preferences": "all"}.get(f["outcome"], f["outcome"])
    row = next(
        a for _, a in run.rows("causal/ablation")
        if (a["set"], a["reference"], a["edit"], a["preference"], a["against"])
        == (f["set"], f["reference"], f["subject"], outcome, "edited")
    )
    said = word(f)
    side = lambda name: 1 if row[f"{name}_lo"] > 0 else -1 if row[f"{name}_hi"] < 0 else 0
    total = side("total")
    little = total != 0 and (side("less_third"), side("plus_third")) == (-total, total)
    return "more" if said in ("higher", "lower") else "equivalent" if little else said


def count_of(run, table, i, f, bound):
    """How many isolated preferences of a condition have a q of at most .05."""
    rows = [c for _, c in run.rows("behaviour/contrasts")
            if (c["set"], c["reference"], c["kind"], c["status"]) == (f["set"], f["reference"], "preference", "isolated")]
    table.exact("verdict: preferences", PATH, "estimate", i, sum(c["q"] <= 0.05 for c in rows))
    table.same("verdict: preferences", PATH, "n", i, len(rows))
    within = sum(-bound < c["lo"] and c["hi"] < bound for c in rows)
    assert f["note"].startswith(f"{within} lie within"), (f["note"], within)


def carried(run, table):
    """Findings have the numbers of the records that they name; what was declared is adjusted for each other
    (Holm) and for nothing else."""
    declared = [(i, f["p"]) for i, f in run.rows(PATH) if f["declared"] and not math.isnan(f["p"])]
    for (i, _), p in zip(declared, holm([p for _, p in declared])):
        table.exact("findings: declared, by Holm", PATH, "p_max", i, p)
    shifts = run.places("geometry/shifts", "state", "less", "position", "concept", "source", "beyond", "layer")
    cosines = run.places("geometry/changes", "set", "reference", "concept_a", "concept_b", "form", "layer")
    contrasts = run.places("behaviour/contrasts", "set", "reference", "kind", "cells_of", "preference", "measure")
    for i, f in run.rows(PATH):
        if f["quantity"] == "shift":
            key = (f["set"], f["reference"], run.positions()[0], f["subject"], "base", "", int(f["layer"]))
            path, place, p = "geometry/shifts", shifts[key], "p_permuted_max"
        elif f["quantity"] == "change-of-coupling":
            key = (f["set"], f["reference"], *f["subject"].split(" x "), f["form"], int(f["layer"]))
            path, place, p = "geometry/changes", cosines[key], "p_max"
        elif f["quantity"] in ("isolated", "own-claim"):
            kind = "claim" if f["quantity"] == "own-claim" else "isolated"
            name = f["outcome"] if kind == "claim" else ""
            path, place = "behaviour/contrasts", contrasts[f["set"], f["reference"], kind, "", name, f["form"]]
            p = "p_max"
        else:
            continue
        record = run.record(path)
        for name, column in (("estimate",) * 2, ("lo",) * 2, ("hi",) * 2, ("p_max", p)):
            if name == "p_max" and f["declared"]:
                continue
            table.exact("findings: numbers of their records", PATH, name, i, record[column][place])
