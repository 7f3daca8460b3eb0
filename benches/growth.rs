//! How capture grows: `cargo bench --bench growth`.
//!
//! Seconds against the number of texts, their length, the layers hooked and the size of the model,
//! on random weights; peak memory against the number of texts, up to 100,000, streamed to HDF5.
//! Each time is the least of three. Writes benches/growth.csv and benches/growth.svg.

use ndarray::Array2;
use plotters::prelude::*;
use rand::Rng;
use residuum::capture::{capture, CaptureError, Position, Request};
use residuum::model::config::Config;
use residuum::model::{Decoder, Interventions, Role, Tokens};
use residuum::stats::rng::stream;
use residuum::store::hardware::{peak_memory_bytes, reset_peak_memory};
use residuum::store::{ActivationSpec, ActivationWriter, Precision, RootAttrs, Sample};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One measurement.
struct Point {
    panel: &'static str,
    x: usize,
    seconds: f64,
    peak_mib: f64,
}

fn model(hidden: usize, layers: usize) -> Result<Decoder> {
    let config = Config {
        vocab: 4096,
        hidden,
        layers,
        heads: hidden / 32,
        kv_heads: hidden / 32,
        head_dim: 32,
        intermediate: hidden * 8 / 3 / 32 * 32,
        context: 4096,
        tied: true,
        ..Config::llama()
    };
    Ok(Decoder::random(config, 1)?)
}

/// Texts of random tokens, the second half of each the response.
fn texts(n: usize, length: usize) -> Vec<Tokens> {
    let mut rng = stream(1, "growth/texts", length as u64);
    (0..n)
        .map(|_| {
            let ids = (0..length).map(|_| rng.random_range(0..4096u32));
            let role = |i| match i < length / 2 {
                true => Role::User,
                false => Role::Response,
            };
            Tokens::new(ids.collect(), (0..length).map(role).collect())
        })
        .collect()
}

fn read(model: &Decoder, texts: &[Tokens], layers: usize) -> Result<f64> {
    let request = Request::new(&[Position::ResponseMean], (0..layers).collect());
    let begun = Instant::now();
    let mut sum = 0.0;
    capture(model, texts, &request, &Interventions::none(), &mut |_, _, x| {
        sum += x[[0, 0]];
        Ok(())
    })?;
    assert!(sum.is_finite());
    Ok(begun.elapsed().as_secs_f64())
}

fn least(mut one: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        best = best.min(one()?);
    }
    Ok(best)
}

/// Captures into a file as the command does, and gives the seconds and the peak of memory.
fn stream_to_file(model: &Decoder, n: usize, folder: &Path) -> Result<(f64, f64)> {
    let all = texts(n, 8);
    reset_peak_memory();
    let begun = Instant::now();
    let layers: Vec<usize> = (0..model.layers()).collect();
    let spec = ActivationSpec {
        condition: "random".into(),
        seed: 1,
        step: None,
        layers: layers.clone(),
        hidden: model.hidden(),
        positions: vec!["response-mean".into()],
        precision: Precision::F16,
    };
    let attrs = RootAttrs::new("growth", serde_json::json!({}), 1);
    let mut writer = ActivationWriter::create(&folder.join("growth.h5"), &attrs, spec)?;
    let request = Request::new(&[Position::ResponseMean], layers);
    let none = Interventions::none();
    capture(model, &all, &request, &none, &mut |text, p, values: Array2<f32>| {
        let sample = Sample {
            set: "texts".into(),
            prompt_id: text.to_string(),
            label: "random".into(),
            role: "response".into(),
            n_tokens: 8,
            rows: vec![(p, values)],
        };
        let kept = writer.append(sample);
        kept.map_err(|e| CaptureError::Sink(e.to_string()))
    })?;
    writer.finish()?;
    let mib = peak_memory_bytes() as f64 / 1048576.0;
    Ok((begun.elapsed().as_secs_f64(), mib))
}

