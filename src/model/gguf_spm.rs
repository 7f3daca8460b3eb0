//! SentencePiece's BPE rebuilt from what GGUF metadata says of it: pieces with scores.
//!
//! SentencePiece joins the two neighbours whose joint piece has the highest score; so every way to
//! split a piece into two others is a merge, ranked by the piece's score, as transformers makes them.
//! What no piece covers is written as bytes. Spaces are `▁`; one is put before a text where the file
//! says so.

use super::error::Result;
use super::gguf_bpe::{with_added, CONTROL};
use super::tokenizer::tok;
use ahash::AHashMap;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as Normalizers;
use tokenizers::{DecoderWrapper, NormalizerWrapper};

/// The mark of a space.
const SPACE: &str = "\u{2581}";
/// Type that the token for what is unknown may have.
const UNKNOWN: i32 = 2;

/// Every split of every piece into two others, the best piece first.
fn merges(
    vocab: &AHashMap<String, u32>,
    tokens: &[String],
    scores: &[f32],
) -> Vec<(String, String)> {
    let mut all: Vec<(f32, u32, u32)> = Vec::new();
    for (piece, score) in tokens.iter().zip(scores) {
        let cuts = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let known = cuts.filter_map(|(a, b)| Some((*vocab.get(a)?, *vocab.get(b)?)));
        let mut known: Vec<(u32, u32)> = known.collect();
        known.sort_unstable();
        all.extend(known.into_iter().map(|(a, b)| (*score, a, b)));
    }
    // Stable: pieces of one score stay in the order of the vocabulary.
    all.sort_by(|x, y| y.0.total_cmp(&x.0));
    let text = |id: u32| tokens[id as usize].clone();
    all.into_iter().map(|(_, a, b)| (text(a), text(b))).collect()
}

/// Markup that Phi-3 does not strip white space behind.
const KEEPS_SPACE: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// The tokenizer; `prefix`: a space is put before a text; `strips`: white space behind markup is part of
/// it, which Phi-3's own files say and GGUF does not; `unknown`: the token for what is unknown.
pub(super) fn tokenizer(
    tokens: &[String],
    types: &[i32],
    scores: &[f32],
    (prefix, strips): (bool, bool),
    unknown: Option<&String>,
) -> Result<tokenizers::Tokenizer> {
    if scores.len() != tokens.len() {
        let (n, m) = (scores.len(), tokens.len());
        return Err(tok(format!("tokenizer.ggml.scores has {n} values for {m} tokens")));
    }
    let vocab: AHashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let merges = merges(&vocab, tokens, scores);
    let mut bpe = BPE::builder().vocab_and_merges(vocab, merges).fuse_unk(true).byte_fallback(true);
    if let Some(unknown) = unknown {
        bpe = bpe.unk_token(unknown.clone());
    }
    let mut t = tokenizers::Tokenizer::new(bpe.build().map_err(tok)?);
    let spaces = Replace::new(" ", SPACE).map_err(tok)?;
    let mut normalizers: Vec<NormalizerWrapper> = vec![spaces.into()];
    let mut decoders: Vec<DecoderWrapper> = vec![
        Replace::new(SPACE, " ").map_err(tok)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if prefix {
        normalizers.insert(0, Prepend::new(SPACE.into()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    t.with_normalizer(Some(Normalizers::new(normalizers))).map_err(tok)?;
    t.with_decoder(Some(Decoders::new(decoders)));
    let special = |kind: i32| kind == CONTROL || kind == UNKNOWN;
    let strips = |token: &str| strips && !KEEPS_SPACE.contains(&token);
    with_added(&mut t, tokens, types, special, strips)?;
    Ok(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(prefix: bool) -> tokenizers::Tokenizer {
        with(prefix, false)
    }

    fn with(prefix: bool, strips: bool) -> tokenizers::Tokenizer {
        let bytes = (0..256).map(|b| (format!("<0x{b:02X}>"), 6, 0.0));
        let pieces =
            [("▁", -5.0), ("a", -5.0), ("b", -5.0), ("ab", -3.0), ("ba", -1.0), ("▁a", -2.0)];
        let special =
            [("<unk>", 2), ("<s>", 3), ("<|user|>", 3)].map(|(s, t)| (s.to_string(), t, 0.0));
        let pieces = pieces.map(|(s, score)| (s.to_string(), 1, score));
        let all: Vec<(String, i32, f32)> = special.into_iter().chain(bytes).chain(pieces).collect();
        let tokens: Vec<String> = all.iter().map(|t| t.0.clone()).collect();
        let types: Vec<i32> = all.iter().map(|t| t.1).collect();
        let scores: Vec<f32> = all.iter().map(|t| t.2).collect();
        tokenizer(&tokens, &types, &scores, (prefix, strips), Some(&tokens[0])).unwrap()
    }

    fn pieces(t: &tokenizers::Tokenizer, text: &str) -> Vec<String> {
        t.encode(text, false).unwrap().get_tokens().to_vec()
    }

    #[test]
    fn the_piece_of_the_highest_score_is_joined_first() {
        // `ba` before `▁a` before `ab`.
        assert_eq!(pieces(&small(true), "aba"), ["▁a", "ba"]);
        assert_eq!(pieces(&small(false), "aba"), ["a", "ba"]);
        assert_eq!(pieces(&small(false), "ab a"), ["ab", "▁a"]);
    }

    #[test]
    fn what_no_piece_covers_is_bytes_and_all_of_it_comes_back() {
        let t = small(true);
        assert_eq!(pieces(&t, "é"), ["▁", "<0xC3>", "<0xA9>"]);
        for text in ["ab\u{e9} \u{1f600}", "a  b", " a"] {
            let ids = t.encode(text, false).unwrap().get_ids().to_vec();
            assert_eq!(t.decode(&ids, true).unwrap(), text);
        }
        assert_eq!(pieces(&t, "<s>a"), ["<s>", "▁a"]);
    }

    #[test]
    fn markup_of_phi_takes_the_white_space_behind_it_and_that_which_begins_a_text_does_not() {
        let of = |strips: bool, text: &str| pieces(&with(false, strips), text);
        // What it takes is part of it.
        assert_eq!(of(true, "<|user|> \n a"), ["<|user|> \n ", "a"]);
        assert_eq!(of(true, "a <|user|>"), ["a", "▁", "<|user|>"]);
        assert_eq!(of(true, "<s> a"), ["<s>", "▁a"]);
        assert_eq!(of(false, "<|user|> a"), ["<|user|>", "▁a"]);
    }
}
