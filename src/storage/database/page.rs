//! Pages of a list.

use super::Result;
use super::statement::Row;

/// Some entries of a list, and how many it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Entries of the whole list, counted up to a bound.
    pub total: u32,
}

impl<T> Page<T> {
    /// Reads rows of which each has the column `total`. A list that is at its end has one row, whose `key` is null.
    pub(super) fn read(rows: &[Row], key: &'static str, read: impl Fn(&Row) -> Result<T>) -> Result<Self> {
        let total = rows.first().map(|row| row.get("total")).transpose()?.unwrap_or(0);
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            if !row.is_null(key)? {
                entries.push(read(row)?);
            }
        }
        Ok(Self { entries, total })
    }
}
