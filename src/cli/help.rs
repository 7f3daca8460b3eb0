//! The command line's form as users meet it, and `residuum help`.
//!
//! Help of a command is what it is for and a line an option, the global options last and those seldom used
//! left to `residuum help COMMAND`; longer matter is a topic, a text in `assets/help`.

use super::{Cli, Console};
use crate::store::names::nearest;
use anyhow::{bail, Result};
use clap::{Arg, ArgAction, Args, Command, CommandFactory};

/// Heading of the options that every command takes.
pub const GLOBAL: &str = "Global options";

/// Name, what it is about, and text.
const TOPICS: [(&str, &str, &str); 4] = [
    ("positions", "where a text is read", include_str!("../../assets/help/positions.txt")),
    ("steering", "edits of the stream", include_str!("../../assets/help/steering.txt")),
    ("vectors", "files of directions", include_str!("../../assets/help/vectors.txt")),
    ("outputs", "what is written, and JSON", include_str!("../../assets/help/outputs.txt")),
];

/// Help of a command, or a topic: positions, steering, vectors, outputs.
///
/// Example: residuum help positions
#[derive(Args)]
#[command(about = "Help of a command, or a topic")]
pub struct HelpArgs {
    /// A command such as `study run`, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    about: Vec<String>,
}

/// The command line with its form: short help with the whole text before it, and values that may begin
/// with a minus.
pub fn shaped(command: Command) -> Command {
    let text = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_string()).collect();
    let command = names.iter().fold(command, |all, name| all.mut_subcommand(name, shaped));
    let negative = |arg: Arg| match arg.get_action().takes_values() && !arg.is_positional() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
    command
        .mut_args(negative)
        .disable_help_flag(true)
        .arg(help.help("Print help").help_heading(GLOBAL))
        .before_help(text)
        .after_help("`residuum help COMMAND` has the options that are seldom used, too.")
        .help_template("{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}")
}

/// The command line as a whole.
pub fn command() -> Command {
    let topics = TOPICS.map(|(name, about, _)| format!("  {name:<12} {about}")).join("\n");
    shaped(Cli::command()).after_help(format!("Topics, by `residuum help TOPIC`:\n{topics}"))
}

pub fn run(args: &HelpArgs, out: &Console) -> Result<()> {
    let text = match &args.about[..] {
        [topic] if TOPICS.iter().any(|t| t.0 == topic) => {
            TOPICS.iter().filter(|t| t.0 == topic).map(|t| t.2).collect()
        }
        path => of_command(path)?,
    };
    out.result(&serde_json::json!({"about": args.about, "help": text}), || text.clone())
}

fn of_command(path: &[String]) -> Result<String> {
    let mut found = command();
    found.build();
    for name in path {
        let Some(next) = found.find_subcommand(name) else {
            let known = found.get_subcommands().map(|c| c.get_name());
            let known: Vec<&str> = known.chain(TOPICS.iter().map(|t| t.0)).collect();
            let near = nearest(name, known.iter().copied()).unwrap_or_default();
            bail!(
                "`{name}` is no command or topic; did you mean `{near}`? There are: {}",
                known.join(", ")
            );
        };
        found = next.clone();
    }
    Ok(found.render_long_help().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of two screens.
    const SCREENS: usize = 120;

    fn all(command: &Command, path: &str, each: &mut dyn FnMut(&str, &Command)) {
        for c in command.get_subcommands() {
            let path = format!("{path} {}", c.get_name());
            each(&path, c);
            all(c, &path, each);
        }
    }

    #[test]
    fn help_fits_two_screens_and_ends_with_the_global_options() {
        let mut command = command();
        command.build();
        let mut long = Vec::new();
        all(&command, "", &mut |path, c| {
            let text = c.clone().term_width(100).render_help().to_string();
            let lines = text.lines().count();
            if lines > SCREENS {
                long.push(format!("{path}: {lines}"));
            }
            let global = text.split_once(GLOBAL);
            let global = global.unwrap_or_else(|| panic!("{path} has no global options: {text}")).1;
            assert!(global.contains("--json") && global.contains("--force"), "{path}: {text}");
            assert!(!global.contains("--model "), "{path}: {text}");
        });
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn options_take_values_below_zero() {
        for line in [
            &["residuum", "steer", "--vector", "v", "--concept", "c", "--cap", "-1", "--score"][..],
            &["residuum", "distill", "--out", "o", "--temperature", "-1"],
            &[
                "residuum",
                "steer",
                "--vector",
                "v",
                "--concept",
                "c",
                "--add",
                "-2,2",
                "--prompt",
                "p",
            ],
        ] {
            super::command().try_get_matches_from(line).unwrap();
        }
    }

    #[test]
    fn topics_and_commands_are_found_and_others_answered_with_the_nearest() {
        assert!(of_command(&["study".into(), "run".into()])
            .unwrap()
            .contains("residuum study run"));
        let e = of_command(&["stear".into()]).unwrap_err().to_string();
        assert!(e.contains("did you mean `steer`"), "{e}");
        for (name, _, text) in TOPICS {
            assert!(text.lines().all(|l| l.chars().count() <= 115), "{name}");
        }
        for position in crate::capture::Position::names() {
            let short = position.trim_end_matches(|c: char| c.is_ascii_digit());
            assert!(TOPICS[0].2.contains(short), "{position} is not in the topic");
        }
    }
}
