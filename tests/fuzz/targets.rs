//! One function a reader of files that may come from anywhere: whatever the bytes are, it gives a value or
//! an error, soon, in little memory, and writes where it was told to.
//!
//! `main.rs` drives them on any toolchain, `fuzz/` by libFuzzer where there is a nightly one.

use crate::toy::Toy;
use residuum::analysis::records::{self, Results};
use residuum::behavior::judge::{reply, Store};
use residuum::export::{self, npy, Convention};
use residuum::materials::{self, MaterialError};
use residuum::model::hub::{self, HubName, Settings, Want};
use residuum::model::load;
use residuum::model::template::Template;
use residuum::model::{Adapter, Date, Hooks, Loading, Message, Model, Packed, TextOptions};
use residuum::store::{tree, validate, ActivationReader, ResultsReader};
use residuum::study::manifest::Study;
use residuum::study::text::Text;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Gives whether the input was taken.
pub type Target = fn(&Place, &[u8]) -> bool;

/// All targets by name.
pub const TARGETS: [(&str, Target); 18] = [
    ("gguf", gguf),
    ("weights", weights),
    ("config", config),
    ("adapter", adapter),
    ("adapter-config", adapter_config),
    ("vectors", |p, bytes| vectors(p, "safetensors", bytes)),
    ("control-vector", |p, bytes| vectors(p, "gguf", bytes)),
    ("npy", |p, bytes| vectors(p, "npy", bytes)),
    ("npz", |p, bytes| vectors(p, "npz", bytes)),
    ("pickle", pickle),
    ("tokenizer", tokenizer),
    ("template", template),
    ("jsonl", jsonl),
    ("manifest", manifest),
    ("results", results),
    ("activations", activations),
    ("judge", judge),
    ("hub", hub_answer),
];

/// Where targets work: a folder that holds the input and, in `out`, what is written.
pub struct Place {
    root: PathBuf,
    toy: Toy,
    hub: Hub,
}

