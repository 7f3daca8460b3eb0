"""The headline numbers of a run folder, computed again from its activations in NumPy.

    python recompute.py <run folder> [--draws 2000]

Nothing is shared with the toolkit but its files. What has a closed form must agree to 1e-5; what is drawn at
random (intervals, p) within the error of its draws.
"""

import argparse
import math
from pathlib import Path

import numpy as np

from checks import Run


def pairs(run, condition, seed, concept):
    """Differences `(pair, layer, d)`, and the layers."""
    acts = run.activations(condition, seed, concept, "response-mean")
    positive, negative = (acts.select(label=side) for side in ("positive", "negative"))
    assert positive.columns["prompt_id"].tolist() == negative.columns["prompt_id"].tolist()
    return positive.data.astype("f8") - negative.data, acts.layers


def texts(run, condition, seed, position):
    return run.activations(condition, seed, "neutral", position).data.astype("f8")


def projection(shifts, d):
    """T = s . d / sqrt(U), its standard error, for texts `(n, d)` and pairs `(m, d)`."""
    n, m = len(shifts), len(d)
    return weighted(shifts @ d.T, d @ d.T, np.ones(n), np.ones(m))


def weighted(products, gram, w, v):
    """T and its error where text i counts w[i] times and pair j v[j] times."""
    n, m = w.sum(), v.sum()
    inner = w @ products @ v / (n * m)
    own = v * np.diag(gram)
    along = gram @ v - own
    squared = (v @ along) / (m * m - (v * v).sum())
    if not squared > 0:
        return math.nan, math.nan
    length = math.sqrt(squared)
    of_texts = (products @ v / m - inner) / (n * length)
    rest = along / (m - v)
    of_pairs = (w @ products / n - inner - inner / squared * (rest - squared)) / (m * length)
    return inner / length, math.sqrt(w @ of_texts**2 + v @ of_pairs**2)


def reach(shifts, d, draws, rng):
    """Half the width of the symmetric bootstrap-t interval over texts x pairs, before it is widened."""
    products, gram = shifts @ d.T, d @ d.T
    value, error = projection(shifts, d)
    quotients = []
    for _ in range(draws):
        w = rng.multinomial(len(shifts), np.full(len(shifts), 1 / len(shifts))).astype(float)
        v = rng.multinomial(len(d), np.full(len(d), 1 / len(d))).astype(float)
        drawn, se = weighted(products, gram, w, v)
        t = abs(drawn - value) / se if se else math.nan
        quotients.append(math.inf if math.isnan(t) else t)
    return np.quantile(quotients, 0.95) * error


def shifts_agree(run, draws):
    """Every shift of the reported layers along base's coupled directions, from base and from others."""
    rng = np.random.default_rng(0)
    states = run.records("study/states").set_index("state")
    layers = run.records("study/layers").set_index("layer")
    rows = run.records("geometry/shifts")
    at = layers.index[layers.reported.astype(bool)]
    place = lambda state: (states.loc[state, "condition"], states.loc[state, "seed"])
    checked, wide = 0, 0
    for _, row in rows[rows.layer.isin(at) & (rows.source == "base") & (rows.beyond == "")].iterrows():
        if row.less not in ("base", "others"):
            continue
        d, kept = pairs(run, *place("base"), row.concept)
        here = list(kept).index(row.layer)
        base = texts(run, *place("base"), row.position)[:, here]
        tuned = texts(run, *place(row.state), row.position)[:, here]
        if row.less == "others":
            groups = [states.index[states.condition == c] for c in row.others.split(", ")]
            means = [np.mean([texts(run, *place(s), row.position)[:, here] for s in g], axis=0) for g in groups]
            base = np.mean(means, axis=0)
        rms = layers.loc[row.layer, "rms"]
        value, _ = projection(tuned - base, d[:, here])
        gap = abs(value / rms - row.estimate)
        # The mean of others is kept as f32.
        assert gap < 1e-5 * max(1, abs(row.estimate)) or (math.isnan(value) and math.isnan(row.estimate)), row
        shift, direction = (tuned - base).mean(0), d[:, here].mean(0)
        cosine = shift @ direction / np.linalg.norm(shift) / np.linalg.norm(direction)
        assert abs(cosine - row.cosine) < 1e-5, row
        if not math.isnan(row.lo) and wide < 12:
            wide += 1
            ours = reach(tuned - base, d[:, here], draws, rng) / rms * widening(min(len(tuned), len(d)))
            theirs = (row.hi - row.lo) / 2
            assert abs(math.log(ours / theirs)) < 0.25, (row.state, row.layer, ours, theirs)
        checked += 1
    assert checked, "no shift of a coupled concept at a reported layer"
    return f"{checked} shifts, {wide} intervals"


def widening(clusters):
    """t over normal quantile, times sqrt(C / (C - 1)); quantiles by bisection on the t density's integral."""
    return t_quantile(clusters - 1) / 1.959963984540054 * math.sqrt(clusters / (clusters - 1))


def t_quantile(df):
    x = np.linspace(0, 60, 600001)
    log = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    density = np.exp(log - (df + 1) / 2 * np.log1p(x * x / df))
    cumulated = 0.5 + np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * (x[1] - x[0]))])
    return float(np.interp(0.975, cumulated, x))


CHECKS = [shifts_agree]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=2000)
    args = parser.parse_args()
    with Run(args.folder) as run:
        for check in CHECKS:
            print(f"ok      {check.__name__}: {check(run, args.draws)}")


if __name__ == "__main__":
    main()
