"""The reader in python/residuum, on a run folder whose every value is known.

    python test_reader.py <folder>

The folder is one that the example `write_sample_run` has written.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import checks
from checks import Run
from residuum import SourceError, colours
from test_h5_reads import CONCEPTS, DIMS, expected_units


def the_reader_reads_results(folder):
    with Run(folder) as run:
        assert run.paths() == ["behaviour/scores", "directions/nuisances", "geometry/coupling", "geometry/precision",
                               "study/layers", "study/states", "study/training", "study/warnings"]
        kinds = run.kinds().set_index("path")
        assert kinds.loc["geometry/coupling", "dimensions"] == ", ".join(DIMS)
        assert kinds.loc["geometry/precision", "rows"] == 2 and kinds.loc["study/states", "dimensions"] == ""
        frame = run.records("geometry/coupling")
        assert list(frame.columns) == [*DIMS, "estimate", "lo", "hi"] and len(frame) == 108
        row = frame[(frame.state == "base") & (frame.concept_a == "persona") & (frame.concept_b == "persona")
                    & (frame.form == "raw") & (frame.layer == 3)]
        np.testing.assert_allclose(row.estimate.item(), 0.51)
        gaps = run.records("geometry/precision")
        assert gaps[["state", "concept", "layer", "n"]].values.tolist() == [
            ["base", "persona", 3, 20], ["conscious-s1", "überdruß", 3, 22]]
        assert run.records("study/states").seed.tolist() == [0, 1]
        assert run.records("study/layers").reported.tolist() == [0, 1, 0]
        loss = run.records("study/training").loss
        assert loss[:2].tolist() == [2.25, 0.1] and np.isnan(loss[2])
        assert run.records("study/warnings").text.item() == 'it says "yes",\nand no more'
        assert run.records("directions/nuisances").layer.tolist() == [0, 3, 7]
        fields = run.fields("study/training")
        assert fields.loc["loss", "unit"] == "nats a token" and fields.loc["state", "is"] == "Model state."
        assert run.grid("geometry/coupling").sel(layer=3, state="base", form="raw").estimate.shape == (3, 3)
        np.testing.assert_array_equal(run.array("directions/vectors/unit"), expected_units())
        assert run.array("directions/vectors/unit").coords["concept"].values.tolist() == CONCEPTS
        assert run.attrs()["config"]["seeds"] == [0]


def the_reader_says_what_there_is(folder):
    with Run(folder) as run:
        for wrong, call in (("geometry/cosine", run.records), ("study/states", run.grid)):
            try:
                call(wrong)
            except (KeyError, ValueError) as error:
                assert wrong in str(error), error
                assert wrong == "study/states" or "geometry/coupling" in str(error), error
            else:
                raise AssertionError(f"{wrong} was read")


def the_reader_reads_activations(folder):
    with Run(folder) as run:
        assert run.states() == [("conscious", 1)]
        assert run.roles() == {} and run.colours() == {
            "base": "#000000", "conscious": "#D55E00", "conscious-s1": "#D55E00"}
        acts = run.activations("conscious", 1, "persona", "response-mean", layers=[3, 7])
        sample, layer, hidden = np.indices((100, 2, 16))
        np.testing.assert_array_equal(acts.data, sample + 10 * (layer + 1) + hidden)
        assert acts.data.dtype == np.float32 and acts.layers.tolist() == [3, 7]
        assert len(acts.select(label="négative").data) == 50
        assert acts.columns["n_tokens"].tolist() == [3] * 100


def the_reader_refuses_activations_of_a_file_that_is_gone_or_another(folder):
    with tempfile.TemporaryDirectory() as alone:
        copy = Path(alone)
        shutil.copy(folder / "results.h5", copy)
        acts = copy / "activations/conscious-s1.h5"
        for there in (False, True):
            if there:
                acts.parent.mkdir()
                acts.write_bytes((folder / "activations/conscious-s1.h5").read_bytes() + b"\0")
            with Run(copy) as run:
                # HDF5 alone says nothing of it.
                raw = run.file["activations/conscious/1/persona/response-mean"]
                assert there or np.isnan(raw[0]).all()
                for read in (
                    lambda: run.activations("conscious", 1, "persona", "response-mean"),
                    lambda: run.values("activations/conscious/1/persona/response-mean"),
                ):
                    try:
                        read()
                    except SourceError as error:
                        assert "conscious-s1.h5" in str(error), error
                    else:
                        raise AssertionError("activations of another file were read")
                assert run.records("study/states").seed.tolist() == [0, 1]


def every_name_has_a_colour_of_its_own(_):
    """Past the list by the name, as src/report/notebooks.rs has it of the figures."""
    names = [f"name{i}" for i in range(16)] + ["keeper", "überdruß"]
    found = colours(names)
    assert [*found] == names and len(set(found.values())) == 18
    assert (found["keeper"], found["überdruß"]) == ("#30A66D", "#30A63C"), found


def a_run_that_is_not_there_is_named(_):
    try:
        Run("no/such/run")
    except FileNotFoundError as error:
        assert "no/such/run" in str(error), error
    else:
        raise AssertionError("there is no such run")


def arrays_have_named_axes(folder):
    with Run(folder) as run:
        units = run.directions()
        assert units.dims == ("state", "concept", "estimator", "layer", "hidden")
        one = units.sel(state="base", concept="überdruß", estimator="mean-diff", layer=7)
        assert one.dims == ("hidden",)
        np.testing.assert_array_equal(one.data, expected_units()[0, 2, 0, 2])
        assert units.to_xarray().sel(layer=7, state="base", concept="überdruß", hidden=8).item() == 220.5
        try:
            units.sel(layer=5)
        except KeyError as error:
            assert "[0, 3, 7]" in str(error), error
        else:
            raise AssertionError("there is no layer 5")
        acts = run.activations("conscious", 1, "persona", "response-mean").to_xarray()
        assert acts.dims == ("sample", "layer", "hidden")
        assert acts.sel(layer=7).isel(sample=acts.prompt_id == "p99", hidden=2).item() == 99 + 20 + 2


CORE = """
import sys
sys.modules["pandas"] = sys.modules["xarray"] = None
import residuum
with residuum.Run(sys.argv[1]) as run:
    assert "geometry/coupling" in run.paths() and "base" in run.colours() and not run.roles()
    assert len(run.columns("geometry/coupling")["estimate"]) == 108
    assert run.values("geometry/coupling/estimate").sel(layer=3, state="base", form="raw").data.shape == (3, 3)
    assert run.directions().data.shape == (2, 3, 1, 3, 16)
    assert run.activations("conscious", 1, "persona", "response-mean").data.shape == (100, 3, 16)
    try:
        run.records("geometry/coupling")
    except ImportError as error:
        assert "columns(path)" in str(error), error
    else:
        raise AssertionError("there are no frames without pandas")
"""


def the_core_needs_no_more_than_h5py_and_numpy(folder):
    package = Path(checks.__file__).resolve().parents[2] / "python"
    subprocess.run([sys.executable, "-c", CORE, folder.resolve()], cwd=package, check=True)


CHECKS = [
    the_reader_reads_results,
    the_reader_says_what_there_is,
    the_reader_reads_activations,
    the_reader_refuses_activations_of_a_file_that_is_gone_or_another,
    every_name_has_a_colour_of_its_own,
    a_run_that_is_not_there_is_named,
    arrays_have_named_axes,
    the_core_needs_no_more_than_h5py_and_numpy,
]

if __name__ == "__main__":
    checks.main(CHECKS, "usage: python test_reader.py <folder written by write_sample_run>")