impl Place {
    /// Two folders below `base`, which is emptied.
    pub fn new(base: &Path) -> Self {
        let _ = std::fs::remove_dir_all(base);
        let root = base.join("a/b");
        for folder in ["in/model", "in/adapter", "out"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let place = Place { root, toy: Toy::new(), hub: Hub::start() };
        for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
        {
            std::fs::copy(place.toy.dir.path().join(file), place.model().join(file)).unwrap();
        }
        place.toy.moving(&[1.0; crate::toy::D]).write(&place.adapter()).unwrap();
        place
    }

    pub fn model(&self) -> PathBuf {
        self.root.join("in/model")
    }

    pub fn adapter(&self) -> PathBuf {
        self.root.join("in/adapter")
    }

    /// Tokens of the toy.
    #[allow(dead_code)]
    pub fn vocabulary(&self) -> usize {
        self.toy.model.decoder.config.vocab
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    fn input(&self, ending: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root.join("in").join(format!("input.{ending}"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Panics where anything lies beside `in` and `out`; empties `out`.
    pub fn settle(&self) {
        let beside = |path: &Path, known: &[&str]| {
            for entry in std::fs::read_dir(path).unwrap() {
                let name = entry.unwrap().file_name();
                assert!(known.iter().any(|k| name == *k), "{name:?} was written to {path:?}");
            }
        };
        beside(&self.root, &["in", "out"]);
        beside(&self.root.join(".."), &["b"]);
        beside(&self.root.join("../.."), &["a"]);
        let _ = std::fs::remove_dir_all(self.out());
        std::fs::create_dir(self.out()).unwrap();
    }
}

/// Writes a file of the model or the adapter, works, and writes it back as it was.
fn replaced<R>(file: &Path, bytes: &[u8], work: impl FnOnce() -> R) -> R {
    let before = std::fs::read(file).unwrap();
    std::fs::write(file, bytes).unwrap();
    let outcome = work();
    // A new file: a mapping of the damaged one may still be held.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, before).unwrap();
    outcome
}

/// Loads a model and runs it over a few tokens.
fn runs(path: &Path) -> bool {
    let Ok(model) = Model::load("fuzz", path, &Loading::default()) else { return false };
    let batch = Packed::new(&[vec![1u32, 5, 3]]);
    let forward = model.decoder.forward(&batch, &mut Hooks::none());
    forward.and_then(|x| model.decoder.logits(&x, &[2], &batch.places, &mut Hooks::none())).is_ok()
}

fn gguf(place: &Place, bytes: &[u8]) -> bool {
    runs(&place.input("gguf", bytes))
}

fn weights(place: &Place, bytes: &[u8]) -> bool {
    replaced(&place.model().join("model.safetensors"), bytes, || runs(&place.model()))
}

fn config(place: &Place, bytes: &[u8]) -> bool {
    replaced(&place.model().join("config.json"), bytes, || runs(&place.model()))
}

fn reads_adapter(place: &Place) -> bool {
    Adapter::read(&place.adapter(), &place.toy.model.decoder)
        .is_ok_and(|adapter| place.toy.model.decoder.merged(&adapter).is_ok())
}

fn adapter(place: &Place, bytes: &[u8]) -> bool {
    let file = place.adapter().join("adapter_model.safetensors");
    replaced(&file, bytes, || reads_adapter(place))
}

fn adapter_config(place: &Place, bytes: &[u8]) -> bool {
    replaced(&place.adapter().join("adapter_config.json"), bytes, || reads_adapter(place))
}

/// Vectors are read and written again, an array a concept, under the names that they came with.
fn vectors(place: &Place, ending: &str, bytes: &[u8]) -> bool {
    let Ok(found) = export::file::read(&place.input(ending, bytes)) else { return false };
    let given = Some(Convention::BlockOutput);
    found.as_said(given).is_ok_and(|(read, _)| npy::write_all(&place.out(), &read).is_ok())
}

/// PyTorch's files are programs: nothing of them is read.
fn pickle(place: &Place, bytes: &[u8]) -> bool {
    for ending in ["pt", "pth", "bin", "pkl"] {
        assert!(export::file::read(&place.input(ending, bytes)).is_err());
    }
    // An ending may lie.
    export::file::read(&place.input("npy", bytes)).is_ok()
}

fn tokenizer(place: &Place, bytes: &[u8]) -> bool {
    replaced(&place.model().join("tokenizer.json"), bytes, || {
        let Ok(t) = load::tokenizer(&place.model(), &TextOptions::default()) else { return false };
        let texts = ["w1 w2", "", "Ünïcödé \u{1F600} \u{0} 123", "<|user|> w3 <|end|>"];
        let ids = texts.map(|text| t.encode(text));
        for ids in ids.iter().flatten() {
            let _ = (t.decode(ids), t.pieces(ids));
        }
        let _ = (t.pieces(&[0, 1, u32::MAX]), t.exchange(Some("w1"), "w2", "w3"));
        true
    })
}

fn template(_: &Place, bytes: &[u8]) -> bool {
    let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let special = special.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let source = String::from_utf8_lossy(bytes);
    let Ok(template) = Template::new(&source, special, Date::today()) else { return false };
    let turns = [("system", "w1"), ("user", "w2"), ("assistant", "w3")];
    let messages = turns.map(|(role, content)| Message::new(role, content));
    template.render(&messages, true).is_ok()
}

fn jsonl(place: &Place, bytes: &[u8]) -> bool {
    let path = place.input("jsonl", bytes);
    let _ = Store::open(&path);
    // A store of verdicts may take a broken last line away.
    std::fs::write(&path, bytes).unwrap();
    let Ok(text) = materials::read(&path) else { return false };
    let text = text.as_str();
    type Parser = fn(&str, &Path) -> Result<(), MaterialError>;
    let parsers: [Parser; 10] = [
        |t, p| materials::concept::parse(t, p).map(drop),
        |t, p| materials::parse_conversations(t, p).map(drop),
        |t, p| materials::parse_prompts(t, p).map(drop),
        |t, p| materials::battery::parse(t, p).map(drop),
        |t, p| materials::outcomes::parse(t, p).map(drop),
        |t, p| materials::neutral::parse(t, p).map(drop),
        |t, p| materials::declining::parse(t, p).map(drop),
        |t, p| materials::texts::parse(t, p).map(drop),
        |t, p| materials::script::parse(t, p).map(drop),
        |t, p| materials::foreign::parse(t, p).map(drop),
    ];
    parsers.iter().filter(|parse| parse(text, &path).is_ok()).count() > 0
}

fn manifest(place: &Place, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).into_owned();
    Study::of(Text::of(text, &place.root.join("in/study.toml"))).is_ok()
}

fn results(place: &Place, bytes: &[u8]) -> bool {
    let path = place.input("h5", bytes);
    let Ok(reader) = ResultsReader::open(&path) else { return false };
    let _ = tree::tree(&reader);
    let _ = validate::faults(&reader, &records::all(), records::frame);
    let _ = export::file::read(&path);
    Results::read(&reader).is_ok()
}

fn activations(place: &Place, bytes: &[u8]) -> bool {
    let Ok(reader) = ActivationReader::open(&place.input("h5", bytes)) else { return false };
    let mut read = 0;
    for set in reader.sets().unwrap_or_default() {
        let _ = reader.columns(&set);
        for position in reader.positions(&set).unwrap_or_default() {
            read += usize::from(reader.read(&set, &position).is_ok());
            let _ = reader.read_layer(&set, &position, 3);
        }
    }
    read > 0
}

fn judge(_: &Place, bytes: &[u8]) -> bool {
    let body = serde_json::from_slice(bytes).ok();
    let words = match body.as_ref().and_then(reply::of_completion) {
        Some(words) => words,
        None => reply::Words { text: String::from_utf8_lossy(bytes).into(), ..Default::default() },
    };
    let _ = words.shown();
    words.verdict().is_some()
}

/// The bytes are the listing of a repository, or all that is said where they begin as an answer does.
fn hub_answer(place: &Place, bytes: &[u8]) -> bool {
    *place.hub.says.lock().unwrap() = bytes.to_vec();
    let name = HubName::parse("org/tiny").unwrap();
    let settings = Settings {
        cache: place.out(),
        endpoint: place.hub.url.clone(),
        token: None,
        offline: false,
    };
    let model = hub::folder(&name, Want::Model, true, &settings, &mut |_| ());
    let adapter = hub::folder(&name, Want::Adapter, true, &settings, &mut |_| ());
    model.is_ok() || adapter.is_ok()
}

/// A hub on this machine that answers as it is told; one connection after the other.
struct Hub {
    url: String,
    says: Arc<Mutex<Vec<u8>>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Vec::new()));
        let told = says.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who breaks off has seen enough.
                let _ = Hub::answer(stream, &told.lock().unwrap().clone());
            }
        });
        Hub { url, says }
    }

    fn answer(mut stream: TcpStream, says: &[u8]) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut first, mut line) = (String::new(), String::new());
        reader.read_line(&mut first)?;
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        if says.starts_with(b"HTTP/") {
            return stream.write_all(says);
        }
        let body = if first.contains("/api/") { says } else { FILE };
        let n = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {n}\r\n\r\n")?;
        stream.write_all(body)
    }
}

/// What every file of the hub holds.
pub const FILE: &[u8] = b"{}";
