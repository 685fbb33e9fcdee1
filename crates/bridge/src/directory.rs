//! Users and groups that the answers and events of an upstream told of: wires name users by id or
//! by login, and flows with or without their kind.

use crate::caches::of_latest;
use moka::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_dialect::placeholders::placeholder_user_id;
use tolmach_domain::{
    Answer, EventKind, FlowId, FlowKind, FlowSummary, Message, User, UserId, UserRef, UserSummary,
};

/// The users and the groups that an upstream told of, as many of each as [`MAX_ENTRIES`].
pub(crate) struct Directory {
    by_id: Cache<UserId, String>,
    by_login: Cache<String, UserId>,
    /// The groups and channels. Wires without kinds take every flow for a chat.
    shared: Cache<FlowId, ()>,
    /// The number of groups and channels that were noted so far.
    noted: AtomicU64,
}

/// An answer to [`Directory::is_shared`], which stays the same until another group is noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedFlow {
    pub(crate) is_shared: bool,
    noted: u64,
}

/// The most users, and the most groups, that are remembered.
const MAX_ENTRIES: u64 = 50_000;

impl Directory {
    pub(crate) fn new() -> Self {
        let (by_id, by_login) = (of_latest(MAX_ENTRIES).build(), of_latest(MAX_ENTRIES).build());
        let (shared, noted) = (of_latest(MAX_ENTRIES).build(), AtomicU64::default());
        Self { by_id, by_login, shared, noted }
    }

    /// True if a flow is known to be a group or channel.
    pub(crate) fn is_shared(&self, flow: FlowId) -> bool {
        self.shared.contains_key(&flow)
    }

    /// The same, without a look at the table if the answer that is `known` still stands.
    pub(crate) fn shared_flow(&self, flow: FlowId, known: Option<SharedFlow>) -> SharedFlow {
        let noted = self.noted.load(Ordering::Acquire);
        let known = known.filter(|known| known.is_shared || known.noted == noted);
        known.unwrap_or_else(|| SharedFlow { is_shared: self.is_shared(flow), noted })
    }

    /// The login of a user.
    pub(crate) fn login(&self, user: UserId) -> Option<String> {
        self.by_id.get(&user)
    }

    /// The other form of a reference to a user.
    pub(crate) fn other_form(&self, user: &UserRef) -> Option<UserRef> {
        match user {
            UserRef::Me => None,
            UserRef::Id(id) => self.by_id.get(id).map(UserRef::Login),
            UserRef::Login(login) => self.by_login.get(&login.to_lowercase()).map(UserRef::Id),
        }
    }

    /// The user that a reference names, as far as is known.
    pub(crate) fn user(&self, user: &UserRef) -> Option<User> {
        match (user, self.other_form(user)?) {
            (UserRef::Id(id), UserRef::Login(login)) => Some(User::named(*id, login)),
            (UserRef::Login(login), UserRef::Id(id)) => Some(User::named(id, login.as_str())),
            _ => None,
        }
    }

    /// Notes the login of a user. The id that a login has stays: names that users choose must not
    /// take the place of it.
    pub(crate) fn learn_user(&self, id: UserId, login: &str) {
        if login.is_empty() {
            return;
        }
        let (key, of_login) = (login.to_lowercase(), placeholder_user_id(login));
        let known = self.by_login.get(&key);
        if known == Some(id) && self.by_id.get(&id).as_deref() == Some(login) {
            // Writing to the tables costs much more than reading.
            return;
        }
        if known.is_none_or(|known| known == id || known == of_login) {
            self.by_login.insert(key, id);
        } else if id != of_login {
            return;
        }
        self.by_id.insert(id, login.to_owned());
    }

