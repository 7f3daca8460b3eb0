//! Byte-level BPE rebuilt from what GGUF metadata says of it.

use super::error::Result;
use super::tokenizer::tok;
use ahash::AHashMap;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, PreTokenizerWrapper};

/// The pre-tokenizer by the name that GGUF files give it.
fn pre_tokenizer(pre: &str) -> Result<PreTokenizerWrapper> {
    let byte_level = ByteLevel::new(false, true, true);
    match pre {
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
            let digits = Digits::new(true);
            Ok(Sequence::new(vec![digits.into(), byte_level.into()]).into())
        }
        "gpt-2" | "default" | "" => Ok(byte_level.into()),
        other => Err(tok(format!(
            "the file's pre-tokenizer `{other}` is not known; use the model's Hugging Face folder"
        ))),
    }
}

/// Refuses a kind of tokenizer other than byte-level BPE.
pub(super) fn supported(kind: &str) -> Result<()> {
    match kind {
        "gpt2" => Ok(()),
        _ => Err(tok(format!(
            "the file's tokenizer kind `{kind}` is not supported, only byte-level BPE (gpt2); use the model's Hugging Face folder"
        ))),
    }
}

/// Byte-level BPE from GGUF metadata; control and user-defined tokens are added tokens.
pub(super) fn tokenizer(
    pre: &str,
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
    let bpe = BPE::builder().vocab_and_merges(vocab, merges).build().map_err(tok)?;
    let mut t = tokenizers::Tokenizer::new(bpe);
    t.with_pre_tokenizer(Some(pre_tokenizer(pre)?));
    t.with_decoder(Some(ByteLevel::new(false, true, true)));
    const CONTROL: i32 = 3;
    const USER_DEFINED: i32 = 4;
    let added = |kind: i32| -> Vec<AddedToken> {
        let these = tokens.iter().zip(types).filter(|(_, &t)| t == kind);
        these.map(|(s, _)| AddedToken::from(s.clone(), kind == CONTROL)).collect()
    };
    t.add_special_tokens(added(CONTROL)).map_err(tok)?;
    t.add_tokens(added(USER_DEFINED)).map_err(tok)?;
    Ok(t)
}
