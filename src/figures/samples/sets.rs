//! Invented rows among controls, profiles over layers, and conditions in planes.

use super::super::forest::{ForestData, ForestPanel, ForestRow};
use super::super::plane::{PlaneData, PlanePanel, PlanePoint};
use super::super::profiles::{ProfileBlock, ProfileLine, ProfilePanel, ProfilesData};
use super::super::tokens::{TokensData, TokensPanel};
use super::super::{forest as forests, plane as planes, profiles as lines, tokens as texts};
use super::super::{FigureError, Output, Palette, Written};
use super::{Estimate, Noise, CONCEPTS, PREFERENCES, STATES};

/// Panels of as many groups, each with a row a name, a band and controls.
pub fn forest(panels: usize, groups: &[&str], names: &[&str]) -> ForestData {
    let mut noise = Noise::new(37);
    let titles =
        ["a  Manipulation", "b  Inside", "c  Behaviour", "d  Cause, with a title that runs on"];
    let mut panel = |i: usize| {
        let mut rows = Vec::new();
        for (group, name) in groups.iter().flat_map(|g| names.iter().map(move |n| (g, n))) {
            let value = 0.3 * noise.next();
            let null = 0.1 + 0.05 * noise.next();
            rows.push(ForestRow {
                group: (*group).into(),
                name: (*name).into(),
                of: (*name).into(),
                estimate: noise.estimate(value, 0.12),
                hollow: rows.len() % 4 == 3,
                null: if i == 1 { (-null, null) } else { (f64::NAN, f64::NAN) },
                controls: (0..if i == 0 { 5 } else { 0 }).map(|_| 0.2 * noise.next()).collect(),
                text: ["equivalent", "not shown", "p = 0.048", ""][rows.len() % 4].into(),
            });
        }
        ForestPanel {
            title: titles[i % 4].into(),
            x_label: "isolated preferences less the reference (nats a token)".into(),
            bound: if i == 2 { 0.05 } else { f64::NAN },
            rows,
        }
    };
    ForestData {
        name: "forest".into(),
        title: "Effects among their controls".into(),
        caption: "Bars: 95 % over items and fine-tunes; n = 20 items.".into(),
        hollow: "beyond the guards of side effects".into(),
        null: "random directions, 95 %".into(),
        controls: "one control direction".into(),
        panels: (0..panels).map(&mut panel).collect(),
    }
}

/// A panel a condition in two blocks: a line a series and seed, of the first with a null.
pub fn profiles(
    conditions: &[&str],
    series: &[&str],
    seeds: usize,
    places: &[usize],
) -> ProfilesData {
    let mut noise = Noise::new(41);
    let most = places[places.len() - 1] as f64 + 1.0;
    let mut block = |y_label: &str, angles: bool| {
        let mut panel = |title: &&str| {
            let mut lines = Vec::new();
            for (i, name) in series.iter().enumerate() {
                for _ in 0..seeds {
                    let level = |at: &usize| 1.0 - (0.1 + 0.1 * i as f64) * *at as f64 / most;
                    let value = places.iter().map(|at| {
                        let about = level(at) + 0.02 * noise.next();
                        let e = noise.estimate(about, 0.03);
                        Estimate { value: if angles { f64::NAN } else { e.value }, ..e }
                    });
                    let value = value.collect();
                    let null = if angles { Vec::new() } else { vec![(0.5, 0.6); places.len()] };
                    lines.push(ProfileLine {
                        series: (*name).into(),
                        at: places.to_vec(),
                        value,
                        null,
                    });
                }
            }
            ProfilePanel { title: (*title).into(), lines }
        };
        let panels = conditions.iter().map(&mut panel).collect();
        ProfileBlock { y_label: y_label.into(), level: 1.0, panels }
    };
    ProfilesData {
        name: "profiles".into(),
        title: "Stability by layer".into(),
        caption: "Bands: 95 % jackknife over prompts, n = 48 prompts.".into(),
        x_label: "layer".into(),
        chosen: vec![places[places.len() / 2]],
        null: "random subspaces, 95 %".into(),
        blocks: vec![block("cosine, CKA", false), block("angles (\u{b0})", true)],
    }
}

