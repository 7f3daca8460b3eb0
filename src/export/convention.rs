//! What an index of a file of vectors counts, and such a file as one model's vectors.
//!
//! Here index l is the output of block l. `hidden_states` of transformers count the embeddings as
//! 0, so that index k is the output of block k - 1, and the last of them follows the final norm. A
//! file says its convention, or its format does (`direction.N` of a control vector is the output
//! of block N), or nothing does, as with arrays. Then the number of rows tells, held against the
//! blocks of the model, or the user; it is never guessed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::vectors::{Layers, Vectors};
use super::{About, ExportError, Result};
use crate::store::schema::LAYER_CONVENTION;

/// What an index counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Index l is the output of block l.
    BlockOutput,
    /// Index 0 is the embeddings, index k the output of block k - 1.
    HiddenStates,
}

impl Convention {
    /// The name that a file keeps.
    pub fn name(self) -> &'static str {
        if self == Self::BlockOutput {
            LAYER_CONVENTION
        } else {
            "hidden_states"
        }
    }
}

impl FromStr for Convention {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "block-output" | LAYER_CONVENTION => Ok(Self::BlockOutput),
            "hidden-states" | "hidden_states" => Ok(Self::HiddenStates),
            _ => Err("write block-output (index l is the output of block l) or hidden-states (index 0 is the embeddings)".into()),
        }
    }
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::BlockOutput => "index l is the output of block l",
            Self::HiddenStates => {
                "index 0 is the embeddings and left out, index k the output of block k - 1 \
                 (in transformers' hidden_states the last follows the final norm)"
            }
        })
    }
}

/// The vectors of a file, indexed as they are in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Model that the vectors belong to; empty where the file does not say.
    pub model_id: String,
    /// What the file or its format says.
    pub says: Option<Convention>,
    /// Rows of each concept's array, those without a vector included; empty where a file names
    /// the index of each vector.
    pub rows: BTreeMap<String, usize>,
    /// Blocks of the model, where the file says so.
    pub blocks: Option<usize>,
    /// Index -> vector, by concept.
    pub concepts: BTreeMap<String, Layers>,
    /// What the file says of them besides.
    pub about: About,
}

impl Found {
    /// The vectors by block of a model of `blocks` blocks and width `hidden`, and how their
    /// indices were taken.
    ///
    /// # Errors
    /// `Shape` for an array of another shape, `ModelWidth`, and `NoBlock` for a vector of a block
    /// that the model does not have.
    pub fn of_model(self, blocks: usize, hidden: usize) -> Result<(Vectors, Convention)> {
        let convention = match self.says {
            Some(convention) => convention,
            None => self.by_shape(blocks, hidden)?,
        };
        let path = self.path.clone();
        let mut vectors = self.counted(convention);
        for (concept, layers) in &vectors.concepts {
            let concept = concept.clone();
            if let Some((&layer, v)) = layers.iter().find(|(_, v)| v.len() != hidden) {
                let found = v.len();
                return Err(ExportError::ModelWidth { path, concept, layer, found, hidden });
            }
            if let Some((&block, _)) = layers.range(blocks..).next() {
                return Err(ExportError::NoBlock { path, concept, block, blocks });
            }
        }
        vectors.blocks = Some(blocks);
        Ok((vectors, convention))
    }

    /// The vectors by block, without a model: as the file says, or else as `given`.
    ///
    /// # Errors
    /// `Unsaid` for an array whose convention is not given.
    pub fn as_said(self, given: Option<Convention>) -> Result<(Vectors, Convention)> {
        let convention = match (self.says, self.rows.values().next(), given) {
            (Some(convention), ..) => convention,
            // A name `<concept>.<layer>` is of our own format; `given` is for arrays.
            (None, None, _) => Convention::BlockOutput,
            (None, Some(_), Some(given)) => given,
            (None, Some(&rows), None) => return Err(ExportError::Unsaid { path: self.path, rows }),
        };
        let rows = self.rows.values().copied().max();
        let blocks = rows.map(|rows| match convention {
            Convention::BlockOutput => rows,
            Convention::HiddenStates => rows.saturating_sub(1),
        });
        let mut vectors = self.counted(convention);
        vectors.blocks = blocks.or(vectors.blocks);
        Ok((vectors, convention))
    }

