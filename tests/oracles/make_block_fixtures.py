"""Writes ../fixtures/blocks.safetensors: random blocks of every type of GGUF that is read, and their values.

    python make_block_fixtures.py

Bytes are random, scales are f16 of either sign, a few of them subnormal; the values are gguf-py's `dequantize` (f32).
Needs numpy, safetensors and gguf. Same seed, same file.
"""

import os

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from safetensors.numpy import save_file

VALUES = 2048

# Bytes of a block at which an f16 begins.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}


def scales(rng, n):
    values = rng.normal(size=n) * 0.02
    values[::5] *= 1e-3  # subnormal ones
    return values.astype(np.float16)


def blocks(rng, name):
    values, size = GGML_QUANT_SIZES[Type[name]]
    n = VALUES // values
    if name == "F32":
        return rng.normal(size=n).astype("<f4").view(np.uint8)
    if name == "F16":
        return scales(rng, n).view(np.uint8)
    if name == "BF16":
        return rng.normal(size=n).astype("<f4").view(np.uint16)[1::2].copy().view(np.uint8)
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in SCALES[name]:
        raw[:, at:at + 2] = scales(rng, n).view(np.uint8).reshape(n, 2)
    return raw.reshape(-1)


def main():
    rng = np.random.default_rng(15)
    out = {}
    for name in ["F32", "F16", "BF16", *SCALES]:
        raw = blocks(rng, name)
        values = dequantize(raw, Type[name]).astype(np.float32).reshape(-1)
        assert len(values) == VALUES and np.isfinite(values).all(), name
        out[f"{name}.bytes"] = raw
        out[f"{name}.values"] = values
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "blocks.safetensors")
    save_file(out, path)


if __name__ == "__main__":
    main()
