"""Token ids of many vocabularies beside llama.cpp and transformers.

    python vocabularies.py --llama-cpp SOURCE --residuum PATH --gguf FILE [--second FILE.gguf] [--lib FOLDER]

`--llama-cpp` is a source tree of llama.cpp, as in the source distribution of `llama-cpp-python` (from PyPI): its
vocabularies are read where they lie. `--gguf` is the default model, `--second` the file of second_family.py, which is
fetched without it. `--lib` is the folder of llama.py. Nothing is put before or after a text. Compared are

- the ids of the texts that lie beside each vocabulary, with those that lie there too;
- the ids of 500 hard texts, made here from a seed, with those of llama.cpp's library on the same file;
- for the default model and the second one, with those of transformers' tokenizer, which decides.

A vocabulary that residuum refuses must be refused by name. What llama.cpp does otherwise than the Hugging Face rule
of a vocabulary is in DEVIATIONS, with the reason: it is given changed texts, or not all of them. Exit status 1, with
file, text and first differing token, where ids differ.
"""

import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

import llama
import oracle  # it sets the environment of torch
import gguf
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MARK = "\n__ggml_vocab_test__\n"
COUNT, SEED = 500, 20
SHOWN = 5  # of a vocabulary's differing texts

WORDS = {
    "latin": "harbour Größe naïveté l'été cœur Œuvre straße İstanbul ſchnell ﬁne Ĳssel Ǆep ǅep WORD camelCase mixedCASE".split(),
    "greek": "θάλασσα Οδυσσεύς ὕδωρ ΣΊΣΥΦΟΣ ᾳδης".split(),
    "cyrillic": "гавань Москва ёлка Ґанок њива ӂ".split(),
    "han": "你好世界 日本語 漢字仮名 𠮷野家 龍 港口很安静".split(),
    "kana": "ひらがな カタカナ ﾊﾝｶｸ コーヒー が パ".split(),
    "hangul": "한국어 안녕하세요 각 ㄱㄴㄷ".split(),
    "arabic": "مرحبا السلام عليكم ٱلرَّحْمَٰنِ ۱۲۳ لا".split(),
    "hebrew": "שלום עולם בְּרֵאשִׁית".split(),
    "indic": "नमस्ते क्षत्रिय தமிழ் বাংলা ಕನ್ನಡ ក្រុម".split(),
    "thai": "สวัสดี ภาษาไทย กำลัง".split(),
    "other": "ქართული ՀԱՅԵՐԵՆ አማርኛ ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ 𐌰𐌱𐌲 𝔘𝔫𝔦 ⅷ Ⅻ ½ ² ① ٣ ๓ 〇 ㊿".split(),
}
EMOJI = "👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇯🇵 ❤️ 🤦🏿‍♂️ 🧑‍🚀 ☕︎ 🫠 #️⃣".split(" ")
MARKS = "\u0301\u0308\u0327\u0323\u20d7\u0345\u093c\u064b\u05b0\u3099\u200d\ufe0f"
SPACES = [" ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\x0b", "\x0c", "\x85"]
CONTROLS = [chr(c) for c in (0x01, 0x02, 0x07, 0x08, 0x1b, 0x1c, 0x1f, 0x7f, 0x80, 0x9f, 0xad, 0x200e, 0x202e, 0x2066,
                             0xfeff, 0xfffd, 0xe000, 0xfffe, 0x10ffff)]
