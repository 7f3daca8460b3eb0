//! Rows in groups: what a panel shows by name from top to bottom.
//!
//! Each group has its heading and below it a row for each of its names, groups and names in the order
//! of their first appearance. Heights are in points from the top of the panel.

use super::axes;
use super::canvas::{Anchor, Canvas, Type};
use super::theme::{self, SMALL};
use crate::store::values::distinct;

/// Where groups and rows stand.
pub struct Rows<'a> {
    /// Top and name of each group.
    pub groups: Vec<(f64, &'a str)>,
    /// Middle, group and name of each row.
    pub rows: Vec<(f64, &'a str, &'a str)>,
    pub height: f64,
    head: f64,
}

impl<'a> Rows<'a> {
    /// The rows of some groups and names, with headings of `head` and rows of `row` points.
    pub fn new(pairs: &[(&'a str, &'a str)], head: f64, row: f64) -> Self {
        let mut all = Rows { groups: Vec::new(), rows: Vec::new(), height: 0.0, head };
        for group in distinct(pairs.iter().map(|p| p.0)) {
            all.groups.push((all.height, group));
            all.height += head;
            for name in distinct(pairs.iter().filter(|p| p.0 == group).map(|p| p.1)) {
                all.rows.push((all.height + row / 2.0, group, name));
                all.height += row;
            }
        }
        all
    }

    /// Headings from `left` on, in at most `room` points.
    pub fn headings(&self, canvas: &mut Canvas, (left, top): (f64, f64), room: f64) {
        for (y, name) in &self.groups {
            axes::heading(canvas, (left, top + y + self.head * 0.55), name, room);
        }
    }

    /// Headings from `left` on and the names of rows up to `right`.
    pub fn names(&self, canvas: &mut Canvas, (left, right): (f64, f64), top: f64) {
        self.headings(canvas, (left, top), right - left - 1.0);
        for (y, _, name) in &self.rows {
            let text = theme::shorten(name, SMALL, false, right - left - 2.0);
            canvas.text((right, top + y), &text, Type::small(Anchor::Right));
        }
    }
}
