"""What holds of every results.h5, whichever command or study wrote it.

Each check takes the folder of the file. `main` runs a list of checks, names each that fails and exits with 1.
"""

import csv
import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))
from residuum import Run  # noqa: E402

ENGINES = ["h5netcdf"] + (["netcdf4"] if importlib.util.find_spec("netCDF4") else [])


def records(file):
    """Path and group of every record."""
    found = {}

    def visit(path, item):
        if isinstance(item, h5py.Group) and "columns" in item.attrs:
            found[path] = item

    file.visititems(visit)
    return found


def is_scale(dataset):
    return h5py.h5ds.is_scale(dataset.id)


def fields_of(group):
    """Name and dataset of each field, in order, without dimensions."""
    return {n: group[n] for n in group.attrs["columns"] if not is_scale(group[n])}


def dims_of(dataset):
    return [axis.label for axis in dataset.dims]


def values_of(dataset):
    text = h5py.check_string_dtype(dataset.dtype) is not None
    return dataset.asstr()[()] if text else dataset[()]


def same(a, b):
    """Exactly the same numbers, or texts; NaN is NaN."""
    a, b = np.asarray(a), np.asarray(b)
    if is_text(a) or is_text(b):
        return a.shape == b.shape and (a.astype(str) == b.astype(str)).all()
    return np.array_equal(a.astype(float), b.astype(float), equal_nan=True)


def is_text(values):
    return values.dtype.kind in "OUT"


def types_are_plain(folder):
    def check(name, item):
        if isinstance(item, h5py.Dataset):
            string = h5py.check_string_dtype(item.dtype)
            if string is None:
                assert item.dtype.kind in "if" and item.dtype.byteorder in "<=", name
            else:
                assert string.encoding == "utf-8" and string.length is None, name
            plist = item.id.get_create_plist()
            filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
            assert filters <= {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE}, name

    for path in [folder / "results.h5", *sorted((folder / "activations").glob("*.h5"))]:
        with h5py.File(path) as f:
            f.visititems(check)


def root_attributes_say_what_made_the_file(folder):
    with Run(folder) as run:
        root = run.attrs()
        assert root["schema"] == "residuum/2" and root["layer_convention"] == "block_output_0based"
        for name in ("created", "version", "git", "command", "model_id", "model_sha256", "chat_template_sha256"):
            assert isinstance(root[name], str), name
        assert root["created"] and root["version"] and root["model_id"]
        assert root["seed"] == int(root["seed"]) and isinstance(root["config"], dict)


def every_record_and_field_says_what_it_is(folder):
    with h5py.File(folder / "results.h5") as f:
        assert len(records(f)) > 3
        for path, group in records(f).items():
            assert group.attrs["is"].strip(), path
            for attr in ("is", "estimator", "interval", "null", "source"):
                assert group.attrs.get(attr, "x").strip(), (path, attr)
            fields = fields_of(group)
            # A finding names the record that it is from, whose interval it has.
            assert "lo" not in fields or "interval" in group.attrs or "definition" in fields, path
            for name, dataset in fields.items():
                assert dataset.attrs["is"].strip(), (path, name)
                assert dataset.attrs.get("unit", "x").strip(), (path, name)


def a_record_is_a_table_or_a_grid(folder):
    """Columns along `row`, or arrays over one list of dimensions; each dimension's scale has its name and
    labels that are all different."""
    with h5py.File(folder / "results.h5") as f:
        for path, group in records(f).items():
            fields, columns = fields_of(group), list(group.attrs["columns"])
            dims = {tuple(dims_of(d)) for d in fields.values()}
            assert len(dims) == 1, (path, dims)
            dims = dims.pop()
            assert dims == ("row",) or set(dims) == set(columns) - set(fields), (path, dims)
            assert set(group) == set(fields) | set(dims), path
            for name, dataset in fields.items():
                for axis, dim in enumerate(dims):
                    scale = dataset.dims[axis][0]
                    assert len(dataset.dims[axis]) == 1 and is_scale(scale), (path, name)
                    assert h5py.h5ds.get_scale_name(scale.id) == dim.encode(), (path, name)
                    assert h5py.h5ds.is_attached(dataset.id, scale.id, axis), (path, name)
                    labels = values_of(scale)
                    assert len(labels) == dataset.shape[axis] == len(set(labels)), (path, name, dim)


def xarray_opens_the_whole_file_as_a_tree(folder):
    """Records with their dimensions and definitions, and the activations behind them."""
    with h5py.File(folder / "results.h5") as f:
        for engine in ENGINES:
            with xr.open_datatree(folder / "results.h5", engine=engine) as tree:
                for path, group in records(f).items():
                    at = f"{engine} {path}"
                    ds = tree[path].ds
                    assert set(ds.data_vars) == set(fields_of(group)), at
                    assert ds.attrs["is"] == group.attrs["is"], at
                    for name, dataset in fields_of(group).items():
                        assert list(ds[name].dims) == dims_of(dataset), (at, name)
                        assert ds[name].attrs["is"] == dataset.attrs["is"], (at, name)
                        assert ds[name].attrs.get("unit") == dataset.attrs.get("unit"), (at, name)
                        assert same(ds[name].values, values_of(dataset)), (at, name)
                    for dim in dims_of(dataset):
                        assert same(ds[dim].values, values_of(group[dim])), (at, dim)
                for path, array in virtual(f).items():
                    held = tree[path]
                    assert held.dims == ("sample", "layer", "hidden") and held.dtype == np.float32, (engine, path)
                    assert held.shape == array.shape and same(held[:2].values, behind(folder, array)[:2]), (engine, path)
                    texts = tree[path.rpartition("/")[0]].ds
                    assert texts.prompt_id.dims == texts.n_tokens.dims == ("sample",), (engine, path)


