//! Which channels of Redis an event goes to, and what they are called.

use std::collections::BTreeMap;
use tolmach_domain::{Event, EventKind, UserId};
use tolmach_engine::ports::Topic;

/// An event that concerns more users than this goes to every node, once, rather than to each of
/// them: it names them all, so that the bytes would grow with their square.
const CROWD: usize = 32;

/// How many channels one command names.
const CHANNELS_IN_A_COMMAND: usize = 1_000;

/// Over how many shards topics are spread where channels are sharded. All channels of one shard lie
/// in one slot of a Redis Cluster, which is what lets one command name many of them; and there are
/// far more shards than nodes of a cluster.
const SHARDS: u16 = 256;

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nodes that listen to a topic.
    Topic(Topic),
    /// Every node.
    Everyone,
}

/// Names channels.
pub(crate) struct Channels {
    prefix: String,
    sharded: bool,
}

impl Channels {
    /// Channels that all begin with `prefix`.
    pub(crate) fn new(prefix: String, sharded: bool) -> Self {
        Self { prefix, sharded }
    }

    /// Whether they are sharded.
    pub(crate) fn are_sharded(&self) -> bool {
        self.sharded
    }

    /// The channel's name: `tolmach:flow:7`; where channels are sharded `tolmach:{7}:flow:7`, of
    /// which Redis hashes what is between the braces.
    pub(crate) fn name(&self, place: Place) -> String {
        let prefix = &self.prefix;
        let prefix = if self.sharded {
            format!("{prefix}{{{}}}:", self.shard(place))
        } else {
            prefix.clone()
        };
        match place {
            Place::Topic(Topic::Flow(flow)) => format!("{prefix}flow:{flow}"),
            Place::Topic(Topic::User(user)) => format!("{prefix}user:{user}"),
            Place::Everyone => format!("{prefix}everyone"),
        }
    }

    /// The shard that a channel lies in: what one command may name.
    pub(crate) fn shard(&self, place: Place) -> u16 {
        let id = match place {
            Place::Topic(_) | Place::Everyone if !self.sharded => 0,
            Place::Topic(Topic::Flow(flow)) => flow.get(),
            Place::Topic(Topic::User(user)) => user.get(),
            Place::Everyone => 0,
        };
        u16::try_from(id % i64::from(SHARDS)).unwrap_or_default()
    }

    /// The channels' names, as few commands can name them.
    pub(crate) fn batches(&self, places: impl IntoIterator<Item = Place>) -> Vec<Vec<String>> {
        let mut shards: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for place in places {
            shards.entry(self.shard(place)).or_default().push(self.name(place));
        }
        shards
            .into_values()
            .flat_map(|names| {
                names.chunks(CHANNELS_IN_A_COMMAND).map(<[String]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Where an event is to be heard. Whoever comes into a flow does not listen to it yet, hence their
/// own topics too.
pub(crate) fn places(event: &Event) -> Vec<Place> {
    let users: Vec<UserId> = match &event.kind {
        EventKind::FlowCreated { members, .. } => members.iter().map(|member| member.id).collect(),
        EventKind::MembersAdded { users, .. } => users.iter().map(|user| user.id).collect(),
        EventKind::MembersRemoved { users, .. } => users.clone(),
        EventKind::SessionsEnded { user, .. } => vec![*user],
        EventKind::Posted(_)
        | EventKind::Edited(_)
        | EventKind::Deleted { .. }
        | EventKind::FlowDeleted { .. }
        | EventKind::Typing { .. } => Vec::new(),
    };
    if users.len() > CROWD {
        return vec![Place::Everyone];
    }
    event
        .flow()
        .map(Topic::Flow)
        .into_iter()
        .chain(users.into_iter().map(Topic::User))
        .map(Place::Topic)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{FlowId, Timestamp};

    fn flow(number: i64) -> Topic {
        Topic::Flow(FlowId::new(number).unwrap())
    }

    fn user(number: i64) -> Topic {
        Topic::User(UserId::new(number).unwrap())
    }

    #[test]
    fn channels_are_named_after_what_they_are_for() {
        let plain = Channels::new("tolmach:".into(), false);
        let sharded = Channels::new("tolmach:".into(), true);
        for (place, expected, expected_sharded) in [
            (Place::Topic(flow(7)), "tolmach:flow:7", "tolmach:{7}:flow:7"),
            (Place::Topic(user(519)), "tolmach:user:519", "tolmach:{7}:user:519"),
            (Place::Everyone, "tolmach:everyone", "tolmach:{0}:everyone"),
        ] {
            assert_eq!(
                (plain.name(place), sharded.name(place)),
                (expected.to_owned(), expected_sharded.to_owned())
            );
        }
    }

    #[test]
    fn a_command_names_many_channels_of_one_shard() {
        let places = || (1..=2_600).map(|number| Place::Topic(flow(number)));
        let sizes = |sharded| -> Vec<usize> {
            Channels::new(String::new(), sharded).batches(places()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(false), [1_000, 1_000, 600]);
        assert!(sizes(true).len() == 256 && sizes(true).iter().sum::<usize>() == 2_600);
        for names in Channels::new(String::new(), true).batches(places()) {
            assert!(
                names.iter().all(|name| name.split(':').next() == names[0].split(':').next()),
                "{names:?}"
            );
        }
    }

    #[test]
    fn those_whom_an_event_concerns_hear_it_without_listening_to_its_flow() {
        let removed = |count: i64| {
            let users = (1..=count).map(|number| UserId::new(number).unwrap()).collect();
            let kind = EventKind::MembersRemoved { flow: FlowId::new(9).unwrap(), users };
            places(&Event::new(Timestamp::default(), kind))
        };
        assert_eq!(removed(2), [flow(9), user(1), user(2)].map(Place::Topic));
        assert_eq!(removed(32).len(), 33);
        assert_eq!(removed(33), [Place::Everyone]);
    }
}
