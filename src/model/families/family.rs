//! What a family of models is: how its files are read. The decoder knows no family.

use super::super::config::Config;
use super::super::error::Result;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

/// A family by the names that its files give it, with the readers of both formats.
pub(crate) struct Family {
    /// Models of it, as people call them.
    pub models: &'static str,
    /// `model_type` in config.json.
    pub model_types: &'static [&'static str],
    /// `general.architecture` in GGUF.
    pub architecture: &'static str,
    /// The gains of norms in safetensors files are what is added to 1; GGUF files hold the sum.
    pub gains_from_one: bool,
    pub of_json: fn(&JsonKeys) -> Result<Config>,
    pub of_gguf: fn(&GgufKeys) -> Result<Config>,
}
