"""The notebooks that `residuum notebook` writes, executed top to bottom in a venv of their own requirements.

    python test_notebooks.py <program> <run folder of a study> [...]
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

BOOKS = ["1-tour", "2-geometry", "3-behaviour-and-cause", "4-statistics", "5-figures"]
# A stored number of each notebook that computes again, and what it calls it.
STORED = {
    "2-geometry": ("geometry/shifts/plain", "shift, plain: off by"),
    "3-behaviour-and-cause": ("behaviour/scores/estimate", "scores, estimate: off by"),
    "4-statistics": ("behaviour/contrasts/estimate", "in the file"),
}


def written(program, results, out):
    """The notebooks of a results file, written into a folder."""
    subprocess.run([program, "notebook", results, "--out", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    assert sorted(p.stem for p in out.glob("*.ipynb")) == BOOKS, list(out.iterdir())
    return out


def said(folder, name):
    """What a notebook fails with, or nothing."""
    book = nbformat.read(folder / f"{name}.ipynb", 4)
    nbformat.validate(book)
    begun = time.monotonic()
    try:
        NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute(stderr=subprocess.DEVNULL)
        error = ""
    except CellExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    print(f"        {name}: {time.monotonic() - begun:.0f} s {error.splitlines()[0] if error else ''}")
    return error


def every_notebook_runs(program, run, place):
    out = written(program, run / "results.h5", place / "notebooks")
    failed = {name: error for name in BOOKS if (error := said(out, name))}
    assert not failed, failed


def a_number_that_disagrees_stops_them(program, run, place):
    for item in run.iterdir():
        if item.name != "results.h5":
            (place / item.name).symlink_to(item.resolve())
    shutil.copy(run / "results.h5", place)
    with h5py.File(place / "results.h5", "r+") as file:
        for path, _ in STORED.values():
            numbers = file[path][()]
            file[path][()] = numbers + 1e-3
    out = written(program, place, place / "books")
    for name, (_, words) in STORED.items():
        error = said(out, name)
        assert error.startswith("AssertionError") and words in error, error


def a_file_alone_says_what_is_missing(program, run, place):
    """A notebook that needs other files of the run names them; the others run."""
    shutil.copy(run / "results.h5", place)
    out = written(program, place, place / "notebooks")
    for name in BOOKS:
        error = said(out, name)
        assert (name in STORED) == error.startswith("SystemExit"), error
        assert not error or ("not here" in error and str(place.resolve()) in error), error


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: python test_notebooks.py <program> <run folder of a study> [...]")
    program, *runs = map(Path, sys.argv[1:])
    checks = [(every_notebook_runs, run) for run in runs]
    checks += [(check, runs[0]) for check in (a_number_that_disagrees_stops_them, a_file_alone_says_what_is_missing)]
    for check, run in checks:
        print(f"{check.__name__}: {run}")
        with tempfile.TemporaryDirectory() as place:
            check(program.resolve(), run, Path(place))
        print(f"ok      {check.__name__}")


if __name__ == "__main__":
    main()
