//! Time and memory of the coupling of a whole study: `cargo bench --bench geometry`.
//!
//! 16 states, 30 layers, 12 concepts, width 576, 2,000 bootstrap draws, 2,000 label flips and 2,000
//! random directions, at the sample sizes of the quick study (48 pairs of the two concepts of
//! interest, 24 of each placebo) and with `--full` at the full ones (120 and 60). Prints wall and
//! processor seconds and peak memory; the activations themselves are part of the memory. `--threads N`
//! sets the threads (2 if not given).

use ndarray::Array3;
use residuum::geometry::{coupling, CouplingInput, CouplingOptions};
use residuum::stats::rng::{fill_normal, stream};
use std::time::Instant;

const STATES: usize = 16;
const LAYERS: usize = 30;
const CONCEPTS: usize = 12;
const WIDTH: usize = 576;

fn rows(n: usize, state: usize, concept: usize) -> Array3<f32> {
    let mut x = Array3::zeros((n, LAYERS, WIDTH));
    let index = (state * 100 + concept) as u64;
    let mut rng = stream(1, "bench/geometry", index);
    fill_normal(&mut rng, x.as_slice_mut().unwrap_or_default());
    x.index_axis_mut(ndarray::Axis(2), concept).mapv_inplace(|v| v + 4.0);
    x
}

/// Processor seconds of all threads so far, and peak resident memory in MiB; NaN where /proc is not.
fn spent() -> (f64, f64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    // utime and stime are fields 14 and 15; the name in field 2 may hold spaces.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok());
    let seconds = ticks(11).zip(ticks(12)).map_or(f64::NAN, |(u, s)| (u + s) / 100.0);
    let status = read("/proc/self/status");
    let peak = (status.lines().find_map(|l| l.strip_prefix("VmHWM:")))
        .and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    (seconds, peak.map_or(f64::NAN, |kib| kib / 1024.0))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let full = args.iter().any(|a| a == "--full");
    let threads = args.iter().position(|a| a == "--threads");
    let threads = threads.and_then(|i| args.get(i + 1)?.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let (pair, placebo, neutral) = if full { (120, 60, 100) } else { (48, 24, 24) };
    let pairs: Vec<usize> = (0..CONCEPTS).map(|c| if c < 2 { pair } else { placebo }).collect();
    let differences: Vec<Vec<Array3<f32>>> = (0..STATES)
        .map(|s| pairs.iter().enumerate().map(|(c, &n)| rows(n, s, c)).collect())
        .collect();
    let clusters: Vec<Vec<usize>> = pairs.iter().map(|&n| (0..n).collect()).collect();
    let strata: Vec<Vec<usize>> = pairs.iter().map(|&n| vec![0; n]).collect();
    let background: Vec<Array3<f32>> = (0..STATES).map(|s| rows(neutral, s, CONCEPTS)).collect();
    let options = CouplingOptions {
        nuisances: vec![2, 3],
        placebos: (4..CONCEPTS).collect(),
        ..CouplingOptions::for_pair(0, 1)
    };
    let (before, held) = spent();
    let begun = Instant::now();
    let found = coupling(
        CouplingInput {
            differences: &differences,
            clusters: &clusters,
            strata: &strata,
            background: &background,
        },
        &options,
    )?;
    let wall = begun.elapsed().as_secs_f64();
    let (after, peak) = spent();
    println!(
        "{STATES} states x {LAYERS} layers x {CONCEPTS} concepts, width {WIDTH}, pairs {pair} and {placebo}, \
         {} draws, {} flips, {} random directions, {threads} threads",
        options.draws, options.flips, options.random
    );
    println!("wall {wall:.1} s, processor {:.1} s", after - before);
    println!("peak memory {peak:.0} MiB, of which activations {held:.0} MiB");
    println!(
        "mean cosine of the pair {:.3}",
        found.raw.value.slice(ndarray::s![.., 0, 1, ..]).mean().unwrap_or(f64::NAN)
    );
    Ok(())
}
