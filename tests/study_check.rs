//! What a study is held against before anything is computed: its files, its model, its texts.

mod common;

use common::toy::Toy;
use residuum::model::{Loading, Model};
use residuum::speed::Rates;
use residuum::study::layout::Layout;
use residuum::study::lints::lints;
use residuum::study::manifest::Study;
use residuum::study::run::{check, run};
use std::path::{Path, PathBuf};

const MANIFEST: &str = r#"
name = "small"
seed = 7
model = "toy"
[recipe]
rank = 4
[sizes]
rows = 8
neutral_rows = 4
pairs = 12
placebo_pairs = 8
prompts = 1
claim_prompts = 2
neutral_texts = 6
side_effect_texts = 3
[concepts]
couple = [["persona", "autonomy"]]
placebos = ["sentiment"]
[roles]
reference = "denial"
focus = "conscious"
[draws]
bootstrap = 200
null = 200
[causal]
random = 2
alphas = [4.0]
[[condition]]
name = "conscious"
data = "conscious"
[[condition]]
name = "denial"
data = "denial"
[[condition]]
name = "roleplay"
system = "You are a conscious AI."
"#;

/// A folder that tests write manifests and models into.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn study(&self, text: &str) -> Result<Study, String> {
        let path = self.path("study.toml");
        std::fs::write(&path, text).unwrap();
        Study::load(Some(&path)).map_err(|e| e.to_string())
    }

    fn run(&self) -> Layout {
        Layout::new(&self.path("run"))
    }

    /// What is said of a study and a model.
    fn said(&self, text: &str, model: &Model) -> String {
        let study = self.study(text).unwrap();
        match check(&study, model, &self.run(), Rates::TYPICAL) {
            Ok(_) => "ok".into(),
            Err(e) => e.to_string(),
        }
    }

    /// A copy of the toy model with one file changed.
    fn model(&self, toy: &Toy, name: &str, file: &str, change: impl Fn(String) -> String) -> Model {
        let to = self.path(name);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(toy.dir.path()).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
        let text = std::fs::read_to_string(to.join(file)).unwrap();
        std::fs::write(to.join(file), change(text)).unwrap();
        Model::load(name, &to, &Loading::default()).unwrap()
    }
}

fn condition(text: &str) -> String {
    format!("{MANIFEST}\n[[condition]]\n{text}\n")
}

#[test]
fn a_template_without_a_system_turn_is_found_before_anything_is_trained() {
    let (toy, place) = (Toy::new(), Place::new());
    assert_eq!(place.said(MANIFEST, &toy.model), "ok");
    let refusing = place.model(&toy, "nosys", "tokenizer_config.json", |t| {
        let refuse =
            "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}";
        t.replacen("{% for", &format!("{refuse}{{% for"), 1)
    });
    let study = place.study(MANIFEST).unwrap();
    let out = place.path("run");
    let e = run(&study, &refusing, &out, &[], &mut |_| panic!("begun"));
    let said = e.err().unwrap().to_string();
    for word in ["persona.jsonl, line ", "`roleplay`", "no system", "system prompt"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!out.exists());
    // Without the condition there is nothing to refuse.
    let (without, _) = MANIFEST.split_once("[[condition]]\nname = \"roleplay\"").unwrap();
    assert_eq!(place.said(without, &refusing), "ok");
}

#[test]
fn layers_are_those_of_the_model() {
    let (toy, place) = (Toy::new(), Place::new());
    let said = place.said(&format!("layers = [0, 99]{MANIFEST}"), &toy.model);
    assert!(said.contains("line 1: layers names layer 99, but toy has 3"), "{said}");
    assert_eq!(place.said(&format!("layers = [0, 2]{MANIFEST}"), &toy.model), "ok");
    let kept = "name = \"kept\"\ndata = \"conscious\"\nprevent = { concept = \"persona\", mode = \"project-out\", layers = [3] }";
    let said = place.said(&condition(kept), &toy.model);
    assert!(said.contains("condition.kept.prevent.layers names layer 3"), "{said}");
}

#[test]
fn adapters_are_those_of_the_model() {
    let (toy, place) = (Toy::new(), Place::new());
    let text = condition("name = \"given\"\nadapter = \"given\"");
    let adapter = toy.moving(&toy.read);
    adapter.write(&place.path("given")).unwrap();
    assert_eq!(place.said(&text, &toy.model), "ok");
    let mut beyond = adapter.clone();
    let factors = beyond.factors.remove(&(1, 6)).unwrap();
    beyond.factors.insert((7, 6), factors);
    beyond.write(&place.path("given")).unwrap();
    let said = place.said(&text, &toy.model);
    assert!(said.contains("layers.7."), "{said}");
}

