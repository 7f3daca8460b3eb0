//! A file held against the schema: the rows behind `residuum h5 validate`.

use super::datasets;
use super::error::Result;
use super::frame::{Frame, Meta};
use super::results_reader::{Kind, ResultsReader};
use super::scales::dimensions;
use super::values::{AttrValue, Values};

crate::record! {
    /// What does not fit the schema.
    #[table("h5/faults")]
    pub struct FaultRow {
        /// Path of the object.
        pub object: String,
        /// What is wrong with it, and what to do.
        pub fault: String,
    }
}

/// Every object of a file that does not fit, and how many objects were looked at. Arrays must be readable
/// and have a coordinate of their length and with distinct labels for every dimension, activations their
/// source as it was, and records be as `known` has them; `typed` reads a record into its type.
///
/// # Errors
/// The file's list of objects cannot be read.
pub fn faults(
    reader: &ResultsReader,
    known: &[&'static Meta],
    typed: impl Fn(&ResultsReader, &str) -> Result<Option<Frame>>,
) -> Result<(Vec<FaultRow>, usize)> {
    let objects = reader.objects()?;
    let mut found = Vec::new();
    for object in &objects {
        let path = object.path.as_str();
        let mut fault = |fault: String| found.push(FaultRow { object: path.into(), fault });
        match object.kind {
            Kind::Array => array(reader, path).into_iter().for_each(&mut fault),
            Kind::Coordinate => {
                let read = reader.dataset(path);
                let read = read.and_then(|d| datasets::read_values(&d, &reader.path));
                read.err().into_iter().for_each(|e| fault(e.to_string()));
            }
            Kind::Link => fault(
                "a link into another file, as versions before 0.3 wrote; run the stage `measure` again"
                    .into(),
            ),
            Kind::Group if reader.attr(path, "columns").is_ok() => {
                let meta = known.iter().find(|m| m.path == path);
                match (meta, typed(reader, path)) {
                    (_, Err(e)) => fault(e.to_string()),
                    (Some(meta), Ok(Some(_))) => {
                        texts(reader, meta).into_iter().for_each(&mut fault);
                    }
                    _ => fault("a record of no kind that this version knows".into()),
                }
            }
            Kind::Group => {}
        }
    }
    let looked = objects.iter().filter(|o| o.kind != Kind::Coordinate).count();
    Ok((found, looked))
}

/// What is wrong with an array.
fn array(reader: &ResultsReader, path: &str) -> Vec<String> {
    match checked(reader, path) {
        Ok(faults) => faults,
        Err(e) => vec![e.to_string()],
    }
}

fn checked(reader: &ResultsReader, path: &str) -> Result<Vec<String>> {
    let dataset = reader.dataset(path)?;
    let mut found = Vec::new();
    match (reader.behind(&dataset)?, datasets::kind(&dataset, &reader.path)?) {
        // The digest of its file says that it can be read as it was.
        (Some(_), _) => {}
        (None, datasets::Kind::Text) => drop(datasets::read_texts(&dataset, &reader.path)?),
        (None, _) => drop(datasets::read_numbers(&dataset, &reader.path)?),
    }
    let (dims, shape) = (dimensions(&dataset, &reader.path)?, dataset.shape());
    if dims.len() != shape.len() {
        found.push(format!("{} names for {} dimensions", dims.len(), shape.len()));
    }
    if !shape.is_empty() && dataset.attr("DIMENSION_LIST").map_or(0, |a| a.size()) != shape.len() {
        found.push("its dimensions have no scales (DIMENSION_LIST)".into());
    }
    let group = path.rsplit_once('/').map_or("", |(group, _)| group);
    for (dim, n) in dims.iter().zip(shape) {
        let at = format!("{group}/{dim}");
        let scale = reader.dataset(&at).ok().filter(|s| s.attr("CLASS").is_ok());
        let Some(scale) = scale else {
            found.push(format!("its dimension `{dim}` has no coordinate in {group}"));
            continue;
        };
        let labels = datasets::read_values(&scale, &reader.path)?;
        if labels.len() != n {
            found
                .push(format!("its dimension `{dim}` has {n} entries and {} labels", labels.len()));
        }
        if let Some(twice) = twice(&labels) {
            found.push(format!("two labels of its dimension `{dim}` are `{twice}`"));
        }
    }
    Ok(found)
}

fn twice(labels: &Values) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    (0..labels.len()).map(|i| labels.label(i)).find(|l| !seen.insert(l.clone()))
}

