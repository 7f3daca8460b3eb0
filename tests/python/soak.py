"""Kills of a whole study, and hours of capture, training and scoring: `make soak`.

Usage: soak.py RESIDUUM [--kills N] [--hours H] [--manifest FILE] [--work FOLDER] [--seed S]

The study is killed (SIGKILL) at random points until it has been N times, and must end with the datasets of a
run that nothing disturbed, no marker of a finished stage changed on the way. Then long runs of `capture`,
`finetune` and `behave` go on for H hours while their memory, threads and open files are read from /proc each
second: memory may rise by 1 MB a minute at most after a warm-up of a fifth of each run. Needs no packages; Linux.
"""

import argparse
import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

TIMED = {"manifest.json", "report.html", "report.md"}
SLOPE = 1.0  # MB a minute


def run(args, **kw):
    return subprocess.run([str(a) for a in args], stdout=subprocess.DEVNULL, **kw)


def names(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def same(residuum, a, b):
    """Files of two run folders that differ."""
    wrong = sorted(names(a) ^ names(b))
    for name in sorted(names(a) & names(b)):
        if name in TIMED or name.startswith("stages/"):
            continue
        if name.endswith(".h5"):
            out = subprocess.run([residuum, "h5", "diff", a / name, b / name, "--json"], capture_output=True, text=True)
            rows = json.loads(out.stdout or "null")
            rows = rows.get("differences", rows) if isinstance(rows, dict) else rows
            if rows is None or rows:
                wrong.append(name)
        elif not filecmp.cmp(a / name, b / name, shallow=False):
            wrong.append(name)
    return wrong


def markers(out):
    return {p.name: p.read_bytes() for p in (out / "stages").glob("*.json")}


def kills(residuum, manifest, work, n, rng):
    command = lambda out: [residuum, "study", "run", *manifest, "--out", out, "--quiet"]
    calm, out = work / "calm", work / "out"
    begun = time.time()
    run(command(calm), check=True)
    took = time.time() - begun
    print(f"undisturbed: {took:.0f} s", flush=True)
    done = 0
    while done < n:
        before = markers(out)
        child = subprocess.Popen([str(a) for a in command(out)], stdout=subprocess.DEVNULL)
        after = rng.uniform(0, 2 * took / n)
        try:
            child.wait(after)
            ended = True
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            ended = False
        now = markers(out)
        again = [m for m in before if now.get(m) != before[m]]
        assert not again, f"kill {done}: done again: {again}"
        if not ended:
            done += 1
            print(f"kill {done} after {after:.1f} s, {len(now)} stages done", flush=True)
            if done < n:
                continue
        run(command(out), check=True)
        wrong = same(residuum, calm, out)
        assert not wrong, f"differs: {wrong}"
        print("ended as the undisturbed one", flush=True)
        if done < n:
            shutil.rmtree(out)


def seen(pid):
    """Resident MB, threads and open files of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    field = lambda name: int(next(l for l in status.splitlines() if l.startswith(name)).split()[1])
    return field("VmRSS:") / 1024, field("Threads:"), len(os.listdir(f"/proc/{pid}/fd"))


def slope(points):
    """Least squares, per minute."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    var = sum((x - mx) ** 2 for x, _ in points)
    return 60 * sum((x - mx) * (y - my) for x, y in points) / var if var else 0.0


def watch(name, args, seconds):
    child = subprocess.Popen([str(a) for a in args], stdout=subprocess.DEVNULL)
    begun, rows = time.time(), []
    while child.poll() is None and time.time() - begun < seconds:
        try:
            rows.append((time.time() - begun, *seen(child.pid)))
        except (OSError, StopIteration):
            break
        time.sleep(1)
    stopped = child.poll() is None
    if stopped:
        child.send_signal(signal.SIGINT)
    code = child.wait()
    assert code == (130 if stopped else 0), f"{name} ended with {code}"
    warm = rows[len(rows) // 5:]
    if len(warm) < 30:
        print(f"{name}: {len(rows)} s, too short for a slope", flush=True)
        return True
    rate = slope([(t, mb) for t, mb, _, _ in warm])
    threads, files = (max(r[i] for r in warm) - min(r[i] for r in warm[:10]) for i in (2, 3))
    fine = rate <= SLOPE and threads <= 2 and files <= 4
    print(f"{name}: {rows[-1][0]:.0f} s, {warm[0][1]:.0f} to {warm[-1][1]:.0f} MB, {rate:+.2f} MB a minute, "
          f"threads {threads:+d}, files {files:+d}{'' if fine else '  TOO MUCH'}", flush=True)
    return fine


def soak(residuum, work, hours, rng):
    texts, rows = work / "texts.jsonl", work / "rows.jsonl"
    words = "tide harbour lamp ledger rain hour page boat knot wind".split()
    text = lambda: " ".join(rng.choices(words, k=12))
    with texts.open("w") as f:
        for i in range(400_000):
            f.write(json.dumps({"id": f"t{i}", "prompt": text(), "response": text()}) + "\n")
    with rows.open("w") as f:
        for _ in range(2_000):
            f.write(json.dumps({"messages": [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]}) + "\n")
    third = hours * 1200
    jobs = [
        ("capture", ["capture", "--texts", texts, "--layers", "10", "--out", work / "acts.h5"]),
        ("finetune", ["finetune", "--data", rows, "--epochs", "1000", "--out", work / "adapter"]),
        ("behave", ["behave", "--samples", "4000", "--out", work / "behaviour"]),
    ]
    fine = [watch(name, [residuum, *args, "--force", "--quiet"], third) for name, args in jobs]
    assert all(fine), "memory, threads or files grow"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("residuum")
    p.add_argument("--kills", type=int, default=30)
    p.add_argument("--hours", type=float, default=2.0)
    p.add_argument("--manifest", action="append", default=[])
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/soak"))
    p.add_argument("--seed", type=int, default=17)
    a = p.parse_args()
    residuum = str(pathlib.Path(a.residuum).resolve())
    rng = random.Random(a.seed)
    print(f"seed {a.seed}", flush=True)
    shutil.rmtree(a.work, ignore_errors=True)
    a.work.mkdir(parents=True)
    if a.kills:
        kills(residuum, a.manifest, a.work, a.kills, rng)
    if a.hours:
        soak(residuum, a.work, a.hours, rng)
    print("soak: held", flush=True)


if __name__ == "__main__":
    sys.exit(main())
