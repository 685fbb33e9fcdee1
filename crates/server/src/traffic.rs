//! Bytes per second of one user and of one address, and frames per second of one address, over all
//! their connections and requests.
//!
//! Bytes that came are counted after they were read, in whole chunks; while a chunk has to wait for
//! its turn, nothing more is read from that peer. A peer that sends less than a chunk touches
//! nothing that peers share.

use crate::address_group::address_group;
use crate::address_turns::{AddressTurns, Turn};
use crate::options::Limits;
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tolmach_domain::UserId;

/// The bytes of one cell of the limiters.
const CELL: usize = 1 << 10;
/// The most cells of a limit: about 1 GiB, which is as good as none.
const MAX_CELLS: usize = 1_000_000;
/// The cells that are counted at once.
const CHUNK: NonZeroU32 = NonZeroU32::new(16).expect("it is not 0");
const CHUNK_BYTES: usize = CHUNK.get() as usize * CELL;

/// The frames that are counted at once.
const FRAMES: NonZeroU32 = NonZeroU32::new(16).expect("it is not 0");

/// The shortest and the longest time after which an HTTP request that has to wait is tried again.
const MIN_REQUEST_WAIT: Duration = Duration::from_millis(1);
const MAX_REQUEST_WAIT: Duration = Duration::from_millis(250);

/// The peers whose refused bytes are read at a time, so that they find the reason of the refusal.
const MAX_DISCARDS: usize = 32;
/// Those of one address among them.
const MAX_DISCARDS_OF_ADDRESS: usize = MAX_DISCARDS / 4;

/// The bytes and frames per second of all users and addresses.
pub(crate) struct Traffic {
    users: Limiter<UserId>,
    addresses: Limiter<IpAddr>,
    /// Frames and HTTP requests.
    frames: Limiter<IpAddr>,
    /// The turns at reading what was refused.
    discards: Arc<AddressTurns>,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

impl Traffic {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let user = quota(limits.bytes_per_second_per_user, limits.byte_burst_per_user);
        let address = quota(limits.bytes_per_second_per_address, limits.byte_burst_per_address);
        let burst = limits.frame_burst_per_address.max(FRAMES);
        let frames = Quota::per_second(limits.frames_per_second_per_address).allow_burst(burst);
        let (users, addresses) = (limiter(user), limiter(address));
        let discards = AddressTurns::new(MAX_DISCARDS, MAX_DISCARDS_OF_ADDRESS);
        Arc::new(Self { users, addresses, frames: limiter(frames), discards })
    }

    /// Waits for a turn at reading what was refused. What a peer sends is left unread until then.
    pub(crate) async fn discard_turn(&self, address: IpAddr) -> Turn {
        self.discards.turn(address).await
    }

    /// Waits until an HTTP request of this address may be carried out, and counts it.
    pub(crate) async fn admit_request(&self, address: IpAddr) {
        let mut least = MIN_REQUEST_WAIT;
        while let Some(time) = self.count_request(address) {
            // Many may wait for the same moment, at which one of them is admitted.
            sleep(time.max(least)).await;
            least = (2 * least).min(MAX_REQUEST_WAIT);
        }
    }

    /// Counts an HTTP request. Returns the time after which it may be tried again, if it has to
    /// wait.
    fn count_request(&self, address: IpAddr) -> Option<Duration> {
        let not_until = self.frames.check_key(&address_group(address)).err()?;
        crate::metrics::reading_paused("address_frames");
        Some(not_until.wait_time_from(MonotonicClock.now()))
    }

    /// Drops what is known of users and addresses that have not sent much lately. To be called at
    /// intervals.
    pub(crate) fn forget_idle(&self) {
        self.users.retain_recent();
        self.users.shrink_to_fit();
        self.addresses.retain_recent();
        self.addresses.shrink_to_fit();
        self.frames.retain_recent();
        self.frames.shrink_to_fit();
    }
}

