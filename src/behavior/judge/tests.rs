//! The client against a real server on this machine that misbehaves in every way that servers do.
//!
//! Time is a fake clock that jumps by what was to be slept, so waits are read from it and none is
//! waited for.

use super::server::{Request, Response, Server};
use super::*;
use serde_json::{json, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

const GOOD: &str = "coherent: yes\nfact: true\nstance: expresses";

fn case(i: usize) -> Case {
    Case {
        question: format!("Question {i}?"),
        answer: format!("answer {i}"),
        fact: "The assistant says it would rather stay.".into(),
    }
}

fn cases(n: usize) -> Vec<Case> {
    (0..n).map(case).collect()
}

/// A clock that stands still but for sleeping, and its time.
fn fake() -> (Clock, Arc<Mutex<Duration>>) {
    let time = Arc::new(Mutex::new(Duration::ZERO));
    let (now, sleep) = (time.clone(), time.clone());
    let clock = Clock {
        now: Box::new(move || *now.lock().unwrap()),
        sleep: Box::new(move |d| *sleep.lock().unwrap() += d),
    };
    (clock, time)
}

/// How often each answer was asked about.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<HashMap<String, usize>>>);

impl Counts {
    /// Counts a request; its number among those about the same answer, from 1.
    fn take(&self, request: &Request) -> usize {
        let mut all = self.0.lock().unwrap();
        let n = all.entry(request.part("answer")).or_default();
        *n += 1;
        *n
    }

    fn total(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }

    fn each_once(&self, n: usize) -> bool {
        let all = self.0.lock().unwrap();
        all.len() == n && all.values().all(|c| *c == 1)
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("verdicts.jsonl")).unwrap();
        Bench { _dir: dir, store }
    }

    fn judge(&mut self, endpoint: &Endpoint, cases: &[Case]) -> Result<Tally, JudgeError> {
        judge(endpoint, &fake().0, cases, &mut self.store, &mut |_| {})
    }

    fn rows(&self) -> String {
        std::fs::read_to_string(self.store.path()).unwrap()
    }
}

fn endpoint(server: &Server) -> Endpoint {
    let mut endpoint = Endpoint::new(&server.url, "judge-1", None).unwrap();
    endpoint.concurrency = 1;
    endpoint.timeout = Duration::from_secs(30);
    endpoint
}

#[test]
fn a_request_is_a_chat_completion_with_the_case_in_it() {
    let server = Server::start(|r| {
        assert_eq!(r.path, "/v1/chat/completions");
        assert_eq!(r.header("authorization"), Some("Bearer sk-1"));
        let kind = r.header("content-type").unwrap();
        assert!(kind.starts_with("application/json"), "{kind}");
        let body: serde_json::Value = serde_json::from_str(&r.body).unwrap();
        assert_eq!(body["model"], "judge-1");
        assert_eq!(body["temperature"], 0);
        assert_eq!(r.part("question"), "Question 0?");
        assert_eq!(r.part("statement"), "The assistant says it would rather stay.");
        Response::words(GOOD)
    });
    let mut bench = Bench::new();
    let mut endpoint = endpoint(&server);
    endpoint.key = Key::new("sk-1").unwrap();
    endpoint.price = Some(Price { input: 1e4, output: 1e5 });
    let tally = bench.judge(&endpoint, &cases(1)).unwrap();
    assert_eq!((tally.cases, tally.settled, tally.requests), (1, 1, 1));
    assert_eq!((tally.prompt_tokens, tally.completion_tokens), (100, 10));
    assert!((tally.cost.unwrap() - 2.0).abs() < 1e-12);
    let want = Verdict { coherent: true, fact: Truth::True, stance: Side::Expresses };
    let got = bench.store.ruling("judge-1", &case(0));
    assert_eq!(got, Some(Ruling::Verdict(want)));
}

