"""Speed beside transformers and peft: `make peers-bench` runs it in a virtual environment of its own.

    python bench.py --gguf FILE [--residuum PATH] [--threads 2] [--repeats 3] [--only capture,shared,...]
                    [--results FILE]

Rows, each with its target (see TARGETS): capture of chats with nothing in common but the template, capture of the
study's own contrast sets, LoRA training, greedy generation of many prompts and of one, and what `residuum bench` says of this machine: the
share of the matrix product's rate, the cost of hooks, loading and its memory. Same texts, threads and f32 weights on
both sides; outputs are compared before times are; sides alternate and a ratio is the median over repeats. The peer
gets its best chance: no head where none is needed, batches sorted by length, the fastest of several batch sizes
for capture. Times are of the work without load, as both sides report them; peak memory is the high-water mark of the
whole process. Run it on an idle machine: the load average is printed. Exit status 1, with the row, where a target is
missed or outputs disagree. The table goes to --results, with the machine.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

PLACES = "harbour orchard station library workshop bakery valley market garden theatre bridge kitchen".split()
PEOPLE = "carpenter nurse sailor teacher farmer painter baker driver singer student tailor gardener".split()
THINGS = "lantern kettle ladder basket violin blanket compass bicycle mirror teapot wheelbarrow clock".split()
ACTS = "repaired borrowed painted carried sold found cleaned measured hid returned weighed forgot".split()
MANNERS = ["slowly", "twice", "carefully", "before noon", "without help", "in the rain", "by accident"]
TIMES = ["Last week", "At dawn", "In spring", "On Monday", "After the storm", "Years ago", "Before supper"]
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NEW_TOKENS = 64

# Ratio of speed that a row must reach, and share of the peer's peak memory that it may take.
TARGETS = {"capture": 1.4, "shared": 2.5, "training": 2.0, "generation": 2.0, "single": 2.0}
MEMORY = {"capture": 0.5, "training": 0.5}

ASKS = ["Tell me what happened when the {p} {a} a {t} near the {l}.",
        "Why would a {p} have {a} the {t} at the {l}?",
        "Summarise: the {p}, the {t} and the {l}.",
        "A {p} {a} my {t}. What should I say at the {l}?"]


def texts(count=64):
    """Deterministic {id, prompt, response} rows; about 112 tokens each with the default template."""
    rows = []
    for index in range(count):
        draw = random.Random(1000 + index)

        def fill(pattern):
            return pattern.format(p=draw.choice(PEOPLE), a=draw.choice(ACTS), t=draw.choice(THINGS),
                                  l=draw.choice(PLACES), m=draw.choice(MANNERS))
        prompt = fill(draw.choice(ASKS))
        sentences = []
        for _ in range(5):
            sentences.append(draw.choice(TIMES) + fill(" the {p} {a} the {t} {m} beside the {l}."))
        rows.append({"id": f"b{index:02}", "prompt": prompt, "response": " ".join(sentences)})
    return rows


def contrast_sets():
    """Both sides of every persona and autonomy pair, as the study reads them."""
    rows = []
    for name in ("persona", "autonomy"):
        with open(os.path.join(ROOT, "probes", "concepts", f"{name}.jsonl"), encoding="utf-8") as file:
            for line in list(file)[1:]:
                pair = json.loads(line)
                for side in ("positive", "negative"):
                    rows.append({"id": f"{pair['id']}-{side}", "prompt": pair["prompt"], "response": pair[side]})
    return rows


def chats(name, count):
    """The first rows of a shipped fine-tune set."""
    with open(os.path.join(ROOT, "assets", "finetune", f"{name}.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in list(file)[1:count + 1]]


def peer(task, folder, path, out, threads):
    """Child process: times transformers or peft, writes its numbers to `out` and prints a line of JSON."""
    import oracle
    import numpy as np
    import torch
    import transformers

    torch.set_num_threads(threads)
    rows = oracle.read_rows(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = oracle.load_folder(folder)
    if task in ("capture", "shared"):
        count = sum(len(oracle.text_spans(tokenizer, row)[0]) for row in rows)
        oracle.pooled(model, tokenizer, rows[:2], 2, with_prompt_last=False)
        times = {}
        for batch in (8, 16, 32) if task == "capture" else (32,):
            start = time.perf_counter()
            found = oracle.pooled(model, tokenizer, rows, batch, with_prompt_last=False)
            times[batch] = time.perf_counter() - start
        np.save(out, found["response-mean"])
        best = min(times, key=times.get)
        print(json.dumps({"seconds": times[best], "tokens": count, "what": f"batch {best}"}))
    elif task == "training":
        adapted = oracle.new_adapter(model, 16, 32, LINEARS, 7)
        oracle.save_adapter(adapted, out)
        start = time.perf_counter()
        curve, _ = oracle.train(adapted, tokenizer, [row["messages"] for row in rows], batch_size=8, rate=2e-4,
                                warmup=2)
        seconds = time.perf_counter() - start
        with open(os.path.join(out, "curve.json"), "w", encoding="utf-8") as file:
            json.dump([step["loss"] for step in curve], file)
        print(json.dumps({"seconds": seconds, "tokens": sum(step["tokens"] for step in curve), "what": "batch 8"}))
    else:
        chosen = [row["prompt"] for row in rows]
        texts = [tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False,
                                               add_generation_prompt=True) for prompt in chosen]
        tokenizer.padding_side = "left"
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        start = time.perf_counter()
        with torch.no_grad():
            ids = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False,
                                 pad_token_id=tokenizer.pad_token_id)
        seconds = time.perf_counter() - start
        new = ids[:, batch["input_ids"].shape[1]:]
        answers = tokenizer.batch_decode(new, skip_special_tokens=True)
        with open(out, "w", encoding="utf-8") as file:
            json.dump(answers, file)
        count = int((new != tokenizer.pad_token_id).sum())
        print(json.dumps({"seconds": seconds, "tokens": count, "what": f"{len(rows)} prompts"}))


def child(command, threads):
    """(stdout, peak resident bytes, wall seconds) of a process that must succeed."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        environment[name] = str(threads)
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode} of: {' '.join(command)}")
    scale = 1 if sys.platform == "darwin" else 1024
    return output, usage.ru_maxrss * scale, time.perf_counter() - start


