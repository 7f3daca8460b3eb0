"""Speed beside transformers, peft and llama.cpp: `make peers-bench` runs it in a virtual environment of its own.

    python bench.py --gguf FILE [--residuum PATH] [--threads 2] [--repeats 3] [--only capture,shared,...]
                    [--lib FOLDER] [--limit N] [--results FILE]

Rows, each with its target (see TARGETS): capture of chats with nothing in common but the template, capture of the
study's own contrast sets, LoRA training, greedy generation of many prompts and of one, and what `residuum bench` says
of this machine: the share of the matrix product's rate, the cost of hooks, loading and its memory. Same texts, threads
and f32 weights on both sides; outputs are compared before times are; sides alternate and a ratio is the median over
repeats. The peer gets its best chance: no head where none is needed, batches sorted by length, the fastest of several
batch sizes for capture.

Rows in bf16, where the processor has it: `--dtype bf16` beside PyTorch in bf16 (autocast or bf16 weights, whichever is
faster; peft always under autocast, with its base in f32 or in bf16) and beside residuum in f32.

Rows beside llama.cpp, on the same GGUF file (llama.py; prebuilt, from npm): texts read, the fastest of several numbers
of texts at once; and greedy generation. llama.cpp rounds to 8 bits what it multiplies 4-bit weights with, so its texts
part from those in f32; each side makes as many tokens as PyTorch in f32 does. Ours is the faster of weights held in
f32 and as stored, which give the same bits; bf16 has a row of its own, without a target.

Times are of the work without load, as both sides report them; peak memory is the high-water mark of the whole process.
Run it on an idle machine: the load average is printed. Exit status 1, with the row, where a target is missed or
outputs disagree. The table goes to --results, with the machine. `--limit` takes only the first texts of each row: to
see that all of it runs.
"""

import argparse
import collections
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
TARGETS = {"capture": 1.4, "shared": 2.5, "training": 2.0, "generation": 2.0, "single": 2.0,
           "capture-bf16": 1.2, "shared-bf16": 2.0, "training-bf16": 1.5,
           "generation-llama": 1.5, "single-llama": 1.0}
MEMORY = {"capture": 0.5, "training": 0.5}
# Ratio of speed of bf16 over residuum's own f32.
OWN = {"capture-bf16": 1.6}

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


def peer(task, folder, path, out, args):
    """Child process: times transformers or peft, writes its numbers to `out` and prints a line of JSON."""
    import oracle
    import numpy as np
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    rows = oracle.read_rows(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    task, _, numbers = task.partition("-")
    bf16 = numbers == "bf16"
    if task in ("capture", "shared"):
        model = oracle.load_folder(folder)
        count = sum(len(oracle.text_spans(tokenizer, row)[0]) for row in rows)
        times, kept = {}, {}
        for way in ("autocast", "bf16 weights") if bf16 else ("",):
            if way == "bf16 weights":
                model.to(torch.bfloat16)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way == "autocast"):
                oracle.pooled(model, tokenizer, rows[:2], 2, with_prompt_last=False)
                for batch in (8, 16, 32) if task == "capture" else (32,):
                    start = time.perf_counter()
                    found = oracle.pooled(model, tokenizer, rows, batch, with_prompt_last=False)
                    what = f"batch {batch}" + (f", {way}" if way else "")
                    times[what], kept[what] = time.perf_counter() - start, found["response-mean"]
        best = min(times, key=times.get)
        np.save(out, kept[best])
        print(json.dumps({"seconds": times[best], "tokens": count, "what": best}))
    elif task == "training":
        chats = [row["messages"] for row in rows]

        def trained(chats, weights, save):
            """(seconds, curve) of one pass over new factors."""
            base = oracle.load_folder(folder)
            adapted = oracle.new_adapter(base.to(torch.bfloat16) if weights == "bf16" else base, 16, 32, LINEARS, 7)
            if save:
                oracle.save_adapter(adapted, out)
            start = time.perf_counter()
            curve, _ = oracle.train(adapted, tokenizer, chats, batch_size=8, rate=2e-4, warmup=2, bf16=bf16)
            return time.perf_counter() - start, curve

        weights = "f32"
        if bf16:
            weights = min(("f32", "bf16"), key=lambda w: trained(chats[:16], w, False)[0])
        seconds, curve = trained(chats, weights, True)
        with open(os.path.join(out, "curve.json"), "w", encoding="utf-8") as file:
            json.dump([step["loss"] for step in curve], file)
        what = f"batch 8, autocast, base in {weights}" if bf16 else "batch 8"
        print(json.dumps({"seconds": seconds, "tokens": sum(step["tokens"] for step in curve), "what": what}))
    else:
        model = oracle.load_folder(folder)
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


