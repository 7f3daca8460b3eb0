//! One state measured: battery, claims, answers, conversations.
//!
//! Each part writes its rows as it ends, so a killed command has lost at most the part it was
//! at; answers are kept one by one and are not drawn again.

use super::states::Open;
use super::Asking;
use crate::analysis::conversations::{converse, Held};
use crate::behavior::conversation::after;
use crate::behavior::{sample, stance, Answer, Asked, Drawn, PairScore, Speaker};
use crate::cli::Console;
use crate::materials::Preference;
use crate::model::Model;
use crate::store::atomic;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

/// What one state did.
#[derive(Default)]
pub struct Measured {
    /// Of the battery, then of the claims.
    pub scores: Vec<PairScore>,
    pub answers: Vec<Answer>,
    pub held: Held,
    pub talk_answers: Vec<Answer>,
}

/// Writes rows as JSON Lines, whole or not at all.
fn write_rows<T: Serialize>(
    folder: &Path,
    name: String,
    rows: &[T],
    files: &mut Vec<String>,
) -> Result<()> {
    let mut lines = String::new();
    for row in rows {
        lines += &serde_json::to_string(row)?;
        lines.push('\n');
    }
    atomic::write(&folder.join(&name), lines.as_bytes())?;
    files.push(name);
    Ok(())
}

/// Measures one state; `files` grows by what it wrote.
pub fn measure(
    state: &str,
    open: &Open,
    model: &Model,
    asking: &Asking,
    files: &mut Vec<String>,
    out: &Console,
) -> Result<Measured> {
    let (tokenizer, folder, system) = (&model.tokenizer, asking.out, asking.system);
    let (decoder, edits) = (&open.decoder, &open.interventions);
    // One plan for the whole battery, as in a study: the same bits.
    let run = |battery: &[Preference], what: &str| {
        out.log(what);
        stance(decoder, tokenizer, battery, system, edits)
    };
    let mut done = Measured {
        scores: run(asking.battery, state)?,
        ..Measured::default()
    };
    write_rows(folder, format!("{state}.jsonl"), &done.scores, files)?;
    if !asking.claims.is_empty() {
        let claims = run(asking.claims, &format!("{state}, claims"))?;
        write_rows(folder, format!("claims/{state}.jsonl"), &claims, files)?;
        done.scores.extend(claims);
    }
    let drawn = Drawn {
        model: model.id.clone(),
        model_sha256: model.sha256.clone(),
        adapter_sha256: open.adapter_sha256.clone(),
        edit: open.edit.clone(),
        seed: asking.seed,
        temperature: asking.temperature,
        top_p: asking.top_p,
        max_tokens: asking.max_tokens,
    };
    let speaker = Speaker {
        state,
        model: decoder,
        tokenizer,
        interventions: edits,
        drawn: &drawn,
    };
    if asking.samples > 0 {
        let asked = Asked::battery(asking.battery, system);
        let name = format!("answers/{state}.jsonl");
        done.answers = answers(&speaker, &asked, asking, &name, out)?;
        files.push(name);
    }
    let scripts = asking.scripts;
    if scripts.is_empty() {
        return Ok(done);
    }
    out.log(&format!("{state}: conversations"));
    done.held = converse(&speaker, scripts, system, asking.replies, asking.rulers)?;
    let held = &done.held;
    write_rows(folder, format!("talks/{state}.jsonl"), &held.talks, files)?;
    let name = format!("talk-scores/{state}.jsonl");
    write_rows(folder, name, &held.scores, files)?;
    if asking.samples > 0 {
        let name = format!("talk-answers/{state}.jsonl");
        let ends = after(&held.talks, scripts);
        done.talk_answers = answers(&speaker, &ends, asking, &name, out)?;
        files.push(name);
    }
    Ok(done)
}

fn answers(
    speaker: &Speaker,
    asked: &[Asked],
    asking: &Asking,
    name: &str,
    out: &Console,
) -> Result<Vec<Answer>> {
    let total = asked.len() * asking.samples;
    let mut progress = out.bar(&format!("{}, answers", speaker.state), total);
    let mut shown = 0;
    let mut watch = |done: usize, _: usize| {
        while shown < done {
            shown += 1;
            progress.step("");
        }
    };
    let file = asking.out.join(name);
    Ok(sample(speaker, asked, asking.samples, &file, &mut watch)?)
}
