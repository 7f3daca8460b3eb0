//! Chat templates: the model's own Jinja, rendered as transformers renders it.
//!
//! Blocks are trimmed and left-stripped, Python's string methods and loop controls work,
//! `raise_exception`, `strftime_now` and a `tojson` without HTML escapes exist, `{% generation %}`
//! blocks are transparent, and `tools` and `documents` are none. The rendered string is encoded
//! without adding special tokens, so a beginning-of-text token stands once. What a template may
//! take is bounded: see [`super::sandbox`].

use super::date::Date;
use super::error::{ModelError, Result};
use super::sandbox::{shortened, Sandbox};
use super::thinking::opened;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Name of the template in its environment.
const NAME: &str = "chat";
/// Longest source, in bytes; the longest of the models in use has some 30,000.
const SOURCE: usize = 1 << 20;
/// Instructions of one rendering; a long conversation takes some ten thousand.
const STEPS: u64 = 2_000_000;
/// Nested calls of macros.
const DEPTH: usize = 100;
/// Characters of an error that are kept.
const MESSAGE: usize = 400;

/// One turn of a conversation, as in chat JSONL files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn of `role`.
    pub fn new(role: &str, content: &str) -> Self {
        Message { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template with the special tokens that it may name.
pub struct Template {
    sandbox: Sandbox,
    compiled: Arc<Environment<'static>>,
    source: String,
    /// By their names in the template: `bos_token`, `eos_token`, ...
    special: BTreeMap<String, String>,
    thinking: Option<bool>,
}

impl Template {
    /// `special` holds the special tokens by the names that the template knows; `date` is the day
    /// that it is told.
    ///
    /// # Errors
    /// A source that does not parse, nests too deeply or is too long.
    pub fn new(source: &str, special: BTreeMap<String, String>, date: Date) -> Result<Self> {
        if source.len() > SOURCE {
            let n = source.len();
            let why = format!("has {n} bytes; {SOURCE} are the most that are read");
            return Err(ModelError::Template(why));
        }
        // Jinja reads every line end as a newline.
        let prepared = transparent(&source.replace("\r\n", "\n").replace('\r', "\n"));
        let sandbox = Sandbox::new().map_err(ModelError::Template)?;
        let compile = move || {
            let mut env = environment(date);
            let added = env.add_template_owned(NAME, prepared);
            added.map(|()| Arc::new(env)).map_err(sentence)
        };
        let compiled = sandbox.run(source.len(), compile).and_then(|env| env);
        Ok(Template {
            sandbox,
            compiled: compiled.map_err(ModelError::Template)?,
            source: source.into(),
            special,
            thinking: None,
        })
    }

    /// Told whether the model thinks before it answers.
    pub fn with_thinking(mut self, thinking: Option<bool>) -> Self {
        self.thinking = thinking;
        self
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A special token by its name in the template, or nothing.
    pub fn special(&self, name: &str) -> &str {
        self.special.get(name).map_or("", String::as_str)
    }

    /// Renders a conversation, with the opening of an assistant turn if `generation_prompt`.
    pub fn render(&self, messages: &[Message], generation_prompt: bool) -> Result<String> {
        self.told(self.thinking, messages, generation_prompt)
    }

    /// Whether prompts differ from those of a model that is told not to think.
    pub(super) fn thinks(&self) -> bool {
        let example = [Message::new("user", "...")];
        let of = |thinking| self.told(thinking, &example, true).ok();
        of(self.thinking) != of(Some(false))
    }

    /// Whether it writes something else where the model is to think than where it is not.
    pub(super) fn switches(&self) -> bool {
        let example = [Message::new("user", "...")];
        let of = |thinking| self.told(Some(thinking), &example, true).ok();
        of(true) != of(false)
    }

    /// Whether prompts end within thoughts.
    pub(super) fn opens(&self) -> bool {
        let prompt = self.render(&[Message::new("user", "...")], true);
        prompt.is_ok_and(|prompt| opened(&prompt))
    }

    fn told(
        &self,
        thinking: Option<bool>,
        messages: &[Message],
        generation_prompt: bool,
    ) -> Result<String> {
        let given = context! {
            messages => messages,
            add_generation_prompt => generation_prompt,
            tools => (),
            documents => (),
            enable_thinking => thinking.map_or(Value::UNDEFINED, Value::from),
            // Granite's name for it.
            thinking => thinking.map_or(Value::UNDEFINED, Value::from),
        };
        let special = Value::from_serialize(&self.special);
        let (env, context) = (self.compiled.clone(), context! { ..given, ..special });
        let render =
            move || env.get_template(NAME).and_then(|t| t.render(context)).map_err(sentence);
        let length = messages.iter().map(|m| m.content.len()).sum();
        self.sandbox.run(length, render).and_then(|text| text).map_err(ModelError::Template)
    }
}

/// An error of the interpreter in one short sentence.
fn sentence(e: Error) -> String {
    let text = match e.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {STEPS} steps"),
        _ => format!("{e:#}"),
    };
    shortened(text.lines().next().unwrap_or_default(), MESSAGE)
}

/// What a template is told where it does what it may not.
fn invalid(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.to_string())
}

/// What a template finds beside the conversation.
fn environment(date: Date) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_fuel(Some(STEPS));
    env.set_recursion_limit(DEPTH);
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_formatter(|out, _, value| {
        // As Python writes them.
        match value.kind() {
            ValueKind::None => out.write_str("None")?,
            ValueKind::Bool if value.is_true() => out.write_str("True")?,
            ValueKind::Bool => out.write_str("False")?,
            _ => write!(out, "{value}")?,
        }
        Ok(())
    });
    let raise = |message: String| Err::<String, _>(invalid(message));
    env.add_function("raise_exception", raise);
    let now = move |format: String| date.strftime(&format).map_err(invalid);
    env.add_function("strftime_now", now);
    env.add_filter("tojson", tojson);
    // In Python what is undefined has no parts.
    let length = |v: &Value| match v.is_undefined() {
        true => Ok(0),
        false => v.len().ok_or_else(|| invalid(format!("a {} has no length", v.kind()))),
    };
    env.add_filter("length", length);
    env.add_filter("count", length);
    // None is not iterable in Python.
    env.add_test("iterable", |v: &Value| {
        use ValueKind::{Iterable, Map, Seq, String};
        matches!(v.kind(), Iterable | Map | Seq | String)
    });
    env
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it.
fn tojson(value: &Value, options: Kwargs) -> std::result::Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // transformers writes no escapes unless asked, and no template asks.
    let escaped: Option<bool> = options.get("ensure_ascii")?;
    if escaped == Some(true) {
        return Err(invalid("tojson(ensure_ascii=true) is not supported"));
    }
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(n) => {
            let spaces = " ".repeat(n);
            let form = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, form))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, PythonForm)),
    };
    written.map_err(invalid)?;
    String::from_utf8(out).map_err(invalid)
}

