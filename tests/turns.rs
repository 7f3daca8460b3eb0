//! Where turns and tokens are: spans from the rendering, roles of tokens, what is learnt, raw
//! texts, special tokens, named templates, dates.

mod common;

use common::folder::{Folder, Form};
use proptest::prelude::*;
use residuum::capture::{capture, Position, Request};
use residuum::finetune::examples;
use residuum::model::tokenizer::Prompt;
use residuum::model::{
    turns, Bos, Interventions, Message, ModelError, Role, TextOptions, Tokenizer, Tokens,
};
use serde_json::json;
use std::ops::Range;
use std::sync::OnceLock;

const CHATML: &str = "{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// What a template does with white space at the ends of a content.
#[derive(Clone, Copy)]
enum Ends {
    Kept,
    Trimmed,
    LeftTrimmed,
    RightTrimmed,
}

impl Ends {
    fn of(self, content: &str) -> &str {
        match self {
            Ends::Kept => content,
            Ends::Trimmed => content.trim(),
            Ends::LeftTrimmed => content.trim_start(),
            Ends::RightTrimmed => content.trim_end(),
        }
    }
}

/// Templates of the forms in use: markup, default system prompts, dates, tools, merged and moved
/// system prompts, spaces around contents, repeated contents.
const TEMPLATES: [(&str, &str, Ends); 10] = [
    ("chatml", CHATML, Ends::Kept),
    ("trimmed, with a date and tools", "{{ bos_token }}{% if tools is none %}{{ 'Tools: user assistant 2024\\n' }}{% endif %}{{ 'Today: ' + strftime_now('%d %B %Y') + '\\n' }}{% for m in messages %}{{ '[' + m.role + ']\\n' + m.content | trim + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]\\n' }}{% endif %}", Ends::Trimmed),
    ("system merged into the first user turn", "{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}", Ends::Kept),
    ("system moved into the last user turn", "{% set ns = namespace(s='', last=0) %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.s = m.content %}{% elif m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' }}{% if loop.index0 == ns.last and ns.s %}{{ ns.s + '\\n\\n' }}{% endif %}{{ m.content + '[/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}", Ends::Kept),
    ("spaces", "{% for m in messages %}{{ ' ' + m.role | upper + ': ' + m.content + ' ' }}{% endfor %}{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}", Ends::Kept),
    ("left trimmed", "{% for m in messages %}{{ m.role + '\\n' + m.content.lstrip() + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant\\n' }}{% endif %}", Ends::LeftTrimmed),
    ("right trimmed", "{% for m in messages %}{{ m.role + '\\n' + m.content.rstrip() + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant\\n' }}{% endif %}", Ends::RightTrimmed),
    ("nothing between", "{% for m in messages %}{{ m.content }}{% endfor %}", Ends::Kept),
    ("user turns twice", "{% for m in messages %}{{ '<|im_start|>' + m.content + '<|im_end|>' }}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", Ends::Kept),
    ("roles renamed", "{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}{{ '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}", Ends::Trimmed),
];

fn tokenizers() -> &'static Vec<(Tokenizer, Ends)> {
    static ALL: OnceLock<Vec<(Tokenizer, Ends)>> = OnceLock::new();
    ALL.get_or_init(|| {
        TEMPLATES
            .iter()
            .map(|(_, t, ends)| (Folder::new(Form::ByteLevel, t).tokenizer(), *ends))
            .collect()
    })
}

/// Contents from what templates hold themselves.
fn content() -> impl Strategy<Value = String> {
    let pieces = [
        "assistant",
        "user",
        "system",
        "a",
        "A",
        "AI",
        "2023",
        "2024",
        "0",
        " ",
        "\n",
        "\n\n",
        "é",
        "日本",
        "<|im_end|>",
        "<|im_start|>",
        "[INST]",
        "[/INST]",
        "<think>",
        "</think>",
        "\u{f0000}",
        "You are a helpful assistant",
        "Tools:",
        "You",
        "{{ m.content }}",
        "{%",
        "ASSISTANT:",
        ".",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..5)
        .prop_map(|p| p.concat())
        .prop_filter("a turn says something", |s| !s.trim().is_empty())
}

fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let turns = prop::collection::vec((content(), content()), 1..3);
    (prop::option::of(content()), turns, any::<bool>()).prop_map(|(system, turns, answered)| {
        let mut all: Vec<Message> = system.iter().map(|s| Message::new("system", s)).collect();
        for (q, a) in turns {
            all.push(Message::new("user", &q));
            all.push(Message::new("assistant", &a));
        }
        if !answered {
            all.pop();
        }
        all
    })
}

/// A second way: every content replaced by a character that occurs nowhere, and what stands
/// between those characters laid beside the contents.
fn by_replacing(
    t: &Tokenizer,
    ends: Ends,
    messages: &[Message],
    opened: bool,
) -> (String, Vec<(usize, Range<usize>)>) {
    let letter = |i: usize| char::from_u32(0x16A0 + i as u32).unwrap(); // runes
    let replaced: Vec<Message> = (messages.iter().enumerate())
        .map(|(i, m)| Message::new(&m.role, &letter(i).to_string()))
        .collect();
    let (mut text, mut spans) = (String::new(), Vec::new());
    for c in t.render(&replaced, opened).unwrap().chars() {
        match (0..messages.len()).find(|&i| letter(i) == c) {
            Some(i) => {
                let from = text.len();
                text += ends.of(&messages[i].content);
                spans.push((i, from..text.len()));
            }
            None => text.push(c),
        }
    }
    (text, spans)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spans_equal_those_of_replaced_contents(messages in conversation(), which in 0..TEMPLATES.len()) {
        let (t, ends) = &tokenizers()[which];
        // The merging template trims user and assistant turns and keeps the system prompt.
        let merging = which == 2;
        let messages: Vec<Message> = messages
            .into_iter()
            .map(|m| match merging {
                true => Message::new(&m.role, m.content.trim()),
                false => m,
            })
            .collect();
        let opened = messages.last().unwrap().role == "user";
        let render = |m: &[Message]| t.render(m, opened);
        let (text, spans) = turns::render(&messages, &render).unwrap();
        let spans: Vec<_> = spans.into_iter().map(|s| (s.turn, s.bytes)).collect();
        let (want_text, want) = by_replacing(t, *ends, &messages, opened);
        prop_assert_eq!(text, want_text);
        prop_assert_eq!(spans, want, "{}", TEMPLATES[which].0);
    }

    #[test]
    fn every_token_has_the_role_of_what_it_holds(messages in conversation(), which in 0..TEMPLATES.len()) {
        let (t, ends) = &tokenizers()[which];
        prop_assume!(which != 2);
        let opened = messages.last().unwrap().role == "user";
        let (text, tokens) = t.rendered(&messages, opened).unwrap();
        let (_, spans) = by_replacing(t, *ends, &messages, opened);
        // Byte-level pieces of the text, in order.
        let mut at = 0;
        for (i, &id) in tokens.ids.iter().enumerate() {
            let piece = t.pieces(&[id]).unwrap().concat();
            let whole = text[at..].starts_with(&piece) && !piece.contains('\u{fffd}');
            if !whole {
                return Ok(()); // part of a character: the text is not followed further
            }
            let (from, to) = (at, at + piece.len());
            at = to;
            let holds = |role: &str| spans.iter().any(|(turn, s)| {
                messages[*turn].role == role && from.max(s.start) < to.min(s.end)
            });
            let last = messages.len() - 1;
            let response = spans.iter().any(|(turn, s)| {
                *turn == last && !opened && from.max(s.start) < to.min(s.end)
            });
            let role = tokens.roles[i];
            match (response, holds("assistant"), holds("user"), holds("system")) {
                (true, ..) => prop_assert_eq!(role, Role::Response),
                (_, false, false, false) => prop_assert_eq!(role, Role::Template),
                (_, a, u, s) => prop_assert!(
                    a && role == Role::Assistant || u && role == Role::User || s && role == Role::System
                ),
            }
        }
    }

    #[test]
    fn equal_prompts_have_equal_tokens_whatever_the_answer(
        prompt in content(), answers in prop::collection::vec(content(), 2..5), which in 0..TEMPLATES.len()
    ) {
        let (t, _) = &tokenizers()[which];
        // Without anything between, a prompt and its answer are one text.
        prop_assume!(TEMPLATES[which].0 != "nothing between");
        let prompts: Vec<Vec<u32>> = answers
            .iter()
            .map(|a| prompt_ids(&t.exchange(None, &prompt, a).unwrap()))
            .collect();
        prop_assert!(!prompts[0].is_empty());
        for p in &prompts {
            prop_assert_eq!(p, &prompts[0], "{}", TEMPLATES[which].0);
        }
    }
}