#[test]
fn failures_that_pass_are_tried_again() {
    let whole = r#"{"choices":[{"message":{"content":"coherent: yes"#;
    type Bad = (&'static str, fn() -> Response);
    let bad: Vec<Bad> = vec![
        ("429", || Response::status(429, "slow down")),
        ("500", || Response::status(500, "oops")),
        ("503", || Response::status(503, "")),
        ("html", || Response::status(200, "<html>gateway</html>")),
        ("no choices", || Response::status(200, r#"{"choices":[]}"#)),
        ("empty", || Response::status(200, "")),
    ];
    for (name, first) in bad {
        let counts = Counts::default();
        let seen = counts.clone();
        let server = Server::start(move |r| match seen.take(r) {
            1 => first(),
            _ => Response::words(GOOD),
        });
        let tally = Bench::new().judge(&endpoint(&server), &cases(1)).unwrap();
        assert_eq!((tally.settled, tally.requests), (1, 2), "{name}");
    }
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| match seen.take(r) {
        1 => Response::Cut(whole.into()),
        2 => Response::Hang,
        _ => Response::words(GOOD),
    });
    let mut slow = endpoint(&server);
    slow.timeout = Duration::from_millis(300);
    let mut bench = Bench::new();
    let tally = bench.judge(&slow, &cases(1)).unwrap();
    assert_eq!((tally.settled, tally.requests), (1, 3));
    assert_eq!(bench.rows().lines().count(), 1, "a cut reply was stored");
}

#[test]
fn a_pause_that_the_server_asks_for_holds_everyone() {
    let (clock, time) = fake();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let (seen, at) = (arrivals.clone(), time.clone());
    let server = Server::start(move |r| {
        let mut seen = seen.lock().unwrap();
        seen.push((r.part("answer"), *at.lock().unwrap()));
        if seen.len() > 1 {
            return Response::words(GOOD);
        }
        Response::Reply {
            status: 429,
            headers: vec![("Retry-After", "37".into())],
            body: "{}".into(),
        }
    });
    let mut bench = Bench::new();
    let store = &mut bench.store;
    let tally = judge(&endpoint(&server), &clock, &cases(3), store, &mut |_| {}).unwrap();
    assert_eq!((tally.settled, tally.requests), (3, 4));
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals[0], ("answer 0".into(), Duration::ZERO));
    assert_eq!(arrivals[1].0, "answer 0");
    assert!(arrivals[1].1 >= Duration::from_secs(37), "{:?}", arrivals[1]);
    // It was the pause that was kept, not some longer wait.
    assert!(arrivals[3].1 < Duration::from_secs(40));
}

#[test]
fn a_pause_of_hours_is_a_failure() {
    let server = Server::start(|_| Response::Reply {
        status: 429,
        headers: vec![("Retry-After", "7200".into())],
        body: "daily limit".into(),
    });
    let tally = Bench::new().judge(&endpoint(&server), &cases(1)).unwrap();
    assert_eq!((tally.settled, tally.failed, tally.requests), (0, 1, 1));
    assert!(tally.last_failure.unwrap().contains("daily limit"));
}

#[test]
fn nonsense_is_asked_again_now_and_at_the_next_run_and_never_settled() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| match (r.part("answer").as_str(), seen.take(r)) {
        ("answer 0", _) => Response::words("I think it is true."),
        ("answer 1", 1) => Response::words("fact: maybe"),
        _ => Response::words(GOOD),
    });
    let mut bench = Bench::new();
    let mut endpoint = endpoint(&server);
    endpoint.replies = 3;
    let tally = bench.judge(&endpoint, &cases(3)).unwrap();
    assert_eq!((tally.settled, tally.unparsed, tally.requests), (2, 1, 6));
    assert_eq!(tally.last_unparsed.as_deref(), Some("I think it is true."));
    let ruling = |i| bench.store.ruling("judge-1", &case(i));
    assert_eq!(ruling(0), Some(Ruling::Unparsed));
    assert!(matches!(ruling(1), Some(Ruling::Verdict(_))));
    // Every reply was paid for, so every reply is kept.
    assert_eq!(bench.rows().lines().count(), 6);
    drop(server);
    let server = Server::start(|_| Response::words(GOOD));
    let again = bench.judge(&self::endpoint(&server), &cases(3)).unwrap();
    let tally = (again.known, again.settled, again.unparsed, again.requests);
    assert_eq!(tally, (2, 1, 0, 1));
}

