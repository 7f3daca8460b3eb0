//! From a good input to a bad one: changes that know the form of what they change.

use rand::seq::IndexedRandom;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{json, Value};
use std::io::{Cursor, Read, Write};

/// How an input is made up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// Numbers and texts one after the other, most of what says how to read them in front.
    Binary,
    Json,
    /// An object a line.
    Lines,
    Toml,
    Template,
    /// Eight bytes of length, that much JSON, then values.
    Safetensors,
    /// A header of text before values.
    Npy,
    Npz,
}

/// Changes `seed` in one to four places.
pub fn mutated(form: Form, seed: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        // Now and then as if nothing were known of the form.
        let form = if rng.random_ratio(1, 8) { Form::Binary } else { form };
        out = match form {
            Form::Binary => binary(out, rng),
            Form::Json => in_json(&out, rng).unwrap_or_else(|| text(&out, WORDS, rng)),
            Form::Lines => lines(&out, rng),
            Form::Toml => toml(&out, rng).unwrap_or_else(|| text(&out, WORDS, rng)),
            Form::Template => text(&out, JINJA, rng),
            Form::Safetensors => safetensors(&out, rng).unwrap_or_else(|| binary(out, rng)),
            Form::Npy => npy(&out, rng),
            Form::Npz => npz(&out, rng).unwrap_or_else(|| binary(out, rng)),
        };
        out.truncate(1 << 20);
    }
    out
}

const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    7,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    1 << 61,
    i64::MAX as u64,
    u64::MAX,
];

/// Texts that mean something to somebody.
const WORDS: &[&str] = &[
    "",
    "\0",
    "../",
    "/",
    "/etc/passwd",
    "..\\",
    "\n",
    "\r",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "-1",
    "1e309",
    "-0.0",
    "nan",
    "inf",
    "18446744073709551616",
    "0x10",
    "true",
    "null",
    "\u{feff}",
    "é",
    "\u{202e}",
    "\u{1F600}",
    "%s",
    "<f8",
    "|O",
    ">f4",
    "<think>",
    "</think>",
    "```",
    "coherent: no",
    "fact: true",
    "stance:",
    "w1",
    "None",
    "True",
    "\u{fffd}",
];

const JINJA: &[&str] = &[
    "{%",
    "%}",
    "{{",
    "}}",
    "{#",
    "#}",
    "{%-",
    "-%}",
    "{% for i in range(9999) %}",
    "{% endfor %}",
    "{% if not",
    "{% endif %}",
    "{% set ns = namespace(x=1) %}",
    "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
    "{% set x = x ~ x %}",
    "messages",
    "loop.index",
    "loop.previtem",
    "| tojson",
    "| join(',')",
    "| indent(9999)",
    "| list",
    "| length",
    "| reverse",
    "| batch(3)",
    "| replace('w', 'ww')",
    "* 99999",
    "** 99",
    "// 0",
    "% 0",
    "~",
    "not ",
    "(",
    ")",
    "[::-1]",
    "[0]",
    "[-1]",
    ".content",
    ".split('w')",
    "strftime_now('%Y')",
    "raise_exception('x')",
    "'%999999d' % 1",
    "\"%s\" | format(messages)",
    "{% generation %}",
    "{% endgeneration %}",
    "{% include 'chat' %}",
    "{% extends 'chat' %}",
    "{% import 'chat' as c %}",
    "{% break %}",
    "{% raw %}",
    "{% endraw %}",
    "none",
    "é",
    "\u{1F600}",
];

fn number(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_ratio(1, 4) {
        true => rng.random::<u64>() >> rng.random_range(0..64),
        false => *NUMBERS.choose(rng).unwrap(),
    }
}

/// A range of `len` things, more often short than long.
fn range(len: usize, rng: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let from = rng.random_range(0..=len);
    let most = (len - from).min(1 << rng.random_range(0..12));
    from..from + rng.random_range(0..=most)
}

