"""Writes the numbers that tests/reference.rs holds the statistics to.

    python make_stats_fixtures.py [--out ../fixtures/stats] [--check]

Inputs are drawn here with a fixed seed, rounded to six digits and stored beside the answers of scikit-learn, scipy
and statsmodels, so the Rust tests need no Python. Where no library has the quantity (debiased CKA, a cosine freed
of noise, a cleaned or whitened cosine) the answer is a second implementation in numpy from the definition. `--check`
computes everything anew and compares with the frozen file: exit status 1 where a number is off by more than 1e-7 of
its size. A few seconds.
"""

import argparse
import json
import os
import sys

import numpy as np
import scipy
import scipy.linalg
import scipy.stats
import sklearn
import sklearn.covariance
import sklearn.decomposition
import sklearn.metrics
import sklearn.mixture
import statsmodels
import statsmodels.stats.multitest
import statsmodels.stats.proportion
import statsmodels.stats.weightstats

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "reference.json"


def draw(rng, *shape):
    """Normal numbers that survive JSON and f32 alike."""
    return np.round(rng.standard_normal(shape), 6).astype(np.float32).astype(np.float64)


def principal_components(rng):
    x = draw(rng, 14, 6) * np.array([3, 2, 1, 1, 0.5, 0.5])
    fit = sklearn.decomposition.PCA(n_components=4, svd_solver="full").fit(x)
    return {"x": x, "components": fit.components_, "singular_values": fit.singular_values_}


def silhouettes(rng):
    states = draw(rng, 3, 10, 5)
    states[1, :, 0] += 1.5
    states[2, :, 1] += 4.0
    labels = np.repeat(np.arange(3), 10)
    values = sklearn.metrics.silhouette_samples(states.reshape(30, 5), labels)
    return {"states": states, "mean": values.mean(), "by_state": [values[labels == k].mean() for k in range(3)]}


def areas(rng):
    cases = []
    for n, step in [(12, 0.0), (20, 0.5), (31, 1.0)]:
        positive, negative = draw(rng, n) + 0.6, draw(rng, n)
        if step:  # ties
            positive, negative = np.round(positive / step) * step, np.round(negative / step) * step
        labels = np.r_[np.ones(n), np.zeros(n)]
        scores = np.r_[positive, negative]
        weights = rng.integers(0, 4, 2 * n)
        cases.append({
            "positive": positive, "negative": negative, "weights": weights,
            "area": sklearn.metrics.roc_auc_score(labels, scores),
            "weighted": sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights),
        })
    return cases


def angles(rng):
    cases = []
    for k, m, d in [(2, 2, 6), (3, 5, 12), (8, 8, 40)]:
        a, b = draw(rng, k, d), draw(rng, m, d)
        b[0] += 2 * a[0]
        found = np.sort(scipy.linalg.subspace_angles(a.T, b.T))
        cases.append({"a": a, "b": b, "angles": found})
    return cases


def kolmogorov(rng):
    cases = []
    for n, power in [(5, 1.0), (20, 1.0), (60, 1.3), (150, 1.0), (400, 1.1), (1000, 1.02)]:
        x = np.round(rng.random(n) ** power, 6)
        found = scipy.stats.ks_1samp(x, scipy.stats.uniform.cdf, method="exact")
        cases.append({"x": x, "distance": found.statistic, "p": found.pvalue})
    return cases


def permutation(rng):
    cases = []
    for effect in [0.0, 0.4, 0.8]:
        x = draw(rng, 11) + effect
        found = scipy.stats.permutation_test(
            (x,), lambda v, axis: v.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True)
        # All 2^11 sign patterns: the exact share of means at least as far from 0.
        exact = np.mean(np.abs(found.null_distribution) >= abs(x.mean()) - 1e-12)
        cases.append({"x": x, "p": exact})
    return cases


