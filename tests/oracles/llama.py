"""llama.cpp's library through its C interface: token ids, prompts and greedy generation, in this process.

    python llama.py --lib FOLDER --gguf FILE [--threads 2]

The library is prebuilt, from npm: `@node-llama-cpp/linux-x64`, which `npm pack` puts into the folder unless it is
there. Parameters go by value as structs that are larger than the library's own, of which a few fields are set at
their offsets; `Library` holds those offsets to the library's default values, and `Model` and `Context` to what the
library then says of itself, so that a version laid out otherwise is refused. Run as a script it tokenises,
processes a prompt and generates, alone and beside others, and prints what came out.
"""

import argparse
import ctypes
import glob
import os
import subprocess
import tarfile

import numpy as np

PACKAGE, VERSION = "@node-llama-cpp/linux-x64", "3.22.1"
ROOM = 512  # bytes of a struct here, more than any has there

# Offset, type and default value of each field that is read or set, in bytes from the start of its struct.
MODEL_FIELDS = {
    "n_gpu_layers": (16, ctypes.c_int32, -1),
    "vocab_only": (72, ctypes.c_bool, False),
    "check_tensors": (73, ctypes.c_bool, False),
    "use_extra_bufts": (74, ctypes.c_bool, True),
}
CONTEXT_FIELDS = {
    "n_ctx": (0, ctypes.c_uint32, 512),
    "n_batch": (4, ctypes.c_uint32, 2048),
    "n_ubatch": (8, ctypes.c_uint32, 512),
    "n_seq_max": (12, ctypes.c_uint32, 1),
    "n_threads": (28, ctypes.c_int32, 4),
    "n_threads_batch": (32, ctypes.c_int32, 4),
    "flash_attn_type": (52, ctypes.c_int32, -1),
    "yarn_ext_factor": (64, ctypes.c_float, -1.0),
    "type_k": (104, ctypes.c_int32, 1),
    "embeddings": (128, ctypes.c_bool, False),
    "offload_kqv": (129, ctypes.c_bool, True),
    "kv_unified": (133, ctypes.c_bool, False),
}


class Opaque(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_byte * ROOM)]


class Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
HANDLE = ctypes.c_void_p

# Name: (result, arguments).
FUNCTIONS = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [LOG, HANDLE]),
    "llama_model_default_params": (Opaque, []),
    "llama_context_default_params": (Opaque, []),
    "llama_model_load_from_file": (HANDLE, [ctypes.c_char_p, Opaque]),
    "llama_model_free": (None, [HANDLE]),
    "llama_model_n_layer": (ctypes.c_int32, [HANDLE]),
    "llama_model_get_vocab": (HANDLE, [HANDLE]),
    "llama_vocab_n_tokens": (ctypes.c_int32, [HANDLE]),
    "llama_tokenize": (ctypes.c_int32, [HANDLE, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32),
                                        ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]),
    "llama_init_from_model": (HANDLE, [HANDLE, Opaque]),
    "llama_free": (None, [HANDLE]),
    "llama_n_ctx": (ctypes.c_uint32, [HANDLE]),
    "llama_n_ctx_seq": (ctypes.c_uint32, [HANDLE]),
    "llama_n_batch": (ctypes.c_uint32, [HANDLE]),
    "llama_n_seq_max": (ctypes.c_uint32, [HANDLE]),
    "llama_n_threads": (ctypes.c_int32, [HANDLE]),
    "llama_n_threads_batch": (ctypes.c_int32, [HANDLE]),
    "llama_get_memory": (HANDLE, [HANDLE]),
    "llama_memory_clear": (None, [HANDLE, ctypes.c_bool]),
    "llama_batch_init": (Batch, [ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]),
    "llama_batch_free": (None, [Batch]),
    "llama_decode": (ctypes.c_int32, [HANDLE, Batch]),
    "llama_synchronize": (None, [HANDLE]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [HANDLE, ctypes.c_int32]),
}


def fetch(folder):
    """The folder of the libraries under `folder`, which holds the unpacked package afterwards."""
    found = lambda: glob.glob(os.path.join(folder, "**", "libllama*.so"), recursive=True)
    if not [f for f in found() if "common" not in os.path.basename(f)]:
        os.makedirs(folder, exist_ok=True)
        done = subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, check=True,
                              capture_output=True, text=True)
        packed = os.path.join(folder, done.stdout.strip().splitlines()[-1])
        with tarfile.open(packed) as tar:
            tar.extractall(folder, filter="data")
        os.remove(packed)
    return os.path.dirname(sorted(f for f in found() if "common" not in os.path.basename(f))[0])


def field(struct, place):
    offset, kind, _ = place
    return kind.from_buffer(struct, offset)


class Library:
    """The library of a folder, with its backends; `quiet`: what it logs is dropped, but errors are kept in `told`."""

    def __init__(self, folder, quiet=True):
        folder = fetch(folder)
        one = lambda name: sorted(f for f in glob.glob(os.path.join(folder, name)) if "common" not in f)[0]
        self.c = ctypes.CDLL(one("libllama*.so"), mode=ctypes.RTLD_GLOBAL)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self.c, name)
            function.restype, function.argtypes = result, arguments
        self.told = []
        # Referred to for as long as the library may call it. Level 4 is an error.
        self.log = LOG(lambda level, text, _: self.told.append(text.decode(errors="replace")) if level == 4 else None)
        if quiet:
            self.c.llama_log_set(self.log, None)
        self.c.llama_backend_init()
        backends = ctypes.CDLL(one("libggml.*so")).ggml_backend_load_all_from_path
        backends.restype, backends.argtypes = None, [ctypes.c_char_p]
        backends(folder.encode())
        for what, fields in (("model", MODEL_FIELDS), ("context", CONTEXT_FIELDS)):
            struct = getattr(self.c, f"llama_{what}_default_params")()
            for name, place in fields.items():
                if field(struct, place).value != place[2]:
                    raise SystemExit(f"{folder}: parameters of a {what} are laid out otherwise ({name} is "
                                     f"{field(struct, place).value}, not {place[2]})")

    def parameters(self, what, fields, **values):
        struct = getattr(self.c, f"llama_{what}_default_params")()
        for name, value in values.items():
            field(struct, fields[name]).value = value
        return struct


