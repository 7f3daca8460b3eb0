"""Reads pooled activations that `residuum capture` wrote, without leaning on more of the layout than is promised.

An activation is a dataset of shape [sample, layer, hidden] whose path, or one of whose attributes, names the
position ("response-mean", "prompt-last"). A dataset of shape [position, sample, layer, hidden] or
[sample, position, layer, hidden] is taken apart with the order in which positions were asked for. Samples are put
in the order of the texts by the `prompt_id` beside the dataset, when it is there.
"""

import h5py
import numpy as np


def read(path, positions, ids, layers, width):
    """{position: f32 [N, L, D]} in the order of `ids`; stops with the file's listing when one is not found."""
    found, listing = {}, []
    with h5py.File(path, "r") as file:
        def visit(name, node):
            if not isinstance(node, h5py.Dataset):
                return
            listing.append(f"  /{name} {node.shape} {node.dtype}")
            if node.dtype.kind != "f" or node.shape[-2:] != (layers, width):
                return
            order = sample_order(node, ids)
            if node.ndim == 4 and len(positions) in node.shape[:2]:
                axis = 0 if node.shape[0] == len(positions) and node.shape[1] == len(ids) else 1
                for k, position in enumerate(positions):
                    found[position] = np.take(node[...], k, axis=axis)[order].astype(np.float32)
            elif node.ndim == 3 and node.shape[0] == len(ids):
                words = plain(name) + plain(" ".join(str(text(v)) for k, v in node.attrs.items() if is_text(v)))
                for position in positions:
                    if plain(position) in words:
                        found[position] = node[...][order].astype(np.float32)
        file.visititems(visit)
    missing = [p for p in positions if p not in found]
    if missing:
        raise SystemExit(f"{path}: no activations for {', '.join(missing)}; it holds\n" + "\n".join(listing))
    return found


def plain(words):
    return words.replace("-", "").replace("_", "").replace(" ", "").lower()


def is_text(value):
    return isinstance(value, (str, bytes))


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def sample_order(node, ids):
    parent = node.parent
    for name in ("prompt_id", "id", "ids"):
        if name in parent and parent[name].shape == (len(ids),):
            there = [text(v) for v in parent[name][...]]
            if sorted(there) == sorted(ids):
                return [there.index(i) for i in ids]
    return list(range(len(ids)))
