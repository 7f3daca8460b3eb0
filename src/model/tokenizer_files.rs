//! A tokenizer with its chat template and special tokens, from the files that hold them: the
//! metadata of a GGUF file, or the several files of a Hugging Face folder.
//!
//! A model may have several chat templates; the one named `default` is taken, or the one that the
//! user names: another of the model's, one that ships for models without any, or a file. One that
//! cannot be used blocks chats only: raw texts are still read.

use super::error::{ModelError, Result};
use super::files::read_text;
use super::gguf_bpe;
use super::gguf_meta::Meta;
use super::gguf_spm;
use super::sandbox::{shortened, Sandbox};
use super::special_tokens::SpecialTokens;
use super::template::Template;
use super::thinking::Thinking;
use super::tokenizer::{tok, Fit, TextOptions, Tokenizer, DEFAULT_TEMPLATE, MESSAGE};
use super::Date;
use crate::store::names::nearest;
use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokenizers::processors::template::TemplateProcessing;

/// Sources of chat templates by their names.
type Sources = BTreeMap<String, String>;

/// Tokens that end a turn, and with it an answer, by how they are written.
const ENDS_OF_TURNS: [&str; 5] =
    ["<end_of_turn>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>"];

/// Type of a token that is part of a text.
const NORMAL: i32 = 1;

/// Templates for models without one, by name.
const SHIPPED: [(&str, &str); 4] = [
    ("chatml", include_str!("../../assets/templates/chatml.jinja")),
    ("llama-2", include_str!("../../assets/templates/llama-2.jinja")),
    ("gemma", include_str!("../../assets/templates/gemma.jinja")),
    ("alpaca", include_str!("../../assets/templates/alpaca.jinja")),
];

/// The template that is asked for: one of the model's own, a shipped one, or a file.
fn asked(path: &Path, sources: &Sources, name: &str) -> Result<String> {
    if let Some(own) = sources.get(name) {
        return Ok(own.clone());
    }
    if let Some((_, shipped)) = SHIPPED.iter().find(|(known, _)| *known == name) {
        return Ok(shipped.trim_end().into());
    }
    let file = Path::new(name);
    if file.is_file() {
        return read_text(file);
    }
    let known = sources.keys().map(String::as_str).chain(SHIPPED.map(|(name, _)| name));
    let near = nearest(name, known.clone()).map(|n| format!("; the nearest name is `{n}`"));
    let why = format!(
        "there is no chat template named `{name}` and no file of that name; names are: {}{}",
        known.collect::<Vec<_>>().join(", "),
        near.unwrap_or_default()
    );
    Err(ModelError::file(path, why))
}

/// The template of the user's choice, or the model's default, compiled.
fn chosen(
    path: &Path,
    sources: Sources,
    special: BTreeMap<String, String>,
    options: &TextOptions,
    date: Date,
) -> Result<(String, Option<std::result::Result<Template, String>>)> {
    let name = options.template.as_deref().unwrap_or(DEFAULT_TEMPLATE).to_owned();
    let source = match (&options.template, sources.get(DEFAULT_TEMPLATE)) {
        (Some(name), _) => asked(path, &sources, name)?,
        (None, Some(source)) => source.clone(),
        (None, None) if sources.is_empty() => return Ok((name, None)),
        (None, None) => {
            let known: Vec<&str> = sources.keys().map(String::as_str).collect();
            let why = "none of its templates is named `default`; choose one with --template";
            return Ok((name, Some(Err(format!("{why}: {}", known.join(", "))))));
        }
    };
    let template = Template::new(&source, special, date).map_err(|e| match e {
        ModelError::Template(why) => why,
        other => other.to_string(),
    });
    let template = template.map(|t| t.with_thinking(options.thinking.told()));
    let heeded = template.as_ref().map_or(true, |t| match options.thinking {
        Thinking::Model => true,
        Thinking::Off => t.switches(),
        Thinking::Keep | Thinking::Strip => t.switches() || t.opens(),
    });
    if !heeded {
        let why = "its chat template has no switch for thinking; leave --thinking away, or give a template that has one";
        return Err(ModelError::file(path, why));
    }
    Ok((name, Some(template)))
}

