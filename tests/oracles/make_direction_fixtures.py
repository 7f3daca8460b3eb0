"""Writes, or checks, the numbers that tests/directions.rs holds the directions room to.

    python make_direction_fixtures.py --out ../fixtures     writes directions.safetensors
    python make_direction_fixtures.py --check ../fixtures   computes them anew from the frozen pairs and compares

The references are scikit-learn (PCA, logistic regression, discriminant, Ledoit-Wolf covariance, AUROC) and
concept-erasure (LEACE), on two small sets of contrast pairs that are made here: `tall` has more rows than
dimensions and prompts that recur, `wide` has fewer rows than dimensions, as residual streams have. Everything is
computed in f64 from f32 data. No model is needed; takes some seconds.
"""

import argparse
import os
import sys
import warnings

import numpy as np
import torch
from concept_erasure import LeaceEraser
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

NAME = "directions.safetensors"
ALPHAS = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
FOLDS = 5
GIVEN = ("positive", "negative", "prompt", "weights")


def pairs(rng, n, d, shift, per_prompt):
    """Sides (n, d) with a common part a pair, uneven scales and correlated dimensions; weights as of a bootstrap draw."""
    mix = rng.normal(size=(d, d)) * np.geomspace(3.0, 0.3, d)
    common = rng.normal(size=(n, d)) @ mix
    axis = rng.normal(size=d)
    positive = common + rng.normal(size=(n, d)) @ mix * 0.7 + shift * axis
    negative = common + rng.normal(size=(n, d)) @ mix * 0.7
    return {
        "positive": positive.astype(np.float32), "negative": negative.astype(np.float32),
        "prompt": (np.arange(n) // per_prompt).astype(np.int64), "weights": rng.integers(0, 4, size=n).astype(np.float64),
    }


def first_components(rows, k):
    return PCA(n_components=k, svd_solver="full").fit(rows).components_


def logistic(x, y, groups, out):
    """Weights in the units of x: standardised, L2, alpha = 1 / C; then alpha chosen with whole prompts left out."""
    scaler = StandardScaler().fit(x)
    z = scaler.transform(x)
    settings = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
    coefficients = []
    for alpha in ALPHAS:
        fitted = LogisticRegression(C=1.0 / alpha, **settings).fit(z, y)
        coefficients.append(fitted.coef_[0] / scaler.scale_)
    out["logistic_alphas"] = np.array(ALPHAS)
    out["logistic_coefficients"] = np.array(coefficients)
    fold = groups % FOLDS
    splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(FOLDS)]
    chosen = LogisticRegressionCV(
        Cs=[1.0 / a for a in ALPHAS], cv=splits, scoring="neg_log_loss", use_legacy_attributes=False,
        l1_ratios=(0.0,), **settings,
    ).fit(z, y)
    out["logistic_alpha"] = np.array([1.0 / np.ravel(chosen.C_)[0]])
    out["logistic_chosen"] = chosen.coef_[0] / scaler.scale_


def leace(x, z):
    """LEACE as in the paper: the sample covariance, no bound on the trace."""
    return LeaceEraser.fit(
        torch.tensor(x), torch.tensor(z), shrinkage=False, constrain_cov_trace=False, svd_tol=1e-6,
    )


def references(given):
    positive, negative, prompt, weights = (given[key] for key in GIVEN)
    out, n = {}, len(prompt)
    p, q = positive.astype(np.float64), negative.astype(np.float64)
    delta = p - q
    x = np.concatenate([p, q])
    y = np.repeat([1, 0], n)
    out["mean_difference"] = delta.mean(0)
    out["pca_pairs"] = first_components(np.concatenate([delta / 2, -delta / 2]), 1)[0]
    out["pca_diff_centered"] = first_components(delta, 3)
    within = np.concatenate([p - p.mean(0), q - q.mean(0)])
    _, shrinkage = ledoit_wolf(within, assume_centered=True)
    out["shrinkage"] = np.array([shrinkage])
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=float(shrinkage)).fit(x, y)
    out["lda"] = discriminant.coef_[0]
    logistic(x, y, np.concatenate([prompt, prompt]), out)

    unit = out["mean_difference"] / np.linalg.norm(out["mean_difference"])
    scores = np.round(x @ unit, 1)  # with ties
    out["scores"] = scores
    out["auroc"] = np.array([roc_auc_score(y, scores)])
    out["auroc_weighted"] = np.array([roc_auc_score(y, scores, sample_weight=np.concatenate([weights, weights]))])

    binary = y[:, None].astype(np.float64)
    classes = np.eye(3)[np.arange(2 * n) % 3]
    for name, z in (("binary", binary), ("classes", classes)):
        eraser = leace(x, z)
        out[f"leace_{name}_projection"] = eraser.P.numpy()
        out[f"leace_{name}_erased"] = eraser(torch.tensor(x)).numpy()
    return out


def new_sets():
    rng = np.random.default_rng(20260402)
    return {"tall": pairs(rng, 60, 12, 0.5, 2), "wide": pairs(rng, 20, 48, 0.8, 1)}


def named(sets):
    return {f"{name}.{key}": np.ascontiguousarray(value) for name, of in sets.items() for key, value in of.items()}


def agree(key, old, new):
    """Largest difference to the size of the values; a direction may come with the other sign."""
    if old.shape != new.shape:
        return float("inf")
    scale = max(float(np.abs(old).max()), 1e-300)
    gap = float(np.abs(old - new).max()) / scale
    if "pca" in key:
        gap = min(gap, float(np.abs(np.abs(old) - np.abs(new)).max()) / scale)
    return gap


def check(folder):
    with safe_open(os.path.join(folder, NAME), "np") as file:
        frozen = {key: file.get_tensor(key) for key in file.keys()}
    sets = {name: {key: frozen.pop(f"{name}.{key}") for key in GIVEN} for name in ("tall", "wide")}
    fresh = named({name: references(given) for name, given in sets.items()})
    bad = sorted(set(frozen) ^ set(fresh))
    limit = 1e-6
    for key in sorted(set(frozen) & set(fresh)):
        gap = agree(key, frozen[key], fresh[key])
        good = gap <= limit  # a NaN is a failure
        print(f"  {'ok  ' if good else 'FAIL'} {key}: {gap:.3g} (limit {limit:.3g})")
        if not good:
            bad.append(key)
    if bad:
        print(f"{len(bad)} differ: " + ", ".join(bad))
        sys.exit(1)
    print("all agree")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="DIR", help="write the fixtures there")
    what.add_argument("--check", metavar="DIR", help="compare the fixtures there with fresh ones")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    if args.check:
        check(args.check)
    else:
        sets = new_sets()
        save_file(named({k: {**v, **references(v)} for k, v in sets.items()}), os.path.join(args.out, NAME))


if __name__ == "__main__":
    main()
