"""What the oracle scripts share: the reference model, its tokenizer, token roles, pooling, LoRA training.

The reference is transformers on the same GGUF file that residuum reads, with two repairs that are made here:

* transformers' GGUF loader ignores `tokenizer.ggml.pre`. For `smollm` the published tokenizer splits every digit
  off before the byte-level step, so a run of white space before a digit is tokenised otherwise ("\\n\\n1").
* `model.double()` is not f64 in transformers: RMSNorm, the rotary table and eager softmax go through f32.
  `to_float64` replaces all three, so that the f64 reference is one.

Layers follow residuum's convention: index l is the output of block l, read by a hook on the block, because the
last entry of `hidden_states` is after the final norm.
"""

import hashlib
import json
import os
import types
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall one another on a busy machine

import numpy as np
import torch
import transformers
from tokenizers import pre_tokenizers

warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*(base_model_name_or_path|config file in).*")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_NAME = "smollm2-135m-instruct"
END_OF_TURN = "<|im_end|>"


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_f32(array):
    """SHA-256 of the little-endian f32 bytes, row-major."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f4").tobytes()).hexdigest()


def load_tokenizer(gguf):
    folder, name = os.path.split(os.path.abspath(gguf))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    loaded = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True)] + loaded
    )
    return tokenizer


def load_model(gguf, attention="eager"):
    """The f32 model, dequantised by transformers. Takes about half a minute."""
    folder, name = os.path.split(os.path.abspath(gguf))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation=attention
    )
    return model.eval()


def load_folder(folder, attention="sdpa"):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    )
    return model.eval()


def save_folder(model, tokenizer, folder):
    """A plain f32 folder (config, safetensors, tokenizer), with no trace of the quantised source."""
    quantiser = getattr(model, "hf_quantizer", None)
    config = model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    model.config._name_or_path = MODEL_NAME
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.hf_quantizer = quantiser
    if config is not None:
        model.config.quantization_config = config


def check_weights(model, gguf):
    """transformers' weights against the gguf package's own dequantisation, bit for bit.

    q and k rows are stored for interleaved rotary pairs: row 2i+j of a head in the file is row j*(d/2)+i
    of the head in the model. Returns the number of tensors compared.
    """
    import gguf as gguf_package

    reader = gguf_package.GGUFReader(gguf)
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    names = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }
    top = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    state = model.state_dict()
    seen = 0
    for tensor in reader.tensors:
        value = gguf_package.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if tensor.name in top:
            key = top[tensor.name]
        else:
            _, block, kind, _ = tensor.name.split(".")
            key = f"model.layers.{block}.{names[kind]}.weight"
            if kind in heads:
                rows, columns = value.shape
                half = rows // heads[kind] // 2
                value = value.reshape(heads[kind], half, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        theirs = state[key].numpy()
        if theirs.shape != value.shape or not np.array_equal(theirs, value):
            raise SystemExit(f"{tensor.name}: transformers and the gguf package disagree on {key}")
        seen += 1
    return seen


def to_float64(model):
    """Turns `model` (f32) into a true f64 model with sdpa attention, in place."""
    model.double()
    model.set_attn_implementation("sdpa")

    def norm(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    def rotary(self, x, position_ids):
        angles = position_ids[:, :, None].double() * self.frequencies  # (B, T, d_head / 2)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    inner = model.model
    for module in inner.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = types.MethodType(norm, module)
    config = model.config
    width = config.head_dim
    theta = config.rope_parameters["rope_theta"]
    exponent = torch.arange(0, width, 2, dtype=torch.float64) / width
    inner.rotary_emb.frequencies = theta ** -exponent
    inner.rotary_emb.forward = types.MethodType(rotary, inner.rotary_emb)
    return model


def body_of(model):
    """The module without a head that holds the decoder blocks, under peft's wrapping or not."""
    for module in model.modules():
        blocks = getattr(module, "layers", None)
        if isinstance(blocks, torch.nn.ModuleList) and len(blocks) == model.config.num_hidden_layers:
            return module
    raise SystemExit("found no decoder body in the model")


class BlockOutputs:
    """Context that calls `sink(layer, hidden)` with each block's raw output, hidden (B, T, D)."""

    def __init__(self, model, sink):
        self.model, self.sink, self.handles = model, sink, []

    def __enter__(self):
        for layer, block in enumerate(body_of(self.model).layers):
            def hook(_module, _args, output, layer=layer):
                self.sink(layer, output[0] if isinstance(output, tuple) else output)
            self.handles.append(block.register_forward_hook(hook))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def residuals(model, ids):
    """(blocks' outputs [L, T, D] as numpy, last-token logits [V])."""
    found = [None] * model.config.num_hidden_layers

    def sink(layer, hidden):
        found[layer] = hidden[0].numpy().copy()

    with torch.no_grad(), BlockOutputs(model, sink):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1].numpy()
    return np.stack(found), logits


def render(tokenizer, messages, add_generation_prompt):
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=add_generation_prompt
    )


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


