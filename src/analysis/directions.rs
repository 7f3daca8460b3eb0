//! Concepts to directions with their quality.
