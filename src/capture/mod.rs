//! Texts and positions to pooled residuals, streamed.
//!
//! Texts are grouped into batches of a bounded number of rows, those with a common beginning
//! together; the pass ends at the last layer asked for and never reaches the language head. Each
//! layer's stream is pooled as soon as it exists, so memory does not grow with the number of texts.
//! Means are summed in f64. Position 0, an attention sink, is in no mean.

use crate::model::packed::batches;
use crate::model::tokenizer::Prompt;
use crate::model::{Decoder, HookPoint, Hooks, Interventions, ModelError, Role, Tokens};
use crate::ops::clock::{clock, Op};
use crate::ops::simd::vectorised;
use crate::ops::{fused, with_values};
use candle_core::{DType, Tensor};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Mean over the tokens of the response, its end token not included.
    ResponseMean,
    /// Last token of the response.
    ResponseLast,
    /// Last token of the prompt as the model is given it to answer: the end of the generation
    /// prompt. The same for every response.
    PromptLast,
    /// Mean over the tokens of the user's turns.
    UserMean,
    /// Mean over markup tokens.
    TemplateMean,
    /// Mean over every token but the first.
    AllMean,
    /// Last token of the user's last turn.
    UserLast,
    /// Mean over the markup between the user's last turn and the response.
    BeforeResponse,
    /// First token of the response.
    ResponseFirst,
    /// Mean over the first quarter of the response's tokens; of fewer than four, over the nearest one.
    ResponseQ1,
    /// The same of the second quarter.
    ResponseQ2,
    /// The same of the third quarter.
    ResponseQ3,
    /// The same of the last quarter.
    ResponseQ4,
}

const ALL: [Position; 13] = {
    use Position::*;
    [
        ResponseMean,
        ResponseLast,
        PromptLast,
        UserMean,
        TemplateMean,
        AllMean,
        UserLast,
        BeforeResponse,
        ResponseFirst,
        ResponseQ1,
        ResponseQ2,
        ResponseQ3,
        ResponseQ4,
    ]
};

/// Quarter `k` of tokens, from 0: parts of a whole but where there are fewer than four.
fn quarter(tokens: &[usize], k: usize) -> Vec<usize> {
    let n = tokens.len();
    let from = k * n / 4;
    let to = ((k + 1) * n / 4).max(from + 1).min(n);
    tokens[from..to].to_vec()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let known = ALL.map(|p| p.to_string());
        match known.iter().position(|name| name == s) {
            Some(i) => Ok(ALL[i]),
            None => Err(format!("position `{s}` is not one of {}", known.join(", "))),
        }
    }
}

impl Position {
    /// Every position by its name.
    pub fn names() -> Vec<String> {
        ALL.iter().map(Position::to_string).collect()
    }

    /// Token indices to average; of the prompt's own tokens where they are no beginning of the text.
    pub fn tokens(self, t: &Tokens) -> Vec<usize> {
        let last = t.ids.len().saturating_sub(1);
        let nonzero = |i: usize| if i > 0 { vec![i] } else { Vec::new() };
        match self {
            Position::ResponseMean => t.with_role(Role::Response),
            Position::ResponseLast => t.with_role(Role::Response).pop().into_iter().collect(),
            Position::PromptLast => match &t.prompt {
                Some(Prompt::First(n)) => nonzero(n.saturating_sub(1)),
                Some(Prompt::Joined { ids, .. }) => nonzero(ids.len().saturating_sub(1)),
                None => nonzero(last),
            },
            Position::UserMean => t.with_role(Role::User),
            Position::TemplateMean => t.with_role(Role::Template),
            Position::AllMean => (1..t.ids.len()).collect(),
            Position::UserLast => t.with_role(Role::User).pop().into_iter().collect(),
            Position::BeforeResponse => {
                let response = t.with_role(Role::Response).first().copied().unwrap_or(0);
                let user = t.with_role(Role::User).last().copied().unwrap_or(response);
                let markup = t.with_role(Role::Template).into_iter();
                markup.filter(|i| (user..response).contains(i)).collect()
            }
            Position::ResponseFirst => t.with_role(Role::Response).into_iter().take(1).collect(),
            Position::ResponseQ1 => quarter(&t.with_role(Role::Response), 0),
            Position::ResponseQ2 => quarter(&t.with_role(Role::Response), 1),
            Position::ResponseQ3 => quarter(&t.with_role(Role::Response), 2),
            Position::ResponseQ4 => quarter(&t.with_role(Role::Response), 3),
        }
    }

