//! Those who are told the same.

use super::Listener;
use crate::broadcast::Broadcast;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::yield_now;

/// So many are spoken to by one task, one after the other: enough that the task costs little beside
/// the writes, and few enough that others wait for it no longer than for any other task, and that
/// all cores share a crowd.
const TOGETHER: usize = 16;
/// After so long the others have a turn, where much is said to each.
const TURN: Duration = Duration::from_micros(500);

/// Tells each of them all of this.
pub(super) fn tell<'a>(
    listeners: impl IntoIterator<Item = &'a Arc<Listener>>,
    broadcasts: &[Arc<Broadcast>],
) {
    let (mut crowd, mut listeners) = (Crowd::default(), listeners.into_iter());
    while let Some(listener) = listeners.next() {
        let left = listeners.size_hint().0;
        if listener.outbox.push(broadcasts) {
            if crowd.0.is_empty() {
                crowd.0.reserve_exact((left + 1).min(TOGETHER));
            }
            crowd.0.push(listener.clone());
            if crowd.0.len() >= TOGETHER {
                std::mem::take(&mut crowd).speak_soon();
            }
        }
    }
    if !crowd.0.is_empty() {
        crowd.speak_soon();
    }
}

/// Those who can be spoken to. When it is dropped, the tasks of those who were not do it
/// themselves.
#[derive(Default)]
struct Crowd(Vec<Arc<Listener>>);

impl Crowd {
    fn speak_soon(mut self) {
        // Without a runtime, nobody is connected any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let mut began = Instant::now();
                while let Some(listener) = self.0.pop() {
                    listener.outbox.speak();
                    if began.elapsed() > TURN {
                        yield_now().await;
                        began = Instant::now();
                    }
                }
            });
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.iter().for_each(|listener| listener.outbox.wake());
    }
}