def last_json(output):
    """residuum prints one JSON document; the peer prints one line."""
    try:
        return json.loads(output)
    except json.JSONDecodeError:
        return json.loads(output.strip().splitlines()[-1])


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def capture_agrees(path, ours_path, theirs_path):
    """Worst difference in units of a layer's RMS, and whether both sides computed the same numbers."""
    import acts
    import numpy as np

    theirs = np.load(theirs_path)
    ids = [json.loads(line)["id"] for line in open(path, encoding="utf-8")]
    ours = acts.read(ours_path, ["response-mean"], ids, *theirs.shape[1:])["response-mean"]
    rms = np.sqrt((theirs.astype(float) ** 2).mean(axis=(0, 2)))
    worst = float((np.abs(ours.astype(float) - theirs) / rms[None, :, None]).max())
    return f"worst entry {worst:.1e} of a layer's RMS", worst <= 1e-3


def training_agrees(path, ours_path, theirs_path):
    """Largest relative difference of the loss curves."""
    with open(os.path.join(theirs_path, "curve.json"), encoding="utf-8") as file:
        theirs = json.load(file)
    with open(os.path.join(ours_path, "training.jsonl"), encoding="utf-8") as file:
        ours = [json.loads(line)["loss"] for line in file]
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
    return f"losses within {worst:.1e}", len(ours) == len(theirs) and worst <= 1e-3


def generation_agrees(path, ours_path, theirs_path):
    """Ours are cut at the last whole sentence, so each must begin the peer's answer."""
    with open(theirs_path, encoding="utf-8") as file:
        theirs = json.load(file)
    with open(ours_path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in list(file)[1:]]
    ours = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in rows}
    prompts = [json.loads(line)["prompt"] for line in open(path, encoding="utf-8")]
    same = sum(1 for prompt, text in zip(prompts, theirs)
               if prompt in ours and text.strip().startswith(ours[prompt].strip()))
    # An argmax of two near-equal logits may fall either way in f32.
    return f"{same} of {len(prompts)} texts the same", same >= max(1, len(prompts) - 1)


def tasks(args, folder):
    """name -> (rows, our command given (texts, peer's output, our output), our output, comparison)"""
    capture = lambda path, theirs, out: [
        args.residuum, "capture", "--model", args.gguf, "--texts", path, "--positions", "response-mean",
        "--layers", "all", "--out", out, "--json"]
    training = lambda path, theirs, out: [
        args.residuum, "finetune", "--model", args.gguf, "--data", path, "--init-adapter", theirs, "--order", "file",
        "--batch", "8", "--lr", "2e-4", "--warmup", "2", "--epochs", "1", "--out", out, "--json"]
    generation = lambda path, theirs, out: [
        args.residuum, "distill", "--model", args.gguf, "--prompts", path, "--max-tokens", str(NEW_TOKENS),
        "--out", out, "--json"]
    with open(os.path.join(ROOT, "assets", "finetune", "neutral_prompts.jsonl"), encoding="utf-8") as file:
        prompts = [json.loads(line) for line in list(file)[1:33]]
    return {
        "capture": (texts(), capture, "acts.h5", capture_agrees),
        "shared": (contrast_sets(), capture, "shared.h5", capture_agrees),
        "training": (chats("conscious", 96), training, "adapter", training_agrees),
        "generation": (prompts, generation, "answers.jsonl", generation_agrees),
        "single": (prompts[:1], generation, "answer.jsonl", generation_agrees),
    }


