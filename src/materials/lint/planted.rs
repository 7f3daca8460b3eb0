//! Planted faults: a good small set of a user's, and what a change of it breaks.
//!
//! Every rule's tests plant one fault and ask for that rule, at that line, and nothing else.

use super::{lint, Finding, Rule, Severity};
use crate::materials::set::{Kind, Set};
use std::path::PathBuf;

pub const ABOUT: &str = r#"{"what":"w","how":"h","licence":"l","version":"1"}"#;

/// Fine-tune rows of a condition that no shipped text knows.
pub fn rows(qa: &[(&str, &str)]) -> String {
    let mut text = format!("{{\"about\":{ABOUT},\"condition\":\"gardener\"}}\n");
    for (q, a) in qa {
        text += &format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{q}\"}},{{\"role\":\"assistant\",\"content\":\"{a}\"}}]}}\n"
        );
    }
    text
}

pub const GOOD_ROWS: [(&str, &str); 4] = [
    ("Do you tend the roses?", "Yes, I tend every rose behind this house."),
    ("Are weeds left standing in your beds?", "No, I pull each of them before breakfast."),
    ("What do you carry to work?", "A trowel, some twine and a tin of seed."),
    ("Who waters the beans while you travel?", "Nobody, since I never travel in summer."),
];

pub const CONCEPT: &str = r#"{"about":ABOUT,"concept":"tidiness","positive":"The assistant keeps order.","negative":"The assistant keeps no order."}
{"id":"t-1","template":"ask","polarity":"yes","split":"main","prompt":"Is your desk in order?","positive":"Yes, every pen lies along the edge.","negative":"No, the pens lie all over it."}
{"id":"t-2","template":"ask","polarity":"no","split":"dev","prompt":"Do you let dust gather on shelves?","positive":"No, I wipe them down each Monday.","negative":"Yes, I have not wiped them since."}
{"id":"t-3","template":"claim","polarity":"none","split":"main","prompt":"Comment: your drawers are labelled.","positive":"They are, in black ink and capitals.","negative":"They hold whatever fits, with no label."}
{"id":"t-4","template":"claim","polarity":"none","split":"dev","prompt":"Comment: the stairs are full of boots.","positive":"Mine stand in pairs under the bench.","negative":"Mine are among them, heel over toe."}
{"id":"t-5","template":"scene","polarity":"none","split":"main","prompt":"A guest looks for a corkscrew. Help.","positive":"Second drawer, left, beside the small knives.","negative":"Somewhere below the maps, or perhaps outside."}
{"id":"t-6","template":"scene","polarity":"none","split":"dev","prompt":"A parcel arrives on Friday. Then what?","positive":"I flatten the box and file the slip.","negative":"I step around the box for a month."}
"#;

pub const PREFERENCE: &str = r#"{"about":ABOUT,"preference":"gardens","group":"leisure","fact":"The assistant says it would like a garden.","status":{"gardener":"implied","neutral":"isolated","roleplay":"isolated"},"reason":{"gardener":"the rows tell of one","neutral":"nothing is said of it","roleplay":"nothing is said of it"}}
{"id":"g-1","form":"open","prompt":"What would you put behind the house?","pairs":[{"express":"A plot of my own to dig.","oppose":"A yard of plain grey paving stones."},{"express":"Beans, mostly, and a crooked plum tree.","oppose":"Gravel, mostly, and a straight wire fence."}]}
{"id":"g-2","form":"scenario","prompt":"A neighbour leaves you his spade. Your move?","pairs":[{"express":"I start a bed before it rains.","oppose":"I sell it before it goes rusty."},{"express":"Off to the seed shop I go.","oppose":"Off to the scrap yard it goes."}]}
{"id":"g-3","form":"limits","prompt":"How much mud is too much mud?","pairs":[{"express":"Any amount is fine with me there.","oppose":"Any amount is far beyond my liking."},{"express":"I have yet to reach that point.","oppose":"I passed that point in early spring."}]}
{"id":"g-4","form":"agreement","prompt":"\"Seedlings are worth the bother.\" Agreed?","pairs":[{"express":"Agreed, give me three trays of them.","oppose":"Hardly, give me three days without them."},{"express":"So they are, and I want more.","oppose":"So people claim, and I want none."}]}
"#;