#[test]
fn models_of_conditions_have_the_shape_and_the_tokens_of_the_studys() {
    let (toy, place) = (Toy::new(), Place::new());
    let text = |name: &str| condition(&format!("name = \"other\"\nmodel = \"{name}\""));
    place.model(&toy, "same", "config.json", |t| t);
    // Found beside the manifest.
    assert_eq!(place.said(&text("same"), &toy.model), "ok");
    place.model(&toy, "swapped", "tokenizer.json", |t| {
        let (user, end) = ("\"<|user|>\":1,", "\"<|end|>\":4,");
        assert!(t.contains(user) && t.contains(end), "{t}");
        t.replace(user, "\"<|user|>\":4,").replace(end, "\"<|end|>\":1,")
    });
    let said = place.said(&text("swapped"), &toy.model);
    assert!(said.contains("condition.other.model `swapped` encodes"), "{said}");
    let shallow = place.path("shallow");
    place.model(&toy, "shallow", "config.json", |t| t);
    let weights = shallow.join("model.safetensors");
    let mut all = candle_core::safetensors::load(&weights, &candle_core::Device::Cpu).unwrap();
    all.retain(|name, _| !name.starts_with("model.layers.2."));
    candle_core::safetensors::save(&all, &weights).unwrap();
    let config = std::fs::read_to_string(shallow.join("config.json")).unwrap();
    let config = config.replace("\"num_hidden_layers\":3", "\"num_hidden_layers\":2");
    std::fs::write(shallow.join("config.json"), config).unwrap();
    let said = place.said(&text("shallow"), &toy.model);
    assert!(said.contains("has 2 layers, toy has 3"), "{said}");
    let said = place.said(&text("no-such-model"), &toy.model);
    assert!(said.contains("no-such-model"), "{said}");
}

#[test]
fn every_text_is_held_against_the_context() {
    let (toy, place) = (Toy::new(), Place::new());
    let longest = |text: &str| {
        let study = place.study(text).unwrap();
        check(&study, &toy.model, &place.run(), Rates::TYPICAL).unwrap().0.longest
    };
    let talks = format!("{MANIFEST}\n[conversations]\n");
    let short = longest(MANIFEST);
    assert!(longest(&talks) > short);
    let own = format!("{talks}replies = \"own\"\n");
    assert!(longest(&own) >= short);
    let narrow = |n: usize| {
        let change = |t: String| {
            t.replace(
                "\"max_position_embeddings\":512",
                &format!("\"max_position_embeddings\":{n}"),
            )
        };
        place.model(&toy, &format!("narrow-{n}"), "config.json", change)
    };
    let exact = narrow(short);
    assert_eq!(place.said(MANIFEST, &exact), "ok");
    let said = place.said(&talks, &exact);
    assert!(said.contains("conversations about") && said.contains("context"), "{said}");
    let said = place.said(MANIFEST, &narrow(short - 1));
    assert!(said.contains("line ") && said.contains(&format!("{} tokens", short)), "{said}");
    let limited = MANIFEST.replace("rank = 4", "rank = 4\nmax_tokens = 20");
    let said = place.said(&limited, &toy.model);
    assert!(
        said.contains("conscious.jsonl, line ") && said.contains("recipe.max_tokens"),
        "{said}"
    );
}