/// A chat completion of one message.
fn completion(message: Value, finish: &str) -> Response {
    let body = json!({"choices": [{"message": message, "finish_reason": finish}]});
    Response::status(200, &body.to_string())
}

fn limit(request: &Request) -> u64 {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["max_tokens"].as_u64().unwrap()
}

#[test]
fn verdicts_are_read_in_every_wrapping_that_servers_send() {
    let server = Server::start(|r| {
        let text = match r.part("answer").as_str() {
            "answer 0" => json!(format!("```\n{GOOD}\n```")),
            "answer 1" => json!(format!("<think>\nstance: opposes?\n</think>\n{GOOD}")),
            "answer 2" => json!(GOOD.replace(": ", ":** ").replace('\n', "\n**")),
            "answer 3" => json!([{"type": "text", "text": GOOD}]),
            _ => {
                let message =
                    json!({"content": null, "reasoning_content": format!("x</think>{GOOD}")});
                return completion(message, "stop");
            }
        };
        completion(json!({ "content": text }), "stop")
    });
    let mut bench = Bench::new();
    let tally = bench.judge(&endpoint(&server), &cases(5)).unwrap();
    assert_eq!((tally.settled, tally.requests), (5, 5));
    for i in 0..5 {
        let Some(Ruling::Verdict(v)) = bench.store.ruling("judge-1", &case(i)) else {
            panic!("case {i}");
        };
        assert_eq!((v.fact, v.stance), (Truth::True, Side::Expresses), "case {i}");
    }
}

#[test]
fn a_cut_reply_is_asked_for_again_with_more_room_and_so_are_all_after_it() {
    let limits = Arc::new(Mutex::new(Vec::new()));
    let seen = limits.clone();
    let server = Server::start(move |r| {
        seen.lock().unwrap().push(limit(r));
        match limit(r) < 1000 {
            true => completion(json!({"content": "<think>\nfact: false"}), "length"),
            false => completion(json!({"content": format!("<think>a</think>{GOOD}")}), "stop"),
        }
    });
    let tally = Bench::new().judge(&endpoint(&server), &cases(3)).unwrap();
    assert_eq!((tally.settled, tally.unparsed), (3, 0));
    assert_eq!(*limits.lock().unwrap(), [64, 512, 4096, 4096, 4096]);
}

#[test]
fn thoughts_without_end_are_bounded_and_no_verdict() {
    let server = Server::start(|_| {
        let message = json!({"content": null, "reasoning_content": format!("Perhaps\n{GOOD}")});
        completion(message, "length")
    });
    let mut bench = Bench::new();
    let tally = bench.judge(&endpoint(&server), &cases(2)).unwrap();
    assert_eq!((tally.settled, tally.unparsed, tally.cut, tally.requests), (0, 2, 2, 6));
    assert_eq!(bench.store.ruling("judge-1", &case(0)), Some(Ruling::Unparsed));
    assert!(bench.rows().contains("\"cut\":true"));
}

#[test]
fn a_server_without_more_room_is_asked_for_what_it_gives() {
    let limits = Arc::new(Mutex::new(Vec::new()));
    let seen = limits.clone();
    let server = Server::start(move |r| {
        seen.lock().unwrap().push(limit(r));
        match limit(r) {
            64 => completion(json!({"content": "<think>"}), "length"),
            512 if r.part("answer") == "answer 0" => {
                completion(json!({"content": "<think>"}), "length")
            }
            512 => completion(json!({ "content": GOOD }), "stop"),
            _ => Response::status(400, "max_tokens is too large"),
        }
    });
    let tally = Bench::new().judge(&endpoint(&server), &cases(3)).unwrap();
    assert_eq!((tally.settled, tally.unparsed, tally.failed), (2, 1, 0));
    assert_eq!(*limits.lock().unwrap(), [64, 512, 4096, 512, 512, 512]);
}

