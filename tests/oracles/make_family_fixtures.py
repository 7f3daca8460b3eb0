"""Tiny checkpoints of every family that is read, with what transformers makes of them in f64.

    python make_family_fixtures.py --out tests/fixtures/families
    python make_family_fixtures.py --check tests/fixtures/families [--llama-cpp SOURCE]

Weights are not stored: every tensor is whole numbers of -128 to 127 drawn from its name, times a power of two, so
that the Rust test draws the same and f16, bf16 and Q8_0 hold them exactly. NAME.json has config.json, the tensors
with their shapes and powers, token ids and greedy tokens; NAME.safetensors the residual stream behind every block
and the logits, at some positions, in f64 rounded to f32 (rotary frequencies are transformers' own, in f32), and for
one shape a family the gradients of a LoRA r 2 on every linear map, by peft. NAME.gguf is the same checkpoint as
llama.cpp's converters lay it out (names, order of the rows of q and k, gains of norms), written by the gguf package
with Q8_0 blocks. `--check` computes all of it anew and compares;
`--llama-cpp` holds the GGUF files to what llama.cpp's own converter makes of the checkpoints.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import types

import oracle  # first: it sets the environment of torch
import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

VOCAB, T = 40, 24
POSITIONS = list(range(1, T, 4))
NEW = 8
RANK, ALPHA = 2, 4.0
COMMON = {"vocab_size": VOCAB, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}


def base(**more):
    small = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
    }
    return {**COMMON, **small, **more}


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


LLAMA3 = rope("llama3", 5000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = rope("yarn", 5000.0, factor=8.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0,
            attention_factor=1.2079441541679836)
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.3, 1.7, 2.0, 2.5],
        "long_factor": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "partial_rotary_factor": 0.75,
        "original_max_position_embeddings": 64}

# Name: (configuration class, keys, whether gradients and a GGUF file are kept).
SHAPES = {
    "llama-scaled": ("LlamaConfig", base(rope_parameters=LLAMA3, tie_word_embeddings=False), True),
    "llama-wide": ("LlamaConfig", base(head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                       rope_parameters=rope("linear", factor=4.0)), False),
    "mistral-window": ("MistralConfig", base(sliding_window=6, head_dim=8), False),
    "mistral-wide": ("MistralConfig", base(sliding_window=None, head_dim=16, num_hidden_layers=2,
                                           rope_parameters=rope(theta=1e6)), True),
    "qwen2": ("Qwen2Config", base(num_hidden_layers=2, rms_norm_eps=1e-6, rope_parameters=rope(theta=1e6)), True),
    "qwen2-window": ("Qwen2Config", base(use_sliding_window=True, sliding_window=5, max_window_layers=1,
                                         tie_word_embeddings=True), False),
    "qwen3": ("Qwen3Config", base(head_dim=16, num_hidden_layers=2, rope_parameters=rope(theta=1e6),
                                  tie_word_embeddings=True), True),
    "qwen3-yarn": ("Qwen3Config", base(head_dim=8, num_key_value_heads=1, rope_parameters={
        **YARN, "attention_factor": None}), False),
    "gemma2": ("Gemma2Config", base(head_dim=16, query_pre_attn_scalar=16, sliding_window=5,
                                    attn_logit_softcapping=5.0, final_logit_softcapping=3.0), True),
    "gemma2-plain": ("Gemma2Config", base(head_dim=8, query_pre_attn_scalar=24, sliding_window=7,
                                          num_key_value_heads=1, attn_logit_softcapping=None,
                                          final_logit_softcapping=None), False),
    "gemma3": ("Gemma3TextConfig", base(
        head_dim=16, query_pre_attn_scalar=16, sliding_window=5, num_hidden_layers=6, rope_parameters={
            "full_attention": rope("linear", 1e6, factor=8.0), "sliding_attention": rope(theta=10000.0)}), True),
    "gemma3-pattern": ("Gemma3TextConfig", base(
        head_dim=8, query_pre_attn_scalar=12, sliding_window=4, num_key_value_heads=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"full_attention": rope(theta=5000.0), "sliding_attention": rope(theta=100.0)}), False),
    "olmo2": ("Olmo2Config", base(num_hidden_layers=2, rope_parameters=rope(theta=5e5)), True),
    "olmo2-bias": ("Olmo2Config", base(num_key_value_heads=4, attention_bias=True), False),
    "olmo3": ("Olmo3Config", base(num_hidden_layers=4, sliding_window=5, num_key_value_heads=4, rope_parameters={
        "full_attention": YARN, "sliding_attention": rope(theta=5000.0)}), True),
    "olmo3-plain": ("Olmo3Config", base(sliding_window=6, layer_types=[
        "full_attention", "sliding_attention", "sliding_attention"]), False),
    "granite": ("GraniteConfig", base(num_hidden_layers=2, embedding_multiplier=6.0, residual_multiplier=0.25,
                                      attention_multiplier=0.2, logits_scaling=4.0), True),
    "granite-bias": ("GraniteConfig", base(attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                                           embedding_multiplier=3.0, attention_multiplier=0.5), False),
    "smollm3": ("SmolLM3Config", base(num_hidden_layers=4, rope_parameters=rope(theta=2e6)), True),
    "smollm3-window": ("SmolLM3Config", base(no_rope_layers=[0, 1, 1], use_sliding_window=True, sliding_window=5,
                                             tie_word_embeddings=False), False),
    "phi3": ("Phi3Config", base(hidden_size=64, rope_parameters=LONG, num_hidden_layers=2,
                                original_max_position_embeddings=64), True),
    "phi3-window": ("Phi3Config", base(sliding_window=6), False),
}

# GGUF: architecture, and whether its rows of q and k are interleaved pairs.
GGUF = {
    "llama": ("llama", True), "mistral": ("llama", True), "qwen2": ("qwen2", False), "qwen3": ("qwen3", False),
    "gemma2": ("gemma2", False), "gemma3_text": ("gemma3", False), "olmo2": ("olmo2", False),
    "olmo3": ("olmo2", False), "granite": ("granite", True), "smollm3": ("smollm3", True), "phi3": ("phi3", False),
}


def draw(name, shape, power):
    """Whole numbers of -128 to 127 by SplitMix64 over the FNV-1a hash of the name, times 2^power."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & (2**64 - 1)
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    whole = (z >> np.uint64(56)).astype(np.int64) - 128
    return (whole.astype(np.float32) * np.float32(2.0**power)).reshape(shape)


