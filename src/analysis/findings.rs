//! Records to findings: what a report says, as rows.