    pub(crate) fn learn_flow(&self, flow: FlowId, kind: FlowKind) {
        // Read by `get`, which counts as a use.
        if kind != FlowKind::Chat && self.shared.get(&flow).is_none() {
            self.shared.insert(flow, ());
            self.noted.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn learn_answer(&self, answer: &Answer) {
        match answer {
            Answer::User(user) => self.learn_user(user.id, &user.login),
            Answer::Users(users) => {
                users.iter().for_each(|user| self.learn_user(user.id, &user.login));
            }
            Answer::ChatOpened { with: Some(with), .. } => self.learn_summary(with),
            Answer::FlowCreated { flow, .. } => self.learn_flow(*flow, FlowKind::Group),
            Answer::Flow(summary) => self.learn_flow_summary(summary),
            Answer::Flows(flows) => {
                flows.iter().for_each(|summary| self.learn_flow_summary(summary));
            }
            Answer::History(page) => {
                page.messages.iter().for_each(|message| self.learn_message(message));
            }
            Answer::Changes(changes) => {
                changes.flows.iter().for_each(|summary| self.learn_flow_summary(summary));
                changes.messages.iter().for_each(|message| self.learn_message(message));
            }
            _ => {}
        }
    }

    pub(crate) fn learn_event(&self, event: &EventKind) {
        match event {
            EventKind::Posted(message) | EventKind::Edited(message) => self.learn_message(message),
            EventKind::FlowCreated { flow, members } => {
                self.learn_flow(flow.id, flow.kind);
                members.iter().for_each(|member| self.learn_summary(member));
            }
            _ => {}
        }
    }

    fn learn_message(&self, message: &Message) {
        self.learn_summary(&message.author);
        self.learn_flow(message.flow, message.flow_kind);
    }

    fn learn_flow_summary(&self, summary: &FlowSummary) {
        self.learn_flow(summary.flow.id, summary.flow.kind);
        summary.members.iter().for_each(|member| self.learn_summary(&member.summary()));
        summary.last.iter().for_each(|message| self.learn_summary(&message.author));
    }

    /// Notes the login of an author or member, if it is one: where users have ids of their own,
    /// wires have names there that anybody can choose.
    fn learn_summary(&self, user: &UserSummary) {
        if user.id == placeholder_user_id(&user.login) {
            self.learn_user(user.id, &user.login);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_learnt_from_answers() {
        let directory = Directory::new();
        let id = UserId::new(5).unwrap();
        directory.learn_answer(&Answer::User(Box::new(User::named(id, "Ann"))));
        let by_login = UserRef::Login("aNN".to_owned());
        assert_eq!(directory.other_form(&by_login), Some(UserRef::Id(id)));
        let by_id = UserRef::Id(id);
        assert_eq!(directory.other_form(&by_id), Some(UserRef::Login("Ann".to_owned())));
        assert_eq!(directory.other_form(&UserRef::Me), None);
        let [group, chat] = [1, 2].map(|number| FlowId::new(number).unwrap());
        directory.learn_flow(group, FlowKind::Group);
        directory.learn_flow(chat, FlowKind::Chat);
        assert!(directory.is_shared(group) && !directory.is_shared(chat));
    }

    #[test]
    fn a_name_of_an_author_is_no_login_unless_users_have_no_ids_of_their_own() {
        let directory = Directory::new();
        let id = UserId::new(5).unwrap();
        directory.learn_user(id, "ann");
        let mut message = Message::new(
            tolmach_domain::MessageId::new(1).unwrap(),
            (FlowId::new(1).unwrap(), FlowKind::Chat),
            UserSummary::named(id, "Ann of Cleves"),
            tolmach_domain::Content::text("hello"),
            tolmach_domain::Timestamp::default(),
        );
        directory.learn_event(&EventKind::Posted(message.clone()));
        assert_eq!(directory.other_form(&UserRef::Id(id)), Some(UserRef::Login("ann".into())));
        message.author = UserSummary::named(UserId::new(6).unwrap(), "bob");
        directory.learn_event(&EventKind::Posted(message.clone()));
        assert!(directory.user(&UserRef::Login("bob".into())).is_none());
        directory.learn_user(UserId::new(6).unwrap(), "ANN");
        assert_eq!(directory.other_form(&UserRef::Login("ann".into())), Some(UserRef::Id(id)));
        assert!(directory.user(&UserRef::Id(UserId::new(6).unwrap())).is_none());
        message.author = tolmach_dialect::placeholders::placeholder_user("bob");
        directory.learn_event(&EventKind::Posted(message));
        assert!(directory.user(&UserRef::Login("bob".into())).is_some());
    }
}
