//! Names that come from others and become paths.
//!
//! A hub's file names, the `weight_map` of a folder and the entries of a catalogue are written by
//! whoever made them. Joined to a folder, an absolute name or one with `..` leads out of it; only
//! what [`plain_name`] returns may be joined.

use std::path::{Component, Path};

/// `name` as a path that stays inside the folder it is joined to: relative, every part an ordinary
/// name, no backslash, no control character. None for anything else.
pub fn plain_name(name: &str) -> Option<&Path> {
    let odd = |c: char| c == '\\' || c.is_control();
    let path = Path::new(name);
    let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
    // `a//b`, `a/.` and `a/` mean what `a/b` and `a` do, but are not how a name is listed.
    let written = name.split('/').all(|part| !part.is_empty() && part != ".");
    (inside && written && !name.contains(odd)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_lead_out_are_refused_and_ordinary_ones_pass() {
        for bad in [
            "",
            "/",
            "/etc/x",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a//b",
            "a/",
            ".",
            "a\\..\\b",
            "C:\\x",
            "a\0b",
            "a\nb",
            "//host/x",
        ] {
            assert_eq!(plain_name(bad), None, "{bad:?}");
        }
        for good in ["model.safetensors", "a/b.jinja", "..x", "x..y/z", ".hidden"] {
            assert_eq!(plain_name(good), Some(Path::new(good)));
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_joined_stays_below_its_folder(name in "[a./\\\\]{0,12}") {
            if let Some(path) = plain_name(&name) {
                let folder = Path::new("/cache/snapshot");
                let whole = folder.join(path);
                let mut at = Vec::new();
                for part in whole.components() {
                    match part {
                        Component::ParentDir => { at.pop(); }
                        other => at.push(other),
                    }
                }
                let joined: std::path::PathBuf = at.into_iter().collect();
                prop_assert!(joined.starts_with(folder) && joined != folder);
            }
        }
    }
}