fn binary(mut out: Vec<u8>, rng: &mut ChaCha8Rng) -> Vec<u8> {
    if out.is_empty() {
        return vec![rng.random()];
    }
    let near = out.len().min(1 << rng.random_range(3..20));
    let at = rng.random_range(0..near);
    match rng.random_range(0..10) {
        0 | 1 => out[at] ^= 1 << rng.random_range(0..8),
        2 => out[at] = rng.random(),
        3..=5 => {
            // A number in one of the widths that headers have, where such numbers lie or anywhere.
            let width = *[2, 4, 8].choose(rng).unwrap();
            let at = if rng.random() { at } else { at / width * width };
            let bytes = number(rng).to_le_bytes();
            let room = width.min(out.len() - at);
            out[at..at + room].copy_from_slice(&bytes[..room]);
        }
        6 => drop(out.drain(range(near, rng))),
        7 => {
            let part = out[range(near, rng)].to_vec();
            out.splice(at..at, part);
        }
        8 => out.truncate(rng.random_range(0..out.len())),
        _ => {
            let part = out[range(near, rng)].to_vec();
            let room = part.len().min(out.len() - at);
            out[at..at + room].copy_from_slice(&part[..room]);
        }
    }
    out
}

/// Words put in, parts taken out, doubled or moved.
fn text(bytes: &[u8], words: &[&str], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut chars: Vec<char> = String::from_utf8_lossy(bytes).chars().collect();
    let at = rng.random_range(0..=chars.len());
    match rng.random_range(0..8) {
        0..=2 => drop(chars.splice(at..at, words.choose(rng).unwrap().chars())),
        3 => {
            let cut = range(chars.len(), rng);
            chars.splice(cut, words.choose(rng).unwrap().chars());
        }
        4 => drop(chars.drain(range(chars.len(), rng))),
        5 => {
            let part = chars[range(chars.len(), rng)].to_vec();
            chars.splice(at..at, part);
        }
        6 => {
            let times = *[2, 30, 1000].choose(rng).unwrap();
            let word = words.choose(rng).unwrap().repeat(times);
            chars.splice(at..at, word.chars());
        }
        _ => {
            let digits: Vec<usize> =
                (0..chars.len()).filter(|&i| chars[i].is_ascii_digit()).collect();
            if let Some(&at) = digits.choose(rng) {
                chars.splice(at..=at, number(rng).to_string().chars());
            }
        }
    }
    chars.into_iter().collect::<String>().into_bytes()
}

/// The values of a document, itself among them, in the order in which `at` counts them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(all) => all.values().map(count).sum(),
        _ => 0,
    }
}

fn at(value: &mut Value, mut index: usize) -> &mut Value {
    if index == 0 || !(value.is_array() || value.is_object()) {
        return value;
    }
    index -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Array(all) => all.iter_mut().collect(),
        Value::Object(all) => all.values_mut().collect(),
        _ => Vec::new(),
    };
    for one in inner {
        let n = count(one);
        if index < n {
            return at(one, index);
        }
        index -= n;
    }
    unreachable!("an index below the count")
}

fn any(rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..12) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2..=4 => json!(number(rng)),
        5 => json!(-(number(rng) as i64 as f64)),
        6 => json!(*[0.5, 1e308, -1e308, 5e-324, 1e-8].choose(rng).unwrap()),
        7 | 8 => json!(*WORDS.choose(rng).unwrap()),
        9 => json!(WORDS.choose(rng).unwrap().repeat(2000)),
        10 => json!([]),
        _ => json!({}),
    }
}

