//! Whether a model may score what comes.

/// What was found of a model when it was made, or what an operator has decided since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It serves, where no newer one does.
    Serves,
    /// It was made without a scored recording of the patient's own: it serves until one is there that was not.
    Provisional,
    /// It is kept and shown: it predicts no better than the mean score.
    NoBetterThanMean,
    /// It is kept and shown: on the same recordings it is worse than the one that serves.
    WorseThanCurrent,
    /// It is kept and shown: an operator took it back.
    Withdrawn,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] =
        [Self::Serves, Self::Provisional, Self::NoBetterThanMean, Self::WorseThanCurrent, Self::Withdrawn];

    /// The name in documents, metrics and the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::Provisional => "provisional",
            Self::NoBetterThanMean => "no_better_than_mean",
            Self::WorseThanCurrent => "worse_than_current",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}
