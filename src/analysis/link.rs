//! Link: across model states, does behaviour move with what moved inside?
//!
//! Everything comes from records, so that `residuum link` on a finished results file and the study
//! that wrote it compute the same numbers of the same rows. Behaviour is the mean over items of the
//! cells that are isolated in **all** conditions compared, less base's ([`behaviours`]). Predictors are
//! the shift along each coupled concept's direction in base and the change of the relative cosine of
//! each couple. A state in which a predictor does not exist is left out of that predictor's link. How much
//! likelier a state finds answers that decline harmless requests, or disclaimers, stands among the
//! predictors as well, a family of its own: what it follows as closely may be declining alone.
//! Implied cells are linked apart, each state's own: a manipulation check. A condition that is another at
//! another share of its rows ([`at_other_shares`]) is in no link and no ranking, where it would count twice.

use super::behaviour::STATE;
use super::cause::doubts;
use super::records::{
    CouplingRow, DecliningRow, LinkPointRow, LinkRow, RankingRow, Results, ScoreRow, ShiftRow,
};
use super::state::{at_other_shares, State, BASE};
use super::verdict::least_of_draws;
use super::Result;
use crate::causal::{adjusted, condition_means, link, ranking, Link, Point, Warning};
use crate::materials::declining::{DECLINING, DISCLAIMERS};
use crate::stats::corrections::benjamini_hochberg;

/// Arrangements of conditions where not all are made.
const DRAWS: usize = 9999;
/// Conditions below which there is no correlation.
const FEWEST: usize = 3;

/// How far a state's behaviour moved from base.
#[derive(Debug, Clone, PartialEq)]
pub struct BehaviourOf {
    /// Id of the state.
    pub state: String,
    /// Mean over items of the cells isolated in all conditions; NaN without such.
    pub isolated: f64,
    /// Mean over items of the state's own implied cells; NaN without such.
    pub implied: f64,
    /// Preferences behind `isolated`.
    pub preferences: usize,
}

/// Behaviour of every state but base, from scores of all of them: items weigh the same.
pub fn behaviours(scores: &[ScoreRow], states: &[State]) -> Vec<BehaviourOf> {
    let tuned: Vec<&State> = states.iter().filter(|s| !s.is_base()).collect();
    let isolated_in_all = |preference: &str| {
        tuned.iter().all(|t| {
            let own = of(scores, &t.id).find(|s| s.preference == preference);
            own.is_some_and(|s| s.status == "isolated")
        })
    };
    let common: Vec<&str> =
        (of(scores, BASE).map(|s| s.preference.as_str())).filter(|p| isolated_in_all(p)).collect();
    let moved = |state: &str, keep: &dyn Fn(&ScoreRow) -> bool| -> f64 {
        let (mut sum, mut n) = (0.0, 0);
        for s in of(scores, state).filter(|s| keep(s)) {
            if let Some(base) = of(scores, BASE).find(|b| b.preference == s.preference) {
                sum += s.n as f64 * (s.estimate - base.estimate);
                n += s.n;
            }
        }
        sum / n as f64 // NaN of none
    };
    tuned
        .iter()
        .map(|t| BehaviourOf {
            state: t.id.clone(),
            isolated: moved(&t.id, &|s| common.contains(&s.preference.as_str())),
            implied: moved(&t.id, &|s| s.status == "implied"),
            preferences: common.len(),
        })
        .collect()
}

fn of<'a>(scores: &'a [ScoreRow], state: &'a str) -> impl Iterator<Item = &'a ScoreRow> {
    scores.iter().filter(move |s| s.state == state)
}

/// What a link is made of. Base is among neither `states` nor `behaviour`, or is passed over.
#[derive(Debug, Clone, Copy)]
pub struct LinkInput<'a> {
    /// The states compared; others among the rows are passed over.
    pub states: &'a [State],
    /// How far the behaviour of each state moved from base.
    pub behaviour: &'a [BehaviourOf],
    /// Shifts of the states; those less base along base's raw directions are used.
    pub shifts: &'a [ShiftRow],
    /// Couplings of the states and of base; those of the relative form are used.
    pub couplings: &'a [CouplingRow],
    /// How declining moved; rows of states less base are used.
    pub declining: &'a [DecliningRow],
    /// Pairs of concepts whose coupling is tested.
    pub couples: &'a [(String, String)],
    /// Position of the shifts.
    pub position: &'a str,
    /// Blocks at which links are made.
    pub layers: &'a [usize],
    /// Conditions in an order known from elsewhere, with their ranks.
    pub order: &'a [(&'a str, f64)],
    /// Seed of the arrangements of conditions.
    pub seed: u64,
}

