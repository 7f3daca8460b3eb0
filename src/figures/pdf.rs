//! From SVG to PDF.
//!
//! `raster` has the SVG read by usvg, which lays out every text; here its paths become paths and its text
//! becomes text, each glyph where usvg put it, in the embedded fonts. A PDF therefore looks as the PNG
//! does, scales, and its words can be searched, copied and edited. It holds what our own drawings hold and
//! no more: flat colours, opacities, round caps and joins. The same drawing gives the same bytes.
//!
//! Source: ISO 32000-1:2008, sections 7.5 (file structure), 8.5 (paths), 9.4 and 9.7 (text in composite
//! fonts).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use flate2::{write::ZlibEncoder, Compression};
use resvg::tiny_skia::{PathSegment, Point};
use resvg::usvg::layout::PositionedGlyph;
use resvg::usvg::{self, fontdb, Group, Node, Paint, Text, Transform, Tree};
use ttf_parser::{Face, GlyphId};

use super::FigureError;

/// Pixels of SVG in a printed point.
const PIXEL: f32 = 0.75;

/// A font and the glyphs of it that are used, each with the text that it stands for.
struct Used {
    id: fontdb::ID,
    glyphs: BTreeMap<u16, String>,
}

/// The content of the page.
struct Sheet<'t> {
    tree: &'t Tree,
    content: String,
    fonts: Vec<Used>,
    /// In thousandths.
    opacities: Vec<u32>,
}

/// A drawing as a PDF of one page with a title.
pub fn pdf(figure: &str, tree: &Tree, title: &str) -> Result<Vec<u8>, FigureError> {
    let failed = |reason: &str| FigureError::Draw { figure: figure.into(), reason: reason.into() };
    let (w, h) = (tree.size().width() * PIXEL, tree.size().height() * PIXEL);
    let flip = Transform::from_row(PIXEL, 0.0, 0.0, -PIXEL, 0.0, h);
    let content = format!("1 J 1 j {} cm\n", matrix(flip));
    let mut sheet = Sheet { tree, content, fonts: Vec::new(), opacities: Vec::new() };
    sheet.group(tree.root(), 1.0).ok_or_else(|| failed("a font cannot be read"))?;

    const CATALOG: usize = 1;
    const FIRST_FONT: usize = 6;
    const EACH: usize = 5;
    let fonts: String =
        (0..sheet.fonts.len()).map(|i| format!("/F{i} {} 0 R ", FIRST_FONT + i * EACH)).collect();
    let states: String = (sheet.opacities.iter())
        .map(|o| format!("/G{o} << /ca {0} /CA {0} >> ", number(*o as f32 / 1000.0)))
        .collect();
    let mut file = File::default();
    file.object(b"<< /Type /Catalog /Pages 2 0 R >>");
    file.object(b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {} {}] /Contents 4 0 R /Resources << /Font << {fonts}>> /ExtGState << {states}>> >> >>",
        number(w),
        number(h),
    );
    file.object(page.as_bytes());
    file.stream("", sheet.content.as_bytes());
    let info = file.object(format!("<< /Title <FEFF{}> >>", utf16(title)).as_bytes());
    for (i, used) in sheet.fonts.iter().enumerate() {
        let data = tree.fontdb().with_face_data(used.id, |data, _| data.to_vec());
        let data = data.ok_or_else(|| failed("a font cannot be read"))?;
        let name = &tree.fontdb().face(used.id).ok_or_else(|| failed("a font is missing"))?;
        file.font(FIRST_FONT + i * EACH, &name.post_script_name, &data, used)
            .ok_or_else(|| failed("a font cannot be read"))?;
    }
    Ok(file.end(CATALOG, info))
}

