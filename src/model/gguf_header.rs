//! The header of a GGUF file, each length held against what is left of the file.
//!
//! A magic word, a version, two counts, key-value pairs, tensor records, padding, data. Nothing is
//! allocated for a count that the file cannot hold, no size is multiplied unchecked, and a
//! tensor's bytes are inside the file and nobody else's. Whoever reads a tensor takes the range
//! given here; so no kernel sees a shape that its bytes do not fill.

use crate::ops::blocks::Encoding;
use candle_core::quantized::gguf_file::Value;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Alignment of the data where the file names none.
const ALIGNMENT: u64 = 32;
/// Keys or tensors of a file at most.
const MOST_ENTRIES: u64 = 1 << 20;
/// Entries of a list at most: the longest real ones are vocabularies and their merges.
const MOST_ITEMS: u64 = 1 << 24;
/// Bytes of a tensor's name at most.
const LONGEST_NAME: usize = 1024;
/// Lists within lists at most.
const DEEPEST: usize = 4;

/// One tensor: how its values are stored, `(rows, width)` or `(width)`, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub encoding: Encoding,
    pub shape: Vec<usize>,
    /// Bytes of the file that hold it.
    pub bytes: Range<usize>,
}

/// Values by key.
pub(crate) type Metadata = HashMap<String, Value>;

#[derive(Debug)]
pub(crate) struct Header {
    pub metadata: Metadata,
    pub tensors: BTreeMap<String, Entry>,
}

/// A tensor as the header tells of it.
pub(crate) struct Record {
    pub shape: Vec<usize>,
    pub kind: u32,
    offset: u64,
}

/// Where the data of a file begins, and where it ends.
pub(crate) struct Data {
    start: u64,
    alignment: u64,
    file: usize,
}

/// Reads the header of a whole file of tensors that can be decoded.
///
/// # Errors
/// In words, naming the key or the tensor: the file ends early, a name stands twice, a type or a
/// size that cannot be read, tensors that overlap.
pub(crate) fn read(file: &[u8]) -> Result<Header, String> {
    let (metadata, records, data) = parse(file)?;
    let mut tensors = BTreeMap::new();
    for (name, record) in records {
        let of_tensor = |e| format!("tensor `{name}`: {e}");
        let kind = record.kind;
        let encoding = Encoding::of_ggml(kind).ok_or_else(|| {
            let name = TYPES.get(kind as usize).filter(|name| !name.is_empty());
            let name = name.unwrap_or(&"unknown");
            let known: Vec<&str> = Encoding::all().map(Encoding::name).collect();
            let known = known.join(", ");
            of_tensor(format!("type {kind} ({name}) cannot be read; these can: {known}"))
        })?;
        let bytes = data.bytes(&record, encoding.block()).map_err(of_tensor)?;
        let entry = Entry { encoding, shape: record.shape, bytes };
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(format!("tensor `{name}` is there twice"));
        }
    }
    apart(&tensors)?;
    Ok(Header { metadata, tensors })
}

/// Tensors by name, as a file tells of them.
type Records = Vec<(String, Record)>;

/// The keys of a whole file, its tensors as they are told of, and where their data is.
pub(crate) fn parse(file: &[u8]) -> Result<(Metadata, Records, Data), String> {
    let mut at = Cursor { file, at: 0, narrow: false };
    if at.take(4).ok() != Some(b"GGUF") {
        return Err("it does not begin with the word GGUF".into());
    }
    match at.u32()? {
        1 => at.narrow = true,
        2 | 3 => (),
        v if (1..=3).contains(&v.swap_bytes()) => return Err("it is big-endian".into()),
        v => return Err(format!("version {v} is not one of 1, 2 and 3")),
    }
    let (tensors, keys) = (at.length()?, at.length()?);
    if tensors.max(keys) > MOST_ENTRIES {
        return Err(format!("{tensors} tensors and {keys} keys are too many"));
    }
    let mut metadata = HashMap::new();
    for _ in 0..keys {
        let key = at.text()?;
        let of_key = |why: String| format!("key `{key}`: {why}");
        let kind = at.u32().map_err(of_key)?;
        let value = at.value(kind, 0).map_err(of_key)?;
        if metadata.contains_key(&key) {
            return Err(format!("key `{key}` is there twice"));
        }
        metadata.insert(key, value);
    }
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(v) => whole(v)
            .filter(|a| a.is_power_of_two())
            .ok_or_else(|| format!("key `general.alignment` is {v:?}, no power of 2"))?,
    };
    let mut records = Vec::new();
    for _ in 0..tensors {
        let name = at.text()?;
        if name.len() > LONGEST_NAME {
            return Err(format!("the name of a tensor has {} bytes", name.len()));
        }
        let record = at.record().map_err(|e| format!("tensor `{name}`: {e}"))?;
        records.push((name, record));
    }
    let start = (at.at as u64).checked_next_multiple_of(alignment);
    let start = start.ok_or("the alignment is beyond the file")?;
    Ok((metadata, records, Data { start, alignment, file: file.len() }))
}

