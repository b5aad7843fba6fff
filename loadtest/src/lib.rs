//! Makes realistic movement recordings, fills a demo clinic, and measures a whole Stance program from outside.
//!
//! [`generator`] is pure: a seed gives the same recording on every machine. Everything else speaks to a server as a
//! phone or a care provider would.

pub mod backends;
pub mod client;
pub mod demo;
pub mod generate;
pub mod generator;
pub mod lake;
pub mod live;
pub mod measure;
pub mod pages;
pub mod peers;
pub mod program;
