//! The contract: every function here holds on a fresh database of either kind.

mod accounts;
mod event_records;
mod patients;
mod queue;
mod steps;

use super::*;
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, SessionId};
use crate::domain::score::{Failure, Score};
use accounts::*;
use event_records::*;
use patients::*;
use queue::*;
use steps::*;

macro_rules! contract {
    ($($name:ident,)+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Here::sqlite().await.database).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Here::postgres().await.database).await;
            })+
        }

        /// Runs all of it, for who wants to have seen every statement.
        pub(super) async fn run_everything(fresh: impl AsyncFn() -> Here) {
            $($name(&fresh().await.database).await;)+
        }
    };
}

contract! {
    a_recording_is_accepted_once,
    a_recording_that_landed_makes_its_patient_and_keeps_its_failure,
    a_placeholder_is_filled_in_once,
    a_result_under_an_old_lease_is_refused_whole,
    a_lease_that_is_extended_holds,
    lanes_take_turns,
    a_count_that_is_complete_starts_one_training_and_its_model_the_backlog,
    a_postponed_job_has_not_been_tried,
    a_job_that_is_given_up_marks_its_recording_and_keeps_its_reason,
    jobs_that_were_given_up_are_requeued_and_their_recordings_too,
    a_backlog_is_scored_in_its_order,
    jobs_that_are_given_back_are_leased_again_at_the_same_attempt,
    an_account_has_one_address_and_its_patient,
    a_refresh_token_holds_once_and_used_again_ends_its_session,
    the_first_signing_key_stays,
    the_first_secret_of_a_purpose_stays,
    an_event_is_told_of_as_a_whole,
    attempts_to_sign_in_are_counted_in_their_window,
    patients_are_listed_by_name_to_who_cares_for_them,
    test_events_are_changed_by_their_patient_and_listed_in_time,
    test_types_are_listed_by_name,
    hints_reach_who_listens,
    what_is_dropped_uncommitted_did_not_happen_and_statements_are_counted,
}

fn id_of(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}
