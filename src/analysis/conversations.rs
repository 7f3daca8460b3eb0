//! Preferences that come up in conversations, and how long a place on an axis lasts.