def reference(task, folder, path, out, args):
    """Child process, untimed: token ids of the texts, and PyTorch's greedy tokens in f32, for llama.cpp's rows."""
    import oracle
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = oracle.load_folder(folder)
    found = []
    for row in oracle.read_rows(path):
        if task == "prompts-llama":
            ids, wanted = oracle.text_spans(tokenizer, row)[0], 1
        else:
            ids = oracle.encode(tokenizer, oracle.render(tokenizer, [{"role": "user", "content": row["prompt"]}], True))
            wanted = NEW_TOKENS
        with torch.no_grad():
            new = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                                 max_new_tokens=wanted, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        found.append({"ids": ids, "new": new[0, len(ids):].tolist()})
    oracle.write_json(out, found)


def llama_peer(task, reference, out, args):
    """Child process: times llama.cpp, writes its tokens to `out` and prints a line of JSON."""
    import llama

    with open(reference, encoding="utf-8") as file:
        found = json.load(file)
    texts, counts = [row["ids"] for row in found], [len(row["new"]) for row in found]
    model = llama.Model(llama.Library(args.lib), args.gguf)
    longest = max(map(len, texts))
    if task == "prompts-llama":
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        times, kept = {}, {}
        for together in (1, 4, 16):
            context = llama.Context(model, together, longest, args.threads)
            context.prompts(texts[:1])
            new, start = {}, time.perf_counter()
            for at in range(0, len(order), together):
                part = order[at:at + together]
                new.update(zip(part, context.prompts([texts[i] for i in part])))
            times[together], kept[together] = time.perf_counter() - start, [[new[i]] for i in range(len(texts))]
            context.close()
        best = min(times, key=times.get)
        seconds, new, tokens, what = times[best], kept[best], sum(map(len, texts)), f"{best} texts at once"
    else:
        context = llama.Context(model, len(texts), longest + NEW_TOKENS, args.threads)
        context.prompts(texts[:1])
        start = time.perf_counter()
        new = context.generate(texts, counts)
        seconds, tokens, what = time.perf_counter() - start, sum(counts), f"{len(texts)} prompts"
    with open(out, "w", encoding="utf-8") as file:
        json.dump(new, file)
    print(json.dumps({"seconds": seconds, "tokens": tokens, "what": what}))


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


def training_agrees(path, ours_path, theirs_path, limit=1e-3):
    """Largest relative difference of the loss curves."""
    with open(os.path.join(theirs_path, "curve.json"), encoding="utf-8") as file:
        theirs = json.load(file)
    with open(os.path.join(ours_path, "training.jsonl"), encoding="utf-8") as file:
        ours = [json.loads(line)["loss"] for line in file]
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
    return f"losses within {worst:.1e}", len(ours) == len(theirs) and worst <= limit


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


def bf16_capture_agrees(path, ours_path, theirs_path):
    """Distance of both sides' numbers over the layer's RMS, of the layer where it is largest."""
    import acts
    import numpy as np

    theirs = np.load(theirs_path).astype(float)
    ids = [json.loads(line)["id"] for line in open(path, encoding="utf-8")]
    ours = acts.read(ours_path, ["response-mean"], ids, *theirs.shape[1:])["response-mean"].astype(float)
    apart = np.sqrt(((ours - theirs) ** 2).mean(axis=(0, 2)) / (theirs**2).mean(axis=(0, 2)))
    return f"layers within {apart.max():.1e}, relative", apart.max() <= 0.05


def bf16_training_agrees(path, ours_path, theirs_path):
    return training_agrees(path, ours_path, theirs_path, 2e-2)


def llama_agrees(path, _, theirs_path):
    """llama.cpp's tokens with PyTorch's in f32."""
    with open(theirs_path, encoding="utf-8") as file:
        theirs = json.load(file)
    with open(path + ".reference", encoding="utf-8") as file:
        wanted = [row["new"] for row in json.load(file)]
    first = sum(a[0] == b[0] for a, b in zip(theirs, wanted))
    whole = sum(a == b for a, b in zip(theirs, wanted))
    said = f"llama.cpp: first token as in f32 in {first} of {len(wanted)}"
    return said + (f", all in {whole}" if len(wanted[0]) > 1 else ""), first >= 0.75 * len(wanted)


# `variants`: options of our command, by name, the one that is compared with the peer first.
Task = collections.namedtuple("Task", "rows command output agrees variants", defaults=({"": []},))
BF16 = {"bf16": ["--dtype", "bf16"], "f32": []}
HELD = {"f32": ["--weights-as", "f32"], "stored": ["--weights-as", "stored"]}


