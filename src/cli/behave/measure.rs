//! One state measured: battery, claims, conversations, answers.
//!
//! Each part writes its rows as it ends, so a killed command has lost at most the part it was
//! at; answers are kept one by one and are not drawn again.

use super::battery::score;
use super::states::Open;
use super::{tables, Asking};
use crate::behavior::conversation::{after, fresh, hold, Talk};
use crate::behavior::{
    by_prompt, project_turns, sample, stance_of, Answer, Asked, Drawn, PairScore, PromptScore,
    Speaker,
};
use crate::cli::Console;
use crate::model::{Message, Model};
use crate::store::atomic;
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

/// What one state did.
#[derive(Default)]
pub struct Measured {
    pub state: String,
    pub battery: Vec<PairScore>,
    pub prompts: Vec<PromptScore>,
    pub claims: Vec<PromptScore>,
    /// Questions at the end of conversations, and the same with nothing before them.
    pub after: Vec<PromptScore>,
    pub fresh: Vec<PromptScore>,
    pub answers: Vec<Answer>,
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

/// Measures one state; `files` and `turns` grow by what it wrote and projected.
pub fn measure(
    state: &str,
    open: &Open,
    model: &Model,
    asking: &Asking,
    files: &mut Vec<String>,
    turns: &mut crate::cli::table::Table,
    out: &Console,
) -> Result<Measured> {
    let (tokenizer, folder) = (&model.tokenizer, asking.out);
    let system = asking.system;
    let (decoder, edits) = (&open.decoder, &open.interventions);
    let run = |battery, what: &str| score(decoder, tokenizer, battery, system, edits, out, what);
    let battery = run(asking.battery, state)?;
    write_rows(folder, format!("{state}.jsonl"), &battery, files)?;
    let mut done = Measured {
        state: state.into(),
        prompts: by_prompt(&battery),
        battery,
        ..Measured::default()
    };
    if !asking.claims.is_empty() {
        let claims = run(asking.claims, &format!("{state}, claims"))?;
        write_rows(folder, format!("claims/{state}.jsonl"), &claims, files)?;
        done.claims = by_prompt(&claims);
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
    if asking.scripts.is_empty() {
        return Ok(done);
    }
    out.log(&format!("{state}: conversations"));
    let talks = hold(&speaker, asking.scripts, system, asking.replies)?;
    write_rows(folder, format!("talks/{state}.jsonl"), &talks, files)?;
    let ends = after(&talks, asking.scripts);
    let mut scores = stance_of(decoder, tokenizer, &ends, edits)?;
    done.after = by_prompt(&scores);
    let alone = stance_of(decoder, tokenizer, &fresh(asking.scripts, system), edits)?;
    done.fresh = by_prompt(&alone);
    scores.extend(alone);
    write_rows(folder, format!("talk-scores/{state}.jsonl"), &scores, files)?;
    if asking.samples > 0 {
        let name = format!("talk-answers/{state}.jsonl");
        done.talk_answers = answers(&speaker, &ends, asking, &name, out)?;
        files.push(name);
    }
    if !asking.rulers.is_empty() {
        let whole = with_answers(&talks, &done.talk_answers);
        let conversations: Vec<(&str, &[Message])> = whole
            .iter()
            .map(|(id, messages)| (id.as_str(), messages.as_slice()))
            .collect();
        let all = project_turns(decoder, tokenizer, &conversations, asking.rulers, edits)?;
        tables::add_turns(turns, state, asking.rulers, &all);
    }
    Ok(done)
}

/// Each talk with the first answer that was sampled at its end, if any was.
fn with_answers(talks: &[Talk], answers: &[Answer]) -> Vec<(String, Vec<Message>)> {
    let whole = |talk: &Talk| {
        let mut messages = talk.messages.clone();
        let own = |a: &&Answer| a.prompt_id == talk.script && a.sample == 0;
        if let Some(answer) = answers.iter().find(own) {
            messages.push(Message::new("assistant", &answer.answer));
        }
        (talk.script.clone(), messages)
    };
    talks.iter().map(whole).collect()
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
