//! The topology: builds every actor, wires them, and stops them in the order in which work flows. The one place that
//! knows all of them.

mod accounts;
mod documents;
mod policies;

#[cfg(feature = "lake")]
use crate::actors::account_turns::AccountTurns;
use crate::actors::announcer::{Announcer, AnnouncerDeps};
use crate::actors::auditor::{Audit, AuditPolicy, Auditor, AuditorDeps};
#[cfg(feature = "aws")]
use crate::actors::bucket_watch::{BucketWatch, BucketWatchDeps};
#[cfg(feature = "lake")]
use crate::actors::compactor::{Compactor, CompactorDeps};
use crate::actors::compute::Compute;
use crate::actors::converter::{Converter, ConverterDeps};
use crate::actors::courier::Courier;
use crate::actors::dispatcher::{Dispatcher, DispatcherDeps};
use crate::actors::eraser::{Eraser, EraserDeps};
use crate::actors::handover::Handover;
use crate::actors::inference::{Inference, InferenceDeps, InferenceLimits};
use crate::actors::ingest::{BusyEvents, Ingest, IngestDeps};
#[cfg(feature = "lake")]
use crate::actors::lake::{Lake, LakeDeps};
use crate::actors::metrics::Metrics;
use crate::actors::outbox::Outbox;
use crate::actors::reporter::Reporter;
use crate::actors::resolver::{Resolver, ResolverDeps};
use crate::actors::scorer::{Scorer, ScorerDeps, ScorerPool};
use crate::actors::session_auth::SessionAuth;
use crate::actors::supervision::{Alive, Handle, SupervisionPolicy, Supervisor};
use crate::actors::trainer::{TrainerDeps, Trainers};
use crate::actors::updates::Updates;
use crate::actors::watches::Watches;
use crate::actors::wire::{Wire, WireDeps};
use crate::actors::work::Ledger;
use crate::config::{Config, seconds};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::scoring::{self, Backend};
use crate::storage::database::{Database, TrainingRule};
#[cfg(feature = "lake")]
use crate::storage::lake::sql::Engine;
#[cfg(feature = "aws")]
use crate::storage::notifications::Notifications;
use crate::storage::objects::Objects;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Hints that a slow listener may be behind by.
const UPDATES: usize = 4_096;

/// What the actors stand on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: Entropy,
    /// Metrics.
    pub metrics: Metrics,
    /// SQL over the lake, in a process that answers it.
    #[cfg(feature = "lake")]
    pub engine: Option<Engine>,
    /// Tells of objects put into the bucket.
    #[cfg(feature = "aws")]
    pub notifications: Option<Notifications>,
}

/// All actors, running.
#[derive(Debug)]
pub struct Topology {
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
    /// Who watches recordings.
    pub watches: Watches,
    /// Notes what is read and written.
    pub audit: Audit,
    ledger: Ledger,
    draining: Arc<AtomicBool>,
    trainers: Trainers,
    /// In the order in which they stop.
    supervisors: Vec<Supervisor>,
    metrics: Metrics,
}

