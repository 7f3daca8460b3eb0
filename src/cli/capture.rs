//! `residuum capture`: texts to pooled activations in an HDF5 file.
//!
//! Samples stand in the file in the order of the texts. A capture hands them out in the order of
//! its batches, so texts are read in parts of a bounded size, put in order, and passed to the
//! writer's thread while the next part is computed. The file is read twice, once to check every text
//! before any is computed, so that memory does not grow with their number.

use super::reading::{self, Lacking, Missing};
use super::state::{self, ModelChoice};
use super::{kept::Origin, layers::Layers, output::Outputs, Console};
use crate::analysis::records::distinct;
use crate::capture::{capture, CaptureError, Position, Request, BUDGET};
use crate::materials::{self, texts, TextRow};
use crate::model::agreement::TEXTS;
use crate::model::{Decoder, Interventions, Packed, Role, Tokenizer, Tokens};
use crate::store::{ActivationSpec, ActivationWriter, Precision, Sample};
use anyhow::{anyhow, ensure, Context, Result};
use clap::Args;
use ndarray::Array2;
use serde_json::json;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of activations that are put in order at a time.
const PART_BYTES: usize = 64 << 20;
/// Texts that are read at a time at most.
const MOST_TEXTS: usize = 16_384;

/// Read texts and store their activations.
///
/// Texts are JSON Lines, each with an id and one body: {"id", "prompt", "response"}, {"id",
/// "messages"} or {"id", "text"} (read without a template). The residual stream after each chosen
/// block is averaged over the tokens of each position; position 0 is in no average. A text without a
/// token at a position has NaN there, and is counted. `residuum help positions` says what each is, of
/// conversations too. The HDF5 file opens in h5py and xarray.
///
/// Example: residuum capture --texts my.jsonl --positions response-mean,prompt-last --layers third --out acts.h5
#[derive(Args)]
pub struct CaptureArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// PEFT adapter to merge
    #[arg(long, value_name = "DIR|org/name[@rev]")]
    adapter: Option<PathBuf>,
    /// System prompt for texts without one
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Texts to read, JSON Lines
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Positions: response-mean, response-last, prompt-last, user-mean, template-mean, all-mean,
    /// user-last, before-response, response-first, response-q1 to response-q4
    #[arg(long, alias = "at", value_delimiter = ',', value_name = "POSITIONS")]
    #[arg(default_value = "response-mean")]
    positions: Vec<Position>,
    /// Layers: all, third (1/3 and 4/5 of the depth) or block numbers such as 0,5,10
    #[arg(long, default_value = "all")]
    layers: Layers,
    /// HDF5 file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Width of a stored value
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    store: Precision,
    /// Rows of a batch
    #[arg(long, value_name = "ROWS", default_value_t = BUDGET)]
    budget: usize,
}