def power_of(name, shape, config):
    if name.endswith("bias"):
        return -8
    if len(shape) == 1:
        return -9
    if "embed_tokens" in name:
        # Gemma and Granite multiply embeddings: the stream begins at an RMS of about 1 in every family.
        factor = getattr(config, "embedding_multiplier", 1.0)
        factor *= config.hidden_size**0.5 if config.model_type.startswith("gemma") else 1.0
        return -6 - round(np.log2(factor))
    if "lm_head" in name:
        return -8
    return -8 if shape[1] < 64 else -9


def plain(config):
    """config.json as transformers writes it, less what says nothing here."""
    out = config.to_diff_dict()
    for key in ("transformers_version", "architectures", "dtype"):
        out.pop(key, None)
    out["model_type"] = config.model_type
    # A class default that the reader takes too need not be written, but sizes are.
    for key in base():
        if key not in ("pad_token_id", "bos_token_id", "eos_token_id"):
            out[key] = getattr(config, key)
    return out


def build(name):
    kind, keys, _ = SHAPES[name]
    config = getattr(transformers, kind)(**json.loads(json.dumps(keys)))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    tied = config.tie_word_embeddings
    tensors = {}
    offset = 0.0 if config.model_type.startswith("gemma") else 1.0
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if tied and key == "lm_head.weight":
                continue
            shape = list(value.shape)
            centre = offset if len(shape) == 1 and key.endswith("weight") else 0.0
            power = power_of(key, shape, config)
            tensors[key] = {"shape": shape, "power": power, "centre": centre}
            value.copy_(torch.from_numpy(draw(key, shape, power) + np.float32(centre)))
    model.tie_weights()
    return config, model, tensors


