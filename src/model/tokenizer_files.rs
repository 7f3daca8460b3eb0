//! A tokenizer with its chat template and special tokens, from the files that hold them: the
//! metadata of a GGUF file, or the several files of a Hugging Face folder.
//!
//! A model may have several chat templates; the one named `default` is taken, or the one that the
//! user names. One that cannot be used blocks chats only: raw texts are still read.

use super::error::{ModelError, Result};
use super::files::read_text;
use super::gguf_bpe;
use super::gguf_meta::Meta;
use super::guard;
use super::special_tokens::SpecialTokens;
use super::template::Template;
use super::tokenizer::{tok, Fit, TextOptions, Tokenizer};
use super::Date;
use crate::store::names::nearest;
use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::processors::template::TemplateProcessing;

/// Sources of chat templates by their names.
type Sources = BTreeMap<String, String>;

/// The name of the template that is taken unless another is asked for.
const DEFAULT: &str = "default";

/// The template that is asked for, compiled.
fn chosen(
    path: &Path,
    sources: Sources,
    special: BTreeMap<String, String>,
    options: &TextOptions,
    date: Date,
) -> Result<(String, Option<std::result::Result<Template, String>>)> {
    let name = options.template.as_deref().unwrap_or(DEFAULT).to_owned();
    let known = || sources.keys().cloned().collect::<Vec<_>>().join(", ");
    let template = match sources.get(&name) {
        Some(source) => Some(Template::new(source, special, date).map_err(|e| match e {
            ModelError::Template(why) => why,
            other => other.to_string(),
        })),
        None if options.template.is_some() => {
            let near = nearest(&name, sources.keys().map(String::as_str));
            let why = match near {
                Some(near) => format!("its templates are: {}; the nearest is `{near}`", known()),
                None => "the model has none".into(),
            };
            let why = format!("there is no chat template named `{name}`; {why}");
            return Err(ModelError::file(path, why));
        }
        None if sources.is_empty() => None,
        None => Some(Err(format!(
            "none of its templates is named `default`; choose one with --template: {}",
            known()
        ))),
    };
    Ok((name, template))
}

/// From GGUF metadata.
pub(super) fn of_gguf(meta: &Meta, fit: Fit, options: &TextOptions) -> Result<Tokenizer> {
    let kind = meta.text("tokenizer.ggml.model").unwrap_or_default();
    gguf_bpe::supported(kind)?;
    let tokens = meta.texts("tokenizer.ggml.tokens")?;
    let types = match meta.map.get("tokenizer.ggml.token_type").map(Value::to_vec) {
        Some(Ok(list)) => list.iter().map(|v| v.to_i32().unwrap_or(1)).collect(),
        _ => vec![1; tokens.len()],
    };
    let id = |name: &str| {
        let id = meta.map.get(&format!("tokenizer.ggml.{name}_token_id"))?.to_u64().ok()?;
        u32::try_from(id).ok().filter(|id| (*id as usize) < tokens.len())
    };
    let mut special = BTreeMap::new();
    for (ours, theirs) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
        if let Some(token) = id(theirs).and_then(|id| tokens.get(id as usize)) {
            special.insert(format!("{ours}_token"), token.clone());
        }
    }
    let mut ends: Vec<u32> = ["eos", "eot", "eom"].into_iter().filter_map(id).collect();
    ends.sort_unstable();
    ends.dedup();
    let date = options.date.unwrap_or_else(Date::today);
    let (template_name, template) =
        chosen(meta.path, gguf_templates(meta), special.clone(), options, date)?;
    let add = |name: &str| {
        let flag = meta.map.get(&format!("tokenizer.ggml.add_{name}_token"));
        id(name).filter(|_| matches!(flag, Some(Value::Bool(true))))
    };
    let (bos, before, after) = (id("bos"), add("bos"), add("eos"));
    let pre = meta.text("tokenizer.ggml.pre").unwrap_or_default();
    let merges = meta.texts("tokenizer.ggml.merges")?;
    let mut inner = gguf_bpe::tokenizer(pre, &tokens, &types, &merges)?;
    let added = adding(before, after, &inner)?;
    inner.with_post_processor(added);
    let tokenizer = Tokenizer {
        inner,
        post: None,
        template,
        template_name,
        bos,
        add_bos: options.bos,
        eos: ends,
        context: fit.context,
        date,
        says_bos: None,
    };
    tokenizer.checked(fit.vocab)
}

/// `tokenizer.chat_template`, and those named `tokenizer.chat_template.NAME`.
fn gguf_templates(meta: &Meta) -> Sources {
    const KEY: &str = "tokenizer.chat_template";
    let mut sources = Sources::new();
    for key in meta.map.keys() {
        let name = match key.strip_prefix(KEY) {
            Some("") => Some(DEFAULT),
            Some(rest) => rest.strip_prefix('.'),
            None => None,
        };
        if let (Some(name), Some(source)) = (name, meta.text(key)) {
            sources.insert(name.into(), source.into());
        }
    }
    sources
}

/// The post-processor that puts a token before, and one after, a text.
fn adding(
    before: Option<u32>,
    after: Option<u32>,
    tokenizer: &tokenizers::Tokenizer,
) -> Result<Option<TemplateProcessing>> {
    let named = |id: u32| {
        let token = tokenizer.id_to_token(id);
        Ok((token.ok_or_else(|| tok(format!("special token {id} has no text")))?, id))
    };
    let special: Vec<(String, u32)> =
        before.into_iter().chain(after).map(named).collect::<Result<_>>()?;
    if special.is_empty() {
        return Ok(None);
    }
    let mut pieces: Vec<String> = special.iter().map(|s| s.0.clone()).collect();
    pieces.insert(usize::from(before.is_some()), "$A".into());
    let mut builder = TemplateProcessing::builder();
    let built = builder.try_single(pieces).map_err(tok)?.special_tokens(special).build();
    built.map(Some).map_err(tok)
}