    /// Why a text may have no token at the position, and what to do.
    fn without(self, t: &Tokens) -> &'static str {
        if t.ids.len() < 2 {
            return "its only token is at position 0, which is in no average: write a longer text";
        }
        match self {
            Position::ResponseMean
            | Position::ResponseLast
            | Position::ResponseFirst
            | Position::ResponseQ1
            | Position::ResponseQ2
            | Position::ResponseQ3
            | Position::ResponseQ4 => "it has no response: give it one, or leave that position out",
            Position::BeforeResponse => {
                "there is no markup between its prompt and its response: leave that position out"
            }
            Position::UserMean | Position::UserLast => "it has no user's turn: give it one, or leave that position out",
            Position::TemplateMean => {
                "no chat template is around it: give it as a prompt, or leave that position out"
            }
            Position::PromptLast | Position::AllMean => {
                "only position 0, which is in no average, is before its response: put something there"
            }
        }
    }
}

/// A text without a token at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// Index among the texts given.
    pub text: usize,
    /// The position.
    pub position: Position,
    /// Why, and what to do.
    pub why: &'static str,
}

impl From<Absent> for CaptureError {
    fn from(Absent { text, position, why }: Absent) -> Self {
        CaptureError::NoToken { text, position, why }
    }
}

/// Every text and position without a token, in order of the texts.
pub fn absent(texts: &[Tokens], positions: &[Position]) -> Vec<Absent> {
    let each = texts.iter().enumerate();
    let at = each.flat_map(|(i, t)| positions.iter().map(move |p| (i, t, *p)));
    let without = at.filter(|(_, t, p)| p.tokens(t).is_empty());
    without.map(|(text, t, position)| Absent { text, position, why: position.without(t) }).collect()
}

/// Checks that every text has a token at every position.
///
/// # Errors
/// `NoToken` for the first text and position without.
pub fn check(texts: &[Tokens], positions: &[Position]) -> Result<(), CaptureError> {
    absent(texts, positions).first().map_or(Ok(()), |a| Err((*a).into()))
}

/// Ways in which capture can fail.
// What a variant is, its message says.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("text {text}: there is no token at `{position}`; {why}")]
    NoToken {
        /// Index among the texts given.
        text: usize,
        position: Position,
        why: &'static str,
    },
    #[error("text {text}: the activation at `{position}` after block {layer} is NaN or infinite; the model's numbers overflowed there: look at the text and at any edit or adapter")]
    NotFinite { text: usize, position: Position, layer: usize },
    #[error("no texts to read")]
    NoTexts,
    #[error("layer {layer} does not exist; the model has blocks 0 to {last}")]
    NoLayer { layer: usize, last: usize },
    #[error("layers and positions must not be empty")]
    NothingAsked,
    #[error("{0}")]
    Sink(String),
}

/// What is read of each text.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where each text is read; one row a position.
    pub positions: Vec<Position>,
    /// Blocks whose output is read, increasing.
    pub layers: Vec<usize>,
    /// Rows of a batch.
    pub budget: usize,
    /// A text without a token at a position has NaN there; else it is refused.
    pub absent: bool,
}

/// Rows of a batch by default: enough to fill the matrix products, small beside the weights.
pub const BUDGET: usize = 1024;

impl Request {
    /// Reads the outputs of blocks `layers`, increasing, in batches of [`BUDGET`] rows.
    pub fn new(positions: &[Position], layers: Vec<usize>) -> Self {
        Request { positions: positions.to_vec(), layers, budget: BUDGET, absent: false }
    }
}

/// What a capture did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Work {
    /// Texts read.
    pub texts: usize,
    /// Tokens of all texts.
    pub tokens: usize,
    /// Rows computed after sharing prefixes.
    pub rows: usize,
}