impl Sheet<'_> {
    fn group(&mut self, group: &Group, above: f32) -> Option<()> {
        let opacity = above * group.opacity().get();
        for node in group.children() {
            match node {
                Node::Group(inner) => self.group(inner, opacity)?,
                Node::Path(path) if path.is_visible() => self.path(path, opacity),
                Node::Text(text) => self.text(text, opacity)?,
                _ => {}
            }
        }
        Some(())
    }

    fn path(&mut self, path: &usvg::Path, opacity: f32) {
        let (fill, stroke) = (path.fill(), path.stroke());
        let own = fill.map(|f| f.opacity()).or(stroke.map(|s| s.opacity()));
        let opacity = opacity * own.map_or(1.0, |o| o.get());
        if opacity == 0.0 {
            return;
        }
        self.content.push_str("q ");
        self.transparent(opacity);
        let _ = write!(self.content, "{} cm ", matrix(path.abs_transform()));
        if let Some(fill) = fill {
            let _ = write!(self.content, "{} rg ", colour(fill.paint()));
        }
        if let Some(stroke) = stroke {
            let width = number(stroke.width().get());
            let _ = write!(self.content, "{} RG {width} w ", colour(stroke.paint()));
        }
        self.outline(path.data().segments());
        self.content.push_str(match (fill, stroke) {
            (Some(_), Some(_)) => "B Q\n",
            (Some(_), None) => "f Q\n",
            (None, Some(_)) => "S Q\n",
            (None, None) => "n Q\n",
        });
    }

    fn outline(&mut self, segments: impl Iterator<Item = PathSegment>) {
        let mut last = Point::zero();
        let thirds = |a: Point, b: Point| {
            Point::from_xy(a.x + (b.x - a.x) * 2.0 / 3.0, a.y + (b.y - a.y) * 2.0 / 3.0)
        };
        let text = |p: Point| format!("{} {} ", number(p.x), number(p.y));
        for segment in segments {
            let (points, end, word) = match segment {
                PathSegment::MoveTo(p) => (String::new(), p, "m "),
                PathSegment::LineTo(p) => (String::new(), p, "l "),
                PathSegment::QuadTo(c, p) => (text(thirds(last, c)) + &text(thirds(p, c)), p, "c "),
                PathSegment::CubicTo(a, b, p) => (text(a) + &text(b), p, "c "),
                PathSegment::Close => {
                    self.content.push_str("h ");
                    continue;
                }
            };
            last = end;
            self.content.push_str(&(points + &text(end) + word));
        }
    }

    /// Runs of glyphs, each placed by its first and kept in place by adjustments of the pen.
    fn text(&mut self, text: &Text, opacity: f32) -> Option<()> {
        for span in text.layouted().iter().filter(|s| s.visible) {
            let (Some(fill), Some(first)) = (&span.fill, span.positioned_glyphs.first()) else {
                continue;
            };
            let at = match self.fonts.iter().position(|f| f.id == first.font) {
                Some(at) => at,
                None => {
                    self.fonts.push(Used { id: first.font, glyphs: BTreeMap::new() });
                    self.fonts.len() - 1
                }
            };
            // From ems with y upward to the page.
            let em = |g: &PositionedGlyph, upem: f32| {
                text.abs_transform().pre_concat(g.outline_transform()).pre_scale(upem, upem)
            };
            let db = self.tree.fontdb().clone();
            let line = db.with_face_data(first.font, |data, index| {
                let face = Face::parse(data, index).ok()?;
                let upem = f32::from(face.units_per_em());
                let start = em(first, upem);
                let back = start.invert()?;
                let (mut pen, mut line) = (0.0, String::new());
                for g in &span.positioned_glyphs {
                    let mut origin = Point::zero();
                    em(g, upem).map_point(&mut origin);
                    back.map_point(&mut origin);
                    let move_by = ((pen - origin.x) * 1000.0).round();
                    if move_by != 0.0 {
                        let _ = write!(line, "{} ", number(move_by));
                        pen -= move_by / 1000.0;
                    }
                    let _ = write!(line, "<{:04X}> ", number_of(g));
                    pen += advance(&face, number_of(g)) / 1000.0;
                }
                Some(format!("{} Tm [{line}] TJ", matrix(start)))
            })??;
            for g in &span.positioned_glyphs {
                self.fonts[at].glyphs.entry(number_of(g)).or_insert_with(|| g.text.clone());
            }
            self.content.push_str("q ");
            self.transparent(opacity * fill.opacity().get());
            let colour = colour(fill.paint());
            let _ = writeln!(self.content, "BT /F{at} 1 Tf {colour} rg {line} ET Q");
        }
        Some(())
    }

    fn transparent(&mut self, opacity: f32) {
        let thousandths = (opacity * 1000.0).round() as u32;
        if thousandths >= 1000 {
            return;
        }
        if !self.opacities.contains(&thousandths) {
            self.opacities.push(thousandths);
        }
        let _ = write!(self.content, "/G{thousandths} gs ");
    }
}