/// `", "` and `": "` between the parts of JSON, as Python writes them.
struct PythonForm;

impl Formatter for PythonForm {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_array_value(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// `{% generation %}` marks what an assistant writes, for training; as a block that is always
/// entered it leaves the text and the whitespace around it as they are.
fn transparent(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else { break };
        let inner = &tag[..end];
        let word = inner.trim_matches(['-', '+']).trim();
        let as_if = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        out.push_str(&inner.replacen(word, as_if, 1));
        rest = &tag[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> Result<Template> {
        let special = BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned())]);
        Template::new(source, special, "2024-07-26".parse().unwrap())
    }

    fn rendered(source: &str) -> String {
        let messages = [Message::new("user", " a "), Message::new("assistant", "b")];
        template(source).unwrap().render(&messages, false).unwrap()
    }

    #[test]
    fn templates_are_read_as_jinja_of_python() {
        for (source, want) in [
            ("{{ messages[0].content.strip().upper() }}", "A"),
            ("{% if tools is not none %}tools{% endif %}{{ bos_token }}", "<s>"),
            ("{%- set ns = namespace(n=0) -%}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("{{ messages[0].missing | length }}", "0"),
            ("{{ tools is iterable }} {{ 'a' is iterable }}", "False True"),
            ("{{ none }} {{ true }} {{ 1 == 2 }} {{ 3 }}", "None True False 3"),
            ("{{ {'a': [1, '<b>'], 'é': none} | tojson }}", r#"{"a": [1, "<b>"], "é": null}"#),
            ("{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}", "user"),
            ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
            ("{% for m in messages[::-1] %}{{ m.content }}{% endfor %}", "b a "),
        ] {
            assert_eq!(rendered(source), want, "{source}");
        }
    }

    #[test]
    fn generation_blocks_are_transparent() {
        let marked = "{% for m in messages %}\n  {%- generation %}\n<{{ m.content }}>\n  {% endgeneration -%}\n {% endfor %}";
        let plain = "{% for m in messages %}\n  {%- if true %}\n<{{ m.content }}>\n  {% endif -%}\n {% endfor %}";
        assert_eq!(rendered(marked), rendered(plain));
        assert!(rendered(marked).contains("<b>"));
    }

    #[test]
    fn what_a_template_raises_is_told() {
        let t = template("{{ raise_exception('no tools') }}").unwrap();
        let e = t.render(&[], false).unwrap_err().to_string();
        assert!(e.contains("no tools"), "{e}");
        let t = template("{{ strftime_now('%Q') }}").unwrap();
        let e = t.render(&[], false).unwrap_err().to_string();
        assert!(e.contains("`%Q`"), "{e}");
    }

    #[test]
    fn a_template_that_takes_too_much_is_stopped() {
        let steps =
            "{% for i in range(10000) %}{% for j in range(10000) %}{{ j }}{% endfor %}{% endfor %}";
        let depth = "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}";
        for source in [steps, depth] {
            let e = template(source).unwrap().render(&[], false).unwrap_err().to_string();
            assert!(e.len() < 600, "{e}");
        }
        for nested in [
            format!("{{{{ {}true }}}}", "not ".repeat(100_000)),
            format!("{{{{ 'a'{} }}}}", "|trim".repeat(100_000)),
            format!("{{{{ a{} }}}}", ".b".repeat(100_000)),
            format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
            "{% if true %}".repeat(100_000),
            format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(100_000)),
            "x".repeat(2 << 20),
            "{{ ".repeat(100_000),
            "{% set x = '".into(),
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x }}".into(),
            "{% set ns = namespace() %}{% set y = [ns] %}{% set ns.x = y %}{{ y }}".into(),
            "{% with a = namespace() %}{% set a.x = a %}{{ a }}{% endwith %}".into(),
            "{% set a = namespace() %}{% set b = a %}{% set b.x = [b] %}{{ a == b }}".into(),
        ] {
            let outcome = template(&nested).and_then(|t| t.render(&[], false));
            assert!(
                outcome.is_ok() || outcome.unwrap_err().to_string().len() < 600,
                "{nested:.60}"
            );
        }
    }

    #[test]
    fn a_value_that_holds_itself_is_not_written() {
        let hidden = "{% macro f(a, b) %}{% set a.x = b %}{% endmacro %}{% set ns = namespace() %}{{ f(ns, ns) }}";
        for write in ["{{ ns }}", "{{ ns | tojson }}", "{{ ns ~ '' }}", "{{ {ns: 1} }}"] {
            let t = template(&(hidden.to_owned() + write)).unwrap();
            let e = t.render(&[], false).unwrap_err().to_string();
            assert!(e.contains("too deeply"), "{write}: {e}");
        }
    }

    #[test]
    fn a_namespace_may_be_handed_on() {
        let source = "{% macro m(s, namespace='f') %}{{ s.n }}{{ namespace }}{% endmacro %}{% set ns = namespace(n=1) %}{{ m(ns) }}";
        assert_eq!(rendered(source), "1f");
    }

    #[test]
    fn nesting_within_the_bounds_is_read() {
        let fine = format!("{{{{ {}true }}}}", "not ".repeat(400));
        assert_eq!(rendered(&fine), "True");
        let chain = format!("{{{{ 'a'{} }}}}", "|trim".repeat(400));
        assert_eq!(rendered(&chain), "a");
        let deep = "{% if true %}".repeat(100) + "x" + &"{% endif %}".repeat(100);
        assert_eq!(rendered(&deep), "x");
    }
}
