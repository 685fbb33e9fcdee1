//! What every implementation of a port must pass, one trial a behaviour.
//!
//! A crate that implements a port names one constructor and inherits the suite; the trials run as
//! `#[tokio::test]`s of that crate, which needs tokio with `macros` and `rt-multi-thread`.

pub mod blobs;
pub mod bus;
pub mod store;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// A task of a trial, or the wait for its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a task beside the trial; what it returns waits for the end and panics if the task did.
pub type Spawn = fn(Task) -> Task;

/// What a future gives without waiting.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Gives the other tasks a turn.
async fn turn() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

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
/// `$make` is an `async fn(Arc<dyn Bus>) -> Option<(Arc<dyn Store>, impl Send)>` that makes an
/// empty store; what it returns beside the store is kept until the trial is over. `None` passes the
/// trial by, where a machine lacks the store's server.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite!(@ $make;
            an_account_is_found_by_id_login_and_address
            logins_and_addresses_are_unique_without_regard_to_case
            a_chosen_id_is_kept_and_later_ids_are_above_it
            an_update_changes_what_it_names_and_nothing_else
            a_new_password_ends_every_session
            who_is_no_longer_administrator_has_no_session
            a_deleted_account_is_found_by_id_only
            a_search_finds_parts_of_logins
            users_are_listed_by_id
            a_session_lives_until_it_is_ended
            a_spent_refresh_token_ends_its_session
            a_refresh_token_dies_with_its_session
            a_recovery_token_is_spent_once
            login_counters_count_until_they_expire
            no_count_is_lost_among_many
            a_pair_has_one_chat
            one_chat_is_made_however_many_open_it_at_once
            a_flow_is_made_with_its_members
            a_repeated_key_makes_no_second_flow
            a_key_makes_one_flow_however_many_use_it_at_once
            members_come_and_go_all_or_nobody
            only_the_owner_deletes_a_flow
            a_deleted_flow_is_not_found_and_its_id_never_comes_back
            a_message_is_kept_as_it_was_posted
            a_message_that_must_not_be_posted_is_refused
            messages_stand_in_the_order_in_which_they_were_begun
            a_repeated_key_stores_nothing
            a_key_serves_one_of_those_who_use_it_at_once
            an_edit_takes_the_next_version
            an_edit_that_must_not_be_is_refused
            a_deletion_sorts_what_it_was_given
            history_leaves_out_the_deleted
            reading_moves_the_mark
            mark_read_moves_the_mark_whatever_the_range
            overviews_show_the_edges_of_each_flow
            overviews_are_paged_by_activity
            changes_name_messages_flows_and_the_user
            changes_are_paged_without_gap_or_repeat_while_others_write
            a_gap_is_repaired_by_version
            what_was_not_heard_is_found_by_its_moment
            moments_are_unique_and_ascend
            many_writers_agree_on_one_order_per_flow
            a_refusal_does_not_disturb_its_neighbours
            the_character_nul_is_refused_and_finds_nothing
            a_closed_store_is_unavailable
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $trial() {
            let bus = ::std::sync::Arc::new($crate::memory::MemoryBus::new());
            let ::std::option::Option::Some((store, kept)) = ($make)(bus.clone()).await else { return };
            let mut world = $crate::suites::store::World::new(store, bus, $crate::suite_spawn!());
            $crate::suites::store::$trial(&mut world).await;
            world.store.close().await;
            drop(kept);
        }
    )*};
}

/// The trials of a [`Bus`](crate::ports::Bus).
///
/// `$make` is a `fn() -> Option<(Arc<dyn Bus>, impl Send)>`; what it returns beside the bus is kept
/// until the trial is over, and `None` passes the trial by, where a machine lacks what the bus
/// needs.
#[macro_export]
macro_rules! bus_suite {
    ($make:expr) => {
        $crate::bus_suite!(@ $make;
            events_of_a_flow_arrive_in_order_on_every_subscription
            a_flow_stays_on_its_part_and_the_rest_on_the_first
            a_subscription_hears_from_now_on
            a_lagging_listener_loses_nothing
            a_dropped_subscription_holds_nobody_up
            a_subscription_ends_with_its_bus
            a_node_hears_itself_whatever_it_listens_to
            waiting_for_an_event_may_be_given_up
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $trial() {
            let Some((bus, kept)) = ($make)() else { return };
            $crate::suites::bus::$trial(bus, $crate::suite_spawn!()).await;
            drop(kept);
        }
    )*};
}

/// The trials of [`Blobs`](crate::ports::Blobs). `$make` is an `async fn() -> (Arc<dyn Blobs>, impl
/// Send)`; what it returns beside the blobs is kept until the trial is over.
#[macro_export]
macro_rules! blobs_suite {
    ($make:expr) => {
        $crate::blobs_suite!(@ $make;
            what_was_put_can_be_got_until_it_is_deleted
            putting_again_replaces
            deleting_what_is_absent_is_fine
            keys_do_not_touch_each_other
        );
    };
    (@ $make:expr; $($trial:ident)*) => {$(
        #[tokio::test]
        async fn $trial() {
            let (blobs, kept) = ($make)().await;
            $crate::suites::blobs::$trial(blobs).await;
            drop(kept);
        }
    )*};
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_trial_is_in_its_list() {
        let lists = include_str!("mod.rs");
        for trials in [include_str!("store.rs"), include_str!("bus.rs"), include_str!("blobs.rs")] {
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