pub fn run(mut args: CaptureArgs, out: &Console) -> Result<()> {
    let _taken = Outputs::of(&args.model.model)
        .reads("--texts", &args.texts)
        .reads_all("--adapter", &args.adapter)
        .file_of("--out", &args.out, "HDF5", &["h5", "hdf5"])
        .take(out.force)?;
    let held = checked(&args.texts)?;
    let loading = Instant::now();
    let adapter = args.adapter.as_deref();
    args.adapter = adapter.map(|a| state::adapter_folder(a, out)).transpose()?;
    let model = args.model.open(out)?;
    state::check(&model, args.adapter.as_deref(), out)?;
    let decoder = state::state(&model.decoder, args.adapter.as_deref())?;
    let load_seconds = loading.elapsed().as_secs_f64();
    let layers = args.layers.of(decoder.layers())?;
    let positions = distinct(args.positions.iter().copied());
    let (file, tokenizer, system) = (&*args.texts, &model.tokenizer, args.system.as_deref());
    let texts = Texts { file, tokenizer, system, held };
    let mut lacking = Lacking::new(&args.texts, &positions);
    let (mut n, mut n_tokens, mut beginning) = (0, 0, Vec::new());
    texts.each(&mut |row, tokens| {
        lacking.see(&row, &tokens);
        n += 1;
        n_tokens += tokens.ids.len();
        if n <= TEXTS {
            beginning.push(tokens);
        }
        Ok(())
    })?;
    let condition = match &args.adapter {
        Some(folder) => state::folder_name(folder),
        None => state::BASE.to_string(),
    };
    let missing = lacking.missing("NaN")?;
    missing.iter().for_each(|m| out.warn(&m.text));
    let spec = ActivationSpec {
        condition: condition.clone(),
        seed: 0,
        step: None,
        layers: layers.clone(),
        hidden: decoder.hidden(),
        positions: positions.iter().map(Position::to_string).collect(),
        precision: args.store,
    };
    let bytes = spec.bytes(n);
    let (p, l, hidden, megabytes) =
        (positions.len(), layers.len(), decoder.hidden(), bytes as f64 / 1e6);
    out.log(&format!(
        "{n} texts x {p} positions x {l} layers x {hidden}: {megabytes:.1} MB before compression"
    ));
    let config = json!({
        "texts": args.texts, "adapter": args.adapter, "system": args.system,
        "at": spec.positions, "layers": layers, "budget": args.budget,
    });
    let group = spec.group();
    model.decoder.note(&Packed::of(&beginning));
    let mut attrs = Origin { model: &model, config, seed: 0 }.attrs();
    attrs.warnings.extend(missing.iter().map(|m| m.text.clone()));
    let mut writer = ActivationWriter::create(&args.out, &attrs, spec)?;
    let request = Request { positions, layers: layers.clone(), budget: args.budget, absent: true };
    let begun = Instant::now();
    let (computed_rows, seconds) = texts.store(n, &decoder, &request, &mut writer, out)?;
    writer.finish()?;
    let total_seconds = begun.elapsed().as_secs_f64();
    let file_bytes = std::fs::metadata(&args.out).map_or(0, |m| m.len());
    let (file, megabytes) = (args.out.display(), file_bytes as f64 / 1e6);
    let speed = n_tokens as f64 / seconds;
    let text = format!(
        "file        {file} ({megabytes:.1} MB), group {group}/texts\n\
         texts       {n}\n\
         tokens      {n_tokens} ({computed_rows} rows computed after sharing beginnings)\n\
         seconds     {seconds:.2} reading, {total_seconds:.2} with writing, {load_seconds:.2} loading\n\
         speed       {speed:.0} tokens a second"
    );
    let json = json!({
        "file": args.out, "group": group, "condition": condition,
        "texts": n, "tokens": n_tokens, "rows": computed_rows, "seconds": seconds,
        "seconds_with_writing": total_seconds, "load_seconds": load_seconds,
        "absent": missing.iter().map(Missing::json).collect::<Vec<_>>(),
        "layers": layers, "bytes": file_bytes, "bytes_uncompressed": bytes,
    });
    out.result(&json, || text)
}

/// Role of the turn that ends a text: response, user, system, assistant, or text without a template.
fn role(tokens: &Tokens) -> String {
    let last = tokens.roles.iter().rev().find(|r| **r != Role::Template);
    last.map_or(String::new(), |r| r.name().into())
}

/// The texts of a file, read as often as they are needed: all of them are never in memory.
struct Texts<'a> {
    file: &'a Path,
    tokenizer: &'a Tokenizer,
    system: Option<&'a str>,
    /// Those of a pipe, which is read once.
    held: Option<Vec<TextRow>>,
}

/// Looks at every row before the model is loaded; gives those of a pipe.
fn checked(file: &Path) -> Result<Option<Vec<TextRow>>> {
    match file.is_file() {
        true => texts::each(file, &mut |_| anyhow::Ok(())).map(|()| None),
        false => Ok(Some(texts::parse(&materials::read(file)?, file)?)),
    }
}

/// Takes a row with its tokens.
type Take<'a> = &'a mut dyn FnMut(TextRow, Tokens) -> Result<()>;

