//! HTTP: checks the shape of a request, asks an actor, and turns the answer into a response. Holds no rule.

mod accept;
pub mod accounts;
mod body;
pub mod caller;
pub mod downloads;
pub mod graphql;
pub mod health;
pub mod inference;
pub mod models;
pub mod openapi;
mod places;
pub mod problem;
pub mod query;
pub mod request_log;
pub mod server;
pub mod sessions;
pub mod uploads;

use crate::actors::auditor::Audit;
use crate::actors::courier::Courier;
use crate::actors::inference::Inference;
use crate::actors::ingest::Ingest;
#[cfg(feature = "lake")]
use crate::actors::lake::Lake;
use crate::actors::metrics::Metrics;
use crate::actors::reporter::Reporter;
use crate::actors::resolver::Resolver;
use crate::actors::session_auth::SessionAuth;
use crate::actors::supervision::{Alive, Handle};
use crate::actors::topology::{Ground, Topology};
use crate::actors::updates::Updates;
use crate::config::{Config, ConfigError, seconds};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::storage::database::Database;
use crate::storage::objects::Objects;
use graphql::LiveServices;
use ipnet::IpNet;
use places::Places;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What handlers ask.
#[derive(Debug, Clone)]
pub struct Services {
    /// Accounts, sessions, tokens.
    pub session_auth: Handle<SessionAuth>,
    /// Reads and writes for clients.
    pub resolver: Handle<Resolver>,
    /// Reports and links to documents.
    pub reporter: Handle<Reporter>,
    /// Sends objects and records.
    pub courier: Handle<Courier>,
    /// Uploads.
    pub ingest: Handle<Ingest>,
    /// Models, asked and operated.
    pub inference: Inference,
    /// SQL over the lake, where it is answered here.
    #[cfg(feature = "lake")]
    pub lake: Option<Handle<Lake>>,
    /// Tells who waits for a recording.
    pub updates: Updates,
    /// Counts requests without a token that holds.
    pub audit: Audit,
    /// For readiness, and for a wait on a recording.
    pub database: Database,
    /// For readiness, and for bodies that arrive.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: Entropy,
    /// Metrics.
    pub metrics: Metrics,
    /// Limits of uploads.
    pub uploads: UploadLimits,
    /// Bytes of an inference request's body at most.
    pub inference_body: usize,
    /// A place for each upload whose body arrives.
    pub places: Places,
    /// Proxies that are believed when they say where a request came from.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Whether each actor answers.
    pub actors: Vec<Alive>,
    /// GraphQL.
    pub graphql: Arc<graphql::Api>,
    /// What links to this server begin with: known once it is bound.
    pub base: Arc<OnceLock<String>>,
    /// Whether there is a query page.
    pub query_page: bool,
    /// Whether the HTTP surface is described.
    pub openapi: bool,
    /// For live updates.
    pub live: LiveServices,
}

/// Limits of uploads.
#[derive(Debug, Clone)]
pub struct UploadLimits {
    /// Largest body, decoded, bytes.
    pub max_bytes: u64,
    /// How long no byte may arrive.
    pub idle_timeout: Duration,
    /// How long a body may take to arrive.
    pub longest: Duration,
}

impl Services {
    /// The services of a running topology.
    ///
    /// # Errors
    /// When the documents that are known beforehand cannot be read.
    pub fn new(config: &Config, ground: &Ground, topology: &Topology) -> Result<Self, ConfigError> {
        Ok(Self {
            session_auth: topology.session_auth.clone(),
            resolver: topology.resolver.clone(),
            reporter: topology.reporter.clone(),
            courier: topology.courier.clone(),
            ingest: topology.ingest.clone(),
            inference: topology.inference.clone(),
            #[cfg(feature = "lake")]
            lake: topology.lake.clone(),
            updates: topology.updates.clone(),
            audit: topology.audit.clone(),
            database: ground.database.clone(),
            objects: ground.objects.clone(),
            clock: ground.clock.clone(),
            entropy: ground.entropy.clone(),
            metrics: ground.metrics.clone(),
            uploads: UploadLimits {
                max_bytes: config.uploads.max_bytes,
                idle_timeout: seconds(config.uploads.idle_timeout_seconds),
                longest: seconds(config.uploads.longest_seconds),
            },
            inference_body: config.inference.max_body_bytes,
            places: Places::for_uploads(
                config.uploads.max_open,
                config.uploads.max_open_per_account,
                ground.metrics.clone(),
            ),
            trusted_proxies: config.http.trusted_proxies.clone().into(),
            actors: topology.alive(),
            graphql: Arc::new(graphql::Api::new(&config.graphql)?),
            base: Arc::default(),
            query_page: config.http.query_page,
            openapi: config.http.openapi,
            live: LiveServices::new(&config.live, topology.watches.clone(), &ground.metrics),
        })
    }
}
