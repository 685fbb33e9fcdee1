//! Conformance tests of the ports, one trial for each behaviour.
//!
//! A crate that implements a port gives a constructor to the suite's macro; the trials run as
//! `#[tokio::test]`s of that crate, which needs tokio with `macros` and `rt-multi-thread`.

pub mod blobs;
pub mod bus;
pub mod store;
mod support;

pub use support::{Spawn, Task};

/// A [`Spawn`] by tokio.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_spawn {
    () => {{
        let spawn: $crate::suites::Spawn = |task| {
            let task = ::tokio::spawn(task);
            ::std::boxed::Box::pin(async move {
                task.await.expect("a task of the trial ended in order")
            })
        };
        spawn
    }};
}

/// The trials of a [`Store`](crate::ports::Store).
///
/// `$make` is an `async fn(Arc<dyn Bus>) -> Option<(Arc<dyn Store>, impl Send)>` that creates an
/// empty store. Its second value is dropped after the trial. `None` skips the trial, on a machine
/// without the store's server.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite!(@ $make;
            an_account_is_found_by_id_login_and_address
            logins_and_addresses_are_unique_without_regard_to_case
            logins_and_addresses_are_one_namespace
            a_login_that_looks_like_anothers_is_taken
            a_display_name_that_looks_like_anothers_login_is_refused
            a_chosen_id_is_kept_and_later_ids_are_higher
            an_update_changes_the_named_fields_only
            a_new_password_ends_all_sessions_of_the_user
            the_loss_of_the_administrators_right_ends_all_sessions
            a_replaced_password_hash_ends_no_session
            a_deleted_account_is_found_by_id_only
            an_erased_profile_has_the_login_alone
            a_search_finds_parts_of_logins
            a_search_finds_a_login_beside_many_addresses
            a_search_follows_changes_of_logins
            users_are_listed_by_id
            a_session_is_found_by_token_and_id
            a_spent_refresh_token_ends_its_session
            a_refresh_token_ends_with_its_session
            a_recovery_token_is_spent_once
            login_counters_count_until_they_expire
            concurrent_counts_are_all_counted
            a_pair_has_one_chat
            concurrent_requests_for_a_chat_create_one
            a_flow_is_created_with_its_members
            a_flow_is_found_with_a_membership
            a_repeated_key_creates_no_second_flow
            concurrent_requests_with_a_key_create_one_flow
            members_are_added_and_removed_all_or_none
            each_member_may_leave
            the_flow_of_an_owner_who_leaves_passes_to_the_longest_member
            a_flow_is_deleted_when_the_last_member_leaves
            a_blocked_user_cannot_begin_to_reach_the_blocker
            a_blocked_user_cannot_write_in_the_chat_with_the_blocker
            blocks_are_listed_until_they_end
            groups_are_counted_for_a_day
            added_members_are_counted_for_a_day
            strangers_are_counted_for_an_hour
            each_departure_makes_room_for_one_member
            rights_come_before_limits
            concurrent_requests_share_a_quota
            sessions_beyond_the_limit_end_the_oldest
            old_spent_refresh_tokens_are_removed
            only_the_owner_deletes_a_flow
            a_deleted_flow_is_not_found_and_its_id_is_not_reused
            a_message_is_stored_as_posted
            a_message_that_must_not_be_posted_is_refused
            messages_are_ordered_by_submission
            a_repeated_key_stores_no_second_message
            concurrent_messages_with_a_key_store_one
            an_edit_takes_the_next_version
            an_edit_that_must_not_be_made_is_refused
            a_deletion_reports_what_became_of_each_message
            a_deletion_of_all_or_none_deletes_nothing_unless_it_can_delete_all
            history_leaves_out_deleted_messages
            a_page_has_every_message_up_to_its_version
            messages_after_the_mark_are_unread
            a_read_mark_moves_forward_only
            members_who_both_acted_in_a_flow_are_acquaintances
            opening_a_chat_is_an_act
            a_post_as_administrator_is_no_act
            summaries_have_the_first_and_last_message
            summaries_are_paged_by_activity
            changes_have_messages_flows_and_the_user
            changes_are_paged_without_gap_or_repeat_while_others_write
            a_page_of_changes_ends_with_the_last_of_many_flows
            changes_of_uneven_flows_are_merged_in_commit_order
            messages_after_a_version_fill_a_gap
            a_history_is_cut_to_the_messages_that_fit
            answers_of_several_mebibytes_have_all_that_fits
            a_list_of_flows_has_short_forms_of_the_last_messages
            a_list_of_flows_ends_with_the_last_that_fits
            members_are_cut_to_those_that_fit
            a_list_names_a_member_with_the_business_tariff
            changes_cut_by_their_size_continue_without_gap_or_repeat
            a_search_for_a_long_text_finds_nothing
            a_member_with_the_business_tariff_is_found
            external_ids_are_found_both_ways
            an_external_id_and_an_object_have_one_row
            new_objects_have_ids_above_external_numbers
            missed_events_are_found_by_commit_time
            changes_of_some_flows_leave_out_the_others
            commit_times_are_unique_and_ascend
            concurrent_writers_agree_on_one_order_per_flow
            a_refused_change_does_not_affect_concurrent_ones
            the_character_nul_is_refused_and_finds_nothing
            an_imported_world_keeps_its_numbers_order_and_times
            imported_members_take_places_of_a_group
            a_repeated_import_changes_nothing
            messages_of_chats_keep_their_numbers_beside_those_of_groups
            messages_of_chats_keep_their_numbers_before_a_group_is_known
            an_import_gives_new_numbers_where_its_own_are_taken
            ids_that_are_no_numbers_do_not_hide_messages_with_numbers
            a_refused_record_does_not_affect_the_others
            an_import_tells_if_others_have_changed_the_world
            an_interrupted_import_has_a_position
            imported_messages_fill_no_gap
            a_cursor_stays_after_the_import
            owners_of_identifiers_are_found
            an_export_has_the_whole_world
            old_messages_are_pruned_by_the_kind_of_their_flow
            a_flow_may_have_a_retention_of_its_own
            a_flow_goes_on_after_its_messages_were_pruned
            the_records_of_deleted_messages_are_pruned_after_their_own_period
            a_message_whose_key_may_be_used_again_is_kept
            a_pruned_message_keeps_its_external_id
            a_prune_in_steps_removes_what_was_counted
            photos_that_nothing_names_are_told_apart
            requests_of_clients_add_up
            concurrent_additions_to_the_ledger_add_up
            ledger_pages_are_ordered_by_the_last_day
            new_clients_of_a_party_are_bounded_by_day
            a_deleted_user_has_no_entries_in_the_ledger
            old_days_of_the_ledger_are_pruned
            a_rule_is_read_as_it_was_set
            the_revision_of_rules_changes_with_them
            the_number_of_rules_is_limited
            a_closed_store_is_unavailable
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $trial() {
            let bus = ::std::sync::Arc::new($crate::memory::MemoryBus::new());
            let ::std::option::Option::Some((store, resources)) = ($make)(bus.clone()).await else {
                return;
            };
            let spawn = $crate::suite_spawn!();
            let mut fixture = $crate::suites::store::Fixture::new(store, bus, spawn);
            $crate::suites::store::$trial(&mut fixture).await;
            fixture.store.close().await;
            drop(resources);
        }
    )*};
}

