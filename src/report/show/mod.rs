//! The answer of a results file as one page in a terminal, and the same as one JSON object.
//!
//! What was run, the question and its answer, what not to conclude, whether claims were taken, coupling by
//! layer, preferences, warnings by kind. [`of`] reads the file alone; [`Shown::text`] lays it out for a
//! screen. Answer and kinds are those of the report, plots have the data of its figures.

mod screen;

pub use screen::Screen;

use super::answer::{answer, Answer};
use super::draw;
use super::opened::Opened;
use super::warnings::{kinds, Kind};
use super::{called, names, said_json, sentences, ReportError};
use crate::analysis::records::{ContrastRow, FindingRow, Results};
use crate::analysis::BASE;
use crate::figures::coupling::CouplingData;
use crate::figures::Estimate;
use screen::{shorten, ForestRow, Look};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Widest label beside a sparkline.
const LABEL: usize = 18;
/// Forests of preferences that are laid out; the rest is named.
const FORESTS: usize = 3;

/// What is shown of a file. Serialised it is the JSON object of `residuum show --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    file: String,
    /// Name of the study; null for the file of a command.
    study: Option<String>,
    model: ModelShown,
    created: String,
    version: String,
    command: String,
    seed: u64,
    conditions: Vec<ConditionShown>,
    /// What was declared before the run; null where nothing was.
    declared: Option<String>,
    answer: Answer,
    /// All findings, each with its sentence.
    findings: Value,
    coupling: Vec<CouplingShown>,
    preferences: Vec<PreferenceShown>,
    warnings: Vec<Kind>,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    claims: Vec<ForestRow>,
}

#[derive(Debug, Clone, Serialize)]
struct ModelShown {
    id: String,
    sha256: String,
    layers: usize,
}

#[derive(Debug, Clone, Serialize)]
struct ConditionShown {
    condition: String,
    role: String,
    models: usize,
}

/// The cosine of a pair of concepts by layer.
#[derive(Debug, Clone, Serialize)]
struct CouplingShown {
    title: String,
    layers: Vec<usize>,
    /// Layers fixed beforehand.
    reported: Vec<usize>,
    /// Name of the null in base; empty where there is none.
    null: String,
    null_lo: Vec<f64>,
    null_hi: Vec<f64>,
    conditions: Vec<LineShown>,
}

#[derive(Debug, Clone, Serialize)]
struct LineShown {
    condition: String,
    estimate: Vec<f64>,
    lo: Vec<f64>,
    hi: Vec<f64>,
}

/// A preference of a condition against the reference.
#[derive(Debug, Clone, Serialize)]
struct PreferenceShown {
    set: String,
    reference: String,
    group: String,
    /// Empty over all isolated ones.
    preference: String,
    implied: bool,
    estimate: f64,
    lo: f64,
    hi: f64,
}

/// What a results file says.
///
/// # Errors
/// A file that is no results file of this version.
pub fn of(path: &Path) -> Result<Shown, ReportError> {
    let Opened { attrs, results: r, findings, doubted, .. } = Opened::at(path)?;
    let title = match names(&attrs) {
        (_, study) if study == "-" => format!("residuum results: {}", path.display()),
        (title, _) => title,
    };
    let answer = answer(&r, &findings, called(&attrs));
    Ok(Shown {
        file: path.display().to_string(),
        study: attrs.config.get("name").and_then(|n| n.as_str()).map(str::to_owned),
        model: ModelShown {
            id: attrs.model_id,
            sha256: attrs.model_sha256,
            layers: r.all_layers().len(),
        },
        created: attrs.created,
        version: attrs.version,
        command: attrs.command,
        seed: attrs.seed,
        conditions: conditions(&r),
        declared: sentences::declared(&r),
        answer,
        coupling: r
            .pairs()
            .into_iter()
            .enumerate()
            .filter_map(|(i, p)| coupling(&r, p, i))
            .collect(),
        preferences: preferences(&r),
        claims: claims(&findings),
        findings: said_json(&findings),
        warnings: kinds(&doubted),
        title,
    })
}

fn conditions(r: &Results) -> Vec<ConditionShown> {
    let of = |condition: &str, role: &str, models: usize| {
        let (condition, role) = (condition.to_owned(), role.to_owned());
        ConditionShown { condition, role, models }
    };
    match r.conditions.is_empty() {
        false => r.conditions.iter().map(|c| of(&c.condition, &c.role, c.n)).collect(),
        true => r.states.iter().map(|s| of(&s.state, "", 1)).collect(),
    }
}