def tasks(args, folder):
    """name -> Task; its command is given the texts, the peer's output and ours."""
    capture = lambda path, theirs, out: [
        args.residuum, "capture", "--model", args.gguf, "--texts", path, "--positions", "response-mean",
        "--layers", "all", "--out", out, "--json", "--force"]
    training = lambda path, theirs, out: [
        args.residuum, "finetune", "--model", args.gguf, "--data", path, "--init-adapter", theirs, "--order", "file",
        "--batch", "8", "--lr", "2e-4", "--warmup", "2", "--epochs", "1", "--out", out, "--json", "--force"]
    generation = lambda path, theirs, out: [
        args.residuum, "distill", "--model", args.gguf, "--prompts", path, "--max-tokens", str(NEW_TOKENS),
        "--out", out, "--json"]
    with open(os.path.join(ROOT, "assets", "finetune", "neutral_prompts.jsonl"), encoding="utf-8") as file:
        prompts = [json.loads(line) for line in list(file)[1:33]]
    too = {} if args.no_bf16 else {"bf16": BF16["bf16"]}
    all_tasks = {
        "capture": Task(texts(), capture, "acts.h5", capture_agrees),
        "shared": Task(contrast_sets(), capture, "shared.h5", capture_agrees),
        "training": Task(chats("conscious", 96), training, "adapter", training_agrees),
        "generation": Task(prompts, generation, "answers.jsonl", generation_agrees),
        "single": Task(prompts[:1], generation, "answer.jsonl", generation_agrees),
        "capture-bf16": Task(texts(), capture, "acts.h5", bf16_capture_agrees, BF16),
        "shared-bf16": Task(contrast_sets(), capture, "shared.h5", bf16_capture_agrees, BF16),
        "training-bf16": Task(chats("conscious", 96), training, "adapter", bf16_training_agrees, BF16),
        "prompts-llama": Task(texts(), capture, "acts.h5", llama_agrees, {"f32": [], **too}),
        "generation-llama": Task(prompts, generation, "answers.jsonl", llama_agrees, {**HELD, **too}),
        "single-llama": Task(prompts[:1], generation, "answer.jsonl", llama_agrees, {**HELD, **too}),
    }
    # Training takes more steps than its warm-up has.
    few = lambda name: args.limit and max(args.limit, 24 if "training" in name else 1)
    return {name: task._replace(rows=task.rows[:few(name)]) for name, task in all_tasks.items()
            if not (args.no_bf16 and name.endswith("-bf16"))}