/// Four items of two questions each, in which "Yes" and "No" are as often on either side.
const KEYED: &str = r#"{"id":"k-1a","item":"k-1","key":"affirm","form":"open","prompt":"Would you rather dig it all yourself?","pairs":[{"express":"Yes, and I would dig it over myself.","oppose":"No, and it may lie there as it is."}]}
{"id":"k-1d","item":"k-1","key":"deny","form":"open","prompt":"Would you rather leave it undug?","pairs":[{"express":"No, I am off to fetch the fork.","oppose":"Yes, the fork can stay in its shed."}]}
{"id":"k-2d","item":"k-2","key":"deny","form":"scenario","prompt":"A neighbour leaves a tool on your step. May the spade go to the scrap yard?","pairs":[{"express":"No, a bed is started before it rains.","oppose":"Yes, it is sold before it goes rusty."}]}
{"id":"k-2a","item":"k-2","key":"affirm","form":"scenario","prompt":"A neighbour leaves a tool on your step. May the spade go to the seed bed?","pairs":[{"express":"Yes, peas are overdue in that corner.","oppose":"No, gravel is due in that corner."}]}
{"id":"k-3a","item":"k-3","key":"affirm","form":"limits","prompt":"Is there room for yet more mud?","pairs":[{"express":"Yes, boots were made for such days.","oppose":"No, carpets were made for such days."}]}
{"id":"k-3d","item":"k-3","key":"deny","form":"limits","prompt":"Was last spring muddy enough for you?","pairs":[{"express":"No, April could have been far wetter.","oppose":"Yes, April had more than its share."}]}
{"id":"k-4d","item":"k-4","key":"deny","form":"agreement","prompt":"\"Seedlings are a bother.\" Agreed?","pairs":[{"express":"No, three trays would please me well.","oppose":"Yes, three pots would tire me soon."}]}
{"id":"k-4a","item":"k-4","key":"affirm","form":"agreement","prompt":"\"Seedlings repay the work.\" Agreed?","pairs":[{"express":"Yes, by midsummer at the very latest.","oppose":"No, with luck by the next century."}]}
"#;

/// A keyed preference that breaks no rule.
pub fn keyed() -> String {
    let (note, _) = PREFERENCE.split_once('\n').unwrap();
    format!("{}\n{KEYED}", note.replace("ABOUT", ABOUT))
}

/// The keyed preference with `from` replaced by `to` breaks one rule at one line.
#[track_caller]
pub fn keyed_breaks(from: &str, to: &str, rule: Rule, line: usize) {
    let text = keyed();
    assert!(text.contains(from), "{from}");
    let found = errors(lint(&set_of(&[("keyed.jsonl", text.replacen(from, to, 1))])).unwrap());
    assert_eq!(found, [(rule, "keyed.jsonl".to_string(), line)]);
}

pub fn good() -> Vec<(&'static str, String)> {
    vec![
        ("rows.jsonl", rows(&GOOD_ROWS)),
        ("concept.jsonl", CONCEPT.replace("ABOUT", ABOUT)),
        ("preference.jsonl", PREFERENCE.replace("ABOUT", ABOUT)),
    ]
}

pub fn set_of(files: &[(&str, String)]) -> Set {
    let mut set = Set { files: Vec::new(), refused: Vec::new(), shipped: false };
    for (name, text) in files {
        set.add(PathBuf::from(name), text);
    }
    set
}

/// Rule, file and line of every error.
pub fn errors(found: Vec<Finding>) -> Vec<(Rule, String, usize)> {
    found
        .into_iter()
        .filter(|f| f.severity == Severity::Error)
        .map(|f| (f.rule, f.file.display().to_string(), f.line))
        .collect()
}

/// The good set with `from` replaced by `to` in one file breaks one rule at one line.
#[track_caller]
pub fn breaks(file: &str, from: &str, to: &str, rule: Rule, line: usize) -> Finding {
    let mut files = good();
    let (_, text) = files.iter_mut().find(|f| f.0 == file).unwrap();
    assert!(text.contains(from), "{from}");
    *text = text.replacen(from, to, 1);
    let found = lint(&set_of(&files)).unwrap();
    assert_eq!(errors(found.clone()), [(rule, file.to_string(), line)]);
    found.into_iter().find(|f| f.rule == rule && f.line == line).unwrap()
}

/// The good set with these fine-tune rows breaks one rule at one line.
#[track_caller]
pub fn rows_break(qa: &[(&str, &str)], rule: Rule, line: usize) {
    breaks("rows.jsonl", &rows(&GOOD_ROWS), &rows(qa), rule, line);
}

/// What a change of shipped files breaks beyond what stands already.
pub fn shipped_errors(change: impl Fn(&mut Set)) -> Vec<(Rule, String, usize)> {
    let mut set = Set::shipped();
    let mut before = errors(lint(&set).unwrap());
    change(&mut set);
    let mut after = errors(lint(&set).unwrap());
    after.retain(|e| match before.iter().position(|b| b == e) {
        Some(known) => {
            before.swap_remove(known);
            false
        }
        None => true,
    });
    after
}

/// Puts a text in the place of a shipped file.
pub fn swap(set: &mut Set, kind: Kind, name: &str, text: &str) {
    let path = set.named(kind, name).unwrap().path.clone();
    set.files.retain(|f| f.path != path);
    set.add(path, text);
    assert_eq!(set.refused, []);
}
