//! What the tests of Stance need around it: servers that are started once a run, and faults between them and us.

pub mod faults;
pub mod s3;
pub mod shared;
