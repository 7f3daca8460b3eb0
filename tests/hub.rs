//! Models and adapters from a hub that answers well, badly, or with what would lead elsewhere.
//!
//! The program is run as a user runs it, against a server on this machine; what is judged is what
//! it says, what it asked for, and what lies in the cache afterwards.

mod common;
#[path = "common/server.rs"]
mod server;

use assert_cmd::Command;
use common::toy::Toy;
use residuum::store::activation_reader::ActivationReader;
use serde_json::json;
use server::{Request, Response, Server};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SECRET: &str = "hf_never_to_be_seen_4711";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

type Files = BTreeMap<String, String>;

fn files(pairs: &[(&str, &str)]) -> Files {
    let pair = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
    pairs.iter().map(pair).collect()
}

/// What a repository of one weight file holds.
fn plain() -> Files {
    files(&[
        ("config.json", "{}"),
        ("tokenizer.json", "{\"t\": 1}"),
        ("tokenizer_config.json", "{\"c\": 1}"),
        ("chat_template.jinja", "{{ messages }}"),
        ("additional_chat_templates/tools.jinja", "{{ tools }}"),
        (WEIGHTS, &"weights ".repeat(1000)),
        ("README.md", "of no use"),
        ("pytorch_model.bin", "of no use either"),
    ])
}

/// What a repository of two shards holds, the index being given.
fn sharded(weight_map: serde_json::Value) -> Files {
    let mut all = plain();
    all.remove(WEIGHTS);
    all.insert(INDEX.into(), json!({ "weight_map": weight_map }).to_string());
    all.insert("model-1.safetensors".into(), "first shard".into());
    all.insert("model-2.safetensors".into(), "second shard".into());
    all
}

fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The listing as the hub gives it: sizes, and the digests of the files in LFS.
fn listing(files: &Files, commit: &str) -> serde_json::Value {
    let one = |(name, text): (&String, &String)| {
        let mut file =
            json!({"rfilename": name, "size": text.len(), "blobId": &digest(text)[..40]});
        if name.ends_with(".safetensors") {
            file["lfs"] = json!({"sha256": digest(text), "size": text.len(), "pointerSize": 130});
        }
        file
    };
    json!({"sha": commit, "siblings": files.iter().map(one).collect::<Vec<_>>()})
}

/// The path of a file that is asked for, if one is.
fn asked(request: &Request) -> Option<&str> {
    let (_, file) = request.path.split_once("/resolve/")?;
    Some(file.split_once('/')?.1)
}

/// What an honest hub answers.
fn honest(files: &Files, request: &Request) -> Response {
    match asked(request) {
        None if request.path.contains("/api/models/org/tiny/revision/") => {
            Response::status(200, &listing(files, COMMIT).to_string())
        }
        None => Response::status(404, ""),
        Some(name) => match files.get(name) {
            Some(text) => Response::status(200, text),
            None => Response::status(404, ""),
        },
    }
}

/// Path, `Authorization` and `Range` of a request.
type Seen = (String, Option<String>, Option<String>);

/// A hub, what it was asked, and a home for one user of it.
struct Hub {
    server: Server,
    log: Arc<Mutex<Vec<Seen>>>,
    home: tempfile::TempDir,
}