fn coupling(r: &Results, pair: (&str, &str), nth: usize) -> Option<CouplingShown> {
    let data: CouplingData = draw::coupling(r, pair, nth);
    let null = data.nulls.iter().find(|n| n.label == "random directions").or(data.nulls.first());
    let column = |list: &[Estimate], of: fn(&Estimate) -> f64| list.iter().map(of).collect();
    let line = |c: &crate::figures::coupling::CouplingLine| LineShown {
        condition: c.condition.clone(),
        estimate: column(&c.mean, |e| e.value),
        lo: column(&c.mean, |e| e.lo),
        hi: column(&c.mean, |e| e.hi),
    };
    let shown = CouplingShown {
        title: data.y_label.clone(),
        null: null.map_or(String::new(), |n| n.label.clone()),
        null_lo: null.map_or(Vec::new(), |n| n.lo.clone()),
        null_hi: null.map_or(Vec::new(), |n| n.hi.clone()),
        conditions: data.conditions.iter().map(line).collect(),
        reported: data.chosen,
        layers: data.layers,
    };
    (!shown.layers.is_empty()).then_some(shown)
}

/// Preferences of the conditions at hand against the reference, behind the mean over isolated ones.
fn preferences(r: &Results) -> Vec<PreferenceShown> {
    let reference = r.reference().unwrap_or(BASE);
    let of = |set: &str, kind: &'static str| {
        let set = set.to_owned();
        r.contrasts.iter().filter(move |c| {
            c.measure == "log-odds" && c.kind == kind && c.set == set && c.reference == reference
        })
    };
    let shown = |c: &ContrastRow| PreferenceShown {
        set: c.set.clone(),
        reference: c.reference.clone(),
        group: c.group.clone(),
        preference: c.preference.clone(),
        implied: c.status == "implied",
        estimate: c.estimate,
        lo: c.lo,
        hi: c.hi,
    };
    let about = r.about().into_iter();
    about.flat_map(|set| of(set, "isolated").chain(of(set, "preference")).map(shown)).collect()
}

/// The manipulation check: how far each condition moved on its own claim, hollow where it did not take it.
fn claims(findings: &[FindingRow]) -> Vec<ForestRow> {
    let own = findings.iter().filter(|f| f.quantity == "took");
    let row = |f: &FindingRow| ForestRow {
        name: f.set.clone(),
        value: Estimate::new(f.estimate, f.lo, f.hi),
        hollow: f.verdict != "took",
    };
    own.map(row).collect()
}

impl Shown {
    /// The JSON object.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// The page.
    pub fn text(&self, screen: &Screen) -> String {
        let mut out =
            format!("{}\n", screen.paint(Look::Bold, &shorten(&self.title, screen.width)));
        out += &screen.wrap("  ", &self.run());
        if let Some(declared) = &self.declared {
            out += &screen.wrap("  ", declared);
        }
        out += &screen.heading(&self.answer.question);
        for (i, part) in self.answer.parts.iter().enumerate() {
            let told = format!("{}: {}", part.topic, part.said.text);
            out += &screen.wrap(&format!("  {}. ", i + 1), &told);
        }
        if self.answer.parts.is_empty() {
            out += &screen.wrap("  ", "The file holds no finding with a number.");
        }
        if !self.answer.cautions.is_empty() {
            out += &screen.heading("What not to conclude");
        }
        for caution in &self.answer.cautions {
            out += &screen.wrap("  - ", caution);
        }
        if !self.claims.is_empty() {
            out += &screen.heading("Movement on the own claim, from base; hollow: not taken");
            out += &screen.forest(&self.claims, "nats a token");
        }
        self.coupling.iter().for_each(|c| out += &c.text(screen));
        out += &self.forests(screen);
        out += &self.doubts(screen);
        let all = self.findings.as_array().map_or(0, Vec::len);
        let more = format!("{all} findings in all: residuum report {} --out FOLDER", self.file);
        out.push('\n');
        out + &screen.wrap("", &more)
    }

    /// What was run.
    fn run(&self) -> String {
        let one = |c: &ConditionShown| {
            let role = if c.role.is_empty() || c.role == c.condition { "" } else { &*c.role };
            let n = if c.models > 1 { format!("{} models", c.models) } else { String::new() };
            let notes: Vec<&str> = [role, &n].into_iter().filter(|t| !t.is_empty()).collect();
            match notes.is_empty() {
                true => c.condition.clone(),
                false => format!("{} ({})", c.condition, notes.join(", ")),
            }
        };
        let all: Vec<String> = self.conditions.iter().map(one).collect();
        let all = if all.is_empty() { String::new() } else { format!("; {}", all.join(", ")) };
        let ModelShown { id, layers, .. } = &self.model;
        let (version, created) = (&self.version, &self.created);
        format!(
            "{id}, {layers} layers read{all}. {created}, residuum {version}, seed {}.",
            self.seed
        )
    }