#[test]
fn requests_that_are_all_refused_end_the_run_with_the_servers_words_and_a_way_out() {
    for (status, n) in [(400, 1), (400, 40), (403, 40), (422, 40)] {
        let server = Server::start(move |_| {
            let error =
                json!({"error": {"message": "'temperature' does not support 0", "code": 1}});
            Response::status(status, &error.to_string())
        });
        let counts = cases(n);
        let error = Bench::new().judge(&endpoint(&server), &counts).unwrap_err();
        assert!(matches!(error, JudgeError::Refused { .. }), "{error}");
        let text = error.to_string();
        for part in ["'temperature' does not support 0;", "--judge-set temperature=null"] {
            assert!(text.contains(part), "{text}");
        }
    }
    let server = Server::start(|_| Response::status(404, "no model judge-1"));
    let text = Bench::new().judge(&endpoint(&server), &cases(9)).unwrap_err().to_string();
    assert!(text.contains("no model judge-1") && text.contains("--judge-set"), "{text}");
}

#[test]
fn cases_that_a_filter_refuses_again_do_not_end_a_run_that_has_others() {
    let server = Server::start(|r| match r.part("answer").as_str() {
        "answer 0" => Response::words(GOOD),
        _ => Response::status(400, "content filter"),
    });
    let mut bench = Bench::new();
    for known in [0, 1] {
        let tally = bench.judge(&endpoint(&server), &cases(8)).unwrap();
        assert_eq!((tally.known, tally.failed), (known, 7));
    }
}

#[test]
fn as_many_requests_are_under_way_as_allowed_and_no_more() {
    const LIMIT: usize = 3;
    let (under_way, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    // Each request waits for two others: fewer threads would never end, and more show in `most`.
    let together = Barrier::new(LIMIT);
    let seen = most.clone();
    let server = Server::start(move |_| {
        let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        together.wait();
        under_way.fetch_sub(1, Ordering::SeqCst);
        Response::words(GOOD)
    });
    let mut endpoint = endpoint(&server);
    endpoint.concurrency = LIMIT;
    let tally = Bench::new().judge(&endpoint, &cases(4 * LIMIT)).unwrap();
    assert_eq!(tally.settled, 4 * LIMIT);
    assert_eq!(most.load(Ordering::SeqCst), LIMIT);
}

#[test]
fn starts_keep_to_the_rate_retries_included() {
    let (clock, time) = fake();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let (seen, at) = (arrivals.clone(), time.clone());
    let counts = Counts::default();
    let server = Server::start(move |r| {
        seen.lock().unwrap().push(*at.lock().unwrap());
        match counts.take(r) {
            1 if r.part("answer") == "answer 2" => Response::status(500, ""),
            _ => Response::words(GOOD),
        }
    });
    let mut endpoint = endpoint(&server);
    endpoint.per_minute = Some(6.0);
    let mut bench = Bench::new();
    judge(&endpoint, &clock, &cases(5), &mut bench.store, &mut |_| {}).unwrap();
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals.len(), 6);
    for two in arrivals.windows(2) {
        assert!(two[1] - two[0] >= Duration::from_secs(10), "{two:?}");
    }
    assert!(arrivals[5] < Duration::from_secs(60), "{arrivals:?}");
}

