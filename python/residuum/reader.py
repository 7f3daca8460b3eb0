"""Runs, records, directions and activations, from results.h5.

h5py and NumPy are enough for `paths`, `columns`, `values`, `directions`, `states`, `roles`, `colours`, `activations`
and `attrs`;
`kinds`, `fields` and `records` give pandas frames, `grid` and `array` xarray objects, where these are installed.
"""

import hashlib
import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from .colours import colours

SCHEMA = "residuum/2"
COLUMNS = ("prompt_id", "label", "role", "n_tokens")


class SourceError(Exception):
    """The file of activations is missing, or is not the one that results.h5 was written with."""


def _need(name, instead):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs {name}: pip install {name}; without it, {instead}") from error


@dataclass
class Values:
    """An array with named axes: `data`, the name of each axis, the labels along each."""

    data: np.ndarray
    dims: tuple
    coords: dict
    attrs: dict = field(default_factory=dict)

    def sel(self, **labels):
        """The part at these labels, as `sel(layer=10)`; the axes are dropped."""
        data, coords = self.data, dict(self.coords)
        for name, label in labels.items():
            if name not in coords:
                raise KeyError(f"no axis {name}; there are {', '.join(self.dims)}")
            at = np.flatnonzero(coords[name] == label)
            if not at.size:
                raise KeyError(f"no {name} {label!r}; there are {coords[name].tolist()}")
            axis = [d for d in self.dims if d in coords].index(name)
            data = np.take(data, at[0], axis=axis)
            del coords[name]
        return Values(data, tuple(d for d in self.dims if d in coords), coords, self.attrs)

    def to_xarray(self):
        """The same as an xarray.DataArray."""
        xr = _need("xarray", "use .data, .dims and .coords")
        return xr.DataArray(self.data, self.coords, self.dims, attrs=self.attrs)


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

    def to_xarray(self):
        """An xarray.DataArray over sample, layer and hidden, with the columns along sample."""
        xr = _need("xarray", "use .data, .layers and .columns")
        coords = {name: ("sample", values) for name, values in self.columns.items()}
        return xr.DataArray(self.data, {"layer": self.layers, **coords}, ("sample", "layer", "hidden"))


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
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no {self.path.absolute()}: give a run folder or a results.h5")
        self.file = h5py.File(self.path, "r")
        self._sources = {}
        found = self.file.attrs.get("schema")
        if found != SCHEMA:
            self.file.close()
            raise ValueError(f"{self.path} has schema {found!r}; this reader knows {SCHEMA!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for source in self._sources.values():
            source.close()
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

    def columns(self, path):
        """The rows of a record as one array a field. A cell of a grid in which every field is missing is no
        row, and counts of a grid are floats."""
        group, fields, dims = self._record(path)
        columns = {f: _values(group[f]) for f in fields}
        if dims:
            places = np.meshgrid(*(np.arange(len(columns[d])) for d in dims), indexing="ij")
            cells = {f: columns[f].reshape(-1) for f in fields if f not in dims}
            kept = ~np.all([_missing(values) for values in cells.values()], axis=0)
            cells |= {d: columns[d][at.reshape(-1)] for d, at in zip(dims, places)}
            columns = {f: cells[f][kept] for f in fields}
        return columns

    def records(self, path):
        """The rows of a record, a column a field, as a pandas.DataFrame with the record's attributes."""
        frame = _need("pandas", "use columns(path)").DataFrame(self.columns(path))
        frame.attrs = self.attrs(path)
        return frame

    def kinds(self):
        """Every kind of record in the file, a pandas.DataFrame: path, rows, dimensions, what it is."""
        pd = _need("pandas", "use paths() and attrs(path)")
        rows = []
        for path in self.paths():
            _, fields, dims = self._record(path)
            rows.append((path, len(self.columns(path)[fields[0]]), ", ".join(dims), self.file[path].attrs["is"]))
        return pd.DataFrame(rows, columns=["path", "rows", "dimensions", "is"])

    def fields(self, path):
        """Unit and definition of each field of a record, a pandas.DataFrame; dimensions have none."""
        pd = _need("pandas", "use attrs(path + '/' + field)")
        group, fields, dims = self._record(path)
        texts = [{} if f in dims else group[f].attrs for f in fields]
        columns = {name: [t.get(name, "") for t in texts] for name in ("unit", "is")}
        return pd.DataFrame(columns, index=pd.Index(fields, name="field"))

    def grid(self, path):
        """A record over named dimensions, an xarray.Dataset; a cell without a row is NaN or empty."""
        xr = _need("xarray", "use values(path + '/estimate')")
        group, fields, dims = self._record(path)
        if not dims:
            raise ValueError(f"{path} is a table: read its rows with records({path!r})")
        arrays = {f: (dims, _values(group[f]), self.attrs(f"{path}/{f}")) for f in fields if f not in dims}
        return xr.Dataset(arrays, {d: _values(group[d]) for d in dims}, self.attrs(path))

    def values(self, path):
        """An array with its named axes, such as geometry/coupling/estimate or directions/vectors/unit."""
        dataset = self.file.get(path)
        if not isinstance(dataset, h5py.Dataset):
            raise KeyError(f"no array {path} in {self.path}")
        dims = tuple(axis.label for axis in dataset.dims)
        coords = {axis.label: _values(axis[0]) for axis in dataset.dims}
        return Values(_values(self._behind(dataset)), dims, coords, self.attrs(path))

    def array(self, path):
        """An array as an xarray.DataArray."""
        return self.values(path).to_xarray()

    def directions(self, cleaned=False):
        """Unit vectors over state, concept, estimator, layer and hidden, NaN where there is none; those of
        `cleaned` are free of the nuisances."""
        return self.values(f"directions/vectors/{'cleaned_' if cleaned else ''}unit")

    def states(self):
        """Model states with activations: (condition, seed) pairs."""
        root = self.file.get("activations", {})
        return [(condition, int(seed)) for condition in root for seed in root[condition]]

    def roles(self):
        """Condition of each role of the study: base, and focus, reference and neutral where it has them."""
        held = {}
        if "study/conditions" in self.file:
            of = self.columns("study/conditions")
            held = {role: name for role, name in zip(of["role"], of["condition"]) if role}
        # A condition of several roles is listed by one.
        named = self.attrs()["config"].get("roles") or {}
        return held | {role: name for role, name in named.items() if name}

    def colours(self):
        """Colour of each condition and of its states, "#RRGGBB", as in the figures of the report."""
        states = self.columns("study/states")
        if "study/conditions" in self.file:
            names = self.columns("study/conditions")["condition"]
        else:
            names = states["condition"]
        found = colours(names)
        return {s: found[c] for s, c in zip(states["state"], states["condition"])} | found

    def activations(self, condition, seed, set, position, step=None, layers=None):
        """Activations of a model state at a position; `layers` limits the blocks read.

        They lie in a file of their own; one that is missing, or another than when results.h5 was written, is a
        SourceError, where HDF5 alone would give NaN or other numbers.
        """
        path = f"activations/{condition}/{seed}/{set}"
        if step is not None:
            path = f"activations/{condition}/{seed}/step-{step}/{set}"
        try:
            group = self.file[path]
        except KeyError as error:
            raise KeyError(f"{path}: not in {self.path}, or its activation file is not beside it") from error
        if position not in group:
            there = [name for name, item in group.items() if item.ndim == 3]
            raise KeyError(f"no position {position} in {path}; there are {', '.join(there)}")
        kept = group["layer"][()] if "layer" in group else group[position].dims[1][0][()]
        index = np.arange(len(kept))
        if layers is not None:
            index = np.flatnonzero(np.isin(kept, layers))
            absent = np.setdiff1d(layers, kept)
            if absent.size:
                raise KeyError(f"layers {absent.tolist()} were not kept; there are {kept.tolist()}")
        data = self._behind(group[position])[:, index, :].astype(np.float32)
        columns = {name: np.asarray(_values(group[name])) for name in COLUMNS}
        return Activations(data, kept[index], columns)

    def _behind(self, dataset):
        """The dataset that holds the numbers: itself, or behind a virtual one that of the file it names."""
        if not dataset.is_virtual:
            return dataset
        (source,) = dataset.virtual_sources()
        file = self.path.parent / source.file_name
        if file not in self._sources:
            self._sources[file] = h5py.File(self._checked(dataset, source.file_name, file), "r")
        return self._sources[file][source.dset_name]

    def _checked(self, dataset, name, file):
        if not file.is_file():
            raise SourceError(f"{dataset.name} of {self.path} is in {file}, which is not there")
        around = dataset.parent
        while "sources" not in around.attrs and around.name != "/":
            around = around.parent
        lines = around.attrs.get("sources", [])
        expected = {line.partition("  ")[2]: line.partition("  ")[0] for line in lines}.get(name)
        with open(file, "rb") as bytes:
            found = hashlib.file_digest(bytes, "sha256").hexdigest()
        if found != expected:
            raise SourceError(f"{file} is another file than {self.path} was written with (SHA-256 {found}, then {expected})")
        return file
