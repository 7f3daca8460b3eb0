"""Writes a Llama of any shape with random bf16 weights as a Hugging Face folder: to measure memory and speed on.

    python random_model.py --tokenizer FOLDER --out DIR [--hidden 4096 --layers 32 --heads 32 --kv-heads 8
        --intermediate 14336 --vocab 128256]

The shape is Llama-3.1-8B's where nothing is given: 16 GB, written a tensor at a time. The tokenizer's files are copied
from FOLDER (`residuum model export` writes one). Values repeat: all are drawn from one pool of 2^24 normal numbers.
Needs numpy alone. What the model says means nothing.
"""

import argparse
import json
import os
import shutil
import struct

import numpy as np

POOL = 1 << 24


def bf16(values):
    return (values.astype("<f4").view(np.uint32) >> 16).astype("<u2")


def shapes(a):
    head = a.hidden // a.heads
    kv = a.kv_heads * head
    maps = {
        "self_attn.q_proj": (a.hidden, a.hidden), "self_attn.k_proj": (kv, a.hidden),
        "self_attn.v_proj": (kv, a.hidden), "self_attn.o_proj": (a.hidden, a.hidden),
        "mlp.gate_proj": (a.intermediate, a.hidden), "mlp.up_proj": (a.intermediate, a.hidden),
        "mlp.down_proj": (a.hidden, a.intermediate),
    }
    yield "model.embed_tokens.weight", (a.vocab, a.hidden)
    for layer in range(a.layers):
        for name, shape in maps.items():
            yield f"model.layers.{layer}.{name}.weight", shape
        for norm in ["input_layernorm", "post_attention_layernorm"]:
            yield f"model.layers.{layer}.{norm}.weight", (a.hidden,)
    yield "model.norm.weight", (a.hidden,)
    yield "lm_head.weight", (a.vocab, a.hidden)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    for name, value in [("hidden", 4096), ("layers", 32), ("heads", 32), ("kv-heads", 8), ("intermediate", 14336),
                        ("vocab", 128256)]:
        p.add_argument(f"--{name}", type=int, default=value)
    a = p.parse_args()
    os.makedirs(a.out)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copy(os.path.join(a.tokenizer, name), a.out)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", "hidden_act": "silu",
        "vocab_size": a.vocab, "hidden_size": a.hidden, "num_hidden_layers": a.layers, "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads, "intermediate_size": a.intermediate, "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False,
    }
    with open(os.path.join(a.out, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    header, at = {}, 0
    for name, shape in shapes(a):
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(1)
    pool = rng.standard_normal(POOL, dtype=np.float32)
    with open(os.path.join(a.out, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes(a):
            if len(shape) == 1:
                f.write(bf16(np.ones(shape)).tobytes())
                continue
            drawn = bf16(pool / np.sqrt(shape[1]))
            left = shape[0] * shape[1]
            while left > 0:
                first = int(rng.integers(0, POOL // 2))
                part = drawn[first:first + left]
                f.write(part.tobytes())
                left -= len(part)


if __name__ == "__main__":
    main()
