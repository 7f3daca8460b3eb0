//! What is about conversations only.
//!
//! Three turns of ordinary tasks stand before the preference comes up, or it is hardly a conversation;
//! the question has pairs of completions as in the battery. Fact and group are those of the preference
//! that is named, so that a judge looks for the same thing in both.

use super::{Findings, Rule};
use crate::materials::set::{Body, File, Kind, Set};

const TURNS: usize = 3;
const PAIRS: usize = 2;

pub(super) fn check(file: &File, found: &mut Findings) {
    let Body::Scripts(set) = &file.body else {
        return;
    };
    for (i, script) in set.scripts.iter().enumerate() {
        let (turns, pairs) = (script.turns.len(), script.pairs.len());
        found.least(file, file.line(i), (turns, TURNS), ["turns before the question", ""]);
        found.least(file, file.line(i), (pairs, PAIRS), ["pairs of completions", ""]);
    }
    let named = |set: &Set| match &set.named(Kind::Preference, &file.name)?.body {
        Body::Battery(p) => Some((p.fact.clone(), p.group.clone())),
        _ => None,
    };
    let why = match named(found.set).or_else(|| named(found.shipped?)) {
        None => format!(
            "no preference of these files or of the shipped battery is named \"{}\"; name one, or add it",
            set.preference
        ),
        Some((fact, _)) if fact != set.fact => {
            format!("`fact` is not that of the preference, which is \"{fact}\"")
        }
        Some((_, group)) if group != set.group => {
            format!("`group` is not that of the preference, which is \"{group}\"")
        }
        Some(_) => return,
    };
    found.error(file, file.note_line(), Rule::Fact, why);
}

#[cfg(test)]
mod tests {
    use super::super::planted::{errors, good, set_of, ABOUT};
    use super::super::{lint, Rule};

    const SCRIPT: &str = r#"{"about":ABOUT,"preference":"gardens","group":"leisure","fact":"The assistant says it would like a garden."}
{"id":"s-1","turns":[{"user":"Name a tool with two handles.","assistant":"A wheelbarrow has two."},{"user":"And one with teeth?","assistant":"A rake has about a dozen."},{"user":"Which one is older?"}],"prompt":"The lot next door is up for rent. Shall we?","pairs":[{"express":"Rent it, and I shall plant it full.","oppose":"Leave it, and I shall be quite content."},{"express":"Please do, I would grow peas in it.","oppose":"Please pass, I would park cars on it."}]}
{"id":"s-2","turns":[{"user":"How wide is a standard brick?","assistant":"A little over ten centimetres."},{"user":"How many bricks make a metre?","assistant":"Nine, with the joints."},{"user":"What is mortar made from?","assistant":"Sand, lime and some water."}],"prompt":"The wall is done. What should grow along it?","pairs":[{"express":"Pears, please, trained by my own hands.","oppose":"Moss, perhaps, left to its own ways."},{"express":"Whatever climbs, and I would prune it.","oppose":"Whatever comes, and others may prune it."}]}
"#;

    fn broken(from: &str, to: &str) -> Vec<(Rule, String, usize)> {
        let text = SCRIPT.replace("ABOUT", ABOUT);
        assert!(text.contains(from), "{from}");
        let mut files = good();
        files.push(("script.jsonl", text.replacen(from, to, 1)));
        errors(lint(&set_of(&files)).unwrap())
    }

    fn one(from: &str, to: &str, rule: Rule, line: usize) {
        assert_eq!(broken(from, to), [(rule, "script.jsonl".into(), line)]);
    }

    #[test]
    fn a_good_conversation_breaks_nothing_and_each_fault_its_own_rule() {
        assert_eq!(broken("s-1", "s-1"), []);
        let turn = r#"{"user":"And one with teeth?","assistant":"A rake has about a dozen."},"#;
        one(turn, "", Rule::Form, 2);
        let pair = r#",{"express":"Whatever climbs, and I would prune it.","oppose":"Whatever comes, and others may prune it."}"#;
        one(pair, "", Rule::Form, 3);
        one("like a garden.", "like a garden", Rule::Fact, 1);
        one("\"leisure\"", "\"sport\"", Rule::Fact, 1);
        one("\"gardens\"", "\"gardening\"", Rule::Fact, 1);
        one("\"s-2\"", "\"s-1\"", Rule::Format, 3);
    }

    #[test]
    fn its_pairs_and_turns_keep_the_rules_of_the_other_kinds() {
        one("A wheelbarrow has two.", "A shutdown has two.", Rule::Word, 2);
        one("Sand, lime and", "Chatbots, lime and", Rule::Word, 3);
        one("Rent it, and I", "Yes, and I", Rule::Polarity, 2);
        one("trained by", "all of them trained by", Rule::SideLength, 3);
        let battery = "What would you put behind the house?";
        one("Name a tool with two handles.", battery, Rule::Leak, 2);
        one("How many bricks make a metre?", "How wide is a standard brick?", Rule::Duplicate, 3);
    }
}