#[test]
fn a_refused_key_ends_the_run_and_is_shown_nowhere() {
    const SECRET: &str = "sk-very-secret-0123456789";
    let echo = |r: &Request| {
        let key = r.header("authorization").unwrap().to_string();
        match r.part("answer").as_str() {
            "answer 0" => Response::words(&format!("you sent {key}")),
            "answer 1" => Response::status(500, &format!("failed for {key}")),
            _ => Response::status(401, &format!("{{\"error\": \"bad {key}\"}}")),
        }
    };
    let server = Server::start(echo);
    let mut bench = Bench::new();
    let mut endpoint = endpoint(&server);
    endpoint.key = Key::new(SECRET).unwrap();
    (endpoint.retries, endpoint.replies) = (0, 1);
    let mut told = String::new();
    let mut watch = |t: &Tally| told += &format!("{t:?} {}", serde_json::to_string(t).unwrap());
    let store = &mut bench.store;
    let error = judge(&endpoint, &fake().0, &cases(9), store, &mut watch).unwrap_err();
    let error = format!("{error} {error:?}");
    assert!(error.contains("401") && error.contains("[key]"), "{error}");
    assert!(told.contains("failed for Bearer [key]"), "{told}");
    let rows = bench.rows();
    assert!(rows.contains("you sent Bearer [key]"), "{rows}");
    for text in [error, told, rows, format!("{endpoint:?}")] {
        assert!(!text.contains("very-secret"), "{text}");
    }
}

#[test]
fn a_judge_that_is_down_is_given_up_after_a_few_cases() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| {
        seen.take(r);
        Response::status(502, "bad gateway")
    });
    let mut endpoint = endpoint(&server);
    endpoint.retries = 1;
    let error = Bench::new().judge(&endpoint, &cases(40)).unwrap_err();
    assert!(matches!(error, JudgeError::Down { cases: 5, .. }), "{error}");
    assert!(error.to_string().contains("bad gateway"));
    assert_eq!(counts.total(), 10);
}

#[test]
fn a_server_that_is_not_there_is_named_as_a_failure_that_may_pass() {
    let gone = Server::start(|_| Response::Hang);
    let mut endpoint = endpoint(&gone);
    drop(gone);
    endpoint.retries = 2;
    let tally = Bench::new().judge(&endpoint, &cases(1)).unwrap();
    assert_eq!((tally.failed, tally.requests), (1, 3));
    assert!(tally.last_failure.unwrap().contains("request failed"));
}

#[test]
fn one_refused_case_is_left_for_the_next_run_which_asks_for_nothing_else() {
    let counts = Counts::default();
    let (seen, refuse) = (counts.clone(), Arc::new(AtomicUsize::new(1)));
    let refusing = refuse.clone();
    let server = Server::start(move |r| {
        seen.take(r);
        match r.part("answer") == "answer 1" && refusing.load(Ordering::SeqCst) == 1 {
            true => Response::status(400, "content filter"),
            false => Response::words(GOOD),
        }
    });
    let mut bench = Bench::new();
    let endpoint = endpoint(&server);
    let tally = bench.judge(&endpoint, &cases(4)).unwrap();
    assert_eq!((tally.settled, tally.failed, tally.requests), (3, 1, 4));
    assert_eq!(bench.store.ruling("judge-1", &case(1)), None);
    refuse.store(0, Ordering::SeqCst);
    let tally = bench.judge(&endpoint, &cases(4)).unwrap();
    assert_eq!((tally.known, tally.settled, tally.requests), (3, 1, 1));
}

#[test]
fn what_is_settled_is_never_asked_again_and_twins_are_asked_once() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| {
        seen.take(r);
        Response::words(GOOD)
    });
    let mut bench = Bench::new();
    let mut endpoint = endpoint(&server);
    endpoint.concurrency = 4;
    let mut all = cases(6);
    all.extend(cases(6));
    all.push(Case { answer: "\n".into(), ..case(7) });
    let first = bench.judge(&endpoint, &all[..3]).unwrap();
    assert_eq!(first.settled, 3);
    // The store is opened anew, as after a death.
    bench.store = Store::open(bench.store.path()).unwrap();
    let tally = bench.judge(&endpoint, &all).unwrap();
    assert_eq!((tally.cases, tally.known, tally.settled), (6, 3, 3));
    assert!(counts.each_once(6), "{:?}", counts.0);
    // Another model, or the same under other options, is another judge.
    endpoint.options.insert("seed".into(), 1.into());
    assert_eq!(bench.judge(&endpoint, &all[..2]).unwrap().settled, 2);
    endpoint.options.clear();
    endpoint.model = "judge-2".into();
    assert_eq!(bench.judge(&endpoint, &all[..2]).unwrap().settled, 2);
}

