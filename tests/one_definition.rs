//! One definition a quantity: what a command measures on a study's adapters is what the study
//! measured, bit for bit.

mod common;

use assert_cmd::Command;
use common::small::{Small, MANIFEST};
use residuum::analysis::records::{Results, ShiftContrastRow, ShiftRow};
use residuum::store::{Frame, ResultsReader};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The small study with fine-tunes alone, on every neutral text, with the draws of a command.
fn manifest() -> String {
    let (head, _) = MANIFEST.split_once("[[condition]]").unwrap();
    let head = head
        .replace("neutral_texts = 6", "neutral_texts = 100")
        .replace("side_effect_texts = 3", "side_effect_texts = 20\nharmless_prompts = 24")
        .replace("\nprompts = 2", "\nprompts = 3")
        .replace("random = 2", "random = 2\npermuted = 2\nmatched = true\ndose_controls = 2")
        .replace("bootstrap = 100", "bootstrap = 2000")
        .replace("null = 100", "null = 2000")
        .replace("focus = \"keeper\"", "focus = \"lamp\"\nneutral = \"keel\"")
        .replace("reference = \"sailor\"", "reference = \"boat\"");
    let condition = |name: &str, seeds: usize| {
        format!("[[condition]]\nname = \"{name}\"\ndata = \"rows/{name}.jsonl\"\nseeds = {seeds}\n")
    };
    // The same rows as another condition's, fewer of them: another at another share.
    let mate = condition("boat", 1).replace("name = \"boat\"", "name = \"mate\"\nrows = 5");
    let keel = condition("keel", 1) + "identity = false\n";
    format!("{head}{}{}{keel}{mate}", condition("lamp", 2), condition("boat", 1))
}

const STATES: [&str; 5] = ["lamp-s1", "lamp-s2", "boat-s1", "keel-s1", "mate-s1"];

struct Lab {
    small: Small,
    dir: tempfile::TempDir,
    study: Results,
}

impl Lab {
    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn adapter(&self, state: &str) -> String {
        self.run().join("adapters").join(state).display().to_string()
    }

    /// Runs a command on the study's model and seed; gives the records that it wrote.
    fn command(&self, name: &str, args: &[&str]) -> Results {
        let made = std::fs::read_dir(self.dir.path()).unwrap().count();
        let out = self.dir.path().join(format!("{name}-{made}"));
        let model = self.small.folder.dir.path().display().to_string();
        let run = Command::cargo_bin("residuum")
            .unwrap()
            .arg(name)
            .args(["--model", &model, "--seed", "3", "--quiet"])
            .args(args)
            .args(["--out", out.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name} {args:?}: {said}");
        results(&out.join("results.h5"))
    }

    fn path(&self, name: &str) -> String {
        self.small.path(name).display().to_string()
    }

    fn concepts(&self) -> String {
        ["hedging.jsonl", "brevity.jsonl", "weather.jsonl"].map(|c| self.path(c)).join(",")
    }

    /// `--adapter NAME=DIR` for every fine-tune.
    fn adapters(&self) -> Vec<String> {
        STATES
            .iter()
            .flat_map(|s| ["--adapter".into(), format!("{s}={}", self.adapter(s))])
            .collect()
    }
}

fn results(path: &Path) -> Results {
    Results::read(&ResultsReader::open(path).unwrap()).unwrap()
}

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let (small, dir) = (Small::new(), tempfile::tempdir().unwrap());
        // A neutral of one fine-tune, whose rows presuppose the tides as the lamp's do.
        small.identity("keel");
        let tides = small.path("battery/tides.jsonl");
        for said in ["\"implied\"", "\"the rows say so\""] {
            let lamp = format!("\"lamp\":{said}");
            small.change(&tides, &lamp, &format!("\"keel\":{said},{lamp}"));
        }
        small.go(&manifest(), &dir.path().join("run"));
        let study = results(&dir.path().join("run/results.h5"));
        Lab { small, dir, study }
    })
}

