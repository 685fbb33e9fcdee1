//! The requests of a client that wait for their responses.

use crate::Unsupported;
use std::collections::VecDeque;

/// The most requests of one connection that may wait for their responses.
pub const MAX_PENDING_REQUESTS: usize = 1024;

/// The requests of a client that wait for their responses, the oldest first.
#[derive(Debug)]
pub struct PendingRequests<T>(VecDeque<T>);

impl<T> Default for PendingRequests<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> PendingRequests<T> {
    /// Fails where `count` more requests are one too many for `dialect`.
    pub fn reserve(&self, dialect: &'static str, count: usize) -> Result<(), Unsupported> {
        let what = "one more request before earlier ones are answered";
        if self.0.len() + count > MAX_PENDING_REQUESTS {
            return Err(Unsupported { dialect, what });
        }
        Ok(())
    }

    /// Adds the newest request. Call [`PendingRequests::reserve`] first.
    pub fn push(&mut self, request: T) {
        self.0.push_back(request);
    }

    /// The place of the oldest request that fits.
    pub fn position(&self, fits: impl FnMut(&T) -> bool) -> Option<usize> {
        self.0.iter().position(fits)
    }

    /// Takes the oldest request that fits.
    pub fn take_first(&mut self, fits: impl FnMut(&T) -> bool) -> Option<T> {
        let position = self.position(fits)?;
        self.0.remove(position)
    }

    /// Takes the request at a place.
    pub fn take(&mut self, position: usize) -> Option<T> {
        self.0.remove(position)
    }

    /// Takes every request up to a place, and gives the one at it: those before it will not be
    /// answered any more.
    pub fn take_through(&mut self, position: usize) -> Option<T> {
        self.0.drain(..=position.min(self.0.len().checked_sub(1)?)).next_back()
    }

    /// The request at a place.
    pub fn get(&self, position: usize) -> Option<&T> {
        self.0.get(position)
    }

    /// The oldest request that fits.
    pub fn find_mut(&mut self, mut fits: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.0.iter_mut().find(|request| fits(request))
    }

    /// The request at a place.
    pub fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        self.0.get_mut(position)
    }

    /// Takes all of them.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.0.drain(..)
    }

    /// True if no request waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_fits_is_taken_and_there_is_room_for_no_more_than_the_bound() {
        let mut pending = PendingRequests::default();
        for number in 0..MAX_PENDING_REQUESTS {
            assert!(pending.reserve("toy", 1).is_ok());
            pending.push(number);
        }
        assert!(pending.reserve("toy", 1).is_err());
        assert_eq!(pending.take_first(|number| number % 5 == 4), Some(4));
        assert_eq!(pending.take_first(|number| *number == 4), None);
        assert!(pending.reserve("toy", 1).is_ok() && pending.reserve("toy", 2).is_err());
        assert_eq!((pending.take_through(2), pending.take(0)), (Some(2), Some(3)));
        assert_eq!(pending.drain().next(), Some(5));
        assert!(pending.is_empty() && pending.take_through(0).is_none());
    }
}