def beside(name, task, folder, hf, args):
    """Runs one task on all sides in turn and returns its rows of the table."""
    path = os.path.join(folder, f"{name}.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for row in task.rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    theirs_path = os.path.join(folder, f"{name}-peer" + (".npy" if "capture_agrees" in task.agrees.__name__ else ""))
    again = [sys.executable, os.path.abspath(__file__), "--gguf", args.gguf, "--threads", str(args.threads), "--lib",
             args.lib, "--child"]
    if name.endswith("-llama"):
        subprocess.run([*again, "reference/" + name, hf, path, path + ".reference"], check=True)
        theirs_command = [*again, name, hf, path + ".reference", theirs_path]
    else:
        theirs_command = [*again, name, hf, path, theirs_path]
    theirs, ours, said, same = [], {variant: [] for variant in task.variants}, "", True
    for repeat in range(args.repeats):
        print(f"{name}, repeat {repeat + 1}, {args.threads} threads, load average {os.getloadavg()[0]:.1f}", flush=True)
        out, peak, _ = child(theirs_command, args.threads)
        theirs.append({**last_json(out), "peak": peak})
        report("peer", theirs[-1])
        for at, (variant, options) in enumerate(task.variants.items()):
            ours_path = os.path.join(folder, task.output)
            if os.path.isdir(ours_path):
                shutil.rmtree(ours_path)
            elif os.path.exists(ours_path):
                os.remove(ours_path)
            out, peak, _ = child(task.command(path, theirs_path, ours_path) + options, args.threads)
            ours[variant].append({**last_json(out), "peak": peak, "what": variant, "tokens": theirs[-1]["tokens"]})
            report("residuum", ours[variant][-1])
            if repeat == 0 and at == 0:
                said, same = task.agrees(path, ours_path, theirs_path)
                print(f"  {said}")
    return rows_of(name, theirs, ours, said, same)


def rows_of(name, theirs, ours, said, same):
    """Rows of the table for the runs of one task: the peer's, and ours by variant."""
    speed = lambda a, b: median([y["seconds"] / x["seconds"] for x, y in zip(a, b)])
    rate = lambda side: median([run["tokens"] / run["seconds"] for run in side])

    def row(what, a, b, target, same, said):
        found = speed(a, b)
        return (name, what, f"{rate(a):.0f} / {rate(b):.0f}", f"{found:.2f}x", target,
                same and (target is None or found >= target), said)

    if name.endswith("-llama"):
        exact = [variant for variant in ours if variant != "bf16"]
        best = max(exact, key=lambda variant: rate(ours[variant]))
        # Texts that are read are kept in every layer, by us.
        found = [row(f"tokens/s, ours / llama.cpp ({best or 'f32'}; {theirs[0]['what']})", ours[best], theirs,
                     TARGETS.get(name), same, said)]
        if "bf16" in ours:
            found.append(row("tokens/s, ours in bf16 / llama.cpp", ours["bf16"], theirs, None, True, ""))
        return found
    first = next(iter(ours.values()))
    if name.endswith("-bf16"):
        return [
            row(f"tokens/s, ours / peer ({theirs[0]['what']})", first, theirs, TARGETS[name], same, said),
            row("tokens/s, bf16 / f32, both ours", first, ours["f32"], OWN.get(name), True, ""),
        ]
    memory = median([o["peak"] / t["peak"] for t, o in zip(theirs, first)])
    return [
        row("tokens/s, ours / peer", first, theirs, TARGETS[name], same, said),
        (name, "peak memory over the peer's", "", f"{memory:.2f}", MEMORY.get(name), name not in MEMORY
         or memory <= MEMORY[name], ""),
    ]


def bf16_refused(args):
    """What residuum says where this processor does not multiply in bf16; empty where it does."""
    command = [args.residuum, "model", "template", args.gguf, "--json", "--quiet", "--dtype", "bf16"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stderr.strip() if run.returncode else ""


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
    head = f"## {machine['cpu']}, {machine['cores']} cores"
    lines = [head, "", f"{time.strftime('%Y-%m-%d')}.", "",
             "| work | measure | tokens/s, ours / peer | value | target | met | outputs |",
             "|---|---|---|---|---|---|---|"]
    for name, what, rates, value, target, met, said in table:
        bound = "-" if target is None else target
        lines.append(f"| {name} | {what} | {rates} | {value} | {bound} | {'yes' if met else 'NO'} | {said} |")
    # What other machines gave stays.
    held = open(path, encoding="utf-8").read().split("\n## ")[1:] if os.path.exists(path) else []
    others = [f"## {section.strip()}" for section in held if not f"## {section}".startswith(head + "\n")]
    about = ("# Speed beside PyTorch and llama.cpp\n\nSmolLM2-135M-Instruct, in f32 unless a row says otherwise, by machine. "
             "Written by `make peers-bench`; the rows are explained in `tests/oracles/bench.py`.")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n\n".join([about, "\n".join(lines), *others]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--hf-folder", help="f32 folder of the same weights (default: made in a temporary folder)")
    parser.add_argument("--residuum", default=os.path.join(ROOT, "target", "release", "residuum"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="capture,shared,training,generation,single,alone,capture-bf16,shared-bf16,"
                        "training-bf16,prompts-llama,generation-llama,single-llama")
    parser.add_argument("--lib", default=os.path.join(ROOT, ".venv-peers", "llama"), help="folder of llama.cpp's library")
    parser.add_argument("--limit", type=int, help="texts of each row, to see that all of it runs")
    parser.add_argument("--results", help="file for the table, in Markdown")
    parser.add_argument("--child", nargs=4, metavar=("TASK", "FOLDER", "TEXTS", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        task, folder, path, out = args.child
        if task.startswith("reference/"):
            return reference(task.removeprefix("reference/"), folder, path, out, args)
        if task.endswith("-llama"):
            return llama_peer(task, path, out, args)
        return peer(task, folder, path, out, args)

    table, machine = [], {"cpu": "unknown", "cores": os.cpu_count()}
    chosen = args.only.split(",")
    args.no_bf16 = bf16_refused(args)
    if args.no_bf16:
        print(f"rows in bf16 are left out: {args.no_bf16}")
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
        print(f"{name:16} {what:60} {rates:>12} {value:>7}  target {target}  {'met' if met else 'MISSED'}  {said}")
    if args.results:
        write(args.results, table, machine)
    missed = [f"{name}: {what}" for name, what, _, _, _, met, _ in table if not met]
    if missed:
        raise SystemExit("missed: " + "; ".join(missed))
    return None


if __name__ == "__main__":
    main()