/// From GGUF metadata.
pub(super) fn of_gguf(meta: &Meta, fit: Fit, options: &TextOptions) -> Result<Tokenizer> {
    let kind = meta.text("tokenizer.ggml.model").unwrap_or_default();
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
    // Files of Gemma and Phi name the end of a text alone.
    let of_turns = (0u32..)
        .zip(tokens.iter().zip(&types))
        .filter(|(_, (token, kind))| **kind != NORMAL && ENDS_OF_TURNS.contains(&token.as_str()));
    let mut ends: Vec<u32> = ["eos", "eot", "eom"].into_iter().filter_map(id).collect();
    ends.extend(of_turns.map(|(id, _)| id));
    ends.sort_unstable();
    ends.dedup();
    let date = options.date.unwrap_or_else(Date::today);
    let (template_name, template) =
        chosen(meta.path, gguf_templates(meta), special.clone(), options, date)?;
    let flag = |key: &str, default| match meta.map.get(&format!("tokenizer.ggml.{key}")) {
        Some(Value::Bool(flag)) => *flag,
        _ => default,
    };
    let pre = meta.text("tokenizer.ggml.pre").unwrap_or_default();
    let (mut inner, begins) = match kind {
        "gpt2" => {
            let merges = meta.texts("tokenizer.ggml.merges")?;
            (gguf_bpe::tokenizer(pre, &tokens, &types, &merges)?, gguf_bpe::begins(pre))
        }
        "llama" => {
            let scores = meta.numbers("tokenizer.ggml.scores")?;
            let prefix = flag("add_space_prefix", true);
            let unknown = special.get("unk_token");
            let strips = meta.text("general.architecture") == Some("phi3");
            (gguf_spm::tokenizer(&tokens, &types, &scores, (prefix, strips), unknown)?, true)
        }
        _ => {
            return Err(tok(format!(
                "the file's tokenizer kind `{kind}` is not supported, only byte-level BPE (gpt2) and SentencePiece BPE (llama); use the model's Hugging Face folder"
            )))
        }
    };
    let add =
        |name: &str, default| id(name).filter(|_| flag(&format!("add_{name}_token"), default));
    let (bos, before, after) = (id("bos"), add("bos", begins), add("eos", false));
    let added = adding(before, after, &inner)?;
    inner.with_post_processor(added);
    let tokenizer = Tokenizer {
        inner: Arc::new(inner),
        post: None,
        sandbox: Sandbox::new().map_err(tok)?,
        template,
        template_name,
        bos,
        add_bos: options.bos,
        eos: ends,
        context: fit.context,
        date,
        thinking: options.thinking,
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
            Some("") => Some(DEFAULT_TEMPLATE),
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
    let at = file.clone();
    let damaged =
        move |why: String| ModelError::file(&at, format!("not a usable tokenizer ({why})"));
    let bytes = std::fs::read(&file).map_err(ModelError::read(&file))?;
    let sandbox = Sandbox::new().map_err(&damaged)?;
    let (folder, config) = (path.to_path_buf(), config.clone());
    let refused = damaged.clone();
    let loaded = sandbox.run(bytes.len(), move || -> Result<_> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes);
        let mut inner = inner.map_err(|e| damaged(shortened(&e.to_string(), MESSAGE)))?;
        let special = SpecialTokens::of_folder(&folder, &config, &mut inner)?;
        Ok((inner, special))
    });
    let (inner, special) = loaded.map_err(|why| refused(format!("it {why}")))??;
    let date = options.date.unwrap_or_else(Date::today);
    let sources = folder_templates(path, &special.settings)?;
    let (template_name, template) = chosen(path, sources, special.named.clone(), options, date)?;
    let named = |name: &str| inner.token_to_id(special.named.get(name)?);
    let (bos, eos) = (named("bos_token"), named("eos_token"));
    let mut ends = special.ends;
    ends.extend(eos);
    let tokenizer = Tokenizer {
        inner: Arc::new(inner),
        post: None,
        sandbox,
        template,
        template_name,
        bos,
        add_bos: options.bos,
        eos: ends.into_iter().collect(),
        context: fit.context,
        date,
        thinking: options.thinking,
        says_bos: special.settings.get("add_bos_token").and_then(Json::as_bool),
    };
    tokenizer.checked(fit.vocab).map_err(|e| match e {
        ModelError::Tokenizer(why) => refused(why),
        other => other,
    })
}

