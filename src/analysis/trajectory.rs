//! What moves first over a fine-tune.
