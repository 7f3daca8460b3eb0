//! What is `unsafe` in the operations, at sizes that Miri runs in seconds: products with edges of every kind
//! beside whole blocks, of matrices as they are and as they are stored, and attention forward and backward.

use super::attention::{attention, attention_twin, Forest, Heads, Segment};
use super::bf16;
use super::blocks::Encoding;
use super::check::{random, same};
use super::matmul::{gemm_into, product, View};
use super::stored::Stored;
use std::sync::Arc;

/// Whole numbers, of which sums are exact in any order.
fn whole(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + seed * 5) % 11) as f32 - 5.0).collect()
}

fn slow((m, n, k): (usize, usize, usize), a: &[f32], b: &[f32]) -> Vec<f32> {
    let one = |at: usize| (0..k).map(|t| a[at / n * k + t] * b[at % n * k + t]).sum();
    (0..m * n).map(one).collect()
}

#[test]
fn small_products_touch_what_is_theirs() {
    for dims in [(1, 1, 1), (3, 5, 7), (2, 33, 3), (7, 2, 130)] {
        let (m, n, k) = dims;
        let (a, b) = (whole(m * k, 1), whole(n * k, 2));
        let (av, bv) = (View::rows(&a, k), View::rows(&b, k).t());
        let want = slow(dims, &a, &b);
        assert_eq!(product(dims, av, bv, 1.0), want, "{dims:?}");
        let mut twice = want.clone();
        gemm_into(dims, &mut twice, av, bv, 1.0, true);
        assert!(twice.iter().zip(&want).all(|(t, w)| *t == 2.0 * w), "{dims:?}");
        let halves: Vec<half::bf16> = b.iter().map(|v| half::bf16::from_f32(*v)).collect();
        assert_eq!(bf16::product(&a, &halves, (n, k)), want, "{dims:?} in bf16");
    }
}

#[test]
fn small_stored_matrices_are_multiplied_where_they_lie() {
    let (n, o, i) = (3, 4, 5);
    let (x, w) = (whole(n * i, 1), whole(o * i, 2));
    for at in [0, 3, 4] {
        let mut bytes = vec![0; at];
        bytes.extend(w.iter().flat_map(|v| v.to_le_bytes()));
        let stored = Stored::new(Arc::new(bytes), at, Encoding::F32, (o, i), None).unwrap();
        assert_eq!(stored.product(&x, n), slow((n, o, i), &x, &w), "at byte {at}");
        assert_eq!(stored.gather(&[3, 0]), [&w[3 * i..], &w[..i]].concat());
    }
}

#[test]
fn small_attention_and_its_twin_agree() {
    let segments = vec![
        Segment { rows: 0..2, context: Vec::new() },
        Segment { rows: 2..4, context: std::iter::once(0..2).collect() },
    ];
    let forest = Arc::new(Forest { segments, positions: vec![0, 1, 2, 3] });
    let heads =
        Heads { heads: 2, kv_heads: 1, head_dim: 2, scale: 0.5, softcap: None, window: None };
    let (q, k, v) = (random(1, 4, 4), random(2, 4, 2), random(3, 4, 2));
    let fused = attention(&q, &k, &v, &forest, &heads).unwrap();
    let twin = attention_twin(&q, &k, &v, &forest, &heads).unwrap();
    same(&fused, &twin, &[&q, &k, &v], 1e-5);
}
