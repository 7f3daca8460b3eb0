//! Geometry of the states: coupling, its changes, shifts, and what is asked beside them.