class Model:
    """A GGUF file; `vocab_only`: its tokenizer and no weights."""

    def __init__(self, library, path, vocab_only=False):
        self.library, self.c = library, library.c
        library.told.clear()
        parameters = library.parameters("model", MODEL_FIELDS, vocab_only=vocab_only)
        self.handle = self.c.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.handle:
            raise ValueError(f"{path}: {''.join(library.told).strip() or 'not loaded'}")
        if (self.c.llama_model_n_layer(self.handle) == 0) != vocab_only:
            raise SystemExit("llama.cpp's vocab_only is not where it is looked for")
        self.vocab = self.c.llama_model_get_vocab(self.handle)
        self.size = self.c.llama_vocab_n_tokens(self.vocab)

    def close(self):
        self.c.llama_model_free(self.handle)

    def ids(self, text):
        """Token ids of a text, nothing put before or after it, markup read as text."""
        data = text.encode()
        room = len(data) + 16
        out = (ctypes.c_int32 * room)()
        n = self.c.llama_tokenize(self.vocab, data, len(data), out, room, False, False)
        if n < 0:
            raise ValueError(f"llama.cpp does not tokenise {text!r}")
        return list(out[:n])


class Context:
    """Room for `sequences` texts of `length` tokens each; `batch` tokens at most are read at once."""

    def __init__(self, model, sequences, length, threads, batch=2048, micro=512):
        self.model, self.c = model, model.c
        total = sequences * length
        batch = min(batch, total)
        values = {"n_ctx": total, "n_batch": batch, "n_ubatch": micro, "n_seq_max": sequences, "n_threads": threads,
                  "n_threads_batch": threads}
        parameters = model.library.parameters("context", CONTEXT_FIELDS, **values)
        self.handle = self.c.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            raise ValueError(f"no context: {''.join(model.library.told).strip()}")
        said = [getattr(self.c, f"llama_{n}")(self.handle) for n in ("n_batch", "n_seq_max", "n_threads",
                                                                    "n_threads_batch")]
        if said != [batch, sequences, threads, threads] or self.c.llama_n_ctx_seq(self.handle) < length:
            raise SystemExit(f"llama.cpp took other parameters than were given: {said}")
        self.batch, self.room = self.c.llama_batch_init(batch, 0, 1), batch

    def close(self):
        self.c.llama_batch_free(self.batch)
        self.c.llama_free(self.handle)

    def clear(self):
        self.c.llama_memory_clear(self.c.llama_get_memory(self.handle), False)

    def decode(self, rows):
        """Reads (token, position, sequence, whether its logits are wanted); argmax for those wanted, in order."""
        found = []
        for start in range(0, len(rows), self.room):
            part = rows[start:start + self.room]
            self.batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                self.batch.token[i], self.batch.pos[i] = token, position
                self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
                self.batch.logits[i] = wanted
            status = self.c.llama_decode(self.handle, self.batch)
            if status:
                raise ValueError(f"llama_decode says {status}: {''.join(self.model.library.told).strip()}")
            for i, row in enumerate(part):
                if row[3]:
                    logits = self.c.llama_get_logits_ith(self.handle, i)
                    found.append(int(np.ctypeslib.as_array(logits, (self.model.size,)).argmax()))
        self.c.llama_synchronize(self.handle)
        return found

    def prompts(self, texts):
        """Reads texts, each of token ids and a sequence of its own; the likeliest next token of each."""
        self.clear()
        rows = [(token, at, sequence, at == len(ids) - 1)
                for sequence, ids in enumerate(texts) for at, token in enumerate(ids)]
        return self.decode(rows)

    def generate(self, texts, counts):
        """Greedy: as many new tokens of each text as `counts` says, whether or not one of them ends it."""
        following = self.prompts(texts)
        new = [[token] for token in following]
        while True:
            live = [i for i, ids in enumerate(new) if len(ids) < counts[i]]
            if not live:
                return new
            rows = [(new[i][-1], len(texts[i]) + len(new[i]) - 1, i, True) for i in live]
            for i, token in zip(live, self.decode(rows)):
                new[i].append(token)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lib", required=True, help="folder that the package is in, or is put into")
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    library = Library(args.lib)
    only = Model(library, args.gguf, vocab_only=True)
    model = Model(library, args.gguf)
    texts = [model.ids(t) for t in ("The capital of France is", "Once upon a time, there was a little", "1, 2, 3, 4,")]
    if texts[0] != only.ids("The capital of France is"):
        raise SystemExit("token ids differ with and without weights")
    print(f"{model.size} tokens; ids {texts[0]}")
    together = Context(model, 32, 64, args.threads)
    beside = together.generate([texts[i % len(texts)] for i in range(32)], [12] * 32)
    for i, ids in enumerate(texts):
        alone = Context(model, 1, 64, args.threads)
        new = alone.generate([ids], [12])[0]
        alone.close()
        same = sum(beside[j] == new for j in range(i, 32, len(texts)))
        print(f"alone {new}; the same in {same} of {len(range(i, 32, len(texts)))} beside others")
    together.close()


if __name__ == "__main__":
    main()
