"""What is compared with what is stored: a row a quantity, with its largest deviation."""

import math
from dataclasses import dataclass, field

import numpy as np

# Of what has a closed form, times the larger of 1 and its size.
EXACT = 1e-5
# Of what is drawn, in standard errors of both sides' draws: one in 2 million by chance.
DRAWN = 5.0


@dataclass
class Row:
    unit: str
    rows: int = 0
    worst: float = 0.0
    where: str = ""


@dataclass
class Table:
    folder: object
    quantities: dict = field(default_factory=dict)
    absent: dict = field(default_factory=dict)
    # (path, field, place) -> what is wrong.
    failed: dict = field(default_factory=dict)
    # (quantity, path, field) -> a place.
    compared: dict = field(default_factory=dict)

    def exact(self, quantity, path, name, at, ours, cancelled=1.0):
        """Numbers of closed form; both sides may be missing. Of arrays every entry is compared. `cancelled` is how
        many times larger than their difference the numbers are whose rounding it carries."""
        places = at if isinstance(at, list) else [at]
        stored = [float(self._stored(quantity, path, name, place)) for place in places]
        times = np.broadcast_to(cancelled, len(places))
        for place, a, b, by in zip(places, stored, np.atleast_1d(ours), times, strict=True):
            missing = math.isnan(a), math.isnan(b)
            off = 0.0 if all(missing) else math.inf if any(missing) or math.isinf(a) else abs(a - b) / max(1, abs(a)) / by
            self._note(quantity, "of its size", (path, name, place), off, EXACT, (a, float(b)))

    def same(self, quantity, path, name, at, ours):
        """Words and counts."""
        stored = self._stored(quantity, path, name, at)
        self._note(quantity, "words", (path, name, at), 0.0 if stored == ours else math.inf, 0, (stored, ours))

    def drawn(self, quantity, path, name, at, errors):
        """`errors(stored)` is how many standard errors a stored number is away."""
        stored = float(self._stored(quantity, path, name, at))
        self._note(quantity, "standard errors", (path, name, at), errors(stored), DRAWN, (stored,))

    def rows(self, quantity, path, expected, *keys, **only):
        """Places of the expected rows, of those with the values `only`; one too few or too many is a failure."""
        kept = np.all([self.folder.record(path)[k] == v for k, v in only.items()] or [True], axis=0)
        places = self.folder.places(path, *keys, only=kept)
        for key in set(expected) ^ set(places):
            side = "is not stored" if key in set(expected) else "should not be there"
            self.failed[path, "row", key] = f"{quantity}: {path} {key} {side}"
        return {key: places[key] for key in expected if key in places}

    def none(self, quantity, why):
        self.absent[quantity] = why

    def _stored(self, quantity, path, name, at):
        stored = self.folder.record(path)[name][at]
        number = not isinstance(stored, str)
        if not (number and math.isnan(stored)) or (quantity, path, name) not in self.compared:
            self.compared[quantity, path, name] = at
        return stored

    def _note(self, quantity, unit, key, off, limit, values):
        row = self.quantities.setdefault((quantity, unit), Row(unit))
        row.rows += 1
        if off > row.worst or not row.where:
            row.worst, row.where = max(off, row.worst), f"{key[0]} {key[1]}"
        if not off <= limit:
            self.failed[key] = f"{quantity}: {key[0]} {key[1]} {self._name(key)}: {values}, off by {off:.3g} {unit}"

    def _name(self, key):
        columns, at = self.folder.record(key[0]), key[2]
        if isinstance(at, tuple):
            return at
        return [str(v[at]) for v in columns.values() if v.dtype == object and v[at]][:8]

    def text(self):
        lines = [f"{'quantity':44}{'compared':>9}{'largest deviation':>20}  where"]
        for (quantity, unit), row in self.quantities.items():
            worst = f"{row.worst:.2g}" + (" se" if unit == "standard errors" else "")
            lines.append(f"{quantity:44}{row.rows:>9}{worst:>20}  {row.where}")
        lines += [f"{quantity:44}{'-':>9}{'':>20}  {why}" for quantity, why in self.absent.items()]
        return "\n".join(lines)
