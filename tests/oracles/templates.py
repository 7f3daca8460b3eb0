"""Chat templates and tokenizers of many models against transformers: text, ids and spans of turns.

    python templates.py --gguf FILE --residuum PATH [--sdist FILE] [--keep FOLDER]

The templates and the tokenizer vectors are those inside the source distribution of `llama-cpp-python` (from PyPI),
which is fetched when this runs and read, never copied. For every template and conversation:

- the rendered text and the token ids equal transformers' `apply_chat_template`, or both refuse;
- the tokens of each turn are those that overlap its span, which is found here in another way: every content is
  replaced by a rune, and the text between the runes is laid beside the contents, trimmed or not;
- where the template marks what the assistant writes, response tokens lie inside `return_assistant_tokens_mask`.

For every vocabulary file: ids of its test strings, where its kind of tokenizer is supported; others are refused by
name. Exit status 0 when nothing differs, 1 otherwise.
"""

import argparse
import datetime
import glob
import itertools
import json
import os
import subprocess
import sys
import tarfile
import tempfile

import oracle  # first: it sets the environment of torch
from transformers import PreTrainedTokenizerFast

PACKAGE = "llama-cpp-python"
MARK = "\n__ggml_vocab_test__\n"
CONTENTS = ["Is it so?", "assistant", "2024", "user: A  b", "You are a helpful assistant", "a", "It is.\nYes.", "été 日本"]
SHAPES = [("user", "assistant"), ("system", "user", "assistant"), ("user", "assistant", "user", "assistant"),
          ("system", "user", "assistant", "user", "assistant"), ("user",)]


def fetch(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE, "--dest", folder,
               PACKAGE]
    subprocess.run(command, check=True)
    return glob.glob(os.path.join(folder, "llama_cpp_python-*.tar.gz"))[0]


def unpack(sdist, folder):
    wanted = ("/models/templates/", "/models/ggml-vocab-")
    with tarfile.open(sdist) as tar:
        members = [m for m in tar if m.isfile() and any(w in m.name for w in wanted)]
        tar.extractall(folder, members=members, filter="data")
    found = lambda name: sorted(glob.glob(os.path.join(folder, "**", name), recursive=True))
    return found("*.jinja"), found("ggml-vocab-*.gguf.inp")


def conversations():
    contents = itertools.cycle(CONTENTS)
    for shape in SHAPES:
        for _ in range(3):
            yield [{"role": role, "content": next(contents)} for role in shape]
    yield [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nOne."},
           {"role": "user", "content": "Two?"}, {"role": "assistant", "content": "Two."}]


def spans(render, messages):
    """(turn, from, to) in characters of the rendered text, or None where it does not come out so simply."""
    rune = lambda i: chr(0x16A0 + i)
    text = render([{**m, "content": rune(i)} for i, m in enumerate(messages)])
    want = render(messages)
    pieces, order = [""], []
    for c in text:
        turn = ord(c) - 0x16A0
        if 0 <= turn < len(messages):
            order.append(turn)
            pieces.append("")
        else:
            pieces[-1] += c
    for trims in itertools.product((str, str.strip), repeat=len(messages)):
        built, found = pieces[0], []
        for turn, piece in zip(order, pieces[1:]):
            content = trims[turn](messages[turn]["content"])
            found.append((turn, len(built), len(built) + len(content)))
            built += content + piece
        if built == want:
            return found
    return None


def dropped(render, messages):
    """Whether a content does not reach the text."""
    text = render([{**m, "content": chr(0x16A0 + i)} for i, m in enumerate(messages)])
    return any(chr(0x16A0 + i) not in text for i in range(len(messages))) or any(
        m["content"].strip() not in render(messages) for m in messages)


def roles(found, messages, offsets):
    """The role of each token by the characters it holds."""
    last = len(messages) - 1
    out = []
    for a, b in offsets:
        held = [turn for turn, x, y in found if max(a, x) < min(b, y)]
        name = lambda t: "response" if t == last and messages[t]["role"] == "assistant" else messages[t]["role"]
        names = [name(t) for t in held]
        out.append("response" if "response" in names else names[0] if names else "template")
    return out


