//! Causal attention over packed segments: grouped queries, optional window and soft cap.
//!
//! A batch is a forest. Each segment is a run of rows; it attends to the rows of its ancestors
//! (its `context`, in order) and causally to itself. So a prefix that many texts share is computed
//! once and read by all, there is no padding, and a single text is one segment without context.
//! No `(T, T)` tensor outlives its head: backward recomputes the weights from q and k.
//!
//! Keys and values may start with rows of a cache ([`attend`], for decoding); the autograd
//! operation ([`attention`]) has none.

use super::clock::{clock, Op};
use super::matmul::{gemm_raw, View};
use super::simd::vectorised;
use super::{fused, like, math, values, with_all, Computed, Shared};
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Segments of fewer rows than this are cheaper by plain loops than by a matrix product.
const MIN_GEMM: usize = 4;

/// Rows of one run of tokens and the earlier rows that it sees whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its own rows, each of which sees those before it.
    pub rows: Range<usize>,
    /// Earlier rows that all of them see, in order of position.
    pub context: Vec<Range<usize>>,
}

/// The segments of one batch with the text position of every row.
#[derive(Debug, Clone)]
pub struct Forest {
    /// In order of their rows.
    pub segments: Vec<Segment>,
    /// `(N)`.
    pub positions: Vec<u32>,
}

impl Forest {
    fn has_shared_rows(&self) -> bool {
        self.segments.iter().any(|s| !s.context.is_empty())
    }
}

/// Head counts and the form of the scores.
#[derive(Debug, Clone)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor on q.k, usually 1/sqrt(head_dim).
    pub scale: f32,
    /// `c tanh(s / c)` on scores (Gemma 2).
    pub softcap: Option<f32>,
    /// Keys further back than this many positions are not seen.
    pub window: Option<usize>,
}

impl Heads {
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

/// The columns of one kv head for a list of row ranges, gathered to `(T, head_dim)`.
fn gather(x: &[f32], width: usize, col: usize, h: usize, ranges: &[Range<usize>]) -> Vec<f32> {
    let total: usize = ranges.iter().map(|r| r.len()).sum();
    let mut out = Vec::with_capacity(total * h);
    for r in ranges {
        for row in r.clone() {
            let from = row * width + col;
            out.extend_from_slice(&x[from..from + h]);
        }
    }
    out
}

#[inline(always)]
fn scatter_add(to: Shared, width: usize, col: usize, h: usize, ranges: &[Range<usize>], x: &[f32]) {
    let mut rows = x.chunks_exact(h);
    for r in ranges {
        for row in r.clone() {
            if let Some(src) = rows.next() {
                for (i, v) in src.iter().enumerate() {
                    // SAFETY: rows and columns of this task alone, inside the allocation.
                    unsafe { *to.at(row * width + col + i) += v };
                }
            }
        }
    }
}

/// Scores to weights in place: `s (tq, tk)`, row i sees keys 0..ctx+i+1 within the window.
#[inline(always)]
fn soften(s: &mut [f32], tk: usize, ctx: usize, heads: &Heads, key_pos: &[u32]) {
    for (i, row) in s.chunks_exact_mut(tk).enumerate() {
        let seen = ctx + i + 1;
        let first = match heads.window {
            Some(w) => {
                let here = key_pos[seen - 1] as usize;
                key_pos[..seen].partition_point(|&p| p as usize + w <= here)
            }
            None => 0,
        };
        row[..first].fill(0.0);
        row[seen..].fill(0.0);
        let live = &mut row[first..seen];
        if let Some(c) = heads.softcap {
            live.iter_mut().for_each(|v| *v = c * math::tanh(*v / c));
        }
        let top = math::max(live);
        let inv = 1.0 / math::exp_sum(live, top);
        live.iter_mut().for_each(|v| *v *= inv);
    }
}

/// Keys and values of one layer: what a cache holds already and what this pass adds.
#[derive(Clone, Copy)]
pub(crate) struct KeysValues<'a> {
    pub k: &'a [f32],
    pub v: &'a [f32],
    /// Text position of each key row.
    pub positions: &'a [u32],
}

