//! Judging many cases at once through an endpoint.
//!
//! As many threads as the endpoint allows take cases in order. Each waits for its start, asks,
//! and stores the reply before it goes on. A failure that may pass is tried again after a growing
//! wait; a reply that is no verdict is asked for again a few times, with more room if it was cut.
//! A case that gets none, or fails for good, is left for the next run. Several failures in a row,
//! and the judge is taken to be down; the first few requests refused alike, and all would be.

use super::client::{Client, Outcome};
use super::endpoint::Endpoint;
use super::pace::{backoff, Clock, Pace, LONGEST_PAUSE};
use super::room::Room;
use super::store::{unsettled, Reply, Store};
use super::{Case, JudgeError, Tally};
use crate::stats::rng::stream;
use rand::Rng;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Cases in a row that fail before the judge is taken to be down.
const DOWN: usize = 5;
/// Characters of a reply that are shown.
const EXCERPT: usize = 80;
/// Requests refused alike, before any was answered, after which none is sent.
const REFUSED: usize = 3;
/// The same of requests in a row after some were answered: then the cases may be at fault, such as
/// those that an earlier run left because a filter refuses them.
const REFUSED_LATER: usize = 20;

/// What the threads share.
struct Shared<'a> {
    endpoint: &'a Endpoint,
    client: Client<'a>,
    clock: &'a Clock,
    name: String,
    todo: Vec<&'a Case>,
    next: AtomicUsize,
    stop: AtomicBool,
    failed_in_a_row: AtomicUsize,
    /// The last refusal's status, and how many in a row had it.
    refused_in_a_row: Mutex<(u16, usize)>,
    room: Mutex<Room>,
    pace: Mutex<Pace>,
    store: Mutex<&'a mut Store>,
    tally: Mutex<Tally>,
    fatal: Mutex<Option<JudgeError>>,
}

/// A poisoned lock is still a lock: the thread that died is reported by its scope.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks about every case that the store does not settle. `watch` is told of each settled or
/// failed case, and once at the start.
///
/// # Errors
/// A refusal that concerns every case, [`DOWN`] failed cases in a row, or a failing disk. What
/// was judged until then is in the store.
pub fn judge(
    endpoint: &Endpoint,
    clock: &Clock,
    cases: &[Case],
    store: &mut Store,
    watch: &mut dyn FnMut(&Tally),
) -> Result<Tally, JudgeError> {
    let name = endpoint.name();
    let (todo, mut tally) = unsettled(cases, &name, store);
    tally.cost = endpoint.price.map(|_| 0.0);
    watch(&tally);
    let threads = endpoint.concurrency.clamp(1, todo.len().max(1));
    let shared = Shared {
        endpoint,
        client: Client::new(endpoint),
        clock,
        name,
        todo,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        failed_in_a_row: AtomicUsize::new(0),
        refused_in_a_row: Mutex::new((0, 0)),
        room: Mutex::new(Room::default()),
        pace: Mutex::new(Pace::new(endpoint.per_minute)),
        store: Mutex::new(store),
        tally: Mutex::new(tally),
        fatal: Mutex::new(None),
    };
    let died = std::thread::scope(|scope| {
        let (tell, told) = channel();
        let work: Vec<_> = (0..threads)
            .map(|_| {
                let (shared, tell) = (&shared, tell.clone());
                scope.spawn(move || shared.work(&tell))
            })
            .collect();
        drop(tell);
        for () in told {
            watch(&held(&shared.tally).clone());
        }
        work.into_iter().any(|thread| thread.join().is_err())
    });
    let fatal = held(&shared.fatal).take();
    match fatal {
        Some(error) => Err(error),
        None if died => Err(JudgeError::Thread),
        None => Ok(held(&shared.tally).clone()),
    }
}

