//! Special tokens of a Hugging Face folder, from every file where they may stand.
//!
//! `tokenizer.json` has most; `added_tokens_decoder` of `tokenizer_config.json`, the older
//! `added_tokens.json`, and the names of `special_tokens_map.json` may hold more, which
//! transformers adds. Ids that end a turn are also in `config.json` and `generation_config.json`.
//! What is added must get the id that the files give it.

use super::error::{ModelError, Result};
use super::files::read_json;
use super::tokenizer::tok;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokenizers::{AddedToken, Tokenizer};

/// The names under which a special token may be given, as templates know them.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files beside `tokenizer.json` say.
pub(super) struct SpecialTokens {
    /// `tokenizer_config.json`, or null.
    pub settings: Json,
    /// By name: `bos_token`, ...
    pub named: BTreeMap<String, String>,
    /// Ids that end generation, but those of named tokens.
    pub ends: BTreeSet<u32>,
}

/// A file of the folder; null where it is not there.
pub(super) fn optional(path: &Path) -> Result<Json> {
    match path.exists() {
        true => read_json(path),
        false => Ok(Json::Null),
    }
}

/// A special token is a string or an object with `content`.
fn text(v: &Json) -> Option<&str> {
    v.as_str().or_else(|| v.get("content")?.as_str())
}

/// The ids under a key: one, or a list.
fn ids(json: &Json, key: &str) -> Vec<u32> {
    let id = |v: &Json| v.as_u64().and_then(|v| u32::try_from(v).ok());
    match json.get(key) {
        Some(Json::Array(all)) => all.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => Vec::new(),
    }
}

impl SpecialTokens {
    /// Reads them, and adds to `tokenizer` those that it lacks.
    ///
    /// # Errors
    /// A file that is no JSON; a token whose id is not to be had.
    pub fn of_folder(folder: &Path, config: &Json, tokenizer: &mut Tokenizer) -> Result<Self> {
        let settings = optional(&folder.join("tokenizer_config.json"))?;
        let map = optional(&folder.join("special_tokens_map.json"))?;
        let generation = optional(&folder.join("generation_config.json"))?;
        // As transformers: with an added_tokens_decoder the older files are not asked.
        let decoder = settings.get("added_tokens_decoder").is_some();
        let files = if decoder { vec![&settings] } else { vec![&map, &settings] };
        let token = |name: &str| files.iter().find_map(|f| text(f.get(name)?));
        let named: BTreeMap<String, String> = (NAMES.into_iter())
            .filter_map(|name| Some((name.to_owned(), token(name)?.to_owned())))
            .collect();
        add_decoder(&folder.join("tokenizer_config.json"), &settings, tokenizer)?;
        if !decoder {
            add_legacy(folder, &named, tokenizer)?;
        }
        // New ones get their ids in this order.
        let in_order = NAMES.iter().filter_map(|n| named.get(*n).map(String::as_str));
        let lists = ["additional_special_tokens", "extra_special_tokens"];
        let listed = files.iter().rev().flat_map(|f| {
            lists.iter().filter_map(|key| f.get(*key)).flat_map(|v| match v {
                Json::Array(all) => all.iter().filter_map(text).collect::<Vec<_>>(),
                Json::Object(all) => all.values().filter_map(text).collect(),
                _ => Vec::new(),
            })
        });
        let mut unknown: Vec<AddedToken> = Vec::new();
        for t in in_order.chain(listed) {
            let known = t.is_empty() || is_added(tokenizer, t);
            if !known && unknown.iter().all(|u| u.content != t) {
                unknown.push(AddedToken::from(t, true));
            }
        }
        add(tokenizer, unknown)?;
        let ends = [config, &generation].into_iter().flat_map(|file| ids(file, "eos_token_id"));
        Ok(SpecialTokens { ends: ends.collect(), settings, named })
    }
}

fn is_added(tokenizer: &Tokenizer, token: &str) -> bool {
    tokenizer.get_added_vocabulary().get_vocab().contains_key(token)
}

fn add(tokenizer: &mut Tokenizer, tokens: Vec<AddedToken>) -> Result<()> {
    let added = tokenizer.add_tokens(tokens);
    added.map(|_| ()).map_err(tok)
}

/// Adds a token, which must come to have the id that a file gives it.
fn add_at(path: &Path, tokenizer: &mut Tokenizer, id: u32, token: AddedToken) -> Result<()> {
    let content = token.content.clone();
    add(tokenizer, vec![token])?;
    let got = tokenizer.token_to_id(&content);
    if got != Some(id) {
        let got = got.map_or("none".into(), |g| g.to_string());
        let why = format!("gives token {content:?} the id {id}, but in tokenizer.json its id is {got}; the files are not of one tokenizer");
        return Err(ModelError::key(path, "added_tokens_decoder", why));
    }
    Ok(())
}

/// `added_tokens_decoder`: id to token with its flags.
fn add_decoder(path: &Path, settings: &Json, tokenizer: &mut Tokenizer) -> Result<()> {
    let Some(Json::Object(decoder)) = settings.get("added_tokens_decoder") else {
        return Ok(());
    };
    let mut tokens: BTreeMap<u32, AddedToken> = BTreeMap::new();
    for (id, token) in decoder {
        let bad = |why| ModelError::key(path, format!("added_tokens_decoder.{id}"), why);
        let number = id.parse().map_err(|_| bad("is no token id"))?;
        let content = text(token).ok_or_else(|| bad("has no `content`"))?;
        let flag = |key: &str| token.get(key).and_then(Json::as_bool).unwrap_or(false);
        let special = flag("special");
        let token = AddedToken::from(content, special)
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .single_word(flag("single_word"))
            .normalized(flag("normalized"));
        tokens.insert(number, token);
    }
    for (id, token) in tokens {
        add_at(path, tokenizer, id, token)?;
    }
    Ok(())
}

/// `added_tokens.json`: token to id, without flags; those that have a name are special.
fn add_legacy(
    folder: &Path,
    named: &BTreeMap<String, String>,
    tokenizer: &mut Tokenizer,
) -> Result<()> {
    let path = folder.join("added_tokens.json");
    let Json::Object(map) = optional(&path)? else {
        return Ok(());
    };
    let mut tokens: Vec<(u64, &String)> =
        map.iter().filter_map(|(token, id)| Some((id.as_u64()?, token))).collect();
    tokens.sort_unstable();
    for (id, token) in tokens {
        if !is_added(tokenizer, token) {
            let special = named.values().any(|n| n == token);
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            add_at(&path, tokenizer, id, AddedToken::from(token.as_str(), special))?;
        }
    }
    Ok(())
}