impl Topology {
    /// Builds and wires all of them, back to front.
    #[must_use]
    pub fn start(config: &Config, ground: &Ground) -> Self {
        let Ground { database, objects, clock, entropy, metrics, .. } = ground.clone();
        let policy = policies::supervision(config);
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let compute = Compute::new(match config.compute.at_once {
            0 => processors + 1,
            at_once => at_once,
        });
        let (outbox, told) = Outbox::new();
        let outbox = database.is_shared().then_some(outbox);
        let updates = Updates::new(UPDATES, outbox.clone());
        let handover = Handover::new(config.ingest.handover_bytes);
        let ledger = Ledger::new(
            policies::work(config),
            database.clone(),
            clock.clone(),
            entropy.clone(),
            metrics.clone(),
            updates.clone(),
            outbox,
        );
        let draining = Arc::new(AtomicBool::new(false));
        let (audit, audit_supervisor) = start_auditor(config, ground, &policy);

        let rule = TrainingRule {
            minimum: config.training.minimum,
            every: config.training.every,
            from_others: config.training.from_others,
        };
        let process: Arc<str> = entropy.uuid().to_string().into();
        let wire_deps = WireDeps {
            database: database.clone(),
            told,
            ledger: ledger.clone(),
            updates: updates.clone(),
            entropy: entropy.clone(),
            process: process.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let wire_supervisor = database
            .is_shared()
            .then(|| Supervisor::start(&policy, &metrics, &entropy, move || Wire::new(wire_deps.clone())).1);

        let engine = scoring::engine::Engine::new(&policies::engine(config, processors), clock.clone());
        let scorer_deps = ScorerDeps {
            database: database.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            compute: compute.clone(),
            backend: Backend::Local,
            engine: engine.clone(),
            updates: updates.clone(),
            metrics: metrics.clone(),
        };
        let (scorers, scorer_supervisors): (Vec<_>, Vec<_>) = (0..config.scoring.workers)
            .map(|_| {
                let deps = scorer_deps.clone();
                Supervisor::start(&policy, &metrics, &entropy, move || Scorer::new(deps.clone()))
            })
            .unzip();
        let scorer_pool = ScorerPool::new(scorers);

        let trainer_deps = TrainerDeps {
            database: database.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            compute: compute.clone(),
            ledger: ledger.clone(),
            updates: updates.clone(),
            entropy: entropy.clone(),
            metrics: metrics.clone(),
            rule,
        };
        let trainers = Trainers::new(
            trainer_deps,
            policy.clone(),
            metrics.clone(),
            entropy.clone(),
            config.training.max_trainers,
            seconds(config.training.idle_seconds),
        );

        let converter_deps = ConverterDeps {
            database: database.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            compute: compute.clone(),
            handover: handover.clone(),
            ledger: ledger.clone(),
            updates: updates.clone(),
            rule,
        };
        let (converter, converter_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Converter::new(converter_deps.clone()));

        let eraser_deps = EraserDeps {
            database: database.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            updates: updates.clone(),
        };
        let (eraser, eraser_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Eraser::new(eraser_deps.clone()));

        let dispatcher_deps = DispatcherDeps {
            database: database.clone(),
            clock: clock.clone(),
            ledger: ledger.clone(),
            converter,
            trainers: trainers.clone(),
            scorers: scorer_pool,
            eraser,
            owner: process.clone(),
            tick: Duration::from_millis(config.queue.tick_ms),
            draining: draining.clone(),
        };
        let (_, dispatcher_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Dispatcher::new(dispatcher_deps.clone()));

        #[cfg(feature = "lake")]
        let (lake, lake_supervisor) = ground
            .engine
            .clone()
            .map(|engine| {
                let deps = LakeDeps {
                    database: database.clone(),
                    engine,
                    audit: audit.clone(),
                    turns: AccountTurns::default(),
                };
                Supervisor::start(&policy, &metrics, &entropy, move || Lake::new(deps.clone()))
            })
            .unzip();

        #[cfg(feature = "lake")]
        let compactor_supervisor = {
            let owner = process.clone();
            let compaction = crate::actors::lake::compaction(&config.lake, ground, owner, draining.clone());
            let deps = CompactorDeps { compaction };
            Supervisor::start(&policy, &metrics, &entropy, move || Compactor::new(deps.clone())).1
        };
        let documents = documents::start(config, ground, &policy, &compute);

        let ingest_deps = IngestDeps {
            database: database.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            audit: audit.clone(),
            compute,
            handover,
            ledger: ledger.clone(),
            updates: updates.clone(),
            max_bytes: config.uploads.max_bytes,
            at_once: Arc::new(Semaphore::new(config.ingest.at_once)),
            busy: BusyEvents::default(),
        };
        let (ingest, ingest_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Ingest::new(ingest_deps.clone()));

        let inference = Inference::new(InferenceDeps {
            database: database.clone(),
            objects: objects.clone(),
            audit: audit.clone(),
            engine,
            limits: InferenceLimits {
                deadline: Duration::from_millis(config.inference.deadline_ms),
                rows: config.inference.max_rows,
            },
        });

        let resolver_deps = ResolverDeps {
            database: database.clone(),
            objects,
            clock: clock.clone(),
            audit: audit.clone(),
            ledger: ledger.clone(),
            updates: updates.clone(),
            rule,
            at_once: Arc::new(Semaphore::new(config.graphql.at_once)),
            deadline: seconds(config.graphql.deadline_seconds),
            report_deadline: seconds(config.reports.deadline_seconds),
        };
        let (resolver, resolver_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Resolver::new(resolver_deps.clone()));

        let watches = Watches::new(config.live.max_waiting, metrics.clone());
        let announcer_deps = AnnouncerDeps {
            database: database.clone(),
            clock: clock.clone(),
            updates: updates.clone(),
            watches: watches.clone(),
            look_every: Duration::from_millis(config.live.look_ms),
            runtime: tokio::runtime::Handle::current(),
        };
        let (_, announcer_supervisor) =
            Supervisor::start(&policy, &metrics, &entropy, move || Announcer::new(announcer_deps.clone()));

        let (session_auth, account_supervisors) = accounts::start(config, ground, &policy, &audit);

        let mut supervisors = vec![announcer_supervisor, ingest_supervisor, resolver_supervisor];
        supervisors.extend(account_supervisors);
        supervisors.extend(documents.supervisors);
        supervisors.extend([dispatcher_supervisor, converter_supervisor, eraser_supervisor]);
        supervisors.extend(scorer_supervisors);
        supervisors.extend(wire_supervisor);
        #[cfg(feature = "lake")]
        supervisors.extend(lake_supervisor);
        #[cfg(feature = "lake")]
        supervisors.push(compactor_supervisor);
        #[cfg(feature = "aws")]
        supervisors.extend(watch_bucket(config, ground, &policy, &ingest, &draining));
        // Last: the others wait for it.
        supervisors.push(audit_supervisor);
        let documents::Documents { reporter, courier, .. } = documents;
        Self {
            session_auth,
            resolver,
            reporter,
            courier,
            ingest,
            inference,
            #[cfg(feature = "lake")]
            lake,
            updates,
            watches,
            audit,
            ledger,
            draining,
            trainers,
            supervisors,
            metrics,
        }
    }

    /// Whether each actor answers; trainers, who come and go, are left out.
    #[must_use]
    pub fn alive(&self) -> Vec<Alive> {
        self.supervisors.iter().map(Supervisor::alive).collect()
    }

    /// Takes no new jobs, waits for those under way, and stops every actor; the names of those that did not stop.
    pub async fn stop(self, limit: Duration) -> Vec<&'static str> {
        self.draining.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + limit;
        while !self.ledger.is_idle() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if !self.ledger.is_idle() {
            tracing::warn!("work was still under way; it resumes at the next start");
        }
        self.audit.write_unknown().await;
        let mut left = self.trainers.stop(Duration::from_secs(2)).await;
        for supervisor in self.supervisors {
            let name = supervisor.name();
            if !supervisor.stop(Duration::from_secs(2)).await {
                left.push(name);
            }
            self.metrics.actor_stopped(name);
        }
        left
    }
}

