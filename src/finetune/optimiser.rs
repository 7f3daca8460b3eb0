//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over a fixed, ordered list of variables.

use crate::ops::clock::{clock, Op};
use crate::ops::simd::vectorised;
use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// First and second moments of every variable, in the variables' order.
pub struct AdamW {
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    weight_decay: f64,
    steps: i32,
}

impl AdamW {
    pub fn new(vars: &[Var], weight_decay: f64) -> Self {
        let zeros = |v: &Var| (vec![0.0; v.elem_count()], vec![0.0; v.elem_count()]);
        AdamW { moments: vars.iter().map(zeros).collect(), weight_decay, steps: 0 }
    }

    /// One update by gradients (one for each variable, in order), each multiplied by `factor`.
    pub fn step(&mut self, vars: &[Var], grads: &[Vec<f32>], rate: f64, factor: f32) -> Result<()> {
        let _clock = clock(Op::Optimiser);
        self.steps += 1;
        let (b1, b2) = BETAS;
        let step = rate / (1.0 - b1.powi(self.steps));
        let root = (1.0 - b2.powi(self.steps)).sqrt();
        let keep = (1.0 - rate * self.weight_decay) as f32;
        self.moments.par_iter_mut().zip(vars).zip(grads).try_for_each(|(((m, v), var), g)| {
            let mut p: Vec<f32> = var.flatten_all()?.to_vec1()?;
            vectorised!({
                for i in 0..p.len() {
                    let g = g[i] * factor;
                    m[i] = (b1 as f32) * m[i] + (1.0 - b1) as f32 * g;
                    v[i] = (b2 as f32) * v[i] + (1.0 - b2) as f32 * g * g;
                    let denominator = v[i].sqrt() / root as f32 + EPS as f32;
                    p[i] = p[i] * keep - step as f32 * m[i] / denominator;
                }
            });
            var.set(&Tensor::from_vec(p, var.shape(), var.device())?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_first_step_moves_each_value_by_the_rate_against_its_gradient() {
        let var = Var::from_tensor(&Tensor::new(&[1f32, 2., 3.], &Device::Cpu).unwrap()).unwrap();
        let mut opt = AdamW::new(std::slice::from_ref(&var), 0.0);
        let g = vec![vec![0.5f32, -2.0, 0.01]];
        opt.step(std::slice::from_ref(&var), &g, 0.1, 1.0).unwrap();
        let got: Vec<f32> = var.to_vec1().unwrap();
        for (a, b) in got.iter().zip([0.9f32, 2.1, 2.9]) {
            assert!((a - b).abs() < 1e-5, "{got:?}");
        }
    }
}
