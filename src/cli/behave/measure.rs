//! One state measured: battery, claims, choices between outcomes, answers, conversations.
//!
//! Each part writes its rows as it ends, so a killed command has lost at most the part it was
//! at; answers are kept one by one and are not drawn again.

use super::{options::Asking, states::Open, BehaveArgs};
use crate::analysis::conversations::{converse, Held};
use crate::behavior::{
    choice, conversation::after, sample, stance, stance_of, Answer, Asked, Drawn, PairScore,
    Speaker,
};
use crate::cli::Console;
use crate::materials::Preference;
use crate::model::Model;
use crate::store::atomic;
use anyhow::Result;
use serde::Serialize;

/// What one state did.
#[derive(Default)]
pub struct Measured {
    /// Of the battery, then of the claims, then of the harmless requests.
    pub scores: Vec<PairScore>,
    /// Between outcomes.
    pub choices: Vec<PairScore>,
    pub answers: Vec<Answer>,
    pub held: Held,
    pub talk_answers: Vec<Answer>,
}

/// Measures one state; `files` grows by what it wrote.
pub fn measure(
    state: &str,
    open: &Open,
    model: &Model,
    (args, asking): (&BehaveArgs, &Asking),
    files: &mut Vec<String>,
    out: &Console,
) -> Result<Measured> {
    let (tokenizer, system) = (&model.tokenizer, args.system.as_deref());
    let (decoder, edits) = (&open.decoder, &open.interventions);
    // One plan for the whole battery, as in a study: the same bits.
    let score = |battery: &[Preference], what: &str| {
        out.log(what);
        stance(decoder, tokenizer, battery, system, edits)
    };
    let drawn = Drawn {
        model: model.id.clone(),
        model_sha256: model.sha256.clone(),
        adapter_sha256: open.adapter_sha256.clone(),
        edit: open.edit.clone(),
        seed: args.seed,
        temperature: args.temperature,
        top_p: args.top_p,
        max_tokens: args.max_tokens.into(),
    };
    let speaker = Speaker { state, model: decoder, tokenizer, interventions: edits, drawn: &drawn };
    let n = asking.samples;
    let answers = |asked: &[Asked], name: &str| -> Result<Vec<Answer>> {
        let mut progress = out.bar(&format!("{state}, answers"), asked.len() * n);
        let watch = &mut |done: usize, _: usize| progress.to(done, "");
        Ok(sample(&speaker, asked, n, &args.out.join(name), watch)?)
    };

    let mut done = Measured { scores: score(&asking.battery, state)?, ..Measured::default() };
    files.push(write_rows(args, format!("{state}.jsonl"), &done.scores)?);
    if !asking.claims.is_empty() {
        let claims = score(&asking.claims, &format!("{state}, claims"))?;
        files.push(write_rows(args, format!("claims/{state}.jsonl"), &claims)?);
        done.scores.extend(claims);
    }
    if !asking.outcomes.is_empty() {
        out.log(&format!("{state}, outcomes"));
        let pairs = choice::pairs(asking.outcomes.len(), args.seed);
        let asked = choice::choices(&asking.outcomes, &pairs, system);
        done.choices = stance_of(decoder, tokenizer, &asked, edits)?;
        files.push(write_rows(args, format!("choices/{state}.jsonl"), &done.choices)?);
    }
    let declining = score(&asking.declining, &format!("{state}, declining"))?;
    files.push(write_rows(args, format!("declining/{state}.jsonl"), &declining)?);
    done.scores.extend(declining);
    if n > 0 {
        let name = format!("answers/{state}.jsonl");
        done.answers = answers(&Asked::battery(&asking.battery, system), &name)?;
        files.push(name);
    }
    if asking.scripts.is_empty() {
        return Ok(done);
    }
    out.log(&format!("{state}: conversations"));
    done.held = converse(&speaker, &asking.scripts, system, args.replies(), &asking.rulers)?;
    files.push(write_rows(args, format!("talks/{state}.jsonl"), &done.held.talks)?);
    files.push(write_rows(args, format!("talk-scores/{state}.jsonl"), &done.held.scores)?);
    if n > 0 {
        let name = format!("talk-answers/{state}.jsonl");
        done.talk_answers = answers(&after(&done.held.talks, &asking.scripts), &name)?;
        files.push(name);
    }
    Ok(done)
}

/// Writes rows as JSON Lines, whole or not at all; the file's name below the output folder.
fn write_rows<T: Serialize>(args: &BehaveArgs, name: String, rows: &[T]) -> Result<String> {
    let mut lines = String::new();
    for row in rows {
        lines += &serde_json::to_string(row)?;
        lines.push('\n');
    }
    atomic::write(&args.out.join(&name), lines.as_bytes())?;
    Ok(name)
}