CONTRACTIONS = "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'LL 'lL 'D ’s ’T".split()
HOSTS = "I you they WE Don can CAN it été Ω я 3".split()
PUNCTUATION = ".,;:!?()[]{}<>/\\|@#$%^&*-_=+~`'\"«»„“”‘’…—–¿¡§°€£。、！？「」·"
CODE = [
    "def area(r):\n    return 3.14159 * r ** 2\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "if x != y && !done { println!(\"{:>8.3}\", x); }",
    "SELECT * FROM t WHERE a >= 10 AND b LIKE '%x_';",
    "\\frac{1}{2}\\sum_{i=0}^{n} x_i^{2}",
    "https://example.org/a_b?c=%20d&e=1#f-2",
    "{\"key\": [1, 2.5e-3, null], \"k2\": \"\\u00e9\\n\"}",
    "#include \"a.h\"\r\n#define A(x) ((x)<<2)\r\n",
    "let v: Vec<Option<&'static str>> = vec![];//note",
    "0x1F 0b1010 1_000_000 1e10 -3.5 +7 v1.2.3",
    "        deep\n            deeper\n\n\n\tend",
    "a/b\n//c\n\n/d",
]


def texts(count=COUNT, seed=SEED):
    """Hard texts, the same ones each time; none is empty."""
    draw = random.Random(seed)
    pick = draw.choice
    word = lambda: pick(WORDS[pick(sorted(WORDS))])
    number = lambda: "".join(pick("0123456789") for _ in range(draw.randint(1, 12)))
    run = lambda: pick(SPACES) * draw.randint(1, 12)

    def marked():
        return "".join(c + "".join(pick(MARKS) for _ in range(draw.randint(0, 3))) for c in word())

    def long():
        kind = draw.randint(0, 3)
        if kind == 0:
            return pick("aeioxZ=-_.*#é中я") * draw.randint(40, 400)
        if kind == 1:
            return "".join(word() for _ in range(draw.randint(10, 60)))
        return "".join(pick("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ") for _ in range(draw.randint(60, 300)))

    pieces = {
        "word": word, "number": number, "space": run, "marked": marked, "emoji": lambda: pick(EMOJI),
        "spaces": lambda: "".join(pick(SPACES) for _ in range(draw.randint(2, 8))),
        "contraction": lambda: pick(HOSTS) + pick(CONTRACTIONS),
        "punctuation": lambda: "".join(pick(PUNCTUATION) for _ in range(draw.randint(1, 6))),
        "code": lambda: pick(CODE), "control": lambda: pick(CONTROLS), "long": long,
        "right": lambda: pick(WORDS["arabic"] + WORDS["hebrew"]) + pick(" \u200f,!3") + pick(WORDS["hebrew"]),
        "any": lambda: chr(pick([draw.randint(0x21, 0x2ff), draw.randint(0x370, 0xd7ff), draw.randint(0xf900, 0xffef),
                                 draw.randint(0x10000, 0x1ffff)])),
    }
    names = sorted(pieces)
    out = []
    while len(out) < count:
        # One kind alone, then all of them mixed, with and without spaces between.
        kinds = [names[len(out) % len(names)]] if len(out) < count // 4 else names
        join = pick(["", "", " ", " ", "\n"])
        text = join.join(pieces[pick(kinds)]() for _ in range(draw.randint(1, 8)))
        # No more bytes than GPT-2 reads tokens.
        text = text.encode()[:1000].decode(errors="ignore")
        if text.strip():
            out.append(text)
    return out


# Vocabulary: (what is done to a text before llama.cpp has it, or None: it is not held to llama.cpp; why).
DEVIATIONS = {
    "llama-bpe": (lambda text: None if "\U00016130" in text else text,
                  "U+16130 is a digit since Unicode 16, which the regex of tokenizers knows and llama.cpp's table does not"),
    "qwen2": (lambda text: unicodedata.normalize("NFC", text),
              "Qwen 2's tokenizer.json composes characters (NFC) first, llama.cpp does not: it is given composed texts"),
}


def ours(residuum, path, rows):
    """(ids of each text, or None where the file is refused; what was said)."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for i, text in enumerate(rows):
            file.write(json.dumps({"id": str(i), "text": text}) + "\n")
        file.flush()
        run = subprocess.run([residuum, "model", "template", path, "--messages", file.name, "--bos", "off", "--json",
                              "--quiet"], capture_output=True, text=True, check=False)
    if run.returncode:
        return None, run.stderr.strip()
    found = json.loads(run.stdout)["texts"]
    return [[t["id"] for t in row["tokens"]] for row in found], ""


def beside(path):
    """Texts and ids that lie beside a vocabulary."""
    with open(path + ".inp", encoding="utf-8", newline="") as file:
        rows = file.read().split(MARK)
    with open(path + ".out", encoding="utf-8") as file:
        wanted = [[int(i) for i in line.split()] for line in file.read().split("\n")]
    # An empty text, and white space that commands take for none, are not rows of a file of texts.
    return [(t, w) for t, w in zip(rows, wanted) if t.strip()]


def metadata(path):
    """(kind, pre-tokenizer, texts of its markup)."""
    fields = gguf.GGUFReader(path).fields
    value = lambda key: fields[key].contents() if key in fields else None
    tokens, types = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type") or []
    markup = [t for t, kind in zip(tokens, types) if kind in (gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN)]
    return value("tokenizer.ggml.model"), value("tokenizer.ggml.pre"), [t for t in markup if t]


class Check:
    def __init__(self):
        self.failed = 0

    def equal(self, name, against, rows, got, wanted):
        """Holds ids to those wanted, text by text."""
        wrong = 0
        for text, a, b in zip(rows, got, wanted):
            if a == b:
                continue
            wrong += 1
            if wrong <= SHOWN:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                print(f"  FAIL {name}, {against}: {text!r}\n    token {at}: {a[at:at + 6]} for {b[at:at + 6]}")
        self.failed += wrong
        print(f"{name}: {len(rows) - wrong} of {len(rows)} texts as {against}", flush=True)

    def against(self, name, path, residuum, library, hard, tokenizer=None):
        kind, pre, markup = metadata(path)
        rows = [t for t in hard if not any(m in t for m in markup)]
        got, told = ours(residuum, path, rows)
        if got is None:
            named = any(say in told for say in ("is not supported", "is not known", "names no pre-tokenizer"))
            print(f"{name}: {'refused by name' if named else 'FAIL'}: {told}", flush=True)
            self.failed += not named
            return
        if os.path.exists(path + ".inp"):
            known, wanted = zip(*beside(path))
            self.equal(name, "the ids beside it", known, ours(residuum, path, known)[0], wanted)
        if kind == "gpt2" and not pre:
            print(f"{name}: names no pre-tokenizer, llama.cpp warns and takes one", flush=True)
        else:
            change, why = DEVIATIONS.get(name, (lambda text: text, ""))
            changed = [change(t) for t in rows]
            if changed != rows:
                print(f"{name}: {sum(a != b for a, b in zip(changed, rows))} texts are changed or left out for llama.cpp: {why}")
            model = llama.Model(library, path, vocab_only=True)
            held = [(t, a, model.ids(c)) for t, a, c in zip(rows, got, changed) if c is not None]
            self.equal(name, "llama.cpp", *zip(*held))
            model.close()
        if tokenizer:
            self.equal(name, "transformers", rows, got, [oracle.encode(tokenizer, t) for t in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama-cpp", required=True, help="source tree of llama.cpp")
    parser.add_argument("--residuum", default=os.path.join(ROOT, "target", "release", "residuum"))
    parser.add_argument("--gguf", help="the default model's GGUF file")
    parser.add_argument("--second", help="the file of second_family.py, where it is here already")
    parser.add_argument("--lib", default=os.path.join(ROOT, ".venv-peers", "llama"), help="folder of llama.cpp's library")
    parser.add_argument("--only", help="names that hold this, of vocabularies and models")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    check, hard = Check(), texts()
    library = llama.Library(args.lib)
    wanted = lambda name: not args.only or args.only in name
    vocabularies = sorted(glob.glob(os.path.join(args.llama_cpp, "models", "ggml-vocab-*.gguf")))
    if not vocabularies:
        raise SystemExit(f"{args.llama_cpp}: no vocabularies in models/")
    for path in vocabularies:
        name = os.path.basename(path).removeprefix("ggml-vocab-").removesuffix(".gguf")
        if wanted(name):
            check.against(name, path, args.residuum, library, hard)
    if args.gguf and wanted("default model"):
        check.against("default model", args.gguf, args.residuum, library, hard, oracle.load_tokenizer(args.gguf))
    if wanted("second model"):
        import second_family
        with tempfile.TemporaryDirectory() as folder:
            path = args.second or second_family.fetch(folder)
            place, file = os.path.split(os.path.abspath(path))
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, gguf_file=file)
            check.against("second model", path, args.residuum, library, hard, tokenizer)
    print(f"{check.failed} texts differ")
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
