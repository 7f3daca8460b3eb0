"""Live check against transformers and peft: `make peers` runs it in a virtual environment of its own.

    python peers.py --gguf FILE --model FILE_OR_FOLDER [--residuum PATH] [--only fixtures,parity,finetune,capture]

Five parts, each of which fails on its own:

1. fixtures  computes the fixtures anew and holds the frozen ones to them;
2. parity    runs the Rust parity tests on the new ones (RESIDUUM_FIXTURES names their folder);
3. finetune  LoRA r 16 on all seven linears, 20 steps: residuum's loss, learning rate and gradient norm at every
             step against peft's;
4. capture   peft loads the adapter that residuum wrote (no key missing, none left over) and, with it, pooled
             residuals of every layer agree with `residuum capture --adapter`.

Tolerances stand beside the comparisons. Exit status 0 when all parts passed, 1 otherwise. About five minutes on
two idle cores, most of it peft's training.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import oracle  # first: it sets the environment of torch
import numpy as np
import torch
import transformers
from safetensors import safe_open

import acts
import everyday
import make_fixtures

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FULL = {"rank": 16, "alpha": 32, "seed": 20260402}


class Failures:
    def __init__(self):
        self.lines = []

    def check(self, what, worst, limit):
        good = bool(worst <= limit)  # a NaN is a failure
        print(f"  {'ok  ' if good else 'FAIL'} {what}: {worst:.3g} (limit {limit:.3g})", flush=True)
        if not good:
            self.lines.append(what)

    def equal(self, what, ours, theirs):
        good = ours == theirs
        print(f"  {'ok  ' if good else 'FAIL'} {what}", flush=True)
        if not good:
            self.lines.append(what)


def read_json(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return json.load(file)


def relative(ours, theirs):
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape:
        return float("inf")
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-12)).max(initial=0.0))


def tensors(path):
    with safe_open(path, "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def compare_fixtures(frozen, fresh, failures):
    print("fixtures: frozen against computed anew")
    for name in ("tokens.json", "dequantise.json"):
        failures.equal(name, read_json(frozen, name), read_json(fresh, name))
    old, new = read_json(frozen, "greedy.json")["prompts"], read_json(fresh, "greedy.json")["prompts"]
    failures.equal("greedy.json tokens", [p["new_ids"] for p in old], [p["new_ids"] for p in new])
    names = sorted(n for n in os.listdir(fresh) if n.startswith("residuals-"))
    failures.equal("residual files", sorted(n for n in os.listdir(frozen) if n.startswith("residuals-")), names)
    for name in names:
        old, new = tensors(os.path.join(frozen, name)), tensors(os.path.join(fresh, name))
        same = all(np.array_equal(old[k], new[k]) for k in ("ids", "positions"))
        failures.equal(f"{name} tokens", same, True)
        if not same:
            continue
        scale = new["rms"][:, None, None] + np.abs(new["resid_post"])
        gap = np.abs(old["resid_post"].astype(float) - new["resid_post"]) / scale
        failures.check(f"{name} f64 residuals, to RMS + |x|", float(gap.max()), 1e-6)
        failures.check(f"{name} top logits", relative(old["top_logits"], new["top_logits"]), 1e-8)
    with open(os.path.join(frozen, "peft", "rows.jsonl"), encoding="utf-8") as a, \
            open(os.path.join(fresh, "peft", "rows.jsonl"), encoding="utf-8") as b:
        failures.equal("peft/rows.jsonl", a.read(), b.read())
    old, new = read_json(frozen, "peft", "curve.json"), read_json(fresh, "peft", "curve.json")
    failures.equal("peft/curve.json batches", old["first_batches"], new["first_batches"])
    for key, limit in (("loss", 1e-4), ("grad_norm", 1e-3), ("learning_rate", 1e-12)):
        failures.check(f"peft/curve.json {key}, relative",
                       relative([s[key] for s in old["steps"]], [s[key] for s in new["steps"]]), limit)
    for folder in ("init", "final"):
        old, new = (tensors(os.path.join(top, "peft", folder, "adapter_model.safetensors")) for top in (frozen, fresh))
        failures.equal(f"peft/{folder} keys", sorted(old), sorted(new))
        worst = max(float(np.abs(old[k] - new[k]).max()) for k in old if k in new)
        failures.check(f"peft/{folder} weights, absolute", worst, 0.0 if folder == "init" else 5e-5)


def run(command, **more):
    print("  $ " + " ".join(command), flush=True)
    return subprocess.run(command, check=False, **more).returncode


def finetune(args, tokenizer, folder, failures):
    print("finetune: LoRA r 16 on all linears, 20 steps")
    rows = everyday.rows()
    data, init, out = (os.path.join(folder, n) for n in ("rows.jsonl", "init", "residuum-adapter"))
    with open(data, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    model = oracle.load_folder(args.hf_folder)
    adapted = oracle.new_adapter(model, FULL["rank"], FULL["alpha"], LINEARS, FULL["seed"])
    oracle.save_adapter(adapted, init)
    theirs, _ = oracle.train(adapted, tokenizer, [row["messages"] for row in rows], **make_fixtures.TRAIN)
    del adapted, model
    status = run([
        args.residuum, "finetune", "--model", args.model, "--data", data, "--init-adapter", init, "--order", "file",
        "--batch", "4", "--lr", "2e-4", "--warmup", "2", "--epochs", "1", "--out", out,
    ])
    failures.equal("residuum finetune exits with 0", status, 0)
    if status:
        return None
    ours = oracle.read_rows(os.path.join(out, "training.jsonl"))
    ours = [row for row in ours if "loss" in row]
    failures.equal("steps", len(ours), len(theirs))
    if len(ours) == len(theirs):
        # a log that counts steps from 1 is as good; the order is what matters
        for key, limit in (("loss", 1e-3), ("grad_norm", 1e-2), ("learning_rate", 1e-5)):
            failures.check(f"{key} at every step, relative",
                           relative([s[key] for s in ours], [s[key] for s in theirs]), limit)
        for a, b in zip(ours, theirs):
            print(f"    step {b['step']:2}  loss {a['loss']:.6f} {b['loss']:.6f}  "
                  f"grad_norm {a['grad_norm']:.5f} {b['grad_norm']:.5f}")
    return out


def adapter_loads(model, folder, failures):
    """The model with residuum's adapter; every key must find its place, and every place a key."""
    import peft

    config = peft.PeftConfig.from_pretrained(folder)
    config.inference_mode = True
    adapted = peft.get_peft_model(model, config)
    state = peft.load_peft_weights(folder, device="cpu")
    result = peft.set_peft_model_state_dict(adapted, state)
    missing = [key for key in result.missing_keys if "lora_" in key]
    failures.equal(f"no adapter key is missing ({missing[:2]})", missing, [])
    failures.equal(f"no adapter key is left over ({result.unexpected_keys[:2]})", list(result.unexpected_keys), [])
    moved = [bool(np.abs(v.numpy()).max() > 0) for k, v in state.items() if "lora_B" in k]
    failures.equal("every B has moved from zero", all(moved) and len(moved) == 7 * 30, True)
    return adapted.eval()


