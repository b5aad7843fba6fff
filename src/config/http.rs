//! `http.*`: the server.

use super::sections::section;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

section!(
    /// The HTTP server.
    HttpConfig {
        /// Address and port; port 0 picks one.
        bind: String = "127.0.0.1:8080".into(),
        /// Threads that speak HTTP.
        workers: usize = 2,
        /// Threads that write arriving bodies to the disk, per worker.
        disk_threads: usize = 4,
        /// Connections at once, per thread.
        max_connections: usize = 10_000,
        /// Seconds that a client may take to send a request's head.
        head_timeout_seconds: u64 = 10,
        /// Seconds that a connection may be idle: more than a load balancer in front keeps it, or it sends into a closed one.
        keep_alive_seconds: u64 = 75,
        /// Networks of the proxies in front, such as `10.0.0.0/8`: they are believed when `X-Forwarded-For` says where a
        /// request came from.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Seconds that requests under way get when the program stops.
        drain_seconds: u64 = 20,
        /// Where clients reach the server, such as `https://stance.example.org`: what links to it begin with. Without it they
        /// name the address that is bound; what a request says of its host is never believed.
        public_url: Option<String> = None,
        /// Whether there is a GraphQL query page at `/graphiql`.
        query_page: bool = true,
        /// Whether the HTTP surface is described at `/openapi.json`.
        openapi: bool = true,
    }
);
