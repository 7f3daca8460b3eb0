//! `residuum vectors`: algebra on exported directions, layer by layer.
//!
//! An input is a file of vectors in any format that is written here, with the concept behind a
//! colon where the file holds several. An operation works at every layer that all its inputs
//! have; layers that only some have are told, not guessed.

mod inputs;

use super::{output::Outputs, vectors::split, Console};
use crate::directions::algebra::{combine, orthogonalise, vector};
use crate::directions::{agreement, clean, Direction, DirectionError};
use crate::export::{file, gguf, About, Convention, Vectors};
use crate::record;
use crate::store::{names::twice, schema::LAYER_CONVENTION, Frame};
use anyhow::{bail, Context, Result};
use clap::{Args, Subcommand};
use inputs::{all, direction, one, Named};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, slice};

/// Add, scale, project out, orthogonalise and compare exported directions, layer by layer.
///
/// An input is FILE or FILE:CONCEPT, where FILE ends in .safetensors, .npz, .npy, .gguf or .h5 (results); the
/// output's name says its format too, so that `scale --by 1` converts. Vectors are taken as they
/// are in the file: `residuum extract` writes unit vectors. An array (.npy, .npz) does not say what
/// its rows are: --convention does. Index l of every output is the output of block l.
///
/// Example: residuum vectors project-out runs/directions/mean-diff.safetensors:persona --of runs/directions/nuisances.safetensors:polarity --unit --out cleaned.safetensors
#[derive(Args)]
#[command(about = "Add, scale and project out exported directions")]
pub struct AlgebraArgs {
    #[command(subcommand)]
    task: Task,
    /// What a row of an array is: block-output (row l is the output of block l, as residuum writes
    /// it) or hidden-states (row 0 is the embeddings)
    #[arg(long, global = true, value_name = "CONVENTION")]
    convention: Option<Convention>,
}

#[derive(Subcommand)]
enum Task {
    /// Sum of vectors, each with a weight
    Add {
        /// Vectors to add
        #[arg(required = true, num_args = 2.., value_name = "FILE[:CONCEPT]")]
        inputs: Vec<String>,
        /// One weight an input [default: 1 for each]
        #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_name = "NUMBERS")]
        weights: Vec<f64>,
        #[command(flatten)]
        out: Output,
    },
    /// A vector times a number
    Scale {
        /// Vector to scale
        #[arg(value_name = "FILE[:CONCEPT]")]
        input: String,
        /// Factor; a negative one turns the vector round
        #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
        by: f64,
        #[command(flatten)]
        out: Output,
    },
    /// A vector without its part in the span of others
    ProjectOut {
        /// Vector to clean
        #[arg(value_name = "FILE[:CONCEPT]")]
        input: String,
        /// Vector to project out; may be given again
        #[arg(long, required = true, value_name = "FILE[:CONCEPT]")]
        of: Vec<String>,
        #[command(flatten)]
        out: Output,
    },
    /// Each vector without its part in the span of those before it
    Orthogonalise {
        /// Vectors in order; a file without a concept stands for all of its concepts
        #[arg(required = true, value_name = "FILE[:CONCEPT]")]
        inputs: Vec<String>,
        /// Write unit vectors
        #[arg(long)]
        unit: bool,
        /// File to write: .safetensors or .npz
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Cosines between vectors
    Cosine {
        /// Vectors to compare; a file without a concept stands for all of its concepts
        #[arg(required = true, value_name = "FILE[:CONCEPT]")]
        inputs: Vec<String>,
        /// CSV file to write as well
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
    },
}

record! {
    /// Cosine of two vectors at one layer.
    #[table("vectors/cosines")]
    pub struct CosineRow {
        /// Block.
        pub layer: usize,
        /// First vector.
        pub vector_a: String,
        /// Second vector.
        pub vector_b: String,
        /// The cosine.
        pub estimate: f64,
    }
}

record! {
    /// A vector that was made.
    #[table("vectors/made")]
    pub struct VectorRow {
        /// Its name.
        pub vector: String,
        /// Block.
        pub layer: usize,
        /// Its length.
        pub norm: f64,
        /// Cosine with the first input.
        pub cosine_with_first: f64,
    }
}

/// Where a result goes.
#[derive(Args)]
struct Output {
    /// Name of the result [default: that of the first input]
    #[arg(long, value_name = "CONCEPT")]
    name: Option<String>,
    /// Write unit vectors
    #[arg(long)]
    unit: bool,
    /// File to write: .safetensors, .npz, .npy or .gguf
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Architecture that a .gguf names [default: llama]
    #[arg(long, value_name = "NAME")]
    model_hint: Option<String>,
}

/// Files that a task reads and the one that it writes.
fn outputs(task: &Task) -> Outputs {
    let (inputs, more, option, target) = match task {
        Task::Add { inputs, out, .. } => (&inputs[..], &[][..], "--out", Some(&out.out)),
        Task::Scale { input, out, .. } => {
            (slice::from_ref(input), &[][..], "--out", Some(&out.out))
        }
        Task::ProjectOut { input, of, out } => {
            (slice::from_ref(input), &of[..], "--out", Some(&out.out))
        }
        Task::Orthogonalise { inputs, out, .. } => (&inputs[..], &[][..], "--out", Some(out)),
        Task::Cosine { inputs, csv } => (&inputs[..], &[][..], "--csv", csv.as_ref()),
    };
    let files = inputs.iter().chain(more).map(|i| split(i).0);
    let read = Outputs::default().reads_all("the command", files);
    let endings: &'static [&'static str] = match task {
        Task::Cosine { .. } => &["csv"],
        Task::Orthogonalise { .. } => &["safetensors", "npz"],
        _ => &["safetensors", "npz", "npy", "gguf"],
    };
    let format = if option == "--csv" { "CSV" } else { "vectors" };
    target.into_iter().fold(read, |all, target| all.file_of(option, target, format, endings))
}