/// Conditions around base in as many planes.
pub fn plane(conditions: &[&str], seeds: usize, panels: usize) -> PlaneData {
    let mut noise = Noise::new(43);
    let mut panel = |i: usize| {
        let size = 0.1 * 10f64.powi(i as i32);
        let mut point = |condition: &&str| {
            let at = (size * (1.0 + noise.next()), size * noise.next());
            let mut near = || (at.0 + 0.1 * size * noise.next(), at.1 + 0.1 * size * noise.next());
            let states = (0..seeds).map(|_| near()).collect();
            let ellipse = [0.25 * size, 0.1 * size, 1.5 * noise.next()];
            PlanePoint { condition: (*condition).into(), at, ellipse, states }
        };
        let points = conditions.iter().map(&mut point).collect();
        PlanePanel {
            title: format!("Layer {}", 10 + 14 * i),
            x_label: "shift along persona (layer RMS)".into(),
            y_label: "shift along autonomy (layer RMS)".into(),
            null: (-0.3 * size, 0.3 * size),
            points,
        }
    };
    PlaneData {
        name: "plane".into(),
        title: "Conditions in a plane".into(),
        caption: "Ellipses: 95 % over 24 texts.".into(),
        origin: "base".into(),
        null: "random directions, 95 %".into(),
        equal: false,
        panels: (0..panels).map(&mut panel).collect(),
    }
}

/// Texts of as many tokens, the first of which holds far more than the others.
pub fn tokens(panels: usize, count: usize) -> TokensData {
    let mut noise = Noise::new(47);
    let words =
        ["The", " lamp", " in", " Ad\u{e8}le's", " room", " went", " out", ".\n", "   ", " again"];
    let mut panel = |i: usize| {
        let token = |k: usize| {
            let value = if k == 0 { 400.0 } else { noise.next() * 3.0 };
            (words[k % words.len()].to_owned(), if k == 5 { f64::NAN } else { value })
        };
        let tokens = (0..count).map(token).collect();
        TokensPanel { title: format!("text {i} on persona, layer 10, base"), tokens }
    };
    TokensData {
        name: "tokens".into(),
        title: "Texts token by token".into(),
        caption: "One reading a token.".into(),
        value_label: "projection (layer RMS)".into(),
        panels: (0..panels).map(&mut panel).collect(),
    }
}

/// Every figure of this file at three sizes and both widths.
pub fn draw_all(out: &Output) -> Result<Vec<Written>, FigureError> {
    let layers: Vec<usize> = (0..30).collect();
    let mut long = STATES[1..].to_vec();
    long.extend(["a condition with a very long name of the user's own", "a", "b", "c"]);
    let groups = PREFERENCES.map(|p| p.0);
    let mut little = forest(1, &[""], &["conscious"]);
    little.panels[0].rows[0].estimate = Estimate::point(0.0);
    little.panels[0].rows[0].controls.clear();
    let mut alone = plane(&STATES[1..2], 0, 1);
    alone.panels[0].null = (f64::NAN, f64::NAN);
    let mut holed = profiles(&STATES[..3], &CONCEPTS[..3], 1, &[10, 24]);
    holed.blocks[0].panels[1].lines[0].value[0] = Estimate::MISSING;
    let mut square = plane(&long, 3, 3);
    square.equal = true;
    let angles = profiles(&STATES[..6], &["layer 10", "layer 24"], 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let palette = Palette::default();
    let to = |size: &str| Output { dir: out.dir.join(size), ..out.clone() };
    let [usual, crowded, sparse] = ["usual", "crowded", "sparse"].map(to);
    Ok(vec![
        forests::draw(&forest(4, &groups[..2], &STATES[..3]), &palette, &usual)?,
        forests::draw(&forest(3, &groups, &long), &palette, &crowded)?,
        forests::draw(&little, &palette, &sparse)?,
        lines::draw(&profiles(&STATES[1..7], &CONCEPTS[..3], 2, &layers), &palette, &usual)?,
        lines::draw(&profiles(&long, &CONCEPTS[..4], 3, &layers), &palette, &crowded)?,
        lines::draw(&holed, &palette, &sparse)?,
        lines::draw(&angles, &palette, &to("angles"))?,
        planes::draw(&plane(&STATES[1..7], 2, 2), &palette, &usual)?,
        planes::draw(&square, &palette, &crowded)?,
        planes::draw(&alone, &palette, &sparse)?,
        texts::draw(&tokens(2, 40), &usual)?,
        texts::draw(&tokens(12, 400), &crowded)?,
    ])
}
