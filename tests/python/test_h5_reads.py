"""What Python sees of a run folder written by the toolkit.

    python test_h5_reads.py <folder>

The folder is one that the example `write_sample_run` has written. Every check has its
own function; the script names each that fails and exits with 1.
"""

import csv
import json
import hashlib
import sys
import traceback
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from safetensors import safe_open

HERE = Path(__file__).resolve()
for parent in HERE.parents:
    if (parent / "notebooks-export").is_dir():
        sys.path.insert(0, str(parent / "notebooks-export"))
        break
from residuum_reader import Run  # noqa: E402

DIMS = ("state", "concept_a", "concept_b", "layer")
CONCEPTS = ["persona", "autonomy", "überdruß"]


def expected_cosine():
    state, a, b, layer = np.indices((2, 3, 3, 3))
    return 0.1 * state + 0.01 * layer + 0.5 * (a == b)


def root_attributes_are_text_and_numbers(folder):
    with h5py.File(folder / "results.h5") as f:
        assert f.attrs["schema"] == "residuum/2"
        assert f.attrs["seed"] == 7
        assert f.attrs["model_id"] == "org/modèle"
        assert f.attrs["layer_convention"] == "block_output_0based"
        assert json.loads(f.attrs["config"])["study"] == "sample"
        assert f["geometry/cosine"].attrs["interval"].startswith("95 %")


def h5py_sees_dimension_scales(folder):
    with h5py.File(folder / "results.h5") as f:
        cosine = f["geometry/cosine"]
        assert tuple(d.label for d in cosine.dims) == DIMS
        np.testing.assert_allclose(cosine[()], expected_cosine())
        for axis, name in enumerate(DIMS):
            scale = cosine.dims[axis][0]
            assert len(cosine.dims[axis]) == 1
            assert h5py.h5ds.is_scale(scale.id), name
            assert h5py.h5ds.get_scale_name(scale.id) == name.encode()
            assert h5py.h5ds.is_attached(cosine.id, scale.id, axis)
            assert scale == f["coords"][name]
        assert cosine.dims[1][0].asstr()[:].tolist() == CONCEPTS
        assert cosine.dims[3][0][:].tolist() == [0, 3, 7]
        users = {(f[ref].name, axis) for ref, axis in f["coords/layer"].attrs["REFERENCE_LIST"]}
        assert users == {("/geometry/" + n, 3) for n in ("cosine", "ci_lo", "ci_hi")}


def files_can_be_extended_by_h5py(folder):
    copy = folder / "copy.h5"
    copy.write_bytes((folder / "results.h5").read_bytes())
    with h5py.File(copy, "r+") as f:
        new = f.create_dataset("geometry/mine", data=np.zeros(3))
        new.dims[0].attach_scale(f["coords/layer"])
        assert len(f["coords/layer"].attrs["REFERENCE_LIST"]) == 4
        f["geometry/cosine"].dims[3].detach_scale(f["coords/layer"])
        assert len(f["geometry/cosine"].dims[3]) == 0
    copy.unlink()


def types_are_plain(folder):
    def check(name, item):
        if isinstance(item, h5py.Dataset):
            string = h5py.check_string_dtype(item.dtype)
            if string is None:
                assert item.dtype.kind in "if" and item.dtype.byteorder in "<=", name
            else:
                assert string.encoding == "utf-8" and string.length is None, name
            filters = [item.id.get_create_plist().get_filter(i)[0] for i in
                       range(item.id.get_create_plist().get_nfilters())]
            assert set(filters) <= {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE}, name

    for file in ("results.h5", "activations/conscious-0.h5"):
        with h5py.File(folder / file) as f:
            f.visititems(check)


