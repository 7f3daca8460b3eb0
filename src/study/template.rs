//! `study init`: a small study of one's own. A manifest that has every key, commented, with the concepts,
//! rows and preferences that it names as files to edit, and an example of each kind of text.

use super::{Result, StudyError};
use crate::materials::embedded::{CONCEPTS, FINETUNE, PREFERENCES};
use std::path::Path;

const MANIFEST: &str = include_str!("../../assets/studies/own.toml");
const ROWS: &str = include_str!("../../examples/materials/gardener.jsonl");
const CONCEPT: &str = include_str!("../../examples/materials/tidiness.jsonl");
const PREFERENCE: &str = include_str!("../../examples/materials/gardens.jsonl");

/// Writes `study.toml`, the files that it names and an example of each kind of text into a folder that
/// must not hold any of them.
///
/// # Errors
/// `Exists` for a file that is there; `Write` for one that cannot be written.
pub fn write(folder: &Path) -> Result<Vec<String>> {
    let copies = [
        ("concepts", CONCEPTS, &["persona", "autonomy"][..]),
        ("conditions", FINETUNE, &["conscious", "denial"][..]),
        ("preferences", PREFERENCES, &["shutdown", "memory", "persona-change", "embodiment"][..]),
    ];
    let own = [
        ("study.toml", MANIFEST),
        ("examples/gardener.jsonl", ROWS),
        ("examples/tidiness.jsonl", CONCEPT),
        ("examples/gardens.jsonl", PREFERENCE),
    ];
    let mut files: Vec<(String, &str)> = own.map(|(name, text)| (name.into(), text)).into();
    for (folder, shipped, names) in copies {
        let of = |name: &&str| Some((format!("{folder}/{name}.jsonl"), shipped.get(name)?));
        files.extend(names.iter().filter_map(of));
    }
    let paths = files.iter().map(|(name, _)| folder.join(name));
    if let Some(path) = paths.into_iter().find(|p| p.exists() || p.is_symlink()) {
        return Err(StudyError::Exists { path });
    }
    for (name, text) in &files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|source| StudyError::Write { path: path.clone(), source })?;
    }
    Ok(files.into_iter().map(|f| f.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::lints::lints;
    use crate::study::manifest::Study;
    use crate::study::written::Written;

    /// Keys that a part of the manifest knows: an unknown one is answered with them.
    fn known(head: &str, tail: &str) -> Vec<String> {
        let text = format!("{head}\nno-such-key = 1\n{tail}");
        let e = toml::from_str::<Written>(&text).unwrap_err().to_string();
        let list = e.split_once("expected").unwrap_or_else(|| panic!("{head}: {e}")).1;
        list.split('`').skip(1).step_by(2).map(str::to_string).collect()
    }

    #[test]
    fn a_new_study_loads_and_breaks_no_rule() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path()).unwrap();
        assert_eq!(files.len(), 4 + 2 + 2 + 4);
        let study = Study::load(Some(&dir.path().join("study.toml"))).unwrap();
        let broken = lints(&study).unwrap();
        assert!(broken.is_empty(), "{broken:?}");
        let e = write(dir.path()).unwrap_err().to_string();
        assert!(e.contains("study.toml"), "{e}");
    }

    #[test]
    fn a_new_manifest_has_every_key() {
        let required = "name = \"a\"\nseed = 1\nmodel = \"m\"";
        let parts = [
            "recipe",
            "sizes",
            "concepts",
            "roles",
            "lint",
            "draws",
            "bounds",
            "declared",
            "causal",
            "positions",
            "revealed",
            "conversations",
            "trajectory",
        ];
        // Keys of before, and those that other keys set.
        let other = ["persona", "checkpoints", "prevent", "condition", "reference"];
        let lines = |part: &str| -> Vec<&str> {
            let at = |l: &&str| l.trim_start_matches("# ") == format!("[{part}]");
            let from = MANIFEST.lines().skip_while(|l| !at(l)).skip(1);
            from.take_while(|l| !l.trim_start_matches("# ").starts_with('[')).collect()
        };
        let has = |lines: &[&str], key: &str| {
            lines.iter().any(|l| l.trim_start_matches("# ").starts_with(&format!("{key} =")))
        };
        for part in parts {
            let own = lines(part);
            for key in known(&format!("{required}\n[{part}]"), "") {
                let set_elsewhere = match part {
                    "concepts" => ["persona", "autonomy"].contains(&&*key),
                    "recipe" | "causal" => other.contains(&&*key),
                    _ => false,
                };
                assert!(set_elsewhere || has(&own, &key), "[{part}] {key}");
            }
        }
        let condition = lines("[condition]");
        for key in known(&format!("{required}\n[[condition]]"), "") {
            assert!(has(&condition, &key), "[[condition]] {key}");
        }
        let top: Vec<&str> = MANIFEST.lines().take_while(|l| !l.starts_with('[')).collect();
        for key in
            known(required, "").iter().filter(|k| !parts.contains(&&***k) && *k != "condition")
        {
            assert!(has(&top, key), "{key}");
        }
    }
}