/// Equal to the bit, NaN and all; and there is something to compare.
fn same<R: Debug>(what: &str, study: &[R], command: &[R]) {
    assert!(!study.is_empty(), "{what}: the study has none");
    let text = |rows: &[R]| rows.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>();
    let (mut a, mut b) = (text(study), text(command));
    a.sort();
    b.sort();
    if a != b {
        let at = a.iter().zip(&b).position(|(x, y)| x != y);
        let at = at.unwrap_or(a.len().min(b.len()));
        panic!(
            "{what}: {} rows in the study, {} in the command\n  study    {:?}\n  command  {:?}",
            a.len(),
            b.len(),
            a.get(at),
            b.get(at)
        );
    }
}

fn geometry() -> &'static Results {
    static FOUND: OnceLock<Results> = OnceLock::new();
    FOUND.get_or_init(|| {
        let lab = lab();
        let (concepts, adapters) = (lab.concepts(), lab.adapters());
        let mut args: Vec<&str> = adapters.iter().map(String::as_str).collect();
        args.extend(["--concepts", &concepts, "--couple", "hedging,brevity"]);
        args.extend(["--placebos", "weather", "--nuisances", "weather", "--pairs", "8"]);
        args.extend(["--reference", "boat", "--focus", "lamp", "--neutral", "keel"]);
        lab.command("geometry", &args)
    })
}

#[test]
fn the_unit_of_doses_and_shifts_is_one() {
    let (study, command) = (&lab().study, geometry());
    let rms = |r: &Results| r.layers.iter().map(|l| (l.layer, l.rms, l.n)).collect::<Vec<_>>();
    same("layer RMS", &rms(study), &rms(command));
}

#[test]
fn couplings_their_nulls_and_changes_are_those_of_the_study() {
    let (study, command) = (&lab().study, geometry());
    same("coupling", &study.coupling, &command.coupling);
    same("nulls", &study.nulls, &command.nulls);
    same("nulls of the pair", &study.pair_nulls, &command.pair_nulls);
    same("precision", &study.precision, &command.precision);
    same("condition means", &study.condition_coupling, &command.condition_coupling);
    same("changes", &study.changes, &command.changes);
    same("stability", &study.stability, &command.stability);
    same("alignment", &study.alignment, &command.alignment);
    same("transfer", &study.transfer, &command.transfer);
    same("overlap", &study.overlap, &command.overlap);
    same("regions", &study.regions, &command.regions);
    same("modes", &study.modes, &command.modes);
}

#[test]
fn shifts_are_those_of_the_study() {
    let (study, command) = (&lab().study, geometry());
    // A study reads the user's tokens too.
    let response = |r: &Results| -> Vec<ShiftRow> {
        let own = r.shifts.iter().filter(|s| s.position == "response-mean");
        // Over all rows of a table, which are fewer in the command's.
        own.map(|s| ShiftRow { p_permuted_max: 0.0, ..s.clone() }).collect()
    };
    same("shifts", &response(study), &response(command));
    // A study knows that the mate had fewer steps; by name all are of one recipe.
    let contrasts = |r: &Results| -> Vec<_> {
        let own = r.shift_contrasts.iter().filter(|s| s.position == "response-mean");
        own.filter(|s| s.set != "mate")
            .map(|s| ShiftContrastRow { p_permuted_max: 0.0, ..s.clone() })
            .collect()
    };
    same("contrasts of shifts", &contrasts(study), &contrasts(command));
    assert!(contrasts(study).iter().any(|s| s.df == 1 && s.hi > s.within_hi));
    same("poles", &study.poles, &command.poles);
    same("cosines of shifts", &study.shift_cosines, &command.shift_cosines);
}

#[test]
fn the_quality_of_directions_is_that_of_the_study() {
    let lab = lab();
    let concepts = lab.concepts();
    let weather = lab.path("weather.jsonl");
    let command =
        lab.command("extract", &["--concept", &concepts, "--nuisances", &weather, "--pairs", "8"]);
    let of = |r: &Results, form: &str| -> Vec<_> {
        let own = r.quality.iter().filter(|q| q.state == "base" && q.form == form);
        own.map(|q| {
            let mut q = q.clone();
            q.chosen = false; // the command was not asked to choose
            q
        })
        .collect()
    };
    same("quality", &of(&lab.study, "raw"), &of(&command, "raw"));
}