/// Number of a glyph in its font; TrueType has no greater ones.
fn number_of(glyph: &PositionedGlyph) -> u16 {
    u16::try_from(glyph.id.0).unwrap_or(0)
}

/// Width of a glyph in thousandths of an em.
fn advance(face: &Face, glyph: u16) -> f32 {
    let units = face.glyph_hor_advance(GlyphId(glyph)).unwrap_or(0);
    (f32::from(units) * 1000.0 / f32::from(face.units_per_em())).round()
}

/// The bytes of the file with the place of each object.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl File {
    /// Adds an object and returns its number.
    fn object(&mut self, body: &[u8]) -> usize {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n");
        }
        self.places.push(self.bytes.len());
        let number = self.places.len();
        self.bytes.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        self.bytes.extend_from_slice(body);
        self.bytes.extend_from_slice(b"\nendobj\n");
        number
    }

    /// Adds bytes, compressed.
    fn stream(&mut self, keys: &str, data: &[u8]) -> usize {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        // Writing into memory cannot fail.
        let packed = packed.write_all(data).and_then(|()| packed.finish()).unwrap_or_default();
        let head = format!("<< {keys}/Filter /FlateDecode /Length {} >>\nstream\n", packed.len());
        let mut body = head.into_bytes();
        body.extend_from_slice(&packed);
        body.extend_from_slice(b"\nendstream");
        self.object(&body)
    }

    /// A font in five objects from `first` on, its glyphs numbered as in its own file.
    fn font(&mut self, first: usize, name: &str, data: &[u8], used: &Used) -> Option<()> {
        let face = Face::parse(data, 0).ok()?;
        let em = |units: i16| f32::from(units) * 1000.0 / f32::from(face.units_per_em());
        let (below, file, words) = (first + 1, first + 3, first + 4);
        self.object(
            format!(
                "<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H /DescendantFonts [{below} 0 R] /ToUnicode {words} 0 R >>"
            )
            .as_bytes(),
        );
        let widths: String = (used.glyphs.keys())
            .map(|g| format!("{g} [{}] ", number(advance(&face, *g))))
            .collect();
        self.object(
            format!(
                "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor {} 0 R /CIDToGIDMap /Identity /W [{widths}] >>",
                first + 2
            )
            .as_bytes(),
        );
        let (b, high) = (face.global_bounding_box(), em(face.capital_height().unwrap_or(700)));
        let sides = [b.x_min, b.y_min, b.x_max, b.y_max].map(|v| number(em(v))).join(" ");
        self.object(
            format!(
                "<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox [{sides}] /ItalicAngle 0 /Ascent {} /Descent {} /CapHeight {} /StemV 80 /FontFile2 {file} 0 R >>",
                number(em(face.ascender())),
                number(em(face.descender())),
                number(high),
            )
            .as_bytes(),
        );
        self.stream(&format!("/Length1 {} ", data.len()), data);
        self.stream("", meanings(used).as_bytes());
        Some(())
    }

    fn end(mut self, catalog: usize, info: usize) -> Vec<u8> {
        let (start, count) = (self.bytes.len(), self.places.len() + 1);
        let mut table = format!("xref\n0 {count}\n0000000000 65535 f \n");
        for place in &self.places {
            let _ = writeln!(table, "{place:010} 00000 n ");
        }
        let _ = write!(
            table,
            "trailer\n<< /Size {count} /Root {catalog} 0 R /Info {info} 0 R >>\nstartxref\n{start}\n%%EOF\n"
        );
        self.bytes.extend_from_slice(table.as_bytes());
        self.bytes
    }
}

