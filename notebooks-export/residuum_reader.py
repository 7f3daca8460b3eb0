"""Read a run folder of residuum, or a results.h5 by itself, into pandas and xarray.

    run = Run("runs/quick")
    run.kinds()                              # every kind of record: path, rows, dimensions, what it is
    run.records("geometry/changes")          # its rows, a DataFrame
    run.grid("geometry/coupling")            # a record over named dimensions, an xarray.Dataset
    run.fields("geometry/shifts")            # definition and unit of each field, a DataFrame
    run.array("directions/vectors/unit")     # any array, an xarray.DataArray
    acts = run.activations("base", 0, "persona", "response-mean")
    acts.data                                # (sample, layer, hidden), float32

A record is stored as a table, one column a field along `row`, or as a grid, one array a field over the
record's dimensions; `records` reads both as rows. `estimate`, `lo`, `hi`, `p`, `q`, `n` mean the same
in every record, and attributes tell definition, interval, null and unit. Layer l is the output of block
l, counted from 0.

xarray opens the same file without this module, all records of a group at once:

    xarray.open_datatree("results.h5", group="geometry", engine="h5netcdf")

Name a group: at the root of a study's file h5netcdf would walk into the linked activation files, whose
references it cannot follow.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import xarray as xr

SCHEMA = "residuum/2"


@dataclass
class Activations:
    """Activations of one model state, set and position."""

    data: np.ndarray  # (sample, layer, hidden), float32; NaN where a sample lacks the position
    layers: np.ndarray  # block index of each entry of axis 1
    columns: dict = field(default_factory=dict)  # prompt_id, label, role, n_tokens per sample

    def select(self, **wanted):
        """Samples whose columns have these values, e.g. select(label="positive")."""
        keep = np.ones(len(self.data), dtype=bool)
        for name, value in wanted.items():
            keep &= self.columns[name] == value
        columns = {name: values[keep] for name, values in self.columns.items()}
        return Activations(self.data[keep], self.layers, columns)


def _values(dataset):
    """The dataset's values; text as an object array of str."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[()]
    return dataset[()]


def _is_field(dataset):
    """Whether it is no coordinate."""
    return dataset.attrs.get("CLASS") != b"DIMENSION_SCALE"


def _missing(values):
    return values == "" if values.dtype == object else np.isnan(values)


class Run:
    """A run folder, or a results.h5 by itself."""

    def __init__(self, path):
        path = Path(path)
        self.folder = path if path.is_dir() else path.parent
        self.path = path / "results.h5" if path.is_dir() else path
        self.file = h5py.File(self.path, "r")
        found = self.file.attrs.get("schema")
        if found != SCHEMA:
            self.file.close()
            raise ValueError(f"{self.path} has schema {found!r}; this reader knows {SCHEMA!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()

    def attrs(self, path="/"):
        """Attributes of a record, a field or a group; at the root, `config` is parsed."""
        hidden = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"}
        found = {k: v for k, v in self.file[path].attrs.items() if k not in hidden}
        found = {k: list(v) if isinstance(v, np.ndarray) else v for k, v in found.items()}
        if path == "/":
            found["config"] = json.loads(found["config"])
        return found

    def manifest(self):
        """How the run came about, manifest.json."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    def paths(self):
        """Path of every record in the file."""
        found = []

        def walk(group, prefix):
            for name in group:
                if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                    continue
                if isinstance(group[name], h5py.Group):
                    if "columns" in group[name].attrs:
                        found.append(prefix + name)
                    walk(group[name], f"{prefix}{name}/")

        walk(self.file, "")
        return found

    def _record(self, path):
        """The group of a record, its fields in order and its dimensions; none for a table."""
        group = self.file.get(path)
        if group is None or "columns" not in group.attrs:
            raise KeyError(f"no record {path} in {self.path}; there are: {', '.join(self.paths())}")
        fields = list(group.attrs["columns"])
        axes = next([axis.label for axis in group[f].dims] for f in fields if f in group and _is_field(group[f]))
        return group, fields, [] if axes == ["row"] else axes

    def kinds(self):
        """Every kind of record in the file: path, rows, dimensions, what it is."""
        rows = []
        for path in self.paths():
            _, _, dims = self._record(path)
            rows.append((path, len(self.records(path)), ", ".join(dims), self.file[path].attrs["is"]))
        return pd.DataFrame(rows, columns=["path", "rows", "dimensions", "is"])

    def fields(self, path):
        """Unit and definition of each field of a record; dimensions have none."""
        group, fields, dims = self._record(path)
        texts = [{} if f in dims else group[f].attrs for f in fields]
        columns = {name: [t.get(name, "") for t in texts] for name in ("unit", "is")}
        return pd.DataFrame(columns, index=pd.Index(fields, name="field"))

    def records(self, path):
        """The rows of a record, a column a field; its attributes are the frame's. A cell of a grid in which
        every field is missing is no row, and counts of a grid are floats."""
        group, fields, dims = self._record(path)
        columns = {f: _values(group[f]) for f in fields}
        if dims:
            places = np.meshgrid(*(np.arange(len(columns[d])) for d in dims), indexing="ij")
            cells = {f: columns[f].reshape(-1) for f in fields if f not in dims}
            kept = ~np.all([_missing(values) for values in cells.values()], axis=0)
            cells |= {d: columns[d][at.reshape(-1)] for d, at in zip(dims, places)}
            columns = {f: cells[f][kept] for f in fields}
        frame = pd.DataFrame(columns)
        frame.attrs = self.attrs(path)
        return frame

    def grid(self, path):
        """A record over named dimensions; a cell without a row is NaN or empty."""
        _, _, dims = self._record(path)
        if not dims:
            raise ValueError(f"{path} is a table: read its rows with records({path!r})")
        return xr.load_dataset(self.path, group=path, engine="h5netcdf")

    def array(self, path):
        """An array with its dimensions, such as directions/vectors/unit."""
        group, _, name = path.strip("/").rpartition("/")
        with xr.open_dataset(self.path, group=group, engine="h5netcdf") as found:
            return found[name].load()

    def states(self):
        """Model states with activations: (condition, seed) pairs."""
        root = self.file.get("activations", {})
        return [(condition, int(seed)) for condition in root for seed in root[condition]]

    def activations(self, condition, seed, set, position, step=None, layers=None):
        """Activations of a model state at a position; `layers` limits the blocks read."""
        path = f"activations/{condition}/{seed}/{set}"
        if step is not None:
            path = f"activations/{condition}/{seed}/step-{step}/{set}"
        try:
            group = self.file[path]
        except KeyError as error:
            raise KeyError(f"{path}: not in {self.path}, or its activation file is not beside it") from error
        kept = group[position].dims[1][0][()]
        index = np.arange(len(kept))
        if layers is not None:
            index = np.flatnonzero(np.isin(kept, layers))
            absent = np.setdiff1d(layers, kept)
            if absent.size:
                raise KeyError(f"layers {absent.tolist()} were not kept; there are {kept.tolist()}")
        data = group[position][:, index, :].astype(np.float32)
        names = ("prompt_id", "label", "role", "n_tokens")
        columns = {name: np.asarray(_values(group[name])) for name in names}
        return Activations(data, kept[index], columns)
