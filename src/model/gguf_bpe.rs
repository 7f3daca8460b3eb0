//! Byte-level BPE rebuilt from what GGUF metadata says of it.

use super::error::Result;
use super::tokenizer::tok;
use ahash::AHashMap;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior};

/// How Llama 3 splits a text; `{N}` for runs of one to three digits.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2: as Llama 3, each digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o, which Phi-4-mini has.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What GGUF's name of a pre-tokenizer stands for.
struct Pre {
    /// How a text is split; none: as GPT-2 does.
    pattern: Option<&'static str>,
    /// Each digit is split off first.
    digits: bool,
    /// A word that is a token is one, whatever its merges.
    whole_words: bool,
    /// Composed characters, Unicode's NFC.
    composed: bool,
}

fn pre(name: &str) -> Result<Pre> {
    let plain = Pre { pattern: None, digits: false, whole_words: false, composed: false };
    let by = |pattern| Pre { pattern: Some(pattern), ..plain };
    Ok(match name {
        "gpt-2" | "olmo" => plain,
        "" | "default" => {
            return Err(tok("the file names no pre-tokenizer (key `tokenizer.ggml.pre`), as files made before May 2024, so that its tokens cannot be known; use a newer file or the model's Hugging Face folder"))
        }
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
            Pre { digits: true, ..plain }
        }
        "llama3" | "llama-v3" | "llama-bpe" => Pre { whole_words: true, ..by(LLAMA3) },
        "dbrx" | "smaug-bpe" => by(LLAMA3),
        "qwen2" | "deepseek-r1-qwen" => Pre { composed: true, ..by(QWEN2) },
        "tekken" => Pre { whole_words: true, ..by(TEKKEN) },
        "gpt-4o" => by(GPT4O),
        other => {
            return Err(tok(format!(
            "the file's pre-tokenizer `{other}` is not known; use the model's Hugging Face folder"
        )))
        }
    })
}

/// Whether a text begins with a beginning-of-text token where the file does not say.
pub(super) fn begins(pre: &str) -> bool {
    matches!(pre, "llama3" | "llama-v3" | "llama-bpe" | "tekken")
}

fn pre_tokenizer(pre: &Pre) -> Result<PreTokenizerWrapper> {
    let byte_level = ByteLevel::new(false, true, pre.pattern.is_none());
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    if pre.digits {
        steps.push(Digits::new(true).into());
    }
    if let Some(pattern) = pre.pattern {
        let pattern = SplitPattern::Regex(pattern.into());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
        steps.push(split.map_err(tok)?.into());
    }
    if steps.is_empty() {
        return Ok(byte_level.into());
    }
    steps.push(byte_level.into());
    Ok(Sequence::new(steps).into())
}

/// Type of a token that is markup.
pub(super) const CONTROL: i32 = 3;
/// Type of a token that is found before any other is.
const USER_DEFINED: i32 = 4;

/// Makes tokens added ones: markup, by `special`, and those that are found before any other. White space
/// behind those that it `strips` is part of them.
pub(super) fn with_added(
    t: &mut tokenizers::Tokenizer,
    tokens: &[String],
    types: &[i32],
    special: impl Fn(i32) -> bool,
    strips: impl Fn(&str) -> bool,
) -> Result<()> {
    let added = |is: &dyn Fn(i32) -> bool, special| -> Vec<AddedToken> {
        let these = tokens.iter().zip(types).filter(|(_, &t)| is(t));
        let one =
            |s: &String| AddedToken::from(s.clone(), special).normalized(false).rstrip(strips(s));
        these.map(|(s, _)| one(s)).collect()
    };
    t.add_special_tokens(added(&special, true)).map_err(tok)?;
    t.add_tokens(added(&|kind| kind == USER_DEFINED, false)).map_err(tok)?;
    Ok(())
}

/// Byte-level BPE from GGUF metadata; control and user-defined tokens are added tokens.
pub(super) fn tokenizer(
    name: &str,
    tokens: &[String],
    types: &[i32],
    merges: &[String],
) -> Result<tokenizers::Tokenizer> {
    let vocab: AHashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let merge = |m: &String| match m.split_once(' ') {
        Some((a, b)) => Ok((a.to_string(), b.to_string())),
        None => Err(tok(format!("merge `{m}` is not two tokens"))),
    };
    let merges = merges.iter().map(merge).collect::<Result<Vec<_>>>()?;
    let pre = pre(name)?;
    let bpe = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(pre.whole_words);
    let mut t = tokenizers::Tokenizer::new(bpe.build().map_err(tok)?);
    if pre.composed {
        t.with_normalizer(Some(NFC)).map_err(tok)?;
    }
    t.with_pre_tokenizer(Some(pre_tokenizer(&pre)?));
    t.with_decoder(Some(ByteLevel::new(false, true, true)));
    with_added(&mut t, tokens, types, |kind| kind == CONTROL, |_| false)?;
    Ok(t)
}
