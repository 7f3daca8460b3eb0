"""Read a run folder of residuum with h5py and NumPy.

    run = Run("runs/quick")
    run.coords()                                   # name -> labels
    cosine, dims = run.array("geometry/cosine")    # NumPy array, names of its axes
    run.to_pandas("geometry/cosine", "geometry/ci_lo")
    run.table("behaviour/prompts")                 # pandas DataFrame
    acts = run.activations("conscious", 0, "persona", "response-mean")
    acts.data                                      # (sample, layer, hidden), float32

Layer l is the output of block l, counted from 0. pandas and xarray are imported only
by the methods that return their objects. xarray opens a group without this module:

    xarray.open_dataset("results.h5", group="geometry", engine="h5netcdf")

Open group by group: xarray.open_datatree also walks into the linked activation files,
where h5netcdf cannot follow dimension references.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

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


def _dims(dataset):
    if dataset.attrs.get("CLASS") == b"DIMENSION_SCALE":
        return (dataset.name.rsplit("/", 1)[-1],)
    return tuple(axis.label for axis in dataset.dims)


def _attr(value):
    if isinstance(value, np.ndarray):
        return list(value)
    return value.decode() if isinstance(value, bytes) else value


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

    def attrs(self, name="/"):
        """Attributes of an array or group; at the root, `config` is parsed."""
        hidden = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS"}
        found = {k: _attr(v) for k, v in self.file[name].attrs.items() if k not in hidden}
        if name == "/":
            found["config"] = json.loads(found["config"])
        return found

    def manifest(self):
        """The run record, manifest.json."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    def coords(self):
        """Every coordinate's labels by name."""
        return {name: _values(dataset) for name, dataset in self.file["coords"].items()}

    def list(self):
        """Paths of the arrays in results.h5, without coordinates and linked files."""
        found = []

        def walk(group, prefix):
            for name in group:
                if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                    continue
                item, full = group[name], prefix + name
                if isinstance(item, h5py.Group):
                    walk(item, full + "/")
                elif item.attrs.get("CLASS") != b"DIMENSION_SCALE":
                    found.append(full)

        walk(self.file, "")
        return found

    def array(self, name):
        """An array and the names of its dimensions."""
        dataset = self.file[name]
        return _values(dataset), _dims(dataset)

    def labels(self, name):
        """Labels along each dimension of an array, by dimension."""
        dataset = self.file[name]
        return {axis.label: _values(axis[0]) for axis in dataset.dims}

    def to_pandas(self, *names):
        """Arrays of the same dimensions as one long DataFrame, a row per cell."""
        import pandas as pd

        labels = self.labels(names[0])
        index = pd.MultiIndex.from_product(labels.values(), names=labels.keys())
        columns = {}
        for name in names:
            values, dims = self.array(name)
            if dims != tuple(labels):
                raise ValueError(f"{name} has dimensions {dims}, {names[0]} has {tuple(labels)}")
            columns[name.rsplit("/", 1)[-1]] = values.reshape(-1)
        return pd.DataFrame(columns, index=index).reset_index()

    def to_xarray(self, name):
        """An array as an xarray.DataArray with its coordinates."""
        import xarray as xr

        values, dims = self.array(name)
        return xr.DataArray(values, dims=dims, coords=self.labels(name), name=name, attrs=self.attrs(name))

    def table(self, name):
        """A table as a DataFrame."""
        import pandas as pd

        group = self.file[name]
        return pd.DataFrame({c: _values(group[c]) for c in group.attrs["columns"]})

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
            raise KeyError(
                f"{path}: not in {self.path}, or its activation file is not beside it"
            ) from error
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
