//! Ablations and doses of directions.
