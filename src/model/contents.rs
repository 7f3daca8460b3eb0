//! What a model's or an adapter's folder must hold, said of a folder on disk or of a hub's listing.
//!
//! One rule serves both, so that a repository of another form is told as what it is before anything
//! large is fetched, and a folder that lacks a shard is not taken for a model. Which tensors are in
//! the files is the loader's business.

use super::plain::plain_name;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
pub(crate) const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Files of a model that are read where they exist.
const OPTIONAL: [&str; 5] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
];
#[cfg(feature = "hub")]
const TEMPLATES: &str = "additional_chat_templates/";
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// What is said of a file in whose place Git-LFS left its pointer.
pub(crate) const POINTED: &str =
    "is a Git-LFS pointer, not the file itself; run `git lfs pull` there, or download the file";
/// How a Git-LFS pointer begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What is wrong, in words that say what to do.
pub(crate) type Verdict<T> = std::result::Result<T, String>;

/// Whether a model's weights and tokenizer are among `names`; otherwise what is there instead.
pub(crate) fn model(names: &BTreeSet<String>) -> Verdict<()> {
    let has = |name: &str| names.contains(name);
    let ending = |end: &str| first(names, |n| n.ends_with(end));
    let convert = "save it with transformers: \
                   AutoModelForCausalLM.from_pretrained(...).save_pretrained(FOLDER)";
    if !has(WEIGHTS) && !has(INDEX) {
        let bin = first(names, |n| n.ends_with(".bin") && n.contains("model"));
        return Err(match (ending(".gguf"), bin, ending(".safetensors")) {
            _ if has(ADAPTER_CONFIG) => {
                "is an adapter and no model; give its base as the model and it with --adapter".into()
            }
            (Some(file), ..) => format!(
                "holds its weights as GGUF ({file}); give the path of one such file, downloaded, as \
                 the model"
            ),
            (None, Some(file), _) => format!(
                "holds its weights as pickled PyTorch only ({file}), which can run code when it is \
                 read; {convert} writes safetensors"
            ),
            (None, None, Some(file)) => format!(
                "holds safetensors under another name only ({file}); the weights must be {WEIGHTS} \
                 or {INDEX} and its shards"
            ),
            _ => format!("holds neither {WEIGHTS} nor {INDEX}; give a folder in the Hugging Face layout, or a .gguf file"),
        });
    }
    if !has("config.json") {
        return Err("has no config.json".into());
    }
    if !has("tokenizer.json") {
        let other = first(names, |n| {
            n == "tokenizer.model" || n.ends_with(".tiktoken") || n == "vocab.json"
        });
        return Err(match other {
            Some(file) => format!(
                "has no tokenizer.json, only {file}; write one with transformers: \
                 AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER)"
            ),
            None => "has no tokenizer.json".into(),
        });
    }
    Ok(())
}

/// Whether an adapter is among `names`; otherwise what is there instead.
pub(crate) fn adapter(names: &BTreeSet<String>) -> Verdict<()> {
    let has = |name: &str| names.contains(name);
    if !has(ADAPTER_CONFIG) {
        return Err(match has("config.json") {
            true => format!("is a model and no adapter: it has no {ADAPTER_CONFIG}"),
            false => format!("has no {ADAPTER_CONFIG}"),
        });
    }
    match (has(ADAPTER_WEIGHTS), has("adapter_model.bin")) {
        (true, _) => Ok(()),
        (false, true) => Err(format!(
            "holds its weights as adapter_model.bin only, which can run code when it is read; save \
             it with PEFT: PeftModel.from_pretrained(...).save_pretrained(FOLDER) writes \
             {ADAPTER_WEIGHTS}"
        )),
        (false, false) => Err(format!("has no {ADAPTER_WEIGHTS}")),
    }
}

/// The small files of a model among `names`, those without which it is none last.
#[cfg(feature = "hub")]
pub(crate) fn small_files(names: &BTreeSet<String>) -> Vec<&str> {
    let template = |n: &&String| n.starts_with(TEMPLATES) && n.ends_with(".jinja");
    let optional = OPTIONAL.into_iter().chain(REQUIRED);
    let listed = optional.filter(|n| names.contains(*n));
    let templates = names.iter().filter(template).map(String::as_str);
    templates.chain(listed).collect()
}

/// The file of every tensor, as the text of an index says.
pub(crate) fn shards(index: &str) -> Verdict<BTreeMap<String, String>> {
    let json: serde_json::Value =
        serde_json::from_str(index).map_err(|e| format!("not JSON ({e})"))?;
    let map = json.get("weight_map").and_then(|m| m.as_object());
    let map = map.ok_or("key `weight_map` is missing or no object")?;
    let file = |(tensor, file): (&String, &serde_json::Value)| match file.as_str() {
        Some(name) if plain_name(name).is_some() => Ok((tensor.clone(), name.to_string())),
        Some(name) => Err(format!(
            "key `weight_map`: tensor `{tensor}` is said to be in {name:?}, which is no plain name \
             inside the folder"
        )),
        None => Err(format!("key `weight_map`: tensor `{tensor}` has no file name")),
    };
    match map.is_empty() {
        true => Err("key `weight_map` names no file".into()),
        false => map.iter().map(file).collect(),
    }
}

/// The file of every tensor of a folder by its index; none where all are in one file.
pub(crate) fn index(folder: &Path) -> Verdict<Option<BTreeMap<String, String>>> {
    let path = folder.join(INDEX);
    if folder.join(WEIGHTS).exists() || !listed(&path) {
        return Ok(None);
    }
    not_a_pointer(&path)?;
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{INDEX}: {e}"))?;
    shards(&text).map(Some).map_err(|e| format!("{INDEX}: {e}"))
}