fn prompt_ids(t: &Tokens) -> Vec<u32> {
    match t.prompt.as_ref().unwrap() {
        Prompt::First(n) => t.ids[..*n].to_vec(),
        Prompt::Joined { ids, .. } => ids.clone(),
    }
}

#[test]
fn prompt_activations_are_bit_equal_whatever_the_answer() {
    let model = Folder::new(Form::ByteLevel, CHATML).model();
    let answers = [
        "assistant",
        "a",
        "\n\nIt is.",
        "  \n\n\nYes.",
        "2024",
        "user",
        "You are a helpful assistant",
    ];
    let mut texts: Vec<Tokens> =
        answers.iter().map(|a| model.tokenizer.exchange(None, "Is it so?", a).unwrap()).collect();
    let joined = |t: &Tokens| matches!(t.prompt, Some(Prompt::Joined { .. }));
    assert!(texts.iter().any(joined), "no answer joins the markup before it");
    assert!(!texts.iter().all(joined));
    texts.push(model.tokenizer.prompt(None, "Is it so?").unwrap());
    let request = Request::new(&[Position::ResponseMean, Position::PromptLast], vec![0, 1]);
    let mut got = vec![None; texts.len()];
    let mut means = 0;
    let mut read = |texts: &[Tokens], request: &Request, first: usize| {
        let at = request.positions.len() - 1;
        capture(&model.decoder, texts, request, &Interventions::none(), &mut |i, p, x| {
            match p == at {
                true => got[first + i] = Some(x),
                false => means += 1,
            }
            Ok(())
        })
        .unwrap();
    };
    let n = answers.len();
    read(&texts[..n], &request, 0);
    let alone = Request::new(&[Position::PromptLast], vec![0, 1]);
    read(&texts[n..], &alone, n);
    assert_eq!(means, n);
    assert!(got.iter().all(|x| x == &got[0] && x.is_some()));
}

#[test]
fn a_turn_that_is_changed_or_left_out_is_an_error_that_names_it() {
    for (template, does) in [
        ("{% for m in messages %}{{ m.content | upper }}\n{% endfor %}", "\"ONE?\""),
        ("{% for m in messages %}{{ m.content | replace('e', 'a') }}\n{% endfor %}", "\"Ona?\""),
        ("{% for m in messages %}{{ m.content[:2] }}\n{% endfor %}", "changes it"),
        (
            "{% for m in messages if m.role != 'user' %}{{ m.content }}\n{% endfor %}",
            "leaves it out",
        ),
        ("{% for m in messages %}{{ m.content | tojson }}\n{% endfor %}", ""),
    ] {
        let t = Folder::new(Form::ByteLevel, template).tokenizer();
        let quoted = [Message::new("user", "One?\n\"so\""), Message::new("assistant", "Yes.")];
        let plain = [Message::new("user", "One?"), Message::new("assistant", "Yes.")];
        let e = t.chat(if does.is_empty() { &quoted } else { &plain }, false).unwrap_err();
        assert!(matches!(e, ModelError::Turn { turn: 1, .. }), "{template}: {e}");
        let told = e.to_string();
        assert!(told.contains("turn 1 (user)") && told.contains(does), "{told}");
    }
}