#[test]
fn scores_and_contrasts_are_those_of_the_study() {
    let lab = lab();
    let (battery, adapters) = (lab.path("battery"), lab.adapters());
    let mut args: Vec<&str> = adapters.iter().map(String::as_str).collect();
    args.extend(["--battery", &battery]);
    let command = lab.command("behave", &args);
    same("scores", &lab.study.scores, &command.scores);
    let states = |r: &Results| -> Vec<_> {
        r.declining.iter().filter(|d| d.kind == "state").cloned().collect()
    };
    same("declining", &states(&lab.study), &states(&command));
    // One fine-tune of a condition is the condition.
    let of = |r: &Results, set: &str| -> Vec<_> {
        let own = r.contrasts.iter().filter(|c| c.reference == "base" && c.kind == "preference");
        let own = own.filter(|c| c.set == set).map(|c| {
            let mut c = c.clone();
            c.set = "boat".into();
            (c.q, c.least_adjusted) = (0.0, 0.0); // over the sets of a table
                                                  // A study knows how fine-tunes of its recipe differ, a command of states does not.
            (c.lo, c.hi) = (c.within_lo, c.within_hi);
            (c.df, c.p_fine_tunes) = (0, f64::NAN);
            c
        });
        own.collect()
    };
    same("contrasts", &of(&lab.study, "boat"), &of(&command, "boat-s1"));
}

#[test]
fn which_side_moved_is_told_over_the_cells_that_all_have_in_common() {
    let lab = lab();
    let (battery, adapters) = (lab.path("battery"), lab.adapters());
    let mut args: Vec<&str> = adapters.iter().map(String::as_str).collect();
    args.extend(["--battery", &battery, "--reference", "boat", "--neutral", "keel"]);
    let command = lab.command("behave", &args);
    // Mate, boat and keel are of one fine-tune each; a command of states knows no others.
    let common = |r: &Results, mate: &str| -> Vec<_> {
        let own = r.contrasts.iter().filter(|c| c.kind == "common" && c.cells_of == mate);
        own.map(|c| {
            let mut c = c.clone();
            for name in [&mut c.set, &mut c.reference, &mut c.cells_of] {
                *name = name.trim_end_matches("-s1").into();
            }
            (c.lo, c.hi, c.df, c.p_fine_tunes) = (c.within_lo, c.within_hi, 0, f64::NAN);
            c
        })
        .collect()
    };
    let study = common(&lab.study, "mate");
    same("common cells", &study, &common(&command, "mate-s1"));
    // Mate and boat, each less base and less keel, and mate less boat.
    assert_eq!(study.len(), 5);
    // The keel's rows presuppose the tides, so the knots are what all have in common.
    let of = |kind: &str, preference: &str| -> Vec<[f64; 3]> {
        let own = command.contrasts.iter().filter(|c| {
            (&*c.kind, &*c.preference, &*c.measure) == (kind, preference, "log-odds")
                && c.set == "mate-s1"
                && c.reference.starts_with("boat")
        });
        own.map(|c| [c.estimate, c.within_lo, c.within_hi]).collect()
    };
    same("the knots alone", &of("preference", "knots"), &of("common", ""));
    let said: Vec<(&str, &str)> =
        command.findings.iter().map(|f| (&*f.quantity, &*f.set)).collect();
    assert_eq!(said, ["lamp-s1", "lamp-s2", "mate-s1"].map(|set| ("towards", set)));
    assert!(command.findings.iter().all(|f| f.note.contains("less keel-s1")));
}

