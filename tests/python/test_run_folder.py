"""A study's run folder: its results.h5, and what lies beside it.

    python test_run_folder.py <run folder>
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import xarray as xr

import checks
from checks import Run

import residuum  # found by checks

ALWAYS = ["study/states", "study/conditions", "study/concepts", "study/layers", "directions/quality",
          "geometry/coupling", "geometry/nulls", "geometry/precision", "geometry/conditions", "geometry/shifts",
          "behaviour/scores", "behaviour/contrasts", "report/findings"]


def read_json(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def the_study_is_in_the_file(folder):
    with Run(folder) as run:
        absent = set(ALWAYS) - set(run.paths())
        assert not absent, absent
        states, conditions = run.records("study/states"), run.records("study/conditions")
        assert states.state[0] == "base" and states.state.is_unique
        assert set(states.condition) == set(conditions.condition)
        for _, c in conditions.iterrows():
            assert c.n == (states.condition == c.condition).sum(), c.condition
        for role in ("base", "focus", "reference"):
            assert (conditions.role == role).sum() <= 1, role
        grid = run.grid("geometry/coupling")
        assert grid.state.values.tolist() == states.state.tolist()
        concepts = run.records("study/concepts").concept.tolist()
        assert grid.concept_a.values.tolist() == grid.concept_b.values.tolist() == concepts
        assert grid.layer.values.tolist() == run.records("study/layers").layer.tolist()


def intervals_hold_their_order(folder):
    with Run(folder) as run:
        for path in run.paths():
            frame = run.records(path)
            for column in frame.columns:
                if column == "lo" or column.endswith("_lo"):
                    lo, hi = frame[column], frame[column[:-2] + "hi"]
                    both = lo.notna() & hi.notna()
                    assert (lo[both] <= hi[both]).all(), (path, column)
                if column in ("p", "q") or column.startswith("p_"):
                    p = frame[column].dropna()
                    assert ((p >= 0) & (p <= 1)).all(), (path, column)


def shifts_and_doses_have_their_units(folder):
    with Run(folder) as run:
        for path, field, unit in [("geometry/shifts", "estimate", "layer RMS"),
                                  ("behaviour/scores", "estimate", "nats a token")]:
            assert run.fields(path).loc[field, "unit"] == unit, path


def the_directions_give_the_cosines(folder):
    with Run(folder) as run:
        units = run.array("directions/vectors/unit").sel(estimator="mean-diff").astype("f8")
        raw = run.grid("geometry/coupling").estimate.sel(form="raw")
        again = np.einsum("sald,sbld->sabl", units, units)
        gap = np.abs(again - raw.transpose("state", "concept_a", "concept_b", "layer").values).max()
        assert gap < 1e-5, gap


def the_activations_give_the_directions(folder):
    """Through results.h5, for every state and concept."""
    with Run(folder) as run:
        states = run.records("study/states")
        assert sorted(run.states()) == sorted(zip(states.condition, states.seed))
        units = run.array("directions/vectors/unit").sel(estimator="mean-diff")
        for _, s in states.iterrows():
            for concept in units.concept.values:
                acts = run.activations(s.condition, s.seed, concept, "response-mean")
                positive, negative = (acts.select(label=side) for side in ("positive", "negative"))
                assert positive.columns["prompt_id"].tolist() == negative.columns["prompt_id"].tolist()
                delta = (positive.data.astype("f8") - negative.data).mean(0)
                delta /= np.linalg.norm(delta, axis=1, keepdims=True)
                unit = units.sel(state=s.state, concept=concept, layer=acts.layers)
                gap = np.abs(delta - unit.values).max()
                assert gap < 1e-5, (s.state, concept, gap)


def roles_are_those_of_the_manifest(folder):
    with Run(folder) as run:
        named = {role: c for role, c in run.attrs()["config"]["roles"].items() if c}
        assert run.roles() == {"base": "base"} | named, run.roles()
        states = run.records("study/states")
        found = run.colours()
        assert len({found[c] for c in states.condition}) == states.condition.nunique()
        assert all(found[s] == found[c] for s, c in zip(states.state, states.condition))


def the_lines_of_the_readers_docstring_run(folder):
    lines = [line.strip() for line in residuum.__doc__.splitlines() if line.startswith("    ")]
    names = {"xarray": xr}
    for line in lines:
        # A column of names: "code    # comment"; both examples read the run that is given.
        code = line.replace('"runs/quick"', repr(str(folder))).replace('"results.h5"', repr(str(folder / "results.h5")))
        exec(code, names)
    assert len(lines) >= 9 and names["acts"].data.ndim == 3, lines


def findings_json_has_the_records(folder):
    """The same rows, in order, each with its sentence; and what was drawn."""
    report = read_json(folder, "findings.json")
    kept = {f"declar{x}": f"study/declar{x}" for x in ("ation", "ed_contrasts", "ed_keys")}
    kept |= {"findings": "report/findings", "references": "report/references"}
    assert set(report) == {*kept, "figures", "warnings"}
    with Run(folder) as run:
        for key, path in kept.items():
            rows = report[key]
            frame = run.records(path) if path in run.paths() else None
            assert len(rows) == (0 if frame is None else len(frame)), key
            for i, row in enumerate(rows):
                for name in frame.columns:
                    stored, written = frame[name].iloc[i], row[name]
                    missing = written is None and math.isnan(stored)
                    assert missing or stored == written, (key, i, name, stored, written)
                extra = set(row) - set(frame.columns)
                assert extra == ({"sentence"} if key == "findings" else set()), extra
        assert report["findings"] and all(row["sentence"].strip() for row in report["findings"])
        said = set(report["warnings"])
        assert len(said) == len(report["warnings"])
        if "study/warnings" in run.paths():
            for _, w in run.records("study/warnings").iterrows():
                assert (f"{w.about}: {w.text}" if w.about else w.text) in said, w.text


def the_figures_are_those_of_the_report(folder):
    figures = read_json(folder, "findings.json")["figures"]
    expected = {f"{name}.{kind}" for name in figures for kind in ("svg", "png", "csv")}
    assert figures and {p.name for p in (folder / "figures").iterdir()} == expected
    text = (folder / "report.md").read_text(encoding="utf-8")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(f"figures/{name}.png" in text for name in figures)
    assert page.count("<svg") >= len(figures)
    for name in figures:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), name
        assert (folder / "figures" / f"{name}.csv").read_text(encoding="utf-8").count("\n") > 1, name


def rows_json_says_which_rows_were_used(folder):
    rows = read_json(folder, "rows.json")
    assert set(rows) == {"used", "learnt"}
    kinds = {"rows", "prompts", "concept", "preference", "claim", "script", "declining", "texts"}
    for used in rows["used"]:
        assert set(used) - {"items"} == {"kind", "file", "sha256", "of", "lines", "ids"}, used
        assert used["kind"] in kinds and len(used["sha256"]) == 64, used["file"]
        assert len(used["lines"]) <= used["of"], used["file"]
        assert len(used["ids"]) in (0, len(used["lines"])), used["file"]
    with Run(folder) as run:
        states = run.records("study/states")
        trained = states[states.source == "data"].state.tolist()
        assert [learnt["state"] for learnt in rows["learnt"]] == trained
        for state in trained:
            assert (folder / "adapters" / state / "adapter_model.safetensors").is_file(), state
        for _, c in run.records("study/concepts").iterrows():
            file = [u for u in rows["used"] if u["kind"] == "concept" and Path(u["file"]).stem == c.concept]
            assert [len(u["lines"]) for u in file] == [c.pairs + c.dev_pairs], c.concept


def the_manifest_has_every_output_as_it_is(folder):
    record = read_json(folder, "manifest.json")
    assert record["finished"] and record["inputs"] and record["hardware"]
    stages = [stage["name"] for stage in record["stages"]]
    assert stages[-2:] == ["measure", "report"] and len(set(stages)) == len(stages)
    assert {p.stem for p in (folder / "stages").glob("*.json")} >= set(stages)
    outputs = record["outputs"]
    for name, digest in outputs.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    for name in ("results.h5", "rows.json", "report.html", "report.md", "findings.json", "csv/study.states.csv"):
        assert name in outputs, name
    for kind in ("csv", "figures", "activations"):
        below = {f"{kind}/{p.name}" for p in (folder / kind).iterdir()}
        assert below == {name for name in outputs if name.startswith(f"{kind}/")}, kind
    with Run(folder) as run:
        assert run.attrs()["config"]["inputs"] == read_json(folder, "stages/measure.json")["inputs"]


CHECKS = [
    *checks.EVERY,
    the_study_is_in_the_file,
    intervals_hold_their_order,
    shifts_and_doses_have_their_units,
    the_directions_give_the_cosines,
    the_activations_give_the_directions,
    roles_are_those_of_the_manifest,
    the_lines_of_the_readers_docstring_run,
    findings_json_has_the_records,
    the_figures_are_those_of_the_report,
    rows_json_says_which_rows_were_used,
    the_manifest_has_every_output_as_it_is,
]

if __name__ == "__main__":
    checks.main(CHECKS, "usage: python test_run_folder.py <run folder of a study>")
