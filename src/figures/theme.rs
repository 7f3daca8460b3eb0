//! The look that all figures share: one font, the colours, the sizes.
//!
//! Sizes are in points as printed, and no text is smaller than 7 pt. The font is a subset
//! of Fira Sans (Latin, Greek, Cyrillic, mathematical signs) under the SIL Open
//! Font License; it is embedded, so a figure looks the same on a machine
//! without fonts.
//!
//! Conditions take the Okabe-Ito colours in the order of their study, from one [`Palette`] for
//! all of its figures, so that a condition has one colour in every one. Cosines take a
//! blue-white-red map with white at 0.

use crate::stats::rng::fnv1a;
use crate::store::values::distinct;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use plotters::style::{register_font, Color, FontDesc, FontFamily, FontStyle, HSLColor, RGBColor};

/// Printed points in a millimetre.
pub const MM: f64 = 72.0 / 25.4;

/// Text sizes in points.
pub const SMALL: f64 = 7.0;
pub const NORMAL: f64 = 7.5;
/// Distance between lines of text, as a multiple of its size.
pub const LEADING: f64 = 1.3;

/// Stroke widths in points.
pub const HAIR: f64 = 0.375;
pub const THIN: f64 = 0.625;
pub const LINE: f64 = 1.25;
/// Radius of a dot in points.
pub const DOT: f64 = 1.9;

/// A colour by its hexadecimal digits.
const fn rgb(hex: u32) -> RGBColor {
    RGBColor((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

pub const INK: RGBColor = rgb(0x222222);
pub const MUTED: RGBColor = rgb(0x5A5A5A);
pub const RULE: RGBColor = rgb(0x8A8A8A);
pub const GRID: RGBColor = rgb(0xE4E4E4);
pub const PAPER: RGBColor = rgb(0xFFFFFF);
/// Missing cell of a heat map.
pub const GAP: RGBColor = rgb(0xE9E9E9);
/// Greys of null bands, which stay apart from each other and from the grid.
pub const NULLS: [RGBColor; 3] = [rgb(0xDDDDDD), rgb(0xBCBCBC), rgb(0xA0A0A0)];
/// The first two conditions' colours, for two measures of one thing.
pub const PAIR: [RGBColor; 2] = [rgb(0x0072B2), rgb(0xD55E00)];

pub const REGULAR_TTF: &[u8] = include_bytes!("../../assets/fonts/FiraSans-Regular.ttf");
pub const BOLD_TTF: &[u8] = include_bytes!("../../assets/fonts/FiraSans-Bold.ttf");

/// The family as SVG names it: the embedded font, then what a reader may have.
pub const FAMILY: &str = "Fira Sans, Helvetica, Arial, sans-serif";

/// plotters divides a font size by this on its way into SVG.
pub(super) const PLOTTERS_EM: f64 = 1.24;
/// Height of the font's line in ems, to which plotters scales when measuring.
const LINE_EM: f64 = 1.2;

/// Okabe-Ito with grey, the first condition of a study, base, in black; then colours for further
/// names, none close to one of these.
const COLOURS: [u32; 16] = [
    0x000000, 0xD55E00, 0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0x808080, 0x56B4E9, //
    0x882255, 0x8A8A20, 0x332288, 0x44AA99, 0x8C564B, 0x661100, 0x116033, 0x9B6DD6,
];

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    Dot,
    Square,
    Triangle,
    Diamond,
    /// A triangle on its head.
    Wedge,
    Cross,
    Ring,
    OpenDiamond,
}

/// In the order of the study too, in another period than colours come again.
const SHAPES: [Mark; 6] =
    [Mark::Dot, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Wedge, Mark::Cross];

/// The colour of each name in a figure.
pub type Colours<'a> = BTreeMap<&'a str, RGBColor>;

/// A colour for each of some names, the same in every figure that is given it.
#[derive(Debug, Clone, Default)]
pub struct Palette(Vec<String>);

impl Palette {
    /// Colours in the order of the names.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Palette(names.into_iter().map(str::to_owned).collect())
    }

    /// The colour of a name, of a state of it (`keeper-s2`), or of a contrast of it (`keeper less
    /// plain`); a name that it lacks has one by itself.
    pub fn of(&self, name: &str) -> RGBColor {
        let at = self.place(name).and_then(|i| COLOURS.get(i));
        at.map_or_else(|| by_hue(name), |&hex| rgb(hex))
    }

    /// Place of the name that a name begins with.
    fn place(&self, name: &str) -> Option<usize> {
        let known = |(_, k): &(usize, &String)| {
            let rest = name.strip_prefix(k.as_str());
            rest.is_some_and(|r| r.is_empty() || r.starts_with(['-', ' ']))
        };
        // The first of equal names, the longest of several.
        let named = self.0.iter().enumerate().rev().filter(known);
        named.max_by_key(|(_, k)| k.len()).map(|(i, _)| i)
    }

    /// The shape of a name's points, so that conditions of like colours can be told apart.
    pub(super) fn mark(&self, name: &str) -> Mark {
        SHAPES[self.place(name).unwrap_or(fnv1a(name) as usize % SHAPES.len()) % SHAPES.len()]
    }

    /// The colour of each name of a figure; without names of its own, in their order.
    pub fn colours<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Colours<'a> {
        let names: Vec<&str> = names.into_iter().collect();
        let own = match self.0.is_empty() {
            true => &Palette::new(distinct(names.iter().copied())),
            false => self,
        };
        names.into_iter().map(|n| (n, own.of(n))).collect()
    }
}

