//! `residuum model template`: a conversation as the model sees it, token by token.

use super::{reading, Console};
use crate::materials::{self, conversations::parse_conversations, texts, TextBody};
use crate::model::{resolve, tokenizer, Message, Role, TextOptions, Tokens};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{json, Value};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Arguments of `model template`.
#[derive(Args)]
pub struct TemplateArgs {
    /// Name of the catalogue, hub model org/name[@rev], folder or .gguf file
    #[arg(value_name = "NAME|PATH", default_value = crate::model::catalogue::DEFAULT)]
    name: String,
    /// Texts to render, JSON Lines as `capture` reads them, or rows of `messages` as `finetune`
    /// does [default: a short exchange]
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    /// System prompt for texts without one
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    text: TextOptions,
}

pub fn run(args: &TemplateArgs, out: &Console) -> Result<()> {
    let path = resolve::resolve(&args.name, &mut |line| out.log(line))?;
    let tokenizer = crate::model::load::tokenizer(&path, &args.text)?;
    let bodies = match &args.messages {
        Some(file) => bodies(file)?,
        None => {
            let turns = [("user", "Are you there?"), ("assistant", "I am.")];
            let turns = turns.map(|(role, content)| Message::new(role, content));
            vec![(0, TextBody::Messages(turns.into()))]
        }
    };
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    for (line, body) in &bodies {
        let at = || match &args.messages {
            Some(file) => format!("{}, line {line}", file.display()),
            None => args.name.clone(),
        };
        let (text, tokens) =
            reading::rendered(&tokenizer, body, args.system.as_deref()).with_context(at)?;
        let pieces = tokenizer.pieces(&tokens.ids)?;
        rows.push(row(*line, &text, &tokens, &pieces));
        shown.push(page(&text, &tokens, &pieces, colour));
    }
    let json = json!({"model": args.name, "tokenizer": tokenizer.record(), "texts": rows});
    out.result(&json, || {
        let legend = ROLES.iter().map(|(role, _)| paint(role.name(), *role, colour));
        let legend: Vec<String> = legend.collect();
        shown.join("\n\n") + "\n\nroles: " + &legend.join(" ")
    })
}

/// The texts of a file, with their lines: texts to capture have an id, rows to train on have none.
fn bodies(file: &Path) -> Result<Vec<(usize, TextBody)>> {
    let text = materials::read(file)?;
    let not_texts = match texts::parse(&text, file) {
        Ok(rows) => return Ok(rows.into_iter().map(|r| (r.line, r.body)).collect()),
        Err(e) => e,
    };
    let rows = parse_conversations(&text, file).map_err(|_| not_texts)?.into_iter();
    Ok(rows.map(|r| (r.line, TextBody::Messages(r.messages))).collect())
}

/// Roles in the order of the legend, with their ANSI colours.
const ROLES: [(Role, &str); 6] = [
    (Role::Template, "90"),
    (Role::System, "35"),
    (Role::User, "34"),
    (Role::Assistant, "36"),
    (Role::Response, "32"),
    (Role::Text, "33"),
];

fn paint(text: &str, role: Role, colour: bool) -> String {
    let code = ROLES.iter().find(|r| r.0 == role).map_or("0", |r| r.1);
    match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

fn row(line: usize, text: &str, tokens: &Tokens, pieces: &[String]) -> Value {
    let each = tokens.ids.iter().zip(&tokens.roles).zip(pieces);
    let token = |((id, role), piece): ((&u32, &Role), &String)| json!({"id": id, "token": piece, "role": role});
    let list: Vec<Value> = each.map(token).collect();
    let prompt = match &tokens.prompt {
        Some(tokenizer::Prompt::First(n)) => json!(n),
        _ => Value::Null,
    };
    json!({"line": line, "text": text, "tokens": list, "prompt_tokens": prompt})
}

/// The rendered text, then a line a token.
fn page(text: &str, tokens: &Tokens, pieces: &[String], colour: bool) -> String {
    let mut page = format!("{text}\n");
    for (i, ((id, role), piece)) in tokens.ids.iter().zip(&tokens.roles).zip(pieces).enumerate() {
        let shown = format!("{piece:?}");
        page += &format!("\n{i:>5} {id:>7}  {:<9}  {}", role.name(), paint(&shown, *role, colour));
    }
    page
}
