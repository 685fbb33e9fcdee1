//! Who is in the rooms that sessions have joined: what a message is told with, and no event says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tolmach_domain::{FlowId, User, UserId, UserSummary};

/// A room as its sessions know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// Ordered by id.
    participants: Vec<Participant>,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) id: UserId,
    pub(crate) fullname: Arc<str>,
    pub(crate) email: Option<Arc<str>>,
    pub(crate) phone: Option<Arc<str>>,
    /// Whether the account has the business tariff.
    pub(crate) business: bool,
}

impl From<&User> for Participant {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            fullname: user.name.as_str().into(),
            email: user.email.as_deref().map(Arc::from),
            phone: user.phone.as_deref().map(Arc::from),
            business: user.business,
        }
    }
}

impl From<&UserSummary> for Participant {
    /// Somebody who joined just now: how to reach them and their tariff are learned when the room
    /// is read again.
    fn from(person: &UserSummary) -> Self {
        Self {
            id: person.id,
            fullname: person.name.clone(),
            email: None,
            phone: None,
            business: false,
        }
    }
}

impl Room {
    /// A room with these members.
    pub(crate) fn new(members: &[User]) -> Self {
        let mut participants: Vec<Participant> = members.iter().map(Participant::from).collect();
        participants.sort_by_key(|participant| participant.id);
        Self { participants }
    }

    /// Everybody in it, ordered by id.
    pub(crate) fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// One of them.
    pub(crate) fn participant(&self, id: UserId) -> Option<&Participant> {
        self.place(id).ok().map(|place| &self.participants[place])
    }

    /// Whether one of them has the business tariff.
    pub(crate) fn has_business(&self) -> bool {
        self.participants.iter().any(|participant| participant.business)
    }

    /// Lets somebody in who is not in yet.
    pub(crate) fn add(&mut self, person: &UserSummary) {
        if let Err(place) = self.place(person.id) {
            self.participants.insert(place, person.into());
        }
    }

    /// Lets somebody out.
    pub(crate) fn remove(&mut self, id: UserId) {
        if let Ok(place) = self.place(id) {
            self.participants.remove(place);
        }
    }

    fn place(&self, id: UserId) -> Result<usize, usize> {
        self.participants.binary_search_by_key(&id, |participant| participant.id)
    }
}

/// The rooms that sessions are in now: no more of them than there are sessions.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<FlowId, Known>>);

#[derive(Debug)]
struct Known {
    room: Arc<Room>,
    stays: usize,
}

impl Rooms {
    /// A session is in a room, which it has just read, until the stay is dropped.
    pub(crate) fn enter(self: &Arc<Self>, flow: FlowId, room: Room) -> Stay {
        let room = Arc::new(room);
        match self.lock().entry(flow) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.room = room;
                known.stays += 1;
            }
            Entry::Vacant(place) => {
                place.insert(Known { room, stays: 1 });
            }
        }
        Stay { rooms: self.clone(), flow }
    }

    /// A room that a session is in.
    pub(crate) fn get(&self, flow: FlowId) -> Option<Arc<Room>> {
        self.lock().get(&flow).map(|known| known.room.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlowId, Known>> {
        // Nothing under this lock panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's being in a room.
#[derive(Debug)]
pub(crate) struct Stay {
    rooms: Arc<Rooms>,
    flow: FlowId,
}

impl Stay {
    /// Which room.
    pub(crate) fn flow(&self) -> FlowId {
        self.flow
    }

    /// The room has just been read again.
    pub(crate) fn learn(&self, room: Room) {
        if let Some(known) = self.rooms.lock().get_mut(&self.flow) {
            known.room = Arc::new(room);
        }
    }

    /// The room has changed. Every session in it says so: the change must be one that can be made
    /// twice.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Room)) {
        if let Some(known) = self.rooms.lock().get_mut(&self.flow) {
            change(Arc::make_mut(&mut known.room));
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Entry::Occupied(mut known) = self.rooms.lock().entry(self.flow) {
            known.get_mut().stays -= 1;
            if known.get().stays == 0 {
                known.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(number: i64) -> FlowId {
        FlowId::new(number).unwrap()
    }

    fn person(number: i64) -> UserSummary {
        let text: Arc<str> = format!("user{number}").into();
        UserSummary {
            id: UserId::new(number).unwrap(),
            login: text.clone(),
            username: text.clone(),
            name: text,
        }
    }

    fn ids(room: Option<Arc<Room>>) -> Option<Vec<i64>> {
        room.map(|room| {
            room.participants().iter().map(|participant| participant.id.get()).collect()
        })
    }

    fn of(numbers: &[i64]) -> Room {
        let mut room = Room::default();
        numbers.iter().for_each(|number| room.add(&person(*number)));
        room
    }

    #[test]
    fn a_room_is_known_as_long_as_a_session_is_in_it() {
        let rooms = Arc::new(Rooms::default());
        assert_eq!(rooms.get(flow(1)), None);
        let first = rooms.enter(flow(1), of(&[1]));
        let second = rooms.enter(flow(1), of(&[1, 2]));
        let other = rooms.enter(flow(2), of(&[3]));
        assert_eq!(ids(rooms.get(flow(1))), Some(vec![1, 2]), "what was read last is known");
        drop(first);
        assert_eq!(ids(rooms.get(flow(1))), Some(vec![1, 2]));
        drop(second);
        assert_eq!(rooms.get(flow(1)), None);
        assert_eq!(ids(rooms.get(flow(2))), Some(vec![3]));
        drop(other);
        assert!(rooms.lock().is_empty());
    }

    #[test]
    fn participants_come_and_go_once_in_order_of_their_ids() {
        let rooms = Arc::new(Rooms::default());
        let stay = rooms.enter(flow(1), of(&[5, 2]));
        for _ in 0..2 {
            stay.change(|room| room.add(&person(3)));
            assert_eq!(ids(rooms.get(flow(1))), Some(vec![2, 3, 5]));
        }
        for _ in 0..2 {
            stay.change(|room| room.remove(UserId::new(2).unwrap()));
            assert_eq!(ids(rooms.get(flow(1))), Some(vec![3, 5]));
        }
    }
}
