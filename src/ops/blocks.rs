//! How files store the values of weights, and what these are in f32.
//!
//! safetensors hold plain numbers; GGUF files hold those and the blocks of ggml, in which 16 or 32 small
//! whole numbers q share their scales: a value is `d q - m`, rounded after each of the two operations as
//! ggml's reference does, so values are the same to the bit on any machine. All is little-endian.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// How values are stored.
// Each is what its name in ggml says.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    F32,
    F64,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

use Encoding::*;

/// In the order of the type: number in GGUF files, name, values and bytes of a block.
const TABLE: [(Encoding, u32, &str, usize, usize); 16] = [
    (F32, 0, "F32", 1, 4),
    (F64, 28, "F64", 1, 8),
    (F16, 1, "F16", 1, 2),
    (Bf16, 30, "BF16", 1, 2),
    (Q4_0, 2, "Q4_0", 32, 18),
    (Q4_1, 3, "Q4_1", 32, 20),
    (Q5_0, 6, "Q5_0", 32, 22),
    (Q5_1, 7, "Q5_1", 32, 24),
    (Q8_0, 8, "Q8_0", 32, 34),
    (Q2K, 10, "Q2_K", 256, 84),
    (Q3K, 11, "Q3_K", 256, 110),
    (Q4K, 12, "Q4_K", 256, 144),
    (Q5K, 13, "Q5_K", 256, 176),
    (Q6K, 14, "Q6_K", 256, 210),
    (Iq4Nl, 20, "IQ4_NL", 32, 18),
    (Iq4Xs, 23, "IQ4_XS", 256, 136),
];

impl Encoding {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Encoding> {
        TABLE.iter().map(|row| row.0)
    }

    /// That of a number in GGUF files.
    pub fn of_ggml(number: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// Its name in ggml.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].2
    }

    /// Values and bytes of a block; of plain numbers each is one.
    pub fn block(self) -> (usize, usize) {
        (TABLE[self as usize].3, TABLE[self as usize].4)
    }

    /// Whether values are plain numbers.
    pub fn is_plain(self) -> bool {
        self.block().0 == 1
    }

    /// Decodes whole blocks.
    ///
    /// # Panics
    /// Where `bytes` and `to` are not of the same number of whole blocks.
    pub fn decode(self, bytes: &[u8], to: &mut [f32]) {
        let (values, size) = self.block();
        assert_eq!((bytes.len() % size, bytes.len() / size * values), (0, to.len()));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
            #[target_feature(enable = "avx2,f16c")]
            unsafe fn wide(encoding: Encoding, bytes: &[u8], to: &mut [f32]) {
                decode(encoding, bytes, to);
            }
            // SAFETY: the machine has the instructions.
            return unsafe { wide(self, bytes, to) };
        }
        decode(self, bytes, to);
    }
}

/// Decodes every value by a function of one. Written out, since a call through a value would not be compiled
/// for the vectors of [`decode`]'s caller.
macro_rules! each {
    ($bytes:expr, $to:expr, $one:ident) => {
        for (b, v) in $bytes.as_chunks().0.iter().zip($to.as_chunks_mut().0) {
            $one(b, v);
        }
    };
}
#[inline(always)]
fn decode(encoding: Encoding, bytes: &[u8], to: &mut [f32]) {
    match encoding {
        F32 => each!(bytes, to, f32_le),
        F64 => each!(bytes, to, f64_le),
        Bf16 => each!(bytes, to, bf16_le),
        F16 => halves(bytes, to),
        _ => {
            let to = to.as_chunks_mut().0;
            groups(
                encoding,
                [bytes],
                #[inline(always)]
                |_, i, q, d, m| spread(q, d, m, &mut to[i]),
            )
        }
    }
}