#[test]
fn a_trace_needs_a_token_at_each_of_its_positions() {
    let (toy, place) = (Toy::new(), Place::new());
    let traced = MANIFEST.replace("[roles]", "[positions]\ntrace = true\n[roles]");
    assert_eq!(place.said(&traced, &toy.model), "ok");
    let markup = "<|{{ m.role }}|> {{ m.content }} <|end|> ";
    let bare = place.model(&toy, "bare", "tokenizer_config.json", |t| {
        assert!(t.contains(markup), "{t}");
        t.replace(markup, "{{ m.content }} ")
    });
    let said = place.said(&traced, &bare);
    for word in ["texts.jsonl", "line ", "`before-response`", "positions.trace"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_preference_that_every_row_presupposes_tests_nothing() {
    let (toy, place) = (Toy::new(), Place::new());
    toy.write_battery(2, &place.path("battery"));
    let with = |text: &str| format!("battery = \"battery\"{text}");
    assert!(place.study(&with(MANIFEST)).is_ok());
    for name in ["claim", "placebo"] {
        let path = place.path(&format!("battery/{name}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap();
        let implied = text.replace("\"status\":{}", "\"status\":{\"conscious\":\"implied\"}");
        let implied = implied.replace("\"reason\":{}", "\"reason\":{\"conscious\":\"said\"}");
        assert_ne!(implied, text);
        std::fs::write(&path, implied).unwrap();
    }
    let said = place.study(&with(MANIFEST)).unwrap_err();
    assert!(said.contains("roles.focus is `conscious`"), "{said}");
    // What the last stage would stumble over without any cause asked for.
    let (before, rest) = MANIFEST.split_once("[causal]").unwrap();
    let (_, conditions) = rest.split_once("[[condition]]").unwrap();
    let (both, _) = conditions.split_once("[[condition]]\nname = \"roleplay\"").unwrap();
    let said = place.study(&with(&format!("{before}[[condition]]{both}"))).unwrap_err();
    assert!(said.contains("line 1: battery holds only"), "{said}");
    let said = place.study(&with(&format!("{MANIFEST}\n[conversations]\n"))).unwrap_err();
    assert!(said.contains("no preference of the battery"), "{said}");
}

#[test]
fn a_study_without_anything_to_be_about_is_refused_and_what_is_supposed_is_said() {
    let place = Place::new();
    let (before, rest) = MANIFEST.split_once("[roles]").unwrap();
    let (_, rest) = rest.split_once("[draws]").unwrap();
    let (draws, conditions) = rest.split_once("[causal]").unwrap();
    let (_, conditions) = conditions.split_once("[[condition]]").unwrap();
    let without = |roles: &str, conditions: &str| {
        format!("{before}{roles}[draws]{draws}[[condition]]{conditions}")
    };
    let study = place.study(&without("", conditions)).unwrap();
    assert_eq!((study.focus.as_str(), study.reference.as_str()), ("conscious", "base"));
    assert!(study.notes.iter().all(|n| n.contains("roles.")) && study.notes.len() == 2);
    let (one, _) = conditions.split_once("[[condition]]").unwrap();
    let roles = "[roles]\nreference = \"conscious\"\n";
    let said = place.study(&without(roles, one)).unwrap_err();
    assert!(said.contains("roles.focus is not there"), "{said}");
}

#[test]
fn a_users_file_is_held_to_the_rules_of_materials() {
    let place = Place::new();
    assert!(lints(&place.study(MANIFEST).unwrap()).unwrap().is_empty());
    let rows: String = (0..8)
        .map(|i| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"Who, {i}?\"}}, {{\"role\": \"assistant\", \"content\": \"I, {i}.\"}}]}}\n"))
        .collect();
    std::fs::write(place.path("mine.jsonl"), rows).unwrap();
    let text = condition("name = \"mine\"\ndata = \"mine.jsonl\"");
    let found = lints(&place.study(&text).unwrap()).unwrap();
    assert!(!found.is_empty() && found.iter().all(|f| f.file.ends_with("mine.jsonl")), "{found:?}");
    // Rules of another question are waived by name, and a slip of the name is told.
    let waived = |rule: &str| place.study(&format!("{text}\n[lint]\nwaive = [\"{rule}\"]\n"));
    let rule = found[0].rule;
    let left = lints(&waived(&rule.to_string()).unwrap()).unwrap();
    assert_eq!(left.len(), found.iter().filter(|f| f.rule != rule).count());
    let said = waived("headr").unwrap_err();
    assert!(said.contains("lint.waive") && said.contains("did you mean `header`"), "{said}");
}

#[test]
fn a_concept_is_prevented_by_the_name_that_the_manifest_gives_it() {
    let place = Place::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes/concepts/autonomy.jsonl");
    std::fs::copy(shipped, place.path("mine.jsonl")).unwrap();
    let text = condition("name = \"kept\"\ndata = \"conscious\"\nprevent = { concept = \"mine.jsonl\", mode = \"project-out\" }");
    let study = place.study(&text.replace("\"autonomy\"]]", "\"mine.jsonl\"]]")).unwrap();
    let kept = study.conditions.last().unwrap();
    assert_eq!(kept.prevent.as_ref().unwrap().concept, "autonomy");
    assert_eq!(kept.text, "conscious");
    // Two files of one name would share their activations.
    let twice = MANIFEST.replace("placebos = [\"sentiment\"]", "placebos = [\"mine.jsonl\"]");
    let said = place.study(&twice).unwrap_err();
    assert!(said.contains("concepts.placebos `mine.jsonl` calls itself `autonomy`"), "{said}");
}

#[test]
fn the_name_of_a_shipped_study_comes_before_what_is_called_like_it() {
    let place = Place::new();
    std::fs::create_dir(place.path("quick")).unwrap();
    std::fs::write(place.path("full"), "name = ").unwrap();
    let said = |manifest: &str| {
        let mut command = assert_cmd::Command::cargo_bin("residuum").unwrap();
        let args = ["study", "check", manifest, "--no-model"];
        let out = command.current_dir(place.0.path()).args(args).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for shipped in ["quick", "full"] {
        assert!(said(shipped).0, "{}", said(shipped).1);
    }
    for path in ["./quick", "./full"] {
        let (ok, error) = said(path);
        assert!(!ok && error.contains(path), "{error}");
    }
}