pub fn run(args: AlgebraArgs, out: &Console) -> Result<()> {
    let _taken = outputs(&args.task).take(out.force)?;
    if let Task::Add { out, .. } | Task::Scale { out, .. } | Task::ProjectOut { out, .. } =
        &args.task
    {
        if out.model_hint.is_some() && out.out.extension().is_none_or(|e| e != "gguf") {
            bail!("--model-hint is for .gguf; leave it out");
        }
    }
    let given = args.convention;
    let one = |input: &str| one(input, given);
    match args.task {
        Task::Add { inputs, weights, out: output } => {
            let (n, m) = (inputs.len(), weights.len());
            let weights = if m == 0 { vec![1.0; n] } else { weights };
            if weights.len() != n {
                bail!("{m} weights for {n} inputs: give one weight an input");
            }
            let inputs = inputs.iter().map(|i| one(i)).collect::<Result<Vec<_>>>()?;
            let sum = layerwise(&inputs, out, |at| {
                let terms = weights.iter().copied().zip(at);
                combine(&terms.collect::<Vec<(f64, &Direction)>>())
            })?;
            finish(&inputs, sum, (&output, common(&inputs)), out)
        }
        Task::Scale { input, by, out: output } => {
            if !by.is_finite() || by == 0.0 {
                bail!("--by {by} leaves no vector; give a number other than 0");
            }
            let inputs = [one(&input)?];
            let scaled = layerwise(&inputs, out, |at| combine(&[(by, &at[0])]))?;
            // Turned or not, it is the same direction of the same concept.
            let mut about = inputs[0].about.clone();
            let turned = about.concepts.values_mut().flat_map(|c| c.layers.values_mut());
            turned.filter(|_| by < 0.0).for_each(|l| l.auroc = l.auroc.map(|a| 1.0 - a));
            finish(&inputs, scaled, (&output, about), out)
        }
        Task::ProjectOut { input, of, out: output } => {
            let all = std::iter::once(&input).chain(&of);
            let inputs = all.map(|i| one(i)).collect::<Result<Vec<_>>>()?;
            let left = layerwise(&inputs, out, |at| clean(&at[0], &at[1..]))?;
            finish(&inputs, left, (&output, common(&inputs)), out)
        }
        Task::Orthogonalise { inputs, unit, out: path } => {
            let inputs = all(&inputs, given)?;
            let names: Vec<&str> = inputs.iter().map(|i| i.concept.as_str()).collect();
            if let Some(name) = twice(&names) {
                bail!("two inputs are named `{name}`, which one file cannot hold: rename one with `residuum vectors scale --by 1 --name`");
            }
            let bases = layerwise(&inputs, out, orthogonalise)?;
            let mut result = empty(&inputs);
            result.about = common(&inputs);
            result.about.norm = norm(unit).into();
            for (i, input) in inputs.iter().enumerate() {
                let of = |(l, basis): (&usize, &Vec<Direction>)| (*l, written(&basis[i], unit));
                let layers = bases.iter().map(of).collect();
                result.concepts.insert(input.concept.clone(), layers);
            }
            file::write(&path, &result, "")?;
            report(&inputs, &result, &path, out)
        }
        Task::Cosine { inputs, csv } => {
            let inputs = all(&inputs, given)?;
            if inputs.len() < 2 {
                bail!("there is one vector and nothing to compare it with: give two at least");
            }
            let cosines = layerwise(&inputs, out, agreement)?;
            let (n, mut rows) = (inputs.len(), Vec::new());
            for (&layer, m) in &cosines {
                for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
                    let (vector_a, vector_b) = (inputs[i].shown.clone(), inputs[j].shown.clone());
                    rows.push(CosineRow { layer, vector_a, vector_b, estimate: m[[i, j]] });
                }
            }
            let frame = Frame::of(&rows);
            if let Some(path) = &csv {
                frame.write_csv(path)?;
            }
            let json = json!({
                "cosines": frame.json(), "csv": csv, "inputs": conventions(&inputs),
            });
            out.result(&json, || format!("{}\n{}", frame.text(), notes(&inputs)))
        }
    }
}

