//! What the tests share: the default model, the frozen fixtures and a toy model.
#![allow(dead_code)]

pub mod commands;
pub mod folder;
pub mod lab;
pub mod small;
pub mod toy;

use residuum::model::{self, Loading, Model};
use std::path::PathBuf;
use std::sync::OnceLock;

/// The default model, loaded once a test binary.
pub fn default_model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let name = model::catalogue::DEFAULT;
        let path = model::resolve::resolve(name, &mut |s| eprintln!("{s}"))
            .expect("the default model can be fetched");
        Model::load(name, &path, &Loading::default()).expect("the default model loads")
    })
}

/// The fixtures: frozen ones, or those that `make peers` has just recomputed.
pub fn fixtures() -> PathBuf {
    match std::env::var_os("RESIDUUM_FIXTURES") {
        Some(dir) => dir.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
    }
}

pub fn json(name: &str) -> serde_json::Value {
    let path = fixtures().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    serde_json::from_str(&text).unwrap()
}

pub fn ids(v: &serde_json::Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}
