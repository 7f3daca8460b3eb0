//! What a model's files hold, held against what its configuration says they hold.
//!
//! Before a tensor is read, every weight that the decoder takes must be there in its shape. So the
//! sizes of a configuration are bounded by the file, and nothing is allocated for a size that no
//! file backs. What is left over is told: a buffer that any reader recomputes is passed by, a
//! weight that would change what the decoder computes is an error, anything else a warning.

use super::config::Config;
use super::decoder::{module_path, LINEARS};
use super::error::{ModelError, Result};
use super::names::Naming;
use super::warning::ModelWarning;
use crate::store::names::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Weights by Hugging Face name, or by the file's name where there is none, with their shapes.
pub(crate) struct Inventory<'a> {
    pub path: &'a Path,
    pub naming: Naming,
    pub shapes: BTreeMap<String, Vec<usize>>,
}

/// What of an inventory is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Hugging Face names of the weights that the decoder takes.
    pub wanted: BTreeSet<String>,
    /// The file's names of those that nothing takes.
    pub unused: Vec<String>,
}

/// The key of config.json that says whether this bias is there.
fn flag(bias: &str) -> &'static str {
    match bias.contains(".mlp.") {
        true => "mlp_bias",
        false => "attention_bias",
    }
}

impl Plan {
    /// The weights that nothing takes, as a warning.
    pub(crate) fn warnings(self, path: &Path) -> Vec<ModelWarning> {
        let names = Some(self.unused).filter(|names| !names.is_empty());
        let told = names.map(|names| ModelWarning::UnusedWeights { path: path.into(), names });
        told.into_iter().collect()
    }
}

/// Buffers that are computed from the configuration, or masks.
const RECOMPUTED: [&str; 6] = [
    "rotary_emb.inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    ".attn_rot_embd",
    ".masked_bias",
    ".attn.bias",
];

/// Parts of names outside of blocks whose weights change what is computed.
const CHANGING: [&str; 7] =
    ["norm", "position", "pos_emb", "rope_f", "token_types", "project_in", "project_out"];

/// Parts of names inside a block that change what the block computes.
const CHANGING_BLOCK: [&str; 8] =
    ["self_attn.", "mlp.", "attn", "ffn_", "norm", "scale", "bias", "sink"];

