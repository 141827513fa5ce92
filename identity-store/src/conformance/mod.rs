//! One suite for every back end: each sentence of the traits' documentation, told as a story.
//!
//! A back end runs it with [`conformance_tests!`](crate::conformance_tests). Every story gets a
//! store of its own, empty.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

mod fixtures;
pub mod play;
mod scene;
mod verdicts;
mod witness;

#[doc(hidden)]
pub mod admission;
#[doc(hidden)]
pub mod attempts;
#[doc(hidden)]
pub mod attempts_at_once;
#[doc(hidden)]
pub mod audit;
#[doc(hidden)]
pub mod audit_archive;
#[doc(hidden)]
pub mod audit_lists;
#[doc(hidden)]
pub mod backchannel;
#[doc(hidden)]
pub mod cas;
#[doc(hidden)]
pub mod challenges;
#[doc(hidden)]
pub mod clients;
#[doc(hidden)]
pub mod consents;
#[doc(hidden)]
pub mod deliveries;
#[doc(hidden)]
pub mod device_lists;
#[doc(hidden)]
pub mod device_policy;
#[doc(hidden)]
pub mod devices;
#[doc(hidden)]
pub mod enrolments;
#[doc(hidden)]
pub mod erasures;
#[doc(hidden)]
pub mod expiry_alerts;
#[doc(hidden)]
pub mod idempotency;
#[doc(hidden)]
pub mod jobs;
#[doc(hidden)]
pub mod leases;
#[doc(hidden)]
pub mod notices;
#[doc(hidden)]
pub mod operator_recovery;
#[doc(hidden)]
pub mod operators;
#[doc(hidden)]
pub mod pairing;
#[doc(hidden)]
pub mod rate_limits;
#[doc(hidden)]
pub mod renewal;
#[doc(hidden)]
pub mod renewal_graces;
#[doc(hidden)]
pub mod second_factor;
#[doc(hidden)]
pub mod secrets;
#[doc(hidden)]
pub mod sessions;
#[doc(hidden)]
pub mod tenants;
#[doc(hidden)]
pub mod token_keys;
#[doc(hidden)]
pub mod tokens;
#[doc(hidden)]
pub mod user_erasures;
#[doc(hidden)]
pub mod users;
#[doc(hidden)]
pub mod webhooks;
#[doc(hidden)]
pub mod wrong_answers;

pub use fixtures::World;

use std::pin::Pin;