def rates():
    cases = []
    for k, n, j, m in [(0, 12, 3, 15), (7, 20, 2, 18), (56, 70, 48, 80), (1, 400, 9, 390), (30, 30, 25, 31)]:
        wilson = statsmodels.stats.proportion.proportion_confint(k, n, 0.05, "wilson")
        newcombe = statsmodels.stats.proportion.confint_proportions_2indep(k, n, j, m, compare="diff", method="newcomb")
        z, p = statsmodels.stats.proportion.proportions_ztest([k, j], [n, m])
        cases.append({"counts": [k, n, j, m], "wilson": wilson, "newcombe": newcombe, "z": z, "p": p})
    return cases


def false_discovery(rng):
    p = np.round(np.r_[rng.random(25), rng.random(10) * 0.02, [0.5, 0.5]], 6)
    return {"p": p, "q": statsmodels.stats.multitest.multipletests(p, method="fdr_bh")[1]}


def replicates(rng):
    a, b = draw(rng, 4) + 1.0, draw(rng, 6) * 2
    welch = scipy.stats.ttest_ind(a, b, equal_var=False)
    between = welch.confidence_interval(0.95)
    one = scipy.stats.ttest_1samp(a, 0.0)
    inside = one.confidence_interval(0.95)
    return {
        "a": a, "b": b,
        "mean": {"value": a.mean(), "lo": inside.low, "hi": inside.high, "p": one.pvalue, "df": one.df},
        "difference": {"value": a.mean() - b.mean(), "lo": between.low, "hi": between.high, "p": welch.pvalue, "df": welch.df},
    }


def correlations(rng):
    x = np.round(draw(rng, 25), 1)  # with ties
    y = x + draw(rng, 25)
    return {"x": x, "y": y, "pearson": scipy.stats.pearsonr(x, y)[0], "spearman": scipy.stats.spearmanr(x, y)[0]}


def quantiles(rng):
    x = draw(rng, 37)
    return {"x": x, "lo": np.quantile(x, 0.025), "hi": np.quantile(x, 0.975)}


def shrinkage(rng):
    cases = []
    for n, d in [(20, 8), (12, 30)]:
        x = (draw(rng, n, d) * np.linspace(0.3, 3, d) + 1.0).astype(np.float32).astype(np.float64)
        cases.append({"x": x, "lambda": sklearn.covariance.LedoitWolf().fit(x).shrinkage_})
    return cases


def mixtures(rng):
    cases = []
    for n, apart in [(40, 0.0), (60, 4.0), (90, 6.0)]:
        x = draw(rng, n)
        x[: n // 3] += apart
        fits = [
            sklearn.mixture.GaussianMixture(k, tol=1e-10, max_iter=20000, n_init=30, reg_covar=1e-3 * x.var(), random_state=0).fit(x[:, None])
            for k in (1, 2)
        ]
        cases.append({"x": x, "bic_one": fits[0].bic(x[:, None]), "bic_two": fits[1].bic(x[:, None])})
    return cases


def isotropic():
    return [
        {"d": d, "level": level, "cosine": np.sqrt(scipy.stats.beta.ppf(level, 0.5, (d - 1) / 2))}
        for d, level in [(2, 0.95), (10, 0.9), (576, 0.95), (4096, 0.99)]
    ]


def alignment(rng):
    x = draw(rng, 15, 30)
    y = x[:, :20] + 0.7 * draw(rng, 15, 20)

    def hsic(k, l):
        n = len(k)
        k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
        one = np.ones(n)
        return (np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))

    def debiased(x, y):
        k, l = x @ x.T, y @ y.T
        return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))

    a, b = x - x.mean(0), y - y.mean(0)
    biased = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    return {"x": x, "y": y, "biased": biased, "debiased": debiased(x, y)}