fn main() -> Result<()> {
    let mut points = Vec::new();
    let mut add = |panel, x: usize, seconds: f64, peak_mib: f64| {
        println!("{panel:<44} {x:>8} {seconds:>9.3} s {peak_mib:>8.0} MiB");
        points.push(Point { panel, x, seconds, peak_mib });
    };
    // First, while no larger model has been in memory.
    let folder = tempfile::tempdir()?;
    let tiny = model(64, 2)?;
    for n in [1_000, 10_000, 100_000] {
        let (s, mib) = stream_to_file(&tiny, n, folder.path())?;
        add("texts of 8 tokens to a file, 64 wide", n, s, mib);
    }
    let small = model(256, 8)?;
    for n in [64, 128, 256, 512, 1024, 2048] {
        let all = texts(n, 32);
        let s = least(|| read(&small, &all, 8))?;
        add("texts of 32 tokens, 256 wide, 8 layers", n, s, f64::NAN);
    }
    for length in [16, 32, 64, 128, 256, 512, 1024] {
        let all = texts(16384 / length, length);
        let s = least(|| read(&small, &all, 8))?;
        add("tokens a text, 16,384 in all", length, s, f64::NAN);
    }
    let deep = model(256, 32)?;
    let all = texts(128, 32);
    for layers in [1, 2, 4, 8, 16, 32] {
        let s = least(|| read(&deep, &all, layers))?;
        add("layers hooked of 32, 4,096 tokens", layers, s, f64::NAN);
    }
    for hidden in [128, 256, 512, 768, 1024] {
        let sized = model(hidden, 12)?;
        let s = least(|| read(&sized, &all, 12))?;
        let millions = (sized.row_flops() / 2e6).round() as usize;
        add("million weights in 12 layers, 4,096 tokens", millions, s, f64::NAN);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let mut csv = String::from("panel,x,seconds,peak_mib\n");
    for p in &points {
        let peak = if p.peak_mib.is_nan() { String::new() } else { format!("{:.1}", p.peak_mib) };
        csv += &format!("\"{}\",{},{:.4},{peak}\n", p.panel, p.x, p.seconds);
    }
    std::fs::write(folder.join("growth.csv"), csv)?;
    draw(&points, &folder.join("growth.svg"))
}

/// A panel each, both axes logarithmic; the last shows memory.
fn draw(points: &[Point], path: &Path) -> Result<()> {
    let mut panels: Vec<&str> = points.iter().map(|p| p.panel).collect();
    panels.dedup();
    let font = include_bytes!("../assets/fonts/FiraSans-Regular.ttf");
    plotters::style::register_font("sans-serif", FontStyle::Normal, font)
        .map_err(|_| "the font cannot be read")?;
    let root = SVGBackend::new(path, (960, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((2, 3));
    let memory = points.iter().any(|p| !p.peak_mib.is_nan());
    for (i, area) in areas.iter().take(panels.len() + usize::from(memory)).enumerate() {
        let last = i == panels.len();
        // The files' panel comes first, and once more with its memory.
        let panel = panels[i % panels.len()];
        let values: Vec<(f64, f64)> = (points.iter().filter(|p| p.panel == panel))
            .map(|p| (p.x as f64, if last { p.peak_mib } else { p.seconds }))
            .collect();
        let (x0, x1) = (values[0].0, values[values.len() - 1].0);
        let y0 = values.iter().map(|v| v.1).fold(f64::MAX, f64::min) / 1.5;
        let y1 = values.iter().map(|v| v.1).fold(0.0, f64::max) * 1.5;
        let unit = if last { "peak MiB" } else { "seconds" };
        let mut chart = ChartBuilder::on(area)
            .caption(panel, ("sans-serif", 13))
            .margin(10)
            .x_label_area_size(26)
            .y_label_area_size(52)
            .build_cartesian_2d((x0..x1).log_scale(), (y0..y1).log_scale())?;
        chart.configure_mesh().y_desc(unit).light_line_style(WHITE).draw()?;
        chart.draw_series(LineSeries::new(values.iter().copied(), &BLUE))?;
        chart.draw_series(values.iter().map(|v| Circle::new(*v, 3, BLUE.filled())))?;
    }
    root.present()?;
    Ok(())
}
