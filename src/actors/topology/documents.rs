//! Those who make and send documents: reports, links, exports.

use super::Ground;
use crate::actors::account_turns::AccountTurns;
use crate::actors::compute::Compute;
use crate::actors::courier::{Courier, CourierDeps};
use crate::actors::links::Links;
use crate::actors::reporter::{Reporter, ReporterDeps, UnderWay};
use crate::actors::supervision::{Handle, SupervisionPolicy, Supervisor};
use crate::config::{Config, seconds};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Those who make and send documents.
pub(super) struct Documents {
    pub(super) reporter: Handle<Reporter>,
    pub(super) courier: Handle<Courier>,
    pub(super) supervisors: [Supervisor; 2],
}

/// Starts them.
pub(super) fn start(config: &Config, ground: &Ground, policy: &SupervisionPolicy, compute: &Compute) -> Documents {
    let Ground { database, objects, clock, entropy, metrics, .. } = ground;
    let settings = &config.reports;
    let links =
        Links::new(database.clone(), objects.clone(), clock.clone(), entropy.clone(), seconds(settings.link_seconds));
    let reporter_deps = ReporterDeps {
        database: database.clone(),
        objects: objects.clone(),
        clock: clock.clone(),
        compute: compute.clone(),
        links: links.clone(),
        requests: Arc::new(Semaphore::new(settings.requests_at_once)),
        at_once: Arc::new(Semaphore::new(settings.at_once)),
        deadline: seconds(settings.deadline_seconds),
        under_way: UnderWay::default(),
    };
    let (reporter, reporter_supervisor) =
        Supervisor::start(policy, metrics, entropy, move || Reporter::new(reporter_deps.clone()));
    let courier_deps = CourierDeps {
        database: database.clone(),
        objects: objects.clone(),
        clock: clock.clone(),
        compute: compute.clone(),
        links,
        objects_at_once: Arc::new(Semaphore::new(settings.downloads_at_once)),
        records_at_once: Arc::new(Semaphore::new(settings.exports_at_once)),
        turns: AccountTurns::default(),
        patience: seconds(settings.idle_seconds),
        longest: seconds(settings.longest_seconds),
        most_events: settings.export_events,
    };
    let (courier, courier_supervisor) =
        Supervisor::start(policy, metrics, entropy, move || Courier::new(courier_deps.clone()));
    Documents { reporter, courier, supervisors: [reporter_supervisor, courier_supervisor] }
}