    /// What the number of rows says beside the blocks of a model.
    fn by_shape(&self, blocks: usize, hidden: usize) -> Result<Convention> {
        let mut found = None;
        for (concept, &rows) in &self.rows {
            let first = self.concepts.get(concept).and_then(|l| l.values().next());
            let width = first.map_or(hidden, Vec::len);
            let this = match rows.checked_sub(blocks) {
                Some(0) => Some(Convention::BlockOutput),
                Some(1) => Some(Convention::HiddenStates),
                _ => None,
            };
            if this.is_none() || width != hidden || found.is_some_and(|f| Some(f) != this) {
                let (path, concept) = (self.path.clone(), concept.clone());
                return Err(ExportError::Shape { path, concept, rows, width, blocks, hidden });
            }
            found = this;
        }
        // Named by index but without a word on what it counts: one vector more than blocks.
        let all = |l: &Layers| l.len() == blocks + 1 && l.keys().copied().eq(0..=blocks);
        Ok(found.unwrap_or(match self.concepts.values().any(all) {
            true => Convention::HiddenStates,
            false => Convention::BlockOutput,
        }))
    }

    /// Moves every index to that of its block.
    fn counted(self, convention: Convention) -> Vectors {
        let moved = |layers: Layers| match convention {
            Convention::BlockOutput => layers,
            Convention::HiddenStates => {
                (layers.into_iter()).filter_map(|(k, v)| Some((k.checked_sub(1)?, v))).collect()
            }
        };
        let concepts = self.concepts.into_iter();
        Vectors {
            model_id: self.model_id,
            layer_convention: LAYER_CONVENTION.into(),
            blocks: self.blocks,
            about: self.about,
            concepts: concepts.map(|(name, l)| (name, moved(l))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn array(rows: usize, width: usize) -> Found {
        let row = |l: usize| (l, vec![l as f32 + 1.0; width]);
        Found {
            path: "a.npy".into(),
            model_id: String::new(),
            says: None,
            rows: [("a".to_string(), rows)].into(),
            blocks: None,
            concepts: [("a".to_string(), (0..rows).map(row).collect())].into(),
            about: About::default(),
        }
    }

    proptest! {
        #[test]
        fn an_array_is_taken_by_its_shape_or_refused_with_both_shapes(
            rows in 1usize..9, blocks in 1usize..9, width in 1usize..4, hidden in 1usize..4,
        ) {
            let got = array(rows, width).of_model(blocks, hidden);
            // Row of the output of block l.
            let row = match rows.checked_sub(blocks).filter(|_| width == hidden) {
                Some(more @ 0..=1) => more,
                _ => {
                    let text = got.unwrap_err().to_string();
                    prop_assert!(text.contains(&format!("[{rows}, {width}]")), "{}", text);
                    prop_assert!(text.contains(&format!("[{blocks}, {hidden}]")), "{}", text);
                    return Ok(());
                }
            };
            let (vectors, _) = got.unwrap();
            let layers = &vectors.concepts["a"];
            prop_assert!(layers.keys().copied().eq(0..blocks));
            for (l, v) in layers {
                prop_assert_eq!(v[0], (l + row) as f32 + 1.0);
            }
        }
    }

    #[test]
    fn vectors_of_another_model_are_refused() {
        let named = |layers: std::ops::Range<usize>, says| Found {
            rows: BTreeMap::new(),
            says,
            concepts: [("a".to_string(), layers.map(|l| (l, vec![1.0 + l as f32; 2])).collect())]
                .into(),
            ..array(1, 2)
        };
        let ours = Some(Convention::BlockOutput);
        let beyond = named(0..4, ours).of_model(3, 2).unwrap_err().to_string();
        assert!(beyond.contains("block 3") && beyond.contains("0 to 2"), "{beyond}");
        let wide = named(0..3, ours).of_model(3, 5).unwrap_err().to_string();
        assert!(wide.contains("width 2") && wide.contains('5'), "{wide}");
        // Without a word on the convention, one vector too many is the embeddings.
        let (shifted, how) = named(0..4, None).of_model(3, 2).unwrap();
        assert_eq!(how, Convention::HiddenStates);
        assert_eq!(shifted.concepts["a"][&0], [2.0, 2.0]);
        assert_eq!(named(1..3, None).of_model(3, 2).unwrap().1, Convention::BlockOutput);
    }

    #[test]
    fn without_a_model_an_array_needs_a_word() {
        let text = array(4, 2).as_said(None).unwrap_err().to_string();
        assert!(text.contains("--convention") && text.contains("4 rows"), "{text}");
        let (vectors, _) = array(4, 2).as_said(Some(Convention::HiddenStates)).unwrap();
        assert_eq!(vectors.blocks, Some(3));
        assert_eq!(vectors.concepts["a"][&2], [4.0, 4.0]);
    }
}
