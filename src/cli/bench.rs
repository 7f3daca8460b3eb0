//! `residuum bench`: how fast this machine runs a model.

use super::{state, Console};
use crate::ops::simd::Simd;
use crate::speed::measure;
use crate::store::hardware::{peak_memory_bytes, Hardware};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::time::Instant;

/// Measure tokens a second, memory and the cost of hooks on this machine.
///
/// Each kind of work runs on texts with nothing in common. The share compares the linear maps of a
/// capture with a plain matrix product of the same shapes on the same threads. Run it on an idle
/// machine.
///
/// Example: residuum bench --model smollm2-135m-instruct --seconds 30
#[derive(Args)]
pub struct BenchArgs {
    #[command(flatten)]
    model: state::ModelChoice,
    /// Adapter to merge before measuring
    #[arg(long, value_name = "FOLDER")]
    adapter: Option<std::path::PathBuf>,
    /// Seconds to measure for
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    seconds: f64,
}

pub fn run(args: BenchArgs, out: &Console) -> Result<()> {
    let begun = Instant::now();
    let model = args.model.open(out)?;
    let load = begun.elapsed().as_secs_f64();
    let adapter = args.adapter.as_deref();
    let adapter = adapter.map(|a| state::adapter_folder(a, out)).transpose()?;
    let decoder = state::state(&model.decoder, adapter.as_deref())?;
    let loaded_bytes = peak_memory_bytes();
    out.log("measuring");
    let r = measure(&decoder, args.seconds)?;
    let machine = Hardware::probe();
    let peak = peak_memory_bytes();
    let kernels = Simd::here().name();
    let json = json!({
        "model": model.id, "sha256": model.sha256, "machine": machine, "threads": r.threads,
        "kernels": kernels,
        "load_seconds": load, "loaded_bytes": loaded_bytes, "peak_bytes": peak, "rates": r,
        "share_of_sgemm": r.share(), "capture_overhead": r.overhead(),
    });
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let (cpu, threads, sgemm) = (&machine.cpu, r.threads, r.sgemm / 1e9);
    let (overhead, share) = (100.0 * r.overhead(), 100.0 * r.share());
    let (loaded, peak) = (gigabytes(loaded_bytes), gigabytes(peak));
    out.result(&json, || {
        format!(
            "model            {}\n\
             machine          {cpu}, {threads} threads, {kernels} kernels\n\
             load             {load:.2} s, peak memory {loaded:.2} GB\n\
             matrix product   {sgemm:.0} GFLOP/s\n\
             forward          {:.0} tokens/s, no head\n\
             capture          {:.0} tokens/s, every layer's response mean; hooks cost {overhead:+.1} %\n\
             share            {share:.0} % of the matrix product's rate while capturing\n\
             scoring          {:.0} tokens/s\n\
             LoRA training    {:.0} tokens/s, rank 16, all linear maps, batches of 8\n\
             generation       {:.0} tokens/s, greedy, 32 prompts; {:.0} with one alone\n\
             peak memory      {peak:.2} GB",
            model.id, r.forward, r.captured, r.scored, r.trained, r.generated, r.generated_alone,
        )
    })
}
