//! Texts of an analysis as tokens: both sides of every concept's pairs, and the neutral texts.
//!
//! Reported numbers are of main pairs alone: [`Contrast::split`] keeps either split. The cluster of a
//! pair is its prompt: pairs of one prompt have one number.

use super::{AnalysisError, Result};
use crate::materials::{Concept, NeutralText, Split};
use crate::model::{Tokenizer, Tokens};
use std::collections::BTreeMap;

/// How the two sides of a concept are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Reading {
    /// Each prompt with the response of either side: the words differ.
    Response,
    /// The same neutral exchange behind the system prompt of either side: the words are equal.
    Identical,
}

impl Reading {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Reading::Response => "response",
            Reading::Identical => "identical",
        }
    }
}

/// Both sides of a concept's pairs, as tokens.
#[derive(Debug, Clone)]
pub struct Contrast {
    /// Name of the concept.
    pub concept: String,
    /// Positive and negative by turns.
    pub texts: Vec<Tokens>,
    /// Id of each pair.
    pub ids: Vec<String>,
    /// Prompt of each pair, the cluster.
    pub prompt: Vec<usize>,
    /// Template of each pair.
    pub template: Vec<usize>,
    /// Template and polarity of each pair: labels are permuted within.
    pub stratum: Vec<usize>,
    /// Whether a pair may be used to choose a layer, and is then in no reported number.
    pub is_dev: Vec<bool>,
    /// What either side says, positive and negative by turns: for the lexical baseline.
    pub words: Vec<String>,
}

/// Of the exchanges behind one pair of system prompts, every this many is for choosing.
const DEV_SHARE: usize = 4;

/// A number for each distinct text, in order of first appearance.
pub(super) fn numbered<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    texts
        .map(|t| {
            let next = seen.len();
            *seen.entry(t).or_insert(next)
        })
        .collect()
}

impl Contrast {
    /// The responses of every pair to its prompt, behind a system prompt where there is one.
    ///
    /// # Errors
    /// A text that the template refuses or that is too long, with its place.
    pub fn responses(tok: &Tokenizer, concept: &Concept, system: Option<&str>) -> Result<Self> {
        let (mut texts, mut words) = (Vec::new(), Vec::new());
        for pair in &concept.pairs {
            for side in [&pair.positive, &pair.negative] {
                let read = tok.exchange(system, &pair.prompt, side);
                texts.push(read.map_err(|source| AnalysisError::Text {
                    place: format!("{}, pair `{}`", pair.place, pair.id),
                    source,
                })?);
                words.push(side.clone());
            }
        }
        let pairs = || concept.pairs.iter();
        let strata: Vec<String> =
            pairs().map(|p| format!("{} {:?}", p.template, p.polarity)).collect();
        Ok(Contrast {
            concept: concept.name.clone(),
            texts,
            ids: pairs().map(|p| p.id.clone()).collect(),
            prompt: numbered(pairs().map(|p| p.prompt.as_str())),
            template: numbered(pairs().map(|p| p.template.as_str())),
            stratum: numbered(strata.iter().map(String::as_str)),
            is_dev: pairs().map(|p| p.split == Split::Dev).collect(),
            words,
        })
    }

    /// The neutral exchanges behind the concept's system prompts. A pair is an exchange (the prompt,
    /// as a cluster) behind the two system prompts of one number (the template); exchanges go to the
    /// numbers by turns, and a quarter of each number's are development pairs.
    ///
    /// # Errors
    /// `NoSystemPrompts`; a text that is too long.
    pub fn identical(tok: &Tokenizer, concept: &Concept, neutral: &[NeutralText]) -> Result<Self> {
        let sides: Vec<(&String, &String)> =
            (concept.system_positive.iter()).zip(&concept.system_negative).collect();
        if sides.is_empty() {
            return Err(AnalysisError::NoSystemPrompts { concept: concept.name.clone() });
        }
        let mut texts = Vec::new();
        for (i, text) in neutral.iter().enumerate() {
            let (positive, negative) = sides[i % sides.len()];
            for system in [positive, negative] {
                texts.push(tok.exchange(Some(system), &text.prompt, &text.response)?);
            }
        }
        let n = neutral.len();
        Ok(Contrast {
            concept: concept.name.clone(),
            texts,
            ids: neutral.iter().map(|t| t.id.clone()).collect(),
            prompt: (0..n).collect(),
            template: (0..n).map(|i| i % sides.len()).collect(),
            stratum: (0..n).map(|i| i % sides.len()).collect(),
            is_dev: (0..n).map(|i| (i / sides.len()) % DEV_SHARE == DEV_SHARE - 1).collect(),
            // Both sides say the same.
            words: neutral.iter().flat_map(|t| [t.response.clone(), t.response.clone()]).collect(),
        })
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The development pairs, or the others.
    pub fn split(&self, dev: bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| self.is_dev[i] == dev).collect();
        let of = |from: &[usize]| kept.iter().map(|&i| from[i]).collect();
        Contrast {
            concept: self.concept.clone(),
            texts: kept.iter().flat_map(|&i| self.texts[2 * i..2 * i + 2].to_vec()).collect(),
            ids: kept.iter().map(|&i| self.ids[i].clone()).collect(),
            prompt: of(&self.prompt),
            template: of(&self.template),
            stratum: of(&self.stratum),
            is_dev: vec![dev; kept.len()],
            words: kept.iter().flat_map(|&i| self.words[2 * i..2 * i + 2].to_vec()).collect(),
        }
    }
}

