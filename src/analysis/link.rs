//! Behaviour against geometry across states.