impl Hub {
    fn new(handle: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Hub {
        let log = Arc::new(Mutex::new(Vec::new()));
        let noted = log.clone();
        let server = Server::start(move |request| {
            let header = |name: &str| request.header(name).map(str::to_string);
            let entry = (request.path.clone(), header("authorization"), header("range"));
            noted.lock().unwrap().push(entry);
            handle(request)
        });
        let home = tempfile::tempdir().unwrap();
        Hub { server, log, home }
    }

    fn of(files: Files) -> Hub {
        Hub::new(move |request| honest(&files, request))
    }

    fn command(&self, args: &[&str]) -> Command {
        command(self.home.path(), &self.server.url, args)
    }

    /// The snapshot that a pull prints.
    fn pulled(&self) -> PathBuf {
        let output = self.command(&["model", "pull", "org/tiny"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    }

    /// What a pull that fails says; afterwards nothing can be used.
    fn refused(&self) -> String {
        let said = failure(self.command(&["model", "pull", "org/tiny"]));
        let mut offline = self.command(&["model", "pull", "org/tiny"]);
        offline.env("HF_HUB_OFFLINE", "1").assert().failure();
        said
    }

    /// How often a file was asked for.
    fn times(&self, file: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(path, ..)| path.ends_with(file)).count()
    }

    fn repo(&self) -> PathBuf {
        self.home.path().join("hf/hub/models--org--tiny")
    }
}

fn command(home: &Path, endpoint: &str, args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("residuum").unwrap();
    for (name, _) in std::env::vars_os() {
        if ["HF_", "HUGGING", "TRANSFORMERS_", "RESIDUUM_"]
            .iter()
            .any(|p| name.to_string_lossy().starts_with(p))
        {
            command.env_remove(name);
        }
    }
    command
        .env("HF_HOME", home.join("hf"))
        .env("RESIDUUM_CACHE", home.join("cache"))
        .env("HF_ENDPOINT", endpoint)
        .env("HF_TOKEN", SECRET)
        .current_dir(home)
        .args(args);
    command
}

fn failure(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Every file below a folder, relative to it.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => open.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_pull_brings_every_file_that_is_needed_and_no_other() {
    let hub = Hub::of(plain());
    let snapshot = hub.pulled();
    assert_eq!(snapshot, hub.repo().join("snapshots").join(COMMIT));
    let wanted: Vec<String> =
        plain().into_keys().filter(|n| n != "README.md" && !n.ends_with("bin")).collect();
    assert_eq!(below(&snapshot), wanted);
    for name in &wanted {
        assert_eq!(std::fs::read_to_string(snapshot.join(name)).unwrap(), plain()[name], "{name}");
        let link = std::fs::read_link(snapshot.join(name)).unwrap();
        assert!(link.starts_with("../../blobs") || link.starts_with("../../../blobs"), "{link:?}");
    }
    assert_eq!(std::fs::read_to_string(hub.repo().join("refs/main")).unwrap(), COMMIT);
    // In the cache it needs nobody, by its branch or by its commit.
    let asked = hub.log.lock().unwrap().len();
    for name in ["org/tiny".to_string(), format!("org/tiny@{COMMIT}")] {
        let mut offline = hub.command(&["model", "pull", &name]);
        offline.env("HF_HUB_OFFLINE", "1").assert().success();
    }
    assert_eq!(hub.log.lock().unwrap().len(), asked);
    // Asked again online, nothing is fetched twice.
    hub.pulled();
    assert_eq!(hub.times(WEIGHTS), 1);
}

#[test]
fn a_file_that_fails_is_an_error_and_the_next_pull_completes_the_model() {
    for failing in ["chat_template.jinja", "tokenizer.json", WEIGHTS] {
        let ill = Arc::new(AtomicBool::new(true));
        let fails = ill.clone();
        let hub = Hub::new(move |request| match asked(request) {
            Some(name) if name == failing && fails.load(Ordering::SeqCst) => {
                Response::status(500, "")
            }
            _ => honest(&plain(), request),
        });
        let said = hub.refused();
        assert!(said.contains(failing) && said.contains("500"), "{said}");
        ill.store(false, Ordering::SeqCst);
        let snapshot = hub.pulled();
        assert!(snapshot.join(failing).is_file());
        assert_eq!((hub.times("tokenizer_config.json"), hub.times(failing)), (1, 2));
    }
}

#[test]
fn a_file_that_the_repository_lacks_is_no_error() {
    let mut few = plain();
    few.retain(|name, _| ["config.json", "tokenizer.json", WEIGHTS].contains(&name.as_str()));
    let hub = Hub::of(few);
    assert_eq!(below(&hub.pulled()).len(), 3);
    assert_eq!(hub.times("chat_template.jinja"), 0);
}

#[test]
fn a_cut_file_is_gone_on_with_and_held_against_its_digest() {
    let half = plain()[WEIGHTS].len() / 2;
    for honest_rest in [true, false] {
        let hub = Hub::new(move |request| {
            let text = plain()[WEIGHTS].clone();
            match (asked(request), request.header("range")) {
                (Some(WEIGHTS), None) => Response::Cut(text[..half].into()),
                (Some(WEIGHTS), Some(range)) => {
                    assert_eq!(range, format!("bytes={half}-"));
                    let rest = if honest_rest {
                        text[half..].into()
                    } else {
                        "x".repeat(text.len() - half)
                    };
                    let at = format!("bytes {half}-{}/{}", text.len() - 1, text.len());
                    Response::Reply {
                        status: 206,
                        headers: vec![("content-range", at)],
                        body: rest,
                    }
                }
                _ => honest(&plain(), request),
            }
        });
        let said = hub.refused();
        assert!(said.contains(WEIGHTS) && said.contains(&format!("cut after {half} of")), "{said}");
        if honest_rest {
            let got = std::fs::read_to_string(hub.pulled().join(WEIGHTS)).unwrap();
            assert_eq!(got, plain()[WEIGHTS]);
        } else {
            assert!(hub.refused().contains("SHA-256 is"));
            // What was spoilt is not gone on with again.
            assert!(hub.refused().contains("cut after"));
        }
    }
}

#[test]
fn content_that_is_not_what_the_hub_says_is_refused() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n";
    let other = "x".repeat(plain()[WEIGHTS].len());
    for (sent, says) in [
        (pointer, "Git-LFS pointer"),
        (&other, "SHA-256 is"),
        ("short", "cut after 5 of"),
        (&"x".repeat(9999), "longer than"),
    ] {
        let sent = sent.to_string();
        let hub = Hub::new(move |request| match asked(request) {
            Some(WEIGHTS) => Response::status(200, &sent),
            _ => honest(&plain(), request),
        });
        let said = hub.refused();
        assert!(said.contains(WEIGHTS) && said.contains(says), "{said}");
    }
}

#[test]
fn names_that_lead_out_of_the_snapshot_write_nothing() {
    let out = tempfile::tempdir().unwrap();
    let absolute = out.path().join("evil.safetensors").display().to_string();
    for evil in ["../../../../../evil.safetensors", &absolute, "sub/../../evil.safetensors"] {
        // As a shard of the index, which the repository even lists.
        let mut by_index = sharded(json!({"a": "model-1.safetensors", "b": evil}));
        let unlisted = Hub::of(by_index.clone());
        let said = unlisted.refused();
        assert!(said.contains(INDEX) && said.contains("evil.safetensors"), "{said}");
        assert_eq!(
            (unlisted.times("model-1.safetensors"), unlisted.times("evil.safetensors")),
            (0, 0)
        );
        by_index.insert(evil.into(), "evil".into());
        let listed = Hub::of(by_index);
        assert!(listed.refused().contains("no plain relative name"));
        // As a template.
        let mut template = plain();
        template.insert(format!("additional_chat_templates/{evil}.jinja"), "evil".into());
        let by_template = Hub::of(template);
        assert!(by_template.refused().contains("no plain relative name"));
        for hub in [&unlisted, &listed, &by_template] {
            let all = below(hub.home.path());
            assert!(all.iter().all(|f| !f.contains("evil")), "{all:?}");
        }
    }
    assert_eq!(below(out.path()), Vec::<String>::new());
}

#[test]
fn a_commit_that_is_no_commit_is_refused_and_an_entity_tag_names_nothing() {
    for commit in ["../../../evil", "main", "0123", &"g".repeat(40), &"A".repeat(40)] {
        let commit = commit.to_string();
        let hub = Hub::new(move |request| match asked(request) {
            None => Response::status(200, &listing(&plain(), &commit).to_string()),
            _ => honest(&plain(), request),
        });
        assert!(hub.refused().contains("says that main is commit"));
        assert_eq!(below(&hub.home.path().join("hf")), Vec::<String>::new());
    }
    // A mirror that lists names alone, and whose tags would be paths.
    let hub = Hub::new(|request| match asked(request) {
        None if request.path.contains('?') => Response::status(404, ""),
        None => {
            let names: Vec<_> = plain().into_keys().map(|n| json!({"rfilename": n})).collect();
            Response::status(200, &json!({"sha": COMMIT, "siblings": names}).to_string())
        }
        Some(name) => Response::Reply {
            status: 200,
            headers: vec![
                ("etag", "\"../../../../evil\"".into()),
                ("x-repo-commit", "../../evil".into()),
            ],
            body: plain()[name].clone(),
        },
    });
    let snapshot = hub.pulled();
    assert_eq!(std::fs::read_to_string(snapshot.join(WEIGHTS)).unwrap(), plain()[WEIGHTS]);
    assert!(below(hub.home.path()).iter().all(|f| !f.contains("evil")));
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_whom_it_points_at() {
    let elsewhere = Hub::new(|request| {
        let name = request.path.rsplit('/').next().unwrap();
        Response::status(200, &plain()[name])
    });
    let to = elsewhere.server.url.clone();
    let hub = Hub::new(move |request| match asked(request) {
        Some(WEIGHTS) => Response::Reply {
            status: 302,
            headers: vec![
                ("location", format!("{to}/cdn/{WEIGHTS}")),
                ("x-linked-size", plain()[WEIGHTS].len().to_string()),
            ],
            body: String::new(),
        },
        // A repository that was renamed: a relative redirect stays at the hub.
        None if !request.path.contains("moved") => Response::Reply {
            status: 307,
            headers: vec![("location", "/v1/api/models/org/tiny/revision/main?moved=1".into())],
            body: String::new(),
        },
        _ => honest(&plain(), request),
    });
    let snapshot = hub.pulled();
    assert_eq!(std::fs::read_to_string(snapshot.join(WEIGHTS)).unwrap(), plain()[WEIGHTS]);
    let bearer = Some(format!("Bearer {SECRET}"));
    assert!(hub.log.lock().unwrap().iter().all(|(_, token, _)| *token == bearer));
    let log = elsewhere.log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].1, None);
}

#[test]
fn two_that_pull_at_once_fetch_once_and_both_get_it_whole() {
    let hub = Hub::of(plain());
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| hub.pulled()));
        for pull in both {
            let snapshot = pull.join().unwrap();
            assert_eq!(std::fs::read_to_string(snapshot.join(WEIGHTS)).unwrap(), plain()[WEIGHTS]);
        }
    });
    assert_eq!(hub.times(WEIGHTS), 1);
    let blobs = below(&hub.repo().join("blobs"));
    assert!(blobs.iter().all(|b| !b.contains("partial")), "{blobs:?}");
}

