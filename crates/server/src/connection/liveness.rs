//! Detection of a dead peer.

use crate::options::Keepalive;
use tokio::time::Instant;

/// The signs of life of one peer: it is pinged after it was silent for a whole interval.
pub(super) struct Liveness {
    next_check: Instant,
    /// True if nothing was received since the last check.
    silent: bool,
    /// True if a ping was not answered yet.
    pinged: bool,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    Alive,
    /// The peer has to be pinged.
    Ping,
    Dead,
}

impl Liveness {
    pub(super) fn new(now: Instant, keepalive: &Keepalive) -> Self {
        Self { next_check: now + keepalive.ping_interval, silent: false, pinged: false }
    }

    /// The time of the next check.
    pub(super) fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Notes a sign of life.
    pub(super) fn received(&mut self) {
        (self.silent, self.pinged) = (false, false);
    }

    /// Checks the peer. While nothing is read from it, silence means nothing.
    pub(super) fn check(&mut self, now: Instant, reading: bool, keepalive: &Keepalive) -> Check {
        if self.pinged && reading {
            return Check::Dead;
        }
        self.pinged = self.silent && reading;
        self.silent = true;
        if self.pinged {
            self.next_check = now + keepalive.pong_timeout;
            Check::Ping
        } else {
            self.next_check = now + keepalive.ping_interval;
            Check::Alive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_pinged_and_dead_unless_it_answers() {
        let (keepalive, now) = (Keepalive::default(), Instant::now());
        let mut liveness = Liveness::new(now, &keepalive);
        for (name, received, reading, expected, next) in [
            ("new", false, true, Check::Alive, keepalive.ping_interval),
            ("active", true, true, Check::Alive, keepalive.ping_interval),
            ("silent", false, true, Check::Ping, keepalive.pong_timeout),
            ("answers", true, true, Check::Alive, keepalive.ping_interval),
            ("not read", false, false, Check::Alive, keepalive.ping_interval),
            ("silent again", false, true, Check::Ping, keepalive.pong_timeout),
            ("not read since", false, false, Check::Alive, keepalive.ping_interval),
            ("still silent", false, true, Check::Ping, keepalive.pong_timeout),
            ("no answer", false, true, Check::Dead, keepalive.pong_timeout),
        ] {
            if received {
                liveness.received();
            }
            assert_eq!(liveness.check(now, reading, &keepalive), expected, "{name}");
            assert_eq!(liveness.next_check(), now + next, "{name}");
        }
    }
}