/// `q (N, heads * h)`, keys and values `(M, kv_heads * h)` -> `(N, heads * h)`.
/// `segments[i].rows` index q; `own[i]` are the same rows' indices among the keys.
pub(crate) fn attend(
    q: &[f32],
    kv: KeysValues,
    segments: &[Segment],
    own: &[Range<usize>],
    heads: &Heads,
) -> Vec<f32> {
    let _clock = clock(Op::Attention);
    let (h, g) = (heads.head_dim, heads.group());
    let (qw, kw) = (heads.heads * h, heads.kv_heads * h);
    let mut out = vec![0f32; q.len()];
    let shared = Shared(out.as_mut_ptr());
    let units = segments.len() * heads.kv_heads;
    (0..units).into_par_iter().for_each(|unit| {
        let (seg, kvh) = (&segments[unit / heads.kv_heads], unit % heads.kv_heads);
        let mut ranges = seg.context.clone();
        ranges.push(own[unit / heads.kv_heads].clone());
        let keys = gather(kv.k, kw, kvh * h, h, &ranges); // (tk, h)
        let vals = gather(kv.v, kw, kvh * h, h, &ranges); // (tk, h)
        let key_pos = gather_positions(kv.positions, &ranges, heads);
        let (tq, tk) = (seg.rows.len(), keys.len() / h);
        let ctx = tk - tq;
        let mut s = vec![0f32; tq * tk];
        for j in 0..g {
            let col = (kvh * g + j) * h;
            let from = seg.rows.start * qw + col;
            if tq < MIN_GEMM {
                vectorised!({
                    for (i, s) in s.chunks_exact_mut(tk).enumerate() {
                        let qr = &q[from + i * qw..from + i * qw + h];
                        for (s, k) in s.iter_mut().zip(keys.chunks_exact(h)) {
                            *s = heads.scale * math::dot(qr, k);
                        }
                    }
                });
            } else {
                let qv = View { data: &q[from..], rs: qw, cs: 1 };
                // SAFETY: s is this task's own and holds tq * tk values.
                unsafe {
                    let kt = View::rows(&keys, h).t();
                    let dims = (tq, tk, h);
                    gemm_raw(dims, s.as_mut_ptr(), tk, qv, kt, heads.scale, false, false);
                }
            }
            vectorised!(soften(&mut s, tk, ctx, heads, &key_pos));
            if tq < MIN_GEMM {
                let mut o = vec![0f32; h];
                for i in 0..tq {
                    o.fill(0.0);
                    vectorised!({
                        let weights = &s[i * tk..(i + 1) * tk];
                        for (w, v) in weights.iter().zip(vals.chunks_exact(h)) {
                            math::axpy(*w, v, &mut o);
                        }
                    });
                    // SAFETY: row and head of this task alone.
                    unsafe {
                        std::ptr::copy_nonoverlapping(o.as_ptr(), shared.at(from + i * qw), h)
                    };
                }
            } else {
                // SAFETY: the strided block (segment rows, this head) is this task's alone.
                unsafe {
                    let (sv, vv) = (View::rows(&s, tk), View::rows(&vals, h));
                    gemm_raw((tq, h, tk), shared.at(from), qw, sv, vv, 1.0, false, false);
                }
            }
        }
    });
    out
}

fn gather_positions(positions: &[u32], ranges: &[Range<usize>], heads: &Heads) -> Vec<u32> {
    if heads.window.is_none() {
        return Vec::new();
    }
    ranges.iter().flat_map(|r| positions[r.clone()].iter().copied()).collect()
}

struct Attention {
    heads: Heads,
    forest: Arc<Forest>,
}

