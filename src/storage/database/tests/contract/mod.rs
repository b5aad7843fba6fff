//! The contract: every function here holds on a fresh database of either kind.

mod accounts;
mod audit;
mod changes;
mod deletions;
mod event_records;
mod lake;
mod lists;
mod measurements;
mod model_names;
mod patients;
mod queue;
mod serving;
mod sessions;
mod steps;

use super::*;
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, SessionId};
use crate::domain::score::Failure;
use accounts::*;
use audit::*;
use changes::*;
use deletions::*;
use event_records::*;
use lake::*;
use lists::*;
use measurements::*;
use model_names::*;
use patients::*;
use queue::*;
use serving::*;
use sessions::*;
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
            // Each on the heap: together they are more than a test's stack.
            $(Box::pin(async { $name(&fresh().await.database).await }).await;)+
        }
    };
}

contract! {
    models_have_one_name_for_all_versions_and_who_may_not_see_them_does_not,
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
    a_session_ends_after_its_longest_life_and_leaves_a_bounded_number_of_tokens,
    an_account_has_a_bounded_number_of_sessions_and_the_best_are_left,
    sessions_of_accounts_that_are_not_confirmed_go_on_where_nobody_must_be,
    addresses_are_known_of_who_signed_in_until_somebody_else_may_have,
    one_admin_is_left_when_two_take_each_others_role_away,
    an_owner_sees_and_ends_their_sessions_and_no_others,
    a_changed_password_or_role_ends_sessions,
    a_mail_waits_once_and_is_taken_by_one_until_it_is_done_with,
    a_code_holds_for_its_attempts_and_once,
    a_second_factor_counts_from_its_first_code_and_no_step_counts_twice,
    the_newest_key_set_of_an_issuer_is_kept,
    the_first_signing_key_stays,
    the_first_secret_of_a_purpose_stays,
    an_event_is_told_of_as_a_whole,
    attempts_to_sign_in_are_counted_in_their_window,
    the_audit_record_is_one_chain_and_is_found_by_patient_account_and_time,
    what_retention_takes_away_leaves_a_chain_that_begins_later,
    a_wrong_clock_takes_no_recent_row_away,
    patients_are_listed_by_name_to_who_cares_for_them,
    test_events_are_changed_by_their_patient_and_listed_in_time,
    test_types_are_listed_by_name,
    patients_are_paged_by_name_and_found_by_what_they_begin_with,
    events_are_paged_in_time_and_filtered,
    what_lists_show_of_patients_and_recordings,
    scores_are_averaged_over_weeks_and_months_with_the_change,
    a_reader_of_the_lake_sees_the_patients_of_their_scope,
    what_is_known_of_a_recording_is_told_beside_its_samples,
    one_at_a_time_compacts_when_it_is_time,
    compaction_is_taken_for_what_is_deleted_whether_or_not_it_is_time,
    every_recording_is_read_once_through_compactions_and_deletions,
    what_is_deleted_has_no_row_and_its_objects_are_named_until_they_are_removed,
    a_recording_is_deleted_without_its_event_and_not_by_another,
    the_raw_object_of_an_upload_that_was_cut_short_is_looked_for,
    what_a_conversion_under_way_makes_is_removed_once_more,
    a_job_that_outlived_its_lease_may_still_make_objects,
    a_report_that_was_under_way_is_looked_for_once_more_while_the_id_is_free,
    a_model_that_was_retired_meanwhile_scores_no_more,
    a_deletion_that_is_asked_for_again_begins_anew,
    a_deleted_training_recording_is_unlearned,
    a_training_that_learned_from_what_was_deleted_is_refused,
    a_model_serves_by_its_verdict_and_by_an_operators_word,
    a_provisional_score_holds_until_there_is_a_model_of_ones_own,
    what_others_taught_is_learned_anew_when_it_is_deleted,
    who_had_a_training_recording_deleted_gets_a_provisional_model_all_the_same,
    a_provisional_model_that_was_taken_back_is_one_still,
    features_of_a_former_set_are_replaced,
    tests_are_assigned_once_and_taken_away,
    the_directory_names_everybody_and_tells_more_to_who_cares,
    a_score_is_set_by_hand_on_the_patients_own_event,
    stats_are_of_the_scores_in_the_window,
    ranges_are_of_a_day_and_a_movement,
    hints_reach_who_listens,
    what_changed_is_found_with_who_cares_for_its_patient,
    what_is_dropped_uncommitted_did_not_happen_and_statements_are_counted,
}

fn id_of(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}
