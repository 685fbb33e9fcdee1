//! Places of connections: how many may be open, how many of one address, and which of them go when
//! places run short.
//!
//! A connection whose peer has proven no identity yet may lose its place: the oldest of them goes
//! when a newcomer finds none. One that has proven an identity keeps its place until it ends.

use crate::address_group::address_group;
use crate::sync::lock;
use futures_util::task::AtomicWaker;
use http::Version;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two warnings about addresses that have all they may have.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The bounds on the places of a listener, in connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceBounds {
    /// All connections.
    pub(crate) total: usize,
    /// Those among them whose peers have proven no identity.
    pub(crate) unproven: usize,
    /// Those of one address.
    pub(crate) per_address: usize,
}

/// The reason why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Every place is taken by a peer that has proven its identity.
    Full,
    /// The address has as many connections as one address may have.
    AddressFull,
}

impl NoPlace {
    /// The word for it in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
        }
    }
}

/// The places of a listener.
pub(crate) struct Places {
    bounds: PlaceBounds,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    taken: usize,
    /// The places without a proven identity that have not been given away, oldest first.
    unproven: BTreeMap<u64, Weak<Place>>,
    /// The connections of each group of addresses that has any.
    groups: HashMap<IpAddr, usize>,
    next_number: u64,
    /// The time before which no further warning is logged.
    next_warning: Option<Instant>,
}

/// The place of one connection, free again when the last reference to it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    /// The addresses that the connection counts for; unset where the peer is a proxy.
    group: OnceLock<IpAddr>,
    /// The place of the HTTP/2 connection that carries this one.
    carrier: Option<Arc<Place>>,
    /// Changes only under the lock of [`Places::inner`].
    proven: AtomicBool,
    evicted: AtomicBool,
    waker: AtomicWaker,
}

impl Places {
    pub(crate) fn new(bounds: PlaceBounds) -> Arc<Self> {
        Arc::new(Self { bounds, inner: Mutex::default() })
    }