impl Texts<'_> {
    /// Hands on every text in order.
    fn each(&self, take: Take) -> Result<()> {
        let mut rendered = |row: TextRow| {
            let read = reading::rendered(self.tokenizer, &row.body, self.system);
            let tokens = read.with_context(|| reading::place(self.file, &row))?.1;
            take(row, tokens)
        };
        match &self.held {
            Some(rows) => rows.iter().cloned().try_for_each(rendered),
            None => texts::each(self.file, &mut rendered),
        }
    }

    /// Reads the `n` texts and hands them to the writer; gives the rows computed and the seconds spent
    /// on anything but the writer.
    fn store(
        &self,
        n: usize,
        decoder: &Decoder,
        request: &Request,
        writer: &mut ActivationWriter,
        out: &Console,
    ) -> Result<(usize, f64)> {
        let begun = Instant::now();
        let mut progress = out.bar("reading", n);
        let a_text = 4 * request.positions.len() * request.layers.len() * decoder.hidden();
        let size = (PART_BYTES / a_text.max(1)).clamp(64, MOST_TEXTS);
        let mut reader = Reader {
            file: self.file,
            decoder,
            request,
            writer,
            waited: Duration::ZERO,
            computed_rows: 0,
            ready: VecDeque::new(),
        };
        let (mut part, mut seen): (Vec<(TextRow, Tokens)>, usize) = (Vec::new(), 0);
        self.each(&mut |row, tokens| {
            part.push((row, tokens));
            seen += 1;
            match part.len() == size {
                true => reader.read(std::mem::take(&mut part), &mut || progress.step("")),
                false => Ok(()),
            }
        })?;
        if !part.is_empty() {
            reader.read(part, &mut || progress.step(""))?;
        }
        drop(progress);
        ensure!(
            seen == n,
            "{} changed while it was read: it had {n} texts, then {seen}; run again",
            self.file.display()
        );
        let seconds = (begun.elapsed() - reader.waited).as_secs_f64();
        for sample in reader.ready {
            reader.writer.append(sample)?;
        }
        Ok((reader.computed_rows, seconds))
    }
}

/// From parts of the texts to the writer.
struct Reader<'a> {
    file: &'a Path,
    decoder: &'a Decoder,
    request: &'a Request,
    writer: &'a mut ActivationWriter,
    /// Time in which the writer kept it from working.
    waited: Duration,
    computed_rows: usize,
    /// Of the part before, written while the next is computed.
    ready: VecDeque<Sample>,
}

impl Reader<'_> {
    /// Reads one part; `step` is told each text.
    fn read(&mut self, part: Vec<(TextRow, Tokens)>, step: &mut dyn FnMut()) -> Result<()> {
        let (rows, tokens): (Vec<TextRow>, Vec<Tokens>) = part.into_iter().unzip();
        let mut held: Vec<Vec<(usize, Array2<f32>)>> = vec![Vec::new(); rows.len()];
        let Reader { writer, waited, ready, request, .. } = self;
        let mut sink = |i: usize, p: usize, values: Array2<f32>| {
            // Of a text without the position there is no row: only such are NaN.
            if !values.iter().all(|v| v.is_nan()) {
                held[i].push((p, values));
            }
            if p + 1 == request.positions.len() {
                step();
                if let Some(sample) = ready.pop_front() {
                    let handing = Instant::now();
                    writer.append(sample).map_err(|e| CaptureError::Sink(e.to_string()))?;
                    *waited += handing.elapsed();
                }
            }
            Ok(())
        };
        let work = capture(self.decoder, &tokens, request, &Interventions::none(), &mut sink);
        let work = work.map_err(|e| match e {
            CaptureError::NotFinite { text, position, layer } => {
                let place = reading::place(self.file, &rows[text]);
                anyhow!("{place}: the activation at `{position}` after block {layer} is NaN or infinite; the model's numbers overflowed there: look at the text and at any adapter")
            }
            other => other.into(),
        })?;
        self.computed_rows += work.rows;
        for ((row, tokens), rows) in rows.into_iter().zip(tokens).zip(held) {
            self.ready.push_back(Sample {
                set: "texts".into(),
                prompt_id: row.id,
                label: row.label.unwrap_or_default(),
                role: role(&tokens),
                n_tokens: tokens.ids.len() as u32,
                rows,
            });
        }
        Ok(())
    }
}
