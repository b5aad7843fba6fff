//! Plain types and rules: identities, roles, recordings, time. No I/O, no HTTP, no SQL, no actor.

pub mod access;
pub mod audit;
pub mod averages;
pub mod bucket_event;
pub mod clock;
pub mod code;
pub mod entropy;
pub mod ids;
pub mod link;
pub mod network;
pub mod object_key;
pub mod recording;
pub mod score;
pub mod verdict;