/// From a folder whose parsed `config.json` is given.
pub(super) fn of_folder(
    path: &Path,
    config: &Json,
    fit: Fit,
    options: &TextOptions,
) -> Result<Tokenizer> {
    let file = path.join("tokenizer.json");
    let damaged = |why| ModelError::file(&file, format!("not a usable tokenizer ({why})"));
    let mut inner = guard::guarded(|| tokenizers::Tokenizer::from_file(&file))
        .ok_or_else(|| damaged("it makes the tokenizer library panic".to_string()))?
        .map_err(|e| damaged(e.to_string()))?;
    let special = SpecialTokens::of_folder(path, config, &mut inner)?;
    let date = options.date.unwrap_or_else(Date::today);
    let sources = folder_templates(path, &special.settings)?;
    let (template_name, template) = chosen(path, sources, special.named.clone(), options, date)?;
    let named = |name: &str| inner.token_to_id(special.named.get(name)?);
    let (bos, eos) = (named("bos_token"), named("eos_token"));
    let mut ends = special.ends;
    ends.extend(eos);
    let tokenizer = Tokenizer {
        inner,
        post: None,
        template,
        template_name,
        bos,
        add_bos: options.bos,
        eos: ends.into_iter().collect(),
        context: fit.context,
        date,
        says_bos: special.settings.get("add_bos_token").and_then(Json::as_bool),
    };
    tokenizer.checked(fit.vocab).map_err(|e| match e {
        ModelError::Tokenizer(why) => damaged(why),
        other => other,
    })
}

/// `chat_template` of `tokenizer_config.json`, a text or a list of named ones;
/// `chat_template.jinja`, which wins; and `additional_chat_templates/NAME.jinja`.
fn folder_templates(path: &Path, settings: &Json) -> Result<Sources> {
    let mut sources = Sources::new();
    match settings.get("chat_template") {
        Some(Json::String(source)) => {
            sources.insert(DEFAULT.into(), source.clone());
        }
        Some(Json::Array(list)) => {
            for (i, entry) in list.iter().enumerate() {
                let text = |key: &str| entry.get(key).and_then(Json::as_str);
                let (Some(name), Some(source)) = (text("name"), text("template")) else {
                    let (file, key) = ("tokenizer_config.json", format!("chat_template[{i}]"));
                    let why = "has no `name` and `template`";
                    return Err(ModelError::key(&path.join(file), key, why));
                };
                sources.insert(name.into(), source.into());
            }
        }
        Some(Json::Object(map)) => {
            let texts = map.iter().filter_map(|(k, v)| Some((k, v.as_str()?)));
            sources.extend(texts.map(|(k, v)| (k.clone(), v.to_owned())));
        }
        _ => {}
    }
    let own = path.join("chat_template.jinja");
    if own.exists() {
        sources.insert(DEFAULT.into(), read_text(&own)?);
    }
    if let Ok(entries) = std::fs::read_dir(path.join("additional_chat_templates")) {
        for file in entries.filter_map(|e| Some(e.ok()?.path())) {
            let name = file.file_stem().and_then(|n| n.to_str());
            if let (Some(name), true) = (name, file.extension().is_some_and(|e| e == "jinja")) {
                sources.insert(name.into(), read_text(&file)?);
            }
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::Bos;
    use super::*;
    use std::collections::HashMap;

    fn list(items: &[&str]) -> Value {
        Value::Array(items.iter().map(|s| Value::String(s.to_string())).collect())
    }

    fn of(keys: &[(&str, Value)], bos: Bos) -> Tokenizer {
        let mut map: HashMap<String, Value> =
            keys.iter().map(|(k, v)| (format!("tokenizer.ggml.{k}"), v.clone())).collect();
        let tokens = ["<end>", "<turn>", "<message>", "<begin>", "a", "b"];
        map.insert("tokenizer.ggml.tokens".into(), list(&tokens));
        map.insert("tokenizer.ggml.merges".into(), list(&[]));
        map.insert("tokenizer.ggml.model".into(), Value::String("gpt2".into()));
        let meta = Meta { path: Path::new("m.gguf"), map: &map };
        let fit = Fit { context: 64, vocab: tokens.len() };
        let options = TextOptions { bos, ..TextOptions::default() };
        of_gguf(&meta, fit, &options).unwrap()
    }

    #[test]
    fn every_end_that_gguf_metadata_names_ends_generation() {
        let ids = |names: &[(&'static str, u32)]| -> Vec<(&'static str, Value)> {
            names.iter().map(|(n, id)| (*n, Value::U32(*id))).collect()
        };
        let all = ids(&[("eos_token_id", 0), ("eot_token_id", 1), ("eom_token_id", 2)]);
        assert_eq!(of(&all, Bos::Model).eos(), [0, 1, 2]);
        assert_eq!(of(&all[..2], Bos::Model).eos(), [0, 1]);
    }

    #[test]
    fn raw_texts_of_a_gguf_file_begin_as_its_metadata_says() {
        let begins = |add: Option<bool>, bos| {
            let mut keys = vec![("bos_token_id", Value::U32(3))];
            keys.extend(add.map(|add| ("add_bos_token", Value::Bool(add))));
            of(&keys, bos).text("ab").unwrap().ids
        };
        assert_eq!(begins(None, Bos::Model), [4, 5]);
        assert_eq!(begins(Some(false), Bos::Model), [4, 5]);
        assert_eq!(begins(Some(true), Bos::Model), [3, 4, 5]);
        assert_eq!(begins(Some(true), Bos::Off), [4, 5]);
        assert_eq!(begins(None, Bos::On), [3, 4, 5]);
    }
}
