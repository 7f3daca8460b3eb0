//! Where the names of points stand in a panel.
//!
//! A name stands beside its point: on the right where there is room, else on
//! another side or further off with a thin line back to the point. It leaves the
//! panel nowhere and covers no other name and no large mark; it covers a small
//! mark or a zero line, or stands nearer to another point than to its own, only
//! where the way around is long. A name without a place is left out, and the
//! figure has to show it elsewhere.
//!
//! What is unusual: the places are found by going round the names a few times,
//! each taking the best place given where the others are, so the result depends
//! on the data alone.

use plotters::style::RGBColor;

use super::axes::Area;
use super::canvas::{Anchor, Canvas, Point, Type};
use super::theme::{self, SMALL, THIN};

/// A point that has a name.
#[derive(Debug, Clone)]
pub struct Named {
    pub text: String,
    pub at: Point,
    /// Of the point's mark.
    pub radius: f64,
}

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The room that its letters take.
    pub room: Area,
    /// From the mark to a name that is not next to it.
    pub lead: Option<[Point; 2]>,
    /// Distance from the mark.
    gap: f64,
    /// How much worse this place is than a free one on the right.
    cost: f64,
}

/// Half the height of a name, ascenders and descenders included.
const HALF: f64 = 4.4;
/// Distances of a name from its mark.
const GAPS: [f64; 9] = [1.6, 5.0, 10.0, 16.0, 23.0, 31.0, 40.0, 52.0, 66.0];
/// A name further off than this gets a line.
const BESIDE: f64 = 4.0;
/// Cost of a place that another name or a large mark has, above all others.
const TAKEN: f64 = 1e4;
/// Costs of covering a small mark, of covering a point's length of a rule, of a
/// line across another line or mark, and of standing nearer to another point,
/// with and without a line to the own one.
const COVERED: f64 = 12.0;
const RULED: f64 = 0.6;
const CROSSED: f64 = 60.0;
const NEARER: (f64, f64) = (6.0, 30.0);
const ROUNDS: usize = 20;

/// What names had better not cover.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// Centres of small marks.
    pub small: Vec<Point>,
    /// Lines, from end to end.
    pub rules: Vec<[Point; 2]>,
}

/// The place of each name within `area`, `None` where there is none.
pub fn place(area: &Area, names: &[Named], marks: &Marks) -> Vec<Option<Place>> {
    let choices: Vec<Vec<Place>> = (0..names.len())
        .map(|own| {
            let mut list = places(area, &names[own]);
            for place in &mut list {
                place.cost += covering(own, place, names, marks);
            }
            list
        })
        .collect();
    let mut chosen: Vec<Option<Place>> = vec![None; names.len()];
    for _ in 0..ROUNDS {
        let before = chosen.clone();
        for (i, own) in choices.iter().enumerate() {
            let priced = own.iter().map(|p| (cost(i, p, &chosen), *p));
            chosen[i] = priced.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, place)| place);
        }
        if chosen == before {
            break;
        }
    }
    for i in 0..names.len() {
        chosen[i] = chosen[i].filter(|p| cost(i, p, &chosen) < TAKEN);
    }
    chosen
}

/// Draws the names that have a place; each line takes its point's colour.
pub fn draw(canvas: &mut Canvas, names: &[Named], places: &[Option<Place>], colours: &[RGBColor]) {
    for ((name, place), colour) in names.iter().zip(places).zip(colours) {
        let Some(place) = place else { continue };
        if let Some(ends) = place.lead {
            canvas.line(&ends, *colour, THIN * 0.8);
        }
        let middle = (place.room.top + place.room.bottom) / 2.0;
        canvas.text((place.room.left, middle), &name.text, Type::small(Anchor::Left));
    }
}

/// All places of one name that lie in `area`.
fn places(area: &Area, name: &Named) -> Vec<Place> {
    const TURNS: usize = 16;
    let width = theme::text_width(&name.text, SMALL, false);
    let mut list = Vec::new();
    for gap in GAPS {
        for turn in 0..TURNS {
            let (sin, cos) = (turn as f64 / TURNS as f64 * std::f64::consts::TAU).sin_cos();
            // At a corner the name's own corner is next to the mark.
            let lean = |along: f64| (along * 1.45).clamp(-1.0, 1.0);
            let away = name.radius + gap;
            let x = name.at.0 + cos * away + lean(cos) * width / 2.0;
            let y = name.at.1 - sin * away - lean(sin) * HALF;
            let room = Area::new((x - width / 2.0, x + width / 2.0), (y - HALF, y + HALF));
            let inside = room.left >= area.left
                && room.right <= area.right
                && room.top >= area.top
                && room.bottom <= area.bottom;
            if !inside {
                continue;
            }
            let lead = (gap > BESIDE).then(|| lead(name, &room));
            let cost = gap * 0.5 + 1.5 * (1.0 - cos) + sin.abs();
            list.push(Place { room, lead, gap, cost });
        }
    }
    list
}

/// From the edge of the mark to the nearest point of the room.
fn lead(name: &Named, room: &Area) -> [Point; 2] {
    let (x, y) = name.at;
    let end = (x.clamp(room.left, room.right), y.clamp(room.top + 1.5, room.bottom - 1.5));
    let length = (end.0 - x).hypot(end.1 - y).max(1e-9);
    let along = |d: f64| (x + (end.0 - x) * d / length, y + (end.1 - y) * d / length);
    [along(name.radius), along(length - 1.0)]
}