impl Attention {
    /// Adds one (segment, kv head)'s part to dq, dk and dv.
    fn back_unit(
        &self,
        seg: &Segment,
        kvh: usize,
        [q, k, v, out, grad]: [&[f32]; 5],
        [dq, dk, dv]: [Shared; 3],
    ) {
        let heads = &self.heads;
        let (h, g) = (heads.head_dim, heads.group());
        let (qw, kw) = (heads.heads * h, heads.kv_heads * h);
        let mut ranges = seg.context.clone();
        ranges.push(seg.rows.clone());
        let keys = gather(k, kw, kvh * h, h, &ranges); // (tk, h)
        let vals = gather(v, kw, kvh * h, h, &ranges); // (tk, h)
        let key_pos = gather_positions(&self.forest.positions, &ranges, heads);
        let (tq, tk) = (seg.rows.len(), keys.len() / h);
        let ctx = tk - tq;
        let (mut p, mut dp) = (vec![0f32; tq * tk], vec![0f32; tq * tk]);
        let (mut gk, mut gv) = (vec![0f32; tk * h], vec![0f32; tk * h]);
        for j in 0..g {
            let from = seg.rows.start * qw + (kvh * g + j) * h;
            let strided = |data| View { data, rs: qw, cs: 1 };
            let (qv, gradv) = (strided(&q[from..]), strided(&grad[from..]));
            let (kv, vv) = (View::rows(&keys, h), View::rows(&vals, h));
            // SAFETY: p and dp are this task's own; the dq block is (segment rows, this head).
            unsafe {
                let dims = (tq, tk, h);
                gemm_raw(dims, p.as_mut_ptr(), tk, qv, kv.t(), heads.scale, false, false);
                gemm_raw(dims, dp.as_mut_ptr(), tk, gradv, vv.t(), 1.0, false, false);
            }
            vectorised!({
                let capped: Option<Vec<f32>> = heads.softcap.map(|c| {
                    let slope = |s: &f32| 1.0 - math::tanh(s / c).powi(2);
                    p.iter().map(slope).collect()
                });
                soften(&mut p, tk, ctx, heads, &key_pos);
                for i in 0..tq {
                    let at = from + i * qw;
                    let d = math::dot(&out[at..at + h], &grad[at..at + h]);
                    let span = i * tk..(i + 1) * tk;
                    for (dp, p) in dp[span.clone()].iter_mut().zip(&p[span]) {
                        *dp = (*dp - d) * p * heads.scale;
                    }
                }
                if let Some(slopes) = capped {
                    dp.iter_mut().zip(slopes).for_each(|(d, s)| *d *= s);
                }
            });
            gemm_alone((tk, h, tq), &mut gv, View::rows(&p, tk).t(), gradv);
            let ds = View::rows(&dp, tk);
            // SAFETY: as above.
            unsafe { gemm_raw((tq, h, tk), dq.at(from), qw, ds, kv, 1.0, false, false) };
            gemm_alone((tk, h, tq), &mut gk, ds.t(), qv);
        }
        vectorised!({
            scatter_add(dk, kw, kvh * h, h, &ranges, &gk);
            scatter_add(dv, kw, kvh * h, h, &ranges, &gv);
        });
    }
}

/// Single-threaded accumulation, for use inside a rayon task.
fn gemm_alone(dims: (usize, usize, usize), dst: &mut [f32], a: View, b: View) {
    assert_eq!(dst.len(), dims.0 * dims.1);
    // SAFETY: dst is exclusively borrowed and of the stated size.
    unsafe { gemm_raw(dims, dst.as_mut_ptr(), dims.1, a, b, 1.0, true, false) }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        qs: &CpuStorage,
        ql: &Layout,
        ks: &CpuStorage,
        kl: &Layout,
        vs: &CpuStorage,
        vl: &Layout,
    ) -> Computed {
        let kv = KeysValues {
            k: values(ks, kl)?,
            v: values(vs, vl)?,
            positions: &self.forest.positions,
        };
        let segments = &self.forest.segments;
        let own: Vec<_> = segments.iter().map(|s| s.rows.clone()).collect();
        let out = attend(values(qs, ql)?, kv, segments, &own, &self.heads);
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let _clock = clock(Op::AttentionBackward);
        let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| vec![0f32; x.elem_count()]);
        let to = [&mut dq, &mut dk, &mut dv].map(|x| Shared(x.as_mut_ptr()));
        let (segments, nkv) = (&self.forest.segments, self.heads.kv_heads);
        with_all([q, k, v, res, grad], |given| {
            if self.forest.has_shared_rows() {
                // Segments add to the rows of their ancestors: one task owns a kv head's columns.
                (0..nkv).into_par_iter().for_each(|kvh| {
                    segments.iter().for_each(|seg| self.back_unit(seg, kvh, given, to));
                });
            } else {
                (0..segments.len() * nkv)
                    .into_par_iter()
                    .for_each(|u| self.back_unit(&segments[u / nkv], u % nkv, given, to));
            }
            Ok(())
        })?;
        Ok((like(dq, q)?, like(dk, k)?, like(dv, v)?))
    }
}

