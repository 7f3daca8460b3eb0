//! `residuum steer --prompt` and `--prompts-from`: what a model answers without and under edits, at every
//! layer and dose, with the side effects of each.

use super::work::Work;
use super::SteerArgs;
use crate::analysis::cause::{answers, Answering, Edit};
use crate::behavior::{Answer, Drawn};
use crate::causal::NONE;
use crate::cli::{edit::Scale, state};
use crate::materials::{self, texts, TextBody};
use crate::model::{Message, Role, Tokens};
use crate::store::{digest, Frame};
use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

/// File of the answers, a JSON object a line.
pub const FILE: &str = "answers.jsonl";

/// Id of a prompt given on the command line.
const GIVEN: &str = "prompt";

/// Id and turns of each prompt; empty where none is answered.
///
/// # Errors
/// The file's; a row that is no prompt.
pub fn prompts(args: &SteerArgs) -> Result<Vec<(String, Vec<Message>)>> {
    let turns = |system: Option<&str>, prompt: &str| {
        let front = system.map(|s| Message::new("system", s));
        front.into_iter().chain([Message::new("user", prompt)]).collect::<Vec<_>>()
    };
    let own = args.system.as_deref();
    if let Some(prompt) = &args.prompt {
        return Ok(vec![(GIVEN.into(), turns(own, prompt))]);
    }
    let Some(file) = &args.prompts_from else { return Ok(Vec::new()) };
    let row = |row: texts::TextRow| {
        let refuse =
            |why: &str| bail!("{}, line {}, text `{}`: {why}", file.display(), row.line, row.id);
        match row.body {
            TextBody::Exchange { response: Some(_), .. } => {
                refuse("it has a `response`, and the model is to write one: leave it out")
            }
            TextBody::Raw(_) => refuse("it is a raw `text`: write it as a `prompt`"),
            TextBody::Exchange { system, prompt, .. } => {
                Ok((row.id, turns(system.as_deref().or(own), &prompt)))
            }
            TextBody::Messages(messages) => {
                if messages.last().is_none_or(|m| m.role != "user") {
                    return refuse(
                        "its last turn is not the user's, so there is nothing to answer",
                    );
                }
                let has_own = messages.iter().any(|m| m.role == "system");
                let front = own.filter(|_| !has_own).map(|s| Message::new("system", s));
                Ok((row.id, front.into_iter().chain(messages).collect()))
            }
        }
    };
    texts::parse(&materials::read(file)?, file)?.into_iter().map(row).collect()
}

/// The edits: every dose at every layer, or the one without a dose.
fn edits(work: &Work, layers: &[usize], texts: &[Tokens]) -> Result<Vec<Edit>> {
    let held = work.directions[0].concept(&work.edit.name)?;
    let layers: Vec<Option<usize>> = match layers {
        [] => vec![None],
        _ => layers.iter().copied().map(Some).collect(),
    };
    let doses: Vec<Option<f64>> = match &work.edit.add[..] {
        [] => vec![None],
        doses => doses.iter().copied().map(Some).collect(),
    };
    let (mut all, mut scale) = (Vec::new(), Scale::default());
    for (layer, dose) in layers.iter().flat_map(|l| doses.iter().map(move |d| (*l, *d))) {
        let mut edit = work.edit.clone();
        (edit.layer, edit.add) = (layer, dose.into_iter().collect());
        let mut ready = edit.build(work.model, &work.decoder, held, texts, &mut scale)?;
        if edit.swap_from.is_some() && edit.roles.is_empty() {
            // What is being generated was not read by the other state.
            let read = [Role::System, Role::User, Role::Assistant, Role::Template];
            ready.interventions = ready.interventions.on(&read);
        }
        let layer = layer.filter(|_| dose.is_some() && edit.sites.is_empty());
        all.push(Edit { what: ready.what, layer, dose, interventions: ready.interventions });
    }
    Ok(all)
}