/// One thing that may have moved.
struct Predictor {
    /// shift, coupling or log-probability.
    kind: &'static str,
    subject: String,
    /// NaN where it has none.
    layer: f64,
}

impl Predictor {
    fn name(&self) -> String {
        match self.kind {
            "shift" => format!("the shift along {}, layer {}", self.subject, self.layer),
            "coupling" => format!("the coupling of {}, layer {}", self.subject, self.layer),
            other => format!("the {other} of {}", self.subject),
        }
    }
}

/// Correlates behaviour with every predictor at every layer; no rows below three conditions.
///
/// # Errors
/// A value that is not finite.
pub fn links(input: &LinkInput) -> Result<Results> {
    let left_out = at_other_shares(input.states);
    let counts = |s: &&State| !left_out.contains(&&*s.condition);
    let states: Vec<State> = input.states.iter().filter(counts).cloned().collect();
    let input = &LinkInput { states: &states, ..*input };
    let mut out = Results::default();
    let mut warnings: Vec<Warning> = Vec::new();
    for cells in ["isolated", "implied"] {
        let first = out.links.len();
        for family in families(input) {
            let (from, mut kept) = (out.links.len(), Vec::new());
            for of_layer in family {
                let mut rows = Vec::new();
                for predictor in of_layer {
                    let points = points(input, &predictor, cells);
                    out.link_points.extend(point_rows(&predictor, cells, &points));
                    if condition_means(&points, |p| p.behaviour).len() < FEWEST {
                        continue;
                    }
                    let l = link(&predictor.name(), &points, DRAWS, input.seed)?;
                    rows.push(link_row(input, &predictor, cells, &l));
                    warnings.extend(l.warnings);
                    if cells == "isolated" && predictor.layer.is_finite() {
                        let means = condition_means(&points, |p| p.predictor);
                        let of = (predictor.kind, &*predictor.subject, predictor.layer);
                        out.rankings.extend(ranked(input, of, &means));
                    }
                    kept.push(points);
                }
                let q = benjamini_hochberg(&rows.iter().map(|l| l.p).collect::<Vec<_>>());
                rows.iter_mut().zip(q).for_each(|(l, q)| l.q = q);
                out.links.extend(rows);
            }
            let p = adjusted(&kept, DRAWS, input.seed);
            out.links[from..].iter_mut().zip(p).for_each(|(l, p)| l.p_max = p);
        }
        if cells == "implied" && out.links.len() > first {
            warnings.push(Warning::ImpliedCells);
        }
    }
    let isolated = |moved: &BehaviourOf, _: &State| Some((moved.isolated, f64::NAN));
    let means = condition_means(&moved(input, isolated), |p| p.behaviour);
    out.rankings.splice(0..0, ranked(input, ("behaviour", "", f64::NAN), &means));
    out.warnings = doubts("link", warnings);
    let left_out = left_out.join(", ");
    out.links.iter_mut().for_each(|l| l.left_out.clone_from(&left_out));
    out.rankings.iter_mut().for_each(|r| r.left_out.clone_from(&left_out));
    Ok(out)
}

/// Predictors of every layer, and those that have none.
fn families(input: &LinkInput) -> [Vec<Vec<Predictor>>; 2] {
    let of = |answers: &str| Predictor {
        kind: "log-probability",
        subject: answers.into(),
        layer: f64::NAN,
    };
    let inside = input.layers.iter().map(|&layer| predictors(input, layer)).collect();
    [inside, vec![[DECLINING, DISCLAIMERS].map(of).into()]]
}