def virtual(file):
    """Path and dataset of every virtual array."""
    found = {}

    def visit(path, item):
        if isinstance(item, h5py.Dataset) and item.is_virtual:
            found[path] = item

    file.visititems(visit)
    return found


def behind(folder, array):
    """The numbers of a virtual array, from the file that it names."""
    (source,) = array.virtual_sources()
    with h5py.File(folder / source.file_name) as f:
        return f[source.dset_name][()]


def activations_are_of_the_files_beside(folder):
    """Every virtual array has its own dimensions, is NaN where its file is gone, and names its file's digest."""
    with h5py.File(folder / "results.h5") as f:
        for path, array in virtual(f).items():
            assert np.isnan(array.fillvalue), path
            assert dims_of(array) == ["sample", "layer", "hidden"], path
            (source,) = array.virtual_sources()
            held = hashlib.sha256((folder / source.file_name).read_bytes()).hexdigest()
            assert array.parent.parent.attrs["sources"].tolist() == [f"{held}  {source.file_name}"], path
            with h5py.File(folder / source.file_name) as own:
                for name in ("prompt_id", "label", "role", "n_tokens", "sample", "layer", "hidden"):
                    theirs = own[source.dset_name].parent.get(name)
                    assert same(values_of(array.parent[name]), values_of(theirs)), (path, name)


def rows_of_csv(folder, path):
    with open(folder / "csv" / f"{path.replace('/', '.')}.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f))
    return rows[0], rows[1:]


def every_csv_has_its_record(folder):
    with h5py.File(folder / "results.h5") as f:
        expected = {f"{path.replace('/', '.')}.csv" for path in records(f)}
    assert {p.name for p in (folder / "csv").iterdir()} == expected


def csv_equals_hdf5(folder):
    """Every number, bit for bit: tables row by row, grids cell by cell, and no cell without a row."""
    with h5py.File(folder / "results.h5") as f:
        for path, group in records(f).items():
            header, rows = rows_of_csv(folder, path)
            assert header == list(group.attrs["columns"]), path
            assert rows and all(len(row) == len(header) for row in rows), path
            column = dict(zip(header, zip(*rows)))
            fields = fields_of(group)
            dims = dims_of(next(iter(fields.values())))
            if dims == ["row"]:
                at = (np.arange(len(rows)),)
            else:
                places = [{str(v): i for i, v in enumerate(values_of(group[d]))} for d in dims]
                at = tuple(np.array([place[v] for v in column[d]]) for d, place in zip(dims, places))
                assert len(set(zip(*at))) == len(rows), path
            for name, dataset in fields.items():
                stored, written = values_of(dataset), np.array(column[name], dtype=object)
                text = is_text(stored)
                assert same(stored[at], written if text else written.astype(float)), (path, name)
                rest = np.ones(stored.shape, dtype=bool)
                rest[at] = False
                assert all(v == "" if text else np.isnan(v) for v in stored[rest]), (path, name)


def the_reader_gives_the_rows(folder):
    """The reader's rows are those of the CSV, without those of a grid in which every field is missing."""
    with Run(folder) as run, h5py.File(folder / "results.h5") as f:
        kinds = run.kinds().set_index("path")
        assert sorted(kinds.index) == sorted(records(f)) == sorted(run.paths())
        for path, group in records(f).items():
            header, rows = rows_of_csv(folder, path)
            frame = run.records(path)
            assert list(frame.columns) == header and kinds.loc[path, "rows"] == len(frame), path
            assert frame.attrs["is"] == kinds.loc[path, "is"] == group.attrs["is"], path
            dims = kinds.loc[path, "dimensions"].split(", ")
            if dims != [""]:
                held = [i for i, name in enumerate(header) if name not in dims]
                rows = [r for r in rows if any(r[i] not in ("", "NaN") for i in held)]
                assert list(run.grid(path)["estimate" if "estimate" in header else header[held[0]]].dims) == dims
            key = [i for i, name in enumerate(header) if name in dims]
            order = sorted(range(len(rows)), key=lambda r: [rows[r][i] for i in key])
            theirs = frame.astype({header[i]: str for i in key})
            theirs = theirs.sort_values([header[i] for i in key], kind="stable") if key else theirs
            assert len(theirs) == len(rows), path
            for i, name in enumerate(header):
                wanted = np.array([rows[r][i] for r in order], dtype=object)
                got = theirs[name].to_numpy()
                assert same(got, wanted if is_text(got) else wanted.astype(float)), (path, name)
            fields = run.fields(path)
            assert list(fields.index) == header, path
            assert all(fields.loc[n, "is"] == d.attrs["is"] for n, d in fields_of(group).items()), path


def no_temporary_file_stays(folder):
    assert not list(folder.rglob("*.part"))


EVERY = [
    types_are_plain,
    root_attributes_say_what_made_the_file,
    every_record_and_field_says_what_it_is,
    a_record_is_a_table_or_a_grid,
    xarray_opens_the_whole_file_as_a_tree,
    activations_are_of_the_files_beside,
    every_csv_has_its_record,
    csv_equals_hdf5,
    the_reader_gives_the_rows,
    no_temporary_file_stays,
]


def main(checks, usage):
    if len(sys.argv) != 2:
        sys.exit(usage)
    failed = 0
    for check in checks:
        try:
            check(Path(sys.argv[1]))
            print(f"ok      {check.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__}")
            traceback.print_exc()
    sys.exit(1 if failed else 0)
