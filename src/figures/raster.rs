//! From SVG to PNG.
//!
//! resvg rasterises what `canvas` has drawn, since plotters' own bitmaps are not
//! antialiased. It sees the embedded fonts and no others, so the same SVG gives
//! the same PNG on every machine. The PNG states its resolution, 300 dots an
//! inch, so that it comes out at its printed size when it is placed in a page.

use std::sync::{Arc, LazyLock};

use resvg::{tiny_skia, usvg};

use super::{theme, FigureError};

/// Dots per inch of the PNG.
pub const DPI: f64 = 300.0;
/// Dots per inch that SVG assumes for a bare number.
const SVG_DPI: f64 = 96.0;

/// Reads an SVG of `paint`, its texts laid out.
pub fn tree(figure: &str, svg: &str) -> Result<usvg::Tree, FigureError> {
    let options = usvg::Options { fontdb: fonts(), ..usvg::Options::default() };
    let failed = |reason: String| FigureError::Draw { figure: figure.to_owned(), reason };
    usvg::Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))
}

/// Rasterises a drawing at so many dots an inch.
pub fn pixels(figure: &str, tree: &usvg::Tree, dpi: f64) -> Result<tiny_skia::Pixmap, FigureError> {
    let failed = |reason: String| FigureError::Draw { figure: figure.to_owned(), reason };
    let scale = (dpi / SVG_DPI) as f32;
    let size = tree.size();
    let (w, h) = ((size.width() * scale).round() as u32, (size.height() * scale).round() as u32);
    let mut pixels = tiny_skia::Pixmap::new(w, h)
        .ok_or_else(|| failed(format!("a bitmap of {w} x {h} pixels cannot be made")))?;
    let fit = tiny_skia::Transform::from_scale(scale, scale);
    resvg::render(tree, fit, &mut pixels.as_mut());
    Ok(pixels)
}

/// A drawing as PNG at 300 dpi.
pub fn png(figure: &str, tree: &usvg::Tree) -> Result<Vec<u8>, FigureError> {
    let failed = |reason: String| FigureError::Draw { figure: figure.to_owned(), reason };
    let pixels = pixels(figure, tree, DPI)?;
    let mut bytes = pixels.encode_png().map_err(|e| failed(e.to_string()))?;
    // The pHYs chunk, 11,811 pixels a metre, belongs right after IHDR.
    const IHDR_END: usize = 33;
    const PHYS: [u8; 21] = [
        0, 0, 0, 9, b'p', b'H', b'Y', b's', 0, 0, 0x2E, 0x23, 0, 0, 0x2E, 0x23, 1, 0x78, 0xA5,
        0x3F, 0x76,
    ];
    bytes.splice(IHDR_END..IHDR_END, PHYS);
    Ok(bytes)
}

/// The embedded fonts, and no others.
fn fonts() -> Arc<usvg::fontdb::Database> {
    static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
        let mut db = usvg::fontdb::Database::new();
        db.load_font_data(theme::REGULAR_TTF.to_vec());
        db.load_font_data(theme::BOLD_TTF.to_vec());
        Arc::new(db)
    });
    FONTS.clone()
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{paint, Anchor, Type};
    use super::theme::SMALL;
    use super::*;

    #[test]
    fn the_png_has_300_dots_an_inch() {
        let svg = paint("t", (72.0, 36.0), 1.0, "t", |_| ()).unwrap();
        let bytes = png("t", &tree("t", &svg).unwrap()).unwrap();
        let word =
            |i: usize| u32::from_be_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        assert_eq!((word(16), word(20)), (300, 150));
        assert_eq!(&bytes[37..41], b"pHYs");
        assert_eq!(word(41), 11_811);
        assert!(tiny_skia::Pixmap::decode_png(&bytes).is_ok());
    }

    #[test]
    fn text_is_drawn_with_the_embedded_font_and_as_wide_as_measured() {
        theme::register().unwrap();
        let text = "persona \u{d7} autonomy, 95 %";
        let svg = paint("t", (300.0, 20.0), 1.0, "t", |c| {
            c.text((10.0, 10.0), text, Type::small(Anchor::Left));
        })
        .unwrap();
        let tree = tree("t", &svg).unwrap();
        fn text_box(group: &usvg::Group) -> Option<f64> {
            group.children().iter().find_map(|node| match node {
                usvg::Node::Text(text) => Some(f64::from(text.abs_bounding_box().width())),
                usvg::Node::Group(inner) => text_box(inner),
                _ => None,
            })
        }
        let drawn = text_box(tree.root()).unwrap() * 72.0 / 96.0;
        let measured = theme::text_width(text, SMALL, false);
        assert!((drawn - measured).abs() < 0.04 * measured, "{drawn} {measured}");
    }
}
