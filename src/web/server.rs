//! The HTTP server: routes, bounds, and an orderly end.

use super::{
    Services, accounts, downloads, graphql, health, inference, models, openapi, problem, query, request_log, sessions,
    uploads,
};
use crate::config::{HttpConfig, seconds};
use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use std::net::SocketAddr;
use std::sync::Arc;

/// Binds the address and starts to serve; gives the address that it got.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(config: &HttpConfig, services: &Services) -> std::io::Result<(SocketAddr, Server)> {
    let base = services.base.clone();
    let services = web::Data::from(Arc::new(services.clone()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(services.clone())
            .configure(problem::configure)
            .wrap(actix_web::middleware::from_fn(request_log::log))
            .configure(health::configure)
            .configure(accounts::configure)
            .configure(sessions::configure)
            .configure(uploads::configure)
            .configure(downloads::configure)
            .configure(models::configure)
            .configure(graphql::configure)
            .configure(query::configure)
            .configure(inference::configure)
            .configure(openapi::configure)
            .default_service(web::to(problem::no_such_route))
    })
    .workers(config.workers)
    .worker_max_blocking_threads(config.disk_threads)
    .max_connections(config.max_connections)
    .keep_alive(seconds(config.keep_alive_seconds))
    .client_request_timeout(seconds(config.head_timeout_seconds))
    .shutdown_timeout(config.drain_seconds)
    .disable_signals()
    .bind(&config.bind)?;
    let address = server.addrs().first().copied().ok_or_else(|| std::io::Error::other("no address was bound"))?;
    let public = config.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    base.get_or_init(|| public.unwrap_or_else(|| format!("http://{address}")));
    Ok((address, server.run()))
}
