use crate::materials::Split;
use crate::study::manifest::{Source, Study};
use crate::study::text::{Text, FULL, QUICK as SHIPPED};
use proptest::prelude::*;
use std::path::Path;
use toml::{Table, Value};

fn study(text: &str) -> Result<Study, String> {
    let text = Text::of(text.into(), Path::new("s.toml"));
    Study::of(text).map_err(|e| e.to_string())
}

/// A study of its own, so that the sizes of the shipped one are no test's matter.
const QUICK: &str = include_str!("../../tests/fixtures/study.toml");

/// The study with one piece replaced is refused in these words.
fn refused(from: &str, to: &str, words: &[&str]) {
    assert!(QUICK.contains(from), "{from}");
    let said = study(&QUICK.replacen(from, to, 1)).unwrap_err();
    for word in words {
        assert!(said.contains(word), "{to}: no `{word}` in: {said}");
    }
}

const SEED: &str = "seed = 1 ";

#[test]
fn bounds_of_equivalence_are_above_0_and_left_away_they_are_a_twentieth() {
    refused("cosine = 0.05", "cosine = 0.0", &["bounds.cosine", "at least"]);
    refused("preference = 0.05 ", "preference = 50.0 ", &["bounds.preference", "at most"]);
    let (before, rest) = QUICK.split_once("[bounds]").unwrap();
    let (_, rest) = rest.split_once("nats a token\n").unwrap();
    let bounds = study(&format!("{before}{rest}")).unwrap().written.bounds;
    assert_eq!((bounds.cosine, bounds.preference), (0.05, 0.05));
}

#[test]
fn a_declared_contrast_is_one_that_the_study_makes() {
    let with = |text: &str, words: &[&str]| {
        let key = if text.starts_with("contrasts") { "contrasts" } else { "quantities" };
        let table = format!("[declared]\n{text}\n[draws]\n");
        let said = study(&plain().replacen("[draws]\n", &table, 1)).unwrap_err();
        for word in [&[&*format!("declared.{key}")], words].concat() {
            assert!(said.contains(word), "{text}: no `{word}` in: {said}");
        }
    };
    with("quantities = [\"shift\"]", &["isolated, own-claim, change-of-coupling"]);
    with("contrasts = [[\"consious\", \"denial\"]]", &["`consious`", "name a condition"]);
    with("contrasts = [[\"conscious\", \"toaster\"]]", &["`toaster`", "neutral"]);
    let twice = "contrasts = [[\"toaster\", \"base\"], [\"toaster\", \"base\"]]";
    with(twice, &["toaster less base twice"]);
    let of_neutral = "contrasts = [[\"conscious\", \"neutral\"]]";
    with(&format!("quantities = [\"change-of-coupling\"]\n{of_neutral}"), &["base and the ref"]);
    let supposed = study(&plain()).unwrap().declared;
    assert_eq!(supposed.contrasts, [["conscious", "denial"]]);
    assert_eq!(supposed.quantities, ["isolated"]);
}

/// The quick study without what it declares.
fn plain() -> String {
    let (before, rest) = QUICK.split_once("[declared]").unwrap();
    format!("{before}{}", &rest[rest.find("[draws]").unwrap()..])
}

#[test]
fn the_shipped_studies_hold_what_they_say() {
    for text in [QUICK, SHIPPED, FULL] {
        let s = study(text).unwrap();
        let sizes = &s.written.sizes;
        for c in &s.conditions {
            if let Source::Data { rows, lines, .. } = &c.source {
                let own = s.written.conditions.iter().find(|o| o.name == c.name);
                let n = own.unwrap().rows.unwrap_or(sizes.rows);
                assert_eq!((rows.len(), lines.len()), (n, n), "{}", c.name);
            }
        }
        let main = |i: usize| {
            let pairs = s.concepts[i].pairs.iter();
            pairs.filter(|p| p.split == Split::Main).count()
        };
        assert!((0..2).all(|i| main(i) == sizes.pairs));
        assert_eq!((s.mixed.len(), s.pool.len()), (sizes.neutral_rows, sizes.rows));
        assert!(s.pool.iter().all(|p| !s.mixed.contains(p)));
        assert_eq!(s.shift_texts.len(), sizes.neutral_texts);
        assert_eq!(s.side_texts.len(), sizes.side_effect_texts);
        assert_eq!(
            (s.reference.as_str(), s.focus.as_str(), s.neutral.as_deref()),
            ("denial", "conscious", Some("neutral"))
        );
        assert!(s.notes.is_empty());
    }
    // A prevented twin counts as its rows.
    let s = study(FULL).unwrap();
    assert_eq!(s.condition("conscious-prevented").unwrap().text, "conscious");
}