impl Inventory<'_> {
    /// Holds the inventory against a configuration.
    ///
    /// # Errors
    /// The first weight that is missing, misshapen, or foreign to this architecture.
    pub(crate) fn plan(&self, c: &Config) -> Result<Plan> {
        let vocabulary = [c.vocab, c.hidden];
        let mut wanted = BTreeSet::from([
            self.take("model.embed_tokens.weight".into(), &vocabulary)?,
            self.take("model.norm.weight".into(), &[c.hidden])?,
        ]);
        // A head beside a tied flag is read, and compared with the embeddings.
        let head = "lm_head.weight";
        if self.shapes.contains_key(head) {
            wanted.insert(self.take(head.into(), &vocabulary)?);
        } else if !c.tied {
            return Err(self.said(format!("holds no `{head}`, and config.json does not set `tie_word_embeddings`; a head drawn at random would mean nothing")));
        }
        let wide = "its sizes multiply beyond any memory; the configuration is damaged";
        let maps = c.maps().ok_or_else(|| self.said(wide))?;
        for l in 0..c.layers {
            wanted.extend(self.block(l, c, &maps)?);
        }
        let mut unused = Vec::new();
        for name in self.shapes.keys().filter(|name| !wanted.contains(*name)) {
            let is = |r: &&str| name.ends_with(*r) || name.contains(&format!("{r}."));
            if !RECOMPUTED.iter().any(is) {
                self.refuse_foreign(name, c)?;
                unused.push(self.naming.of(name));
            }
        }
        Ok(Plan { wanted, unused })
    }

    /// Names of the weights of a block.
    fn block(&self, l: usize, c: &Config, maps: &[(usize, usize); 7]) -> Result<Vec<String>> {
        let at = format!("model.layers.{l}");
        if !self.holds(&format!("{at}.")) {
            let (block, blocks) = (self.naming.block(), c.layers);
            return Err(self.said(format!("holds no weight of block {l}, `{block}{l}.*`; the configuration says that there are {blocks} blocks")));
        }
        let mut wanted = Vec::new();
        for (norm, width) in c.block_norms().all() {
            wanted.push(self.take(format!("{at}.{norm}.weight"), &[width])?);
        }
        for (i, &(o, n)) in maps.iter().enumerate() {
            let name = format!("{at}.{}", module_path(i));
            wanted.push(self.take(format!("{name}.weight"), &[o, n])?);
            let bias = format!("{name}.bias");
            let there = self.shapes.contains_key(&bias);
            match (c.biases.of(i).unwrap_or(there), there) {
                (true, true) => wanted.push(self.take(bias, &[o])?),
                (true, false) => {
                    let why = format!(
                        "is set, or belongs to this family, and weight `{bias}` is not in the file"
                    );
                    return Err(ModelError::key(&self.path.join("config.json"), flag(&bias), why));
                }
                (false, _) => (),
            }
        }
        Ok(wanted)
    }

    fn said(&self, why: impl Into<String>) -> ModelError {
        ModelError::file(self.path, why)
    }

    /// Whether any weight's name begins so.
    fn holds(&self, prefix: &str) -> bool {
        let mut from = self.shapes.range(prefix.to_string()..);
        from.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// The name of a wanted weight, which must be there in its shape.
    fn take(&self, name: String, want: &[usize]) -> Result<String> {
        let Some(got) = self.shapes.get(&name) else {
            let missing = self.naming.of(&name);
            let present: Vec<String> = self.shapes.keys().map(|n| self.naming.of(n)).collect();
            return Err(ModelError::MissingWeight {
                path: self.path.into(),
                nearest: nearest(&missing, present.iter().map(String::as_str)),
                name: missing,
            });
        };
        if got != want {
            return Err(ModelError::WeightShape {
                path: self.path.into(),
                name: self.naming.of(&name),
                got: got.clone(),
                want: want.to_vec(),
            });
        }
        Ok(name)
    }

    /// Refuses a weight that is left over and would change what the decoder computes.
    fn refuse_foreign(&self, name: &str, c: &Config) -> Result<()> {
        let spelled = self.naming.of(name);
        let refuse = |why: &str| {
            let (path, name) = (self.path.into(), spelled.clone());
            Err(ModelError::ForeignWeight { path, name, why: why.into() })
        };
        let block = spelled.strip_prefix(self.naming.block());
        if let Some((layer, part)) = block.and_then(|b| b.split_once('.')) {
            if layer.parse::<usize>().is_ok_and(|l| l >= c.layers) {
                let blocks = c.layers;
                let why = format!("is of a block beyond the {blocks} that the configuration names");
                return refuse(&why);
            }
            let bias = part.strip_suffix(".bias");
            if bias.is_some_and(|p| LINEARS.iter().any(|l| p.ends_with(l))) {
                let flag = flag(name);
                return refuse(&format!("is a bias, and `{flag}` is not set in config.json"));
            }
            return match CHANGING_BLOCK.iter().any(|p| part.contains(p)) {
                true => {
                    refuse("changes what a block computes, and this decoder has no place for it")
                }
                false => Ok(()),
            };
        }
        let own = ["lm_head", "model.", "output", "token_embd"];
        let bias = spelled.ends_with(".bias") && own.iter().any(|p| spelled.starts_with(p));
        if bias || CHANGING.iter().any(|p| spelled.contains(p)) {
            return refuse("changes what the model computes, and this decoder has no place for it");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Biases, Norms};
    use super::*;

    fn config() -> Config {
        Config {
            vocab: 11,
            hidden: 8,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            intermediate: 6,
            context: 16,
            tied: true,
            biases: Biases::NONE,
            ..Config::llama()
        }
    }

    fn found(c: &Config) -> BTreeMap<String, Vec<usize>> {
        let mut shapes = BTreeMap::from([
            ("model.embed_tokens.weight".to_string(), vec![11, 8]),
            ("model.norm.weight".to_string(), vec![8]),
        ]);
        let maps = [(8, 8), (4, 8), (4, 8), (8, 8), (6, 8), (6, 8), (8, 6)];
        for l in 0..c.layers {
            let at = format!("model.layers.{l}");
            for (i, (o, n)) in maps.into_iter().enumerate() {
                shapes.insert(format!("{at}.{}.weight", module_path(i)), vec![o, n]);
            }
            shapes.insert(format!("{at}.input_layernorm.weight"), vec![8]);
            shapes.insert(format!("{at}.post_attention_layernorm.weight"), vec![8]);
        }
        shapes
    }

    fn plan(c: &Config, extra: &[(&str, Vec<usize>)]) -> Result<Plan> {
        let mut shapes = found(&config());
        shapes.extend(extra.iter().map(|(n, s)| (n.to_string(), s.clone())));
        let path = Path::new("m");
        let naming = match extra.iter().any(|(n, _)| n.starts_with("blk.")) {
            true => Naming::Gguf(Norms::Before),
            false => Naming::Hub,
        };
        Inventory { path, naming, shapes }.plan(c)
    }

    #[test]
    fn what_the_decoder_has_no_place_for_is_refused_by_name() {
        let d = || vec![8];
        for name in [
            "model.layers.0.self_attn.q_norm.weight",
            "model.layers.1.pre_feedforward_layernorm.weight",
            "model.layers.1.mlp.down_proj.bias",
            "model.layers.0.self_attn.o_proj.bias",
            "model.layers.2.input_layernorm.weight",
            "model.layers.7.anything.weight",
            "model.layers.0.mlp.gate.weight",
            "lm_head.bias",
            "model.norm.bias",
            "model.embed_positions.weight",
            "blk.0.attn_q_norm.weight",
            "blk.1.post_attention_norm.weight",
            "blk.2.attn_q.weight",
            "blk.0.attn_norm.bias",
            "blk.0.attn_sinks.weight",
            "blk.0.ffn_gate_inp.weight",
            "blk.0.ffn_sub_norm.weight",
            "output.bias",
            "position_embd.weight",
            "token_embd_norm.weight",
            "rope_factors_long.weight",
        ] {
            let e = plan(&config(), &[(name, d())]).unwrap_err();
            assert!(matches!(e, ModelError::ForeignWeight { .. }), "{name}: {e}");
            assert!(e.to_string().contains(&format!("`{name}`")), "{e}");
        }
    }

    #[test]
    fn buffers_are_passed_by_and_other_leftovers_are_listed() {
        let known = found(&config()).into_keys().collect();
        let extra = [
            ("model.layers.0.self_attn.rotary_emb.inv_freq", vec![2]),
            ("model.rotary_emb.inv_freq", vec![2]),
            ("model.layers.1.self_attn.masked_bias", vec![1]),
            ("v_head.summary.weight", vec![8]),
            ("score.weight", vec![2, 8]),
        ];
        let got = plan(&config(), &extra).unwrap();
        assert_eq!(got.unused, ["score.weight", "v_head.summary.weight"]);
        assert_eq!(got.wanted, known);
    }

    #[test]
    fn sizes_of_a_configuration_are_bounded_by_the_file() {
        let huge = usize::MAX;
        let wrong: [fn(&mut Config, usize); 6] = [
            |c, n| c.layers = n,
            |c, n| c.vocab = n,
            |c, n| c.hidden = n,
            |c, n| c.head_dim = n,
            |c, n| c.heads = n,
            |c, n| c.intermediate = n,
        ];
        for set in wrong {
            for n in [huge, huge / 2 + 1, 1 << 61, 1_000_000_000] {
                let mut c = config();
                set(&mut c, n);
                assert!(plan(&c, &[]).is_err());
            }
        }
        let mut fewer = config();
        fewer.layers = 1;
        let e = plan(&fewer, &[]).unwrap_err().to_string();
        assert!(e.contains("model.layers.1."), "{e}");
    }

    #[test]
    fn declared_biases_are_all_there_or_one_is_named() {
        let mut c = config();
        c.biases = Biases::declared(true, false);
        let e = plan(&c, &[]).unwrap_err().to_string();
        assert!(e.contains("model.layers.0.self_attn.q_proj.bias"), "{e}");
        c.biases = Biases::AsFound;
        let one = ("model.layers.1.self_attn.k_proj.bias", vec![4]);
        let got = plan(&c, &[one]).unwrap();
        assert!(got.wanted.contains("model.layers.1.self_attn.k_proj.bias"));
    }

    #[test]
    fn an_untied_model_needs_its_head() {
        let mut c = config();
        c.tied = false;
        let e = plan(&c, &[]).unwrap_err().to_string();
        assert!(e.contains("lm_head.weight"), "{e}");
        let got = plan(&c, &[("lm_head.weight", vec![11, 8])]).unwrap();
        assert!(got.wanted.contains("lm_head.weight"));
    }
}