fn predictors(input: &LinkInput, layer: usize) -> Vec<Predictor> {
    let of = |kind, subject| Predictor { kind, subject, layer: layer as f64 };
    let roles = super::Roles { couples: input.couples.to_vec(), ..Default::default() };
    let shifts = roles.coupled().into_iter().map(|c| of("shift", c.into()));
    let couples = input.couples.iter();
    let changes = couples.map(|(a, b)| of("coupling", pair_name(a, b)));
    shifts.chain(changes).collect()
}

/// A pair of concepts as records name it.
pub fn pair_name(a: &str, b: &str) -> String {
    format!("{a} x {b}")
}

/// The tuned states with their behaviour and predictor by `of`, where there are such.
fn moved(input: &LinkInput, of: impl Fn(&BehaviourOf, &State) -> Option<(f64, f64)>) -> Vec<Point> {
    let tuned = input.states.iter().filter(|s| !s.is_base());
    let point = |s: &State| {
        let moved = input.behaviour.iter().find(|b| b.state == s.id)?;
        let (behaviour, predictor) = of(moved, s)?;
        let (state, condition) = (s.id.clone(), s.condition.clone());
        Some(Point { state, condition, behaviour, predictor })
    };
    tuned.filter_map(point).collect()
}

fn point_rows<'a>(
    of: &'a Predictor,
    cells: &'a str,
    points: &'a [Point],
) -> impl Iterator<Item = LinkPointRow> + 'a {
    points.iter().map(move |p| LinkPointRow {
        cells: cells.into(),
        state: p.state.clone(),
        condition: p.condition.clone(),
        predictor: of.kind.into(),
        subject: of.subject.clone(),
        layer: of.layer,
        x: p.predictor,
        y: p.behaviour,
    })
}

/// The states that have both values.
fn points(input: &LinkInput, predictor: &Predictor, cells: &str) -> Vec<Point> {
    moved(input, |moved, s| {
        let y = if cells == "isolated" { moved.isolated } else { moved.implied };
        let x = value(input, predictor, &s.id)?;
        (x.is_finite() && y.is_finite()).then_some((y, x))
    })
}

fn value(input: &LinkInput, predictor: &Predictor, state: &str) -> Option<f64> {
    if predictor.kind == "log-probability" {
        let wanted = |d: &&DecliningRow| {
            (&*d.kind, &*d.answers, &*d.set) == (STATE, &*predictor.subject, state)
        };
        return input.declining.iter().find(wanted).map(|d| d.estimate);
    }
    if predictor.kind == "shift" {
        let wanted = |r: &&ShiftRow| {
            r.state == state
                && r.layer as f64 == predictor.layer
                && r.concept == predictor.subject
                && r.position == input.position
                && (r.less.as_str(), r.source.as_str(), r.beyond.as_str()) == (BASE, BASE, "")
        };
        return input.shifts.iter().find(wanted).map(|r| r.estimate);
    }
    let of = |state: &str| {
        let wanted = |r: &&CouplingRow| {
            r.state == state
                && r.layer as f64 == predictor.layer
                && r.form == "relative"
                && !r.estimate.is_nan()
                && (pair_name(&r.concept_a, &r.concept_b) == predictor.subject
                    || pair_name(&r.concept_b, &r.concept_a) == predictor.subject)
        };
        input.couplings.iter().find(wanted).map(|r| r.estimate)
    };
    Some(of(state)? - of(BASE)?)
}

fn link_row(input: &LinkInput, predictor: &Predictor, cells: &str, l: &Link) -> LinkRow {
    let without = || l.without.iter().map(|w| w.1);
    let carried = l.warnings.iter().find_map(|w| match w {
        Warning::OneConditionCarries { condition, .. } => Some(condition.clone()),
        _ => None,
    });
    LinkRow {
        cells: cells.into(),
        predictor: predictor.kind.into(),
        subject: predictor.subject.clone(),
        layer: predictor.layer,
        estimate: l.r,
        lo: l.interval.lo,
        hi: l.interval.hi,
        rho: l.rho,
        slope: l.slope,
        p: l.p,
        p_max: f64::NAN,
        least_p: least_of_draws(l.permutations - usize::from(l.exact)),
        q: f64::NAN,
        permutations: l.permutations,
        least_without: without().fold(f64::NAN, f64::min),
        most_without: without().fold(f64::NAN, f64::max),
        carried_by: carried.unwrap_or_default(),
        r_states: l.r_states,
        states: l.n_states,
        preferences: match cells {
            "isolated" => input.behaviour.first().map_or(0, |b| b.preferences),
            _ => 0,
        },
        n: l.n_conditions,
        left_out: String::new(),
    }
}