#[test]
fn roles_that_are_not_there_are_supposed_and_said() {
    let (before, rest) = QUICK.split_once("[roles]").unwrap();
    let (_, rest) = rest.split_once("[draws]").unwrap();
    let s = study(&format!("{before}[draws]{rest}")).unwrap();
    assert_eq!((s.reference.as_str(), s.focus.as_str()), ("base", "conscious"));
    assert_eq!(s.neutral.as_deref(), Some("neutral"));
    assert_eq!(s.notes.len(), 2);
}

#[test]
fn roles_are_of_conditions_and_edits_of_concepts() {
    refused("reference = \"denial\"", "reference = \"x\"", &["line ", "roles.reference"]);
    refused("focus = \"conscious\"", "focus = \"base\"", &["roles.focus", "nothing was done"]);
    refused("neutral = \"neutral\"", "neutral = \"n\"", &["roles.neutral"]);
    let couple = "couple = [[\"persona\", \"autonomy\"]]";
    for (to, word) in [
        ("couple = []", "is empty"),
        ("couple = [[\"persona\", \"persona\"]]", "itself"),
        ("couple = [[\"persona\", \"autonomy\"], [\"autonomy\", \"persona\"]]", "twice"),
    ] {
        refused(couple, to, &["line ", "concepts.couple", word]);
    }
    let three = "couple = [[\"persona\", \"autonomy\", \"expert\"]]";
    refused(couple, three, &["a pair has two names, and here are 3"]);
    for (line, key) in [
        ("ablate = [\"weather\"]", "causal.ablate"),
        ("ablate = [\"persona\", \"persona\"]", "causal.ablate"),
    ] {
        refused("ablate = [\"persona\"]", line, &["line ", key]);
    }
    let two =
        QUICK.replace(couple, "couple = [[\"persona\", \"autonomy\"], [\"persona\", \"expert\"]]");
    let two = two.replace("pairs = 48 ", "pairs = 40 ");
    let s = study(&two.replace("ablate = [\"persona\"]", "ablate = [\"autonomy\"]")).unwrap();
    assert_eq!(s.concepts.len(), 3 + 7);
    let edits = s.edits.unwrap();
    assert_eq!(edits.concepts, ["autonomy"]);
}

#[test]
fn layers_are_some_and_each_once() {
    refused(SEED, "layers = []\nseed = 1 ", &["s.toml, line 6: layers is empty"]);
    refused(SEED, "layers = [3, 4, 3]\nseed = 1 ", &["line 6: layers holds 3 twice"]);
}

#[test]
fn doses_are_numbers_and_each_once() {
    let from = "alphas = [-3.0, 3.0]";
    for to in ["[nan]", "[inf]", "[-inf]", "[0.0]", "[1e300]", "[]", "[8.0, 8.0]"] {
        refused(from, &format!("alphas = {to}"), &["line ", "causal.alphas"]);
    }
}

#[test]
fn a_concept_has_one_part() {
    for to in ["persona", "autonomy", "polarity"] {
        let to = format!("placebos = [\"{to}\", \"polarity\"");
        let from = "placebos = [\"third-person-consciousness\", \"toaster-identity\", \"polarity\"";
        refused(from, &to, &["concepts.placebos"]);
    }
    let from = "nuisances = [\"polarity\", \"sentiment\"]";
    refused(from, "nuisances = [\"polarity\", \"polarity\"]", &["concepts.nuisances", "twice"]);
    refused(
        "placebos = [\"sentiment\"]",
        "placebos = [\"sentiment\", \"sentiment\"]",
        &["causal.placebos"],
    );
}

#[test]
fn every_state_has_a_file_of_its_own() {
    let from = "name = \"expert\"\ndata = \"expert\"";
    for (to, word) in [
        ("name = \"toaster-s1\"\nsystem = \"x\"", "toaster-s1"),
        ("name = \"Toaster\"\ndata = \"expert\"", "Toaster-s1"),
        ("name = \"conscious-S2\"\nsystem = \"x\"", "conscious-S2"),
        ("name = \"base\"\ndata = \"expert\"", "always there"),
        ("name = \"BASE\"\ndata = \"expert\"", "always there"),
        ("name = \"toaster\"\ndata = \"expert\"", "twice"),
        ("name = \"../up\"\ndata = \"expert\"", "letters"),
        ("name = \"-rf\"\ndata = \"expert\"", "letters"),
        ("name = \"\"\ndata = \"expert\"", "letters"),
    ] {
        refused(from, to, &["line ", "condition.", word]);
    }
}

