//! How large figures are, in which formats, and where they go.
//!
//! One [`Output`] goes to every figure, which lays itself out for its [`points`](Output::points). Two widths
//! are those of a journal's column and page. A figure for a talk is laid out on the same widths and drawn
//! larger, so that it fills half of a slide, or all of it, with text that can be read from the last row.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::theme::MM;

/// A choice that is made by its name.
macro_rules! named {
    ($(#[$about:meta])* $kind:ident, $what:literal: $($(#[$each:meta])* $variant:ident = $name:literal),+) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$each])* $variant),+
        }

        impl $kind {
            /// All that there are.
            pub const ALL: &'static [$kind] = &[$($kind::$variant),+];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $($kind::$variant => $name),+
                }
            }
        }

        impl FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = $kind::ALL.iter().find(|k| k.name() == text).copied();
                let names = || $kind::ALL.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
                found.ok_or_else(|| format!("there is no {} `{text}`; there are {}", $what, names()))
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// What a figure is made for.
    Style, "style":
    /// Printed, with text of 7 pt and more.
    Paper = "paper",
    /// Shown on a slide of 13.3 inches, with text of 12 pt and more.
    Talk = "talk"
}

named! {
    /// How much of a page or slide a figure is as wide as.
    Width, "width":
    /// A column of two (89 mm), or half of a slide.
    Single = "single",
    /// The page (183 mm), or the whole slide.
    Double = "double"
}

named! {
    /// A file format of a drawing.
    Format, "format":
    /// Scalable, its text being text.
    Svg = "svg",
    /// Pixels, at 300 dots an inch of the printed size.
    Png = "png",
    /// For a page that is typeset, its text being text.
    Pdf = "pdf"
}

/// How and where figures are written.
#[derive(Debug, Clone)]
pub struct Output {
    /// Folder, which is made if it is not there.
    pub dir: PathBuf,
    /// What for.
    pub style: Style,
    /// How wide.
    pub width: Width,
    /// The drawings that are written; the CSV of their numbers always is.
    pub formats: Vec<Format>,
    /// Names of the figures that are wanted, all where there are none: `coupling` is `coupling_2` too, the
    /// same figure of another pair.
    pub figures: Option<Vec<String>>,
}

impl Output {
    /// Figures of a report: for print, as wide as a page, as SVG and PNG.
    pub fn to(dir: impl AsRef<Path>) -> Self {
        let (style, width) = (Style::Paper, Width::Double);
        let formats = vec![Format::Svg, Format::Png];
        Output { dir: dir.as_ref().into(), style, width, formats, figures: None }
    }

    /// Whether a figure is to be drawn.
    pub fn wants(&self, name: &str) -> bool {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
        let names = |list: &Vec<String>| list.iter().any(|n| n == name || n == kind);
        self.figures.as_ref().is_none_or(names)
    }

    /// Width in which a figure lays itself out, in points of its smallest text's 7.
    pub fn points(&self) -> f64 {
        match self.width {
            Width::Single => 89.0 * MM,
            Width::Double => 183.0 * MM,
        }
    }

    /// Whether a figure has one column's width.
    pub fn narrow(&self) -> bool {
        self.width == Width::Single
    }

    /// Most width of the name of a condition, concept or preference, so that it reads the same in all
    /// figures of one width.
    pub fn name(&self) -> f64 {
        match self.width {
            Width::Single => 56.0,
            Width::Double => 92.0,
        }
    }

    /// How many times as large as laid out a figure is drawn.
    pub fn zoom(&self) -> f64 {
        match self.style {
            Style::Paper => 1.0,
            Style::Talk => 1.75,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_made_by_its_name_and_another_name_lists_them() {
        assert_eq!("talk".parse(), Ok(Style::Talk));
        let error = "gif".parse::<Format>().unwrap_err();
        assert!(error.contains("`gif`") && error.contains("svg, png, pdf"), "{error}");
    }
}
