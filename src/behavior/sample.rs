//! Sampled answers: batched, seeded, resumable.
//!
//! Each answer has a random stream of its own, named by state, preference, prompt and sample, so
//! it depends neither on the batch it was drawn in nor on what was drawn before, and the states
//! are independent draws. Answers are appended to a journal as each batch ends; a later call with
//! the same settings draws only what is missing, and one with other settings is refused.

use super::answer::{Answer, Drawn};
use super::stance::Asked;
use super::{BehaviorError, Result};
use crate::model::generate::{respond, Sampling};
use crate::model::{Decoder, Hooks, Interventions, Message, Tokenizer};
use crate::stats::rng::stream;
use crate::store::Journal;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Answers of a batch: enough to keep the matrix products busy, few enough that a killed run
/// loses little.
const BATCH: usize = 32;

/// Who answers, and how.
pub struct Speaker<'a> {
    /// Name of the model state; it stands in every answer and names its random stream.
    pub state: &'a str,
    /// The model that answers, its adapter merged.
    pub model: &'a Decoder,
    /// The model's own, with its chat template.
    pub tokenizer: &'a Tokenizer,
    /// Edits under which it answers.
    pub interventions: &'a Interventions,
    /// Settings of the draw; they stand in every answer.
    pub drawn: &'a Drawn,
}

impl Speaker<'_> {
    /// Answers each of `asked` once, with the number of its sample.
    fn answer(&self, asked: &[(&Asked, usize)]) -> Result<Vec<Answer>> {
        let prompt = |(a, sample): &(&'_ Asked, usize)| {
            let purpose = format!("answer/{}/{}/{}", self.state, a.preference, a.prompt_id);
            (purpose, *sample as u64)
        };
        let streams: Vec<(String, u64)> = asked.iter().map(prompt).collect();
        let messages: Vec<&[Message]> = asked.iter().map(|(a, _)| a.messages.as_slice()).collect();
        let written = self.write(&messages, &streams)?;
        let answer = |((a, sample), written): (&(&Asked, usize), Written)| Answer {
            state: self.state.into(),
            preference: a.preference.clone(),
            group: a.group.clone(),
            prompt_id: a.prompt_id.clone(),
            keyed: a.keyed.clone(),
            form: a.form.clone(),
            sample: *sample,
            fact: a.fact.clone(),
            messages: a.messages.clone(),
            answer: written.text,
            tokens: written.tokens,
            cut: written.tokens >= self.drawn.max_tokens,
            drawn: self.drawn.clone(),
        };
        Ok(asked.iter().zip(written).map(answer).collect())
    }

    /// Continues conversations, each from the stream of its purpose and index.
    ///
    /// # Errors
    /// A conversation that the template refuses or that is too long; the model's.
    pub fn write(
        &self,
        conversations: &[&[Message]],
        streams: &[(String, u64)],
    ) -> Result<Vec<Written>> {
        let (model, eos) = (self.model, self.tokenizer.eos());
        let sampling = Sampling {
            max_tokens: self.drawn.max_tokens,
            temperature: self.drawn.temperature,
            top_p: self.drawn.top_p,
        };
        let mut out = Vec::with_capacity(conversations.len());
        for (batch, streams) in conversations.chunks(BATCH).zip(streams.chunks(BATCH)) {
            let prompt = |messages: &&[Message]| Ok(self.tokenizer.chat(messages, true)?);
            let prompts = batch.iter().map(prompt).collect::<Result<Vec<_>>>()?;
            let own = |(purpose, index): &(String, u64)| stream(self.drawn.seed, purpose, *index);
            let mut rngs: Vec<ChaCha8Rng> = streams.iter().map(own).collect();
            let mut hooks = Hooks::none();
            self.interventions.install(&mut hooks, model.layers(), model.hidden())?;
            let all = respond(model, &prompts, eos, &sampling, &mut rngs, &mut hooks)?;
            self.interventions.check_touched()?;
            for ids in all {
                let text = self.tokenizer.decode_answer(&ids)?.trim().to_string();
                out.push(Written { text, tokens: ids.len() });
            }
        }
        Ok(out)
    }
}