/// Makes a test of every story, for a back end.
///
/// `$make` is a future of an empty store and of whatever has to live as long as it.
///
/// ```
/// use identity_store::MemoryStore;
///
/// identity_store::conformance_tests!(async {
///     let entropy = rand_core::UnwrapErr(getrandom::SysRng);
///     (MemoryStore::new(entropy), ())
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { @all tests($make) }
    };
    (@all $into:ident $($make:tt)?) => {
        $crate::conformance_tests! { @$into $($make)?;
            tenants: [
                a_tenant_is_made_active_with_default_settings,
                a_tenant_id_is_taken_once,
                tenants_are_listed_newest_first_each_once,
                a_cursor_that_no_page_gave_is_refused,
                a_tenant_is_renamed,
                a_suspension_is_told_when_it_changes_something,
                a_tenants_settings_are_replaced_whole,
                an_unknown_tenant_is_not_changed,
            ];
            devices: [
                a_device_is_registered_and_waits_to_be_paired,
                a_device_needs_a_tenant,
                an_id_or_a_code_that_is_taken_is_drawn_again,
                devices_are_registered_together_or_not_at_all,
                an_unused_code_runs_out_at_its_moment,
                a_device_is_edited_field_by_field,
                a_device_keeps_its_class_and_may_change_its_binding,
                another_tenants_device_is_not_found,
                the_latest_sight_of_a_device_stays,
                a_device_stands_as_it_and_its_tenant_stand,
            ];
            device_policy: [
                the_platforms_policy_is_the_default_one_until_another_is_set,
                a_tenants_settings_override_the_platforms_policy,
                no_change_leads_to_a_policy_that_is_not_sound,
                of_two_changes_at_once_that_do_not_suit_one_another_one_is_refused,
            ];
            device_lists: [
                devices_are_listed_newest_first_each_once,
                filters_find_devices_by_what_they_are,
                filters_find_devices_by_their_life,
            ];
            pairing: [
                a_code_is_looked_up_while_it_is_good,
                a_code_makes_a_certificate_the_devices,
                a_certificate_that_was_not_issued_is_not_in_the_ledger,
                a_code_that_is_not_good_pairs_nothing,
                the_same_key_gets_its_certificate_again,
                of_many_pairings_with_one_code_one_is_now,
                the_same_key_at_once_is_paired_once,
                a_key_or_a_number_is_certified_once,
                a_paired_device_gets_a_new_code_when_asked_to_replace,
                an_expired_or_revoked_device_gets_a_new_code,
                a_code_that_is_in_use_is_not_given_out_twice,
                a_spent_code_ends_with_a_renewal_or_a_revocation,
                what_looks_expired_is_denied_too,
            ];
            renewal_graces: [
                a_superseded_certificate_has_its_grace_before_it_is_denied,
                a_certificate_in_its_grace_does_not_renew,
                the_next_renewal_denies_what_was_in_its_grace,
                a_revocation_and_a_new_code_deny_what_is_in_its_grace,
                graces_that_are_over_are_found_until_they_are_ended,
                a_device_in_its_grace_counts_for_the_ca_of_either_certificate,
            ];
            renewal: [
                a_renewal_replaces_the_certificate_and_denies_the_old,
                a_cas_active_devices_are_counted,
                only_the_active_certificate_renews,
                a_device_that_is_not_paired_does_not_renew,
                a_renewal_needs_a_new_key_and_a_new_number,
                of_parallel_renewals_one_wins,
                of_devices_that_renew_with_one_key_at_once_one_has_it,
                a_revocation_denies_the_certificate_and_ends_what_is_open,
                a_device_that_waits_is_revoked_too,
                denials_are_read_on_from_where_a_reader_stopped,
                the_feed_of_denials_misses_nothing,
                a_denial_goes_when_its_certificate_expired_long_ago,
                a_clock_that_is_ahead_for_a_week_forgets_no_live_denial,
                a_first_purge_by_a_clock_that_is_ahead_forgets_no_live_denial,
            ];
            users: [
                a_user_is_made_known,
                a_user_id_is_taken_once_in_each_tenant,
                users_are_listed_newest_first_each_once_in_their_tenant,
                contact_data_is_edited_field_by_field,
                identity_and_palm_policy_are_noted,
                a_suspension_cancels_what_is_open_and_is_told_once,
                a_lock_outlasts_a_suspension_and_is_cleared_by_hand,
                another_tenants_user_is_not_found,
            ];
            consents: [
                consent_is_recorded_with_what_was_agreed_to,
                a_refusal_withdraws_what_stands_and_is_recorded,
                a_withdrawal_takes_the_palms_and_ends_what_is_open,
                each_palm_is_erased_once_oldest_request_first,
                an_enrolment_makes_an_erasure_needless,
            ];
            user_erasures: [
                a_user_whose_erasure_begins_is_gone_and_their_palms_are_due,
                an_erasure_is_completed_when_nothing_is_left_anywhere,
                what_the_palm_server_may_be_learning_is_erased_behind_it,
                a_tombstone_erases_who_came_back_and_nobody_else,
                erasures_are_listed_while_they_run_and_as_tombstones_for_good,
            ];
            clients: [
                a_client_is_made_with_one_secret,
                a_client_needs_a_tenant,
                clients_are_listed_newest_first_each_once_in_their_tenant,
                a_new_secret_ends_the_ones_before_it,
                a_client_has_keys_in_place_of_a_secret,
                a_client_is_deleted,
                another_tenants_client_is_not_found,
            ];
            token_keys: [
                a_key_signs_from_its_first_need_on_and_its_age_is_noted_once,
                the_next_key_is_published_before_it_signs,
                the_public_keys_of_those_before_stay,
            ];
            tokens: [
                a_token_stands_until_it_is_revoked,
                a_token_stands_while_its_client_is_there_in_its_tenant,
                an_assertion_is_used_once_by_each_client,
                of_many_that_use_one_assertion_at_once_one_is_first,
                what_is_over_of_tokens_is_purged,
            ];
            backchannel: [
                an_auth_request_is_made_with_its_challenge_or_not_at_all,
                a_client_is_told_of_its_own_requests_alone,
                who_polls_too_soon_is_slowed_down_by_five_seconds_each_time,
                of_many_that_poll_too_soon_at_once_each_is_slowed_down,
                a_client_is_told_how_its_challenge_ended,
                a_match_is_granted_once,
                of_many_that_poll_at_once_one_is_granted,
                a_token_can_be_fetched_for_a_minute_after_the_match,
                a_request_at_a_device_that_is_revoked_is_denied,
                a_match_of_a_user_who_is_suspended_since_is_denied,
                an_auth_request_goes_with_its_erased_user,
                a_challenges_end_makes_its_notification_due,
                a_notification_is_claimed_by_one_until_it_is_over,
                notifications_due_longest_are_claimed_first_by_one_of_many,
                what_is_over_of_auth_requests_is_purged,
            ];
            operators: [
                the_first_operator_is_seeded_once,
                an_operator_is_made_and_found_by_address,
                an_operator_that_cannot_be_is_refused,
                operators_are_listed_newest_first_each_once,
                the_platforms_administrators_are_found_first_made_first,
                a_new_role_ends_the_sessions_and_a_new_address_does_not,
                an_operator_keeps_their_scope_and_an_address_its_owner,
                the_last_platform_administrator_stays,
                of_two_administrators_who_delete_each_other_one_stays,
                an_unknown_operator_is_not_changed,
            ];
            operator_recovery: [
                an_administrator_who_lost_password_and_codes_is_let_in_again,
                no_sign_in_that_was_under_way_outlives_a_recovery,
                nobody_but_a_platform_administrator_is_recovered,
            ];
            sessions: [
                a_session_opens_with_its_token,
                a_session_ends_with_its_life_or_when_it_lies_idle,
                the_use_of_a_session_is_noted_once_a_minute,
                sessions_are_listed_newest_first_while_they_live,
                a_session_is_ended_by_its_owner_alone,
                a_new_password_ends_the_other_sessions,
                a_session_that_is_kept_under_a_new_token_is_not_found_by_the_one_before,
                whoever_knew_the_password_before_can_neither_sign_in_nor_change_it,
                no_session_opened_by_a_password_outlives_its_change,
                a_deleted_operator_has_no_sessions,
                failed_sign_ins_count_within_a_window,
                a_failed_sign_in_is_told_without_the_address,
                a_success_forgets_the_failures_before_it,
                what_is_over_of_sign_ins_is_purged,
            ];
            second_factor: [
                a_secret_is_issued_until_it_is_confirmed,
                a_confirmation_is_of_the_secret_that_was_shown,
                a_confirmation_ends_the_other_sessions_and_asks_for_codes,
                a_sign_in_waits_for_its_code,
                a_sign_in_is_completed_once_and_by_its_own_user,
                a_code_is_used_once_and_none_before_it,
                of_many_sign_ins_at_once_with_one_code_one_opens_a_session,
                a_recovery_code_is_used_once,
                what_ends_sessions_ends_sign_ins,
                codes_are_taken_away_by_who_shows_one_or_by_an_administrator,
                codes_and_sign_ins_go_with_their_user,
                no_session_is_opened_without_a_code_once_they_are_confirmed,
                an_unknown_operator_has_no_second_factor,
            ];
            wrong_answers: [
                a_session_ends_with_the_last_wrong_answer_and_no_other_with_it,
                failed_sign_ins_and_wrong_answers_of_a_session_count_apart,
                after_too_many_wrong_codes_in_a_row_none_is_good_but_a_recovery_code,
                no_wrong_code_counts_before_codes_are_in_use_and_new_ones_begin_anew,
            ];
            secrets: [
                the_server_certificate_is_replaced,
                a_new_active_ca_makes_the_one_before_retire,
                a_ca_is_stored_once,
                a_key_that_was_not_compared_with_every_certificate_is_refused,
                a_devices_key_is_no_cas_and_not_the_servers,
                of_uploads_at_once_each_has_seen_the_others_or_is_refused,
                of_two_active_cas_at_once_one_stays_active,
                a_named_secret_is_made_once_whoever_asks,
            ];
            cas: [
                a_ca_is_activated_and_the_way_back_is_open,
                a_ca_with_devices_is_retired_by_force_alone,
                a_ca_is_not_retired_while_a_renewal_of_its_certificate_may_be_repeated,
                a_ca_whose_certificates_expired_is_retired_without_force,
                a_regeneration_taints_the_ca_that_it_names,
                a_pairing_and_a_retirement_at_once_leave_no_device_behind,
            ];
            jobs: [
                a_job_revokes_the_devices_that_a_tenant_had,
                a_device_that_was_revoked_meanwhile_is_not_counted,
                a_job_revokes_the_devices_of_a_tainted_ca_and_retires_it,
                a_ca_that_was_retired_before_its_job_ends_stays_so,
                a_job_revokes_the_devices_that_were_chosen_when_it_was_asked_for,
                a_job_tags_devices_and_fails_at_one_that_would_have_too_many,
                a_device_that_is_passed_over_counts_as_failed,
                a_job_is_its_owners_and_jobs_wait_in_their_order,
                jobs_that_ended_before_a_time_are_purged,
                of_two_runners_at_once_each_device_is_revoked_by_one,
            ];
            admission: [
                a_challenge_is_created_for_a_user_at_a_device,
                the_tenants_settings_bound_a_challenge,
                a_challenge_id_is_taken_once,
                an_enrolment_passes_its_gates_one_by_one,
                a_tenant_may_enrol_without_asking_for_consent,
                a_verification_needs_a_palm_that_may_be_used,
                a_device_of_another_class_takes_no_challenge,
                another_tenants_users_and_devices_are_not_found,
                of_many_challenges_at_once_no_more_open_than_allowed,
            ];
            challenges: [
                challenges_are_listed_newest_first_by_what_they_are,
                a_device_finds_what_is_open_oldest_first,
                a_challenge_is_claimed_denied_or_canceled,
                a_denial_is_told_in_the_devices_words,
                an_overdue_challenge_is_over_before_it_is_swept,
                the_sweeper_expires_what_is_overdue_longest_first,
            ];
            attempts: [
                a_sample_takes_the_challenge_up,
                one_attempt_is_decided_at_a_time,
                a_lease_passes_on_when_it_ends,
                a_match_completes_the_verification,
                failed_tries_are_told_and_the_last_ends_the_verification,
                whose_palm_it_was_is_told_to_the_audit_trail_alone,
                a_vendor_that_does_not_decide_costs_no_try,
                a_vendor_that_refuses_the_platform_is_an_alert,
                a_sample_that_was_decided_on_is_known_again,
                what_each_attempt_was_answered_with_is_known,
                an_attempt_that_nobody_finished_stands_as_the_one_in_its_place,
                an_attempt_that_passed_on_is_not_under_way_for_a_clock_that_is_behind,
                who_failed_often_waits_and_who_failed_too_often_is_locked,
                a_verdict_after_the_end_moves_nothing,
            ];
            attempts_at_once: [
                of_many_samples_at_once_one_is_decided,
                of_one_sample_at_many_challenges_at_once_one_is_decided,
                no_more_tries_are_let_go_at_once_than_one_after_the_other,
                a_sample_under_way_at_another_challenge_is_a_replay,
                a_sample_whose_decider_died_is_decided_once,
                who_may_be_about_to_fail_too_often_waits,
                a_try_whose_decider_died_holds_nobody_up_for_long,
            ];
            enrolments: [
                an_enrolment_records_the_palm,
                an_enrolment_that_the_vendor_refuses_is_over,
                a_palm_that_is_another_users_too_is_told,
                an_enrolment_heeds_the_lock_alone,
                an_enrolment_in_doubt_is_reconciled_first,
                a_template_that_stands_in_the_way_is_due_for_erasure,
                an_enrolment_that_ends_in_doubt_is_taken_back,
                what_happened_is_noted_although_the_challenge_is_over,
                a_verdict_of_another_kind_is_refused_and_not_noted,
                a_time_out_after_the_end_is_taken_back,
            ];
            erasures: [
                an_erasure_is_taken_up_by_one_at_a_time,
                of_many_that_take_an_erasure_up_at_once_one_may,
                no_palm_is_enrolled_while_it_is_erased,
                an_erasure_that_was_given_back_or_carried_out_bars_no_enrolment,
                no_palm_is_erased_while_it_is_enrolled,
                a_verification_and_an_erasure_do_not_wait_for_each_other,
                an_enrolment_is_not_finished_after_its_lease,
            ];
            expiry_alerts: [
                each_threshold_is_announced_once,
                what_is_told_of_an_expiry_names_the_certificate_and_the_threshold,
                mail_is_claimed_by_one_at_a_time_until_it_is_finished,
                a_claim_that_passed_on_is_not_given_back_by_who_had_it,
                of_many_that_claim_mail_at_once_one_may_send_it,
                who_had_the_mail_is_known_until_it_is_finished,
                mail_is_finished_by_who_had_no_claim_or_lost_it,
                an_expiry_is_told_to_the_platforms_endpoints_that_want_it,
            ];
            webhooks: [
                an_endpoint_is_made_with_one_secret,
                an_endpoint_needs_a_tenant_which_has_a_few,
                endpoints_are_listed_newest_first_each_once_with_their_owner,
                an_endpoints_settings_are_replaced_whole,
                a_rotated_secret_signs_until_its_end_beside_the_new_one,
                an_endpoint_is_deleted_with_its_deliveries,
                an_endpoint_is_enabled_again,
                a_test_goes_to_one_endpoint_whatever_it_subscribes_to,
                another_owners_endpoint_is_not_found,
                deliveries_are_listed_newest_first_by_their_status,
                a_delivery_is_sent_again_with_all_its_tries,
                what_an_endpoint_missed_is_recovered,
                the_events_of_a_subject_are_read_from_a_number_on,
            ];
            deliveries: [
                an_event_is_delivered_to_each_endpoint_that_is_to_be_told_of_it,
                each_event_is_fanned_out_once_whoever_does_it,
                a_delivery_is_claimed_by_one_at_a_time,
                of_many_that_claim_at_once_each_delivery_goes_to_one,
                no_endpoint_takes_the_turns_of_another,
                what_came_of_a_try_is_noted,
                an_endpoint_that_is_gone_is_disabled_at_once,
                an_endpoint_that_fails_for_too_long_is_disabled_and_an_alert,
                a_secret_that_ended_signs_nothing,
                events_are_purged_with_their_deliveries_and_numbered_on,
                the_number_of_an_erased_user_goes_with_their_last_event,
                a_clock_that_is_ahead_purges_a_step_at_a_time,
            ];
            leases: [
                a_lease_has_one_holder_until_it_runs_out,
                each_name_is_a_lease_of_its_own,
                a_holder_renews_its_lease_under_the_same_number,
                a_lease_that_is_given_back_is_free_at_once,
                of_many_that_ask_at_once_one_gets_it,
                a_lease_ends_when_the_clock_is_set_back,
                what_is_done_under_a_lease_that_passed_on_is_not_committed,
            ];
            rate_limits: [
                a_bucket_gives_what_is_in_it_and_is_refilled_evenly,
                of_many_that_take_at_once_no_more_get_one_than_there_are,
                a_charge_counts_beyond_what_is_there_for_one_period_at_most,
                charges_at_once_all_count,
                a_bucket_is_full_after_the_clock_was_set_back,
                a_purge_forgets_full_buckets,
            ];
            idempotency: [
                a_key_is_reserved_once_while_its_lease_runs,
                of_many_that_reserve_one_key_one_goes_on,
                an_answer_is_repeated_until_its_time_is_over,
                an_answer_without_a_reservation_is_not_kept,
                a_key_is_given_back_unanswered,
                a_purge_takes_what_is_past_its_time,
                of_two_runs_of_a_request_one_commits,
                a_late_run_leaves_its_key_to_the_request_that_took_it,
                a_run_whose_key_was_given_back_does_not_commit,
                keys_of_a_process_that_died_are_given_back_and_answers_stay,
            ];
            notices: [
                who_observes_is_told_of_what_was_committed,
                a_refused_change_is_not_told,
            ];
            audit: [
                events_are_recorded_in_the_chain_that_is_named,
                a_silenced_tenant_has_no_rows_and_still_its_webhooks,
                rows_say_who_did_what_from_where_and_when,
                sealed_rows_form_a_chain_for_each_tenant_and_one_for_the_platform,
                rows_are_sealed_a_few_at_a_time_in_the_order_of_commits,
                two_sealers_give_each_row_one_place,
                a_chain_is_read_on_from_where_a_reader_stopped,
                the_chains_are_listed_with_their_heads,
                a_head_is_signed_once_and_again_when_its_chain_grew,
                the_outbox_is_in_order_and_counts_each_subjects_events,
                events_at_once_are_numbered_without_a_gap,
                an_event_is_delivered_once_it_has_its_place,
                what_follows_one_another_stays_in_order,
                a_user_is_named_by_the_internal_id_in_the_audit_trail,
            ];
            audit_lists: [
                rows_are_found_by_who_did_what_to_whom_and_when,
                rows_without_a_place_are_counted_and_not_found,
                a_page_of_another_list_is_no_page_of_the_trail,
                the_ledger_is_read_newest_first_whole_or_of_a_device,
            ];
            audit_archive: [
                a_piece_is_kept_behind_the_pieces_before_it,
                a_chain_goes_on_from_its_archive,
                what_no_archive_holds_is_not_dropped,
                a_month_ends_with_its_last_row,
            ];
        }
    };
    (@stories; $($topic:ident: [$($story:ident),* $(,)?];)*) => {
        vec![$($(
            $crate::conformance::Story {
                name: concat!(stringify!($topic), "::", stringify!($story)),
                tell: |world| Box::pin($crate::conformance::$topic::$story(world)),
            },
        )*)*]
    };
    (@tests ($make:expr); $($topic:ident: [$($story:ident),* $(,)?];)*) => {
        $(
            mod $topic {
                #[allow(unused_imports, reason = "the store may be made without them")]
                use super::*;

                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $story() {
                        let (store, _kept) = ($make).await;
                        let world = $crate::conformance::World::new(store);
                        $crate::conformance::$topic::$story(world).await;
                    }
                )*
            }
        )*
    };
}