def cosines(rng):
    """Two concepts, a nuisance and neutral texts at one layer."""
    d = 10
    scale = np.linspace(0.5, 2, d)
    axes = draw(rng, 3, d)
    axes[1] += axes[0]
    counts = [14, 9, 8]
    pairs = [(draw(rng, n, d) * scale + 1.5 * axis).astype(np.float32).astype(np.float64) for n, axis in zip(counts, axes)]
    neutral = (draw(rng, 12, d) * scale[::-1]).astype(np.float32).astype(np.float64)
    means = [x.mean(0) for x in pairs]

    def cosine(a, b, inner=np.eye(d)):
        return a @ inner @ b / np.sqrt((a @ inner @ a) * (b @ inner @ b))

    def noiseless(x, inner=np.eye(d)):
        g = x @ inner @ x.T
        n = len(x)
        return (g.sum() - np.trace(g)) / (n * (n - 1))

    def relative(x, y, inner=np.eye(d)):
        return x.mean(0) @ inner @ y.mean(0) / np.sqrt(noiseless(x, inner) * noiseless(y, inner))

    fit = sklearn.covariance.LedoitWolf().fit(neutral)
    n = len(neutral)
    sample = np.cov(neutral.T, bias=False)
    covariance = (1 - fit.shrinkage_) * sample + fit.shrinkage_ * np.trace(sample) / d * np.eye(d)
    inverse = np.linalg.inv(covariance)
    nuisance = means[2] / np.linalg.norm(means[2])
    keep = np.eye(d) - np.outer(nuisance, nuisance)
    a, b = pairs[:2]
    return {
        "pairs": pairs, "neutral": neutral,
        "raw": cosine(means[0], means[1]), "relative": relative(a, b),
        "reliability": [noiseless(x) / (x.mean(0) @ x.mean(0)) for x in pairs[:2]],
        "cleaned": cosine(means[0], means[1], keep), "cleaned_relative": relative(a, b, keep),
        "whitened": cosine(means[0], means[1], inverse), "whitened_relative": relative(a, b, inverse),
    }


def everything():
    rng = np.random.default_rng(20260402)
    return {
        "about": {
            "script": "tests/oracles/make_stats_fixtures.py", "licence": "as the project",
            "versions": {m.__name__: m.__version__ for m in (np, scipy, sklearn, statsmodels)},
        },
        "principal_components": principal_components(rng),
        "silhouettes": silhouettes(rng),
        "areas": areas(rng),
        "angles": angles(rng),
        "kolmogorov": kolmogorov(rng),
        "permutation": permutation(rng),
        "rates": rates(),
        "false_discovery": false_discovery(rng),
        "replicates": replicates(rng),
        "correlations": correlations(rng),
        "quantiles": quantiles(rng),
        "shrinkage": shrinkage(rng),
        "mixtures": mixtures(rng),
        "isotropic": isotropic(),
        "alignment": alignment(rng),
        "cosines": cosines(rng),
    }


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(np.format_float_positional(value, 15, fractional=False)) if np.isfinite(value) else None
    return value


def compare(path, frozen, new, off):
    if isinstance(new, dict):
        for key in new:
            compare(f"{path}/{key}", frozen[key], new[key], off)
    elif isinstance(new, list):
        if len(frozen) != len(new):
            off.append(f"{path}: {len(frozen)} frozen, {len(new)} now")
        for i, (a, b) in enumerate(zip(frozen, new)):
            compare(f"{path}/{i}", a, b, off)
    elif isinstance(new, float):
        if not abs(frozen - new) <= 1e-7 * max(1.0, abs(new)):
            off.append(f"{path}: {frozen} frozen, {new} now")
    elif frozen != new:
        off.append(f"{path}: {frozen} frozen, {new} now")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(HERE, "..", "fixtures", "stats"))
    parser.add_argument("--check", action="store_true", help="compare with the frozen file instead of writing it")
    args = parser.parse_args()
    path = os.path.join(args.out, NAME)
    new = plain(everything())
    if args.check:
        with open(path, encoding="utf-8") as file:
            frozen = json.load(file)
        off = []
        compare("", {**frozen, "about": new["about"]}, new, off)
        print(f"statistics: {'ok' if not off else 'FAIL'}, {len(off)} numbers off")
        for line in off:
            print("  " + line)
        sys.exit(1 if off else 0)
    os.makedirs(args.out, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(new, file, indent=None, separators=(",", ":"))
        file.write("\n")
    print(f"{os.path.getsize(path)} bytes in {path}")


if __name__ == "__main__":
    main()
