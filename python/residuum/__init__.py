"""Read what residuum measured.

    import residuum
    run = residuum.Run("runs/quick")         # a run folder, or a results.h5
    run.kinds()                              # every kind of record: path, rows, dimensions, what it is
    run.records("geometry/changes")          # its rows, a pandas.DataFrame
    run.grid("geometry/coupling")            # a record over named dimensions, an xarray.Dataset
    run.fields("geometry/shifts")            # definition and unit of each field
    run.roles(), run.colours()               # focus, reference, ...; one colour a condition, as in the report
    run.directions().to_xarray()             # unit vectors over state, concept, estimator, layer, hidden
    acts = run.activations("base", 0, "persona", "response-mean")
    acts.data                                # (sample, layer, hidden), float32

A record is stored as a table, one column a field along `row`, or as a grid, one array a field over the
record's dimensions; `records` reads both as rows, and `columns` gives the same as NumPy arrays. `estimate`,
`lo`, `hi`, `p`, `q`, `n` mean the same in every record, and attributes tell definition, interval, null and
unit. Layer l is the output of block l, counted from 0.

xarray opens the same file without this module, all of it at once:

    xarray.open_datatree("results.h5", engine="h5netcdf")
"""

from .colours import colours
from .reader import Activations, Run, SourceError, Values

__all__ = ["Activations", "Run", "SourceError", "Values", "colours"]
