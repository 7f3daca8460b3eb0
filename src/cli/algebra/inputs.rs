//! Vectors as they are named on the command line: `FILE`, or `FILE:CONCEPT`.

use crate::cli::vectors::{concept_of, split};
use crate::directions::{algebra::from_vector, Direction};
use crate::export::{file, About, Convention};
use anyhow::{bail, Context, Result};
use ndarray::Array1;
use std::collections::BTreeMap;

/// Sign rule of vectors whose file does not say one.
const AS_WRITTEN: &str = "as in the file";

/// One concept's vectors.
pub struct Named {
    /// As the user wrote it, or with the concept where the user left it out.
    pub shown: String,
    pub concept: String,
    pub model_id: String,
    /// What its file says of it besides.
    pub about: About,
    /// How the file's indices were taken.
    pub convention: Convention,
    /// Blocks of the model, where known.
    pub blocks: Option<usize>,
    pub layers: BTreeMap<usize, Direction>,
}

/// One concept: `FILE:CONCEPT`, or `FILE` that holds a single one.
pub fn one(input: &str, given: Option<Convention>) -> Result<Named> {
    let mut found = open(input, given)?;
    match (found.pop(), found.is_empty()) {
        (Some(named), true) => Ok(named),
        (last, _) => {
            let names: Vec<String> = found.into_iter().chain(last).map(|n| n.concept).collect();
            bail!(
                "{input} holds several concepts: write {input}:{} or another of {}",
                names[0],
                names.join(", ")
            )
        }
    }
}

/// All concepts of all inputs, in order.
pub fn all(inputs: &[String], given: Option<Convention>) -> Result<Vec<Named>> {
    let each = inputs.iter().map(|input| open(input, given));
    Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The concepts of an input: the one named behind the colon, or all; `given` is the convention of
/// arrays.
fn open(input: &str, given: Option<Convention>) -> Result<Vec<Named>> {
    let (path, wanted) = split(input);
    let (vectors, convention) = file::read(path)?.as_said(given)?;
    if let Some(concept) = wanted {
        concept_of(path, &vectors.concepts, concept)?;
    }
    let several = vectors.concepts.len() > 1;
    let taken = vectors.concepts.iter().filter(|(c, _)| wanted.is_none_or(|w| w == *c));
    let named = taken.map(|(concept, layers)| {
        let mut shown = input.to_string();
        if wanted.is_none() && several {
            shown += &format!(":{concept}");
        }
        let at = |(l, v): (&usize, &Vec<f32>)| {
            Ok((*l, direction(v).with_context(|| format!("{shown}, layer {l}"))?))
        };
        Ok(Named {
            layers: layers.iter().map(at).collect::<Result<_>>()?,
            shown,
            concept: concept.clone(),
            model_id: vectors.model_id.clone(),
            about: vectors.about.of(concept),
            convention,
            blocks: vectors.blocks,
        })
    });
    let found: Vec<Named> = named.collect::<Result<_>>()?;
    match found.is_empty() {
        true => bail!("{} holds no vectors", path.display()),
        false => Ok(found),
    }
}

/// A vector of a file as a direction of its length.
pub fn direction(values: &[f32]) -> Result<Direction> {
    let wide: Array1<f64> = values.iter().map(|v| f64::from(*v)).collect();
    if !wide.iter().all(|v| v.is_finite()) {
        bail!("a value is not finite: export the vector again");
    }
    Ok(from_vector(wide, AS_WRITTEN)?)
}