/// `q (N, heads * h)`, `k`, `v (N, kv_heads * h)` -> `(N, heads * h)`.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    forest: &Arc<Forest>,
    heads: &Heads,
) -> Result<Tensor> {
    if !fused(q) {
        return attention_twin(q, k, v, forest, heads);
    }
    let op = Attention { heads: heads.clone(), forest: forest.clone() };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

/// The composed twin of [`attention`].
pub fn attention_twin(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    forest: &Forest,
    heads: &Heads,
) -> Result<Tensor> {
    let own: Vec<Range<usize>> = forest.segments.iter().map(|s| s.rows.clone()).collect();
    attend_twin(q, (k, v), &forest.positions, &forest.segments, &own, heads)
}

/// The composed, differentiable twin of [`attend`]: `q (N, heads * h)` on keys and values
/// `(M, kv_heads * h)`, a masked `(group * N, M)` product a kv head -> `(N, heads * h)`.
pub(crate) fn attend_twin(
    q: &Tensor,
    (k, v): (&Tensor, &Tensor),
    positions: &[u32],
    segments: &[Segment],
    own: &[Range<usize>],
    heads: &Heads,
) -> Result<Tensor> {
    let (n, m, h, g) = (q.dim(0)?, k.dim(0)?, heads.head_dim, heads.group());
    let mut mask = vec![f32::NEG_INFINITY; n * m];
    for (seg, own) in segments.iter().zip(own) {
        for (i, here) in seg.rows.clone().zip(own.clone()) {
            let seen = own.start..here + 1;
            for j in seg.context.iter().cloned().chain([seen]).flatten() {
                let back = (positions[here] - positions[j]) as usize;
                if heads.window.is_none_or(|w| back < w) {
                    mask[i * m + j] = 0.0;
                }
            }
        }
    }
    let mask = Tensor::from_vec(mask, (1, n, m), q.device())?.to_dtype(q.dtype())?;
    let mut outs = Vec::with_capacity(heads.kv_heads);
    for kv_head in 0..heads.kv_heads {
        let own = q.narrow(1, kv_head * g * h, g * h)?.reshape((n, g, h))?;
        let own = own.transpose(0, 1)?.contiguous()?.reshape((g * n, h))?;
        let (k, v) = (k.narrow(1, kv_head * h, h)?, v.narrow(1, kv_head * h, h)?); // (M, h)
        let mut s = (own.matmul(&k.t()?.contiguous()?)? * heads.scale as f64)?; // (g N, M)
        if let Some(c) = heads.softcap {
            s = ((s / c as f64)?.tanh()? * c as f64)?;
        }
        let s = s.reshape((g, n, m))?.broadcast_add(&mask)?.to_dtype(DType::F32)?;
        let e = s.broadcast_sub(&s.max_keepdim(2)?.detach())?.exp()?;
        let p = e.broadcast_div(&e.sum_keepdim(2)?)?.to_dtype(q.dtype())?.reshape((g * n, m))?;
        let mixed = p.matmul(&v.contiguous()?)?.reshape((g, n, h))?;
        outs.push(mixed.transpose(0, 1)?.contiguous()?.reshape((n, g * h))?);
    }
    Tensor::cat(&outs, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{max_diff, random, same};

    fn forest(plan: &[(usize, usize, &[usize])]) -> Arc<Forest> {
        // (first row, length, ancestor segments)
        let mut segments: Vec<Segment> = Vec::new();
        let mut positions = vec![0u32; plan.iter().map(|p| p.1).sum()];
        for (start, len, parents) in plan {
            let context: Vec<_> = parents.iter().map(|&p| segments[p].rows.clone()).collect();
            let base: usize = context.iter().map(|r| r.len()).sum();
            for i in 0..*len {
                positions[start + i] = (base + i) as u32;
            }
            segments.push(Segment { rows: *start..start + len, context });
        }
        Arc::new(Forest { segments, positions })
    }

    fn heads(window: Option<usize>, softcap: Option<f32>) -> Heads {
        Heads { heads: 6, kv_heads: 2, head_dim: 8, scale: 0.35, softcap, window }
    }

    #[test]
    fn attention_and_its_twin_agree_in_value_and_gradient() {
        let flat = forest(&[(0, 9, &[]), (9, 3, &[]), (12, 20, &[])]);
        let tree = forest(&[(0, 7, &[]), (7, 5, &[0]), (12, 2, &[0]), (14, 11, &[0, 1])]);
        for f in [flat, tree] {
            let n = f.positions.len();
            for h in [heads(None, None), heads(Some(4), None), heads(None, Some(2.0))] {
                let (q, k, v) = (random(1, n, 48), random(2, n, 16), random(3, n, 16));
                let y = attention(&q, &k, &v, &f, &h).unwrap();
                let t = attention_twin(&q, &k, &v, &f, &h).unwrap();
                same(&y, &t, &[&q, &k, &v], 3e-5);
            }
        }
    }

    #[test]
    fn a_shared_prefix_gives_what_each_text_alone_gives() {
        let shared = forest(&[(0, 6, &[]), (6, 4, &[0]), (10, 5, &[0])]);
        let (q, k, v) = (random(1, 15, 48), random(2, 15, 16), random(3, 15, 16));
        let h = heads(None, None);
        let y = attention(&q, &k, &v, &shared, &h).unwrap();
        let pick = |x: &Tensor| {
            let rows = [x.narrow(0, 0, 6).unwrap(), x.narrow(0, 10, 5).unwrap()];
            Tensor::cat(&rows, 0).unwrap()
        };
        let alone = forest(&[(0, 11, &[])]);
        let want = attention(&pick(&q), &pick(&k), &pick(&v), &alone, &h).unwrap();
        assert!(max_diff(&pick(&y), &want) < 1e-6);
    }
}