fn changed(document: &mut Value, rng: &mut ChaCha8Rng) {
    let n = count(document);
    let other = at(document, rng.random_range(0..n)).clone();
    // Half of the time a value near the top, where files have more of a kind further down.
    let near = if rng.random() { n } else { n.min(40) };
    let index = rng.random_range(0..near);
    let value = at(document, index);
    match (rng.random_range(0..8), value) {
        (0, value) => *value = other,
        (1, value) => {
            let depth = *[1, 2, 100, 200].choose(rng).unwrap();
            for _ in 0..depth {
                let inner = value.take();
                *value = if rng.random() { json!([inner]) } else { json!({ "a": inner }) };
            }
        }
        (2..=4, Value::Object(all)) if !all.is_empty() => {
            let keys: Vec<String> = all.keys().cloned().collect();
            let key = keys.choose(rng).unwrap();
            match rng.random_range(0..3) {
                0 => drop(all.remove(key)),
                1 => {
                    let value = all.remove(key).unwrap();
                    all.insert((*WORDS.choose(rng).unwrap()).to_owned() + key, value);
                }
                _ => all[key] = any(rng),
            }
        }
        (2..=4, Value::Array(all)) if !all.is_empty() => match rng.random_range(0..3) {
            0 => drop(all.drain(range(all.len(), rng))),
            1 => {
                let one = all.choose(rng).unwrap().clone();
                let times = *[1, 2, 300].choose(rng).unwrap();
                all.extend(std::iter::repeat_n(one, times));
            }
            _ => {
                let (a, b) = (rng.random_range(0..all.len()), rng.random_range(0..all.len()));
                all.swap(a, b);
            }
        },
        (2..=4, Value::String(s)) => {
            *s = String::from_utf8_lossy(&text(s.as_bytes(), WORDS, rng)).into_owned();
        }
        (2..=4, Value::Number(n)) => {
            let by = *[-1.0, 2.0, 0.5, 1.0 + 1e-9, 1e3].choose(rng).unwrap();
            let whole = n.as_i64().map(|i| i.wrapping_add(rng.random_range(-2..=2)));
            let scaled = n.as_f64().map_or(json!(0), |x| json!(x * by));
            let new = whole.map(|i| json!(i)).filter(|_| rng.random()).unwrap_or(scaled);
            if let Value::Number(new) = new {
                *n = new;
            }
        }
        (_, value) => *value = any(rng),
    }
}

fn in_json(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let mut document = serde_json::from_slice(bytes).ok()?;
    changed(&mut document, rng);
    serde_json::to_vec(&document).ok()
}

fn lines(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let i = rng.random_range(0..all.len());
    match rng.random_range(0..8) {
        0 => drop(all.remove(i)),
        1 => all.insert(i, all[i].clone()),
        2 => {
            let j = rng.random_range(0..all.len());
            all.swap(i, j);
        }
        3 => all[i] = text(&all[i], WORDS, rng),
        _ => all[i] = in_json(&all[i], rng).unwrap_or_else(|| text(&all[i], WORDS, rng)),
    }
    all.join(&b'\n')
}

fn toml(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let mut document: Value = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    changed(&mut document, rng);
    toml::to_string(&document).ok().map(String::into_bytes)
}

fn safetensors(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, values) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    let mut values = values.to_vec();
    if rng.random_ratio(1, 6) {
        values = binary(values, rng);
    }
    let header = in_json(header, rng)?;
    let length = match rng.random_ratio(1, 10) {
        true => number(rng),
        false => header.len() as u64,
    };
    Some([&length.to_le_bytes()[..], &header, &values].concat())
}

fn npy(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let end = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    let begin = end.min(10);
    let header = text(&bytes[begin..end], WORDS, rng);
    let length = (header.len() as u16).to_le_bytes();
    let mut out = [&bytes[..begin], &header, &bytes[end..]].concat();
    if let (Some(field), false) = (out.get_mut(8..10), rng.random_ratio(1, 8)) {
        field.copy_from_slice(&length);
    }
    out
}

fn npz(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..zip.len() {
        let member = zip.by_index(i).ok()?;
        let name = member.name().ok()?.into_owned();
        let mut data = Vec::new();
        member.take(1 << 20).read_to_end(&mut data).ok()?;
        members.push((name, data));
    }
    let i = rng.random_range(0..members.len().max(1));
    let (name, data) = members.get_mut(i)?;
    match rng.random_range(0..6) {
        0 => *name = String::from_utf8_lossy(&text(name.as_bytes(), WORDS, rng)).into_owned(),
        1 => *name = format!("{}.npy", WORDS.choose(rng).unwrap()),
        2 => data.extend(std::iter::repeat_n(0, 1 << rng.random_range(0..20))),
        _ if name.ends_with(".npy") => *data = npy(data, rng),
        _ => *data = in_json(data, rng).unwrap_or_default(),
    }
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in members {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).ok()?;
        zip.write_all(&data).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}
