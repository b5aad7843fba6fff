//! One object, a piece at a time.

use super::body::{Body, Outlet, body};
use super::{CourierDeps, ServiceError};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{ObjectError, Objects};
use bytes::Bytes;
use std::ops::Range;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of a piece that is read at once.
pub(super) const PIECE: u64 = 512 << 10;

/// Begins to send the object. The place is taken until it is sent.
pub(super) async fn send(
    deps: &CourierDeps,
    key: ObjectKey,
    place: OwnedSemaphorePermit,
) -> Result<Body, ServiceError> {
    let first = match deps.objects.get_range(&key, piece(0)).await {
        Err(ObjectError::NotFound) => return Err(ServiceError::NotFound("object")),
        first => first?,
    };
    let (outlet, body) = body(deps.patience);
    let (objects, longest) = (deps.objects.clone(), deps.longest);
    actix::spawn(async move {
        let _place = place;
        if tokio::time::timeout(longest, rest(&objects, &key, first, outlet)).await.is_err() {
            tracing::warn!("a linked object took too long to be sent");
        }
    });
    Ok(body)
}

/// Sends what was read, and the rest. What fails on the way breaks the body off.
async fn rest(objects: &Objects, key: &ObjectKey, first: Bytes, outlet: Outlet) {
    let (mut from, mut read) = (0, first);
    loop {
        let length = read.len() as u64;
        from += length;
        if outlet.send(read).await.is_err() {
            return;
        }
        if length < PIECE {
            break;
        }
        read = match objects.get_range(key, piece(from)).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "a linked object could not be read to its end");
                return;
            }
        };
    }
    // Who has gone by now has it whole.
    let _ = outlet.end().await;
}

/// The range of the piece that begins there.
pub(super) fn piece(from: u64) -> Range<u64> {
    from..from + PIECE
}
