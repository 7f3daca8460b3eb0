//! One fine-tune: two thirds of its condition's rows, mixed with neutral rows that the model answered
//! itself, to a LoRA adapter.
//!
//! The rows of a neutral condition are neutral rows of its own, as many as an identity fine-tune
//! draws, chosen by length so that it learns about as many tokens. A fine-tune that is kept from a
//! concept trains under an edit of base's direction of it.

use super::{capture, distil};
use crate::finetune::{examples, train, Prevent, Recipe, Step};
use crate::materials::{parse_conversations, subset};
use crate::model::{resolve, Adapter, Interventions, Message, Tokenizer};
use crate::stats::rng::stream;
use crate::study::layout::{self, Layout, DISTILLED};
use crate::study::manifest::{share, Source, Study};
use crate::study::planner::{before, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{files, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

const REVISION: u32 = 2;

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("finetune-{state}")
}

/// What a fine-tune learnt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// Its state.
    pub state: String,
    /// Name of its rows, by which preferences and claims know them.
    #[serde(default)]
    pub data: String,
    /// Part of each batch that is its own rows; none where it is kept from a concept.
    #[serde(default)]
    pub share: Option<f64>,
    /// Lines of its own rows in the file of its condition's.
    pub lines: Vec<usize>,
    /// Prompts of its own rows where they are neutral rows.
    pub prompts: Vec<String>,
    /// Neutral rows mixed in.
    pub mixed: usize,
    /// Rows of its own and neutral rows in the batches of a share over all steps; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<[usize; 2]>,
    /// Tokens that the loss was taken at, in one pass over all of them.
    pub loss_tokens: usize,
    /// Where its rows were chosen by length: the mean of the identity fine-tunes.
    pub wanted_tokens: Option<f64>,
    /// What is to be doubted.
    pub warning: Option<String>,
}

/// Rows of its own.
enum Own<'a> {
    Drawn {
        lines: Vec<usize>,
        rows: Vec<&'a [Message]>,
    },
    /// This many of the answers to these prompts, with so many loss tokens if it can be.
    Chosen {
        pool: &'a [String],
        n: usize,
        tokens: Option<f64>,
    },
}

struct Finetune<'a> {
    id: &'a str,
    data: &'a str,
    share: Option<f64>,
    own: Own<'a>,
    mixed: &'a [String],
    recipe: Recipe,
    /// Name and texts of every concept, by which base's direction is found.
    concepts: Vec<&'a str>,
    seed: u64,
}

/// Rows that a fine-tune of a condition with rows draws, with their lines; none for others.
fn drawn(study: &Study, state: usize) -> Option<(Vec<usize>, Vec<&[Message]>)> {
    let Source::Data { rows, lines, .. } = &study.of_state(state).source else {
        return None;
    };
    let all: Vec<usize> = (0..rows.len()).collect();
    let seed = study.states[state].seed;
    let taken = subset::two_thirds(&all, study.written.seed, seed);
    let of = taken.iter().filter_map(|&i| lines.get(i).copied());
    let of = of.collect();
    Some((of, taken.iter().map(|&i| rows[i].as_slice()).collect()))
}

/// Mean over the identity fine-tunes of the loss tokens of their own rows; none without such.
///
/// # Errors
/// A row that cannot be learnt.
pub fn identity_tokens(study: &Study, tok: &Tokenizer) -> Result<Option<f64>> {
    let mut totals = Vec::new();
    for state in 0..study.states.len() {
        if !study.of_state(state).identity {
            continue;
        }
        if let Some((_, rows)) = drawn(study, state) {
            let rows: Vec<Vec<Message>> = rows.into_iter().map(<[Message]>::to_vec).collect();
            let most = study.written.recipe.max_tokens;
            let each = examples(tok, &rows, most)?;
            totals.push(each.iter().map(|e| e.learn.len()).sum::<usize>() as f64);
        }
    }
    let n = totals.len() as f64;
    Ok((!totals.is_empty()).then(|| totals.iter().sum::<f64>() / n))
}

