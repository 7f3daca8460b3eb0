//! What states express: scores, contrasts, claims, one factor.