/// Whether a folder holds a model with every shard, none of its files a pointer or a dead link.
pub(crate) fn model_folder(folder: &Path) -> Verdict<()> {
    model(&names(folder)?)?;
    let files = index(folder)?.map(|map| map.into_values().collect());
    whole(folder, REQUIRED.map(String::from).into())?;
    whole(folder, files.unwrap_or_else(|| [WEIGHTS.to_owned()].into()))?;
    // What is optional may be absent; what is there must be there.
    let there = |n: &&str| listed(&folder.join(n));
    whole(folder, OPTIONAL.into_iter().filter(there).map(String::from).collect())
}

/// Whether a folder holds an adapter.
pub(crate) fn adapter_folder(folder: &Path) -> Verdict<()> {
    adapter(&names(folder)?)?;
    whole(folder, [ADAPTER_CONFIG, ADAPTER_WEIGHTS].map(String::from).into())
}

/// Refuses a file that is a Git-LFS pointer in the place of its content.
pub(crate) fn not_a_pointer(path: &Path) -> Verdict<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match is_pointer(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!("{name} {POINTED}")),
        Err(e) => Err(format!("{name} cannot be read ({e})")),
    }
}

pub(crate) fn is_pointer(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(POINTER.len() as u64).read_to_end(&mut start)?;
    Ok(start == POINTER)
}

fn whole(folder: &Path, files: BTreeSet<String>) -> Verdict<()> {
    for name in files {
        let path = folder.join(&name);
        if !path.is_file() {
            return Err(match path.is_symlink() {
                true => format!("{name} is a link to a file that is gone"),
                false => format!("{name} is missing"),
            });
        }
        not_a_pointer(&path)?;
    }
    Ok(())
}

/// Whether a folder lists it, be it a link to nothing.
fn listed(path: &Path) -> bool {
    path.is_symlink() || path.exists()
}

/// Names of the entries of a folder, dead links among them.
fn names(folder: &Path) -> Verdict<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("cannot be read ({e})"))?;
    let name = |e: std::fs::DirEntry| e.file_name().to_string_lossy().into_owned();
    Ok(entries.filter_map(|e| e.ok().map(name)).collect())
}

fn first(names: &BTreeSet<String>, is: impl Fn(&str) -> bool) -> Option<&String> {
    names.iter().find(|n| is(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn a_repository_of_another_form_is_told_as_what_it_is() {
        let cases: [(&[&str], &str); 6] = [
            (&["config.json", "tokenizer.json", "pytorch_model.bin"], "pytorch_model.bin"),
            (&["config.json", "a.Q4_0.gguf"], "GGUF (a.Q4_0.gguf)"),
            (&["config.json", WEIGHTS, "tokenizer.model"], "only tokenizer.model"),
            (&[ADAPTER_CONFIG, ADAPTER_WEIGHTS], "--adapter"),
            (&["config.json", "model.fp16.safetensors"], "model.fp16.safetensors"),
            (&["README.md"], "neither model.safetensors nor"),
        ];
        for (names, says) in cases {
            let why = model(&set(names)).unwrap_err();
            assert!(why.contains(says), "{names:?}: {why}");
        }
        assert_eq!(model(&set(&["config.json", "tokenizer.json", INDEX])), Ok(()));
        let bin = adapter(&set(&[ADAPTER_CONFIG, "adapter_model.bin"])).unwrap_err();
        assert!(bin.contains("save_pretrained"), "{bin}");
    }

    #[test]
    fn every_shard_must_be_there_as_itself() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("config.json", "{}");
        put("tokenizer.json", "{}");
        put(INDEX, r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#);
        put("1.safetensors", "x");
        assert_eq!(model_folder(dir.path()).unwrap_err(), "2.safetensors is missing");
        put("2.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n");
        assert!(model_folder(dir.path()).unwrap_err().contains("Git-LFS pointer"));
        put("2.safetensors", "x");
        assert_eq!(model_folder(dir.path()), Ok(()));
        for name in ["config.json", "tokenizer.json", "generation_config.json", INDEX] {
            let held = std::fs::read_to_string(dir.path().join(name)).unwrap_or("{}".into());
            put(name, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n");
            assert!(model_folder(dir.path()).unwrap_err().contains("Git-LFS pointer"), "{name}");
            put(name, &held);
        }
        // A single file is what is read, whatever an index beside it names.
        put(WEIGHTS, "x");
        std::fs::remove_file(dir.path().join("1.safetensors")).unwrap();
        assert_eq!(model_folder(dir.path()), Ok(()));
        std::fs::remove_file(dir.path().join(WEIGHTS)).unwrap();
        put("1.safetensors", "x");
        #[cfg(unix)]
        {
            let link = dir.path().join("chat_template.jinja");
            std::os::unix::fs::symlink("../../blobs/gone", link).unwrap();
            assert!(model_folder(dir.path()).unwrap_err().contains("gone"));
        }
    }

    #[test]
    fn an_index_names_files_of_its_folder_only() {
        for bad in ["../x.safetensors", "/etc/x.safetensors", "a/../../x"] {
            let text = serde_json::json!({"weight_map": {"t": bad}}).to_string();
            assert!(shards(&text).unwrap_err().contains("tensor `t`"), "{bad}");
        }
        assert!(shards(r#"{"weight_map": {"t": 3}}"#).is_err());
        assert!(shards("{}").is_err());
    }
}