    /// Takes a place for a connection, if need be that of the oldest one whose peer has proven
    /// nothing. `address` is the client's, if it is known already.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Arc<Place>, NoPlace> {
        self.take_within(address, None)
    }

    fn take_within(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        carrier: Option<Arc<Place>>,
    ) -> Result<Arc<Place>, NoPlace> {
        let group = address.map(address_group);
        let mut inner = lock(&self.inner);
        if let Some(group) = group {
            inner.check_room_for(group, &self.bounds)?;
        }
        let mut evicted = None;
        if inner.taken >= self.bounds.total || inner.unproven.len() >= self.bounds.unproven {
            let (_, oldest) = inner.unproven.pop_first().ok_or(NoPlace::Full)?;
            inner.taken -= 1;
            evicted = Some(oldest);
        }
        inner.taken += 1;
        let number = inner.next_number;
        inner.next_number += 1;
        if let Some(group) = group {
            *inner.groups.entry(group).or_default() += 1;
        }
        let place = Arc::new(Place {
            places: self.clone(),
            number,
            group: group.map_or_else(OnceLock::new, OnceLock::from),
            carrier,
            proven: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        inner.unproven.insert(number, Arc::downgrade(&place));
        drop(inner);
        // After the lock is free: the last reference to a place takes it when it is dropped.
        if let Some(evicted) = evicted.and_then(|place| place.upgrade()) {
            evicted.evict();
        }
        Ok(place)
    }
}

impl Inner {
    fn check_room_for(&mut self, group: IpAddr, bounds: &PlaceBounds) -> Result<(), NoPlace> {
        if self.groups.get(&group).is_none_or(|count| *count < bounds.per_address) {
            return Ok(());
        }
        let now = Instant::now();
        if self.next_warning.is_none_or(|next| now >= next) {
            self.next_warning = Some(now + WARNING_INTERVAL);
            tracing::warn!(
                address = %group,
                connections = bounds.per_address,
                "an address has all its connections; a proxy has to be named as trusted"
            );
        }
        Err(NoPlace::AddressFull)
    }
}

impl Place {
    /// Counts the connection for the client's address, which a proxy has told only now. A
    /// connection counts for one address, the first.
    pub(crate) fn count_for(&self, address: IpAddr) -> Result<(), NoPlace> {
        let group = address_group(address);
        let mut inner = lock(&self.places.inner);
        if self.group.get().is_some() {
            return Ok(());
        }
        inner.check_room_for(group, &self.places.bounds)?;
        *inner.groups.entry(group).or_default() += 1;
        self.group.set(group).expect("it is set under the lock only, and was not");
        Ok(())
    }

    /// The place of a WebSocket that this HTTP connection begins: the same place over HTTP/1.1,
    /// whose connection becomes the WebSocket, and another one for each stream of HTTP/2.
    /// `address` is the client's, if it is known.
    pub(crate) fn of_websocket(
        self: &Arc<Self>,
        version: Version,
        address: Option<IpAddr>,
    ) -> Result<Arc<Self>, NoPlace> {
        if version == Version::HTTP_2 {
            return self.places.take_within(address, Some(self.clone()));
        }
        if let Some(address) = address {
            self.count_for(address)?;
        }
        Ok(self.clone())
    }

    /// The peer has proven an identity: from now on the connection keeps its place.
    pub(crate) fn prove(&self) {
        if self.is_proven() {
            return;
        }
        let mut inner = lock(&self.places.inner);
        // Without an entry, the place was given away already.
        if inner.unproven.remove(&self.number).is_some() {
            self.proven.store(true, Ordering::Relaxed);
            self.waker.take();
        }
        drop(inner);
        if let Some(carrier) = &self.carrier {
            carrier.prove();
        }
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Ends the connection: its place belongs to another one.
    fn evict(&self) {
        crate::metrics::connection_evicted();
        self.evicted.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits until the place is given to another connection. One task at a time may wait.
    pub(crate) fn evicted(&self) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_evicted(context))
    }

    /// The same as [`Place::evicted`], to be polled beside other things.
    pub(crate) fn poll_evicted(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.is_proven() {
            // A waker keeps the memory of its task, also after the task has ended: that of a
            // WebSocket's HTTP connection is larger than the WebSocket's own.
            self.waker.take();
            return Poll::Pending;
        }
        if self.evicted.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = lock(&self.places.inner);
        // Without either, the place was given away.
        if inner.unproven.remove(&self.number).is_some() || self.is_proven() {
            inner.taken -= 1;
        }
        if let Some(group) = self.group.get()
            && let Entry::Occupied(mut count) = inner.groups.entry(*group)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The other end of a WebSocket.
pub(crate) struct Client {
    /// The client's address, also behind proxies.
    pub(crate) address: IpAddr,
    pub(crate) place: Arc<Place>,
    /// The time by which it has to prove an identity.
    pub(crate) proof_deadline: Instant,
    /// Its `User-Agent` header.
    pub(crate) user_agent: Option<Arc<str>>,
}

impl Client {
    /// A client whose WebSocket begins now.
    pub(crate) fn new(address: IpAddr, place: Arc<Place>, first_proof_timeout: Duration) -> Self {
        let proof_deadline = Instant::now() + first_proof_timeout;
        Self { address, place, proof_deadline, user_agent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::task::{ArcWake, waker};

    const ANY: usize = usize::MAX;

    fn places(total: usize, unproven: usize, per_address: usize) -> Arc<Places> {
        Places::new(PlaceBounds { total, unproven, per_address })
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn is_evicted(place: &Place) -> bool {
        place.evicted().now_or_never().is_some()
    }

    fn is_empty(places: &Places) -> bool {
        let inner = lock(&places.inner);
        inner.taken == 0 && inner.unproven.is_empty() && inner.groups.is_empty()
    }

    #[test]
    fn an_address_has_its_places_and_others_have_theirs() {
        for (name, mine, same, other) in [
            ("IPv4", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"),
            ("IPv6", "2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        ] {
            let places = places(10, 10, 2);
            let first = places.take(address(mine)).unwrap();
            let second = places.take(address(same)).unwrap();
            assert_eq!(places.take(address(mine)).err(), Some(NoPlace::AddressFull), "{name}");
            let third = places.take(address(other)).unwrap();
            drop(second);
            let fourth = places.take(address(mine)).unwrap();
            assert!([&first, &third, &fourth].iter().all(|place| !is_evicted(place)), "{name}");
            drop((first, third, fourth));
            assert!(is_empty(&places), "{name}");
        }
    }

    #[test]
    fn a_place_that_is_kept_holds_no_waker_of_a_task() {
        struct Task;
        impl ArcWake for Task {
            fn wake_by_ref(_task: &Arc<Self>) {}
        }
        let task = Arc::new(Task);
        let poll = |place: &Place| {
            let waker = waker(task.clone());
            assert!(place.poll_evicted(&mut Context::from_waker(&waker)).is_pending());
        };
        let place = places(1, 1, ANY).take(None).unwrap();
        poll(&place);
        assert_eq!(Arc::strong_count(&task), 2);
        place.prove();
        assert_eq!(Arc::strong_count(&task), 1, "after the proof");
        poll(&place);
        assert_eq!(Arc::strong_count(&task), 1, "after another look");
    }

    #[test]
    fn the_oldest_that_has_proven_nothing_goes_first() {
        let places = places(3, 3, ANY);
        let taken = [0; 3].map(|_| places.take(None).unwrap());
        taken[0].prove();
        let fourth = places.take(None).unwrap();
        assert_eq!(taken.each_ref().map(|place| is_evicted(place)), [false, true, false]);
        // It is too late to prove anything.
        taken[1].prove();
        assert!(!taken[1].is_proven());
        let fifth = places.take(None).unwrap();
        assert!(is_evicted(&taken[2]) && !is_evicted(&fourth) && !is_evicted(&fifth));
        fourth.prove();
        fifth.prove();
        assert_eq!(places.take(None).err(), Some(NoPlace::Full));
        drop(taken);
        let sixth = places.take(None).unwrap();
        drop((fourth, fifth, sixth));
        assert!(is_empty(&places));
    }

    #[test]
    fn a_share_of_the_places_is_for_those_who_have_proven_an_identity() {
        let places = places(4, 2, ANY);
        let taken = [0; 3].map(|_| places.take(None).unwrap());
        assert_eq!(taken.each_ref().map(|place| is_evicted(place)), [true, false, false]);
        taken[1].prove();
        taken[2].prove();
        let more = [0; 2].map(|_| places.take(None).unwrap());
        assert!(more.iter().chain(&taken[1..]).all(|place| !is_evicted(place)));
    }

    #[test]
    fn a_connection_behind_a_proxy_counts_once_its_client_is_known() {
        let places = places(10, 10, 1);
        let client = address("10.0.0.1").unwrap();
        let (first, second) = (places.take(None).unwrap(), places.take(None).unwrap());
        assert_eq!(first.count_for(client), Ok(()));
        assert_eq!(first.count_for(client), Ok(()), "it counts already");
        assert_eq!(second.count_for(client), Err(NoPlace::AddressFull));
        drop(first);
        assert_eq!(second.count_for(client), Ok(()));
        drop(second);
        assert!(is_empty(&places));
    }

    #[test]
    fn every_websocket_over_http_2_has_a_place_of_its_own() {
        let places = places(10, 10, 2);
        let client = address("10.0.0.1").unwrap();
        let connection = places.take(Some(client)).unwrap();
        let upgraded = connection.of_websocket(Version::HTTP_11, Some(client)).unwrap();
        assert!(Arc::ptr_eq(&connection, &upgraded));
        let stream = connection.of_websocket(Version::HTTP_2, Some(client)).unwrap();
        let another = connection.of_websocket(Version::HTTP_2, Some(client));
        assert_eq!(another.err(), Some(NoPlace::AddressFull));
        stream.prove();
        assert!(connection.is_proven(), "it carries one that has proven an identity");
        drop((connection, upgraded, stream));
        assert!(is_empty(&places));
    }

    #[tokio::test]
    async fn a_connection_that_waits_learns_that_its_place_is_gone() {
        let places = places(1, 1, ANY);
        let first = places.take(None).unwrap();
        let waiting = tokio::spawn({
            let first = first.clone();
            async move { first.evicted().await }
        });
        tokio::task::yield_now().await;
        let second = places.take(None).unwrap();
        waiting.await.unwrap();
        assert!(!is_evicted(&second));
    }
}