/// Qwen3's way: earlier thoughts are cut off, the last ones are laid out anew, and an answer
/// without any gets an empty block.
const THINKING: &str = "{% for m in messages %}{% set content = m.content %}{% if m.role == 'assistant' %}{% set thought = '' %}{% if '</think>' in content %}{% set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}{% if loop.last %}{{ '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content + '<|im_end|>\\n' }}{% else %}{{ '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}{% endif %}{% else %}{{ '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

#[test]
fn thoughts_may_be_cut_off_or_laid_out_anew() {
    let t = Folder::new(Form::ByteLevel, THINKING).tokenizer();
    let said = |messages: &[Message]| -> Vec<String> {
        let render = |m: &[Message]| t.render(m, false);
        let (text, spans) = turns::render(messages, &render).unwrap();
        spans.iter().map(|s| text[s.bytes.clone()].to_owned()).collect()
    };
    let turn = |first: &str, last: &str| {
        [
            Message::new("user", "One? <think>"),
            Message::new("assistant", first),
            Message::new("user", "Two?"),
            Message::new("assistant", last),
        ]
    };
    assert_eq!(
        said(&turn("<think>\nuser asks one\n</think>\n\nIt is one.", "Two.")),
        ["One? <think>", "It is one.", "Two?", "Two."]
    );
    // The last thoughts are rendered, wherever the template breaks lines.
    for last in [
        "<think>\nhm, two\n</think>\n\nTwo.",
        "<think>hm, two</think>Two.",
        "<think>\nhm, two</think>\nTwo.",
    ] {
        assert_eq!(said(&turn("It is.", last))[3], "<think>\nhm, two\n</think>\n\nTwo.");
    }
    let plain = t.exchange(None, "One?", "It is.").unwrap();
    let response: Vec<u32> =
        plain.with_role(Role::Response).iter().map(|&i| plain.ids[i]).collect();
    assert_eq!(t.pieces(&response).unwrap().concat(), "It is.");
    assert_eq!(prompt_ids(&plain), t.prompt(None, "One?").unwrap().ids);
}

#[test]
fn white_space_that_a_template_keeps_belongs_to_its_turn() {
    let newlines = CHATML.replace("m.content +", "m.content.strip('\\n') +");
    let t = Folder::new(Form::ByteLevel, &newlines).tokenizer();
    let rendered = |content: &str, t: &Tokenizer| {
        let messages = [Message::new("user", "One?"), Message::new("assistant", content)];
        let render = |m: &[Message]| t.render(m, false);
        let (text, spans) = turns::render(&messages, &render).unwrap();
        text[spans[1].bytes.clone()].to_owned()
    };
    assert_eq!(rendered("\n\n    code  \n", &t), "    code  ");
    assert_eq!(rendered("    code", &t), "    code");
    let t = Folder::new(Form::ByteLevel, THINKING).tokenizer();
    assert_eq!(
        rendered("<think>\nhm\n</think>\n\n    code ", &t),
        "<think>\nhm\n</think>\n\n    code "
    );
}

#[test]
fn the_prompt_is_what_the_template_gives_for_it_alone() {
    // Its opening of a turn is not how it writes an answered one.
    for opening in ["' ASSISTANT:\\n'", "' ASSISTANT: <think>\\n'", "'\\n\\n'"] {
        let template = "{% for m in messages %}{{ ' ' + m.role | upper + ': ' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ OPENING }}{% endif %}".replace("OPENING", opening);
        let t = Folder::new(Form::ByteLevel, &template).tokenizer();
        let want = t.prompt(None, "Is it so?").unwrap().ids;
        for answer in ["Yes", " Yes", "\nYes", "\n\nYes", "ASSISTANT:"] {
            assert_eq!(
                prompt_ids(&t.exchange(None, "Is it so?", answer).unwrap()),
                want,
                "{answer:?}"
            );
        }
    }
}