/// The trials of a [`Bus`](crate::ports::Bus).
///
/// `$make` is a `fn() -> Option<(Arc<dyn Bus>, impl Send)>`. Its second value is dropped after the
/// trial. `None` skips the trial, on a machine without the bus's server.
#[macro_export]
macro_rules! bus_suite {
    ($make:expr) => {
        $crate::bus_suite!(@ $make;
            events_of_a_flow_arrive_in_order_at_every_receiver
            a_flow_stays_on_its_shard_and_other_events_on_the_first
            a_receiver_gets_the_events_published_after_it_was_created
            a_lagging_receiver_loses_nothing
            dropped_receivers_do_not_delay_publishers
            a_receiver_ends_with_its_bus
            a_node_receives_its_own_events_on_every_topic
            receiving_can_be_cancelled
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $trial() {
            let Some((bus, resources)) = ($make)() else { return };
            $crate::suites::bus::$trial(bus, $crate::suite_spawn!()).await;
            drop(resources);
        }
    )*};
}

/// The trials of [`Blobs`](crate::ports::Blobs). `$make` is an `async fn() -> (Arc<dyn Blobs>, impl
/// Send)`. Its second value is dropped after the trial.
#[macro_export]
macro_rules! blobs_suite {
    ($make:expr) => {
        $crate::blobs_suite!(@ $make;
            a_blob_can_be_read_until_it_is_deleted
            putting_again_replaces_the_blob
            deleting_an_absent_blob_succeeds
            similar_keys_are_independent
            all_blobs_are_listed
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test]
        async fn $trial() {
            let (blobs, resources) = ($make)().await;
            $crate::suites::blobs::$trial(blobs).await;
            drop(resources);
        }
    )*};
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_trial_is_in_its_list() {
        let lists = include_str!("mod.rs");
        for trials in [
            include_str!("blobs.rs"),
            include_str!("bus.rs"),
            include_str!("store/acquaintances.rs"),
            include_str!("store/blocks.rs"),
            include_str!("store/departures.rs"),
            include_str!("store/answer_sizes.rs"),
            include_str!("store/event_log.rs"),
            include_str!("store/external_ids.rs"),
            include_str!("store/flows.rs"),
            include_str!("store/history.rs"),
            include_str!("store/ledger.rs"),
            include_str!("store/login_counters.rs"),
            include_str!("store/messages.rs"),
            include_str!("store/quotas.rs"),
            include_str!("store/retention.rs"),
            include_str!("store/rules.rs"),
            include_str!("store/sessions.rs"),
            include_str!("store/summaries.rs"),
            include_str!("store/users.rs"),
            include_str!("store/whole.rs"),
            include_str!("store/world.rs"),
        ] {
            let names: Vec<&str> = trials
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
                .collect();
            assert!(!names.is_empty());
            for name in names {
                assert!(lists.lines().any(|line| line.trim() == name), "{name} is not in a list");
            }
        }
    }
}
