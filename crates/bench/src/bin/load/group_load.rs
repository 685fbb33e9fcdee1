//! Messages in groups: one in flight, many in flight, and at a fixed rate.

use crate::delivery_tracker::DeliveryTracker;
use crate::participant::{Participant, Poster};
use crate::result::BenchResult;
use serde_json::Value;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Groups of equal size in which messages are posted and counted as they arrive.
pub(crate) struct GroupLoad {
    posters: Vec<Poster>,
    receivers: JoinSet<BenchResult<()>>,
    tracker: Arc<DeliveryTracker>,
    /// The members of each group.
    size: usize,
    /// The number of messages posted so far.
    posted: usize,
}

impl GroupLoad {
    /// Starts receiving in groups of the same size. The first `posters` of each group post, the
    /// groups in turn.
    pub(crate) fn start(groups: Vec<Vec<Participant>>, posters: usize) -> BenchResult<Self> {
        let size = groups.first().map_or(0, Vec::len);
        if size < 2 || posters == 0 || posters > size {
            return Err("a group has two members or more, of whom one or more post".into());
        }
        let members = u32::try_from(size)?;
        let tracker = Arc::new(DeliveryTracker::new()?);
        let (mut receivers, mut posting) = (JoinSet::new(), Vec::new());
        for group in groups {
            for (index, member) in group.into_iter().enumerate() {
                if index < posters {
                    let poster = member.receive_and_post(members, &tracker, &mut receivers);
                    posting.push((index, poster));
                } else {
                    member.receive(&tracker, &mut receivers);
                }
            }
        }
        posting.sort_by_key(|(index, _)| *index);
        let posters = posting.into_iter().map(|(_, poster)| poster).collect();
        Ok(Self { posters, receivers, tracker, size, posted: 0 })
    }

    /// Posts `messages`, each as soon as fewer than `max_in_flight` are in flight, after a tenth as
    /// many that are not measured.
    pub(crate) async fn post_in_flight(
        &mut self,
        max_in_flight: usize,
        messages: usize,
        cpu: impl Fn() -> BenchResult<Duration>,
    ) -> BenchResult<Value> {
        let Self { posters, receivers, tracker, size, posted } = self;
        let posting = async {
            for _ in 0..messages.div_ceil(10).max(max_in_flight) {
                tracker.wait_for_fewer_in_flight(max_in_flight).await;
                post(posters, posted, tracker).await?;
            }
            tracker.wait_for_fewer_in_flight(1).await;
            let (before, started) = (cpu()?, Instant::now());
            tracker.restart_timing(*posted);
            for _ in 0..messages {
                tracker.wait_for_fewer_in_flight(max_in_flight).await;
                post(posters, posted, tracker).await?;
            }
            tracker.wait_for_fewer_in_flight(1).await;
            BenchResult::Ok((cpu()? - before, started.elapsed()))
        };
        let (cpu, elapsed) = unless_a_receiver_ends(receivers, posting).await?;
        Ok(tracker.figures(messages * *size, cpu, elapsed))
    }

    /// Posts messages at the interval that gives this many deliveries a second, even if earlier
    /// ones are still in flight.
    pub(crate) async fn post_at_rate(
        &mut self,
        deliveries_per_second: f64,
        duration: Duration,
        cpu: impl Fn() -> BenchResult<Duration>,
    ) -> BenchResult<Value> {
        let Self { posters, receivers, tracker, size, posted } = self;
        let messages =
            (deliveries_per_second * duration.as_secs_f64() / *size as f64).ceil().max(1.0) as u32;
        let interval = duration / messages;
        let posting = async {
            tracker.restart_timing(*posted);
            let (before, started) = (cpu()?, Instant::now());
            // One interval before the first too, so that all are posted under the same conditions.
            for number in 1..=messages {
                tokio::time::sleep_until((started + interval * number).into()).await;
                post(posters, posted, tracker).await?;
            }
            tracker.wait_for_fewer_in_flight(1).await;
            BenchResult::Ok((cpu()? - before, started.elapsed()))
        };
        let (cpu, elapsed) = unless_a_receiver_ends(receivers, posting).await?;
        Ok(tracker.figures(messages as usize * *size, cpu, elapsed))
    }

    /// A frame that delivered a message; `None` before the first delivery.
    pub(crate) fn sample(&self) -> Option<String> {
        self.tracker.sample()
    }
}

async fn post(
    posters: &mut [Poster],
    posted: &mut usize,
    tracker: &DeliveryTracker,
) -> BenchResult<()> {
    let (number, count) = (*posted, posters.len());
    let poster = &mut posters[number % count];
    *posted += 1;
    tracker.record_post(number, poster.recipients)?;
    poster.post(number).await
}

/// The result of `work`, or an error if a receiver ends before it.
async fn unless_a_receiver_ends<T>(
    receivers: &mut JoinSet<BenchResult<()>>,
    work: impl Future<Output = BenchResult<T>>,
) -> BenchResult<T> {
    let ended = async {
        match receivers.join_next().await {
            Some(ended) => ended,
            None => pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        ended = ended => Err(format!("a receiver ended: {ended:?}").into()),
    }
}
