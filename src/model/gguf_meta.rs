//! Metadata of a GGUF file, read key by key.

use super::error::{ModelError, Result};
use super::gguf_header::whole;
use candle_core::quantized::gguf_file::Value;
use std::collections::HashMap;
use std::path::Path;

/// Metadata of a GGUF file with errors that name file and key.
pub(crate) struct Meta<'a> {
    pub path: &'a Path,
    pub map: &'a HashMap<String, Value>,
}

impl Meta<'_> {
    pub(crate) fn missing(&self, key: &str, why: &str) -> ModelError {
        ModelError::key(self.path, key, why)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(|v| v.to_string().ok()).map(String::as_str)
    }

    /// A size that must be there.
    pub(crate) fn need(&self, key: &str) -> Result<usize> {
        self.size(key)?.ok_or_else(|| self.missing(key, "is missing"))
    }

    /// A size, if it is there.
    pub(crate) fn size(&self, key: &str) -> Result<Option<usize>> {
        let Some(v) = self.map.get(key) else {
            return Ok(None);
        };
        let n = whole(v).and_then(|n| usize::try_from(n).ok());
        n.map(Some).ok_or_else(|| self.missing(key, "is not a whole number"))
    }

    /// A number, if it is there.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::F32(v)) => Ok(Some(f64::from(*v))),
            Some(Value::F64(v)) => Ok(Some(*v)),
            Some(v) => {
                let n = whole(v).ok_or_else(|| self.missing(key, "is not a number"))?;
                Ok(Some(n as f64))
            }
        }
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<f32>> {
        let list = self.map.get(key).and_then(|v| v.to_vec().ok());
        let list = list.ok_or_else(|| self.missing(key, "is missing or not a list"))?;
        let number = |v: &Value| v.to_f32().map_err(|_| self.missing(key, "holds no f32"));
        list.iter().map(number).collect()
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let list = self.map.get(key).and_then(|v| v.to_vec().ok());
        let list = list.ok_or_else(|| self.missing(key, "is missing or not a list"))?;
        list.iter()
            .map(|v| v.to_string().cloned().map_err(|_| self.missing(key, "holds a non-string")))
            .collect()
    }
}