def to_float64(model):
    """f64 throughout: norms and softmax are f32 inside transformers whatever the weights are."""
    model.double()

    def norm(self, x):
        eps = self.eps if hasattr(self, "eps") else self.variance_epsilon
        gain = 1.0 + self.weight if type(self).__name__.startswith("Gemma") else self.weight
        return gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = types.MethodType(norm, module)
    return model


class Double:
    """Context in which a cast to f32 in a forward pass is one to f64."""

    def __enter__(self):
        self.cast, self.soft, self.f32 = torch.Tensor.float, torch.nn.functional.softmax, torch.float
        torch.Tensor.float = torch.Tensor.double
        soft = self.soft
        torch.nn.functional.softmax = lambda x, dim=-1, dtype=None: soft(x.double(), dim=dim)
        torch.float = torch.float64

    def __exit__(self, *_):
        torch.Tensor.float, torch.nn.functional.softmax, torch.float = self.cast, self.soft, self.f32


def greedy(model, ids):
    """The next tokens; None where two are so near that rounding decides."""
    ids = list(ids)
    for _ in range(NEW):
        with torch.no_grad(), Double():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        top = torch.topk(logits, 2).values
        if float(top[0] - top[1]) < 1e-3:
            return None
        ids.append(int(logits.argmax()))
    return ids[-NEW:]


def text(model, name):
    """Token ids with what follows them."""
    for salt in range(20):
        whole = draw(f"{name}/ids/{salt}", [T], 0).astype(np.int64)
        ids = [int(v) % VOCAB for v in whole]
        following = greedy(model, ids)
        if following:
            return ids, following
    raise SystemExit(f"{name}: the next token is never clear")


def targets(model):
    names = {n.split(".")[-1] for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    return sorted(names - {"lm_head"})


def gradients(model, ids):
    """Gradients of the mean cross-entropy of the second half of the text."""
    import peft

    wanted = targets(model)
    # Made in f32, then f64 with the base.
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=wanted, lora_dropout=0.0, bias="none")
    adapted = peft.get_peft_model(model, config)
    adapted.double()
    factors = {}
    for key, value in adapted.named_parameters():
        if value.requires_grad:
            short = key.replace("base_model.model.", "").replace(".default.weight", "")
            with torch.no_grad():
                value.copy_(torch.from_numpy(draw(short, list(value.shape), -10)))
            factors[short] = value
    with Double():
        logits = adapted(torch.tensor([ids]), use_cache=False).logits[0].double()
    half = T // 2
    loss = torch.nn.functional.cross_entropy(logits[half - 1:-1], torch.tensor(ids[half:]))
    loss.backward()
    grads = {f"grad/{key}": value.grad.numpy().astype(np.float32) for key, value in factors.items()}
    shapes = {key: list(value.shape) for key, value in factors.items()}
    return float(loss.detach()), shapes, grads


