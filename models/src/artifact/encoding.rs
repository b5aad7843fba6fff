//! The numbers of a model as bytes, little-endian.
//!
//! | part | format 3, magic `STANCEM3` |
//! | --- | --- |
//! | head | counts as u32: features, kernel parts, 1 where there is an envelope, 1 where there is a common part; half width and intercept as f64 |
//! | linear | weight, low and high of each feature (f64) |
//! | common part | intercept, then as linear (f64) |
//! | envelope | typical distance (f64), mean of each feature, deviation of each (f32) |
//! | a kernel part | counts as u32: columns, components, rows, widths; index (u32), mean and deviation (f32) of each column; projection and support (f32); for each width its scale and its weights (f64) |
//!
//! Format 2, magic `STANCEM2`: the same without a common part and its count. Format 1, magic `STANCEM1`: the number of features
//! (u32), half width, intercept, then weight, low and high of each (f64).
//!
//! Counts are checked against bounds before anything is reserved for them, and nothing may be left over.

use thiserror::Error;

use crate::card::{FORMAT_VERSION, OLDEST_VERSION};
use crate::features::{FEATURES, FORMER_FEATURES};
use crate::kernel_part::{Bumps, KernelPart, StandardColumn};
use crate::model::{Linear, Term, TrainedModel, Unchecked};
use crate::novelty::Envelope;

/// Kernel parts of a model at most.
pub const MAX_KERNELS: usize = 16;
/// Components of a kernel part at most.
pub const MAX_COMPONENTS: usize = 16;
/// Rows of a kernel part's support at most.
pub const MAX_ROWS: usize = 256;
/// Widths of a kernel part at most.
pub const MAX_WIDTHS: usize = 8;

/// Why the numbers of a model were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It begins with something else.
    #[error("it does not begin with its magic")]
    Magic,
    /// It ends before its last number.
    #[error("it is cut short")]
    Short,
    /// Something follows its last number.
    #[error("it is longer than it says")]
    Long,
    /// A count is beyond its bound.
    #[error("it says that it has {found} {what}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many it says.
        found: usize,
    },
}

/// What the numbers of a format begin with.
fn magic(format: u32) -> Vec<u8> {
    format!("STANCEM{format}").into_bytes()
}

/// A model as bytes.
pub(super) fn encode(model: &TrainedModel) -> Vec<u8> {
    let mut bytes = magic(FORMAT_VERSION);
    let count = |bytes: &mut Vec<u8>, n: usize| bytes.extend((n as u32).to_le_bytes());
    count(&mut bytes, model.linear().terms.len());
    count(&mut bytes, model.kernels().len());
    count(&mut bytes, usize::from(model.envelope().is_some()));
    count(&mut bytes, usize::from(model.common().is_some()));
    doubles(&mut bytes, [model.half_width()]);
    linear(&mut bytes, model.linear());
    if let Some(common) = model.common() {
        linear(&mut bytes, common);
    }
    if let Some(Envelope { means, deviations, typical }) = model.envelope() {
        doubles(&mut bytes, [*typical]);
        singles(&mut bytes, means.iter().chain(deviations).copied());
    }
    for KernelPart { columns, components, projection, support, bumps } in model.kernels() {
        for n in [columns.len(), *components, support.len() / (*components).max(1), bumps.len()] {
            count(&mut bytes, n);
        }
        for column in columns {
            bytes.extend(column.index.to_le_bytes());
            singles(&mut bytes, [column.mean, column.sd]);
        }
        singles(&mut bytes, projection.iter().chain(support).copied());
        for Bumps { scale, weights } in bumps {
            doubles(&mut bytes, std::iter::once(*scale).chain(weights.iter().copied()));
        }
    }
    bytes
}

fn linear(bytes: &mut Vec<u8>, Linear { intercept, terms }: &Linear) {
    doubles(bytes, [*intercept]);
    doubles(bytes, terms.iter().flat_map(|term| [term.weight, term.low, term.high]));
}

fn doubles(bytes: &mut Vec<u8>, values: impl IntoIterator<Item = f64>) {
    bytes.extend(values.into_iter().flat_map(f64::to_le_bytes));
}

