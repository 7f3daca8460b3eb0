"""A study's run folder, read by the shipped Python reader and by plain h5py.

Usage: python tests/python/test_run_folder.py RUN_FOLDER
"""

import sys
from pathlib import Path

import h5py
import numpy as np

run = Path(sys.argv[1])
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks-export"))
import residuum_reader  # noqa: E402

with h5py.File(run / "results.h5", "r") as f:
    assert f.attrs["schema"] == "residuum/2", f.attrs["schema"]
    assert f.attrs["layer_convention"] == "block_output_0based"
    cosine = f["geometry/cosine"]
    assert [d.label for d in cosine.dims] == ["state", "concept_a", "concept_b", "layer"]
    states = [s.decode() if isinstance(s, bytes) else s for s in f["coords/state"][()]]
    assert states[0] == "base" and cosine.shape[0] == len(states)
    lo, hi = f["geometry/ci_lo"][()], f["geometry/ci_hi"][()]
    off = ~np.eye(cosine.shape[1], dtype=bool)
    inside = (lo <= hi)[:, off]
    assert inside.all(), "an interval's ends are swapped"
    # The directions stored reproduce the cosines stored.
    unit = f["directions/unit"][()][:, :, 0]
    again = np.einsum("sald,sbld->sabl", unit, unit)
    gap = np.abs(again - cosine[()]).max()
    assert gap < 1e-5, gap
    # Activations are reached through the link, and give the direction again.
    group = f["activations/base/0"]
    acts = group["persona"]["response-mean"][()].astype("f8")
    delta = (acts[0::2] - acts[1::2]).mean(0)
    delta /= np.linalg.norm(delta, axis=1, keepdims=True)
    gap = np.abs(delta - unit[0, 0]).max()
    assert gap < 1e-5, gap

opened = residuum_reader.Run(run) if hasattr(residuum_reader, "Run") else residuum_reader.open(run)
print("run folder reads back:", ", ".join(states))