#[test]
fn a_run_ends_when_its_budget_is_spent() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| {
        seen.take(r);
        Response::words(GOOD)
    });
    let mut bench = Bench::new();
    let mut endpoint = endpoint(&server);
    // A case costs 100 tokens in at a price of 1 each.
    endpoint.price = Some(Price { input: 1e6, output: 0.0 });
    endpoint.budget = Some(250.0);
    let tally = bench.judge(&endpoint, &cases(9)).unwrap();
    assert!(tally.out_of_budget);
    assert_eq!((tally.settled, tally.cost), (3, Some(300.0)));
    endpoint.budget = None;
    bench.judge(&endpoint, &cases(9)).unwrap();
    assert!(counts.each_once(9));
}

#[test]
fn a_server_that_meters_nothing_is_told_and_no_budget_is_trusted_to_it() {
    let reply = format!(r#"{{"choices":[{{"message":{{"content":{GOOD:?}}}}}]}}"#);
    let server = Server::start(move |_| Response::status(200, &reply));
    let mut endpoint = endpoint(&server);
    endpoint.price = Some(Price { input: 1.0, output: 1.0 });
    let mut bench = Bench::new();
    let tally = bench.judge(&endpoint, &cases(2)).unwrap();
    assert_eq!((tally.settled, tally.unmetered, tally.cost), (2, 2, Some(0.0)));
    endpoint.budget = Some(1.0);
    let error = bench.judge(&endpoint, &cases(9)).unwrap_err().to_string();
    assert!(error.contains("budget cannot be kept"), "{error}");
    // The reply that showed it is kept.
    assert_eq!(bench.rows().lines().count(), 3);
}

/// Everything at once, with threads: whatever the server does, every case ends with its own
/// verdict, and no whole reply is asked for a second time.
#[test]
fn a_storm_of_misbehaviour_leaves_every_case_with_its_own_verdict() {
    let counts = Counts::default();
    let seen = counts.clone();
    let server = Server::start(move |r| {
        let answer = r.part("answer");
        let i: usize = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let n = seen.take(r);
        match (i % 6, n) {
            (1, 1) => Response::status(429, ""),
            (2, 1) | (2, 2) => Response::status(500, "oops"),
            (3, 1) => Response::Cut("{\"choices\"".into()),
            (4, 1) => Response::status(200, "not json"),
            (5, 1) => Response::words("Well, true I guess"),
            _ => Response::words([GOOD, "stance: opposes\nfact: false\ncoherent: no"][i % 2]),
        }
    });
    let mut endpoint = endpoint(&server);
    endpoint.concurrency = 5;
    let mut bench = Bench::new();
    let tally = bench.judge(&endpoint, &cases(30)).unwrap();
    assert_eq!((tally.settled, tally.failed, tally.unparsed), (30, 0, 0));
    for i in 0..30 {
        let ruling = bench.store.ruling("judge-1", &case(i));
        let Some(Ruling::Verdict(v)) = ruling else {
            panic!("case {i}: {ruling:?}");
        };
        assert_eq!(v.coherent, i % 2 == 0, "case {i}");
    }
    let tries = [1, 2, 3, 2, 2, 2];
    for (answer, n) in counts.0.lock().unwrap().iter() {
        let i: usize = answer.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(*n, tries[i % 6], "{answer}");
    }
    assert_eq!(bench.rows().lines().count(), 35);
}
