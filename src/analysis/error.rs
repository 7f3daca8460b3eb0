//! What can be wrong with an analysis.

/// Ways in which an analysis can fail.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A concept whose note has no system prompts, read behind them.
    #[error("concept `{concept}` has no system prompts to read identical text behind; give its note system_positive and system_negative, or read the responses")]
    NoSystemPrompts {
        /// Name of the concept.
        concept: String,
    },
    /// A concept without pairs of the main split.
    #[error("concept `{concept}` has no pair of the main split; reported numbers are of those alone: mark some `\"split\": \"main\"`")]
    NoMainPairs {
        /// Name of the concept.
        concept: String,
    },
    /// A text that the template refuses or that is too long.
    #[error("{place}: {source}")]
    Text {
        /// Where the text is from, with its id.
        place: String,
        /// What the model says of it.
        source: crate::model::ModelError,
    },
    /// A name that is none of the known ones.
    #[error("{role} `{name}` is none of {known}; did you mean `{nearest}`?")]
    UnknownName {
        /// What the name should have been of.
        role: &'static str,
        /// The name that was given.
        name: String,
        /// The known name most like it; empty where none is.
        nearest: String,
        /// The known names, parted by commas.
        known: String,
    },
    /// A place where the stream has no RMS that a dose can be a multiple of.
    #[error("the stream at {place} has RMS {rms} on the neutral texts, and a dose is in units of it: choose another place")]
    NoScale {
        /// The hook point.
        place: String,
        /// The RMS: 0 or not finite.
        rms: f64,
    },
    /// Inputs that do not fit one another or are not there.
    #[error("{what}: {why}")]
    Input {
        /// The input at fault.
        what: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A direction that cannot be estimated.
    #[error("{about}: {source}")]
    Direction {
        /// State, concept and layer, as far as they apply.
        about: String,
        /// What the estimator says of it.
        source: crate::directions::DirectionError,
    },
    /// Of the room `model`.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// Of the room `materials`.
    #[error(transparent)]
    Material(#[from] crate::materials::MaterialError),
    /// Of the room `capture`.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    /// Of the room `behavior`.
    #[error(transparent)]
    Behavior(#[from] crate::behavior::BehaviorError),
    /// Of the room `geometry`.
    #[error(transparent)]
    Geometry(#[from] crate::geometry::GeometryError),
    /// Of the room `causal`.
    #[error(transparent)]
    Causal(#[from] crate::causal::CausalError),
    /// Of the room `stats`.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// Of the room `store`.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