def permuted(weight, heads):
    """Rows as llama.cpp's converters order them for interleaved rotation."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def q8_0(whole, power):
    """Blocks of whole numbers as they are, with the power of two as their scale: the values are exact."""
    blocks = whole.reshape(-1, 32).astype(np.int8)
    scale = np.full((len(blocks), 1), 2.0**power, dtype=np.float16).view(np.int8)
    return np.concatenate([scale, blocks], axis=1).reshape(whole.shape[0], -1).view(np.uint8)


def write_gguf(path, config, tensors):
    arch, interleaved = GGUF[config.model_type]
    enum = next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == arch)
    names = gguf.get_tensor_name_map(enum, config.num_hidden_layers)
    w = gguf.GGUFWriter(path, arch)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    w.add_vocab_size(VOCAB)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    kinds = config.rope_parameters
    full = kinds.get("full_attention", kinds)
    w.add_rope_freq_base(full["rope_theta"])
    if full["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(full["factor"])
    if full["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(full["factor"])
        w.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
    if full["rope_type"] == "llama3":
        # What the converter computes, as it computes it.
        factors = []
        low = full["original_max_position_embeddings"] / full["low_freq_factor"]
        high = full["original_max_position_embeddings"] / full["high_freq_factor"]
        for frequency in 1.0 / (full["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)):
            length = 2 * np.pi / frequency
            if length < high:
                factors.append(1)
            elif length > low:
                factors.append(full["factor"])
            else:
                smooth = (low / length * full["low_freq_factor"] - full["low_freq_factor"]) / (
                    full["high_freq_factor"] - full["low_freq_factor"])
                factors.append(1 / ((1 - smooth) / full["factor"] + smooth))
        w.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    if arch == "phi3":
        w.add_rope_dimension_count(int(full["partial_rotary_factor"] * head_dim))
        w.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
        scale = config.max_position_embeddings / full["original_max_position_embeddings"]
        w.add_rope_scaling_attn_factors(
            np.sqrt(1 + np.log(scale) / np.log(full["original_max_position_embeddings"])))
        for kind in ("short", "long"):
            w.add_tensor(f"rope_factors_{kind}.weight", np.array(full[f"{kind}_factor"], dtype=np.float32))
    if arch in ("gemma2", "gemma3") or config.model_type == "olmo3":
        w.add_sliding_window(config.sliding_window)
    if config.model_type == "olmo3":
        w.add_sliding_window_pattern([t == "sliding_attention" for t in config.layer_types])
        w.add_rope_freq_base_swa(kinds["sliding_attention"]["rope_theta"])
        w.add_rope_scaling_yarn_attn_factor(full["attention_factor"])
    if arch == "gemma2":
        w.add_attn_logit_softcapping(config.attn_logit_softcapping)
        w.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "granite":
        w.add_attention_scale(config.attention_multiplier)
        w.add_embedding_scale(config.embedding_multiplier)
        w.add_residual_scale(config.residual_multiplier)
        w.add_logit_scale(config.logits_scaling)
    for key, t in tensors.items():
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        value = draw(key, t["shape"], t["power"])
        heads = [config.num_attention_heads, config.num_key_value_heads]
        which = next((h for h, m in zip(heads, ("q_proj", "k_proj")) if f".{m}." in key), None)
        if interleaved and which:
            value = permuted(value, which)
        if len(t["shape"]) == 1:
            more = 1.0 if config.model_type.startswith("gemma") else t["centre"]
            w.add_tensor(name, value + np.float32(more if key.endswith("weight") else 0.0))
        else:
            blocks = q8_0(value / np.float32(2.0 ** t["power"]), t["power"])
            w.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write(name, out):
    config, model, tensors = build(name)
    to_float64(model)
    ids, following = text(model, name)
    with torch.no_grad(), Double(), oracle.BlockOutputs(model, lambda l, h: found.__setitem__(l, h[0].numpy().copy())):
        found = [None] * config.num_hidden_layers
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double().numpy()
    resid = np.stack(found)  # (layers, T, D)
    more = {"greedy": following}
    arrays = {
        "resid": resid[:, POSITIONS].astype(np.float32), "logits": logits[POSITIONS].astype(np.float32),
        "rms": np.sqrt((resid[:, 1:] ** 2).mean(axis=(1, 2))).astype(np.float64),
    }
    if SHAPES[name][2]:
        write_gguf(os.path.join(out, f"{name}.gguf"), config, tensors)
        loss, factors, grads = gradients(model, ids)
        more["lora"] = {"rank": RANK, "alpha": ALPHA, "power": -10, "loss": loss, "factors": factors}
        arrays.update(grads)
    # What is not laid out in rows would be written as it lies.
    arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    save_file(arrays, os.path.join(out, f"{name}.safetensors"))
    oracle.write_json(os.path.join(out, f"{name}.json"), {
        "config": plain(config), "ids": ids, "positions": POSITIONS, **more, "tensors": tensors,
    })


# Run in the source tree of llama.cpp, whose converter reads the folder; its tokenizer is none.
CONVERT = """
import pathlib, sys, torch
import conversion.base as base
import gguf
from convert_hf_to_gguf import ModelBase, get_model_architecture, get_model_class, ModelType
folder, out = map(pathlib.Path, sys.argv[1:])
with torch.inference_mode():
    hparams = ModelBase.load_hparams(folder, False)
    kind = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    kind.set_vocab = lambda self: None
    kind(folder, gguf.LlamaFileType.ALL_F32, out, eager=True).write()
