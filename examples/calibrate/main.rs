//! Are the statistics right? `make calibrate`.
//!
//! Plants data with known answers at the sample sizes, reliabilities and noise of the shipped
//! studies, runs the same functions that a study runs, and prints one line a promise: planted
//! cosines recovered, 95 % intervals that hold the planted value in 93 to 97 % of trials, p-values
//! that are uniform where nothing is there, false findings held at 5 %. Exit status 1 where a bound
//! fails. `--reduced` draws less, with bounds to match, as the tests do.

mod check;
mod confound;
mod contrasts;
mod cosine;
mod intervals;
mod keys;
mod nulls;
mod plant;
mod transfer;

use check::{Check, Size};

fn main() {
    let reduced = std::env::args().any(|a| a == "--reduced");
    let size = if reduced { Size::REDUCED } else { Size::WHOLE };
    type Part = (&'static str, fn(Size) -> Vec<Check>);
    let parts: [Part; 12] = [
        ("planted cosines in anisotropic noise, d 576", cosine::planted),
        ("changes between states", cosine::changes),
        ("conditions over seeds", cosine::conditions),
        ("other intervals", intervals::all),
        ("contrasts of conditions", contrasts::all),
        ("nulls: labels, placebos, corrections", nulls::labels),
        ("nulls: random directions", nulls::directions),
        ("nulls: states alike", nulls::states),
        ("nulls: areas, subspaces, rank 1", nulls::others),
        ("a direction on the pairs of another set", transfer::all),
        ("keyed items: acquiescence and preference", keys::all),
        ("declining as an explanation", confound::all),
    ];
    let (mut failed, mut made) = (0, 0);
    for (title, part) in parts {
        println!("\n{title}\n      {:<74} {:>8}  {:<18} {:>6}", "", "found", "must be", "trials");
        for check in part(size) {
            println!("{check}");
            made += 1;
            failed += usize::from(!check.passed());
        }
    }
    println!("\n{made} checks, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}
