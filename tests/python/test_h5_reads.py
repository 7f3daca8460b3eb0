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
        acts = ("/activations/conscious/1/persona/response-mean", 1)
        assert users == fields | {("/directions/vectors/unit", 3), acts}


def files_can_be_extended_by_h5py(folder):
    copy = folder / "copy.h5"
    copy.write_bytes((folder / "results.h5").read_bytes())
    with h5py.File(copy, "r+") as f:
        new = f.create_dataset("geometry/mine", data=np.zeros(3))
        new.dims[0].attach_scale(f["coords/layer"])
        assert len(f["coords/layer"].attrs["REFERENCE_LIST"]) == 6
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
            # Halves in their own file, which netCDF does not know.
            with xr.open_datatree(path, engine=engine) as tree:
                mean = tree["activations/conscious/1/persona/response-mean"]
                assert mean.sel(sample=99, layer=7, hidden=2) == 99 + 20 + 2
    path = folder / "activations/conscious-s1.h5"
    with xr.open_dataset(path, group="activations/conscious/1/persona", engine="h5netcdf") as ds:
        mean = ds["response-mean"]
        assert mean.dims == ("sample", "layer", "hidden")
        assert mean.sel(sample=99, layer=7, hidden=2) == 99 + 20 + 2


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
    exports_load,
    the_control_vector_loads,
    the_manifest_has_the_files_hashes,
]

if __name__ == "__main__":
    checks.main(CHECKS, "usage: python test_h5_reads.py <folder written by write_sample_run>")