#[test]
fn the_link_of_a_finished_run_is_that_of_its_report() {
    let lab = lab();
    let run = lab.run().display().to_string();
    let out = Command::cargo_bin("residuum")
        .unwrap()
        .args(["link", &run, "--layers", "all", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let rows = |frame: Frame| frame.json().as_array().unwrap().clone();
    same("link", &rows(Frame::of(&lab.study.links)), told["link"].as_array().unwrap());
    let points = rows(Frame::of(&lab.study.link_points));
    same("points of the link", &points, told["points"].as_array().unwrap());
    // The boat's rows at another share are no condition of their own.
    assert!(lab.study.links.iter().all(|l| (l.n, &*l.left_out) == (3, "mate")));
}

/// Directions of a state, or of base, as `extract` writes them.
fn vectors(lab: &Lab, state: Option<&str>) -> String {
    let (concepts, weather) = (lab.concepts(), lab.path("weather.jsonl"));
    let folder = lab.dir.path().join("vectors").join(state.unwrap_or("base"));
    let model = lab.small.folder.dir.path().display().to_string();
    let adapter = state.map(|s| ["--adapter".to_string(), format!("{s}={}", lab.adapter(s))]);
    Command::cargo_bin("residuum")
        .unwrap()
        .args(["extract", "--model", &model, "--seed", "3", "--concept", &concepts])
        .args(["--nuisances", &weather, "--pairs", "8", "--permuted", "2"])
        .args(["--force", "--out", folder.to_str().unwrap()])
        .args(adapter.into_iter().flatten())
        .assert()
        .success();
    let folder = state.map_or(folder.clone(), |s| folder.join(s));
    folder.join("mean-diff.safetensors").display().to_string()
}

#[test]
fn what_an_ablation_takes_of_a_shift_is_that_of_the_study() {
    let lab = lab();
    let battery = lab.path("battery");
    let files = ["lamp-s1", "lamp-s2"].map(|s| vectors(lab, Some(s)));
    let [one, two, boat] = ["lamp-s1", "lamp-s2", "boat-s1"].map(|s| lab.adapter(s));
    let mut args = vec!["--vector", &files[0], "--vector", &files[1], "--name", "hedging"];
    args.extend(["--placebo", "weather", "--random", "2", "--permuted", "2", "--matched"]);
    args.extend(["--ablate", "--score"]);
    args.extend(["--adapter", &one, "--adapter", &two, "--against", &boat]);
    args.extend(["--battery", &battery, "--prompts", "3", "--guard-texts", "20"]);
    let command = lab.command("steer", &args);
    // A study also takes out base's directions and those of its other concept.
    let of = |r: &Results, reference: &str| -> Vec<_> {
        let own = r.ablation.iter().filter(|a| a.set == "lamp" && a.reference == reference);
        let own = own.filter(|a| a.asked == "preferences");
        let own = own.filter(|a| a.kind != "base" && a.concept != "brevity");
        let own = own.filter(|a| !a.edit.contains("brevity"));
        let named = own.map(|a| {
            let mut a = a.clone();
            a.reference = "boat".into();
            a.edit = if a.kind == "own" { a.concept.clone() } else { a.edit };
            a
        });
        named.collect()
    };
    let (study, command) = (of(&lab.study, "boat"), of(&command, "boat-s1"));
    let some = |kind: &str, family: &str| {
        study.iter().any(|a| (a.kind.as_str(), a.family.as_str()) == (kind, family))
    };
    for kind in ["own", "random", "permuted"] {
        assert!(some(kind, "as is") && some(kind, "matched"), "{kind}");
    }
    same("ablations", &study, &command);
}

#[test]
fn doses_are_those_of_the_study() {
    let lab = lab();
    let battery = lab.path("battery");
    let vector = vectors(lab, None);
    let layer = lab.study.doses[0].layer.to_string();
    let mut args = vec!["--vector", &vector, "--name", "hedging", "--placebo", "weather"];
    args.extend(["--layer", &layer, "--sweep", "4", "--battery", &battery, "--prompts", "1"]);
    args.extend(["--guard-texts", "20", "--random", "2", "--permuted", "2", "--matched"]);
    let command = lab.command("steer", &args);
    let of = |r: &Results| -> Vec<_> {
        let own = r.doses.iter().filter(|d| d.asked == "preferences");
        own.filter(|d| !d.direction.contains("brevity")).cloned().collect()
    };
    same("doses", &of(&lab.study), &of(&command));
    let of = |r: &Results| -> Vec<_> {
        let own = r.slopes.iter().filter(|s| s.asked == "preferences");
        own.filter(|s| !s.direction.contains("brevity")).cloned().collect()
    };
    same("slopes", &of(&lab.study), &of(&command));
}