fn singles(bytes: &mut Vec<u8>, values: impl IntoIterator<Item = f32>) {
    bytes.extend(values.into_iter().flat_map(f32::to_le_bytes));
}

/// The parts of a model from bytes of that format; their numbers are not checked.
pub(super) fn decode(bytes: &[u8], format: u32) -> Result<Unchecked, Malformed> {
    let mut reader = Reader(bytes.strip_prefix(magic(format).as_slice()).ok_or(Malformed::Magic)?);
    let parts = if format == OLDEST_VERSION { reader.oldest() } else { reader.model(format >= FORMAT_VERSION) }?;
    if reader.0.is_empty() { Ok(parts) } else { Err(Malformed::Long) }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn oldest(&mut self) -> Result<Unchecked, Malformed> {
        let features = self.count("features", FORMER_FEATURES)?;
        let half_width = self.double()?;
        let mut linear = self.linear(features)?;
        if features == FORMER_FEATURES {
            linear.terms.resize(FEATURES, Term::default());
        }
        Ok(Unchecked { linear, half_width, ..Unchecked::default() })
    }

    fn model(&mut self, may_be_common: bool) -> Result<Unchecked, Malformed> {
        let features = self.count("features", FEATURES)?;
        let kernels = self.count("kernel parts", MAX_KERNELS)?;
        let has_envelope = self.count("envelopes", 1)? == 1;
        let has_common = may_be_common && self.count("common parts", 1)? == 1;
        let half_width = self.double()?;
        let linear = self.linear(features)?;
        let common = has_common.then(|| self.linear(features)).transpose()?;
        let envelope = if has_envelope {
            let [typical] = self.doubles_exactly()?;
            let (means, deviations) = (self.singles(features)?, self.singles(features)?);
            Some(Envelope { means, deviations, typical })
        } else {
            None
        };
        let kernels = (0..kernels).map(|_| self.kernel()).collect::<Result<_, _>>()?;
        Ok(Unchecked { linear, common, kernels, envelope, half_width })
    }

    fn linear(&mut self, features: usize) -> Result<Linear, Malformed> {
        let intercept = self.double()?;
        let mut terms = Vec::with_capacity(features);
        for _ in 0..features {
            let [weight, low, high] = self.doubles_exactly()?;
            terms.push(Term { weight, low, high });
        }
        Ok(Linear { intercept, terms })
    }

    fn kernel(&mut self) -> Result<KernelPart, Malformed> {
        let columns = self.count("columns", FEATURES)?;
        let components = self.count("components", MAX_COMPONENTS)?;
        let rows = self.count("rows", MAX_ROWS)?;
        let widths = self.count("widths", MAX_WIDTHS)?;
        let column = |reader: &mut Self| {
            let index = u32::from_le_bytes(reader.take()?);
            let (mean, sd) = (f32::from_le_bytes(reader.take()?), f32::from_le_bytes(reader.take()?));
            Ok(StandardColumn { index, mean, sd })
        };
        let columns: Vec<StandardColumn> = (0..columns).map(|_| column(self)).collect::<Result<_, _>>()?;
        let (projection, support) = (self.singles(columns.len() * components)?, self.singles(rows * components)?);
        let width = |reader: &mut Self| {
            let [scale] = reader.doubles_exactly()?;
            let weights = (0..rows).map(|_| reader.double()).collect::<Result<_, _>>()?;
            Ok(Bumps { scale, weights })
        };
        let bumps = (0..widths).map(|_| width(self)).collect::<Result<_, _>>()?;
        Ok(KernelPart { columns, components, projection, support, bumps })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn count(&mut self, what: &'static str, most: usize) -> Result<usize, Malformed> {
        let found = u32::from_le_bytes(self.take()?) as usize;
        if found > most { Err(Malformed::Count { what, found }) } else { Ok(found) }
    }

    fn double(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    fn doubles_exactly<const N: usize>(&mut self) -> Result<[f64; N], Malformed> {
        let mut found = [0.0; N];
        for slot in &mut found {
            *slot = self.double()?;
        }
        Ok(found)
    }

    fn singles(&mut self, n: usize) -> Result<Vec<f32>, Malformed> {
        (0..n).map(|_| Ok(f32::from_le_bytes(self.take()?))).collect()
    }
}