fn by_hue(name: &str) -> RGBColor {
    let hue = (fnv1a(name) % 360) as f64 / 360.0;
    let (r, g, b) = HSLColor(hue, 0.55, 0.42).to_backend_color().rgb;
    RGBColor(r, g, b)
}

/// Blue at -1, white at 0, red at 1; `t` is a value over the map's limit.
pub fn diverging(t: f64) -> RGBColor {
    let (pale, full) = match t < 0.0 {
        true => (rgb(0x7FB3D8), rgb(0x1B559C)),
        false => (rgb(0xF29C7E), rgb(0xAE1629)),
    };
    let along = t.abs().min(1.0) * 2.0;
    let (from, to, share) =
        if along < 1.0 { (PAPER, pale, along) } else { (pale, full, along - 1.0) };
    let blend = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
    RGBColor(blend(from.0, to.0), blend(from.1, to.1), blend(from.2, to.2))
}

/// Dark or light ink, whichever reads better on `ground`.
pub fn ink_on(ground: RGBColor) -> RGBColor {
    let light =
        0.299 * f64::from(ground.0) + 0.587 * f64::from(ground.1) + 0.114 * f64::from(ground.2);
    if light < 140.0 {
        PAPER
    } else {
        INK
    }
}

/// Registers the embedded font with plotters, once; the name of the font that
/// cannot be read otherwise.
pub(super) fn register() -> Result<(), &'static str> {
    static DONE: LazyLock<Result<(), &'static str>> = LazyLock::new(|| {
        register_font(FAMILY, FontStyle::Normal, REGULAR_TTF).map_err(|_| "FiraSans-Regular")?;
        register_font(FAMILY, FontStyle::Bold, BOLD_TTF).map_err(|_| "FiraSans-Bold")
    });
    *DONE
}

/// Printed width of `text` in points. Needs `register` to have been called.
pub(super) fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    // Measured at 64 times the size, since plotters rounds to whole units.
    const FINE: f64 = 64.0;
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::Name(FAMILY), size * FINE * LINE_EM, style);
    match font.box_size(text) {
        Ok((width, _)) => f64::from(width) / FINE,
        Err(_) => text.chars().count() as f64 * size * 0.6,
    }
}

/// `text` in lines of at most `width` points; a longer word keeps its own line.
pub(super) fn wrap(text: &str, size: f64, bold: bool, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if let Some(last) = lines.last_mut() {
            let longer = format!("{last} {word}");
            if text_width(&longer, size, bold) <= width {
                *last = longer;
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

/// `text` with an ellipsis for its middle where it is longer than `width` points: names often differ at
/// their ends. Two thirds of what stays are its beginning.
pub(super) fn shorten(text: &str, size: f64, bold: bool, width: f64) -> String {
    if text_width(text, size, bold) <= width {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let cut = |kept: usize| {
        let (head, tail) = (kept - kept / 3, kept / 3);
        let part = |chars: &[char]| chars.iter().collect::<String>();
        let (head, tail) = (part(&chars[..head]), part(&chars[chars.len() - tail..]));
        format!("{}\u{2026}{}", head.trim_end(), tail.trim_start())
    };
    let mut cuts = (0..chars.len()).rev().map(cut);
    cuts.find(|cut| text_width(cut, size, bold) <= width).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_its_states_and_its_contrasts_have_one_colour() {
        let names = ["base", "keeper", "keeper-late", "plain"];
        let palette = Palette::new(names);
        for name in ["keeper-s2", "keeper-2", "keeper less plain"] {
            assert_eq!(palette.of(name), palette.of("keeper"), "{name}");
        }
        assert_eq!(palette.of("keeper-late-s1"), palette.of("keeper-late"));
        assert_eq!(palette.of("base"), RGBColor(0, 0, 0));
        let figure = palette.colours(["plain", "keeper"]);
        assert_eq!(figure["plain"], palette.of("plain"));
    }

    #[test]
    fn sixteen_names_have_sixteen_colours() {
        let names: Vec<String> = (0..16).map(|i| format!("c{i}")).collect();
        let all = Palette::new(names.iter().map(String::as_str));
        let distinct: std::collections::BTreeSet<_> =
            names.iter().map(|n| all.of(n)).map(|c| (c.0, c.1, c.2)).collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn the_diverging_map_is_white_at_zero_and_never_of_the_wrong_hue() {
        assert_eq!(diverging(0.0), RGBColor(255, 255, 255));
        for i in 1..=20 {
            let t = f64::from(i) / 20.0;
            let (warm, cold) = (diverging(t), diverging(-t));
            assert!(warm.0 > warm.2, "{t}");
            assert!(cold.2 > cold.0, "{t}");
        }
    }

    #[test]
    fn wrapped_lines_keep_all_words_and_the_width() {
        register().unwrap();
        let text = "Shaded bands show 95 % bootstrap intervals over prompt clusters, n = 60 pairs.";
        let lines = wrap(text, SMALL, false, 120.0);
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().all(|l| text_width(l, SMALL, false) <= 120.0));
        assert!(lines.len() > 1);
    }

    #[test]
    fn a_shortened_name_keeps_both_its_ends_and_the_width() {
        register().unwrap();
        let long = "third-person-consciousness-of-others";
        let short = shorten(long, SMALL, false, 80.0);
        assert!(short.starts_with("third-") && short.ends_with("others"), "{short}");
        assert!(text_width(&short, SMALL, false) <= 80.0);
        assert_eq!(shorten("persona", SMALL, false, 80.0), "persona");
    }

    #[test]
    fn bold_text_is_wider() {
        register().unwrap();
        assert!(text_width("conscious", 9.0, true) > text_width("conscious", 9.0, false));
    }
}