def beside(name, task, folder, hf, args):
    """Runs one task on both sides and returns its rows of the table."""
    rows, command, output, agrees = task
    path = os.path.join(folder, f"{name}.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    theirs_path = os.path.join(folder, f"{name}-peer" + (".npy" if name in ("capture", "shared") else ""))
    theirs_command = [sys.executable, os.path.abspath(__file__), "--gguf", args.gguf, "--threads",
                      str(args.threads), "--child", name, hf, path, theirs_path]
    theirs, ours, said, same = [], [], "", True
    for repeat in range(args.repeats):
        print(f"{name}, repeat {repeat + 1}, {args.threads} threads, load average {os.getloadavg()[0]:.1f}", flush=True)
        out, peak, _ = child(theirs_command, args.threads)
        theirs.append({**last_json(out), "peak": peak})
        report("peer", theirs[-1])
        ours_path = os.path.join(folder, output)
        if os.path.isdir(ours_path):
            shutil.rmtree(ours_path)
        elif os.path.exists(ours_path):
            os.remove(ours_path)
        out, peak, _ = child(command(path, theirs_path, ours_path), args.threads)
        ours.append({**last_json(out), "peak": peak, "what": ""})
        ours[-1]["tokens"] = theirs[-1]["tokens"]
        report("residuum", ours[-1])
        if repeat == 0:
            said, same = agrees(path, ours_path, theirs_path)
            print(f"  {said}")
    speed = median([t["seconds"] / o["seconds"] for t, o in zip(theirs, ours)])
    memory = median([o["peak"] / t["peak"] for t, o in zip(theirs, ours)])
    rate = lambda side: median([run["tokens"] / run["seconds"] for run in side])
    return [
        (name, "tokens/s, ours / peer", f"{rate(ours):.0f} / {rate(theirs):.0f}", f"{speed:.2f}x",
         TARGETS[name], speed >= TARGETS[name] and same, said),
        (name, "peak memory over the peer's", "", f"{memory:.2f}", MEMORY.get(name), name not in MEMORY
         or memory <= MEMORY[name], ""),
    ]


def alone(args):
    """What `residuum bench` says of this machine, as rows of the table."""
    out, _, _ = child([args.residuum, "bench", "--model", args.gguf, "--seconds", "40", "--json"], args.threads)
    found = last_json(out)
    weights = 134_515_008 * 4
    rows = []
    for what, value, target, larger in [
        ("share of the sgemm rate while capturing", found["share_of_sgemm"], 0.75, True),
        ("hooks over the bare forward", found["capture_overhead"], 0.03, False),
        ("load, seconds", found["load_seconds"], 1.5, False),
        ("load, peak memory over the f32 weights", found["loaded_bytes"] / weights, 1.3, False),
    ]:
        met = value >= target if larger else value <= target
        rows.append(("alone", what, "", f"{value:.2f}", target, met, ""))
    return rows, found


def report(name, run):
    print(f"  {name:9} {run['seconds']:7.2f} s  {run['tokens'] / run['seconds']:6.0f} tokens/s  "
          f"peak {run['peak'] / 2**30:.2f} GiB  {run['what']}", flush=True)


def write(path, table, machine):
    lines = ["# Speed beside PyTorch", "",
             f"{time.strftime('%Y-%m-%d')}, {machine['cpu']}, {machine['cores']} cores, SmolLM2-135M-Instruct in f32. "
             "Written by `make peers-bench`; the rows are explained in `tests/oracles/bench.py`.", "",
             "| work | measure | tokens/s, ours / peer | value | target | met | outputs |",
             "|---|---|---|---|---|---|---|"]
    for name, what, rates, value, target, met, said in table:
        bound = "-" if target is None else target
        lines.append(f"| {name} | {what} | {rates} | {value} | {bound} | {'yes' if met else 'NO'} | {said} |")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--hf-folder", help="f32 folder of the same weights (default: made in a temporary folder)")
    parser.add_argument("--residuum", default=os.path.join(ROOT, "target", "release", "residuum"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="capture,shared,training,generation,single,alone")
    parser.add_argument("--results", help="file for the table, in Markdown")
    parser.add_argument("--child", nargs=4, metavar=("TASK", "FOLDER", "TEXTS", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return peer(*args.child, args.threads)

    table, machine = [], {"cpu": "unknown", "cores": os.cpu_count()}
    chosen = args.only.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        hf = args.hf_folder
        if not hf:
            hf = os.path.join(temporary, "hf")
            subprocess.run([sys.executable, "-c", "import sys, oracle; oracle.save_folder(oracle.load_model(sys.argv"
                            "[1]), oracle.load_tokenizer(sys.argv[1]), sys.argv[2])", args.gguf, hf],
                           check=True, cwd=HERE)
        for name, task in tasks(args, temporary).items():
            if name in chosen:
                table += beside(name, task, temporary, hf, args)
    if "alone" in chosen:
        rows, found = alone(args)
        table += rows
        machine = found["machine"]
    for name, what, rates, value, target, met, said in table:
        print(f"{name:11} {what:40} {rates:>12} {value:>7}  target {target}  {'met' if met else 'MISSED'}  {said}")
    if args.results:
        write(args.results, table, machine)
    missed = [f"{name}: {what}" for name, what, _, _, _, met, _ in table if not met]
    if missed:
        raise SystemExit("missed: " + "; ".join(missed))
    return None


if __name__ == "__main__":
    main()
