//! Where rows, objects and the lake live.

#[cfg(feature = "aws")]
pub mod aws;
pub mod database;
pub mod lake;
#[cfg(feature = "aws")]
pub mod notifications;
pub mod objects;