impl Shared<'_> {
    fn work(&self, tell: &Sender<()>) {
        while !self.stop.load(Ordering::SeqCst) {
            let Some(case) = self.todo.get(self.next.fetch_add(1, Ordering::SeqCst)) else {
                return;
            };
            self.settle(case);
            // The listener is gone only when the whole run is.
            let _ = tell.send(());
        }
    }

    /// Asks about a case until it is settled or given up.
    fn settle(&self, case: &Case) {
        let (mut replies, mut tries) = (0, 0);
        // Above this the server refuses, if it does not refuse the case itself.
        let mut highest = u32::MAX;
        while self.may_start() {
            let level = held(&self.room).level().min(highest);
            match self.client.ask(case, level) {
                Outcome::Words { words, usage } => {
                    let verdict = words.verdict();
                    let mut row = Reply::new(&self.name, case, verdict, words.shown());
                    row.cut = words.cut;
                    (row.prompt_tokens, row.completion_tokens) = usage.unwrap_or_default();
                    if let Err(error) = held(&self.store).append(&row) {
                        return self.end(error.into());
                    }
                    self.failed_in_a_row.store(0, Ordering::SeqCst);
                    *held(&self.refused_in_a_row) = (0, 0);
                    self.pay(usage);
                    held(&self.room).limit(highest);
                    if verdict.is_some() {
                        held(&self.tally).settled += 1;
                        return;
                    }
                    if words.cut {
                        held(&self.room).cut(level);
                    }
                    replies += 1;
                    tries = 0;
                    if replies >= self.endpoint.replies {
                        return self.unparsed(row);
                    }
                }
                Outcome::Later { why, after } => {
                    tries += 1;
                    if after.is_some_and(|d| d > LONGEST_PAUSE) || tries > self.endpoint.retries {
                        return self.give_up(why);
                    }
                    if let Some(pause) = after {
                        held(&self.pace).hold((self.clock.now)() + pause);
                    }
                    let requests = held(&self.tally).requests as u64;
                    let share = stream(0, "judge/backoff", requests).random();
                    (self.clock.sleep)(backoff(tries, share, after));
                }
                // More room than it gives, perhaps.
                Outcome::No { status: 400 | 413 | 422, .. } if level > 0 => highest = level - 1,
                Outcome::No { status, why } => return self.refuse(status, why),
                Outcome::Never { why, hint } => {
                    return self.end(JudgeError::Refused { why, hint });
                }
            }
        }
    }

    /// Waits for the next start and counts it; false if there is to be none.
    fn may_start(&self) -> bool {
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return false;
            }
            let spent = held(&self.tally).cost;
            if let (Some(spent), Some(budget)) = (spent, self.endpoint.budget) {
                if spent >= budget {
                    held(&self.tally).out_of_budget = true;
                    self.stop.store(true, Ordering::SeqCst);
                    return false;
                }
            }
            let start = held(&self.pace).take((self.clock.now)());
            match start {
                Ok(()) => {
                    held(&self.tally).requests += 1;
                    return true;
                }
                Err(wait) => (self.clock.sleep)(wait),
            }
        }
    }

    /// Counts the tokens of a reply. Without them a budget cannot be kept, which ends the run.
    fn pay(&self, usage: Option<(u64, u64)>) {
        let mut tally = held(&self.tally);
        let Some((prompt_tokens, completion_tokens)) = usage else {
            tally.unmetered += 1;
            drop(tally);
            if self.endpoint.budget.is_some() {
                self.end(JudgeError::Refused {
                    why: "the server does not say how many tokens a reply took".into(),
                    hint: "a budget cannot be kept: leave it out, or limit the number of answers"
                        .into(),
                });
            }
            return;
        };
        tally.prompt_tokens += prompt_tokens;
        tally.completion_tokens += completion_tokens;
        let price = self.endpoint.price;
        tally.cost = price.map(|p| p.of(tally.prompt_tokens, tally.completion_tokens));
    }

    /// Leaves a case whose replies are no verdict.
    fn unparsed(&self, last: Reply) {
        let mut tally = held(&self.tally);
        tally.unparsed += 1;
        tally.cut += usize::from(last.cut);
        let words = last.raw.split_whitespace().collect::<Vec<_>>().join(" ");
        tally.last_unparsed = Some(words.chars().take(EXCERPT).collect());
    }

    /// Leaves a case that the server refuses, and ends the run if it would refuse every one.
    fn refuse(&self, status: u16, why: String) {
        let mut tally = held(&self.tally);
        tally.failed += 1;
        tally.last_failure = Some(why.clone());
        let answered = tally.known + tally.settled + tally.unparsed > 0;
        drop(tally);
        let mut last = held(&self.refused_in_a_row);
        *last = match *last {
            (same, n) if same == status => (same, n + 1),
            _ => (status, 1),
        };
        let limit = if answered { REFUSED_LATER } else { REFUSED.min(self.todo.len()) };
        if last.1 < limit {
            return;
        }
        drop(last);
        let access = match status {
            403 => "check the key and what it may use, or ",
            _ => "",
        };
        let hint = format!(
            "{access}change the fields of the request that it names with --judge-set NAME=JSON, or NAME=null to \
             leave one out, such as --judge-set temperature=null, or --judge-set max_tokens=null \
             --judge-set max_completion_tokens=2000"
        );
        self.end(JudgeError::Refused { why, hint });
    }

    fn give_up(&self, why: String) {
        let mut tally = held(&self.tally);
        tally.failed += 1;
        tally.last_failure = Some(why.clone());
        drop(tally);
        let cases = self.failed_in_a_row.fetch_add(1, Ordering::SeqCst) + 1;
        if cases >= DOWN {
            self.end(JudgeError::Down { cases, last: why });
        }
    }

    /// Stops every thread; the first reason stands.
    fn end(&self, error: JudgeError) {
        held(&self.fatal).get_or_insert(error);
        self.stop.store(true, Ordering::SeqCst);
    }
}