pub fn run(work: &Work, prompts: &[(String, Vec<Message>)], layers: &[usize]) -> Result<()> {
    let (args, model, decoder) = (work.args, work.model, &work.decoder);
    let read = |(id, messages): &(String, Vec<Message>)| {
        model.tokenizer.chat(messages, true).with_context(|| format!("prompt `{id}`"))
    };
    let texts = prompts.iter().map(read).collect::<Result<Vec<_>>>()?;
    let context = decoder.config.context;
    let most = usize::from(args.max_tokens);
    if let Some(((id, _), t)) =
        prompts.iter().zip(&texts).find(|(_, t)| t.ids.len() + most > context)
    {
        bail!("prompt `{id}` has {} tokens, and with --max-tokens {most} it is longer than the {context} that the model reads: shorten either", t.ids.len());
    }
    if args.samples > 1 && args.temperature == 0.0 {
        bail!("--samples is {} and --temperature 0, at which all answers are the same: give a temperature, or one sample", args.samples);
    }
    let edits = edits(work, layers, &texts)?;
    // A wrong width or layer is found before any work is done.
    for edit in &edits {
        let mut hooks = crate::model::Hooks::none();
        edit.interventions.install(&mut hooks, decoder.layers(), decoder.hidden())?;
    }
    let neutral = work.guard_texts()?;
    let adapter = args.adapter.first().map(|a| digest::of_file(&state::weights(a))).transpose()?;
    let drawn = Drawn {
        model: model.id.clone(),
        model_sha256: model.sha256.clone(),
        adapter_sha256: adapter,
        edit: None,
        seed: args.seed,
        temperature: args.temperature,
        top_p: 1.0,
        max_tokens: most,
    };
    let state = work.state();
    let asked = Answering {
        state: &state.id,
        model: decoder,
        tokenizer: &model.tokenizer,
        prompts,
        samples: args.samples.into(),
        drawn,
        neutral: &neutral,
        guards: work.guards(),
    };
    let mut progress = work.out.bar("answering", 1 + edits.len());
    let (all, mut found) = answers(&asked, &edits, &mut |what| progress.step(what))?;
    drop(progress);
    found.states = vec![state::row(&state)];
    let config = work.config(json!({
        "layers": layers, "doses": work.edit.add, "samples": args.samples,
        "prompts_from": args.prompts_from, "prompt": args.prompt, "ablate": work.edit.ablate,
        "cap": work.edit.cap, "swap_from": work.edit.swap_from, "sites": work.edit.sites,
        "temperature": args.temperature, "max_tokens": args.max_tokens,
    }));
    let line = |a: &Answer| {
        let effect = found.answers.iter().find(|e| e.edit == edit_of(a));
        let mut row = json!({
            "state": a.state, "edit": edit_of(a), "prompt_id": a.prompt_id, "sample": a.sample,
            "messages": a.messages, "answer": a.answer, "tokens": a.tokens, "cut": a.cut,
            "drawn": a.drawn,
        });
        if let Some(e) = effect {
            // JSON has no NaN: what does not apply is null.
            row["layer"] = json!(Some(e.layer).filter(|l| l.is_finite()).map(|l| l as usize));
            row["dose"] = json!(Some(e.dose).filter(|d| d.is_finite()));
            row["kl"] = json!(e.kl);
            row["perplexity_ratio"] = json!(e.perplexity_ratio);
            row["inside"] = json!(e.inside);
        }
        row
    };
    let rows: Vec<Value> = all.iter().map(line).collect();
    let lines: String = rows.iter().map(|r| format!("{r}\n")).collect();
    let more = args.prompts_from.clone().into_iter();
    let written = work.keep_with(&config, &found, more, Some((FILE, &lines)))?;
    let effects = Frame::of(&found.answers);
    let n = neutral.len();
    let mut json = json!({
        "config": config, "answers": rows, "effects": effects.json(), "warnings": found.warnings,
        "temperature": args.temperature, "seed": args.seed, "out": work.controls.out,
    });
    if let (Some(prompt), [plain, steered]) = (&args.prompt, &all[..]) {
        json["prompt"] = json!(prompt);
        json["unsteered"] = json!(plain.answer);
        json["steered"] = json!(steered.answer);
    }
    work.out.result(&json, || {
        let shown = if written.is_empty() { shown(&all) } else { String::new() };
        let table = effects.without(&["state"]).text();
        format!(
            "{shown}{table}\n{}\nkl (nats a token from the unsteered model), perplexity_ratio: on {n} neutral texts; inside is 0 \
             where they are beyond the guards (KL {}, perplexity x {}) and the dose breaks the model.{written}",
            work.notes(), work.controls.max_kl, work.controls.max_perplexity
        )
    })
}

/// The edit under which an answer was drawn.
fn edit_of(a: &Answer) -> &str {
    a.drawn.edit.as_deref().unwrap_or(NONE)
}

/// Every answer, those of a prompt together, the edits in order.
fn shown(all: &[Answer]) -> String {
    let mut text = String::new();
    let mut ids: Vec<&str> = Vec::new();
    for a in all.iter().filter(|a| a.drawn.edit.is_none() && a.sample == 0) {
        ids.push(&a.prompt_id);
    }
    for id in ids {
        if id != GIVEN {
            text += &format!("== {id}\n");
        }
        for a in all.iter().filter(|a| a.prompt_id == id) {
            let what = match &a.drawn.edit {
                None => "unsteered".to_string(),
                Some(edit) => format!("steered ({edit})"),
            };
            text += &format!("{what}\n{}\n\n", a.answer);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SteerArgs,
    }

    #[test]
    fn doses_may_be_negative_and_several_and_rows_that_are_no_prompts_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.jsonl");
        let of = |rows: &str| {
            std::fs::write(&file, rows).unwrap();
            let line =
                ["steer", "--vector", "v", "--concept", "c", "--add", "-2,2", "--system", "S"];
            let from = ["--prompts-from", file.to_str().unwrap()];
            let args = Line::parse_from(line.iter().chain(&from)).args;
            assert_eq!(args.edit.add, [-2.0, 2.0]);
            prompts(&args)
        };
        let both = of("{\"id\":\"a\",\"prompt\":\"P\"}\n{\"id\":\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}]}\n");
        let both = both.unwrap();
        assert!(both.iter().all(|(_, m)| m.len() == 2 && m[0].content == "S"));
        for (row, words) in [
            ("\"prompt\":\"P\",\"response\":\"R\"", "leave it out"),
            ("\"text\":\"T\"", "a raw `text`"),
            ("\"messages\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\",\"content\":\"A\"}]", "nothing to answer"),
        ] {
            let e = of(&format!("{{\"id\":\"x\",{row}}}\n")).unwrap_err().to_string();
            assert!(e.contains("line 1, text `x`") && e.contains(words), "{e}");
        }
    }
}