    fn forests(&self, screen: &Screen) -> String {
        let sets = crate::analysis::records::distinct(self.preferences.iter().map(|p| &p.set));
        let mut out = String::new();
        for set in sets.iter().take(FORESTS) {
            let own: Vec<&PreferenceShown> =
                self.preferences.iter().filter(|p| p.set == **set).collect();
            let reference = own.first().map_or("", |p| p.reference.as_str());
            let hollow = match own.iter().any(|p| p.implied) {
                true => "; hollow: implied by the training text",
                false => "",
            };
            out += &screen.heading(&format!("Preferences, {set} less {reference}{hollow}"));
            let row = |p: &&PreferenceShown| ForestRow {
                name: if p.preference.is_empty() { "all isolated" } else { &p.preference }.into(),
                value: Estimate::new(p.estimate, p.lo, p.hi),
                hollow: p.implied,
            };
            out += &screen.forest(&own.iter().map(row).collect::<Vec<_>>(), "nats a token");
        }
        if sets.len() > FORESTS {
            let rest: Vec<&str> = sets[FORESTS..].iter().map(|s| s.as_str()).collect();
            out += &screen.wrap("  ", &format!("Not shown: {}.", rest.join(", ")));
        }
        out
    }

    fn doubts(&self, screen: &Screen) -> String {
        let places: usize = self.warnings.iter().map(|k| k.places).sum();
        let mut out = screen.heading(&match self.warnings.len() {
            0 => "Warnings: none".to_owned(),
            n => format!("Warnings: {n} kinds, {places} places"),
        });
        for kind in &self.warnings {
            out += &screen.wrap(&format!("{:>5}  ", kind.places), &kind.advice);
        }
        out
    }
}

impl CouplingShown {
    /// A sparkline a condition on one scale, with the signs of layers outside the null's band.
    fn text(&self, screen: &Screen) -> String {
        let all = self
            .conditions
            .iter()
            .flat_map(|c| &c.estimate)
            .chain(&self.null_lo)
            .chain(&self.null_hi);
        let known = all.copied().filter(|v| v.is_finite());
        let (lo, hi) =
            known.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if lo > hi {
            return String::new();
        }
        let names = self.conditions.iter().map(|c| c.condition.chars().count());
        let label = names.max().unwrap_or(0).clamp(11, LABEL);
        // Wider than the screen: every second layer, or third.
        let every = self.layers.len().div_ceil(screen.width.saturating_sub(label + 4).max(1));
        let thin = |list: &[f64]| -> Vec<f64> { list.iter().copied().step_by(every).collect() };
        let (null_lo, null_hi) = (thin(&self.null_lo), thin(&self.null_hi));
        let line = |name: &str, bars: &str| format!("  {:<label$}  {bars}\n", shorten(name, label));
        let mut out = screen.heading(&format!("{} by layer", self.title));
        let (first, last) = (self.layers.first(), self.layers.last());
        let spans = match (first, last) {
            (Some(a), Some(b)) => format!("layers {a} to {b}"),
            _ => String::new(),
        };
        let step = if every > 1 { format!(", one in {every}") } else { String::new() };
        out += &screen
            .wrap("  ", &format!("{spans}{step}, bars from {lo:+.2} to {hi:+.2}{}", self.legend()));
        for c in &self.conditions {
            let values = thin(&c.estimate);
            let told = self.told(c);
            let bars = Screen::spark(&values, (lo, hi));
            let room = screen.width.saturating_sub(label + 4 + values.len());
            let told = if told.chars().count() <= room { told } else { String::new() };
            out += line(&c.condition, &format!("{bars}{told}")).trim_end();
            out.push('\n');
            let signs = Screen::signs(&values, &null_lo, &null_hi);
            if signs.contains(['+', '-']) {
                out += &line("", &signs);
            }
        }
        if !null_lo.is_empty() {
            for (name, band) in [("null, upper", &null_hi), ("null, lower", &null_lo)] {
                let text = line(name, &Screen::spark(band, (lo, hi)));
                out += &(screen.paint(Look::Faint, text.trim_end()) + "\n");
            }
        }
        out
    }

    fn legend(&self) -> String {
        match self.null.is_empty() {
            true => ".".into(),
            false => format!("; + above and - below the band of {} in base.", self.null),
        }
    }

    /// The numbers at the layers fixed beforehand, behind a sparkline.
    fn told(&self, line: &LineShown) -> String {
        let at = |l: &usize| self.layers.iter().position(|x| x == l).map(|i| line.estimate[i]);
        let each = self.reported.iter().filter_map(|l| Some((l, at(l).filter(|v| !v.is_nan())?)));
        each.map(|(l, v)| format!("  {l}: {v:+.2}")).collect()
    }
}