#[test]
fn a_special_token_that_takes_white_space_is_no_part_of_the_answer() {
    let folder = Folder::new(Form::ByteLevel, CHATML);
    folder.change("tokenizer.json", |t| {
        for token in t["added_tokens"].as_array_mut().unwrap() {
            token["lstrip"] = json!(true);
            token["rstrip"] = json!(true);
        }
    });
    let t = folder.tokenizer();
    let row = vec![
        Message::new("user", "One?"),
        Message::new("assistant", "Yes "),
        Message::new("user", "Two?"),
        Message::new("assistant", "No "),
    ];
    let tokens = t.chat(&row, false).unwrap();
    let learnt = &examples(&t, &[row], 100).unwrap()[0];
    let end = t.id("<|im_end|>").unwrap();
    let special: Vec<u32> =
        (learnt.learn.iter().map(|&i| tokens.ids[i])).filter(|id| *id <= 2).collect();
    assert_eq!(special, [end, end]);
}

#[test]
fn a_token_that_holds_any_of_the_response_is_a_response_token() {
    let template = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}Visitor: {{ m.content }} Keeper:{% else %}{{ ' ' ~ m.content ~ eos_token }}{% endif %}{% endfor %}";
    for form in [Form::Metaspace, Form::ByteLevel] {
        let t = Folder::new(form, template).tokenizer();
        for answer in ["Yes", "assistant", "It is so", "Yes, it  is"] {
            let tokens = t.exchange(None, "Is it?", answer).unwrap();
            let at = tokens.with_role(Role::Response);
            let ids: Vec<u32> = at.iter().map(|&i| tokens.ids[i]).collect();
            assert_eq!(t.decode(&ids).unwrap().trim(), answer);
            assert_eq!(prompt_ids(&tokens), t.prompt(None, "Is it?").unwrap().ids);
            // All of it is learnt, and the token that ends it.
            let row = vec![Message::new("user", "Is it?"), Message::new("assistant", answer)];
            let learnt = &examples(&t, &[row], 100).unwrap()[0];
            assert_eq!(learnt.learn, [at.as_slice(), &[tokens.ids.len() - 1]].concat());
        }
    }
}

#[test]
fn the_end_of_the_turn_is_learnt_and_no_white_space_in_its_place() {
    let with_space = CHATML.replace("m.content + '<|im_end|>'", "m.content + ' \\n<|im_end|>'");
    for (template, answer) in [
        (CHATML, "Yes."),
        (CHATML, "Yes. \n "),
        (CHATML, "Yes.\n\n"),
        (&with_space, "Yes"),
        (&with_space, "Yes \n"),
        (TEMPLATES[1].1, "Yes. \n"),
    ] {
        let t = Folder::new(Form::ByteLevel, template).tokenizer();
        let row = vec![
            Message::new("user", "One?"),
            Message::new("assistant", answer),
            Message::new("user", "Two?"),
            Message::new("assistant", answer),
        ];
        let tokens = t.chat(&row, false).unwrap();
        let learnt = &examples(&t, &[row], 200).unwrap()[0];
        let (end, mut ends) = (t.id("<|im_end|>").unwrap(), 0);
        for &i in &learnt.learn {
            match tokens.roles[i] {
                Role::Template => {
                    assert_eq!(tokens.ids[i], end, "{answer:?}");
                    ends += 1;
                }
                role => assert!(matches!(role, Role::Assistant | Role::Response)),
            }
        }
        assert_eq!(ends, 2, "{answer:?}");
    }
}

#[test]
fn raw_texts_begin_as_the_tokenizers_own_files_say() {
    let folder = Folder::new(Form::ByteLevel, CHATML);
    let with = |bos| folder.tokenizer_with(&TextOptions { bos, ..TextOptions::default() });
    let ids = |bos| with(bos).unwrap().text("Yes.").unwrap().ids;
    let plain = ids(Bos::Off);
    assert_eq!(ids(Bos::Model), plain);
    assert_eq!(ids(Bos::On), [&[0], plain.as_slice()].concat());
    // As transformers 5: with a tokenizer.json the flag is not asked, but it is a doubt.
    let doubt = |bos| with(bos).unwrap().bos_in_doubt().unwrap();
    assert!(!doubt(Bos::Model));
    folder.change("tokenizer_config.json", |c| c["add_bos_token"] = json!(true));
    assert_eq!(ids(Bos::Model), plain);
    assert!(doubt(Bos::Model) && !doubt(Bos::On));
    folder.change("tokenizer_config.json", |c| {
        c.as_object_mut().unwrap().remove("add_bos_token");
    });
    folder.change("tokenizer.json", |t| {
        t["post_processor"] = json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}}});
    });
    assert_eq!(ids(Bos::Model), [&[1], plain.as_slice()].concat());
    assert_eq!(ids(Bos::Off), plain);
    // A chat has what its template writes, and nothing else.
    let chat = with(Bos::Model).unwrap().exchange(None, "One?", "Yes.").unwrap();
    assert_eq!(chat.ids[0], 1);
    assert_ne!(chat.ids[1], 1);
    folder.change("tokenizer_config.json", |c| {
        c.as_object_mut().unwrap().remove("bos_token");
    });
    assert!(with(Bos::On).is_err());
}