/// Which text each glyph stands for.
fn meanings(used: &Used) -> String {
    let mut map = String::from(
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Adobe-Identity-UCS def /CMapType 2 def 1 begincodespacerange <0000> <FFFF> endcodespacerange\n",
    );
    let all: Vec<(&u16, &String)> = used.glyphs.iter().collect();
    for part in all.chunks(100) {
        let _ = writeln!(map, "{} beginbfchar", part.len());
        for (glyph, text) in part {
            let _ = writeln!(map, "<{glyph:04X}> <{}>", utf16(text));
        }
        map.push_str("endbfchar\n");
    }
    map + "endcmap CMapName currentdict /CMap defineresource pop end end\n"
}

fn utf16(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("{unit:04X}")).collect()
}

fn matrix(t: Transform) -> String {
    [t.sx, t.ky, t.kx, t.sy, t.tx, t.ty].map(|v| digits(v, 5)).join(" ")
}

fn colour(paint: &Paint) -> String {
    match paint {
        Paint::Color(c) => [c.red, c.green, c.blue].map(|v| number(f32::from(v) / 255.0)).join(" "),
        // Our drawings have no gradients.
        _ => "0 0 0".into(),
    }
}

fn number(value: f32) -> String {
    digits(value, 3)
}

/// `value` with at most so many decimals, without zeros at the end.
fn digits(value: f32, most: usize) -> String {
    let text = format!("{value:.most$}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "" | "-" | "-0" => "0".into(),
        short => short.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{paint, Anchor, Type};
    use super::super::{raster, theme};
    use super::*;
    use std::io::Read;

    #[test]
    fn the_words_of_a_pdf_are_text_and_its_objects_are_where_its_table_says() {
        theme::register().unwrap();
        let svg = paint("t", (200.0, 40.0), 1.0, "t", |c| {
            c.text((10.0, 10.0), "AV \u{3b1}", Type::small(Anchor::Left));
            c.line(&[(0.0, 0.0), (9.0, 9.0)], theme::INK, 1.0);
        })
        .unwrap();
        let tree = raster::tree("t", &svg).unwrap();
        let bytes = pdf("t", &tree, "A title").unwrap();
        assert_eq!(bytes, pdf("t", &tree, "A title").unwrap());
        let find = |what: &[u8], from: usize| {
            (from..bytes.len()).find(|i| bytes[*i..].starts_with(what)).unwrap()
        };
        // Streams, unpacked: the page, the font, the meanings of its glyphs.
        let mut streams = Vec::new();
        let mut at = 0;
        for _ in 0..3 {
            let start = find(b"\nstream\n", at) + 8;
            let mut out = Vec::new();
            flate2::read::ZlibDecoder::new(&bytes[start..]).read_to_end(&mut out).unwrap();
            streams.push(out);
            at = find(b"\nendstream", start) + 1;
        }
        let page = String::from_utf8(streams[0].clone()).unwrap();
        assert_eq!(page.matches("TJ").count(), 1, "{page}");
        assert_eq!(page.matches(" S Q").count(), 1, "{page}");
        assert_eq!(streams[1], theme::REGULAR_TTF);
        let meanings = String::from_utf8(streams[2].clone()).unwrap();
        for unit in ["<0041>", "<0056>", "<0020>", "<03B1>"] {
            assert!(meanings.contains(unit), "{unit} in {meanings}");
        }
        let table = find(b"xref\n", 0);
        let text = String::from_utf8_lossy(&bytes[table..]).into_owned();
        let places = text.lines().skip(3).take_while(|l| l.ends_with("n "));
        for (i, line) in places.enumerate() {
            let place: usize = line[..10].parse().unwrap();
            assert!(bytes[place..].starts_with(format!("{} 0 obj", i + 1).as_bytes()), "{i}");
        }
    }
}
