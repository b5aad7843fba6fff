//! Stance turns movement recordings from a phone into scores in front of a care provider.
//!
//! Imports run down only: `cli` → `web` → `actors` → `scoring` → `config`, `storage` → `domain`. docs/ARCHITECTURE.md
//! is the map.

pub mod actors;
pub mod cli;
pub mod config;
pub mod container;
pub mod documents;
pub mod domain;
pub mod scoring;
pub mod storage;
pub mod web;