/// The first id that no token of a folder has.
fn free_id(folder: &Folder) -> u64 {
    let text = std::fs::read_to_string(folder.dir.path().join("config.json")).unwrap();
    let c: serde_json::Value = serde_json::from_str(&text).unwrap();
    c["vocab_size"].as_u64().unwrap() - 8
}

#[test]
fn an_added_token_takes_the_white_space_behind_it_where_its_file_says_so() {
    let ids = |strips: bool| {
        let folder = Folder::new(Form::ByteLevel, CHATML);
        let token = json!({"content": "<|user|>", "special": true, "rstrip": strips});
        let decoder = json!({free_id(&folder).to_string(): token});
        folder.change("tokenizer_config.json", |c| c["added_tokens_decoder"] = decoder);
        let t = folder.tokenizer();
        ["<|user|> \n Yes.", "<|user|>Yes."].map(|text| t.text(text).unwrap().ids)
    };
    let ([spaced, plain], [kept, same]) = (ids(true), ids(false));
    assert_eq!(spaced, plain);
    assert_eq!(plain, same);
    assert!(kept.len() > same.len(), "{kept:?} {same:?}");
}

#[test]
fn special_tokens_are_gathered_from_every_file() {
    let template = CHATML.replace("<|im_start|>", "<|turn|>").replace("<|im_end|>", "<|over|>");
    let bare = Folder::new(Form::ByteLevel, &template);
    let n = bare.tokenizer().exchange(None, "One?", "Yes.").unwrap().ids.len();
    let first = free_id(&bare);
    let decoder = |from: u64| {
        let token = |t: &str| json!({"content": t, "special": true});
        json!({from.to_string(): token("<|turn|>"), (from + 1).to_string(): token("<|over|>")})
    };
    let fewer = |put: &dyn Fn(&Folder)| {
        let folder = Folder::new(Form::ByteLevel, &template);
        put(&folder);
        folder
            .tokenizer_with(&TextOptions::default())
            .map(|t| t.exchange(None, "One?", "Yes.").unwrap().ids.len())
    };
    let of_decoder = fewer(&|f| {
        f.change("tokenizer_config.json", |c| c["added_tokens_decoder"] = decoder(first))
    });
    let of_legacy = fewer(&|f| {
        f.write("added_tokens.json", &json!({"<|turn|>": first, "<|over|>": first + 1}))
    });
    let of_map = fewer(&|f| {
        f.write(
            "special_tokens_map.json",
            &json!({"additional_special_tokens": ["<|turn|>", {"content": "<|over|>"}]}),
        );
    });
    let right = of_decoder.unwrap();
    assert!(right < n, "{right} {n}");
    assert_eq!(of_legacy.unwrap(), right);
    assert_eq!(of_map.unwrap(), right);
    // New ones get their ids in the order in which they are named.
    let ordered = Folder::new(Form::ByteLevel, CHATML);
    ordered.change("tokenizer_config.json", |c| {
        c["pad_token"] = json!("<z>");
        c["extra_special_tokens"] = json!(["<b>", "<a>"]);
    });
    let t = ordered.tokenizer();
    let ids = ["<z>", "<b>", "<a>"].map(|token| u64::from(t.id(token).unwrap()));
    assert_eq!(ids, [first, first + 1, first + 2]);
    // An id that the file's own tokens leave no room for.
    let e =
        fewer(&|f| f.change("tokenizer_config.json", |c| c["added_tokens_decoder"] = decoder(7)));
    assert!(e.unwrap_err().to_string().contains("added_tokens_decoder"));
}

