//! `live.*`: the bounds of subscriptions.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Live updates over WebSockets.
    LiveConfig {
        /// Connections at once; further ones are told to come back.
        max_connections: usize = 5_000,
        /// Connections of one account at once.
        max_connections_per_account: usize = 64,
        /// Subscriptions of one connection at once.
        max_subscriptions: usize = 32,
        /// Bytes of the largest message of a client.
        max_message_bytes: usize = 128 << 10,
        /// Recordings whose change waits for one subscription; beyond that it ends with the code `fell_behind`.
        max_waiting: usize = 256,
        /// Seconds that a client may take to say who it is.
        init_seconds: u64 = 10,
        /// Seconds between pings; who is silent for two of them is gone.
        ping_seconds: u64 = 20,
        /// Seconds that a message may take to be taken off by its client.
        stalled_seconds: u64 = 30,
        /// Seconds between looks whether a connection's session still holds.
        recheck_seconds: u64 = 30,
        /// Milliseconds between looks for changes whose hints were lost.
        look_ms: u64 = 5_000,
    }
);