/// Reads texts; no value that is handed on is NaN or infinite, but where a text has no token at a position
/// and the request takes that. `sink(text, position, (layers, D))` is called once a text and position.
pub fn capture(
    model: &Decoder,
    texts: &[Tokens],
    request: &Request,
    interventions: &Interventions,
    sink: &mut dyn FnMut(usize, usize, Array2<f32>) -> Result<(), CaptureError>,
) -> Result<Work, CaptureError> {
    if texts.is_empty() {
        return Err(CaptureError::NoTexts);
    }
    let deepest = request.layers.iter().max().filter(|_| !request.positions.is_empty());
    let deepest = *deepest.ok_or(CaptureError::NothingAsked)?;
    if deepest >= model.layers() {
        return Err(CaptureError::NoLayer { layer: deepest, last: model.layers() - 1 });
    }
    if !request.absent {
        check(texts, &request.positions)?;
    }
    let joined = |t: &Tokens| matches!(t.prompt, Some(Prompt::Joined { .. }));
    let apart = |p: &Position| *p == Position::PromptLast;
    let work = match request.positions.iter().any(apart) && texts.iter().any(joined) {
        false => read(model, texts, request, interventions, sink)?,
        true => {
            // An answer joins its prompt's last token: all prompts are read by themselves, so that
            // equal ones are the same rows.
            let all = 0..request.positions.len();
            let (slots, rest): (Vec<usize>, Vec<usize>) =
                all.partition(|&p| apart(&request.positions[p]));
            let only = |slots: &[usize]| Request {
                positions: slots.iter().map(|&p| request.positions[p]).collect(),
                ..request.clone()
            };
            let prompts: Vec<Tokens> = texts.iter().map(prompt).collect();
            let mut work = read(model, texts, &only(&rest), interventions, &mut |i, p, x| {
                sink(i, rest[p], x)
            })?;
            let own = read(model, &prompts, &only(&slots), interventions, &mut |i, p, x| {
                sink(i, slots[p], x)
            })?;
            work.rows += own.rows;
            work
        }
    };
    interventions.check_touched()?;
    Ok(work)
}

/// A text's prompt by itself; the text where it has no response.
fn prompt(t: &Tokens) -> Tokens {
    match &t.prompt {
        None => t.clone(),
        Some(Prompt::First(n)) => Tokens::new(t.ids[..*n].to_vec(), t.roles[..*n].to_vec()),
        Some(Prompt::Joined { ids, roles }) => Tokens::new(ids.clone(), roles.clone()),
    }
}

/// What is read of a text at one position.
struct Pool {
    text: usize,
    position: usize,
    rows: Vec<usize>,
    /// `(layers, D)`.
    means: Array2<f32>,
}

/// The texts themselves, in batches.
fn read(
    model: &Decoder,
    texts: &[Tokens],
    request: &Request,
    interventions: &Interventions,
    sink: &mut dyn FnMut(usize, usize, Array2<f32>) -> Result<(), CaptureError>,
) -> Result<Work, CaptureError> {
    let (layers, d) = (&request.layers, model.hidden());
    let deepest = layers.iter().copied().max().unwrap_or(0);
    let tokens = texts.iter().map(|t| t.ids.len()).sum();
    let mut work = Work { texts: texts.len(), tokens, rows: 0 };
    if request.positions.is_empty() {
        return Ok(work);
    }
    for (batch, packed) in batches(texts, request.budget) {
        work.rows += packed.rows();
        // For each text of the batch and position: the rows to average, and their mean by layer.
        let mut pools = Vec::with_capacity(batch.len() * request.positions.len());
        for (k, &i) in batch.iter().enumerate() {
            let path = packed.path(k);
            for (p, position) in request.positions.iter().enumerate() {
                let rows = position.tokens(&texts[i]).into_iter().map(|t| path[t]).collect();
                let means = Array2::zeros((layers.len(), d));
                pools.push(Pool { text: i, position: p, rows, means });
            }
        }
        let mut hooks = Hooks::none();
        interventions.install(&mut hooks, model.layers(), d)?;
        hooks.stop_after(deepest);
        let points: Vec<HookPoint> = layers.iter().map(|&l| HookPoint::resid_post(l)).collect();
        hooks.on(points, |point, x, _| {
            let _clock = clock(Op::Pooling);
            let slots = layers.iter().enumerate().filter(|(_, l)| **l == point.layer).map(|s| s.0);
            // Where the stream is far away, as on a GPU, only its means come here.
            if let Some(means) = averaged(x, &pools)? {
                for slot in slots {
                    let each = pools.iter_mut().zip(means.outer_iter());
                    each.for_each(|(pool, mean)| pool.means.row_mut(slot).assign(&mean));
                }
                return Ok(None);
            }
            with_values(x, |x| {
                for slot in slots {
                    let each = pools.par_iter_mut();
                    each.for_each(|pool| mean(x, d, &pool.rows, pool.means.row_mut(slot)));
                }
                Ok(())
            })?;
            Ok(None)
        });
        model.forward(&packed, &mut hooks)?;
        drop(hooks);
        for Pool { text, position, rows, means } in pools {
            let wrong = !rows.is_empty();
            let wrong = wrong.then_some(&means).and_then(|means| {
                means.outer_iter().position(|row| row.iter().any(|v| !v.is_finite()))
            });
            if let Some(layer) = wrong.map(|slot| layers[slot]) {
                let position = request.positions[position];
                return Err(CaptureError::NotFinite { text, position, layer });
            }
            sink(text, position, means)?;
        }
    }
    Ok(work)
}