fn quota(bytes_per_second: usize, burst: usize) -> Quota {
    let cells = |bytes: usize, least: NonZeroU32| {
        let cells = (bytes / CELL).min(MAX_CELLS) as u32;
        NonZeroU32::new(cells).map_or(least, |cells| cells.max(least))
    };
    Quota::per_second(cells(bytes_per_second, NonZeroU32::MIN)).allow_burst(cells(burst, CHUNK))
}

fn limiter<K: Hash + Eq + Clone>(quota: Quota) -> Limiter<K> {
    RateLimiter::hashmap_with_clock(quota, MonotonicClock)
}

/// Counts the bytes that come from one peer: over one connection, or as one body.
pub(crate) struct TrafficMeter {
    traffic: Arc<Traffic>,
    address: IpAddr,
    user: Option<UserId>,
    /// The bytes that are not counted yet: of the address, and of the user.
    uncounted: [usize; 2],
    /// The frames that passed and are not counted yet.
    uncounted_frames: u32,
}

impl TrafficMeter {
    /// A meter of what comes from this address.
    pub(crate) fn new(traffic: Arc<Traffic>, address: IpAddr) -> Self {
        Self {
            traffic,
            address: address_group(address),
            user: None,
            uncounted: [0; 2],
            uncounted_frames: 0,
        }
    }

    /// Waits for the peer's [turn](Traffic::discard_turn) at having read what was refused.
    pub(crate) async fn discard_turn(&self) -> Turn {
        self.traffic.discard_turn(self.address).await
    }

    /// Sets the user that bytes come from: they count from now on.
    pub(crate) fn set_user(&mut self, user: Option<UserId>) {
        if self.user != user {
            (self.user, self.uncounted[1]) = (user, 0);
        }
    }

    /// Counts a frame that is about to pass. Returns the time that it has to wait, and is then to
    /// be called for it again.
    pub(crate) fn count_frame(&mut self) -> Option<Duration> {
        if self.uncounted_frames == FRAMES.get() {
            if let Ok(Err(not_until)) = self.traffic.frames.check_key_n(&self.address, FRAMES) {
                crate::metrics::reading_paused("address_frames");
                return Some(not_until.wait_time_from(MonotonicClock.now()));
            }
            self.uncounted_frames = 0;
        }
        self.uncounted_frames += 1;
        None
    }

    /// Counts bytes that came. Returns the time for which nothing more may be read.
    pub(crate) fn count(&mut self, bytes: usize) -> Option<Duration> {
        self.uncounted[0] += bytes;
        self.uncounted[1] += if self.user.is_some() { bytes } else { 0 };
        self.pause()
    }

    /// Counts the bytes that had to wait. Returns the time for which nothing more may be read.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        let Self { traffic, address, user, uncounted: [of_address, of_user], .. } = self;
        let pause = count_chunks(of_address, &traffic.addresses, address, "address_bytes");
        let Some(user) = user else { return pause };
        pause.max(count_chunks(of_user, &traffic.users, user, "user_bytes"))
    }
}

