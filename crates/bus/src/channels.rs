//! The channels of Redis, and the destinations of events.

use std::collections::BTreeMap;
use tolmach_domain::{Event, EventKind, UserId};
use tolmach_engine::ports::Topic;

/// The largest number of users to whose topics an event goes. One that concerns more goes to every
/// node instead: it names all of them, so that the bytes would grow with their square.
const MAX_USER_TOPICS: usize = 32;

/// The largest number of channels in one command.
const CHANNELS_PER_COMMAND: usize = 1_000;

/// The number of shards of sharded channels. All channels of a shard are in one slot of a Redis
/// Cluster, so that one command may name many of them; it is far larger than the number of a
/// cluster's nodes.
const SHARDS: u16 = 256;

/// The receivers of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The nodes that subscribed to a topic.
    Topic(Topic),
    /// Every node.
    AllNodes,
}

/// The names of channels.
pub(crate) struct Channels {
    prefix: String,
    sharded: bool,
}

impl Channels {
    /// Channels whose names begin with `prefix`.
    pub(crate) fn new(prefix: String, sharded: bool) -> Self {
        Self { prefix, sharded }
    }

    /// True if they are sharded.
    pub(crate) fn are_sharded(&self) -> bool {
        self.sharded
    }

    /// The name of a channel: `tolmach:flow:7`, or sharded `tolmach:{7}:flow:7`, of which Redis
    /// hashes the part in braces.
    pub(crate) fn name(&self, destination: Destination) -> String {
        let prefix = &self.prefix;
        let prefix = if self.sharded {
            format!("{prefix}{{{}}}:", self.shard(destination))
        } else {
            prefix.clone()
        };
        match destination {
            Destination::Topic(Topic::Flow(flow)) => format!("{prefix}flow:{flow}"),
            Destination::Topic(Topic::User(user)) => format!("{prefix}user:{user}"),
            Destination::AllNodes => format!("{prefix}everyone"),
        }
    }

    /// The shard of a channel. One command may name channels of one shard only.
    pub(crate) fn shard(&self, destination: Destination) -> u16 {
        let id = match destination {
            Destination::Topic(_) | Destination::AllNodes if !self.sharded => 0,
            Destination::Topic(Topic::Flow(flow)) => flow.get(),
            Destination::Topic(Topic::User(user)) => user.get(),
            Destination::AllNodes => 0,
        };
        u16::try_from(id % i64::from(SHARDS)).unwrap_or_default()
    }

    /// The names of channels, in a list for each command.
    pub(crate) fn batches(
        &self,
        destinations: impl IntoIterator<Item = Destination>,
    ) -> Vec<Vec<String>> {
        let mut shards: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for destination in destinations {
            shards.entry(self.shard(destination)).or_default().push(self.name(destination));
        }
        shards
            .into_values()
            .flat_map(|names| {
                names.chunks(CHANNELS_PER_COMMAND).map(<[String]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// The destinations of an event. New members have not subscribed to the flow yet, so that their own
/// topics are among them.
pub(crate) fn destinations(event: &Event) -> Vec<Destination> {
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
    if users.len() > MAX_USER_TOPICS {
        return vec![Destination::AllNodes];
    }
    event
        .flow()
        .map(Topic::Flow)
        .into_iter()
        .chain(users.into_iter().map(Topic::User))
        .map(Destination::Topic)
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
    fn channels_are_named_after_their_destination() {
        let plain = Channels::new("tolmach:".into(), false);
        let sharded = Channels::new("tolmach:".into(), true);
        for (destination, expected, expected_sharded) in [
            (Destination::Topic(flow(7)), "tolmach:flow:7", "tolmach:{7}:flow:7"),
            (Destination::Topic(user(519)), "tolmach:user:519", "tolmach:{7}:user:519"),
            (Destination::AllNodes, "tolmach:everyone", "tolmach:{0}:everyone"),
        ] {
            assert_eq!(
                (plain.name(destination), sharded.name(destination)),
                (expected.to_owned(), expected_sharded.to_owned())
            );
        }
    }

    #[test]
    fn a_command_names_many_channels_of_one_shard() {
        let destinations = || (1..=2_600).map(|number| Destination::Topic(flow(number)));
        let sizes = |sharded| -> Vec<usize> {
            Channels::new(String::new(), sharded)
                .batches(destinations())
                .iter()
                .map(Vec::len)
                .collect()
        };
        assert_eq!(sizes(false), [1_000, 1_000, 600]);
        assert!(sizes(true).len() == 256 && sizes(true).iter().sum::<usize>() == 2_600);
        for names in Channels::new(String::new(), true).batches(destinations()) {
            assert!(
                names.iter().all(|name| name.split(':').next() == names[0].split(':').next()),
                "{names:?}"
            );
        }
    }

    #[test]
    fn events_of_members_go_to_the_topics_of_the_members_too() {
        let removed = |count: i64| {
            let users = (1..=count).map(|number| UserId::new(number).unwrap()).collect();
            let kind = EventKind::MembersRemoved { flow: FlowId::new(9).unwrap(), users };
            destinations(&Event::new(Timestamp::default(), kind))
        };
        assert_eq!(removed(2), [flow(9), user(1), user(2)].map(Destination::Topic));
        assert_eq!(removed(32).len(), 33);
        assert_eq!(removed(33), [Destination::AllNodes]);
    }
}
