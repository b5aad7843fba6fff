//! Stance.
fn main() {}