#[test]
fn a_repository_of_another_form_is_told_before_any_file_is_fetched() {
    let base = [("config.json", "{}"), ("tokenizer.json", "{}")];
    let with = |more: &[(&str, &str)]| files(&[&base[..], more].concat());
    let cases = [
        (with(&[("pytorch_model.bin", "x")]), "pytorch_model.bin"),
        (with(&[("tiny.Q4_0.gguf", "x")]), "GGUF (tiny.Q4_0.gguf)"),
        (
            files(&[("config.json", "{}"), (WEIGHTS, "x"), ("tokenizer.model", "x")]),
            "only tokenizer.model",
        ),
        (files(&[("adapter_config.json", "{}"), ("adapter_model.safetensors", "x")]), "--adapter"),
    ];
    for (files, says) in cases {
        let hub = Hub::of(files);
        let said = hub.refused();
        assert!(said.contains(says), "{said}");
        assert_eq!(hub.times(""), 1);
    }
    // A model that is not read is refused by its configuration, before its weights are fetched.
    let mut moe = plain();
    moe.insert("config.json".into(), json!({"model_type": "mixtral"}).to_string());
    let hub = Hub::of(moe);
    assert!(hub.refused().contains("mixture of experts"));
    assert_eq!(hub.times(WEIGHTS), 0);
    // A shard that the repository lacks is told before the others are fetched.
    let mut lacking = sharded(json!({"a": "model-1.safetensors", "b": "model-2.safetensors"}));
    lacking.remove("model-2.safetensors");
    let hub = Hub::of(lacking);
    assert!(hub.refused().contains("model-2.safetensors"));
    assert_eq!(hub.times("model-1.safetensors"), 0);
}