/// What is wrong with the words of a record: a definition that is missing, another unit.
fn texts(reader: &ResultsReader, meta: &Meta) -> Vec<String> {
    let text = |at: &str, attr: &str| match reader.attr(at, attr) {
        Ok(AttrValue::Text(text)) => text,
        _ => String::new(),
    };
    let mut found = Vec::new();
    if text(meta.path, "is").is_empty() {
        found.push("it has no definition (the attribute `is`)".into());
    }
    for field in meta.fields.iter().filter(|f| !meta.dims.contains(&f.name)) {
        let at = format!("{}/{}", meta.path, field.name);
        if text(&at, "is").is_empty() {
            found.push(format!("`{}` has no definition (the attribute `is`)", field.name));
        }
        let (held, wanted) = (text(&at, "unit"), field.unit);
        if held != wanted {
            let of = field.name;
            found.push(format!("the unit of `{of}` is `{held}`, and in this version `{wanted}`"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, ResultsWriter, RootAttrs};
    use std::path::Path;

    crate::record! {
        /// Scores.
        #[table("test/scores", "state")]
        pub struct Score {
            /// State.
            pub state: String,
            /// The score.
            pub estimate: f64 in "nats",
        }
    }

    fn file(path: &Path) {
        let attrs = RootAttrs::new("test", serde_json::json!({}), 1);
        let mut w = ResultsWriter::create(path, &attrs).unwrap();
        let row = |state: &str| Score { state: state.into(), estimate: 0.5 };
        w.records(&[row("a"), row("b")]).unwrap();
        w.finish().unwrap();
    }

    fn faults_of(path: &Path, known: &[&'static Meta]) -> Vec<(String, String)> {
        let reader = ResultsReader::open(path).unwrap();
        let typed = |r: &ResultsReader, path: &str| match path == Score::META.path {
            true => Ok(Some(Frame::of(&r.records::<Score>()?))),
            false => Ok(None),
        };
        let (found, _) = faults(&reader, known, typed).unwrap();
        found.into_iter().map(|f| (f.object, f.fault)).collect()
    }

    /// Changes a finished file as another program would.
    fn changed(path: &Path, change: impl Fn(&hdf5::File)) {
        file(path);
        let open = hdf5::File::open_rw(path).unwrap();
        change(&open);
        open.close().unwrap();
    }

    #[test]
    fn a_group_that_holds_itself_and_an_array_beyond_its_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.h5");
        let said = |change: &dyn Fn(&hdf5::File)| {
            changed(&path, change);
            ResultsReader::open(&path).err().unwrap().to_string()
        };
        let cycle = said(&|f| f.link_hard("/", "test/again").unwrap());
        assert!(cycle.contains("linked twice"), "{cycle}");
        let huge = said(&|f| {
            let array = f.new_dataset::<f32>().chunk((1000, 1000)).shape((1 << 20, 6 << 20));
            array.create("test/huge").unwrap();
        });
        assert!(huge.contains("`/test/huge` claims 26388279066624 bytes"), "{huge}");
    }

    #[test]
    fn a_file_as_written_fits_and_each_change_is_named_with_its_object() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.h5");
        let known: &[&'static Meta] = &[Score::META];
        file(&path);
        assert_eq!(faults_of(&path, known), []);
        let unknown = faults_of(&path, &[]);
        assert_eq!(unknown[0].0, "test/scores");
        changed(&path, |f| f.unlink("test/scores/state").unwrap());
        let gone = faults_of(&path, known);
        assert!(gone.iter().any(|(o, f)| o == "test/scores/estimate" && f.contains("`state`")));
        changed(&path, |f| {
            let unit = f.dataset("test/scores/estimate").unwrap();
            unit.delete_attr("unit").unwrap();
        });
        let unit = faults_of(&path, known);
        assert!(unit.len() == 1 && unit[0].1.contains("nats"), "{unit:?}");
        changed(&path, |f| f.unlink("test/scores/estimate").unwrap());
        let field = faults_of(&path, known);
        assert!(field.len() == 1 && field[0].1.contains("estimate"), "{field:?}");
    }
}
