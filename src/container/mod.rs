//! The program as a container of Amazon SageMaker: [`serving`] of one model or many, whom the platform loads and unloads, and
//! [`training`] of one. No database, no accounts: whoever reaches the port is the platform. docs/MODEL-SERVER.md has the contract.

mod folder;
mod payload;
pub mod serving;
pub mod training;