/// `chat_template` of `tokenizer_config.json`, a text or a list of named ones;
/// `chat_template.jinja`, which wins; and `additional_chat_templates/NAME.jinja`.
fn folder_templates(path: &Path, settings: &Json) -> Result<Sources> {
    let mut sources = Sources::new();
    match settings.get("chat_template") {
        Some(Json::String(source)) => {
            sources.insert(DEFAULT_TEMPLATE.into(), source.clone());
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
        sources.insert(DEFAULT_TEMPLATE.into(), read_text(&own)?);
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
    use super::super::template::Message;
    use super::super::tokenizer::Bos;
    use super::super::Thinking;
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
        map.insert("tokenizer.ggml.pre".into(), Value::String("gpt-2".into()));
        let meta = Meta { path: Path::new("m.gguf"), map: &map };
        let fit = Fit { context: 64, vocab: tokens.len() };
        let options = TextOptions { bos, ..TextOptions::default() };
        of_gguf(&meta, fit, &options).unwrap()
    }

    #[test]
    fn generation_ends_with_a_turn_though_the_file_names_the_end_of_a_text_alone() {
        let tokens = ["a", "<eos>", "<end_of_turn>", "<|im_end|>"];
        let mut map: HashMap<String, Value> = HashMap::new();
        for (key, v) in [
            ("tokens", list(&tokens)),
            ("merges", list(&[])),
            ("model", Value::String("gpt2".into())),
            ("pre", Value::String("gpt-2".into())),
            ("eos_token_id", Value::U32(1)),
            // The last is a word like others.
            ("token_type", Value::Array([1, 3, 3, 1].map(Value::I32).into())),
        ] {
            map.insert(format!("tokenizer.ggml.{key}"), v);
        }
        let fit = || Fit { context: 64, vocab: tokens.len() };
        let options = TextOptions::default();
        let of = |map: &HashMap<String, Value>| {
            of_gguf(&Meta { path: Path::new("m.gguf"), map }, fit(), &options)
        };
        assert_eq!(of(&map).unwrap().eos(), [1, 2]);
        map.remove("tokenizer.ggml.pre");
        let why = of(&map).err().unwrap().to_string();
        assert!(why.contains("tokenizer.ggml.pre"), "{why}");
    }

    #[test]
    fn a_choice_that_a_template_does_not_heed_is_refused() {
        let with = |source: &str, thinking| {
            let mut map: HashMap<String, Value> = HashMap::new();
            for (key, v) in [
                ("tokens", list(&["a"])),
                ("merges", list(&[])),
                ("model", Value::String("gpt2".into())),
                ("pre", Value::String("gpt-2".into())),
                ("chat_template", Value::String(source.into())),
            ] {
                map.insert(
                    format!("tokenizer.{}{key}", if key == "chat_template" { "" } else { "ggml." }),
                    v,
                );
            }
            let options = TextOptions { thinking, ..TextOptions::default() };
            of_gguf(
                &Meta { path: Path::new("m.gguf"), map: &map },
                Fit { context: 64, vocab: 1 },
                &options,
            )
        };
        let (plain, opening) = ("{{ messages[0].content }}", "{{ messages[0].content }}<think>\n");
        for (source, thinking, heeded) in [
            (plain, Thinking::Off, false),
            (plain, Thinking::Keep, false),
            (plain, Thinking::Model, true),
            (opening, Thinking::Off, false),
            (opening, Thinking::Strip, true),
            ("{{ messages[0].content }}{% if thinking %}<think>{% endif %}", Thinking::Off, true),
        ] {
            let made = with(source, thinking);
            assert_eq!(made.is_ok(), heeded, "{source} {thinking:?}");
            if let Err(e) = made {
                assert!(e.to_string().contains("--thinking"), "{e}");
            }
        }
        assert!(with(opening, Thinking::Model).unwrap().thinks_unasked());
        assert!(!with(plain, Thinking::Model).unwrap().thinks_unasked());
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

    /// A template's text for a conversation, of a model that has none of its own.
    fn rendered(name: &str, turns: &[(&str, &str)], open: bool) -> Result<String> {
        let options = TextOptions { template: Some(name.into()), ..TextOptions::default() };
        let special = ["bos", "eos"].map(|s| (format!("{s}_token"), format!("<{s}>"))).into();
        let path = Path::new("m");
        let chosen = chosen(path, Sources::new(), special, &options, Date::today())?.1;
        let messages: Vec<_> = turns.iter().map(|(r, c)| Message::new(r, c)).collect();
        chosen.unwrap().unwrap().render(&messages, open)
    }

    #[test]
    fn a_base_model_takes_a_shipped_template_or_a_file() {
        let talk = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c")];
        let rendered_open = |name| rendered(name, &talk, true).unwrap();
        for (name, want) in [
            (
                "chatml",
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n",
            ),
            (
                "llama-2",
                "<bos>[INST] <<SYS>>\nS\n<</SYS>>\n\na [/INST] b <eos><bos>[INST] c [/INST]",
            ),
            (
                "gemma",
                "<bos><start_of_turn>user\nS\n\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n",
            ),
            (
                "alpaca",
                "<bos>S\n\n### Instruction:\na\n\n### Response:\nb<eos>\n\n### Instruction:\nc\n\n### Response:\n",
            ),
        ] {
            assert_eq!(rendered_open(name), want);
        }
        let wrong = [("user", "a"), ("user", "b")];
        assert!(rendered("gemma", &wrong, false).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{{ messages[0]['content'] }}!").unwrap();
        assert_eq!(rendered(file.path().to_str().unwrap(), &talk[1..], false).unwrap(), "a!");
        let e = rendered("chatmk", &talk, false).unwrap_err().to_string();
        assert!(e.contains("the nearest name is `chatml`") && e.contains("alpaca"), "{e}");
    }

    #[test]
    fn a_template_that_thinks_is_told_what_the_user_chose() {
        let source = "{{ messages[0].content }}{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}";
        let with = |thinking| {
            let mut map: HashMap<String, Value> = HashMap::new();
            for (key, v) in [
                ("tokenizer.ggml.tokens", list(&["a"])),
                ("tokenizer.ggml.merges", list(&[])),
                ("tokenizer.ggml.model", Value::String("gpt2".into())),
                ("tokenizer.ggml.pre", Value::String("gpt-2".into())),
                ("tokenizer.chat_template", Value::String(source.into())),
            ] {
                map.insert(key.into(), v);
            }
            let meta = Meta { path: Path::new("m.gguf"), map: &map };
            let options = TextOptions { thinking, ..TextOptions::default() };
            of_gguf(&meta, Fit { context: 64, vocab: 1 }, &options).unwrap()
        };
        for (thinking, end, doubt) in [
            (Thinking::Model, "", true),
            (Thinking::Off, "<think></think>", false),
            (Thinking::Keep, "", false),
            (Thinking::Strip, "", false),
        ] {
            let t = with(thinking);
            assert_eq!(t.render(&[Message::new("user", "a")], true).unwrap(), format!("a{end}"));
            assert_eq!(t.thinks_unasked(), doubt);
            assert_eq!(t.options().thinking, thinking);
            assert_eq!(t.reading().get("thinking").is_some(), !doubt);
        }
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