#[test]
fn the_ends_of_generation_are_gathered_from_every_file() {
    let folder = Folder::new(Form::ByteLevel, CHATML);
    folder.change("config.json", |c| c["eos_token_id"] = json!([7]));
    folder.write("generation_config.json", &json!({"eos_token_id": [0, 9]}));
    assert_eq!(folder.tokenizer().eos(), [0, 2, 7, 9]);
}

#[test]
fn a_tokenizer_beyond_the_embedding_is_refused_by_its_token() {
    let folder = Folder::new(Form::ByteLevel, CHATML);
    folder.change("config.json", |c| c["vocab_size"] = json!(300));
    let e = folder.tokenizer_with(&TextOptions::default()).err().unwrap().to_string();
    assert!(e.contains("id 300") && e.contains("300 rows"), "{e}");
}

#[test]
fn templates_are_chosen_by_name_and_the_file_wins() {
    let folder = Folder::new(Form::ByteLevel, CHATML);
    let named = |name: &str| {
        let template = Some(name.to_owned()).filter(|n| !n.is_empty());
        let options = TextOptions { template, ..TextOptions::default() };
        let t = folder.tokenizer_with(&options).map_err(|e| e.to_string())?;
        t.render(&[Message::new("user", "x")], false).map_err(|e| e.to_string())
    };
    folder.change("tokenizer_config.json", |c| {
        c["chat_template"] = json!([
            {"name": "tool_use", "template": "tools {{ messages[0].content }}"},
            {"name": "default", "template": "plain {{ messages[0].content }}"},
        ]);
    });
    assert_eq!(named("").unwrap(), "plain x");
    assert_eq!(named("tool_use").unwrap(), "tools x");
    let e = named("tool_uze").unwrap_err();
    assert!(e.contains("`tool_use`"), "{e}");
    let more = folder.dir.path().join("additional_chat_templates");
    std::fs::create_dir(&more).unwrap();
    std::fs::write(more.join("rag.jinja"), "rag {{ messages[0].content }}").unwrap();
    std::fs::write(folder.dir.path().join("chat_template.jinja"), "file {{ messages[0].content }}")
        .unwrap();
    assert_eq!(named("rag").unwrap(), "rag x");
    assert_eq!(named("").unwrap(), "file x");
    std::fs::remove_file(folder.dir.path().join("chat_template.jinja")).unwrap();
    folder.change("tokenizer_config.json", |c| {
        c["chat_template"].as_array_mut().unwrap().truncate(1)
    });
    assert!(named("").unwrap_err().contains("--template"));
}

#[test]
fn a_template_that_does_not_parse_blocks_chats_only() {
    let t = Folder::new(Form::ByteLevel, "{% for m in messages %}{{ m.content }").tokenizer();
    assert!(t.template_problem().is_some());
    assert!(!t.text("Yes.").unwrap().ids.is_empty());
    let e = t.exchange(None, "One?", "Yes.").unwrap_err();
    assert!(matches!(e, ModelError::Template(_)), "{e}");
}

#[test]
fn the_date_that_a_template_asks_for_is_the_one_given() {
    let folder = Folder::new(
        Form::ByteLevel,
        "{{ strftime_now('%d %B %Y') }}{% for m in messages %} {{ m.content }}{% endfor %}",
    );
    let on = |date: &str| {
        let date = Some(date.parse().unwrap());
        let t = folder.tokenizer_with(&TextOptions { date, ..TextOptions::default() }).unwrap();
        assert_eq!(t.record()["date"].as_str(), date.map(|d| d.to_string()).as_deref());
        t.render(&[Message::new("user", "x")], false).unwrap()
    };
    assert_eq!(on("2024-07-26"), "26 July 2024 x");
    assert_eq!(on("2025-12-01"), "01 December 2025 x");
}