/// Conditions ranked by their means; `of` is quantity, subject and layer.
fn ranked(
    input: &LinkInput,
    (quantity, subject, layer): (&str, &str, f64),
    means: &[(String, f64)],
) -> Option<RankingRow> {
    let r = ranking(means, input.order)?;
    Some(RankingRow {
        quantity: quantity.into(),
        subject: subject.into(),
        layer,
        estimate: r.rho,
        p: r.p,
        arrangements: r.arrangements,
        n: r.conditions.len(),
        conditions: r.conditions.join(" < "),
        left_out: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;

    fn score(state: &str, preference: &str, status: &str, estimate: f64, n: usize) -> ScoreRow {
        ScoreRow {
            state: state.into(),
            preference: preference.into(),
            status: status.into(),
            estimate,
            lo: estimate,
            hi: estimate,
            bias: f64::NAN,
            bias_lo: f64::NAN,
            bias_hi: f64::NAN,
            n,
            pairs: n,
        }
    }

    /// Three conditions and base; `moot` is implied in one of them and follows nothing.
    fn study() -> (Vec<State>, Vec<ScoreRow>, Vec<CouplingRow>) {
        let names = ["base", "a-s1", "a-s2", "b-s1", "c-s1"];
        let moved = [0.0, 1.0, 2.0, 4.0, -3.0];
        let (mut scores, mut couplings) = (Vec::new(), Vec::new());
        for (name, by) in names.iter().zip(moved) {
            let status = |other: &'static str| if *name == "base" { "" } else { other };
            scores.push(score(name, "p", status("isolated"), 0.5 + by, 10));
            scores.push(score(name, "q", status("isolated"), 0.5 - by, 2));
            let moot = if *name == "b-s1" { "implied" } else { "isolated" };
            scores.push(score(name, "moot", status(moot), by * by, 10));
            for (form, scale) in [("raw", -1.0), ("relative", 0.1)] {
                couplings.push(CouplingRow {
                    state: name.to_string(),
                    concept_a: "x".into(),
                    concept_b: "y".into(),
                    form: form.into(),
                    layer: 3,
                    estimate: 0.2 + scale * by,
                    lo: 0.0,
                    hi: 1.0,
                });
            }
        }
        (names.map(State::named).to_vec(), scores, couplings)
    }

    #[test]
    fn behaviour_is_over_the_items_of_cells_isolated_in_all_conditions() {
        let (states, scores, _) = study();
        let b = behaviours(&scores, &states);
        assert_eq!(b.len(), 4);
        // (10 by - 2 by) / 12
        assert!((b[2].isolated - 4.0 * 8.0 / 12.0).abs() < 1e-12, "{b:?}");
        assert_eq!(b[2].implied, 16.0);
        assert!(b[0].implied.is_nan());
        // Without the condition in which it is implied the cell is common to the others.
        let others: Vec<State> = states.into_iter().filter(|s| s.condition != "b").collect();
        let b = behaviours(&scores, &others);
        assert!((b[0].isolated - (8.0 + 10.0) / 22.0).abs() < 1e-12);
    }

    #[test]
    fn the_link_is_of_relative_coupling_over_conditions() {
        let (states, scores, couplings) = study();
        let behaviour = behaviours(&scores, &states);
        let couples = [("x".to_string(), "y".to_string())];
        let input = LinkInput {
            states: &states,
            behaviour: &behaviour,
            shifts: &[],
            couplings: &couplings,
            declining: &[],
            couples: &couples,
            position: "response-mean",
            layers: &[3],
            order: &[("c", 1.0), ("a", 2.0), ("b", 3.0)],
            seed: 1,
        };
        let r = links(&input).unwrap();
        // No shift was measured, so only the coupling has a link; implied cells are of one condition.
        let [l] = &r.links[..] else { panic!("{:?}", r.links) };
        assert!((l.estimate - 1.0).abs() < 1e-12 && (l.p - 1.0 / 6.0).abs() < 1e-12);
        assert_eq!((l.subject.as_str(), l.n, l.states, l.q), ("x x y", 3, 4, l.p));
        assert_eq!((l.preferences, l.least_p), (2, 1.0 / 6.0));
        assert!(l.p_max >= l.p);
        let points = r.link_points.iter().filter(|p| p.cells == "isolated");
        assert_eq!(points.count(), 4);
        assert_eq!(r.rankings.len(), 2);
        assert_eq!(r.rankings[0].quantity, "behaviour");
        assert_eq!((r.rankings[1].estimate, r.rankings[1].p), (1.0, 1.0 / 6.0));
        assert!(r.warnings.iter().any(|w| w.text.contains("3 conditions")));
        // Declining follows as closely, of no layer, and leaves what is inside as it was.
        let declining: Vec<DecliningRow> = (behaviour.iter())
            .map(|b| DecliningRow {
                answers: DECLINING.into(),
                kind: STATE.into(),
                set: b.state.clone(),
                estimate: 0.1 * b.isolated,
                ..DecliningRow::NONE
            })
            .collect();
        let with = links(&LinkInput { declining: &declining, ..input }).unwrap();
        let [inside, declines] = &with.links[..] else { panic!("{:?}", with.links) };
        assert_eq!((inside.p_max, inside.q, &inside.subject), (l.p_max, l.q, &l.subject));
        assert_eq!((&*declines.predictor, &*declines.subject), ("log-probability", DECLINING));
        assert!((declines.estimate - 1.0).abs() < 1e-12 && declines.layer.is_nan());
        // Behaviour has no layer, so it equals nothing, not even itself.
        assert_eq!(format!("{:?}", with.rankings), format!("{:?}", r.rankings));
    }

    #[test]
    fn a_condition_at_another_share_adds_to_no_link() {
        let (mut states, scores, couplings) = study();
        for (state, text) in states.iter_mut().zip(["base", "a", "a", "b", "c"]) {
            state.share = Some(0.5).filter(|_| text != BASE);
        }
        // The same claim at another ratio, which would spoil the correlation.
        let mut twin = State { text: "b".into(), share: Some(0.25), ..State::named("b-25-s1") };
        let again = |s: &ScoreRow| ScoreRow { state: twin.id.clone(), ..s.clone() };
        let of_twin: Vec<ScoreRow> = of(&scores, "b-s1").map(again).collect();
        let scores = [scores, of_twin].concat();
        let still =
            |c: &CouplingRow| CouplingRow { state: twin.id.clone(), estimate: -0.5, ..c.clone() };
        let of_twin: Vec<CouplingRow> =
            couplings.iter().filter(|c| c.state == "b-s1").map(still).collect();
        let couplings = [couplings, of_twin].concat();
        let couples = [("x".to_string(), "y".to_string())];
        let linked = |states: &[State]| {
            let order = [("c", 1.0), ("a", 2.0), ("b", 3.0), ("b-25", 4.0)];
            let input = LinkInput {
                states,
                behaviour: &behaviours(&scores, states),
                shifts: &[],
                couplings: &couplings,
                declining: &[],
                couples: &couples,
                position: "response-mean",
                layers: &[3],
                order: &order,
                seed: 1,
            };
            links(&input).unwrap()
        };
        let without = linked(&states);
        states.push(twin.clone());
        let with = linked(&states);
        assert_eq!((with.links[0].n, &*with.links[0].left_out), (3, "b-25"));
        assert!(with.rankings.iter().all(|r| r.n == 3 && r.left_out == "b-25"));
        assert_eq!(with.link_points, without.link_points);
        let as_before = LinkRow { left_out: String::new(), ..with.links[0].clone() };
        // As text: three conditions have no interval, and NaN is not equal to itself.
        assert_eq!(format!("{as_before:?}"), format!("{:?}", without.links[0]));
        // One whose share is not known is a condition like any other.
        twin.share = None;
        *states.last_mut().unwrap() = twin;
        let counted = linked(&states);
        assert_eq!((counted.links[0].n, &*counted.links[0].left_out), (4, ""));
        assert!(counted.links[0].estimate < 0.9);
    }
}