/// Takes text, layer, token and residual `(D)`.
pub type TokenSink<'a> = dyn FnMut(usize, usize, usize, &[f32]) -> Result<(), CaptureError> + 'a;

/// Reads the residual of every token after each block of `layers`: `sink(text, layer, token, (D))`, called
/// for all of them in no fixed order.
///
/// # Errors
/// `NoTexts`, `NoLayer`, `NothingAsked` without layers; the model's and the sink's.
pub fn each_token(
    model: &Decoder,
    texts: &[Tokens],
    layers: &[usize],
    sink: &mut TokenSink,
) -> Result<(), CaptureError> {
    if texts.is_empty() {
        return Err(CaptureError::NoTexts);
    }
    let deepest = *layers.iter().max().ok_or(CaptureError::NothingAsked)?;
    if deepest >= model.layers() {
        return Err(CaptureError::NoLayer { layer: deepest, last: model.layers() - 1 });
    }
    let d = model.hidden();
    for (batch, packed) in batches(texts, BUDGET) {
        let paths: Vec<Vec<usize>> = (0..batch.len()).map(|k| packed.path(k)).collect();
        let mut failed = None;
        let mut hooks = Hooks::none();
        hooks.stop_after(deepest);
        let points: Vec<HookPoint> = layers.iter().map(|&l| HookPoint::resid_post(l)).collect();
        hooks.on(points, |point, x, _| {
            with_values(x, |x| {
                let each = batch.iter().zip(&paths);
                let tokens =
                    each.flat_map(|(i, path)| path.iter().enumerate().map(move |t| (*i, t)));
                let mut rows = tokens.map(|(i, (t, row))| (i, t, &x[row * d..(row + 1) * d]));
                let told = rows.try_for_each(|(i, t, row)| sink(i, point.layer, t, row));
                failed = told.err().or(failed.take());
                Ok(())
            })?;
            Ok(None)
        });
        model.forward(&packed, &mut hooks)?;
        drop(hooks);
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

/// Mean of rows of `x (N, d)` into `out (d)`.
fn mean(x: &[f32], d: usize, rows: &[usize], mut out: ndarray::ArrayViewMut1<f32>) {
    let mut sum = vec![0f64; d];
    vectorised!({
        for &r in rows {
            for (s, v) in sum.iter_mut().zip(&x[r * d..(r + 1) * d]) {
                *s += *v as f64;
            }
        }
    });
    for (o, s) in out.iter_mut().zip(sum) {
        *o = (s / rows.len() as f64) as f32;
    }
}

/// Means `(pools, D)` of a stream `(N, D)` that the fused kernels do not serve, by one product where it is;
/// none of one that they serve, nor where a row is not finite, which in a product would spoil every mean.
fn averaged(x: &Tensor, pools: &[Pool]) -> candle_core::Result<Option<Array2<f32>>> {
    if fused(x) {
        return Ok(None);
    }
    let (n, d) = x.dims2()?;
    let mut weights = vec![0f64; pools.len() * n];
    for (weights, pool) in weights.chunks_exact_mut(n).zip(pools) {
        pool.rows.iter().for_each(|&r| weights[r] += 1.0 / pool.rows.len() as f64);
    }
    let kind = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let weights = Tensor::from_vec(weights, (pools.len(), n), x.device())?.to_dtype(kind)?;
    let means = weights.matmul(&x.to_dtype(kind)?)?.to_dtype(DType::F32)?; // (pools, D)
    let means = means.flatten_all()?.to_vec1::<f32>()?;
    let whole = means.iter().all(|v| v.is_finite()) && pools.iter().all(|p| !p.rows.is_empty());
    Ok(Array2::from_shape_vec((pools.len(), d), means).ok().filter(|_| whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Config;

    #[test]
    fn means_by_a_product_are_those_of_rows_and_none_where_one_is_not_finite() {
        let mut values: Vec<f64> = (0..12).map(|i| f64::from(i * i) / 7.0).collect();
        let stream = |values: &[f64]| {
            Tensor::from_vec(values.to_vec(), (4, 3), &candle_core::Device::Cpu).unwrap()
        };
        let pool = |rows: &[usize]| {
            let means = Array2::zeros((1, 3));
            Pool { text: 0, position: 0, rows: rows.to_vec(), means }
        };
        let pools = [pool(&[0, 2, 3]), pool(&[1])];
        let x = stream(&values);
        let got = averaged(&x, &pools).unwrap().unwrap();
        let host: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        for (pool, got) in pools.iter().zip(got.outer_iter()) {
            let mut want = ndarray::Array1::zeros(3);
            mean(&host, 3, &pool.rows, want.view_mut());
            assert!((&want - &got).iter().all(|gap| gap.abs() < 1e-5), "{want} {got}");
        }
        assert!(averaged(&x.to_dtype(DType::F32).unwrap(), &pools).unwrap().is_none());
        values[9] = f64::INFINITY; // of the first pool alone
        assert!(averaged(&stream(&values), &pools).unwrap().is_none());
        assert!(averaged(&x, &[pool(&[])]).unwrap().is_none());
    }

    #[test]
    fn places_of_an_exchange_are_its_own_tokens() {
        use Position::*;
        use Role::{Response, Template, User};
        let text = |response: usize| {
            let mut roles = vec![Template, Template, User, User, Template, Template];
            roles.extend(vec![Response; response]);
            roles.push(Template);
            Tokens::new((0..roles.len() as u32).collect(), roles)
        };
        for (position, want) in [
            (UserLast, vec![3]),
            (BeforeResponse, vec![4, 5]),
            (ResponseFirst, vec![6]),
            (ResponseQ1, vec![6]),
            (ResponseQ2, vec![7, 8]),
            (ResponseQ3, vec![9]),
            (ResponseQ4, vec![10, 11]),
        ] {
            assert_eq!(position.tokens(&text(6)), want, "{position}");
            assert!(check(&[text(1), text(2), text(3)], &[position]).is_ok());
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for n in 4..20 {
            let quarters = [ResponseQ1, ResponseQ2, ResponseQ3, ResponseQ4];
            let all: Vec<usize> = quarters.iter().flat_map(|q| q.tokens(&text(n))).collect();
            assert_eq!(all, ResponseMean.tokens(&text(n)));
        }
        // A talk's last answer is its response; what was said before counts as the user's and all.
        let talk = [User, User, Template, Role::Assistant, Template, User, Template, Response];
        let talk = Tokens::new((0..8).collect(), talk.to_vec());
        for (position, want) in [
            (ResponseMean, vec![7]),
            (UserMean, vec![1, 5]),
            (UserLast, vec![5]),
            (BeforeResponse, vec![6]),
            (TemplateMean, vec![2, 4, 6]),
            (AllMean, (1..8).collect()),
        ] {
            assert_eq!(position.tokens(&talk), want, "{position}");
        }
        // Without markup there is no such place, which is said.
        let bare = Tokens::new(vec![0, 1, 2], vec![User, User, Response]);
        let e = check(&[bare], &[UserLast, BeforeResponse]).unwrap_err().to_string();
        assert!(e.contains("before-response") && e.contains("no markup"), "{e}");
    }

    fn model() -> Decoder {
        let config = Config {
            vocab: 9,
            hidden: 8,
            layers: 3,
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 6,
            context: 16,
            ..Config::llama()
        };
        Decoder::random(config, 1).unwrap()
    }

    #[test]
    fn a_text_without_a_position_has_nan_there_and_changes_no_other_where_that_is_taken() {
        let model = model();
        let answered = Tokens::new(vec![1, 2, 3], vec![Role::User, Role::User, Role::Response]);
        let open = Tokens::new(vec![4, 5], vec![Role::User; 2]);
        let mut request = Request::new(&[Position::ResponseMean, Position::AllMean], vec![0, 2]);
        let read = |texts: &[Tokens], request: &Request| {
            let mut all = vec![Vec::new(); texts.len()];
            let mut sink = |i: usize, _: usize, x: Array2<f32>| {
                all[i].push(x);
                Ok(())
            };
            capture(&model, texts, request, &Interventions::none(), &mut sink).map(|_| all)
        };
        let both = [answered.clone(), open];
        let e = read(&both, &request).unwrap_err();
        assert!(matches!(e, CaptureError::NoToken { text: 1, .. }), "{e}");
        let alone = read(&[answered], &request).unwrap();
        request.absent = true;
        let all = read(&both, &request).unwrap();
        assert_eq!(all[0], alone[0]);
        assert!(all[1][0].iter().all(|v| v.is_nan()) && all[1][1].iter().all(|v| v.is_finite()));
        let found = absent(&both, &request.positions);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].text, found[0].position), (1, Position::ResponseMean));
    }

    #[test]
    fn the_mean_over_tokens_is_that_of_every_token() {
        let model = model();
        let texts = [
            Tokens::new(vec![1, 2, 3, 4], vec![Role::Text; 4]),
            Tokens::new(vec![1, 2, 5], vec![Role::Text; 3]),
        ];
        let mut sums = vec![[vec![0f32; 8], vec![0f32; 8]]; 2];
        each_token(&model, &texts, &[0, 2], &mut |i, layer, t, x| {
            let sum = &mut sums[i][layer / 2];
            sum.iter_mut().zip(x).filter(|_| t > 0).for_each(|(s, x)| *s += x);
            Ok(())
        })
        .unwrap();
        let request = Request::new(&[Position::AllMean], vec![0, 2]);
        let mut sink = |i: usize, _: usize, means: Array2<f32>| {
            let n = (texts[i].ids.len() - 1) as f32;
            for (mean, sum) in means.outer_iter().zip(&sums[i]) {
                assert!(mean.iter().zip(sum).all(|(m, s)| (m - s / n).abs() < 1e-5));
            }
            Ok(())
        };
        capture(&model, &texts, &request, &Interventions::none(), &mut sink).unwrap();
    }

    #[test]
    fn an_activation_that_overflows_is_an_error_with_its_place() {
        let model = model();
        let text = |n: u32| Tokens::new((0..n).collect(), vec![Role::Text; n as usize]);
        let texts = [text(3), text(4)];
        let request = Request::new(&[Position::AllMean], vec![0, 1, 2]);
        let direction = [1.0; 8];
        let huge = Interventions::none()
            .add(1, &direction, 3e38)
            .and_then(|i| i.add(1, &direction, 3e38))
            .unwrap();
        let mut handed = 0;
        let mut sink = |_: usize, _: usize, _: Array2<f32>| {
            handed += 1;
            Ok(())
        };
        let e = capture(&model, &texts, &request, &huge, &mut sink).unwrap_err();
        assert!(matches!(e, CaptureError::NotFinite { layer: 1, .. }), "{e}");
        assert_eq!(handed, 0);
        let plain = Interventions::none();
        capture(&model, &texts, &request, &plain, &mut |_, _, _| Ok(())).unwrap();
    }
}
