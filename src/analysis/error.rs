//! What can be wrong with an analysis.

/// Ways in which an analysis can fail.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    #[error("concept `{concept}` has no system prompts to read identical text behind; give its note system_positive and system_negative, or read the responses")]
    NoSystemPrompts { concept: String },
    #[error("concept `{concept}` has no pair of the main split; reported numbers are of those alone: mark some `\"split\": \"main\"`")]
    NoMainPairs { concept: String },
    #[error("{place}: {source}")]
    Text { place: String, source: crate::model::ModelError },
    #[error("{role} `{name}` is none of {known}; did you mean `{nearest}`?")]
    UnknownName { role: &'static str, name: String, nearest: String, known: String },
    #[error("the stream at {place} has RMS {rms} on the neutral texts, and a dose is in units of it: choose another place")]
    NoScale { place: String, rms: f64 },
    #[error("{what}: {why}")]
    Input { what: String, why: String },
    #[error("{about}: {source}")]
    Direction { about: String, source: crate::directions::DirectionError },
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    #[error(transparent)]
    Material(#[from] crate::materials::MaterialError),
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    #[error(transparent)]
    Behavior(#[from] crate::behavior::BehaviorError),
    #[error(transparent)]
    Geometry(#[from] crate::geometry::GeometryError),
    #[error(transparent)]
    Causal(#[from] crate::causal::CausalError),
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
