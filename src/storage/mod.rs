//! Where rows, objects and the lake live.

pub mod database;
pub mod lake;
pub mod objects;
