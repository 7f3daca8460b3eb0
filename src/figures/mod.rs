//! Figures: plain numbers in, three files out.
//!
//! Each figure is one file with one data struct and one function `draw`, which takes an [`Output`] (width,
//! style, formats, folder), writes `NAME.svg`, `NAME.png` and the like and `NAME.csv`, and says where they
//! are; a figure of conditions takes the [`Palette`] of its study. The CSV holds every number that is
//! drawn. No figure knows how its numbers were made: the caller gives intervals and null bands and states
//! their kind and n in `caption`, which is not drawn: it is for the page that shows the figure. To add one: its file here, its line below, and its data in a file of `report/draw`.
//!
//! `output` owns widths, styles and formats, `theme` the font, colours and sizes; `canvas` turns points
//! into SVG, `raster` that into PNG and `pdf` into PDF; `axes` owns scales and ticks; `page` owns the legend and the
//! writing of files; `rows` places names in groups and `labels` names beside points. The figures use
//! these and nothing else.
//!
//! What is unusual: all layout is done in printed points at the final width, so
//! a size in this code is the size on paper; and a missing value is NaN (empty in
//! CSV), drawn as a gap, while an infinite value is refused.

mod axes;
pub mod behaviour;
mod canvas;
pub mod causal;
pub mod claims;
pub mod compare;
pub mod concept_heatmap;
pub mod coupling;
pub mod directions;
pub mod forest;
mod labels;
pub mod link;
mod output;
mod page;
mod pdf;
pub mod plane;
pub mod profiles;
mod raster;
mod rows;
pub mod shift;
pub(crate) mod theme;
pub mod tokens;
pub mod training;
pub mod trajectory;
mod values;
pub mod words;

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use output::{Format, Output, Style, Width};
pub use theme::Palette;
pub use values::Estimate;

/// Where a figure was written, with the words that a report repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Stem of its files.
    pub name: String,
    /// Title, for the page that shows it.
    pub title: String,
    /// Words, for the page that shows it.
    pub caption: String,
    /// The drawings, one a format, and the CSV with every number that is drawn; none of a figure that
    /// was not asked for.
    pub files: Vec<PathBuf>,
}

impl Written {
    /// The file of an ending, such as `svg` or `csv`, if it was written.
    pub fn file(&self, ending: &str) -> Option<&Path> {
        let has = |p: &&PathBuf| p.extension().is_some_and(|e| e == ending);
        self.files.iter().find(has).map(PathBuf::as_path)
    }
}

type Result<T, E = FigureError> = std::result::Result<T, E>;

/// The ways in which a figure cannot be drawn or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentence of each says what it is
pub enum FigureError {
    #[error("figure `{figure}` has nothing to draw: {what}; give it at least one value or leave the figure out")]
    Empty { figure: String, what: String },
    #[error("figure `{figure}`: {what} is {value}; use NaN for a missing value and keep all others finite")]
    NotFinite { figure: String, what: String, value: f64 },
    #[error("figure `{figure}`: {what} holds {got} values where {want} are needed; give one value per entry, NaN where none is known")]
    Length { figure: String, what: String, want: usize, got: usize },
    #[error(
        "figure `{figure}`: the interval of {what} runs from {lo} down to {hi}; put the lower end first"
    )]
    Interval { figure: String, what: String, lo: f64, hi: f64 },
    #[error("figure `{figure}`: {what} is {value}; it must lie from {lo} to {hi}")]
    Outside { figure: String, what: String, value: f64, lo: f64, hi: f64 },
    #[error("figure `{figure}`: {what} is given twice; keep one")]
    Twice { figure: String, what: String },
    #[error("figure `{figure}`: the steps of {what} do not increase; sort them and drop repeats")]
    Order { figure: String, what: String },
    #[error("`{figure}` cannot name a figure's files; use letters, digits, `-` and `_` only")]
    Name { figure: String },
    #[error("figure `{figure}`: the embedded font {font} cannot be read; rebuild with assets/fonts intact")]
    Font { figure: String, font: &'static str },
    #[error("figure `{figure}`: drawing failed: {reason}")]
    Draw { figure: String, reason: String },
    #[error("figure `{figure}`: {source}")]
    File { figure: String, source: crate::store::StoreError },
}
