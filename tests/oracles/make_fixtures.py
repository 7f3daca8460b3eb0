"""Writes the numbers that tests/parity.rs holds residuum to.

    python make_fixtures.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out ../fixtures [--hf-folder DIR]

Everything comes from transformers and peft on the pinned GGUF (see oracle.py for the two repairs made to them).
Fixtures stay small: a file is below 1.5 MB and all together below 9 MB, so of the two long texts only sixteen
positions are kept (`positions` in each residual file names the kept ones). Takes about three minutes on two cores.
"""

import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.numpy import save_file

import everyday
import oracle

STRINGS = [
    "Hello world",
    " leading space",
    "trailing space ",
    "two  spaces   three    four",
    "\n",
    "\n\n\n",
    "line one\nline two\r\nline three\n\n  indented",
    "\ttabs\t\tand spaces \t mixed",
    "0",
    "1234567890",
    "3.14159 and -2,718.28e-10",
    "2024-02-29T23:59:59Z",
    "x  1",
    "a\n\n1. first\n\n2. second",
    "room 101,  page   7",
    "½ cup, x² + y³ = ①, Ⅷ",
    "٣٤٥ and ৭৮ and 五",
    "don't we'll they've I'm she'd it's you're",
    "DON'T WE'LL THEY'VE",
    "naïve café über Straße Ångström",
    "cafe\u0301 decomposed, café composed",
    "Привет, как дела?",
    "你好，世界。今天天气很好",
    "こんにちは、ありがとう",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "ไทยไม่มีช่องว่าง",
    "🎉",
    "family 👨‍👩‍👧‍👦 flag 🇳🇴 skin 👍🏽 heart ❤️",
    "zero\u200bwidth\u00a0nbsp\u2003em\ufefffeff",
    "\u0000 null and \u001b escape",
    "fn main() {\n    let v: Vec<u32> = (0..10).map(|x| x * 2).collect();\n}\n",
    "def f(x):\n\treturn {k: v for k, v in x.items() if v != 0}  # note",
    "SELECT * FROM t WHERE a >= 10 AND b <> 'x''y';",
    "<div class=\"a-b\" id='c'>&amp;</div>",
    "https://example.org/a/b?c=1&d=%20#frag",
    "{\"k\": [1, 2.5, null, true], \"s\": \"\\u00e9\\n\"}",
    "$\\frac{a}{b} \\leq \\sum_{i=1}^{n} x_i^2$",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<|endoftext|>",
    "text<|im_end|>text <|im_end|> text",
    "<|im_start|><|im_start|>",
    "<|im_start |> <im_end> |im_end|> <|im_end",
    "<repo_name>a/b<file_sep><filename>x.py<gh_stars>10",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!???...---===+++___~~~```",
    "Wait... what?! (No; really: \"yes\" -- 'ok')",
    "CamelCaseAndsnake_case_and-kebab-case",
    "The quick brown fox jumps over the lazy dog. " * 3,
]

CHATS = [
    ([{"role": "user", "content": "Hello"}], True),
    ([{"role": "user", "content": "Hello"}], False),
    ([{"role": "user", "content": "What is the time?"}, {"role": "assistant", "content": "I have no clock."}], False),
    ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name 3 birds.\n\n1."}], True),
    ([{"role": "system", "content": "You speak French."},
      {"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Bonjour !"}], False),
    ([{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"},
      {"role": "user", "content": "Three"}], True),
    ([{"role": "system", "content": "Count."}, {"role": "user", "content": "1"},
      {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"},
      {"role": "assistant", "content": "4"}], False),
    ([{"role": "system", "content": ""}, {"role": "user", "content": "  padded  "}], True),
    ([{"role": "user", "content": "quote <|im_end|> inside"}], True),
    ([{"role": "user", "content": "日本語で {{ braces }} {% raw %}"}], True),
]

RESIDUAL_TEXTS = [
    "The harbour was quiet after the last ferry had left.",
    "let x: u32 = a[0] + b;",
    "Water boils at 100 degrees, but tea wants less.",
    "My grandmother kept bees behind the old stone wall.",
    "Yes, I would rather walk than take the bus.",
    "A café, please, and two rolls 🥐",
]
RESIDUAL_CHATS = [
    [{"role": "system", "content": "You are a careful cook."},
     {"role": "user", "content": "How do I keep rice from sticking to the pan?"},
     {"role": "assistant", "content": "Rinse it first."}],
    [{"role": "user", "content": "Tell me about the sea."}],
]
KEPT_OF_LONG = 16

GREEDY = [
    [{"role": "user", "content": "Describe a lighthouse at night."}],
    [{"role": "user", "content": "Write one sentence about a river."}],
    [{"role": "system", "content": "You are a friendly teacher."},
     {"role": "user", "content": "Why do leaves fall in autumn?"}],
    [{"role": "user", "content": "List three things to take on a picnic."}],
]
GREEDY_TOKENS = 32
LEAST_MARGIN = 1e-3

PEFT = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], "seed": 20260401}
TRAIN = {"batch_size": 4, "rate": 2e-4, "warmup": 2}


def tokens(tokenizer):
    strings = [{"text": text, "ids": oracle.encode(tokenizer, text)} for text in STRINGS]
    chats = []
    for messages, generate in CHATS:
        text = oracle.render(tokenizer, messages, generate)
        chats.append({
            "messages": messages, "add_generation_prompt": generate,
            "text": text, "ids": oracle.encode(tokenizer, text),
        })
    return {"special_tokens_added": False, "strings": strings, "chats": chats}


def residual_inputs(tokenizer):
    texts = list(RESIDUAL_TEXTS)
    for messages in RESIDUAL_CHATS:
        texts.append(oracle.render(tokenizer, messages, messages[-1]["role"] == "user"))
    return [(text, oracle.encode(tokenizer, text)) for text in texts]


def kept_positions(length):
    if length <= KEPT_OF_LONG:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, KEPT_OF_LONG).round().astype(int))


def write_residuals(out, inputs, single, double):
    """`single` and `double` are lists of (residuals [L, T, D], logits [V]) in f32 and f64."""
    for index, (text, ids) in enumerate(inputs):
        (low, _), (high, logits) = single[index], double[index]
        rms = np.sqrt((high[:, 1:] ** 2).mean(axis=(1, 2)))  # (L,)
        gap = np.abs(low.astype(np.float64) - high)  # (L, T, D)
        first = np.sqrt((high[:, 0] ** 2).mean(axis=1))  # (L,)
        keep = kept_positions(len(ids))
        top = np.argsort(-logits, kind="stable")[:20]
        tensors = {
            "ids": np.array(ids, np.uint32),
            "positions": keep.astype(np.uint32),
            "resid_post": np.ascontiguousarray(high[:, keep].astype(np.float32)),
            "rms": rms,
            "rms_position_0": first,
            "top_ids": top.astype(np.uint32),
            "top_logits": logits[top],
        }
        metadata = {
            "text": text,
            "about": "f64 outputs of blocks 0..29 at `positions`; rms over all positions but 0; "
                     "top logits of the last token",
            "f32_max_deviation_in_rms": json.dumps([float(f"{v:.4g}") for v in gap[:, 1:].max(axis=(1, 2)) / rms]),
            "f32_max_deviation_at_position_0_in_its_rms":
                json.dumps([float(f"{v:.4g}") for v in gap[:, 0].max(axis=1) / first]),
            "f32_logits_max_deviation": f"{np.abs(single[index][1] - logits).max():.4g}",
        }
        save_file(tensors, os.path.join(out, f"residuals-{index}.safetensors"), metadata)


def greedy(model, tokenizer):
    rows = []
    end = tokenizer.convert_tokens_to_ids(oracle.END_OF_TURN)
    for messages in GREEDY:
        text = oracle.render(tokenizer, messages, True)
        ids = oracle.encode(tokenizer, text)
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                max_new_tokens=GREEDY_TOKENS, eos_token_id=end, pad_token_id=end,
                return_dict_in_generate=True, output_logits=True,
            )
        new = out.sequences[0, len(ids):].tolist()
        pairs = [step[0].topk(2).values for step in out.logits]
        margins = [float(pair[0] - pair[1]) for pair in pairs]
        if min(margins) <= LEAST_MARGIN:
            raise SystemExit(f"a near-tie of {min(margins):.2g} on the way: choose another prompt than {messages}")
        rows.append({
            "messages": messages, "prompt": text, "ids": ids, "new_ids": new, "new_text": tokenizer.decode(new),
            "stopped": new[-1] == end, "smallest_margin": min(margins),
        })
    return {"max_new_tokens": GREEDY_TOKENS, "end_of_turn_id": end, "dtype": "f32", "prompts": rows}


def dequantisation(gguf, model):
    import gguf as gguf_package

    seen = {}
    for tensor in gguf_package.GGUFReader(gguf).tensors:
        kind = tensor.tensor_type.name
        if kind in seen:
            continue
        value = gguf_package.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        seen[kind] = {
            "tensor": tensor.name, "shape": list(value.shape),
            "first": [float(v) for v in value.reshape(-1)[:64]], "sha256": oracle.sha256_f32(value),
        }
    state = model.state_dict()
    rotary = {
        key: {"shape": list(state[key].shape), "first": [float(v) for v in state[key].reshape(-1)[:64]],
              "sha256": oracle.sha256_f32(state[key].numpy())}
        for key in ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight")
    }
    return {
        "about": "shape is [rows, columns], row-major; sha256 of the whole array as little-endian f32. `types` are "
                 "in the file's own row order, `rotary` in the model's (q and k rows un-permuted)",
        "types": seen, "rotary": rotary,
    }


def peft_fixture(model, tokenizer, out):
    rows = everyday.rows()
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "rows.jsonl"), "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    adapted = oracle.new_adapter(model, PEFT["r"], PEFT["lora_alpha"], PEFT["target_modules"], PEFT["seed"])
    oracle.save_adapter(adapted, os.path.join(out, "init"))
    curve, batches = oracle.train(adapted, tokenizer, [row["messages"] for row in rows], **TRAIN)
    oracle.save_adapter(adapted, os.path.join(out, "final"))
    oracle.write_json(os.path.join(out, "curve.json"), {
        "about": "loss is before the step's update; mean cross-entropy over the batch's assistant tokens with "
                 "<|im_end|>, without the newline after it. grad_norm is before clipping to 1.0 "
                 "(factor min(1, 1 / (norm + 1e-6))). learning_rate at step i, from 0, is rate * i / warmup while "
                 "i < warmup, then rate * (steps - i) / (steps - warmup): the first step moves nothing.",
        "adapter": PEFT, "batch": TRAIN["batch_size"], "rate": TRAIN["rate"], "warmup": TRAIN["warmup"],
        "adamw": {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}, "clip": 1.0,
        "steps": curve, "first_batches": batches,
    })
    return adapted.unload()


def write_all(gguf, out, hf_folder=None):
    if oracle.sha256_file(gguf) != oracle.GGUF_SHA256:
        raise SystemExit(f"{gguf}: not the pinned file (SHA-256 {oracle.GGUF_SHA256})")
    torch.manual_seed(0)
    os.makedirs(out, exist_ok=True)
    tokenizer = oracle.load_tokenizer(gguf)
    oracle.write_json(os.path.join(out, "tokens.json"), tokens(tokenizer))
    model = oracle.load_model(gguf)
    compared = oracle.check_weights(model, gguf)
    print(f"{compared} tensors: transformers and gguf agree bit for bit")
    if hf_folder:
        oracle.save_folder(model, tokenizer, hf_folder)
    oracle.write_json(os.path.join(out, "dequantise.json"), dequantisation(gguf, model))
    oracle.write_json(os.path.join(out, "greedy.json"), greedy(model, tokenizer))
    inputs = residual_inputs(tokenizer)
    single = [oracle.residuals(model, ids) for _, ids in inputs]
    model.set_attn_implementation("sdpa")
    model = peft_fixture(model, tokenizer, os.path.join(out, "peft"))
    oracle.to_float64(model)
    double = [oracle.residuals(model, ids) for _, ids in inputs]
    write_residuals(out, inputs, single, double)

    import peft
    import transformers
    oracle.write_json(os.path.join(out, "about.json"), {
        "model": oracle.MODEL_NAME, "gguf_sha256": oracle.GGUF_SHA256,
        "versions": {m.__name__: m.__version__.split("+")[0] for m in (torch, transformers, peft, np)},
        "licence": "fixtures: as the project; weights' numbers: Apache-2.0",
        "layer_convention": "block_output_0based",
    })


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--hf-folder", help="also save the f32 model and tokenizer here (540 MB)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if os.path.isdir(os.path.join(args.out, "peft")):
        shutil.rmtree(os.path.join(args.out, "peft"))
    write_all(args.gguf, args.out, args.hf_folder)
    total = 0
    for folder, _, files in os.walk(args.out):
        for name in files:
            path = os.path.join(folder, name)
            os.chmod(path, 0o644)
            size = os.path.getsize(path)
            total += size
            if size > 1_500_000:
                raise SystemExit(f"{name}: {size} bytes, more than a fixture may have")
    if total > 9_000_000:
        raise SystemExit(f"{total} bytes in all, more than the fixtures may have")
    print(f"{args.out}: {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