#[test]
fn a_snapshot_of_others_that_lacks_a_file_is_completed_or_refused_by_name() {
    let all = sharded(json!({"a": "model-1.safetensors", "b": "model-2.safetensors"}));
    for dangling in [false, true] {
        let hub = Hub::of(all.clone());
        let snapshot = hub.repo().join("snapshots").join(COMMIT);
        std::fs::create_dir_all(hub.repo().join("refs")).unwrap();
        std::fs::write(hub.repo().join("refs/main"), format!("{COMMIT}\n")).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        for name in ["config.json", "tokenizer.json", INDEX, "model-1.safetensors"] {
            std::fs::write(snapshot.join(name), &all[name]).unwrap();
        }
        let lost = snapshot.join("model-2.safetensors");
        if dangling {
            std::os::unix::fs::symlink("../../blobs/gone", &lost).unwrap();
        }
        let mut offline = hub.command(&["model", "check", "org/tiny"]);
        offline.env("HF_HUB_OFFLINE", "1");
        let said = failure(offline);
        assert!(said.contains("model-2.safetensors"), "{said}");
        // `check` fails at the empty config, behind the completion.
        let said = failure(hub.command(&["model", "check", "org/tiny"]));
        assert!(said.contains("architecture"), "{said}");
        assert_eq!(std::fs::read_to_string(&lost).unwrap(), all["model-2.safetensors"]);
        assert!(snapshot.join("chat_template.jinja").is_file());
    }
}