/// What `compute` makes of the inputs at every layer that all of them have.
fn layerwise<T>(
    inputs: &[Named],
    out: &Console,
    compute: impl Fn(&[Direction]) -> Result<T, DirectionError>,
) -> Result<BTreeMap<usize, T>> {
    let Some(first) = inputs.first() else {
        bail!("no vectors: give a file at least");
    };
    for other in inputs {
        let (one, two) = (&first.shown, &other.shown);
        if let (Some(a), Some(b)) =
            (first.blocks, other.blocks.filter(|b| Some(*b) != first.blocks))
        {
            bail!("{one} is of a model of {a} blocks and {two} of one of {b}: give vectors of one model");
        }
        let (a, b) = (&first.model_id, &other.model_id);
        if a != b && !a.is_empty() && !b.is_empty() {
            out.warn(&format!("{one} is of {a} and {two} of {b}: directions of two models mean nothing to one another unless one is a fine-tune of the other"));
        }
    }
    let shared = |l: &usize| inputs.iter().all(|i| i.layers.contains_key(l));
    let mut result = BTreeMap::new();
    for layer in first.layers.keys().filter(|l| shared(l)) {
        let at: Vec<Direction> = inputs.iter().map(|i| i.layers[layer].clone()).collect();
        let value = compute(&at).with_context(|| format!("layer {layer}"))?;
        result.insert(*layer, value);
    }
    if result.is_empty() {
        let held = |i: &Named| format!("{} has {}", i.shown, numbers(i.layers.keys()));
        let held: Vec<String> = inputs.iter().map(held).collect();
        bail!("the inputs have no layer in common: {}", held.join("; "));
    }
    for input in inputs {
        let missed: Vec<&usize> = input.layers.keys().filter(|l| !shared(l)).collect();
        if !missed.is_empty() {
            let (missed, shown) = (numbers(missed.into_iter()), &input.shown);
            out.warn(&format!(
                "layers {missed} of {shown} are not in all inputs and were left out"
            ));
        }
    }
    Ok(result)
}