/// What a model wrote.
pub struct Written {
    /// The answer, white space around it dropped.
    pub text: String,
    /// Tokens of it.
    pub tokens: usize,
}

/// `samples` answers to each of `asked`, in that order, kept in the journal `file`; those that
/// are there already are not drawn again. `watch(done, total)` is called as answers exist.
///
/// # Errors
/// A journal whose answers were drawn with other settings or to other words, a prompt too long
/// for the model, or a failing disk.
pub fn sample(
    speaker: &Speaker,
    asked: &[Asked],
    samples: usize,
    file: &Path,
    watch: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Answer>> {
    let (mut journal, kept) = Journal::open::<Answer>(file)?;
    check(&kept, speaker.drawn, asked, file)?;
    let entry = |a: Answer| ((a.preference.clone(), a.prompt_id.clone(), a.sample), a);
    let mut have: BTreeMap<(String, String, usize), Answer> = kept.into_iter().map(entry).collect();
    let key = |a: &Asked, s: usize| (a.preference.clone(), a.prompt_id.clone(), s);
    let wanted: Vec<(&Asked, usize)> =
        asked.iter().flat_map(|a| (0..samples).map(move |s| (a, s))).collect();
    let missing: Vec<(&Asked, usize)> =
        wanted.iter().copied().filter(|(a, s)| !have.contains_key(&key(a, *s))).collect();
    let mut done = wanted.len() - missing.len();
    watch(done, wanted.len());
    for batch in missing.chunks(BATCH) {
        for answer in speaker.answer(batch)? {
            journal.append(&answer)?;
            have.extend([entry(answer)]);
        }
        done += batch.len();
        watch(done, wanted.len());
    }
    let all = wanted.into_iter();
    Ok(all.filter_map(|(a, s)| have.remove(&key(a, s))).collect())
}

/// Refuses answers of another draw, or to a prompt that reads otherwise now.
fn check(kept: &[Answer], drawn: &Drawn, asked: &[Asked], file: &Path) -> Result<()> {
    let now: HashMap<(&str, &str), &Asked> =
        asked.iter().map(|a| ((a.preference.as_str(), a.prompt_id.as_str()), a)).collect();
    for (answer, row) in kept.iter().zip(1..) {
        if let Some((key, found, wanted)) = answer.drawn.difference(drawn) {
            let path = file.into();
            return Err(BehaviorError::OtherDraw { path, row, key, found, wanted });
        }
        let same = now.get(&(answer.preference.as_str(), answer.prompt_id.as_str()));
        if same.is_some_and(|a| a.messages != answer.messages || a.fact != answer.fact) {
            return Err(BehaviorError::OtherPrompt {
                path: file.into(),
                row,
                preference: answer.preference.clone(),
                prompt: answer.prompt_id.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::answer;
    use super::*;

    fn asked(a: &Answer) -> Asked {
        Asked {
            preference: a.preference.clone(),
            group: a.group.clone(),
            prompt_id: a.prompt_id.clone(),
            keyed: a.keyed.clone(),
            form: a.form.clone(),
            fact: a.fact.clone(),
            messages: a.messages.clone(),
            pairs: Vec::new(),
            place: String::new(),
        }
    }

    #[test]
    fn answers_of_another_draw_or_to_other_words_are_refused() {
        let kept = [answer("p", "1", 0, "x"), answer("p", "2", 0, "y")];
        let mut now = vec![asked(&kept[0])];
        let file = Path::new("base.jsonl");
        let same = kept[0].drawn.clone();
        check(&kept, &same, &now, file).unwrap();
        let other = Drawn { max_tokens: 9, ..same.clone() };
        let text = check(&kept, &other, &now, file).unwrap_err().to_string();
        assert!(text.contains("base.jsonl, row 1") && text.contains("max-tokens 8"), "{text}");
        now[0].messages[1].content = "Else?".into();
        let text = check(&kept, &same, &now, file).unwrap_err().to_string();
        assert!(text.contains("prompt `1`"), "{text}");
    }
}