def capture(args, tokenizer, adapter, folder, failures):
    print("capture: pooled residuals of every layer, with the adapter and without")
    texts = [{"id": f"t{i:02}", "prompt": q, "response": a} for i, (q, a) in enumerate(everyday.PAIRS[:16])]
    path = os.path.join(folder, "texts.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for row in texts:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    model = oracle.load_folder(args.hf_folder)
    shape = (model.config.num_hidden_layers, model.config.hidden_size)
    positions = ["response-mean", "prompt-last"]
    for with_adapter in ([None, adapter] if adapter else [None]):
        label = "adapter" if with_adapter else "plain"
        if with_adapter:
            model = adapter_loads(model, with_adapter, failures)
        theirs = oracle.pooled(model, tokenizer, texts, batch_size=8)
        out = os.path.join(folder, f"acts-{label}.h5")
        command = [args.residuum, "capture", "--model", args.model, "--texts", path,
                   "--positions", ",".join(positions), "--layers", "all", "--out", out]
        status = run(command + (["--adapter", with_adapter] if with_adapter else []), stdout=subprocess.DEVNULL)
        failures.equal(f"residuum capture ({label}) exits with 0", status, 0)
        if status:
            continue
        ours = acts.read(out, positions, [row["id"] for row in texts], *shape)
        for position in positions:
            rms = np.sqrt((theirs[position].astype(float) ** 2).mean(axis=(0, 2)))  # (L,)
            gap = np.abs(ours[position].astype(float) - theirs[position]) / rms[None, :, None]
            failures.check(f"{label} {position}, worst entry in units of the layer's RMS", float(gap.max()), 1e-3)
            if gap.max() > 1e-3:
                worst = gap.max(axis=(0, 2))
                print("    by layer: " + " ".join(f"{v:.1e}" for v in worst))
                print("    (response-mean is over the response's own tokens, without <|im_end|>)")


def folders(args, tokenizer, folder, failures):
    print("folders: transformers' own safetensors read here, and ours read by transformers")
    texts = [{"id": f"t{i:02}", "prompt": q, "response": a} for i, (q, a) in enumerate(everyday.PAIRS[:4])]
    path = os.path.join(folder, "few.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for row in texts:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    model = oracle.load_folder(args.hf_folder)
    shape = (model.config.num_hidden_layers, model.config.hidden_size)
    theirs = oracle.pooled(model, tokenizer, texts, batch_size=4)["response-mean"]
    rms = np.sqrt((theirs.astype(float) ** 2).mean(axis=(0, 2)))  # (L,)
    gap = lambda found: float((np.abs(found.astype(float) - theirs) / rms[None, :, None]).max())
    out = os.path.join(folder, "acts-folder.h5")
    status = run([args.residuum, "capture", "--model", args.hf_folder, "--texts", path,
                  "--positions", "response-mean", "--layers", "all", "--out", out], stdout=subprocess.DEVNULL)
    failures.equal("residuum capture of transformers' folder exits with 0", status, 0)
    if not status:
        ours = acts.read(out, ["response-mean"], [row["id"] for row in texts], *shape)["response-mean"]
        failures.check("worst entry in units of the layer's RMS", gap(ours), 1e-3)
    exported = os.path.join(folder, "exported")
    status = run([args.residuum, "model", "export", args.model, "--out", exported, "--shard", "0.2"],
                 stdout=subprocess.DEVNULL)
    failures.equal("residuum model export exits with 0", status, 0)
    if not status:
        words = transformers.AutoTokenizer.from_pretrained(exported)
        chat = [{"role": "user", "content": texts[0]["prompt"]}]
        failures.equal("the exported tokenizer and template", words.apply_chat_template(chat, tokenize=False),
                       tokenizer.apply_chat_template(chat, tokenize=False))
        again = oracle.pooled(oracle.load_folder(exported), words, texts, batch_size=4)["response-mean"]
        failures.check("exported weights in transformers, worst entry", gap(again), 1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True, help="the pinned SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--model", help="what residuum loads (default: the GGUF)")
    parser.add_argument("--residuum", default=os.path.join(ROOT, "target", "release", "residuum"))
    parser.add_argument("--fixtures", default=os.path.join(ROOT, "tests", "fixtures"))
    parser.add_argument("--work", help="keep working files here (default: a temporary folder)")
    parser.add_argument("--only", default="fixtures,parity,finetune,capture,folders")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.model = args.model or args.gguf
    parts = args.only.split(",")
    torch.set_num_threads(args.threads)
    failures = Failures()
    with tempfile.TemporaryDirectory() as temporary:
        folder = os.path.abspath(args.work or temporary)
        os.makedirs(folder, exist_ok=True)
        fresh = os.path.join(folder, "fixtures")
        args.hf_folder = os.path.join(folder, "hf")
        saved = os.path.exists(os.path.join(args.hf_folder, "config.json"))
        if "fixtures" in parts:
            make_fixtures.write_all(args.gguf, fresh, None if saved else args.hf_folder)
            compare_fixtures(args.fixtures, fresh, failures)
        elif not saved and {"finetune", "capture", "folders"} & set(parts):
            oracle.save_folder(oracle.load_model(args.gguf), oracle.load_tokenizer(args.gguf), args.hf_folder)
        if "parity" in parts:
            print("parity: the Rust tests on these fixtures")
            source = fresh if os.path.isdir(fresh) else os.path.abspath(args.fixtures)
            status = run(["cargo", "test", "--release", "--test", "parity"], cwd=ROOT,
                         env={**os.environ, "RESIDUUM_FIXTURES": source})
            failures.equal("cargo test --test parity", status, 0)
        tokenizer = oracle.load_tokenizer(args.gguf)
        adapter = finetune(args, tokenizer, folder, failures) if "finetune" in parts else None
        if "capture" in parts:
            capture(args, tokenizer, adapter, folder, failures)
        if "folders" in parts:
            folders(args, tokenizer, folder, failures)
    if failures.lines:
        print(f"{len(failures.lines)} failed: " + "; ".join(failures.lines))
        sys.exit(1)
    print("all agree")


if __name__ == "__main__":
    main()