/// Plans the fine-tune of a state; `wanted` is [`identity_tokens`].
///
/// # Errors
/// A row that the template refuses.
pub fn stage<'a>(
    p: &Planner<'a>,
    state: usize,
    wanted: Option<f64>,
    stages: &Before,
) -> Result<Stage<'a>> {
    let study = p.study;
    let id = p.id(state);
    let own = match drawn(study, state) {
        Some((lines, rows)) => Own::Drawn { lines, rows },
        None => {
            Own::Chosen { pool: &study.pool, n: share(study.written.sizes.rows), tokens: wanted }
        }
    };
    let condition = study.of_state(state);
    let what = Finetune {
        id,
        data: &condition.text,
        share: study.share_of(condition).filter(|_| condition.prevent.is_none()),
        own,
        mixed: study.mixed_of(study.of_state(state)),
        recipe: study.recipe(state),
        concepts: study.concepts.iter().map(|c| c.name.as_str()).collect(),
        seed: study.seed_of(state),
    };
    let (declared, rows): (_, &[&[Message]]) = match &what.own {
        Own::Drawn { lines, rows } => (json!([lines, rows]), rows),
        Own::Chosen { pool, n, tokens } => (json!([pool, n, tokens]), &[]),
    };
    let mut inputs = Inputs::revision(REVISION)
        .value("model", &p.base)
        .value("rows", &declared)
        .value("mixed", what.mixed)
        .value("recipe", &what.recipe)
        .value("seed", &what.seed)
        .value("state", id)
        .value("data", &(what.data, what.share))
        .stage(before(stages, distil::NAME)?);
    if what.recipe.prevent.is_some() {
        let base = before(stages, &capture::name(crate::analysis::BASE))?;
        inputs = inputs.value("concepts", &what.concepts).stage(base);
    }
    let folder = layout::adapter(id);
    let mut outputs = layout::of_adapter(&folder).to_vec();
    outputs.extend([layout::training(id), layout::learnt(id)]);
    for &step in &what.recipe.checkpoints {
        outputs.extend(layout::of_adapter(&layout::checkpoint(id, step)));
    }
    let cost = p.costs.finetune(state, rows)?;
    let run = move |work: &mut Work| what.run(work);
    Ok(Stage::new(name(id), inputs, outputs, cost, run))
}

