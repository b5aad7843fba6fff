//! Every test here drives the real program as a client would: started on a free port with a data folder of its own,
//! spoken to over HTTP and the command line.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod access;
mod accounts;
mod audit;
mod backfill;
mod bodies;
mod cognito;
mod command_line;
mod contract;
mod deletion;
mod evaluate;
mod events;
mod export;
mod faults;
mod full_disk;
mod graphql;
mod graphql_limits;
mod graphql_lists;
mod harness;
mod inference;
mod killing;
mod lake;
mod live;
mod mail;
mod malformed;
mod model_card;
mod model_server;
mod own_accounts;
mod panics;
mod postgres;
mod real_data;
mod reports;
mod schemathesis;
mod surface;
mod together;
mod training;
mod uploads;