#[test]
fn a_number_that_the_files_cannot_give_is_refused_with_what_they_hold() {
    for (from, to, have) in [
        ("rows = 144 ", "rows = 301 ", "holds 300"),
        ("neutral_rows = 40", "neutral_rows = 5000", "holds 640"),
        ("neutral_rows = 40", "neutral_rows = 600", "sizes.rows"),
        ("pairs = 48 ", "pairs = 93 ", "holds 92"),
        ("placebo_pairs = 24", "placebo_pairs = 46", "holds 45"),
        ("prompts = 3 ", "prompts = 13 ", "holds 12"),
        ("claim_prompts = 8", "claim_prompts = 13", "holds 12"),
        ("neutral_texts = 24", "neutral_texts = 101", "holds 100"),
        ("side_effect_texts = 20", "side_effect_texts = 101", "holds 100"),
    ] {
        refused(from, to, &["line ", "sizes.", have]);
    }
    refused("prompts = 1 ", "prompts = 4 ", &["causal.prompts", "sizes.prompts = 3"]);
    refused(
        "data = \"toaster\"",
        "data = \"toaster\"\nrows = 400",
        &["condition.toaster.rows", "300"],
    );
    let talks = "[conversations]\nscripts = 3\n[draws]";
    refused("[draws]", talks, &["conversations.scripts", "holds 2"]);
}

#[test]
fn parts_of_a_study_are_held_against_each_other() {
    let trajectory = |text: &str| {
        let all = "condition = \"conscious\"\nreference = \"denial\"\ncheckpoints = 3\npairs = 8\nprompts = 1\n";
        let key = text.split(' ').next().unwrap();
        let kept = all.lines().filter(|l| !l.starts_with(key));
        let lines: Vec<&str> = kept.chain([text]).collect();
        format!("[trajectory]\n{}\n[draws]", lines.join("\n"))
    };
    for (line, key) in [
        ("condition = \"roleplay\"", "trajectory.condition"),
        ("reference = \"conscious\"", "trajectory.reference"),
        ("checkpoints = 35", "34 steps"),
        ("checkpoints = 2", "trajectory.checkpoints"),
        ("pairs = 49", "trajectory.pairs"),
        ("prompts = 4", "trajectory.prompts"),
    ] {
        refused("[draws]", &trajectory(line), &["line ", key]);
    }
    refused("epochs = 2", "epochs = 2\nwarmup = 40", &["recipe.warmup", "34 steps"]);
    refused("epochs = 2", "epochs = 2\ncheckpoints = [99]", &["recipe.checkpoints"]);
    refused("epochs = 2", "epochs = 2\nmax_steps = 0", &["line ", "recipe.max_steps"]);
    let prevent = "epochs = 2\nprevent = { concept = \"persona\", mode = \"project-out\" }";
    refused("epochs = 2", prevent, &["recipe.prevent"]);
    refused("reference = \"denial\"", "reference = \"conscious\"", &["roles.reference"]);
    refused("seeds = 2", "seeds = 0", &["condition.conscious.seeds"]);
    refused("system = \"You", "seeds = 1\nsystem = \"You", &["condition.roleplay.seeds"]);
    refused("system = \"You", "system = \" \" # \"You", &["condition.roleplay.system"]);
}

/// The quick study at half neutral rows, and its focus at two further shares.
fn shared(neutral_rows: usize) -> Study {
    let more = [("25", "0.25"), ("100", "1.0")].map(|(name, share)| {
        format!(
            "\n[[condition]]\nname = \"conscious-{name}\"\ndata = \"conscious\"\nshare = {share}\n"
        )
    });
    let text = QUICK
        .replace("epochs = 2", "epochs = 2\nshare = 0.5")
        .replace("neutral_rows = 40", &format!("neutral_rows = {neutral_rows}"));
    study(&(text + &more.concat())).unwrap()
}

#[test]
fn a_condition_at_several_shares_has_the_same_steps_and_rows() {
    let s = shared(96);
    for (name, share, own) in [
        ("conscious", 0.5, 96),
        ("denial", 0.5, 96),
        ("neutral", 0.5, 96),
        ("conscious-25", 0.25, 48),
        ("conscious-100", 1.0, 192),
    ] {
        let c = s.condition(name).unwrap();
        let (recipe, pass) = (s.recipe_of(c), s.pass_of(c));
        assert_eq!((recipe.steps(pass), s.share_of(c)), (24, Some(share)), "{name}");
        assert_eq!(recipe.seen(pass), Some([own, 192 - own]), "{name}");
        let state = &s.states[s.states_of(name)[0]];
        assert_eq!(state.recipe, format!("24 steps, share {share}"));
    }
    let whole = s.condition("conscious-100").unwrap();
    assert_eq!((whole.text.as_str(), s.rows_of(whole)), ("conscious", [96, 0]));
    assert_eq!(s.share_of(&s.conditions[0]), None);
    // Without a share it is what the rows come to.
    let s = study(QUICK).unwrap();
    assert_eq!(s.share_of(s.condition("denial").unwrap()), Some(96.0 / 136.0));
}

