//! Where the hub and its cache are, as `huggingface_hub` reads them from the environment.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_ENDPOINT` and `HF_HUB_OFFLINE`, with
//! the older names that it still takes. An empty variable is none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where to look and whom to ask.
pub struct Settings {
    /// The folder of `models--org--name`.
    pub cache: PathBuf,
    /// Without a slash at its end.
    pub endpoint: String,
    /// The user's key, sent to the endpoint alone.
    pub token: Option<Token>,
    /// Whether nobody may be asked.
    pub offline: bool,
}

/// A secret; its `Debug` hides it.
pub struct Token(#[cfg_attr(not(feature = "hub"), allow(dead_code))] String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// None if nothing is left without white space and what no header can hold.
    fn new(text: &str) -> Option<Token> {
        let text: String = text.trim().chars().filter(|c| *c != '\n' && *c != '\r').collect();
        let usable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        usable.then_some(Token(text))
    }

    #[cfg(feature = "hub")]
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl Settings {
    /// As this process's environment says.
    pub fn from_env() -> Settings {
        Settings::of(&|name| std::env::var_os(name))
    }

    pub(super) fn of(environment: &dyn Fn(&str) -> Option<OsString>) -> Settings {
        let any = |names: &[&str]| {
            let found = names.iter().find_map(|n| environment(n).filter(|v| !v.is_empty()));
            found.map(|v| v.to_string_lossy().into_owned())
        };
        let user = any(&["HOME"]).map(PathBuf::from).unwrap_or_default();
        let path = |text: String| match text.strip_prefix("~/") {
            Some(rest) => user.join(rest),
            None => PathBuf::from(text),
        };
        let truth = |names: &[&str]| {
            let value = any(names).unwrap_or_default().to_uppercase();
            ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
        };
        let home = any(&["HF_HOME"]).map(path).unwrap_or_else(|| {
            let caches = any(&["XDG_CACHE_HOME"]).map(path);
            caches.unwrap_or_else(|| user.join(".cache")).join("huggingface")
        });
        let cache = any(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).map(path);
        let token_file = any(&["HF_TOKEN_PATH"]).map(path).unwrap_or_else(|| home.join("token"));
        let token = match any(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
            _ if truth(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) => None,
            Some(text) => Token::new(&text),
            None => read_token(&token_file),
        };
        let endpoint = any(&["HF_ENDPOINT"]).unwrap_or_else(|| "https://huggingface.co".into());
        Settings {
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').into(),
            token,
            offline: truth(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
        }
    }
}

fn read_token(file: &Path) -> Option<Token> {
    Token::new(&std::fs::read_to_string(file).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Settings {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Settings::of(&|name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.into()))
    }

    #[test]
    fn the_environment_is_read_as_by_the_hubs_own_library() {
        let plain = with(&[("HOME", "/u")]);
        assert_eq!(plain.cache, Path::new("/u/.cache/huggingface/hub"));
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert!(plain.token.is_none() && !plain.offline);
        let xdg = with(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/c"), ("HF_HOME", "")]);
        assert_eq!(xdg.cache, Path::new("/c/huggingface/hub"));
        let home = with(&[("HOME", "/u"), ("HF_HOME", "~/hf")]);
        assert_eq!(home.cache, Path::new("/u/hf/hub"));
        let both = with(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/k"), ("HF_ENDPOINT", "http://m/")]);
        assert_eq!((both.cache.as_path(), both.endpoint.as_str()), (Path::new("/k"), "http://m"));
        for yes in ["1", "true", "ON", "yes"] {
            assert!(with(&[("HF_HUB_OFFLINE", yes)]).offline);
        }
        assert!(!with(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[test]
    fn the_token_is_the_variables_or_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "hf_file\n").unwrap();
        let at = file.to_str().unwrap();
        let bearer = |s: Settings| s.token.map(|t| t.bearer());
        let from_file = bearer(with(&[("HF_TOKEN_PATH", at)]));
        assert_eq!(from_file.as_deref(), Some("Bearer hf_file"));
        let from_home = bearer(with(&[("HF_HOME", dir.path().to_str().unwrap())]));
        assert_eq!(from_home.as_deref(), Some("Bearer hf_file"));
        let from_variable = bearer(with(&[("HF_TOKEN", " hf_env\n"), ("HF_TOKEN_PATH", at)]));
        assert_eq!(from_variable.as_deref(), Some("Bearer hf_env"));
        let kept = with(&[("HF_TOKEN", "x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert!(kept.token.is_none());
        assert_eq!(format!("{:?}", Token::new("secret")), "Some(Token(hidden))");
    }
}
