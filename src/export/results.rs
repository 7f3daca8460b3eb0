//! Vectors of a results file: the unit vectors that `residuum extract`, `residuum geometry` and studies keep.
//!
//! Read only. The file holds every state, concept and estimator; the concept is called by its own name
//! in base by the first estimator, and otherwise `<state>.<concept>.<estimator>`, without what is base or
//! first.

use std::path::Path;

use super::about::{OfConcept, OfLayer};
use super::vectors::{Layers, Vectors};
use super::{About, ExportError, Result};
use crate::store::{AttrValue, ResultsReader, Values};
use ndarray::{s, ArrayD, Ix5};

const UNIT: &str = "directions/vectors/unit";
const QUALITY: &str = "directions/quality";
const BASE: &str = "base";
const RAW: &str = "raw";

/// Reads the unit vectors at `path`.
///
/// # Errors
/// `Malformed` for a file without directions, or the store's.
pub fn read(path: &Path) -> Result<Vectors> {
    let malformed = |detail: &str| ExportError::malformed(path, "results", detail);
    let reader = ResultsReader::open(path)?;
    let Ok(all) = reader.array(UNIT) else {
        return Err(malformed(
            "it holds no directions; give one of `residuum extract` or of a study",
        ));
    };
    let [Values::Text(states), Values::Text(concepts), Values::Text(estimators), Values::Int(layers), _] =
        &all.coords[..]
    else {
        return Err(malformed("its directions are not by state, concept, estimator and layer"));
    };
    let Ok(units) = all.data.view().into_dimensionality::<Ix5>() else {
        return Err(malformed("its directions have other axes"));
    };
    let attrs = reader.root_attrs();
    let said = |name: &str| match reader.attr("directions", name) {
        Ok(AttrValue::Text(text)) => text,
        _ => String::new(),
    };
    let mut out = Vectors {
        model_id: attrs.model_id.clone(),
        layer_convention: attrs.layer_convention.clone(),
        about: About {
            model_sha256: attrs.model_sha256.clone(),
            form: RAW.into(),
            reading: said("reading"),
            position: said("position"),
            norm: "unit".into(),
            ..About::default()
        },
        ..Vectors::default()
    };
    let known = Known::of(&reader);
    let places = states.iter().enumerate().flat_map(|(s, state)| {
        let each = concepts.iter().enumerate();
        each.flat_map(move |(c, concept)| {
            estimators.iter().enumerate().map(move |(e, est)| ([s, c, e], state, concept, est))
        })
    });
    for ([s, c, e], state, concept, estimator) in places {
        let front = if state == BASE { String::new() } else { format!("{state}.") };
        let end = if e == 0 { String::new() } else { format!(".{estimator}") };
        let name = format!("{front}{concept}{end}");
        let (mut held, mut of) = (Layers::new(), OfConcept::default());
        for (l, &layer) in layers.iter().enumerate() {
            let Ok(layer) = usize::try_from(layer) else { continue };
            let vector: Vec<f32> =
                units.slice(s![s, c, e, l, ..]).iter().map(|v| *v as f32).collect();
            if !vector.iter().all(|v| v.is_nan()) {
                held.insert(layer, vector);
                known.note(&mut of, layer, [state, concept, estimator]);
            }
        }
        if !held.is_empty() {
            out.concepts.insert(name.clone(), held);
            out.about.concepts.insert(name, of);
        }
    }
    Ok(out)
}

/// What the file says of the quality of its directions; nothing where it does not.
struct Known {
    labels: Vec<Vec<String>>,
    layers: Vec<i64>,
    estimate: Option<ArrayD<f64>>,
    norm: Option<ArrayD<f64>>,
    chosen: Option<ArrayD<f64>>,
}

impl Known {
    fn of(reader: &ResultsReader) -> Self {
        let array = |name: &str| reader.array(&format!("{QUALITY}/{name}")).ok();
        let (mut labels, mut layers) = (Vec::new(), Vec::new());
        let estimate = array("estimate");
        for values in estimate.iter().flat_map(|a| &a.coords) {
            match values {
                Values::Text(names) => labels.push(names.clone()),
                Values::Int(numbers) => layers.clone_from(numbers),
                Values::Real(_) => {}
            }
        }
        let data = |name: &str| array(name).map(|a| a.data);
        let (norm, chosen) = (data("norm"), data("chosen"));
        Known { labels, layers, estimate: estimate.map(|a| a.data), norm, chosen }
    }

    fn note(&self, of: &mut OfConcept, layer: usize, names: [&String; 3]) {
        // State, concept, estimator, form, layer.
        let raw = RAW.to_string();
        let wanted = names.into_iter().chain([&raw]);
        let place = |(all, name): (&Vec<String>, &String)| all.iter().position(|n| n == name);
        let mut at: Vec<usize> = self.labels.iter().zip(wanted).filter_map(place).collect();
        let l = self.layers.iter().position(|l| usize::try_from(*l) == Ok(layer));
        at.extend(l);
        let value = |data: &Option<ArrayD<f64>>| {
            data.as_ref()?.get(&at[..]).copied().filter(|v| v.is_finite())
        };
        let (auroc, raw_norm) = (value(&self.estimate), value(&self.norm));
        of.layers.insert(layer, OfLayer { raw_norm, layer_rms: None, auroc });
        if value(&self.chosen) == Some(1.0) {
            of.chosen_layer = Some(layer);
        }
    }
}
