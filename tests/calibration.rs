//! `make calibrate` in a reduced form: the same planted data and the same promises, fewer trials,
//! and bounds that a sound interval passes with near certainty and a wrong one does not.

#[path = "../examples/calibrate/check.rs"]
mod check;
#[path = "../examples/calibrate/confound.rs"]
mod confound;
#[path = "../examples/calibrate/contrasts.rs"]
mod contrasts;
#[path = "../examples/calibrate/cosine.rs"]
mod cosine;
#[path = "../examples/calibrate/intervals.rs"]
mod intervals;
#[path = "../examples/calibrate/keys.rs"]
mod keys;
#[path = "../examples/calibrate/nulls.rs"]
mod nulls;
#[path = "../examples/calibrate/plant.rs"]
mod plant;
#[path = "../examples/calibrate/transfer.rs"]
mod transfer;

use check::{Check, Size};

#[track_caller]
fn pass(checks: Vec<Check>) {
    assert!(!checks.is_empty());
    let failed: Vec<String> =
        (checks.iter()).filter(|c| !c.passed()).map(|c| c.to_string()).collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn planted_cosines_are_recovered_and_held() {
    pass(cosine::planted(Size::REDUCED));
}

#[test]
fn planted_changes_are_recovered_and_held() {
    pass(cosine::changes(Size::REDUCED));
}

#[test]
fn conditions_are_held_over_seeds() {
    pass(cosine::conditions(Size::REDUCED));
}

#[test]
fn other_intervals_hold() {
    pass(intervals::all(Size::REDUCED));
}

#[test]
fn label_nulls_are_uniform_and_false_findings_held() {
    pass(nulls::labels(Size::REDUCED));
}

#[test]
fn random_directions_are_uniform() {
    pass(nulls::directions(Size::REDUCED));
}

#[test]
fn states_alike_are_uniform() {
    pass(nulls::states(Size::REDUCED));
}

#[test]
fn other_nulls_are_uniform() {
    pass(nulls::others(Size::REDUCED));
}

#[test]
fn the_whole_calibration_asks_for_93_to_97_percent_of_500_trials_or_more() {
    let Size { coverage, null, bounds, .. } = Size::WHOLE;
    assert_eq!(bounds, (0.93, 0.97));
    assert!(coverage.min(null) >= 500);
}

#[test]
fn acquiescence_is_named_and_a_preference_leaves_no_bias() {
    pass(keys::all(Size::REDUCED));
}

#[test]
fn a_refusal_confound_is_named_and_none_is_named_without_one() {
    pass(confound::all(Size::REDUCED));
}

#[test]
fn intervals_of_conditions_count_their_fine_tunes() {
    pass(contrasts::all(Size::REDUCED));
}

#[test]
fn a_direction_on_the_pairs_of_another_set_counts_both() {
    pass(transfer::all(Size::REDUCED));
}