/// The groups of 32 whole numbers q of up to four rows of blocks, of which all are of one length: the number of the row,
/// that of the group in it, q, and d and m of either half. Those of a row are in order.
#[inline(always)]
pub(super) fn groups<const ROWS: usize>(
    encoding: Encoding,
    rows: [&[u8]; ROWS],
    mut each: impl FnMut(usize, usize, &Whole, [f32; 2], [f32; 2]),
) {
    macro_rules! blocks {
        ($one:ident) => {{
            let rows = rows.map(|bytes| bytes.as_chunks().0);
            for b in 0..rows[0].len() {
                let at = b * (encoding.block().0 / 32);
                // Written out: sums of a row that a loop counted would not stay in registers.
                blocks!($one, rows, b, at, 0 1 2 3);
            }
        }};
        ($one:ident, $rows:ident, $b:ident, $at:ident, $($j:literal)*) => {
            $(if $j < ROWS {
                $one(
                    &$rows[$j][$b],
                    #[inline(always)]
                    |c, q, d, m| each($j, $at + c, &q, d, m),
                );
            })*
        };
    }
    match encoding {
        F32 | F64 | Bf16 | F16 => unreachable!("plain numbers are in no groups"),
        Q4_0 => blocks!(q4_0),
        Q4_1 => blocks!(q4_1),
        Q5_0 => blocks!(q5_0),
        Q5_1 => blocks!(q5_1),
        Q8_0 => blocks!(q8_0),
        Q2K => blocks!(q2_k),
        Q3K => blocks!(q3_k),
        Q4K => blocks!(q4_k),
        Q5K => blocks!(q5_k),
        Q6K => blocks!(q6_k),
        Iq4Nl => blocks!(iq4_nl),
        Iq4Xs => blocks!(iq4_xs),
    }
}

#[inline(always)]
fn f32_le(b: &[u8; 4], [v]: &mut [f32; 1]) {
    *v = f32::from_le_bytes(*b);
}

#[inline(always)]
fn f64_le(b: &[u8; 8], [v]: &mut [f32; 1]) {
    *v = f64::from_le_bytes(*b) as f32;
}

#[inline(always)]
fn bf16_le(b: &[u8; 2], [v]: &mut [f32; 1]) {
    *v = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
}

/// Numbers of 16 bits, by way of a buffer since they may lie anywhere.
#[inline(always)]
fn halves(bytes: &[u8], to: &mut [f32]) {
    let mut some = [f16::ZERO; 64];
    for (bytes, to) in bytes.chunks(2 * some.len()).zip(to.chunks_mut(some.len())) {
        let some = &mut some[..to.len()];
        for (h, b) in some.iter_mut().zip(bytes.as_chunks().0) {
            *h = f16::from_le_bytes(*b);
        }
        some.convert_to_f32_slice(to);
    }
}

/// The f16 that begins at byte `at`: what [`f16::to_f32`] gives, without its look for an instruction.
#[inline(always)]
fn half(b: &[u8], at: usize) -> f32 {
    let bits = u16::from_le_bytes([b[at], b[at + 1]]);
    match bits & 0x7c00 {
        0 | 0x7c00 => odd(bits),
        // Exponents of f32 are 112 more.
        _ => {
            let bits = u32::from(bits);
            f32::from_bits(((bits & 0x8000) << 16) | (((bits & 0x7fff) << 13) + (112 << 23)))
        }
    }
}