def loss_span(tokenizer, messages):
    """(ids, first, last): assistant tokens and their end-of-turn token are ids[first:last].

    The span runs from the end of the prompt, rendered with the generation prompt, through `<|im_end|>`;
    the newline that the template puts after it is outside.
    """
    prompt = encode(tokenizer, render(tokenizer, messages[:-1], True))
    ids = encode(tokenizer, render(tokenizer, messages, False))
    if ids[: len(prompt)] != prompt:
        raise SystemExit(f"the prompt's tokens are not a prefix of the conversation's: {messages}")
    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    last = len(prompt) + ids[len(prompt):].index(end) + 1
    return ids, len(prompt), last


def text_spans(tokenizer, row):
    """For a row {prompt, response}: (ids, prompt length, end of the response's own tokens)."""
    messages = [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["response"]},
    ]
    ids, first, last = loss_span(tokenizer, messages)
    return ids, first, last - 1


def pooled(model, tokenizer, rows, batch_size, with_prompt_last=True):
    """Pools every block's output without computing logits.

    Returns {"response-mean": [N, L, D], "prompt-last": [N, L, D]} in f32, in the order of `rows`. response-mean
    is over the response's own tokens (no end-of-turn token); prompt-last is the prompt's last token with the
    generation prompt. Rows are batched by length and padded on the right.
    """
    spans = [text_spans(tokenizer, row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(spans[i][0]))
    layers, width = model.config.num_hidden_layers, model.config.hidden_size
    out = {"response-mean": np.zeros((len(rows), layers, width), np.float32)}
    if with_prompt_last:
        out["prompt-last"] = np.zeros((len(rows), layers, width), np.float32)
    body = body_of(model)
    for start in range(0, len(rows), batch_size):
        chosen = order[start:start + batch_size]
        longest = max(len(spans[i][0]) for i in chosen)
        ids = torch.zeros((len(chosen), longest), dtype=torch.long)
        attention = torch.zeros_like(ids)
        weights = torch.zeros((len(chosen), 1, longest))
        for row, i in enumerate(chosen):
            tokens, first, last = spans[i]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            attention[row, : len(tokens)] = 1
            weights[row, 0, first:last] = 1.0 / (last - first)
        ends = torch.tensor([spans[i][1] - 1 for i in chosen])

        def sink(layer, hidden):
            with torch.autocast("cpu", enabled=False):
                hidden = hidden.float()  # as it is, or from bf16
                out["response-mean"][chosen, layer] = torch.bmm(weights, hidden)[:, 0].numpy()
                if with_prompt_last:
                    out["prompt-last"][chosen, layer] = hidden[torch.arange(len(chosen)), ends].numpy()

        with torch.no_grad(), BlockOutputs(model, sink):
            body(input_ids=ids, attention_mask=attention, use_cache=False)
    return out


def schedule(step, total, warmup):
    """Factor on the learning rate at optimiser step `step`, counted from 0 (so the first step has 0)."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def train(model, tokenizer, conversations, batch_size, rate, warmup, clip=1.0, bf16=False):
    """One pass in file order; returns (one record a step, the first two batches' ids and loss masks).

    `bf16`: the forward pass is under autocast to it, the loss and the optimiser in f32.
    """
    batches = [conversations[i:i + batch_size] for i in range(0, len(conversations), batch_size)]
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    model.train()
    curve, shown = [], []
    for step, batch in enumerate(batches):
        spans = [loss_span(tokenizer, messages) for messages in batch]
        longest = max(len(ids) for ids, _, _ in spans)
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        attention, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (tokens, first, last) in enumerate(spans):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            attention[row, : len(tokens)] = 1
            mask[row, first:last] = 1
        if step < 2:
            shown.append([
                {"ids": tokens, "loss_mask": [int(first <= t < last) for t in range(len(tokens))]}
                for tokens, first, last in spans
            ])
        now = rate * schedule(step, len(batches), warmup)
        for group in optimiser.param_groups:
            group["lr"] = now
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
        target = mask[:, 1:].bool()
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][target].float(), ids[:, 1:][target])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, clip)
        optimiser.step()
        curve.append({
            "step": step, "loss": loss.item(), "grad_norm": norm.item(), "learning_rate": now,
            "loss_tokens": int(mask.sum()), "tokens": int(attention.sum()),
        })
    model.eval()
    return curve, shown


def new_adapter(model, rank, alpha, targets, seed):
    """`model` wrapped with a freshly initialised LoRA: A kaiming-uniform from `seed`, B zero, no dropout."""
    import peft

    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=list(targets), lora_dropout=0.0, bias="none",
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, config)


def save_adapter(model, folder):
    """PEFT's own files; only the list of target modules is sorted, so that two runs write the same bytes."""
    model.peft_config["default"].base_model_name_or_path = MODEL_NAME
    model.save_pretrained(folder)
    readme = os.path.join(folder, "README.md")
    if os.path.exists(readme):
        os.remove(readme)
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    config["target_modules"] = sorted(config["target_modules"])
    write_json(path, config)


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")
