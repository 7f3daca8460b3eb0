//! Products of f32 matrices beside those of matrices that stay as a file stores them: `cargo bench --bench
//! weights`.
//!
//! For each way of storing: nanoseconds that decoding a value takes on one thread, then the rate of a linear
//! map of `--dims O,I` (1536,576 if not given) forward and backward at 512 rows, and of one row, as a share of
//! that in f32. Takes some seconds; rates of the two alternate. Values are random bytes with finite scales.

use candle_core::{Device, Tensor, Var};
use residuum::ops::blocks::Encoding;
use residuum::ops::linear::frozen;
use residuum::ops::stored::Stored;
use residuum::ops::weight::Weight;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of the fastest call of either, in turn.
fn fastest<const N: usize>(mut all: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    let begun = Instant::now();
    for turn in 0.. {
        for (best, f) in best.iter_mut().zip(&mut all) {
            let at = Instant::now();
            f();
            *best = best.min(at.elapsed().as_secs_f64());
        }
        if turn >= 3 && begun.elapsed().as_secs_f64() > 0.2 {
            break;
        }
    }
    best
}

/// Random bytes without infinite f16 or f32.
fn bytes(encoding: Encoding, len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    let mut all: Vec<u8> = (0..len).map(|_| next()).collect();
    let last = if encoding.is_plain() { encoding.block().1 } else { 2 };
    all.iter_mut().skip(last - 1).step_by(last).for_each(|b| *b &= 0xbf);
    all
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let given = args.iter().position(|a| a == "--dims").and_then(|i| args.get(i + 1));
    let dims = given.and_then(|d| d.split_once(','));
    let (o, i) = dims.map_or(Ok((1536, 576)), |(o, i)| {
        Ok::<_, std::num::ParseIntError>((o.parse()?, i.parse()?))
    })?;
    println!("{o} x {i}: decoding, then a share of the rate in f32\ntype     ns/value  512 rows  backward  one row");
    for encoding in Encoding::all().filter(|e| i % e.block().0 == 0) {
        let (values, size) = encoding.block();
        let raw = bytes(encoding, o * i / values * size);
        let stored = Stored::new(Arc::new(raw), 0, encoding, (o, i), None).ok_or("no matrix")?;
        let mut row = vec![0f32; i];
        let decode = &mut || {
            stored
                .bytes()
                .chunks_exact(i / values * size)
                .for_each(|b| encoding.decode(b, &mut row))
        };
        let [decoding] = fastest([decode]);
        let dense: Weight = Tensor::from_vec(stored.values(), (o, i), &Device::Cpu)?.into();
        let stored: Weight = stored.into();
        let input =
            |n| Var::from_tensor(&Tensor::ones((n, i), candle_core::DType::F32, &Device::Cpu)?);
        let (many, one) = (input(512)?, input(1)?);
        let forward = |w: &Weight, x: &Var| drop(frozen(x, w, None));
        let both = |w: &Weight| {
            let y = frozen(&many, w, None).and_then(|y| y.sum_all()?.backward());
            drop(y);
        };
        let [a, b] = fastest([&mut || forward(&dense, &many), &mut || forward(&stored, &many)]);
        let [c, d] = fastest([&mut || both(&dense), &mut || both(&stored)]);
        let [e, f] = fastest([&mut || forward(&dense, &one), &mut || forward(&stored, &one)]);
        let decoding = decoding * 1e9 / (o * i) as f64;
        let (forward, back, alone) = (a / b, (c - a) / (d - b), e / f);
        println!("{:8} {decoding:8.3} {forward:9.2} {back:9.2} {alone:8.2}", encoding.name());
    }
    Ok(())
}