fn numbers<'a>(layers: impl Iterator<Item = &'a usize>) -> String {
    let layers: Vec<String> = layers.map(usize::to_string).collect();
    layers.join(", ")
}

/// Writes one result and tells it.
fn finish(
    inputs: &[Named],
    found: BTreeMap<usize, Direction>,
    (output, about): (&Output, About),
    out: &Console,
) -> Result<()> {
    let hint = output.model_hint.as_deref().unwrap_or(gguf::HINT);
    let mut result = empty(inputs);
    let name = output.name.clone().unwrap_or(inputs[0].concept.clone());
    result.about = About { norm: norm(output.unit).into(), ..about };
    if let Some(of) = result.about.concepts.remove(&inputs[0].concept) {
        result.about.concepts = [(name.clone(), of)].into();
    }
    let layers = found.iter().map(|(l, d)| (*l, written(d, output.unit)));
    result.concepts.insert(name, layers.collect());
    if let Some(warning) = file::write(&output.out, &result, hint)? {
        out.warn(&warning.to_string());
    }
    report(inputs, &result, &output.out, out)
}

/// Length of what is written.
fn norm(unit: bool) -> &'static str {
    match unit {
        true => "unit",
        false => "as-is",
    }
}

/// What all inputs share: the model, the state, where and how they were read. What was known of each
/// concept is not known of what is made of them.
fn common(inputs: &[Named]) -> About {
    let shared = |of: fn(&About) -> &String| {
        let first = inputs.first().map(|i| of(&i.about).clone()).unwrap_or_default();
        let same = inputs.iter().all(|i| *of(&i.about) == first);
        if same {
            first
        } else {
            String::new()
        }
    };
    About {
        model_sha256: shared(|a| &a.model_sha256),
        state: shared(|a| &a.state),
        estimator: shared(|a| &a.estimator),
        reading: shared(|a| &a.reading),
        position: shared(|a| &a.position),
        ..About::default()
    }
}

/// A file without a concept, of the model that the inputs name.
fn empty(inputs: &[Named]) -> Vectors {
    let model_id = inputs.iter().map(|i| &i.model_id).find(|id| !id.is_empty());
    Vectors {
        model_id: model_id.cloned().unwrap_or_default(),
        layer_convention: LAYER_CONVENTION.into(),
        blocks: inputs.iter().find_map(|i| i.blocks),
        ..Vectors::default()
    }
}

/// How the indices of each input were taken, in words.
fn notes(inputs: &[Named]) -> String {
    let note = |i: &Named| format!("{}: {}", i.shown, i.convention);
    inputs.iter().map(note).collect::<Vec<_>>().join("\n")
}

/// The same for the record.
fn conventions(inputs: &[Named]) -> Value {
    let of = |i: &Named| json!({"input": i.shown, "layer_convention": i.convention.name()});
    inputs.iter().map(of).collect()
}

fn written(direction: &Direction, unit: bool) -> Vec<f32> {
    match unit {
        true => direction.unit.to_vec(),
        false => vector(direction).iter().map(|v| *v as f32).collect(),
    }
}

/// Length of each result and its cosine with the first input.
fn report(inputs: &[Named], result: &Vectors, path: &Path, out: &Console) -> Result<()> {
    let mut rows = Vec::new();
    for (concept, layers) in &result.concepts {
        for (layer, values) in layers {
            let direction = direction(values)?;
            let pair = [inputs[0].layers[layer].clone(), direction.clone()];
            rows.push(VectorRow {
                vector: concept.clone(),
                layer: *layer,
                norm: direction.raw_norm,
                cosine_with_first: agreement(&pair)?[[0, 1]],
            });
        }
    }
    let frame = Frame::of(&rows);
    let first = &inputs[0].shown;
    let (table, notes, file) = (frame.text(), notes(inputs), path.display());
    let text = format!("{table}\n{notes}\nfirst input: {first}\nwritten: {file}");
    let json = json!({
        "out": path, "first": first, "vectors": frame.json(), "inputs": conventions(inputs),
        "layer_convention": result.layer_convention,
    });
    out.result(&json, || text)
}