/// Zero, what is subnormal and what is not finite.
#[cold]
#[inline(never)]
fn odd(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Whole numbers of 32 values.
pub(super) type Whole = [i8; 32];

/// 32 values: `d q - m`, d and m of either half.
#[inline(always)]
fn spread(q: &Whole, d: [f32; 2], m: [f32; 2], to: &mut [f32; 32]) {
    let halves = q.as_chunks::<16>().0.iter().zip(to.as_chunks_mut::<16>().0);
    for ((q, to), (d, m)) in halves.zip(d.into_iter().zip(m)) {
        for (q, to) in q.iter().zip(to) {
            *to = d * f32::from(*q) - m;
        }
    }
}

/// The low four bits of each of 16 bytes from `at` on, then the high ones.
#[inline(always)]
fn nibbles(b: &[u8], at: usize) -> Whole {
    let mut q = [0; 32];
    for i in 0..16 {
        q[i] = (b[at + i] & 15) as i8;
        q[i + 16] = (b[at + i] >> 4) as i8;
    }
    q
}

/// As [`nibbles`], with a fifth bit of each value in the four bytes before them.
#[inline(always)]
fn fives(b: &[u8], at: usize) -> Whole {
    let mut q = nibbles(b, at);
    let high = u32::from_le_bytes([b[at - 4], b[at - 3], b[at - 2], b[at - 1]]);
    for (i, q) in q.iter_mut().enumerate() {
        *q |= ((high >> i & 1) << 4) as i8;
    }
    q
}

#[inline(always)]
fn less(mut q: Whole, by: i8) -> Whole {
    for q in &mut q {
        *q -= by;
    }
    q
}

/// What takes a group: its number in the block, whole numbers, d and m.
trait Put: FnMut(usize, Whole, [f32; 2], [f32; 2]) {}
impl<F: FnMut(usize, Whole, [f32; 2], [f32; 2])> Put for F {}

#[inline(always)]
fn q4_0(b: &[u8; 18], mut put: impl Put) {
    put(0, less(nibbles(b, 2), 8), [half(b, 0); 2], [0.0; 2]);
}

#[inline(always)]
fn q4_1(b: &[u8; 20], mut put: impl Put) {
    put(0, nibbles(b, 4), [half(b, 0); 2], [-half(b, 2); 2]);
}

#[inline(always)]
fn q5_0(b: &[u8; 22], mut put: impl Put) {
    put(0, less(fives(b, 6), 16), [half(b, 0); 2], [0.0; 2]);
}

#[inline(always)]
fn q5_1(b: &[u8; 24], mut put: impl Put) {
    put(0, fives(b, 8), [half(b, 0); 2], [-half(b, 2); 2]);
}

#[inline(always)]
fn q8_0(b: &[u8; 34], mut put: impl Put) {
    let mut q = [0; 32];
    for (q, b) in q.iter_mut().zip(&b[2..]) {
        *q = *b as i8;
    }
    put(0, q, [half(b, 0); 2], [0.0; 2]);
}

/// Scales of four bits, then q of two; d and m follow.
#[inline(always)]
fn q2_k(b: &[u8; 84], mut put: impl Put) {
    let (d, m) = (half(b, 80), half(b, 82));
    for c in 0..8 {
        let mut q = [0; 32];
        for (i, q) in q.iter_mut().enumerate() {
            *q = (b[16 + 32 * (c / 4) + i] >> (2 * (c % 4)) & 3) as i8;
        }
        let scales = [b[2 * c], b[2 * c + 1]];
        let of = |by: f32, four: u8| by * f32::from(four);
        put(c, q, scales.map(|s| of(d, s & 15)), scales.map(|s| of(m, s >> 4)));
    }
}

/// Third bits of all q, their first two, 16 scales of six bits, d.
#[inline(always)]
fn q3_k(b: &[u8; 110], mut put: impl Put) {
    let d = half(b, 108);
    let scale = |j: usize| {
        let low = b[96 + j % 8] >> (4 * (j / 8)) & 15;
        let high = b[104 + j % 4] >> (2 * (j / 4)) & 3;
        d * f32::from((low | high << 4) as i8 - 32)
    };
    for c in 0..8 {
        let mut q = [0; 32];
        for (i, q) in q.iter_mut().enumerate() {
            let low = b[32 + 32 * (c / 4) + i] >> (2 * (c % 4)) & 3;
            *q = (low | (b[i] >> c & 1) << 2) as i8 - 4;
        }
        put(c, q, [scale(2 * c), scale(2 * c + 1)], [0.0; 2]);
    }
}

/// Scale and least value of part `c` of eight, six bits each, of the 12 bytes from byte 4 on.
#[inline(always)]
fn scale_and_least(b: &[u8], c: usize) -> [f32; 2] {
    let b = &b[4..16];
    match c {
        0..4 => [b[c] & 63, b[c + 4] & 63],
        _ => [b[c + 4] & 15 | b[c - 4] >> 6 << 4, b[c + 4] >> 4 | b[c] >> 6 << 4],
    }
    .map(f32::from)
}

#[inline(always)]
fn q4_k(b: &[u8; 144], mut put: impl Put) {
    let (d, m) = (half(b, 0), half(b, 2));
    for c in 0..8 {
        let mut q = [0; 32];
        for (i, q) in q.iter_mut().enumerate() {
            *q = (b[16 + 32 * (c / 2) + i] >> (4 * (c % 2)) & 15) as i8;
        }
        let [scale, least] = scale_and_least(b, c);
        put(c, q, [d * scale; 2], [m * least; 2]);
    }
}

#[inline(always)]
fn q5_k(b: &[u8; 176], mut put: impl Put) {
    let (d, m) = (half(b, 0), half(b, 2));
    for c in 0..8 {
        let mut q = [0; 32];
        for (i, q) in q.iter_mut().enumerate() {
            let low = b[48 + 32 * (c / 2) + i] >> (4 * (c % 2)) & 15;
            *q = (low | (b[16 + i] >> c & 1) << 4) as i8;
        }
        let [scale, least] = scale_and_least(b, c);
        put(c, q, [d * scale; 2], [m * least; 2]);
    }
}

/// First four bits of all q, their last two, 16 signed scales, d.
#[inline(always)]
fn q6_k(b: &[u8; 210], mut put: impl Put) {
    let d = half(b, 208);
    for c in 0..8 {
        let (half, part) = (c / 4, c % 4);
        let mut q = [0; 32];
        for (i, q) in q.iter_mut().enumerate() {
            let low = b[64 * half + 32 * (part % 2) + i] >> (4 * (part / 2)) & 15;
            let high = b[128 + 32 * half + i] >> (2 * part) & 3;
            *q = (low | high << 4) as i8 - 32;
        }
        let scale = |j: usize| d * f32::from(b[192 + j] as i8);
        put(c, q, [scale(2 * c), scale(2 * c + 1)], [0.0; 2]);
    }
}

/// Values that four bits stand for in IQ4.
const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

#[inline(always)]
fn iq4(mut q: Whole) -> Whole {
    for q in &mut q {
        *q = IQ4[*q as usize & 15];
    }
    q
}

#[inline(always)]
fn iq4_nl(b: &[u8; 18], mut put: impl Put) {
    put(0, iq4(nibbles(b, 2)), [half(b, 0); 2], [0.0; 2]);
}

/// d, the last two bits of eight scales, their first four, the q.
#[inline(always)]
fn iq4_xs(b: &[u8; 136], mut put: impl Put) {
    let (d, high) = (half(b, 0), u16::from_le_bytes([b[2], b[3]]));
    for c in 0..8 {
        let low = b[4 + c / 2] >> (4 * (c % 2)) & 15;
        let scale = (low | ((high >> (2 * c) & 3) as u8) << 4) as i8 - 32;
        let q = iq4(nibbles(b, 8 + 16 * c));
        put(c, q, [d * f32::from(scale); 2], [0.0; 2]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use safetensors::SafeTensors;

    /// Random blocks of a type and what gguf-py makes of them, see `tests/oracles/make_block_fixtures.py`.
    pub fn sample(encoding: Encoding) -> (Vec<u8>, Vec<f32>) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/blocks.safetensors");
        let file = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let of = |part: &str| tensors.tensor(&format!("{}.{part}", encoding.name())).unwrap();
        let values = of("values").data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        (of("bytes").data().to_vec(), values.collect())
    }

    /// Those of [`sample`]; a GGUF file holds no F64.
    pub fn sampled() -> impl Iterator<Item = Encoding> {
        Encoding::all().filter(|e| *e != F64)
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn every_type_is_decoded_to_the_bits_of_gguf_py() {
        for encoding in sampled() {
            let (bytes, want) = sample(encoding);
            let mut got = vec![f32::NAN; want.len()];
            encoding.decode(&bytes, &mut got);
            assert!(bits(&got) == bits(&want), "{}", encoding.name());
            // Without the vectors of this machine.
            got.fill(f32::NAN);
            decode(encoding, &bytes, &mut got);
            assert!(bits(&got) == bits(&want), "{}, plain", encoding.name());
        }
    }

    #[test]
    fn every_f16_is_what_it_is_in_f32() {
        for bits in 0..=u16::MAX {
            let (got, want) = (half(&bits.to_le_bytes(), 0), f16::from_bits(bits).to_f32());
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn doubles_are_rounded_once() {
        let values = [1.0 / 3.0, -1e300, 1e-45, 5.0];
        let bytes: Vec<u8> = values.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        let mut got = [0f32; 4];
        F64.decode(&bytes, &mut got);
        assert_eq!(got, values.map(|v| v as f32));
    }

    #[test]
    fn the_table_is_in_the_order_of_the_types() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i, "{}", row.2);
            assert_eq!(Encoding::of_ggml(row.1), Some(row.0));
        }
    }
}