/// Starts writing the audit record.
fn start_auditor(config: &Config, ground: &Ground, policy: &SupervisionPolicy) -> (Audit, Supervisor) {
    let audit_policy = AuditPolicy {
        waiting: config.audit.waiting,
        at_once: config.audit.at_once,
        longest_wait: seconds(config.audit.longest_wait_seconds),
        unknown_every: seconds(config.audit.unknown_every_seconds),
        unknown_apart: config.audit.unknown_apart,
    };
    let (audit, entries) = Audit::new(&audit_policy, ground.clock.clone());
    let deps = AuditorDeps {
        database: ground.database.clone(),
        entries,
        audit: audit.clone(),
        policy: audit_policy,
        metrics: ground.metrics.clone(),
        runtime: tokio::runtime::Handle::current(),
    };
    let factory = move || Auditor::new(deps.clone());
    (audit, Supervisor::start(policy, &ground.metrics, &ground.entropy, factory).1)
}

/// Starts the bucket watch, where there is a queue to hear.
#[cfg(feature = "aws")]
fn watch_bucket(
    config: &Config,
    ground: &Ground,
    policy: &SupervisionPolicy,
    ingest: &Handle<Ingest>,
    draining: &Arc<AtomicBool>,
) -> Option<Supervisor> {
    let (bucket, prefix) = config.objects.bucket()?;
    let deps = BucketWatchDeps {
        notifications: ground.notifications.clone()?,
        ingest: ingest.clone(),
        bucket: bucket.to_owned(),
        prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
        metrics: ground.metrics.clone(),
        entropy: ground.entropy.clone(),
        at_once: config.ingest.sqs_at_once,
        hidden: seconds(config.ingest.sqs_hidden_seconds),
        draining: draining.clone(),
    };
    let factory = move || BucketWatch::new(deps.clone());
    Some(Supervisor::start(policy, &ground.metrics, &ground.entropy, factory).1)
}