"""


# Keys that the converter leaves out where readers derive them.
DERIVED = ("vocab_size", "attention.key_length", "attention.value_length", "rope.freq_base")


def folder_of(name, folder):
    """The checkpoint as transformers saves it; a vocabulary of VOCAB words for who counts them."""
    config, model, _ = build(name)
    model.save_pretrained(folder)
    oracle.write_json(os.path.join(folder, "tokenizer.json"), {
        "model": {"vocab": {f"w{i}": i for i in range(VOCAB)}}, "added_tokens": []})
    return config


def against_converter(source, frozen):
    """What differs between the frozen GGUF files and what llama.cpp's converter makes of the checkpoints."""
    wrong = []
    for name in [n for n in SHAPES if SHAPES[n][2]]:
        with tempfile.TemporaryDirectory() as folder:
            folder_of(name, folder)
            out = os.path.join(folder, "out.gguf")
            env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.join(source, "gguf-py"), source])}
            done = subprocess.run([sys.executable, "-c", CONVERT, folder, out], env=env, cwd=source,
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                wrong.append(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                continue
            ours, theirs = gguf.GGUFReader(os.path.join(frozen, f"{name}.gguf")), gguf.GGUFReader(out)
            read = lambda t: gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
            a, b = ({t.name: read(t) for t in r.tensors} for r in (ours, theirs))
            wrong += [f"{name}: tensors {sorted(set(a) ^ set(b))}"] if set(a) != set(b) else []
            wrong += [f"{name}: {k}" for k in a if k in b and not np.allclose(a[k], b[k], rtol=1e-6, atol=0)]
            keys = [{f.name: f.contents() for f in r.fields.values()} for r in (ours, theirs)]
            arch = keys[0]["general.architecture"]
            for key, value in keys[0].items():
                if not key.startswith(arch + "."):
                    continue
                other = keys[1].get(key)
                if other is None and key.split(".", 1)[1] in DERIVED:
                    continue
                near = isinstance(value, float) and other is not None and abs(value - other) <= 1e-6 * abs(value)
                wrong += [] if near or value == other else [f"{name}: {key} is {value}, the converter says {other}"]
            more = {k: v for k, v in keys[1].items() if k.startswith(arch + ".") and k not in keys[0]}
            print(f"{name}: converted alike; keys besides: {more}", flush=True)
    return wrong


def compare(frozen, fresh):
    """What differs between two folders of fixtures."""
    wrong = []
    if sorted(os.listdir(frozen)) != sorted(os.listdir(fresh)):
        return [f"{frozen} holds other files: {sorted(set(os.listdir(frozen)) ^ set(os.listdir(fresh)))}"]
    for file in sorted(os.listdir(fresh)):
        old, new = (os.path.join(folder, file) for folder in (frozen, fresh))
        if file.endswith(".safetensors"):
            old, new = load_file(old), load_file(new)
            for key in new:
                scale = float(np.abs(new[key]).max()) or 1.0
                if key not in old or np.abs(old[key].astype(float) - new[key]).max() > 1e-5 * scale:
                    wrong.append(f"{file}: {key}")
        elif file.endswith(".gguf"):
            with open(old, "rb") as a, open(new, "rb") as b:
                wrong += [] if a.read() == b.read() else [file]
        else:
            with open(old, encoding="utf-8") as a, open(new, encoding="utf-8") as b:
                a, b = json.load(a), json.load(b)
            for found in (a, b):
                found.get("lora", {}).pop("loss", None)
            wrong += [] if a == b else [file]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out")
    where.add_argument("--check", help="compare with the fixtures of this folder")
    parser.add_argument("--llama-cpp", help="source tree of llama.cpp, whose converter must agree on the GGUF files")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    out = args.out or tempfile.mkdtemp()
    os.makedirs(out, exist_ok=True)
    for name in SHAPES:
        write(name, out)
        print(name, flush=True)
    total = sum(os.path.getsize(os.path.join(out, n)) for n in os.listdir(out))
    print(f"{out}: {total / 1e3:.0f} kB")
    wrong = compare(args.check, out) if args.check else []
    if args.llama_cpp:
        wrong += against_converter(args.llama_cpp, out)
    for line in wrong:
        print(f"FAIL {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
