//! The progress of a scenario, on standard error: one line that is rewritten on a terminal, and a
//! line at intervals elsewhere.

use std::convert::Infallible;
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// The time between two updates of the line on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two lines elsewhere.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of one scenario.
pub(crate) struct Progress {
    scenario: &'static str,
    rounds: u64,
    round: AtomicU64,
    step: Mutex<&'static str>,
    messages: AtomicU64,
    is_terminal: bool,
}

impl Progress {
    /// The progress of a scenario of so many rounds.
    pub(crate) fn new(scenario: &'static str, rounds: u64) -> Self {
        Self {
            scenario,
            rounds,
            round: AtomicU64::new(0),
            step: Mutex::new("starting gateways"),
            messages: AtomicU64::new(0),
            is_terminal: stderr().is_terminal(),
        }
    }

    /// The next round begins.
    pub(crate) fn begin_round(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
    }

    /// The next step of a round begins.
    pub(crate) fn begin_step(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// A message was acknowledged, or arrived.
    pub(crate) fn count_message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Shows the progress at intervals until it is dropped.
    pub(crate) async fn display(&self) -> Infallible {
        let mut ticks = interval(if self.is_terminal { TERMINAL_INTERVAL } else { LINE_INTERVAL });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        ticks.tick().await;
        if self.is_terminal {
            // The line of the test harness stays.
            write("\n");
        }
        let _line = Line { is_terminal: self.is_terminal };
        loop {
            ticks.tick().await;
            let text = self.text();
            write(&if self.is_terminal { format!("\r\x1b[2K{text}") } else { format!("{text}\n") });
        }
    }

    fn text(&self) -> String {
        let step = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let round = self.round.load(Ordering::Relaxed);
        let messages = self.messages.load(Ordering::Relaxed);
        let (scenario, rounds) = (self.scenario, self.rounds);
        format!("{scenario}: round {round} of {rounds}, {messages} messages, {step}")
    }
}

/// The line on a terminal, removed on drop.
struct Line {
    is_terminal: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_terminal {
            write("\r\x1b[2K");
        }
    }
}

fn write(text: &str) {
    // An error means that standard error is closed: the scenario goes on without.
    let _ = stderr().write_all(text.as_bytes());
    let _ = stderr().flush();
}