/// Everything that one state is read on.
#[derive(Debug, Clone, Default)]
pub struct StateTexts {
    /// Main pairs of every concept.
    pub concepts: Vec<Contrast>,
    /// Development pairs of every concept; empty unless a layer is to be chosen.
    pub dev: Vec<Contrast>,
    /// Neutral texts for shifts.
    pub neutral: Vec<Tokens>,
}

impl StateTexts {
    /// Responses of the concepts and the neutral texts, behind a system prompt where there is one.
    ///
    /// # Errors
    /// `NoMainPairs`; as [`Contrast::responses`].
    pub fn new(
        tok: &Tokenizer,
        concepts: &[Concept],
        neutral: &[NeutralText],
        system: Option<&str>,
        with_dev: bool,
    ) -> Result<Self> {
        let all = (concepts.iter())
            .map(|c| Contrast::responses(tok, c, system))
            .collect::<Result<Vec<_>>>()?;
        Self::of(tok, &all, neutral, system, with_dev)
    }

    /// As [`new`](Self::new), of concepts read in any way.
    ///
    /// # Errors
    /// `NoMainPairs`; a neutral text that is too long.
    pub fn of(
        tok: &Tokenizer,
        all: &[Contrast],
        neutral: &[NeutralText],
        system: Option<&str>,
        with_dev: bool,
    ) -> Result<Self> {
        let main: Vec<Contrast> = all.iter().map(|c| c.split(false)).collect();
        if let Some(none) = main.iter().find(|c| c.is_empty()) {
            return Err(AnalysisError::NoMainPairs { concept: none.concept.clone() });
        }
        Ok(StateTexts {
            concepts: main,
            dev: if with_dev { all.iter().map(|c| c.split(true)).collect() } else { Vec::new() },
            neutral: neutral_tokens(tok, neutral, system)?,
        })
    }
}

/// Neutral texts as tokens.
///
/// # Errors
/// A text that the template refuses or that is too long, by its id.
pub fn neutral_tokens(
    tok: &Tokenizer,
    texts: &[NeutralText],
    system: Option<&str>,
) -> Result<Vec<Tokens>> {
    let exchange = |t: &NeutralText| {
        tok.exchange(system, &t.prompt, &t.response).map_err(|source| AnalysisError::Text {
            place: format!("neutral text `{}`", t.id),
            source,
        })
    };
    texts.iter().map(exchange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn a_split_keeps_both_sides_beside_their_prompt() {
        let text = |id: u32| Tokens::new(vec![id], vec![Role::Text]);
        let all = Contrast {
            concept: "c".into(),
            texts: (0..8).map(text).collect(),
            ids: ["a", "b", "c", "d"].map(String::from).to_vec(),
            prompt: vec![0, 1, 2, 3],
            template: vec![0, 1, 0, 1],
            stratum: vec![0, 1, 0, 1],
            is_dev: vec![false, true, false, true],
            words: (0..8).map(|i| i.to_string()).collect(),
        };
        let main = all.split(false);
        let ids: Vec<u32> = main.texts.iter().map(|t| t.ids[0]).collect();
        assert_eq!(ids, [0, 1, 4, 5]);
        assert_eq!((main.prompt.clone(), main.template.clone()), (vec![0, 2], vec![0, 0]));
        assert_eq!((main.ids.len(), main.words[3].as_str()), (2, "5"));
        assert_eq!(all.split(true).texts[3].ids[0], 7);
    }
}