#[test]
fn a_hub_that_does_not_answer_leaves_what_is_in_the_cache() {
    let hub = Hub::of(plain());
    let snapshot = hub.pulled();
    let pull =
        |endpoint: &str, name: &str| command(hub.home.path(), endpoint, &["model", "pull", name]);
    let closed = "http://127.0.0.1:9/nobody";
    let output = pull(closed, "org/tiny").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), snapshot.display().to_string());
    // A commit that is not there is told with those that are.
    let other = format!("org/tiny@{}", "9".repeat(40));
    assert!(failure(pull(closed, &other)).contains(COMMIT));
    assert!(failure(pull("ftp://x", "org/other")).contains("HF_ENDPOINT"));
}

#[test]
fn a_catalogue_file_from_a_hub_is_the_pinned_one_or_nothing() {
    let hub = Hub::of(plain());
    let list = hub.home.path().join("mine.toml");
    let weights = &plain()[WEIGHTS];
    for (sha, good) in [(digest("other"), false), (digest(weights), true)] {
        let text = format!(
            "[mine]\nabout = \"\"\nlicence = \"\"\nfile = \"mine.gguf\"\nbytes = {}\nsha256 = \"{sha}\"\n\
             hub = {{ repo = \"org/tiny\", file = \"{WEIGHTS}\" }}\n",
            weights.len()
        );
        std::fs::write(&list, text).unwrap();
        let mut pull = hub.command(&["model", "pull", "mine"]);
        let outcome = pull.env("RESIDUUM_MODELS", &list).output().unwrap();
        let place = hub.home.path().join("cache/models/mine/mine.gguf");
        assert_eq!((outcome.status.success(), place.is_file()), (good, good));
    }
}

#[test]
fn an_adapter_of_the_hub_is_the_adapter_of_its_folder() {
    let toy = Toy::new();
    let hub = Hub::new(|request| match asked(request) {
        None => {
            let bin = files(&[("adapter_config.json", "{}"), ("adapter_model.bin", "x")]);
            Response::status(200, &listing(&bin, COMMIT).to_string())
        }
        _ => Response::status(404, ""),
    });
    let cached = hub.home.path().join("hf/hub/models--org--lora");
    let snapshot = cached.join("snapshots").join(COMMIT);
    toy.moving(&toy.read).write(&snapshot).unwrap();
    std::fs::create_dir_all(cached.join("refs")).unwrap();
    std::fs::write(cached.join("refs/main"), COMMIT).unwrap();
    toy.moving(&toy.other).write(&hub.home.path().join("local/lora")).unwrap();
    toy.moving(&toy.unread).write(&hub.home.path().join("folder")).unwrap();
    std::fs::write(hub.home.path().join("t.jsonl"), "{\"id\": \"a\", \"text\": \"w1 w2 w3\"}\n")
        .unwrap();
    let captured = |adapter: &str| {
        let model = toy.dir.path().display().to_string();
        let args = [
            "capture",
            "--model",
            &model,
            "--texts",
            "t.jsonl",
            "--at",
            "all-mean",
            "--adapter",
            adapter,
            "--out",
            "a.h5",
            "--force",
        ];
        hub.command(&args).assert().success();
        let reader = ActivationReader::open(&hub.home.path().join("a.h5")).unwrap();
        let position = &reader.positions("texts").unwrap()[0];
        (reader.spec().condition.clone(), reader.read("texts", position).unwrap())
    };
    let by_path = captured(snapshot.to_str().unwrap());
    let by_name = captured("org/lora");
    assert_eq!(by_name.0, "lora");
    assert_eq!(by_name.1, by_path.1);
    assert_eq!(captured(&format!("org/lora@{COMMIT}")).1, by_path.1);
    // A folder of that name goes first.
    std::fs::create_dir_all(hub.home.path().join("org")).unwrap();
    std::fs::rename(hub.home.path().join("folder"), hub.home.path().join("org/lora")).unwrap();
    assert_ne!(captured("org/lora").1, by_path.1);
    // One that is pickled only is told how to convert, with nothing fetched.
    let model = toy.dir.path().display().to_string();
    let args = [
        "capture",
        "--model",
        &model,
        "--texts",
        "t.jsonl",
        "--adapter",
        "org/tiny",
        "--out",
        "b.h5",
    ];
    let said = failure(hub.command(&args));
    assert!(said.contains("adapter_model.bin") && said.contains("save_pretrained"), "{said}");
    assert_eq!(hub.times(""), 1);
}
