//! The target of tests/fuzz that this program is named for. Sanitizers and libFuzzer's own limits
//! (`-rss_limit_mb`, `-timeout`) stand for what tests/fuzz/main.rs measures.
#![no_main]

#[path = "../../tests/fuzz/targets.rs"]
mod targets;
#[path = "../../tests/common/toy.rs"]
#[allow(dead_code)]
mod toy;

use libfuzzer_sys::fuzz_target;
use residuum::model::sandbox::Budgeted;
use std::alloc::System;
use std::sync::OnceLock;
use targets::{Place, TARGETS};

#[global_allocator]
static ALLOCATOR: Budgeted<System> = Budgeted(System);

fuzz_target!(|input: &[u8]| {
    static PLACE: OnceLock<Place> = OnceLock::new();
    let folder = || std::env::temp_dir().join(format!("residuum-fuzz-{}", std::process::id()));
    let place = PLACE.get_or_init(|| Place::new(&folder()));
    let (_, target) = TARGETS.iter().find(|t| t.0 == env!("CARGO_BIN_NAME")).unwrap();
    target(place, input);
    place.settle();
});
