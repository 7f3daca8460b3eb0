"""The wheel, installed in an empty venv: the program runs, and the reader opens a run with h5py and NumPy alone.

    python test_wheel.py <folder written by write_sample_run>
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import residuum

folder = Path(sys.argv[1])
program = Path(sys.executable).parent / "residuum"
version = importlib.metadata.version("residuum")
assert Path(residuum.__file__).is_relative_to(sys.prefix), f"{residuum.__file__} is not of the wheel"


def said(*arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


assert said("-V").split() == ["residuum", version], said("-V")
assert "persona" in said("materials", "stats")
assert "fits the schema" in said("h5", "validate", folder)
with residuum.Run(folder) as run:
    assert run.columns("geometry/coupling")["estimate"].shape == (108,)
    assert run.directions().dims == ("state", "concept", "estimator", "layer", "hidden")
    assert run.activations("conscious", 1, "persona", "response-mean").data.shape == (100, 3, 16)
print(f"ok      residuum {version}, program and reader")
