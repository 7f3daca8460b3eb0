"""A run folder read with h5py and json, and the texts that it was made from, found by their digests."""

import hashlib
import json
from collections import defaultdict
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[3]


class Folder:
    """Records are kept as they were first read, so that a self-test can change them."""

    def __init__(self, path, texts=()):
        self.path = Path(path)
        self.file = h5py.File(self.path / "results.h5", "r")
        assert self.file.attrs["schema"] == "residuum/2", self.file.attrs["schema"]
        config = json.loads(self.file.attrs["config"])
        self.draws, self._roles = config["draws"], config.get("roles") or {}
        self.where = [ROOT / "probes", *map(Path, texts)]
        self._records, self._json, self._acts = {}, {}, {}

    def has(self, record):
        group = self.file.get(record)
        return group is not None and "columns" in group.attrs

    def record(self, path):
        """Fields by name: columns of a table, or arrays of a grid with the labels of its dimensions."""
        if path not in self._records:
            group = self.file[path]
            fields = {name: group[name] for name in group.attrs["columns"]}
            self._records[path] = {name: values(d) for name, d in fields.items()}
        return self._records[path]

    def rows(self, path):
        """The rows of a table as dictionaries, with their places."""
        columns = self.record(path)
        names = list(columns)
        return [(i, dict(zip(names, row))) for i, row in enumerate(zip(*columns.values()))]

    def places(self, path, *keys, only=True):
        """Place of each row of a table by the values of its keys, which no two rows share."""
        columns = self.record(path)
        found = {}
        for i, key in enumerate(zip(*(columns[k].tolist() for k in keys))):
            if not np.broadcast_to(only, len(columns[keys[0]]))[i]:
                continue
            assert key not in found, f"{path} has two rows of {key}"
            found[key] = i
        return found

    # What the study is.

    @cached_property
    def states(self):
        return {row["state"]: row for _, row in self.rows("study/states")}

    @cached_property
    def conditions(self):
        return {row["condition"]: row for _, row in self.rows("study/conditions")}

    def of(self, condition):
        """Names of a condition's states."""
        return [s for s, row in self.states.items() if row["condition"] == condition]

    def role(self, role):
        """Condition of a role, or none; one condition may have several."""
        listed = next((c for c, row in self.conditions.items() if row["role"] == role), None)
        return self._roles.get(role) or listed

    def trained(self, condition):
        return self.states[self.of(condition)[0]]["recipe"] != ""

    def text(self, condition):
        return self.conditions[condition]["text"]

    @cached_property
    def at_other_shares(self):
        """Conditions on the rows of another, not kept from a concept; of those on the same rows the first stays of
        the share that most conditions have."""
        mixed = {c: row for c, row in self.conditions.items() if row["share"] > 0 and not row["prevented"]}
        shares = [row["share"] for row in mixed.values()]
        usual = {}
        for row in mixed.values():
            usual[row["text"]] = max(usual.get(row["text"], row["share"]), row["share"], key=shares.count)
        kept = {}
        for c, row in mixed.items():
            if row["share"] == usual[row["text"]]:
                kept.setdefault(row["text"], c)
        return [c for c, row in mixed.items() if kept[row["text"]] != c]

    @cached_property
    def layers(self):
        return self.record("study/layers")["layer"].tolist()

    @cached_property
    def rms(self):
        return self.record("study/layers")["rms"]

    @cached_property
    def reported(self):
        """Places of the reported layers."""
        return np.flatnonzero(self.record("study/layers")["reported"])

    @cached_property
    def couples(self):
        both = self.record("study/couples")
        return list(zip(both["concept_a"], both["concept_b"]))

    @cached_property
    def coupled(self):
        return list(dict.fromkeys(c for couple in self.couples for c in couple))

    # Activations.

    def _set(self, state, name):
        row = self.states[state]
        return self.file[f"activations/{row['condition']}/{row['seed']}/{name}"]

    def positions(self):
        """Of the shifts, the one of the directions first."""
        return list(dict.fromkeys(self.record("geometry/shifts")["position"]))

    def neutral(self, state, position):
        """(texts, layers, d)."""
        key = (state, position)
        if key not in self._acts:
            self._acts[key] = self._set(state, "neutral")[position][()].astype("f8")
        return self._acts[key]

    def pairs(self, state, concept):
        """Positive less negative response, (pairs, layers, d), and the pairs' ids."""
        held = self._set(state, concept)
        label, ids = values(held["label"]), values(held["prompt_id"])
        data = held["response-mean"][()].astype("f8")
        positive, negative = label == "positive", label == "negative"
        assert (ids[positive] == ids[negative]).all(), (state, concept)
        return data[positive] - data[negative], ids[positive]

    # Texts.

    @cached_property
    def texts(self):
        """Note and rows by id, of each (kind, name) whose file is found with the digest of the run."""
        used = self.json("rows.json")["used"]
        wanted = {u["sha256"] for u in used}
        files = [p for folder in self.where for p in sorted(folder.rglob("*.jsonl"))]
        files += [Path(u["file"]) for u in used if Path(u["file"]).is_file()]
        found = {}
        for path in files:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in wanted:
                note, *rows = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
                for kind in ("concept", "preference", "claim"):
                    # Conversations name the preference that comes up in them.
                    if kind in note and (kind != "preference" or "status" in note):
                        found[kind, note[kind]] = note, {row["id"]: row for row in rows}
        return found

    def numbered(self, concept, *keys):
        """Number of each main pair by what its row says under `keys`; none where the file is not here."""
        _, ids = self.pairs("base", concept)
        if ("concept", concept) not in self.texts:
            return None
        _, rows = self.texts["concept", concept]
        said = [tuple(rows[i][k] for k in keys) for i in ids]
        number = {s: n for n, s in enumerate(dict.fromkeys(said))}
        return np.array([number[s] for s in said])

    def clusters(self, concept):
        """Prompt of each main pair."""
        row = next(row for _, row in self.rows("study/concepts") if row["concept"] == concept)
        if row["n"] == row["pairs"]:
            return np.arange(row["pairs"])
        of = self.numbered(concept, "prompt")
        assert of is not None, f"pairs of {concept} share prompts: give its file's folder by --texts"
        return of

    # Other files.

    def json(self, name):
        if name not in self._json:
            self._json[name] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return self._json[name]

    def lines(self, name):
        if name not in self._json:
            text = (self.path / name).read_text(encoding="utf-8")
            self._json[name] = [json.loads(line) for line in text.splitlines() if line.strip()]
        return self._json[name]

    def items(self, state):
        """Stance and yes-bias by (preference, item), and stance by (claim, item)."""
        asked, battery = defaultdict(list), set(self.record("study/preferences")["preference"])
        for pair in self.lines(f"behaviour/{state}.jsonl"):
            if pair["group"] != "claim" and pair["preference"] not in battery:
                continue
            assert abs(pair["express_log_prob"] - pair["oppose_log_prob"] - pair["log_odds"]) < 1e-9, pair
            item = pair["item"] if pair.get("key") else pair["prompt_id"]
            asked[pair["group"] == "claim", pair["preference"], item].append(pair)
        stance, bias, claims = {}, {}, {}
        for (of_claim, *key), pairs in asked.items():
            mean = lambda key: np.mean([p["log_odds"] for p in pairs if p.get("key") == key])
            to = claims if of_claim else stance
            if pairs[0].get("key"):
                a, d = mean("affirm"), mean("deny")
                to[tuple(key)] = (a + d) / 2
                if not of_claim:
                    bias[tuple(key)] = (a - d) / 2
            else:
                to[tuple(key)] = mean(None)
        return {"stance": stance, "bias": bias, "claims": claims}


def values(dataset):
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return dataset.asstr()[()]
    return dataset[()]