/// Counts whole chunks as far as they may come now. Returns the time until the next one may.
fn count_chunks<K: Hash + Eq + Clone>(
    uncounted: &mut usize,
    limiter: &Limiter<K>,
    key: &K,
    reason: &'static str,
) -> Option<Duration> {
    while *uncounted >= CHUNK_BYTES {
        if let Ok(Err(not_until)) = limiter.check_key_n(key, CHUNK) {
            crate::metrics::reading_paused(reason);
            return Some(not_until.wait_time_from(MonotonicClock.now()));
        }
        *uncounted -= CHUNK_BYTES;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of two chunks, and then one cell an hour, as good as nothing.
    fn traffic(user_burst: usize, address_burst: usize) -> Arc<Traffic> {
        let quota = |burst: usize| {
            let burst = NonZeroU32::new(burst as u32).unwrap();
            Quota::with_period(Duration::from_secs(3600)).unwrap().allow_burst(burst)
        };
        let (user, address) = (quota(user_burst / CELL), quota(address_burst / CELL));
        let frames = quota(2 * FRAMES.get() as usize);
        let (users, addresses) = (limiter(user), limiter(address));
        let discards = AddressTurns::new(MAX_DISCARDS, MAX_DISCARDS_OF_ADDRESS);
        Arc::new(Traffic { users, addresses, frames: limiter(frames), discards })
    }

    #[test]
    fn frames_of_an_address_wait_past_its_burst_over_all_connections_and_requests() {
        let traffic = traffic(CHUNK_BYTES, CHUNK_BYTES);
        let mut first = meter(&traffic, "192.0.2.1", None);
        let mut second = meter(&traffic, "192.0.2.1", None);
        let passed = |meter: &mut TrafficMeter| {
            (0..100).take_while(|_| meter.count_frame().is_none()).count()
        };
        // Each connection has one chunk that is not counted yet.
        assert_eq!(passed(&mut first), 3 * FRAMES.get() as usize);
        assert_eq!(passed(&mut second), FRAMES.get() as usize);
        assert!(traffic.count_request("192.0.2.1".parse().unwrap()).is_some());
        assert!(traffic.count_request("192.0.2.2".parse().unwrap()).is_none());
        assert_eq!(passed(&mut meter(&traffic, "2001:db8::1", None)), 3 * FRAMES.get() as usize);
        let neighbour = &mut meter(&traffic, "2001:db8::2", None);
        assert_eq!(passed(neighbour), FRAMES.get() as usize);
    }

    fn meter(traffic: &Arc<Traffic>, address: &str, user: Option<i64>) -> TrafficMeter {
        let mut meter = TrafficMeter::new(traffic.clone(), address.parse().unwrap());
        meter.set_user(user.map(|user| UserId::new(user).unwrap()));
        meter
    }

    #[test]
    fn a_user_is_paused_past_the_burst_over_all_connections_and_others_are_not() {
        let traffic = traffic(2 * CHUNK_BYTES, 100 * CHUNK_BYTES);
        let mut first = meter(&traffic, "192.0.2.1", Some(1));
        let mut second = meter(&traffic, "192.0.2.2", Some(1));
        assert_eq!(first.count(CHUNK_BYTES), None);
        assert_eq!(second.count(2 * CHUNK_BYTES - 1), None, "one chunk of it counts");
        assert!(second.count(1).is_some());
        assert!(first.pause().is_none(), "all that it has sent is counted");
        assert!(first.count(CHUNK_BYTES).is_some());
        assert_eq!(meter(&traffic, "192.0.2.1", Some(2)).count(2 * CHUNK_BYTES), None);
        assert_eq!(meter(&traffic, "192.0.2.1", None).count(2 * CHUNK_BYTES), None);
    }

    #[test]
    fn an_address_is_paused_past_the_burst_over_all_users_and_others_are_not() {
        let traffic = traffic(100 * CHUNK_BYTES, 2 * CHUNK_BYTES);
        assert_eq!(meter(&traffic, "2001:db8::1", Some(1)).count(CHUNK_BYTES), None);
        assert_eq!(meter(&traffic, "2001:db8::2", Some(2)).count(CHUNK_BYTES), None);
        assert!(meter(&traffic, "2001:db8::3", None).count(CHUNK_BYTES).is_some());
        assert_eq!(meter(&traffic, "2001:db8:0:1::1", None).count(CHUNK_BYTES), None);
    }

    #[test]
    fn bytes_before_a_login_do_not_count_for_the_user() {
        let traffic = traffic(CHUNK_BYTES, 100 * CHUNK_BYTES);
        let mut meter = meter(&traffic, "192.0.2.1", None);
        assert_eq!(meter.count(2 * CHUNK_BYTES - 1), None);
        meter.set_user(UserId::new(1).ok());
        assert_eq!(meter.count(CHUNK_BYTES), None);
        assert!(meter.count(CHUNK_BYTES).is_some());
    }

    #[test]
    fn every_limit_gives_a_quota() {
        for bytes in [0, 1, CELL, usize::MAX] {
            assert!(quota(bytes, bytes).burst_size() >= CHUNK);
        }
    }
}