/// A whole number that is not negative, of whatever width.
pub(crate) fn whole(v: &Value) -> Option<u64> {
    match v {
        Value::I8(v) => u64::try_from(*v).ok(),
        Value::I16(v) => u64::try_from(*v).ok(),
        Value::I32(v) => u64::try_from(*v).ok(),
        Value::I64(v) => u64::try_from(*v).ok(),
        Value::Bool(_) => None,
        other => other.to_u64().ok(),
    }
}

/// Refuses two tensors that share bytes: an offset is then wrong.
fn apart(tensors: &BTreeMap<String, Entry>) -> Result<(), String> {
    let mut by_place: Vec<(&String, &Entry)> = tensors.iter().collect();
    by_place.sort_by_key(|(_, e)| (e.bytes.start, e.bytes.end));
    match by_place.windows(2).find(|w| w[1].1.bytes.start < w[0].1.bytes.end) {
        Some(w) => Err(format!("tensors `{}` and `{}` overlap", w[0].0, w[1].0)),
        None => Ok(()),
    }
}

impl Data {
    /// Where the bytes of a tensor are, of blocks of so many values and bytes.
    pub(crate) fn bytes(
        &self,
        record: &Record,
        (block, size): (usize, usize),
    ) -> Result<Range<usize>, String> {
        let (Record { shape, offset, .. }, alignment) = (record, self.alignment);
        if !offset.is_multiple_of(alignment) {
            return Err(format!("offset {offset} is no multiple of {alignment}"));
        }
        if shape.last().is_none_or(|w| !w.is_multiple_of(block)) {
            return Err(format!("rows of shape {shape:?} are not whole blocks of {block}"));
        }
        let range = (shape.iter())
            .try_fold(1usize, |n, d| n.checked_mul(*d))
            .and_then(|n| (n / block).checked_mul(size))
            .zip(self.start.checked_add(*offset).and_then(|s| usize::try_from(s).ok()))
            .and_then(|(size, from)| Some(from..from.checked_add(size)?))
            .filter(|r| r.end <= self.file);
        let file = self.file;
        range.ok_or_else(|| {
            format!("shape {shape:?} at offset {offset} needs more bytes than the file's {file}")
        })
    }
}

/// A place in the file, which never moves past its end.
struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
    /// Lengths of 4 bytes, as in version 1.
    narrow: bool,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> u64 {
        (self.file.len() - self.at) as u64
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        if n > self.left() {
            return Err(format!("the file ends early: {n} bytes needed, {} left", self.left()));
        }
        let from = self.at;
        self.at += n as usize;
        Ok(&self.file[from..self.at])
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut word = [0; N];
        word.copy_from_slice(self.take(N as u64)?);
        Ok(word)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.word().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.word().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<u64, String> {
        match self.narrow {
            true => self.u32().map(u64::from),
            false => self.u64(),
        }
    }

    /// UTF-8, mended where it is not; some writers end it with NUL.
    fn text(&mut self) -> Result<String, String> {
        let n = self.length()?;
        let text = String::from_utf8_lossy(self.take(n)?);
        Ok(text.trim_end_matches('\0').to_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.word()?)),
            1 => Value::I8(i8::from_le_bytes(self.word()?)),
            2 => Value::U16(u16::from_le_bytes(self.word()?)),
            3 => Value::I16(i16::from_le_bytes(self.word()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.word()?)),
            6 => Value::F32(f32::from_le_bytes(self.word()?)),
            7 => match self.word()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [v] => return Err(format!("{v} is neither true nor false")),
            },
            8 => Value::String(self.text()?),
            9 if depth < DEEPEST => self.list(depth)?,
            9 => return Err("lists within lists are too deep".into()),
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.word()?)),
            12 => Value::F64(f64::from_le_bytes(self.word()?)),
            other => return Err(format!("a value of unknown kind {other}")),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let (kind, n) = (self.u32()?, self.length()?);
        // Every value takes a byte at least.
        if n > MOST_ITEMS || n > self.left() {
            return Err(format!("a list of {n} is more than the file can hold"));
        }
        let items = (0..n).map(|_| self.value(kind, depth + 1));
        Ok(Value::Array(items.collect::<Result<_, _>>()?))
    }

    fn record(&mut self) -> Result<Record, String> {
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            return Err(format!("{dims} dimensions, not 1 to 4"));
        }
        let mut shape = Vec::with_capacity(dims as usize);
        for _ in 0..dims {
            let n = usize::try_from(self.length()?).ok().filter(|n| *n > 0);
            shape.push(n.ok_or("a dimension of 0 or beyond any memory")?);
        }
        shape.reverse();
        Ok(Record { shape, kind: self.u32()?, offset: self.u64()? })
    }
}

