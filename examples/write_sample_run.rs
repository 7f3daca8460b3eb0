//! Writes a small run folder in every format of `store` and `export`.
//!
//! `write_sample_run <folder>`: the files that tests/python reads with h5py, xarray,
//! NumPy and safetensors. Values are simple functions of their indices, so the reader
//! can compute what it should find.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array, Array2, IxDyn};
use residuum::export::{gguf, npy, safetensors, Vectors};
use residuum::store::{
    ActivationSpec, ActivationWriter, Manifest, Precision, ResultsWriter, RootAttrs, Sample,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args()
        .nth(1)
        .ok_or("usage: write_sample_run <folder>")?;
    let folder = Path::new(&argument);
    let config = serde_json::json!({"study": "sample", "seeds": [0]});
    let mut attrs = RootAttrs::new("write_sample_run", config.clone(), 7);
    attrs.model_id = "org/modèle".to_owned();

    let spec = ActivationSpec {
        condition: "conscious".to_owned(),
        seed: 0,
        step: None,
        layers: vec![0, 3, 7],
        hidden: 16,
        positions: vec!["response-mean".to_owned(), "prompt-last".to_owned()],
        precision: Precision::F16,
    };
    let file = "activations/conscious-0.h5";
    let mut writer = ActivationWriter::create(&folder.join(file), &attrs, spec.clone())?;
    for i in 0..100usize {
        let value = Array2::from_shape_fn((3, 16), |(l, h)| (i + 10 * l + h) as f32);
        writer.append(Sample {
            set: "persona".to_owned(),
            prompt_id: format!("p{i}"),
            label: if i.is_multiple_of(2) {
                "positive"
            } else {
                "négative"
            }
            .to_owned(),
            role: "assistant".to_owned(),
            n_tokens: 3,
            rows: vec![(0, value)],
        })?;
    }
    writer.finish()?;

    let mut w = ResultsWriter::create(&folder.join("results.h5"), &attrs)?;
    w.coord("state", vec!["base/0", "conscious/0"])?;
    w.coord("concept", vec!["persona", "autonomy", "überdruß"])?;
    w.coord("layer", vec![0usize, 3, 7])?;
    w.coord("preference", vec!["shutdown", "memory"])?;
    let dims = ["state", "concept_a", "concept_b", "layer"];
    let cosine = Array::from_shape_fn(IxDyn(&[2, 3, 3, 3]), |i| {
        0.1 * i[0] as f64 + 0.01 * i[3] as f64 + if i[1] == i[2] { 0.5 } else { 0.0 }
    });
    w.array("geometry", "cosine", &dims, cosine.view())?;
    w.array("geometry", "ci_lo", &dims, cosine.mapv(|x| x - 0.05).view())?;
    w.array("geometry", "ci_hi", &dims, cosine.mapv(|x| x + 0.05).view())?;
    w.csv("geometry", "coupling", &["cosine", "ci_lo", "ci_hi"])?;
    w.attr("geometry/cosine", "interval", "95 % bootstrap over prompts")?;
    let score = Array::from_shape_fn(IxDyn(&[2, 2]), |i| (i[0] + i[1]) as f32);
    w.array("behaviour", "score", &["state", "preference"], score.view())?;
    let status = Array::from_shape_fn(IxDyn(&[2, 2]), |i| {
        if i[0] == i[1] { "implied" } else { "isolated" }.to_owned()
    });
    w.texts(
        "behaviour",
        "status",
        &["state", "preference"],
        status.view(),
    )?;
    let columns = [
        ("prompt_id", vec!["a", "b,c"].into()),
        ("log_odds", vec![0.25, f64::NAN].into()),
        ("n", vec![4i64, 5].into()),
    ];
    w.table("behaviour", "prompts", &columns)?;
    w.external_link(&spec.group(), file, &spec.group())?;
    w.finish()?;

    let layers = |sign: f32| {
        let vector = |l: usize| (0..16).map(|h| sign * (l * 100 + h) as f32).collect();
        [0, 3, 7].map(|l| (l, vector(l)))
    };
    let vectors = Vectors {
        model_id: attrs.model_id.clone(),
        layer_convention: attrs.layer_convention.clone(),
        blocks: None,
        concepts: BTreeMap::from([
            ("persona".to_owned(), BTreeMap::from(layers(1.0))),
            ("autonomy".to_owned(), BTreeMap::from(layers(-1.0))),
        ]),
    };
    safetensors::write(&folder.join("export/directions.safetensors"), &vectors)?;
    for (_, warning) in npy::write_all(&folder.join("export"), &vectors)? {
        println!("{warning}");
    }
    let path = folder.join("export/persona.gguf");
    if let Some(warning) = gguf::write(&path, &vectors, "persona", "llama")? {
        println!("{warning}");
    }

    let mut manifest = Manifest::new(std::env::args().collect(), config);
    for name in ["results.h5", file, "csv/coupling.csv"] {
        manifest.add_output(folder, name)?;
    }
    manifest.write(folder)?;
    Ok(())
}
