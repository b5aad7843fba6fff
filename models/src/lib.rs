//! Stance's models: from the samples of a recording to a score, and from scored recordings to a model.
//!
//! Pure: bytes and numbers in, bytes and numbers out. No files, no wall clock, no ambient randomness, no actor, no HTTP, no SQL; whatever
//! of those is needed is passed in.
//!
//! | module | subject |
//! | --- | --- |
//! | [`recording`] | checked samples of one recording, its sampling rate |
//! | [`signal`] | spectra equal to SciPy's |
//! | [`features`] | the versioned feature vector of a recording |
//! | [`estimators`] | candidate estimators (mean, ridge, elastic net, PLS, SVR, Gaussian process) and their fits |
//! | `members` | all candidates fitted to the same rows, what each predicts of what was left out, and their average |
//! | [`prior`] | what the patients of one care provider have in common |
//! | [`training`] | a model from scored recordings: the average of candidates by left-out error |
//! | [`model`], [`kernel_part`] | a trained model and its predictions |
//! | [`novelty`] | whether a recording is like those of training |
//! | [`evaluation`] | how good models are on recordings held out |
//! | [`promotion`] | whether a new version is to serve |
//! | [`card`] | what a model is made of and how good it is |
//! | [`artifact`] | model and card as one `.tar.gz` |
//! | [`cache`] | the byte-bounded least-recently-used cache of loaded models, shared by all who score |
//! | [`entries`] | an artifact's entries as files, as platforms that unpack it keep them |
//! | [`tensors`] | requests and answers of the Open Inference Protocol, as bytes |
//!
//! Deliberately absent: any per-patient state, any parsing of recordings, any knowledge of where artifacts are kept.

mod algebra;
pub mod artifact;
pub mod cache;
pub mod card;
mod ensemble;
pub mod entries;
pub mod estimators;
pub mod evaluation;
pub mod features;
mod interval;
pub mod kernel_part;
mod members;
pub mod model;
pub mod novelty;
pub mod prior;
pub mod promotion;
pub mod recording;
pub mod signal;
pub mod tensors;
pub mod training;
mod training_set;