def xarray_names_dimensions_and_coordinates(folder):
    with xr.open_dataset(folder / "results.h5", group="geometry", engine="h5netcdf") as ds:
        assert ds.cosine.dims == DIMS
        assert ds.concept_b.values.tolist() == CONCEPTS
        cell = ds.cosine.sel(state="conscious/0", concept_a="persona", concept_b="überdruß", layer=7)
        np.testing.assert_allclose(cell, 0.12)
    with xr.open_dataset(folder / "results.h5", group="behaviour", engine="h5netcdf") as ds:
        assert ds.score.dtype == np.float32
        assert ds.status.sel(state="base/0", preference="memory").item() == "isolated"
    path = folder / "activations/conscious-0.h5"
    with xr.open_dataset(path, group="activations/conscious/0/persona", engine="h5netcdf") as ds:
        mean = ds["response-mean"]
        assert mean.dims == ("sample", "layer", "hidden")
        assert mean.sel(sample=99, layer=7, hidden=2) == 99 + 20 + 2


def the_reader_reads_results(folder):
    with Run(folder) as run:
        cosine, dims = run.array("geometry/cosine")
        assert dims == DIMS and cosine.shape == (2, 3, 3, 3)
        assert run.coords()["preference"].tolist() == ["shutdown", "memory"]
        assert run.attrs()["config"]["seeds"] == [0]
        assert run.list() == ["behaviour/prompts/log_odds", "behaviour/prompts/n",
                              "behaviour/prompts/prompt_id", "behaviour/score", "behaviour/status",
                              "geometry/ci_hi", "geometry/ci_lo", "geometry/cosine"]
        frame = run.to_pandas("geometry/cosine", "geometry/ci_lo")
        assert list(frame.columns) == [*DIMS, "cosine", "ci_lo"] and len(frame) == 54
        row = frame[(frame.state == "base/0") & (frame.concept_a == "persona")
                    & (frame.concept_b == "persona") & (frame.layer == 3)]
        np.testing.assert_allclose(row.cosine.item(), 0.51)
        table = run.table("behaviour/prompts")
        assert list(table.columns) == ["prompt_id", "log_odds", "n"]
        assert table.prompt_id[1] == "b,c" and np.isnan(table.log_odds[1])
        assert run.to_xarray("geometry/cosine").sel(layer=3, state="base/0").shape == (3, 3)


def the_reader_reads_activations(folder):
    with Run(folder) as run:
        assert run.states() == [("conscious", 0)]
        acts = run.activations("conscious", 0, "persona", "response-mean", layers=[3, 7])
        sample, layer, hidden = np.indices((100, 2, 16))
        np.testing.assert_array_equal(acts.data, sample + 10 * (layer + 1) + hidden)
        assert acts.data.dtype == np.float32 and acts.layers.tolist() == [3, 7]
        assert len(acts.select(label="négative").data) == 50
        assert acts.columns["n_tokens"].tolist() == [3] * 100


def csv_equals_hdf5(folder):
    with open(folder / "csv/coupling.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    values = np.array([float(r["cosine"]) for r in rows]).reshape(2, 3, 3, 3)
    np.testing.assert_array_equal(values, Run(folder).array("geometry/cosine")[0])
    assert rows[-1]["concept_a"] == "überdruß" and rows[-1]["layer"] == "7"


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
    record = json.loads((folder / "manifest.json").read_text())
    assert len(record["outputs"]) == 3
    for name, digest in record["outputs"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def no_temporary_file_stays(folder):
    assert not list(folder.rglob("*.part"))


CHECKS = [
    root_attributes_are_text_and_numbers,
    h5py_sees_dimension_scales,
    files_can_be_extended_by_h5py,
    types_are_plain,
    xarray_names_dimensions_and_coordinates,
    the_reader_reads_results,
    the_reader_reads_activations,
    csv_equals_hdf5,
    exports_load,
    the_control_vector_loads,
    the_manifest_has_the_files_hashes,
    no_temporary_file_stays,
]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python test_h5_reads.py <folder written by write_sample_run>")
    failed = 0
    for check in CHECKS:
        try:
            check(Path(sys.argv[1]))
            print(f"ok      {check.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__}")
            traceback.print_exc()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