/// What one story tells, of a world around an empty store.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// Its topic and what it says: `devices::a_device_needs_a_tenant`.
    pub name: &'static str,
    /// Tells it; it panics when something is not as it says.
    pub tell: fn(World) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// Every story, for a back end whose tests are made while they run, one for each server that there is.
#[must_use]
pub fn stories() -> Vec<Story> {
    conformance_tests! { @all stories }
}

#[cfg(test)]
mod tests {
    /// A story that the macro does not list would never be told.
    #[test]
    fn every_story_is_listed() {
        let listed = include_str!("mod.rs");
        let topics = [
            include_str!("admission.rs"),
            include_str!("attempts.rs"),
            include_str!("audit.rs"),
            include_str!("audit_archive.rs"),
            include_str!("backchannel.rs"),
            include_str!("cas.rs"),
            include_str!("challenges.rs"),
            include_str!("clients.rs"),
            include_str!("consents.rs"),
            include_str!("deliveries.rs"),
            include_str!("device_policy.rs"),
            include_str!("device_lists.rs"),
            include_str!("devices.rs"),
            include_str!("enrolments.rs"),
            include_str!("erasures.rs"),
            include_str!("expiry_alerts.rs"),
            include_str!("idempotency.rs"),
            include_str!("jobs.rs"),
            include_str!("leases.rs"),
            include_str!("notices.rs"),
            include_str!("operator_recovery.rs"),
            include_str!("operators.rs"),
            include_str!("pairing.rs"),
            include_str!("rate_limits.rs"),
            include_str!("renewal.rs"),
            include_str!("renewal_graces.rs"),
            include_str!("second_factor.rs"),
            include_str!("secrets.rs"),
            include_str!("sessions.rs"),
            include_str!("tenants.rs"),
            include_str!("token_keys.rs"),
            include_str!("tokens.rs"),
            include_str!("users.rs"),
            include_str!("webhooks.rs"),
            include_str!("wrong_answers.rs"),
        ];
        for line in topics.iter().flat_map(|topic| topic.lines()) {
            if let Some(story) = line.strip_prefix("pub async fn ") {
                let (name, _) = story.split_once('(').unwrap();
                assert!(
                    listed.contains(&format!("                {name},\n")),
                    "{name}"
                );
            }
        }
    }
}
