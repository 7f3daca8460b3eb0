//! A small HTTP server on 127.0.0.1 that behaves as badly as a test wants it to.
//!
//! One request a connection, one thread a connection. The handler of a test says what becomes of
//! each request; the server answers, breaks off in the middle, or never answers.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
pub struct Request {
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What stands between `<mark>` and `</mark>` in the user's turn.
    pub fn part(&self, mark: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let text = body["messages"][1]["content"].as_str().unwrap();
        let from = text.split(&format!("<{mark}>\n")).nth(1).unwrap();
        from.split(&format!("\n</{mark}>")).next().unwrap().to_string()
    }
}

/// What the server does with a request.
pub enum Response {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Promises more bytes than it sends.
    Cut(String),
    /// Holds the connection open without a word until the server ends.
    Hang,
}

impl Response {
    pub fn status(status: u16, body: &str) -> Response {
        Response::Reply { status, headers: Vec::new(), body: body.into() }
    }

    /// A chat completion with these words, at 100 tokens in and 10 out.
    pub fn words(text: &str) -> Response {
        let completion = serde_json::json!({
            "id": "x", "object": "chat.completion",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text},
            }],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        });
        Response::status(200, &completion.to_string())
    }
}

pub struct Server {
    /// Base address, to be given to a client.
    pub url: String,
    address: std::net::SocketAddr,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handle: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (handle, ended) = (Arc::new(handle), over.clone());
        let accepting = std::thread::spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (handle, ended) = (handle.clone(), ended.clone());
                let stream = stream.unwrap();
                threads.push(std::thread::spawn(move || serve(stream, &*handle, &ended)));
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Server { url: format!("http://{address}/v1"), address, over, accepting: Some(accepting) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the handler of the test server panicked");
            }
        }
    }
}

fn serve(stream: TcpStream, handle: &dyn Fn(&Request) -> Response, over: &AtomicBool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(request) = read(&mut reader) else {
        return;
    };
    let mut out = stream;
    // A client that has gone is no failure of the server.
    let _ = match handle(&request) {
        Response::Reply { status, headers, body } => {
            let mut text = format!(
                "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            out.write_all(format!("{text}\r\n{body}").as_bytes())
        }
        Response::Cut(body) => {
            let promised = body.len() + 1000;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\n\r\n");
            out.write_all(format!("{head}{body}").as_bytes())
        }
        Response::Hang => {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
    };
}

/// None if the connection ends before a request has come.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split_whitespace().nth(1)?.to_string();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_string()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length");
    let length = length.map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body: String::from_utf8(body).unwrap() })
}