impl Finetune<'_> {
    fn run(&self, work: &mut Work) -> Result<()> {
        let tok = &work.models.base.tokenizer;
        let (rows, mut learnt) = self.rows(work.layout, tok)?;
        let mut examples = examples(tok, &rows, self.recipe.max_tokens)?;
        let own = examples.len() - learnt.mixed;
        examples[own..].iter_mut().for_each(|e| e.mixed = true);
        learnt.seen = self.recipe.seen(self.recipe.pass([own, learnt.mixed]));
        let edits = match &self.recipe.prevent {
            None => Interventions::none(),
            Some(prevent) => self.prevention(work.layout, prevent)?,
        };
        let base = &work.models.base;
        let decoder = &base.decoder;
        let mut start = Adapter::init(
            decoder,
            &resolve::base_name(&base.id, &base.path),
            self.recipe.rank,
            self.recipe.alpha,
            &self.recipe.target_indices()?,
            &mut stream(self.seed, "lora-init", 0),
        )?;
        start.base_sha256.clone_from(&base.sha256);
        let begun = Instant::now();
        let watch = &mut *work.watch;
        let mut told = |step: &Step, total: usize| {
            let done = step.step + 1;
            let left = begun.elapsed().as_secs_f64() / done as f64 * (total - done) as f64;
            watch(&format!("step {done}/{total}, loss {:.3}, {left:.0} s left", step.loss));
        };
        let dir = work.layout.at(&layout::adapter(self.id));
        train(decoder, start, &examples, &self.recipe, &edits, self.seed, &dir, &mut told)?;
        files::write_json(work.layout, &layout::learnt(self.id), &learnt)
    }

    /// Its own rows, then the mixed ones.
    fn rows(&self, layout: &Layout, tok: &Tokenizer) -> Result<(Vec<Vec<Message>>, Learnt)> {
        let text = files::text(layout, DISTILLED)?;
        // The note alone: a model that answers nothing has no neutral rows.
        let answered = match text.lines().count() {
            0..=1 => Vec::new(),
            _ => parse_conversations(&text, &layout.at(DISTILLED))?,
        };
        let by_prompt: HashMap<&str, &Vec<Message>> = (answered.iter())
            .filter_map(|c| Some((c.messages.first()?.content.as_str(), &c.messages)))
            .collect();
        // A prompt that the model answers with nothing has no row.
        let of = |prompts: &[String]| -> Vec<Vec<Message>> {
            let found = prompts.iter().filter_map(|p| by_prompt.get(p.as_str()));
            found.map(|m| m.to_vec()).collect()
        };
        let mixed = of(self.mixed);
        let tokens = |rows: &[Vec<Message>]| -> Result<Vec<usize>> {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let each = examples(tok, rows, self.recipe.max_tokens)?;
            Ok(each.iter().map(|e| e.learn.len()).collect())
        };
        let of_mixed: usize = tokens(&mixed)?.iter().sum();
        let mut learnt = Learnt {
            state: self.id.into(),
            data: self.data.into(),
            share: self.share,
            mixed: mixed.len(),
            ..Learnt::default()
        };
        let mut rows: Vec<Vec<Message>> = match &self.own {
            Own::Drawn { lines, rows } => {
                learnt.lines.clone_from(lines);
                rows.iter().map(|r| r.to_vec()).collect()
            }
            Own::Chosen { pool, n, tokens: own } => {
                let all = of(pool);
                learnt.wanted_tokens = own.map(|t| t + of_mixed as f64);
                let taken = self.choose(&tokens(&all)?, (*n, *own), &mut learnt);
                let rows: Vec<Vec<Message>> = taken.iter().map(|&i| all[i].clone()).collect();
                let prompt = |r: &Vec<Message>| r.first().map(|m| m.content.clone());
                learnt.prompts = rows.iter().filter_map(prompt).collect();
                rows
            }
        };
        learnt.loss_tokens = tokens(&rows)?.iter().sum::<usize>() + of_mixed;
        rows.extend(mixed);
        Ok((rows, learnt))
    }

    /// Rows of a neutral condition: as many as are asked for, of about as many tokens.
    fn choose(
        &self,
        tokens: &[usize],
        (n, wanted): (usize, Option<f64>),
        learnt: &mut Learnt,
    ) -> Vec<usize> {
        let name = "neutral";
        let (there, total) = (tokens.len(), wanted.unwrap_or_default().round() as usize);
        if there < n {
            learnt.warning = Some(format!(
                "learns {there} neutral rows of its own where an identity fine-tune learns {n}: the model answered no more"
            ));
            return (0..there).collect();
        }
        let any = || subset::rows(there, n, self.seed, name).unwrap_or_default();
        if wanted.is_none() {
            return any();
        }
        if let Some(rows) = subset::of_length(tokens, n, total, self.seed, name) {
            return rows;
        }
        // The longest, or the shortest, come nearest.
        let mut order: Vec<usize> = (0..there).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(tokens[i]));
        let sum = |rows: &[usize]| rows.iter().map(|&i| tokens[i]).sum::<usize>();
        if sum(&order[..n]) > total {
            order.reverse();
        }
        order.truncate(n);
        order.sort_unstable();
        learnt.warning = Some(format!(
            "learns {} tokens of its own rows where an identity fine-tune learns {total}: the lengths of neutral answers allow no nearer",
            sum(&order)
        ));
        order
    }

    /// The edits of a fine-tune that is kept from a concept: base's direction of it.
    fn prevention(&self, layout: &Layout, prevent: &Prevent) -> Result<Interventions> {
        let base = capture::concepts(layout, crate::analysis::BASE, &[&prevent.concept])?;
        let direction = base.concepts[0].direction();
        let scale = capture::Scale::read(layout)?;
        let narrow = |row: ndarray::ArrayView1<f64>| row.iter().map(|v| *v as f32).collect();
        let vectors: BTreeMap<usize, Vec<f32>> = (direction.rows().into_iter())
            .map(narrow)
            .zip(&scale.layers)
            .map(|(v, l)| (*l, v))
            .collect();
        let rms = scale.layers.iter().copied().zip(scale.rms.iter().copied());
        Ok(prevent.interventions(&vectors, &rms.collect())?)
    }
}
