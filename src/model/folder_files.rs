//! Which files of a Hugging Face folder are read, and what is said where they are not there.
//!
//! A folder that cannot be read is usually another thing: a clone without its large files, weights
//! or a tokenizer in a format of before, an adapter, a folder around a GGUF file. Each is told as
//! what it is.

use super::error::{ModelError, Result};
use super::plain::plain_name;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weight files of a folder, in name order.
pub(crate) struct WeightFiles {
    pub files: Vec<PathBuf>,
    /// Which file each weight is said to be in, if there is an index.
    pub index: Option<BTreeMap<String, PathBuf>>,
    /// A single file and an index are both there.
    pub both: bool,
}

fn said(path: &Path, why: impl Into<String>) -> ModelError {
    ModelError::File { path: path.into(), why: why.into() }
}

/// Refuses the text that Git-LFS leaves in place of a large file.
pub(crate) fn refuse_pointer(path: &Path) -> Result<()> {
    const BEGINS: &[u8] = b"version https://git-lfs";
    let mut head = Vec::new();
    // A file that cannot be read is told by whoever reads it.
    let read = std::fs::File::open(path).and_then(|f| f.take(64).read_to_end(&mut head));
    match read.is_ok() && head.starts_with(BEGINS) {
        true => Err(said(
            path,
            "is a Git-LFS pointer, three lines of text in place of the file; run `git lfs pull` in its folder, or fetch the file itself",
        )),
        false => Ok(()),
    }
}

/// Says what a folder is, where it is not a model that can be read.
pub(crate) fn recognise(folder: &Path) -> Result<()> {
    let has = |name: &str| folder.join(name).exists();
    if !has("config.json") {
        let why = match (has("adapter_config.json"), any_with(folder, &["gguf"])) {
            (true, _) => "holds a PEFT adapter, not a model: give the model it was trained on, and this folder as the adapter".into(),
            (_, Some(file)) => format!("holds no config.json, but {file}: give the path of that file"),
            _ => "holds no config.json; a model folder has config.json, tokenizer.json and model.safetensors".into(),
        };
        return Err(said(folder, why));
    }
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "generation_config.json",
        "chat_template.jinja",
    ] {
        refuse_pointer(&folder.join(name))?;
    }
    if has("tokenizer.json") {
        return Ok(());
    }
    let older = ["tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"];
    match older.into_iter().find(|name| has(name)) {
        Some(name) => Err(said(
            folder,
            format!("holds {name} and no tokenizer.json, which is what is read; transformers writes one: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"),
        )),
        None => Err(said(folder, "holds no tokenizer.json")),
    }
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
pub(crate) fn weights(folder: &Path) -> Result<WeightFiles> {
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    if single.exists() {
        return Ok(WeightFiles { files: vec![single], index: None, both: index.exists() });
    }
    if !index.exists() {
        return Err(said(folder, no_weights(folder)));
    }
    refuse_pointer(&index)?;
    let json = super::files::read_json(&index)?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| said(&index, "key `weight_map` is missing or no object"))?;
    let mut named = BTreeMap::new();
    for (weight, file) in map {
        let file = file.as_str().filter(|f| plain_name(f).is_some()).ok_or_else(|| {
            said(
                &index,
                format!("weight `{weight}` is said to be in {file}, which is no file name inside the folder"),
            )
        })?;
        named.insert(weight.clone(), folder.join(file));
    }
    let mut files: Vec<PathBuf> = named.values().cloned().collect();
    files.sort();
    files.dedup();
    match files.iter().find(|f| !f.exists()) {
        Some(file) => Err(said(
            file,
            format!("is named by {INDEX} and not there; fetch it, or the model again"),
        )),
        None if files.is_empty() => Err(said(&index, "key `weight_map` names no file")),
        None => Ok(WeightFiles { files, index: Some(named), both: false }),
    }
}

fn no_weights(folder: &Path) -> String {
    let wanted = format!("holds neither {SINGLE} nor {INDEX}");
    let pickled = ["bin", "pt", "pth", "ckpt"];
    if let Some(file) = any_with(folder, &pickled) {
        return format!("{wanted}, but {file}, PyTorch's pickled format, which is not read because it can run code; with transformers, AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(FOLDER) writes safetensors");
    }
    match any_with(folder, &["safetensors", "gguf", "h5", "msgpack", "onnx"]) {
        Some(file) if file.ends_with(".gguf") => {
            format!("{wanted}, but {file}: give the path of that file")
        }
        Some(file) => format!("{wanted}, but {file}, which is not read as a model's weights"),
        None => format!("{wanted}: it holds no weights"),
    }
}

/// The first file by name with one of these endings.
fn any_with(folder: &Path, endings: &[&str]) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let ends = |name: &String| {
        let ending = Path::new(name).extension().and_then(|e| e.to_str());
        ending.is_some_and(|e| endings.contains(&e)) && !name.starts_with("training_args")
    };
    names.filter(ends).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_kind_is_told_as_what_it_is() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[("adapter_config.json", "{}")], "adapter"),
            (&[("m.gguf", "")], "m.gguf"),
            (&[("config.json", pointer)], "Git-LFS pointer"),
            (&[("config.json", "{}"), ("tokenizer.json", pointer)], "Git-LFS pointer"),
            (&[("config.json", "{}"), ("tokenizer.model", "")], "AutoTokenizer"),
            (
                &[("config.json", "{}"), ("tokenizer.json", "{}"), ("pytorch_model.bin", "")],
                "pytorch_model.bin",
            ),
            (&[("config.json", "{}"), ("tokenizer.json", "{}"), ("m.gguf", "")], "m.gguf"),
            (&[("config.json", "{}"), ("tokenizer.json", "{}")], "no weights"),
            (
                &[
                    ("config.json", "{}"),
                    ("tokenizer.json", "{}"),
                    (INDEX, r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#),
                ],
                "model-00001-of-00001.safetensors",
            ),
        ];
        for (files, told) in cases {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(dir.path().join(name), text).unwrap();
            }
            let e = recognise(dir.path()).and_then(|()| weights(dir.path()).map(|_| ()));
            let e = e.unwrap_err().to_string();
            assert!(e.contains(told), "{told}: {e}");
        }
    }

    #[test]
    fn a_pointer_in_place_of_weights_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SINGLE);
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
            .unwrap();
        let e = crate::model::weights::map_file(&path).unwrap_err();
        assert!(e.to_string().contains("git lfs pull"), "{e}");
    }
}