/// What a place costs because of the points and lines of the panel.
fn covering(own: usize, place: &Place, names: &[Named], marks: &Marks) -> f64 {
    let mut sum = 0.0;
    for (_, name) in names.iter().enumerate().filter(|(i, _)| *i != own) {
        let room = distance(&place.room, name.at) - name.radius;
        if room < 0.8 {
            sum += TAKEN;
        } else if room < place.gap {
            sum += if place.lead.is_some() { NEARER.0 } else { NEARER.1 };
        }
        let ((x, y), r) = (name.at, name.radius);
        if crosses(place.lead, &Area::new((x - r, x + r), (y - r, y + r))) {
            sum += CROSSED;
        }
    }
    let covered = marks.small.iter().filter(|p| touches(&place.room, **p, 0.9));
    let ruled: f64 = marks.rules.iter().map(|r| within(*r, &place.room)).sum();
    sum + COVERED * covered.count() as f64 + RULED * ruled
}

/// What a place costs while the other names stand where they do.
fn cost(own: usize, place: &Place, chosen: &[Option<Place>]) -> f64 {
    let mut sum = place.cost;
    let others = chosen.iter().enumerate().filter(|(i, _)| *i != own);
    for other in others.filter_map(|(_, other)| other.as_ref()) {
        let taken = overlap(&place.room, &other.room)
            || crosses(place.lead, &other.room)
            || crosses(other.lead, &place.room);
        if taken {
            sum += TAKEN;
        }
        if place.lead.zip(other.lead).is_some_and(|(a, b)| meet(a, b)) {
            sum += CROSSED;
        }
    }
    sum
}

fn overlap(a: &Area, b: &Area) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

/// From a point to the nearest point of the room; 0 within it.
fn distance(room: &Area, (x, y): Point) -> f64 {
    let near = (x.clamp(room.left, room.right), y.clamp(room.top, room.bottom));
    (near.0 - x).hypot(near.1 - y)
}

/// True when a disc reaches into the room.
fn touches(room: &Area, at: (f64, f64), radius: f64) -> bool {
    distance(room, at) < radius
}

/// Length of a line's part in the room, to about a point.
fn within([from, to]: [Point; 2], room: &Area) -> f64 {
    const NEAR: f64 = 0.5;
    let beside = from.0.max(to.0) < room.left - NEAR
        || from.0.min(to.0) > room.right + NEAR
        || from.1.max(to.1) < room.top - NEAR
        || from.1.min(to.1) > room.bottom + NEAR;
    if beside {
        return 0.0;
    }
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let parts = length.ceil().max(1.0);
    let inside = (0..=parts as usize).filter(|i| {
        let t = *i as f64 / parts;
        let at = (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t);
        touches(room, at, NEAR)
    });
    inside.count() as f64 * length / parts
}

/// True when a line runs through the room.
fn crosses(line: Option<[Point; 2]>, room: &Area) -> bool {
    line.is_some_and(|line| within(line, room) > 0.0)
}

/// True when two lines cross.
fn meet(a: [Point; 2], b: [Point; 2]) -> bool {
    let side =
        |[p, q]: [Point; 2], r: (f64, f64)| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    side(a, b[0]) * side(a, b[1]) < 0.0 && side(b, a[0]) * side(b, a[1]) < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area::new((0.0, 150.0), (0.0, 120.0));

    fn named(text: &str, at: (f64, f64)) -> Named {
        Named { text: text.to_owned(), at, radius: 3.0 }
    }

    #[test]
    fn a_lone_name_stands_on_the_right_and_near_the_edge_on_the_left() {
        theme::register().unwrap();
        let middle =
            place(&AREA, &[named("conscious", (60.0, 60.0))], &Marks::default())[0].unwrap();
        assert!(middle.room.left > 63.0 && middle.room.left < 66.0);
        assert_eq!(middle.lead, None);
        let edge =
            place(&AREA, &[named("conscious", (146.0, 60.0))], &Marks::default())[0].unwrap();
        assert!(edge.room.right < 143.0);
    }

    #[test]
    fn names_of_points_on_one_spot_cover_neither_each_other_nor_a_mark() {
        theme::register().unwrap();
        let names: Vec<Named> = (0..10)
            .map(|i| named("roleplay", (70.0 + f64::from(i), 60.0 + f64::from(i % 3))))
            .collect();
        let places = place(&AREA, &names, &Marks::default());
        for (i, a) in places.iter().enumerate() {
            let a = a.unwrap();
            for b in places[i + 1..].iter().flatten() {
                assert!(!overlap(&a.room, &b.room));
            }
            for (j, name) in names.iter().enumerate() {
                assert!(j == i || !touches(&a.room, name.at, name.radius));
            }
        }
    }

    #[test]
    fn a_name_makes_way_for_a_small_mark_and_for_a_rule() {
        theme::register().unwrap();
        let name = [named("conscious", (60.0, 60.0))];
        let small = Marks { small: vec![(75.0, 60.0)], ..Marks::default() };
        let room = place(&AREA, &name, &small)[0].unwrap().room;
        assert!(!touches(&room, (75.0, 60.0), 0.9));
        let rule = [(0.0, 60.0), (150.0, 60.0)];
        let ruled = Marks { rules: vec![rule], ..Marks::default() };
        let room = place(&AREA, &name, &ruled)[0].unwrap().room;
        assert!(!crosses(Some(rule), &room));
    }

    #[test]
    fn a_name_without_room_is_left_out() {
        theme::register().unwrap();
        let long = named("a name that is wider than the whole of this panel", (60.0, 60.0));
        assert_eq!(place(&AREA, &[long], &Marks::default()), [None]);
    }

    #[test]
    fn crossing_lines_meet_and_parallel_ones_do_not() {
        let a = [(0.0, 0.0), (10.0, 10.0)];
        assert!(meet(a, [(0.0, 10.0), (10.0, 0.0)]));
        assert!(!meet(a, [(0.0, 1.0), (10.0, 11.0)]));
    }
}
