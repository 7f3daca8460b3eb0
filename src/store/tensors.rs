//! The bytes of a safetensors file: the same for the same contents.

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensorError};
use std::collections::BTreeMap;

/// A tensor in f32: name, shape and values, little-endian.
pub type Tensor32 = (String, Vec<usize>, Vec<u8>);

/// The bytes of a file of these tensors, whose metadata are in the order of their keys: safetensors' own
/// writer has them in any.
///
/// # Errors
/// Values that are not of the shape.
pub fn safetensors(
    tensors: &[Tensor32],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, SafeTensorError> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let plain = ::safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)?;
    let (length, rest) = plain.split_at(8);
    let length = length.iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    let (header, values) = rest.split_at(length);
    // What stands after the brace that opens the header.
    let header = String::from_utf8_lossy(&header[1..]);
    let comma = if tensors.is_empty() { "" } else { "," };
    let metadata = serde_json::json!(metadata);
    let mut header = format!("{{\"__metadata__\":{metadata}{comma}{}", header.trim_end());
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], header.as_bytes(), values].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::safetensors::SafeTensors;

    #[test]
    fn the_same_contents_are_the_same_bytes_and_are_read_again() {
        let values: Vec<u8> = [1f32, -2.0, 0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensors = [("a \"b\"".to_string(), vec![3, 1], values.clone())];
        let keys = ["zeta", "alpha", "mid\n", "k4", "k5", "k6", "k7"];
        let metadata: BTreeMap<String, String> =
            keys.into_iter().map(|k| (k.into(), format!("{k} é \"x\""))).collect();
        for tensors in [&tensors[..], &[]] {
            let bytes = safetensors(tensors, &metadata).unwrap();
            assert_eq!(bytes, safetensors(tensors, &metadata).unwrap());
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            let read = header.metadata().clone().unwrap();
            assert_eq!(read.into_iter().collect::<BTreeMap<_, _>>(), metadata);
            let file = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(file.len(), tensors.len());
            for (name, shape, values) in tensors {
                let tensor = file.tensor(name).unwrap();
                assert_eq!((tensor.shape(), tensor.data()), (&shape[..], &values[..]));
            }
        }
        let text = String::from_utf8_lossy(&safetensors(&tensors, &metadata).unwrap()).into_owned();
        assert!(text.find("alpha").unwrap() < text.find("zeta").unwrap());
        let wrong = [("a".to_string(), vec![4], values)];
        assert!(safetensors(&wrong, &metadata).is_err());
    }
}
