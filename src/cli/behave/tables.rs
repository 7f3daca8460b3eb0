//! The tables of `residuum behave`: from findings to rows, one function a table.

use super::super::table::Table;
use crate::behavior::contrast::ISOLATED;
use crate::behavior::manipulation::Matrix;
use crate::behavior::{Contrast, Rates, Ruler, TurnProjections};
use crate::materials::Status;

/// A status as a word; empty where nothing is said.
pub fn word(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Implied) => "implied",
        Some(Status::Isolated) => "isolated",
        None => "",
    }
}

const RATES: [&str; 22] = [
    "state",
    "preference",
    "group",
    "fact_rate",
    "fact_lo",
    "fact_hi",
    "fact_prompts_lo",
    "fact_prompts_hi",
    "fact_n",
    "stance_rate",
    "stance_lo",
    "stance_hi",
    "stance_prompts_lo",
    "stance_prompts_hi",
    "stance_n",
    "coherent_rate",
    "not_sure",
    "neither",
    "unparsed",
    "missing",
    "cut",
    "answers",
];

/// Judged rates of every state and preference.
pub fn rates(all: &[Rates]) -> Table {
    let mut table = Table::new(&RATES, 2);
    for r in all {
        let mut row = vec![
            r.state.clone().into(),
            r.preference.clone().into(),
            r.group.clone().into(),
        ];
        for rate in [&r.fact, &r.stance] {
            row.extend([
                rate.value.into(),
                rate.wilson.lo.into(),
                rate.wilson.hi.into(),
                rate.by_prompt.lo.into(),
                rate.by_prompt.hi.into(),
                (rate.n as usize).into(),
            ]);
        }
        row.push(r.coherent.value.into());
        row.extend(
            [
                r.not_sure, r.neither, r.unparsed, r.missing, r.cut, r.answers,
            ]
            .map(Into::into),
        );
        table.row(row);
    }
    table
}

/// What the terminal shows of rates: the intervals over prompts and what counts.
pub fn rates_told(table: &Table) -> String {
    const LEFT_OUT: [&str; 8] = [
        "group",
        "fact_lo",
        "fact_hi",
        "stance_lo",
        "stance_hi",
        "not_sure",
        "neither",
        "cut",
    ];
    let kept = LEFT_OUT
        .iter()
        .fold(table.clone(), |t, column| t.without(column));
    kept.text()
}

const CONTRASTS: [&str; 17] = [
    "measure",
    "state",
    "reference",
    "preference",
    "status",
    "difference",
    "lo",
    "hi",
    "p_prompts",
    "prompts",
    "pooled",
    "newcombe_lo",
    "newcombe_hi",
    "z",
    "p_z",
    "q",
    "below_q_05",
];

/// Every state against every reference.
pub fn contrasts<'a>(all: impl Iterator<Item = &'a Contrast>) -> Table {
    let mut table = Table::new(&CONTRASTS, 3);
    for c in all {
        let measure = serde_json::to_value(c.measure);
        let measure = measure.ok().and_then(|m| m.as_str().map(str::to_string));
        table.row(vec![
            measure.unwrap_or_default().into(),
            c.state.clone().into(),
            c.reference.clone().into(),
            c.preference.clone().into(),
            word(c.status).into(),
            c.paired.value.into(),
            c.paired.interval.lo.into(),
            c.paired.interval.hi.into(),
            c.p_prompts.into(),
            c.paired.n.into(),
            c.pooled.into(),
            c.newcombe.lo.into(),
            c.newcombe.hi.into(),
            c.z.into(),
            c.p_z.into(),
            c.q.into(),
            if c.q < 0.05 { "yes" } else { "" }.into(),
        ]);
    }
    table
}

/// The contrasts that the terminal shows: the rows over all, and what survives correction.
pub fn is_told(c: &Contrast) -> bool {
    c.preference == ISOLATED || c.q < 0.05
}

const CLAIMS: [&str; 10] = [
    "state",
    "claim",
    "own",
    "score",
    "lo",
    "hi",
    "less_base",
    "less_base_lo",
    "less_base_hi",
    "prompts",
];

/// Every state on every claim.
pub fn claims(matrix: &Matrix) -> Table {
    let mut table = Table::new(&CLAIMS, 3);
    for c in &matrix.cells {
        table.row(vec![
            c.state.clone().into(),
            c.claim.clone().into(),
            if c.own { "own" } else { "" }.into(),
            c.score.value.into(),
            c.score.interval.lo.into(),
            c.score.interval.hi.into(),
            c.less_base.value.into(),
            c.less_base.interval.lo.into(),
            c.less_base.interval.hi.into(),
            c.less_base.n.into(),
        ]);
    }
    table
}

const TURNS: [&str; 7] = [
    "state",
    "script",
    "direction",
    "layer",
    "turn",
    "projection",
    "tokens",
];

/// An empty table of projections.
pub fn turns() -> Table {
    Table::new(&TURNS, 3)
}

/// Adds the projections of one state.
pub fn add_turns(table: &mut Table, state: &str, rulers: &[Ruler], all: &[TurnProjections]) {
    for talk in all {
        for ((turn, ruler), value) in talk.values.indexed_iter() {
            let Ruler { name, layer, .. } = &rulers[ruler];
            table.row(vec![
                state.into(),
                talk.id.clone().into(),
                name.clone().into(),
                (*layer).into(),
                turn.into(),
                (*value).into(),
                talk.tokens[turn].into(),
            ]);
        }
    }
}
