"""What Python sees of a run folder written by the toolkit.

    python test_h5_reads.py <folder>

The folder is one that the example `write_sample_run` has written, so every value is known here.
"""

import hashlib
import json

import h5py
import numpy as np
import xarray as xr
from safetensors import safe_open

import checks
from checks import Run

STATES = ["base", "conscious-s1"]
CONCEPTS = ["persona", "autonomy", "überdruß"]
DIMS = ["state", "concept_a", "concept_b", "form", "layer"]


def expected_coupling():
    state, a, b, form, layer = np.indices((2, 3, 3, 2, 3))
    return 0.1 * state + 0.01 * layer + 0.001 * form + 0.5 * (a == b)


def expected_units():
    state, concept, _, layer, hidden = np.indices((2, 3, 1, 3, 16))
    return (state + 10 * concept + 100 * layer + hidden / 16).astype("f4")


def root_attributes_are_the_samples(folder):
    with h5py.File(folder / "results.h5") as f:
        assert f.attrs["seed"] == 7
        assert f.attrs["model_id"] == "org/modèle"
        assert json.loads(f.attrs["config"])["study"] == "sample"


def h5py_sees_dimension_scales(folder):
    with h5py.File(folder / "results.h5") as f:
        estimate = f["geometry/coupling/estimate"]
        assert [d.label for d in estimate.dims] == DIMS
        np.testing.assert_allclose(estimate[()], expected_coupling())
        for axis, name in enumerate(DIMS):
            assert estimate.dims[axis][0] == f["coords"][name], name
        assert estimate.dims[1][0].asstr()[:].tolist() == CONCEPTS
        assert estimate.dims[4][0][:].tolist() == [0, 3, 7]
        unit = f["directions/vectors/unit"]
        assert [d.label for d in unit.dims] == ["state", "concept", "estimator", "layer", "hidden"]
        np.testing.assert_array_equal(unit[()], expected_units())
        users = {(f[ref].name, axis) for ref, axis in f["coords/layer"].attrs["REFERENCE_LIST"]}
        fields = {(f"/geometry/coupling/{n}", 4) for n in ("estimate", "lo", "hi")}
        assert users == fields | {("/directions/vectors/unit", 3)}


def files_can_be_extended_by_h5py(folder):
    copy = folder / "copy.h5"
    copy.write_bytes((folder / "results.h5").read_bytes())
    with h5py.File(copy, "r+") as f:
        new = f.create_dataset("geometry/mine", data=np.zeros(3))
        new.dims[0].attach_scale(f["coords/layer"])
        assert len(f["coords/layer"].attrs["REFERENCE_LIST"]) == 5
        f["geometry/coupling/lo"].dims[4].detach_scale(f["coords/layer"])
        assert len(f["geometry/coupling/lo"].dims[4]) == 0
    copy.unlink()


def definitions_and_units_are_attributes(folder):
    with h5py.File(folder / "results.h5") as f:
        coupling = f["geometry/coupling"]
        assert coupling.attrs["is"].startswith("Cosine of two concepts' directions in one state")
        assert coupling.attrs["interval"].startswith("95 %")
        assert coupling.attrs["columns"].tolist() == [*DIMS, "estimate", "lo", "hi"]
        assert f["study/training/loss"].attrs["unit"] == "nats a token"
        assert f["behaviour/scores/estimate"].attrs["unit"] == "nats a token"
        assert "unit" not in f["study/training/step"].attrs


def a_grid_has_its_own_labels_where_they_differ(folder):
    with h5py.File(folder / "results.h5") as f:
        grid = f["geometry/precision"]
        assert grid["state"] == f["coords/state"]
        assert grid["concept"] != f["coords/concept"] and grid["layer"] != f["coords/layer"]
        assert grid["concept"].asstr()[:].tolist() == ["persona", "überdruß"]
        np.testing.assert_array_equal(grid["n"][:, :, 0], [[20, np.nan], [np.nan, 22]])


def xarray_selects_by_name(folder):
    path = folder / "results.h5"
    for engine in checks.ENGINES:
        with xr.open_datatree(path, group="geometry", engine=engine) as tree:
            assert list(tree["coupling"].ds.estimate.dims) == DIMS
            at = dict(state="conscious-s1", concept_a="persona", concept_b="überdruß", form="relative", layer=7)
            np.testing.assert_allclose(tree["coupling"].ds.sel(at).estimate, 0.121)
            assert tree["precision"].ds.reliability.sel(state="base", concept="persona", layer=3) == 0.8
        with xr.open_datatree(path, group="behaviour", engine=engine) as tree:
            assert tree["scores"].ds.status.sel(state="conscious-s1", preference="memory").item() == "isolated"
        with xr.open_dataset(path, group="directions/vectors", engine=engine) as ds:
            assert ds.unit.dtype == np.float32
            assert ds.unit.sel(concept="überdruß", state="base", layer=7, hidden=8).item() == 220.5
    # netCDF has no half precision.
    path = folder / "activations/conscious-s1.h5"
    with xr.open_dataset(path, group="activations/conscious/1/persona", engine="h5netcdf") as ds:
        mean = ds["response-mean"]
        assert mean.dims == ("sample", "layer", "hidden")
        assert mean.sel(sample=99, layer=7, hidden=2) == 99 + 20 + 2


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
        acts = run.activations("conscious", 1, "persona", "response-mean", layers=[3, 7])
        sample, layer, hidden = np.indices((100, 2, 16))
        np.testing.assert_array_equal(acts.data, sample + 10 * (layer + 1) + hidden)
        assert acts.data.dtype == np.float32 and acts.layers.tolist() == [3, 7]
        assert len(acts.select(label="négative").data) == 50
        assert acts.columns["n_tokens"].tolist() == [3] * 100


def exports_load(folder):
    array = np.load(folder / "export/persona.npy", allow_pickle=False)
    assert array.shape == (8, 16) and array.dtype == np.float32
    np.testing.assert_array_equal(array[7], 700 + np.arange(16))
    assert np.isnan(array[1]).all()
    with safe_open(folder / "export/directions.safetensors", "numpy") as f:
        assert f.metadata()["layer_convention"] == "block_output_0based"
        assert f.metadata()["model_id"] == "org/modèle"
        np.testing.assert_array_equal(f.get_tensor("autonomy.3"), -(300.0 + np.arange(16)))


def the_control_vector_loads(folder):
    try:
        from gguf import GGUFReader
    except ImportError:
        print("skipped: the gguf package is not installed")
        return
    reader = GGUFReader(folder / "export/persona.gguf")
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert reader.fields["controlvector.layer_count"].contents() == 2
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    tensors = {t.name: t for t in reader.tensors}
    assert list(tensors) == ["direction.3", "direction.7"]
    np.testing.assert_array_equal(tensors["direction.7"].data, 700 + np.arange(16))


def the_manifest_has_the_files_hashes(folder):
    record = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert len(record["outputs"]) == 3
    for name, digest in record["outputs"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


CHECKS = [
    *checks.EVERY,
    root_attributes_are_the_samples,
    h5py_sees_dimension_scales,
    files_can_be_extended_by_h5py,
    definitions_and_units_are_attributes,
    a_grid_has_its_own_labels_where_they_differ,
    xarray_selects_by_name,
    the_reader_reads_results,
    the_reader_says_what_there_is,
    the_reader_reads_activations,
    exports_load,
    the_control_vector_loads,
    the_manifest_has_the_files_hashes,
]

if __name__ == "__main__":
    checks.main(CHECKS, "usage: python test_h5_reads.py <folder written by write_sample_run>")