class Check:
    def __init__(self, args):
        self.args, self.failed, self.counts = args, [], {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def fail(self, where, what):
        self.failed.append(where)
        print(f"  FAIL {where}: {what}", flush=True)

    def ours(self, model, rows, *options):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            for i, row in enumerate(rows):
                file.write(json.dumps({"id": str(i), **row}, ensure_ascii=False) + "\n")
            file.flush()
            command = [self.args.residuum, "model", "template", model, "--messages", file.name, "--json", *options]
            run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            return None, run.stderr.strip()
        return json.loads(run.stdout)["texts"], ""

    def template(self, path, folder, tokenizer):
        name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            source = file.read()
        oracle_settings = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": source}
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(oracle_settings, file)
        for i, messages in enumerate(conversations()):
            where = f"{name} [{i}]"
            opened = messages[-1]["role"] != "assistant"
            apply = lambda m, **more: tokenizer.apply_chat_template(
                m, chat_template=source, add_generation_prompt=opened, **more)
            try:
                want = apply(messages, tokenize=False)
                why = ""
            except Exception as e:  # whatever a template raises
                want, why = None, f"{type(e).__name__}: {e}"
            texts, told = self.ours(folder, [{"messages": messages}], "--date", str(datetime.date.today()))
            if want is None or texts is None:
                if want is None and texts is None:
                    self.count("both refuse")
                elif want is None and "NoneType" in why:
                    self.count("transformers refuses for want of tools")  # here no tools are no tools
                elif want is None:
                    self.fail(where, f"transformers refuses ({why}), residuum does not")
                elif "turn " in told and dropped(lambda m: apply(m, tokenize=False), messages):
                    self.count("residuum refuses a changed or dropped turn")
                else:
                    self.fail(where, told)
                continue
            row = texts[0]
            encoded = tokenizer(want, add_special_tokens=False, return_offsets_mapping=True)
            ids, ours = encoded["input_ids"], [t["id"] for t in row["tokens"]]
            if row["text"] != want:
                at = next((k for k, (a, b) in enumerate(zip(row["text"], want)) if a != b), None)
                at = min(len(row["text"]), len(want)) if at is None else at
                self.fail(where, f"text differs at {at}: {row['text'][at:at + 60]!r} for {want[at:at + 60]!r}")
                continue
            if ours != ids:
                self.fail(where, "ids differ")
                continue
            self.count("text and ids equal")
            self.spans(where, apply, messages, encoded, row)

    def spans(self, where, apply, messages, encoded, row):
        ours = [t["role"] for t in row["tokens"]]
        try:
            found = spans(lambda m: apply(m, tokenize=False), messages)
        except Exception:
            found = None
        if found is None:
            self.count("spans not found by replacing")
        else:
            want = roles(found, messages, encoded["offset_mapping"])
            if want != ours:
                at = next(k for k, (a, b) in enumerate(zip(ours, want)) if a != b)
                self.fail(where, f"role of token {at} ({row['tokens'][at]}) should be {want[at]}")
            else:
                self.count("roles equal")

    def masks(self, path, folder, tokenizer):
        """Response and assistant tokens lie inside what the template marks as generated."""
        with open(path, encoding="utf-8") as file:
            source = file.read()
        if "endgeneration" not in source:
            return
        for messages in conversations():
            if messages[-1]["role"] != "assistant":
                continue
            texts, _ = self.ours(folder, [{"messages": messages}], "--date", str(datetime.date.today()))
            try:
                mask = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=True, return_dict=True,
                                                     return_assistant_tokens_mask=True)["assistant_masks"]
            except Exception:
                continue
            if texts is None:
                continue
            ours = [t["role"] in ("response", "assistant") for t in texts[0]["tokens"]]
            if all(m for m, o in zip(mask, ours) if o):
                self.count("responses inside the mask")
            else:
                self.fail(os.path.basename(path), "response tokens outside the assistant mask")

    def vectors(self, inp):
        name, model = os.path.basename(inp)[:-4], inp[:-4]
        with open(inp, encoding="utf-8", newline="") as file:
            texts = file.read().split(MARK)
        with open(inp[:-4] + ".out", encoding="utf-8") as file:
            wanted = [[int(i) for i in line.split()] for line in file.read().split("\n")]
        pairs = [(t, w) for t, w in zip(texts, wanted) if t.strip()]
        got, told = self.ours(model, [{"text": t} for t, _ in pairs], "--bos", "off")
        if got is None:
            good = "is not supported" in told or "is not known" in told
            self.count("vocabulary refused by name") if good else self.fail(name, told)
            return
        for (text, want), row in zip(pairs, got):
            ids = [t["id"] for t in row["tokens"]]
            if ids == want:
                self.count("vector equal")
            else:
                self.fail(name, f"{text!r}: {ids} for {want}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--residuum", default="target/release/residuum")
    parser.add_argument("--sdist", help="a source distribution that is there already")
    args = parser.parse_args()
    check = Check(args)
    with tempfile.TemporaryDirectory() as scratch:
        sdist = args.sdist or fetch(scratch)
        templates, vectors = unpack(sdist, os.path.join(scratch, "unpacked"))
        folder = os.path.join(scratch, "model")
        subprocess.run([args.residuum, "model", "export", args.gguf, "--out", folder], check=True, capture_output=True)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"),
                                            bos_token="<|im_start|>", eos_token="<|im_end|>")
        print(f"{len(templates)} templates, {len(vectors)} vocabularies of {os.path.basename(sdist)}", flush=True)
        for path in templates:
            check.template(path, folder, tokenizer)
            check.masks(path, folder, tokenizer)
        for inp in vectors:
            check.vectors(inp)
    for what, n in sorted(check.counts.items()):
        print(f"  {n:>5} {what}")
    print(f"{len(check.failed)} failed")
    return 1 if check.failed or not templates or not vectors else 0


if __name__ == "__main__":
    sys.exit(main())