/// Names of ggml's types by number; those of numbers that it gave up are empty.
const TYPES: [&str; 40] = [
    "F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K",
    "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S",
    "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", "", "", "", "TQ1_0", "TQ2_0", "",
    "", "", "MXFP4",
];

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::gguf_file::{self, Content};
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    fn sample(alignment: Option<u32>) -> Vec<u8> {
        let t = Tensor::arange(0f32, 128., &Device::Cpu).unwrap();
        let flat = QTensor::quantize(&t, GgmlDType::F32).unwrap();
        let q = QTensor::quantize(&t.reshape((2, 64)).unwrap(), GgmlDType::Q8_0).unwrap();
        let list = Value::Array(vec![Value::String("a".into()), Value::String("ü".into())]);
        let eps = Value::F32(1e-5);
        let mut metadata = vec![("list", &list), ("eps", &eps)];
        let alignment = alignment.map(Value::U32);
        metadata.extend(alignment.as_ref().map(|v| ("general.alignment", v)));
        let mut bytes = std::io::Cursor::new(Vec::new());
        gguf_file::write(&mut bytes, &metadata, &[("flat", &flat), ("q", &q)]).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_header_is_read_as_candle_reads_it() {
        let bytes = sample(None);
        let (ours, theirs) =
            (read(&bytes).unwrap(), Content::read(&mut std::io::Cursor::new(&bytes)).unwrap());
        assert_eq!(ours.tensors.len(), theirs.tensor_infos.len());
        for (name, info) in &theirs.tensor_infos {
            let entry = &ours.tensors[name];
            assert_eq!(entry.shape, info.shape.dims());
            let block = (info.ggml_dtype.block_size(), info.ggml_dtype.type_size());
            assert_eq!(entry.encoding.block(), block);
            let at = theirs.tensor_data_offset + info.offset;
            assert_eq!(entry.bytes.start as u64, at);
        }
        let shown = |v: &HashMap<String, Value>| format!("{:?}{:?}", v["list"], v["eps"]);
        assert_eq!(shown(&ours.metadata), shown(&theirs.metadata));
    }

    #[test]
    fn an_alignment_that_is_no_power_of_two_is_refused() {
        for wrong in [0, 3, 33] {
            let e = read(&sample(Some(wrong))).unwrap_err();
            assert!(e.contains("general.alignment"), "{e}");
        }
    }

    #[test]
    fn a_cut_file_is_refused_wherever_it_is_cut() {
        let bytes = sample(None);
        let whole = read(&bytes).unwrap();
        let end = whole.tensors.values().map(|e| e.bytes.end).max().unwrap();
        for cut in 0..end {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn every_tensor_is_inside_the_file_whatever_byte_is_changed() {
        let bytes = sample(None);
        for at in 0..300 {
            for to in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = to;
                let Ok(header) = read(&changed) else {
                    continue;
                };
                for (name, e) in header.tensors {
                    let values = e.shape.iter().product::<usize>();
                    let size = values / e.encoding.block().0 * e.encoding.block().1;
                    assert_eq!(e.bytes.len(), size, "{name}");
                    assert!(e.bytes.end <= bytes.len(), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_type_that_is_not_read_is_named_with_its_tensor() {
        let mut bytes = sample(None);
        let at = bytes.windows(4).position(|w| w == b"flat").unwrap();
        bytes[at + 4 + 4 + 8] = 16; // after the name: dimensions, one length, type
        let e = read(&bytes).unwrap_err();
        assert!(e.contains("`flat`") && e.contains("IQ2_XXS"), "{e}");
    }
}
