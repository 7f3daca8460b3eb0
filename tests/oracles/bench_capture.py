"""Capture speed beside transformers with forward hooks: same texts, same threads, outputs compared before times.

    python bench_capture.py --gguf FILE [--model FILE_OR_FOLDER] [--residuum PATH] [--threads 2] [--repeats 3]

The work is the mean over response tokens of every block's output for 64 chats of about 112 tokens that have
nothing in common but the template. The peer gets its best chance: no head, batches of 8, 16 and 32 sorted by
length, the fastest of the three, weights from an f32 folder. Times are of the forward passes without load, as
both sides report them; peak memory is the high-water mark of the whole process. Runs alternate, and the ratio is
the median over repeats. Run it on an idle machine: the load average is printed.

`--peer-only` measures transformers alone.
"""

import argparse
import json
import os
import random
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


def peer(folder, path, out, threads):
    """Child process: times transformers on `path` and writes its pooled residuals and a line of JSON."""
    import oracle
    import numpy as np
    import torch
    import transformers

    torch.set_num_threads(threads)
    rows = oracle.read_rows(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = oracle.load_folder(folder)
    count = sum(len(oracle.text_spans(tokenizer, row)[0]) for row in rows)
    oracle.pooled(model, tokenizer, rows[:2], 2, with_prompt_last=False)
    times = {}
    for batch in (8, 16, 32):
        start = time.perf_counter()
        found = oracle.pooled(model, tokenizer, rows, batch, with_prompt_last=False)
        times[batch] = time.perf_counter() - start
    np.save(out, found["response-mean"])
    best = min(times, key=times.get)
    print(json.dumps({"seconds": times[best], "batch": best, "tokens": count, "all": times}))


def child(command, threads):
    """(stdout, peak resident bytes, wall seconds) of a process that must succeed."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"):
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


def compare(path, ours_path, theirs_path):
    """Stops unless both sides computed the same numbers."""
    import acts
    import numpy as np

    theirs = np.load(theirs_path)
    ids = [json.loads(line)["id"] for line in open(path, encoding="utf-8")]
    ours = acts.read(ours_path, ["response-mean"], ids, *theirs.shape[1:])["response-mean"]
    rms = np.sqrt((theirs.astype(float) ** 2).mean(axis=(0, 2)))
    worst = float((np.abs(ours.astype(float) - theirs) / rms[None, :, None]).max())
    print(f"worst difference {worst:.2e} of a layer's RMS")
    if not worst <= 1e-3:
        raise SystemExit("outputs differ: times would mean nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--hf-folder", help="f32 folder of the same weights (default: made in a temporary folder)")
    parser.add_argument("--model", help="what residuum loads (default: the GGUF)")
    parser.add_argument("--residuum", default=os.path.join(ROOT, "target", "release", "residuum"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-only", action="store_true")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "TEXTS", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return peer(*args.child, args.threads)

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.hf_folder
        if not folder:
            folder = os.path.join(temporary, "hf")
            subprocess.run([sys.executable, "-c", "import sys, oracle; oracle.save_folder(oracle.load_model(sys.argv"
                            "[1]), oracle.load_tokenizer(sys.argv[1]), sys.argv[2])", args.gguf, folder],
                           check=True, cwd=HERE)
        path = os.path.join(temporary, "texts.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for row in texts():
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        theirs_path, ours_path = os.path.join(temporary, "peer.npy"), os.path.join(temporary, "acts.h5")
        theirs_command = [sys.executable, os.path.abspath(__file__), "--gguf", args.gguf, "--threads",
                          str(args.threads), "--child", folder, path, theirs_path]
        ours_command = [args.residuum, "capture", "--model", args.model or args.gguf, "--texts", path,
                        "--at", "response-mean", "--layers", "all", "--out", ours_path, "--json"]
        theirs, ours = [], []
        for repeat in range(args.repeats):
            print(f"repeat {repeat + 1}, {args.threads} threads, load average {os.getloadavg()[0]:.1f}", flush=True)
            output, peak, _ = child(theirs_command, args.threads)
            theirs.append({**last_json(output), "peak": peak})
            report("transformers", theirs[-1], f"batch {theirs[-1]['batch']}")
            if args.peer_only:
                continue
            if os.path.exists(ours_path):
                os.remove(ours_path)
            output, peak, wall = child(ours_command, args.threads)
            ours.append({**last_json(output), "peak": peak})
            if repeat == 0:
                compare(path, ours_path, theirs_path)
            report("residuum", ours[-1], f"{wall:.1f} s with load and files")
        if args.peer_only:
            return None
        speed = median([t["seconds"] / o["seconds"] for t, o in zip(theirs, ours)])
        memory = median([o["peak"] / t["peak"] for t, o in zip(theirs, ours)])
        print(f"residuum is {speed:.2f} times as fast, at {memory:.2f} of the peak memory "
              f"(medians of {args.repeats} alternating repeats)")
        if ours[0].get("tokens") != theirs[0]["tokens"]:
            print(f"note: residuum counts {ours[0].get('tokens')} tokens, transformers {theirs[0]['tokens']} "
                  "(a shared prefix that is run once is counted once)")


def report(name, run, more):
    print(f"  {name:13} {run['seconds']:7.2f} s  {run['tokens'] / run['seconds']:6.0f} tokens/s  "
          f"peak {run['peak'] / 2**30:.2f} GiB  {more}", flush=True)


if __name__ == "__main__":
    main()