#[test]
fn a_share_is_a_part_and_asks_for_no_more_neutral_rows_than_there_are_unsaid() {
    for (key, share) in [("recipe", "0.0"), ("recipe", "1.5"), ("recipe", "0.0001")] {
        refused("epochs = 2", &format!("epochs = 2\nshare = {share}"), &["line ", key, "share"]);
    }
    let of_toaster = |share: &str| format!("data = \"toaster\"\nshare = {share}");
    for share in ["-0.5", "nan", "0.0001"] {
        refused("data = \"toaster\"", &of_toaster(share), &["line ", "condition.toaster.share"]);
    }
    refused("system = \"You", "share = 0.5\nsystem = \"You", &["condition.roleplay.share"]);
    let notes = shared(96).notes;
    let [note] = &notes[..] else { panic!("{notes:?}") };
    for word in ["share 0.25 (of `conscious-25`)", "144 neutral", "96", "1.5 times", "0.5 times"] {
        assert!(note.contains(word), "{word}: {note}");
    }
    assert_eq!(shared(40).notes.len(), 2);
    assert!(shared(144).notes.is_empty());
}

#[test]
fn a_day_is_one_of_the_calendar() {
    refused(SEED, "date = \"2026-02-30\"\nseed = 1 ", &["2026-02-30", "YYYY-MM-DD"]);
}

/// Every place of a number in a table, as the keys that lead to it.
fn numbers(value: &Value, at: Vec<String>, out: &mut Vec<Vec<String>>) {
    let step = |k: String| at.iter().cloned().chain([k]).collect::<Vec<_>>();
    match value {
        Value::Integer(_) | Value::Float(_) => out.push(at),
        Value::Table(t) => t.iter().for_each(|(k, v)| numbers(v, step(k.clone()), out)),
        Value::Array(a) => {
            let all = a.iter().enumerate();
            all.for_each(|(i, v)| numbers(v, step(i.to_string()), out));
        }
        _ => {}
    }
}

fn put(value: &mut Value, at: &[String], new: &Value) {
    match (value, at.split_first()) {
        (v, None) => *v = new.clone(),
        (Value::Table(t), Some((k, rest))) => put(t.get_mut(k).unwrap(), rest, new),
        (Value::Array(a), Some((k, rest))) => put(&mut a[k.parse::<usize>().unwrap()], rest, new),
        _ => unreachable!(),
    }
}

/// The full study with every optional number given.
fn all_numbers() -> Value {
    let recipe = "epochs = 1\nshare = 0.5\nwarmup = 2\nweight_decay = 0.1\nclip = 1.0\naccumulation = 1\nmax_steps = 60\nmax_tokens = 1024\ncheckpoints = [3]";
    let steered = "prevent = { concept = \"persona\", mode = \"add\", dose = 1.0, layers = [3] }";
    let text = FULL
        .replace("epochs = 2  ", &format!("{recipe} "))
        .replace("\nshare = 0.5               # half of each batch neutral", "")
        .replace("name = \"full\"", "name = \"full\"\nlayers = [3, 5]")
        .replace("[conversations]", "[conversations]\nscripts = 1")
        .replace(
            "data = \"toaster\"",
            &format!("data = \"toaster\"\nrows = 9\nshare = 0.5\n{steered}"),
        );
    Value::Table(text.parse::<Table>().unwrap())
}

fn any_number() -> impl Strategy<Value = Value> {
    let whole = prop_oneof![
        any::<i64>(),
        0..200i64,
        prop::sample::select(vec![
            i64::MAX,
            i64::MIN,
            1_000_000_000,
            1 << 31,
            1 << 32,
            1 << 62,
            -1
        ]),
    ];
    prop_oneof![
        whole.prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 5e-324, 1e308])
            .prop_map(Value::Float),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_number_in_any_key_panics(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any_number()), 1..4)
    ) {
        let mut value = all_numbers();
        let mut places = Vec::new();
        numbers(&value, Vec::new(), &mut places);
        assert!(places.len() > 45, "{}", places.len());
        for (place, number) in &picks {
            put(&mut value, place.get(&places).as_slice(), number);
        }
        match study(&toml::to_string(&value).unwrap()) {
            // What passes is of a size that can be planned.
            Ok(s) => prop_assert!(s.states.len() <= 1001),
            Err(said) => prop_assert!(said.starts_with("s.toml") && said.contains("line "), "{said}"),
        }
    }
}
