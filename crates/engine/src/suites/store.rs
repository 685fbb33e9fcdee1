//! The trials of a [`Store`]: its promises, and every fault that its methods name.

use super::{Spawn, Task, at_once, turn};
use crate::memory::MemoryBus;
use crate::ports::{
    AccountKey, Bus, BusReceiver, ChangesPage, Counter, CounterKey, CreateFlow, DeleteMessages,
    Deleted, EditMessage, FlowCreation, FlowSummaryQuery, HistoryQuery, IDEMPOTENCY_WINDOW,
    IdempotencyKey, NewSession, NewUser, PostMessage, Posted, Rotation, Signal, Store, StoreError,
    TokenHash, UserChange,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tolmach_domain::{
    Attachment, AttachmentKind, ConnectionId, Content, ContentType, Event, EventKind, Fault, Flow,
    FlowId, FlowKind, FlowKindFilter, HistoryRange, Message, MessageId, Origin, PhotoKey,
    SessionId, Timestamp, User, UserId, Version,
};

/// An empty store with an ear on its bus.
pub struct World {
    /// The store under trial.
    pub store: Arc<dyn Store>,
    events: Box<dyn BusReceiver>,
    spawn: Spawn,
    now: Timestamp,
}

/// Long after the epoch, so that trials may look back.
const START: i64 = 1_600_000_000_000_000;

impl World {
    /// A world around an empty store that publishes to `bus`.
    pub fn new(store: Arc<dyn Store>, bus: Arc<MemoryBus>, spawn: Spawn) -> Self {
        let events = bus.receivers(1).remove(0);
        Self { store, events, spawn, now: Timestamp::from_micros(START) }
    }

    /// The next second.
    fn tick(&mut self) -> Timestamp {
        self.now = self.now.after(Duration::from_secs(1));
        self.now
    }

    /// What was published since the last call: publishing is over before a method returns, so
    /// nothing is waited for.
    fn published(&mut self) -> Vec<EventKind> {
        self.events().into_iter().map(|event| event.kind.clone()).collect()
    }

    fn events(&mut self) -> Vec<Arc<Event>> {
        let heard = std::iter::from_fn(|| at_once(self.events.next()).flatten());
        let events = heard.flat_map(|signal| match signal {
            Signal::Events(events) => events,
            Signal::Missed => Vec::new(),
        });
        events.collect()
    }

    async fn user(&mut self, login: &str) -> User {
        let now = self.tick();
        self.store.create_user(new_user(login), now).await.expect("the login is free")
    }

    async fn users<const N: usize>(&mut self, logins: [&str; N]) -> [User; N] {
        let mut users = Vec::with_capacity(N);
        for login in logins {
            users.push(self.user(login).await);
        }
        users.try_into().expect("there is a user for each login")
    }

    async fn flow(&mut self, kind: FlowKind, owner: &User, members: &[&User]) -> Flow {
        let now = self.tick();
        let members = members.iter().map(|member| member.id).collect();
        let flow = CreateFlow {
            kind,
            title: "title".into(),
            info: "info".into(),
            owner: owner.id,
            photo: None,
            members,
            key: None,
        };
        self.store.create_flow(flow, None, now).await.expect("all members live").into_flow()
    }

    async fn group(&mut self, owner: &User, members: &[&User]) -> Flow {
        self.flow(FlowKind::Group, owner, members).await
    }

    async fn post(&mut self, flow: &Flow, author: &User, text: &str) -> Message {
        let now = self.tick();
        self.store
            .post(new_message(flow.id, author, text), now)
            .await
            .expect("the author may write there")
            .into_message()
    }

    async fn delete(&mut self, by: &User, messages: &[&Message]) -> Deleted {
        let now = self.tick();
        self.store
            .delete(deletion(by, messages), now)
            .await
            .expect("deleting sorts and refuses nothing")
    }

    async fn history(&self, flow: &Flow, viewer: &User, window: HistoryRange) -> Vec<String> {
        texts(
            &self
                .store
                .history(page_of(flow.id, viewer.id, window, 1000))
                .await
                .expect("the flow exists")
                .messages,
        )
    }

    /// Runs tasks beside each other and waits for all.
    async fn together(&self, tasks: impl IntoIterator<Item = Task>) {
        let tasks: Vec<Task> = tasks.into_iter().map(self.spawn).collect();
        for task in tasks {
            task.await;
        }
    }
}

fn new_user(login: &str) -> NewUser {
    NewUser {
        id: None,
        login: login.into(),
        username: format!("username of {login}"),
        name: format!("name of {login}"),
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: false,
        password_hash: None,
    }
}

fn new_message(flow: FlowId, author: &User, text: &str) -> PostMessage {
    let content = Content::text(text);
    PostMessage {
        flow,
        kinds: FlowKindFilter::Any,
        author: author.summary(),
        administrator: false,
        content,
        key: None,
        origin: None,
    }
}

fn with_key(flow: FlowId, author: &User, text: &str, key: &str) -> PostMessage {
    PostMessage { key: Some(key.into()), ..new_message(flow, author, text) }
}

fn deletion(by: &User, messages: &[&Message]) -> DeleteMessages {
    let messages = messages.iter().map(|message| message.id).collect();
    DeleteMessages { messages, flow: None, by: by.id, administrator: false, origin: None }
}

fn editing(by: &User, message: MessageId, text: &str) -> EditMessage {
    EditMessage {
        message,
        flow: None,
        by: by.id,
        administrator: false,
        text: text.into(),
        origin: None,
    }
}

fn session_of(user: &User, token: Option<u8>, refresh: Option<u8>, now: Timestamp) -> NewSession {
    NewSession {
        user: user.id,
        token: token.map(hash),
        refresh: refresh.map(hash),
        now,
        expires_at: now.after(HOUR),
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

fn origin(tag: &'static str) -> Option<Origin> {
    Some(Origin { connection: ConnectionId(7), dialect: "trial", client_tag: Some(tag.into()) })
}

fn page_of(flow: FlowId, viewer: UserId, range: HistoryRange, limit: u32) -> HistoryQuery {
    HistoryQuery { flow, viewer, range, limit, mark_read: false }
}

/// The flow, and true if it was created.
fn flow_and_created(creation: FlowCreation) -> (Flow, bool) {
    let created = matches!(creation, FlowCreation::Created(_));
    (creation.into_flow(), created)
}

/// The flow, and true if its key was used before.
fn flow_and_repeated(creation: FlowCreation) -> (Flow, bool) {
    let (flow, created) = flow_and_created(creation);
    (flow, !created)
}

/// The message, and true if its key was used before.
fn message_and_repeated(posted: Posted) -> (Message, bool) {
    let repeated = matches!(posted, Posted::Repeated(_));
    (posted.into_message(), repeated)
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.content.text.clone()).collect()
}

fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

fn refused<T>(fault: Fault) -> Result<T, StoreError> {
    Err(StoreError::Refused(fault))
}

fn all_flows(viewer: &User) -> FlowSummaryQuery {
    FlowSummaryQuery {
        viewer: viewer.id,
        all: false,
        limit: None,
        offset: 0,
        members: false,
        changed_after: None,
    }
}

/// By login and by address, in any case of the letters; by either, the login first.
pub async fn an_account_is_found_by_id_login_and_address(world: &mut World) {
    let now = world.tick();
    let new = NewUser {
        email: Some("Анна@Example.org".into()),
        phone: Some("+1 23".into()),
        bio: "about".into(),
        avatar: Some("YXZhdGFy".into()),
        photo: Some(PhotoKey { key: "ab/cd".into(), media_type: "image/png".into() }),
        bot: true,
        admin: true,
        business: true,
        profile: true,
        password_hash: Some("hash".into()),
        ..new_user("Анна")
    };
    let user = world.store.create_user(new, now).await.expect("the store is empty");
    assert_eq!(
        (user.login.as_str(), user.username.as_str(), user.name.as_str()),
        ("Анна", "username of Анна", "name of Анна")
    );
    assert_eq!(
        (user.email.as_deref(), user.phone.as_deref(), user.bio.as_str()),
        (Some("Анна@Example.org"), Some("+1 23"), "about")
    );
    assert_eq!(
        user.photo.as_ref().map(|photo| (photo.key.as_str(), photo.media_type.as_str())),
        Some(("ab/cd", "image/png"))
    );
    assert_eq!(
        (user.avatar.as_deref(), user.bot, user.admin, user.business, user.profile),
        (Some("YXZhdGFy"), true, true, true, true)
    );
    assert_eq!((user.created_at, user.deleted_at), (now, None));
    assert!(user.changed_at >= now);
    assert_eq!(world.store.user(user.id).await, Ok(Some(user.clone())));
    // Somebody whose login is another's address: as a login it comes first.
    let shadow = world.user("shadow@example.org").await;
    let now = world.tick();
    let shadowed = NewUser { email: Some("shadow@example.org".into()), ..new_user("shadowed") };
    let shadowed =
        world.store.create_user(shadowed, now).await.expect("a login does not take an address");
    for (key, expected) in [
        (AccountKey::Login("анна"), Some(&user)),
        (AccountKey::Login("АННА"), Some(&user)),
        (AccountKey::Login("анна@example.org"), None),
        (AccountKey::Email("АННА@EXAMPLE.ORG"), Some(&user)),
        (AccountKey::Email("анна"), None),
        (AccountKey::Either("аннА"), Some(&user)),
        (AccountKey::Either("анна@EXAMPLE.org"), Some(&user)),
        (AccountKey::Either("Shadow@Example.org"), Some(&shadow)),
        (AccountKey::Email("Shadow@Example.org"), Some(&shadowed)),
        (AccountKey::Either("anna"), None),
    ] {
        let found = world.store.account(key).await.expect("the store answers");
        assert_eq!(found.as_ref().map(|account| &account.user), expected, "{key:?}");
        if found
            .is_some_and(|account| account.password_hash.is_some() != (account.user.id == user.id))
        {
            panic!("{key:?}: only the first has a password");
        }
    }
    assert_eq!(world.store.user(UserId::new(999).expect("an id")).await, Ok(None));
    assert_eq!(world.published(), []);
}

/// Over all of Unicode, when an account is made and when it is changed.
pub async fn logins_and_addresses_are_unique_without_regard_to_case(world: &mut World) {
    let other = world.user("other").await;
    for (login, same) in [
        ("anna", "ANNA"),
        ("Ärger", "äRGER"),
        ("Анна", "АННА"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("straße", "STRASSE"),
        ("ǅ", "ǆ"),
    ] {
        let address = |login: &str| Some(format!("{login}@example.org"));
        let now = world.tick();
        world
            .store
            .create_user(NewUser { email: address(login), ..new_user(login) }, now)
            .await
            .expect("the login is free");
        for rival in [NewUser { email: address(same), ..new_user("rival") }, new_user(same)] {
            assert_eq!(
                world.store.create_user(rival, now).await,
                refused(Fault::LoginTaken),
                "{same}"
            );
        }
        for change in [
            UserChange { login: Some(same.into()), ..UserChange::default() },
            UserChange { email: address(same), ..UserChange::default() },
        ] {
            assert_eq!(
                world.store.update_user(other.id, change, now).await,
                refused(Fault::LoginTaken),
                "{same}"
            );
        }
    }
    // One's own login in another case is nobody else's.
    let now = world.tick();
    let renamed = world
        .store
        .update_user(
            other.id,
            UserChange { login: Some("OTHER".into()), ..UserChange::default() },
            now,
        )
        .await;
    assert_eq!(renamed.map(|user| user.login), Ok("OTHER".into()));
    assert_eq!(world.store.search_users("rival", 10).await, Ok(vec![]));
}

/// For tokens that were minted elsewhere.
pub async fn a_chosen_id_is_kept_and_later_ids_are_above_it(world: &mut World) {
    let first = world.user("first").await;
    let now = world.tick();
    let chosen = UserId::new(1_000).expect("an id");
    let user =
        world.store.create_user(NewUser { id: Some(chosen), ..new_user("chosen") }, now).await;
    assert_eq!(user.map(|user| user.id), Ok(chosen));
    for id in [chosen, first.id] {
        let taken =
            world.store.create_user(NewUser { id: Some(id), ..new_user("rival") }, now).await;
        assert_eq!(taken, refused(Fault::LoginTaken));
    }
    let between = UserId::new(500).expect("an id");
    let user =
        world.store.create_user(NewUser { id: Some(between), ..new_user("between") }, now).await;
    assert_eq!(user.map(|user| user.id), Ok(between));
    assert!(world.user("last").await.id > chosen);
}

/// One field at a time, then none.
pub async fn an_update_changes_what_it_names_and_nothing_else(world: &mut World) {
    let photo = PhotoKey { key: "ef".into(), media_type: "image/gif".into() };
    let mut expected = world.user("anna").await;
    let none = UserChange::default;
    type Apply = Box<dyn Fn(&mut User)>;
    let cases: Vec<(UserChange, Apply)> = vec![
        (
            UserChange { login: Some("Hanna".into()), ..none() },
            Box::new(|user| user.login = "Hanna".into()),
        ),
        (
            UserChange { username: Some("u".into()), ..none() },
            Box::new(|user| user.username = "u".into()),
        ),
        (UserChange { name: Some("n".into()), ..none() }, Box::new(|user| user.name = "n".into())),
        (
            UserChange { email: Some("E@x.org".into()), ..none() },
            Box::new(|user| user.email = Some("E@x.org".into())),
        ),
        (UserChange { bio: Some("b".into()), ..none() }, Box::new(|user| user.bio = "b".into())),
        (
            UserChange { photo: Some(photo.clone()), ..none() },
            Box::new(move |user| user.photo = Some(photo.clone())),
        ),
        (UserChange { admin: Some(true), ..none() }, Box::new(|user| user.admin = true)),
        (UserChange { business: Some(true), ..none() }, Box::new(|user| user.business = true)),
        (UserChange { profile: Some(true), ..none() }, Box::new(|user| user.profile = true)),
        (none(), Box::new(|_| ())),
    ];
    for (change, apply) in cases {
        let now = world.tick();
        let changed = world
            .store
            .update_user(expected.id, change.clone(), now)
            .await
            .expect("the user lives");
        assert!(
            changed.changed_at >= now && changed.changed_at > expected.changed_at,
            "{change:?}"
        );
        apply(&mut expected);
        expected.changed_at = changed.changed_at;
        assert_eq!(changed, expected, "{change:?}");
        assert_eq!(world.store.user(expected.id).await, Ok(Some(expected.clone())), "{change:?}");
    }
    let found = world.store.account(AccountKey::Login("hanna")).await.expect("the store answers");
    assert_eq!(found.map(|account| account.user), Some(expected));
    assert!(
        world.store.account(AccountKey::Login("anna")).await.expect("the store answers").is_none()
    );
    let nobody = world.store.update_user(UserId::new(999).expect("an id"), none(), world.now).await;
    assert_eq!(nobody, refused(Fault::NoSuchUser));
    assert_eq!(world.published(), []);
}

/// An administrator's sockets must not go on hearing what only administrators may.
pub async fn who_is_no_longer_administrator_has_no_session(world: &mut World) {
    let anna = world.user("anna").await;
    for (admin, ends) in [
        (Some(true), false),
        (Some(true), false),
        (None, false),
        (Some(false), true),
        (Some(false), false),
    ] {
        let now = world.tick();
        world
            .store
            .update_user(anna.id, UserChange { admin, ..UserChange::default() }, now)
            .await
            .expect("she lives");
        let ended = vec![EventKind::SessionsEnded { user: anna.id, session: None }];
        assert_eq!(world.published(), if ends { ended } else { vec![] }, "{admin:?}");
    }
}

/// Of that user, and of nobody else.
pub async fn a_new_password_ends_every_session(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let now = world.tick();
    let mut opened = Vec::new();
    for (user, token) in [(&anna, 1), (&anna, 2), (&boris, 3)] {
        opened.push(
            world
                .store
                .open_session(session_of(user, Some(token), Some(token + 10), now))
                .await
                .expect("the user lives"),
        );
    }
    let now = world.tick();
    let change = UserChange { password_hash: Some("new".into()), ..UserChange::default() };
    world.store.update_user(anna.id, change, now).await.expect("the user lives");
    for (session, ended_at) in opened.iter().zip([Some(now), Some(now), None]) {
        let session = world
            .store
            .session(*session)
            .await
            .expect("the store answers")
            .expect("the session is kept");
        assert_eq!(session.ended_at, ended_at);
    }
    let account = world.store.account(AccountKey::Login("anna")).await.expect("the store answers");
    assert_eq!(account.and_then(|account| account.password_hash).as_deref(), Some("new"));
    assert_eq!(world.published(), [EventKind::SessionsEnded { user: anna.id, session: None }]);
    assert_eq!(
        world.store.rotate_refresh(hash(11), hash(99), now, now.after(HOUR)).await,
        Ok(Rotation::Unknown)
    );
}

/// Its login stays reserved, its address becomes free, its messages stay under its name.
pub async fn a_deleted_account_is_found_by_id_only(world: &mut World) {
    let now = world.tick();
    let new = NewUser {
        email: Some("a@x.org".into()),
        phone: Some("1".into()),
        password_hash: Some("h".into()),
        ..new_user("anna")
    };
    let anna = world.store.create_user(new, now).await.expect("the login is free");
    let boris = world.user("boris").await;
    let group = world.group(&boris, &[&anna]).await;
    let own = world.group(&anna, &[&boris]).await;
    let chat =
        world.store.open_chat(anna.id, boris.id, None, now).await.expect("both live").into_flow();
    let message = world.post(&group, &anna, "stays").await;
    let session = world
        .store
        .open_session(session_of(&anna, Some(1), Some(2), now))
        .await
        .expect("the user lives");
    world
        .store
        .put_recovery_token(hash(3), anna.id, now.after(HOUR))
        .await
        .expect("the user lives");
    world.events();

    let now = world.tick();
    assert_eq!(world.store.delete_user(anna.id, now).await, Ok(()));

    let gone =
        world.store.user(anna.id).await.expect("the store answers").expect("it is found by id");
    assert_eq!(
        (gone.login.as_str(), gone.email.as_deref(), gone.phone.as_deref(), gone.deleted_at),
        ("anna", None, None, Some(now))
    );
    for key in [
        AccountKey::Login("anna"),
        AccountKey::Email("a@x.org"),
        AccountKey::Either("anna"),
        AccountKey::Either("a@x.org"),
    ] {
        assert!(world.store.account(key).await.expect("the store answers").is_none(), "{key:?}");
    }
    assert_eq!(world.store.search_users("anna", 10).await, Ok(vec![]));
    assert_eq!(world.store.list_users(None, 10).await, Ok(vec![boris.clone()]));
    assert_eq!(
        world
            .store
            .session(session)
            .await
            .map(|session| session.and_then(|session| session.ended_at)),
        Ok(Some(now))
    );
    assert_eq!(world.store.is_recovery_token_valid(hash(3), now).await, Ok(false));
    assert_eq!(world.store.spend_recovery_token(hash(3), "h".into(), now).await, Ok(None));
    assert_eq!(world.store.flow_versions(anna.id).await, Ok(vec![]));
    for flow in [&group, &own, &chat] {
        assert_eq!(world.store.is_member(flow.id, anna.id).await, Ok(false));
        assert_eq!(world.store.members(flow.id).await, Ok(vec![boris.clone()]));
    }
    let kept = world
        .store
        .history(page_of(group.id, boris.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists")
        .messages;
    assert_eq!(kept, [message]);

    let published = world.published();
    for flow in [group.id, own.id, chat.id] {
        assert!(
            published.contains(&EventKind::MembersRemoved { flow, users: vec![anna.id] }),
            "{published:?}"
        );
    }
    assert!(
        published.contains(&EventKind::SessionsEnded { user: anna.id, session: None }),
        "{published:?}"
    );
    assert_eq!(published.len(), 4, "{published:?}");

    assert_eq!(world.store.create_user(new_user("Anna"), now).await, refused(Fault::LoginTaken));
    let heir = NewUser { email: Some("A@x.org".into()), ..new_user("heir") };
    assert!(world.store.create_user(heir, now).await.is_ok());
    let no_user = Fault::NoSuchUser;
    assert_eq!(world.store.delete_user(anna.id, now).await, refused(no_user.clone()));
    assert_eq!(
        world.store.update_user(anna.id, UserChange::default(), now).await,
        refused(no_user.clone())
    );
    assert_eq!(
        world.store.open_session(session_of(&anna, None, None, now)).await,
        refused(no_user.clone())
    );
    assert_eq!(
        world.store.put_recovery_token(hash(4), anna.id, now).await,
        refused(no_user.clone())
    );
    assert_eq!(
        world.store.delete_user(UserId::new(999).expect("an id"), now).await,
        refused(no_user)
    );
    assert_eq!(world.published(), []);
}

/// Without regard to case, with no letter of special meaning, sorted.
pub async fn a_search_finds_parts_of_logins(world: &mut World) {
    world
        .users(["delta", "Alpha", "al_ba", "50%", "back\\slash", "ЩУКА", "ΛΌΓΟΣ", "gone-alpha"])
        .await;
    let gone = world
        .store
        .account(AccountKey::Login("gone-alpha"))
        .await
        .expect("the store answers")
        .expect("it was just made");
    let now = world.tick();
    world.store.delete_user(gone.user.id, now).await.expect("it lives");
    for (query, limit, expected) in [
        ("al", 10, vec!["al_ba", "Alpha"]),
        ("AL", 10, vec!["al_ba", "Alpha"]),
        ("a", 10, vec!["al_ba", "Alpha", "back\\slash", "delta"]),
        ("a", 2, vec!["al_ba", "Alpha"]),
        ("l_b", 10, vec!["al_ba"]),
        ("_", 10, vec!["al_ba"]),
        ("%", 10, vec!["50%"]),
        ("\\", 10, vec!["back\\slash"]),
        ("щук", 10, vec!["ЩУКА"]),
        ("Ος", 10, vec!["ΛΌΓΟΣ"]),
        ("alpha ", 10, vec![]),
        ("a", 0, vec![]),
    ] {
        let found = world.store.search_users(query, limit).await.expect("the store answers");
        let found: Vec<&str> = found.iter().map(|user| user.login.as_str()).collect();
        assert_eq!(found, expected, "{query:?}, {limit}");
    }
}

/// MessagePage after page.
pub async fn users_are_listed_by_id(world: &mut World) {
    let users = world.users(["e", "d", "c", "b", "a"]).await;
    let now = world.tick();
    world.store.delete_user(users[2].id, now).await.expect("it lives");
    let expected: Vec<UserId> = [0, 1, 3, 4].map(|place| users[place].id).into();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list_users(after, 2).await.expect("the store answers");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id);
        listed.extend(page.iter().map(|user| user.id));
    }
    assert_eq!(listed, expected);
}

/// It is found by its token and by its id, also when it has expired or ended.
pub async fn a_session_lives_until_it_is_ended(world: &mut World) {
    let anna = world.user("anna").await;
    let now = world.tick();
    let id = world
        .store
        .open_session(session_of(&anna, Some(1), None, now))
        .await
        .expect("the user lives");
    let other =
        world.store.open_session(session_of(&anna, None, None, now)).await.expect("the user lives");
    assert!(other > id);
    let session =
        world.store.session(id).await.expect("the store answers").expect("it was just made");
    assert_eq!(
        (session.id, session.user, session.expires_at, session.ended_at),
        (id, anna.id, now.after(HOUR), None)
    );
    assert_eq!(world.store.session_by_token(hash(1)).await, Ok(Some(session.clone())));
    assert_eq!(world.store.session_by_token(hash(2)).await, Ok(None));
    assert_eq!(world.store.session(SessionId::new(999).expect("an id")).await, Ok(None));

    assert_eq!(world.store.renew_session(id, now.after(HOUR * 2)).await, Ok(()));
    assert_eq!(
        world.store.session(id).await.map(|session| session.map(|session| session.expires_at)),
        Ok(Some(now.after(HOUR * 2)))
    );
    assert_eq!(world.published(), []);

    let now = world.tick();
    assert_eq!(world.store.end_session(id, now).await, Ok(()));
    assert_eq!(world.published(), [EventKind::SessionsEnded { user: anna.id, session: Some(id) }]);
    let later = world.tick();
    assert_eq!(world.store.end_session(id, later).await, Ok(()));
    assert_eq!(world.store.end_session(SessionId::new(999).expect("an id"), later).await, Ok(()));
    assert_eq!(world.published(), []);
    let ended = world
        .store
        .session_by_token(hash(1))
        .await
        .expect("the store answers")
        .expect("it is kept");
    assert_eq!(ended.ended_at, Some(now));
    let other = world.store.session(other).await.expect("the store answers").expect("it is kept");
    assert_eq!(other.ended_at, None);
    let nobody =
        NewSession { user: UserId::new(999).expect("an id"), ..session_of(&anna, None, None, now) };
    assert_eq!(world.store.open_session(nobody).await, refused(Fault::NoSuchUser));
}

/// Rotation after rotation; the copy that comes second tells of the theft.
pub async fn a_spent_refresh_token_ends_its_session(world: &mut World) {
    let anna = world.user("anna").await;
    let now = world.tick();
    let session = world
        .store
        .open_session(session_of(&anna, None, Some(1), now))
        .await
        .expect("the user lives");
    let rotated = Rotation::Rotated { user: anna.id, session };
    for step in 1..4 {
        let now = world.tick();
        assert_eq!(
            world.store.rotate_refresh(hash(step), hash(step + 1), now, now.after(HOUR)).await,
            Ok(rotated)
        );
        let session =
            world.store.session(session).await.expect("the store answers").expect("it lives");
        assert_eq!(session.expires_at, now.after(HOUR));
    }
    assert_eq!(world.published(), []);
    let now = world.tick();
    assert_eq!(
        world.store.rotate_refresh(hash(2), hash(9), now, now.after(HOUR)).await,
        Ok(Rotation::Reused)
    );
    assert_eq!(
        world.published(),
        [EventKind::SessionsEnded { user: anna.id, session: Some(session) }]
    );
    assert_eq!(
        world
            .store
            .session(session)
            .await
            .map(|session| session.and_then(|session| session.ended_at)),
        Ok(Some(now))
    );
    for dead in [2, 4, 9] {
        assert_eq!(
            world.store.rotate_refresh(hash(dead), hash(10), now, now.after(HOUR)).await,
            Ok(Rotation::Unknown)
        );
    }
    assert_eq!(world.published(), []);
}

/// Unknown, expired, ended: no difference is told.
pub async fn a_refresh_token_dies_with_its_session(world: &mut World) {
    let anna = world.user("anna").await;
    let now = world.tick();
    let ended = world
        .store
        .open_session(session_of(&anna, None, Some(1), now))
        .await
        .expect("the user lives");
    world.store.open_session(session_of(&anna, None, Some(2), now)).await.expect("the user lives");
    world.store.end_session(ended, now).await.expect("the store answers");
    for (token, now) in [(1, now), (2, now.after(HOUR)), (3, now)] {
        assert_eq!(
            world.store.rotate_refresh(hash(token), hash(9), now, now.after(HOUR)).await,
            Ok(Rotation::Unknown),
            "{token}"
        );
    }
    // Nothing was put in the place of a token that could not be spent.
    assert_eq!(
        world.store.rotate_refresh(hash(9), hash(10), now, now.after(HOUR)).await,
        Ok(Rotation::Unknown)
    );
    assert!(matches!(
        world.store.rotate_refresh(hash(2), hash(10), now, now.after(HOUR * 2)).await,
        Ok(Rotation::Rotated { .. })
    ));
    // A spent one tells of a theft for as long as it would have lived.
    assert_eq!(
        world.store.rotate_refresh(hash(2), hash(11), now.after(HOUR), now.after(HOUR * 3)).await,
        Ok(Rotation::Unknown)
    );
    assert!(matches!(
        world.store.rotate_refresh(hash(10), hash(11), now.after(HOUR), now.after(HOUR * 3)).await,
        Ok(Rotation::Rotated { .. })
    ));
}

/// And only the newest one, before it expires.
pub async fn a_recovery_token_is_spent_once(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let now = world.tick();
    let session = world
        .store
        .open_session(session_of(&anna, Some(1), None, now))
        .await
        .expect("the user lives");
    for (token, user) in [(2, &anna), (3, &anna), (4, &boris)] {
        world
            .store
            .put_recovery_token(hash(token), user.id, now.after(HOUR))
            .await
            .expect("the user lives");
    }
    let late = now.after(HOUR);
    for (token, at, open) in
        [(2, now, false), (3, now, true), (3, late, false), (4, now, true), (5, now, false)]
    {
        assert_eq!(world.store.is_recovery_token_valid(hash(token), at).await, Ok(open), "{token}");
        if !open {
            assert_eq!(
                world.store.spend_recovery_token(hash(token), "stolen".into(), at).await,
                Ok(None),
                "{token}"
            );
        }
    }
    assert_eq!(world.published(), []);
    let now = world.tick();
    assert_eq!(
        world.store.spend_recovery_token(hash(3), "new".into(), now).await,
        Ok(Some(anna.id))
    );
    assert_eq!(world.published(), [EventKind::SessionsEnded { user: anna.id, session: None }]);
    assert_eq!(
        world
            .store
            .session(session)
            .await
            .map(|session| session.and_then(|session| session.ended_at)),
        Ok(Some(now))
    );
    let account = world.store.account(AccountKey::Login("anna")).await.expect("the store answers");
    assert_eq!(account.and_then(|account| account.password_hash).as_deref(), Some("new"));
    assert_eq!(world.store.is_recovery_token_valid(hash(3), now).await, Ok(false));
    assert_eq!(world.store.spend_recovery_token(hash(3), "again".into(), now).await, Ok(None));
    assert_eq!(world.store.is_recovery_token_valid(hash(4), now).await, Ok(true));
    assert_eq!(
        world.store.put_recovery_token(hash(6), UserId::new(999).expect("an id"), late).await,
        refused(Fault::NoSuchUser)
    );
}

/// Each key by itself, from the first count on and not from the last.
pub async fn login_counters_count_until_they_expire(world: &mut World) {
    let (now, store) = (world.tick(), world.store.clone());
    let (end, minute) = (now.after(HOUR), Duration::from_secs(60));
    let [one, two, three] = [1, 2, 3].map(|byte| CounterKey([byte; 32]));
    let counter = |count, expires_at| Counter { count, expires_at };
    assert_eq!(store.login_counters(&[one, two], now).await, Ok(vec![None, None]));
    assert_eq!(
        store.increment_login_counters(&[two, one], now, end).await,
        Ok(vec![counter(1, end), counter(1, end)])
    );
    let later = now.after(minute);
    assert_eq!(
        store.increment_login_counters(&[one, three], later, later.after(HOUR)).await,
        Ok(vec![counter(2, end), counter(1, later.after(HOUR))])
    );
    let all = [three, one, two];
    let expected =
        vec![Some(counter(1, later.after(HOUR))), Some(counter(2, end)), Some(counter(1, end))];
    assert_eq!(store.login_counters(&all, later).await, Ok(expected));
    assert_eq!(store.clear_login_counters(&[two, CounterKey([9; 32])]).await, Ok(()));
    let just_before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(
        store.login_counters(&all, just_before).await,
        Ok(vec![Some(counter(1, later.after(HOUR))), Some(counter(2, end)), None])
    );
    assert_eq!(
        store.login_counters(&all, end).await,
        Ok(vec![Some(counter(1, later.after(HOUR))), None, None])
    );
    assert_eq!(
        store.increment_login_counters(&[one], end, end.after(HOUR)).await,
        Ok(vec![counter(1, end.after(HOUR))])
    );
    assert_eq!(store.login_counters(&[], now).await, Ok(vec![]));
    assert_eq!(world.published(), []);
}

/// However many count at once.
pub async fn no_count_is_lost_among_many(world: &mut World) {
    const COUNTS: u32 = 40;
    let (now, key) = (world.tick(), CounterKey([7; 32]));
    let tasks = (0..COUNTS).map(|_| {
        let store = world.store.clone();
        Box::pin(async move {
            store
                .increment_login_counters(&[key], now, now.after(HOUR))
                .await
                .expect("the store answers");
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;
    let counted = world.store.login_counters(&[key], now).await;
    assert_eq!(counted, Ok(vec![Some(Counter { count: COUNTS, expires_at: now.after(HOUR) })]));
}

/// Whoever opens it; the one who did so first owns it.
pub async fn a_pair_has_one_chat(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let now = world.tick();
    let (chat, made) = flow_and_created(
        world.store.open_chat(boris.id, anna.id, origin("1"), now).await.expect("both live"),
    );
    assert!(made);
    assert_eq!(
        (chat.kind, chat.owner, chat.title.as_str(), chat.version),
        (FlowKind::Chat, Some(boris.id), "", Version(0))
    );
    assert_eq!(chat.created_at, now);
    let events = world.events();
    let expected = EventKind::FlowCreated {
        flow: chat.clone(),
        members: vec![anna.summary(), boris.summary()],
    };
    assert_eq!(
        events.iter().map(|event| (&event.origin, &event.kind)).collect::<Vec<_>>(),
        [(&origin("1"), &expected)]
    );
    for (by, with) in [(boris.id, anna.id), (anna.id, boris.id)] {
        let now = world.tick();
        assert_eq!(
            world.store.open_chat(by, with, None, now).await,
            Ok(FlowCreation::Existing(chat.clone()))
        );
    }
    let (other, made) = flow_and_created(
        world.store.open_chat(anna.id, clara.id, None, now).await.expect("both live"),
    );
    assert!(made && other.id > chat.id);
    world.events();
    let nobody = UserId::new(999).expect("an id");
    for (by, with) in [(anna.id, nobody), (nobody, anna.id)] {
        assert_eq!(world.store.open_chat(by, with, None, now).await, refused(Fault::NoSuchUser));
    }
    world.store.delete_user(clara.id, now).await.expect("it lives");
    world.events();
    assert_eq!(
        world.store.open_chat(anna.id, clara.id, None, now).await,
        refused(Fault::NoSuchUser)
    );
    assert!(matches!(
        world.store.open_chat(anna.id, anna.id, None, now).await,
        Err(StoreError::Refused(Fault::Invalid { .. }))
    ));
    assert_eq!(world.published(), []);
}

/// From both sides.
pub async fn one_chat_is_made_however_many_open_it_at_once(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let now = world.tick();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let tasks = (0..20).map(|number| {
        let (store, answers) = (world.store.clone(), answers.clone());
        let (by, with) = if number % 2 == 0 { (anna.id, boris.id) } else { (boris.id, anna.id) };
        Box::pin(async move {
            let (flow, made) =
                flow_and_created(store.open_chat(by, with, None, now).await.expect("both live"));
            answers.lock().expect("no task panicked").push((flow.id, made));
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    assert_eq!(
        answers.iter().map(|(flow, _)| flow).collect::<BTreeSet<_>>().len(),
        1,
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|(_, made)| *made).count(), 1, "{answers:?}");
    assert_eq!(world.published().len(), 1);
}

/// The owner among them, each once, ordered.
pub async fn a_flow_is_made_with_its_members(world: &mut World) {
    let [anna, boris, clara, gone] = world.users(["anna", "boris", "clara", "gone"]).await;
    let now = world.tick();
    world.store.delete_user(gone.id, now).await.expect("it lives");
    world.events();
    let photo = Some(PhotoKey { key: "ab".into(), media_type: "image/png".into() });
    let new = |kind, members: &[&User]| CreateFlow {
        kind,
        title: "Тема".into(),
        info: "info".into(),
        owner: boris.id,
        photo: photo.clone(),
        members: members.iter().map(|member| member.id).collect(),
        key: None,
    };
    for (kind, named, members) in [
        (FlowKind::Group, vec![&clara, &anna, &clara, &boris], vec![&anna, &boris, &clara]),
        (FlowKind::Channel, vec![], vec![&boris]),
    ] {
        let now = world.tick();
        let (flow, repeated) = flow_and_repeated(
            world.store.create_flow(new(kind, &named), origin("2"), now).await.expect("all live"),
        );
        assert!(!repeated);
        assert_eq!(
            (flow.kind, flow.title.as_str(), flow.info.as_str(), flow.owner),
            (kind, "Тема", "info", Some(boris.id))
        );
        assert_eq!((&flow.photo, flow.version, flow.created_at), (&photo, Version(0), now));
        let people = members.iter().map(|member| member.summary()).collect();
        assert_eq!(
            world.published(),
            [EventKind::FlowCreated { flow: flow.clone(), members: people }]
        );
        assert_eq!(world.store.members(flow.id).await, Ok(members.into_iter().cloned().collect()));
        assert_eq!(world.store.flow(flow.id).await, Ok(Some(flow.clone())));
        assert_eq!(world.store.is_member(flow.id, gone.id).await, Ok(false));
    }
    let before =
        world.store.flow_summaries(all_flows(&boris)).await.expect("the store answers").len();
    for (new, fault) in [
        (new(FlowKind::Group, &[&anna, &gone]), Fault::NoSuchUser),
        (CreateFlow { owner: gone.id, ..new(FlowKind::Group, &[&anna]) }, Fault::NoSuchUser),
        (
            CreateFlow {
                members: vec![UserId::new(999).expect("an id")],
                ..new(FlowKind::Channel, &[])
            },
            Fault::NoSuchUser,
        ),
        (new(FlowKind::Chat, &[&anna]), Fault::WrongKind),
    ] {
        assert_eq!(world.store.create_flow(new, None, now).await, refused(fault));
    }
    assert_eq!(
        world.store.flow_summaries(all_flows(&boris)).await.map(|flows| flows.len()),
        Ok(before)
    );
    assert_eq!(world.published(), []);
    let absent = FlowId::new(999).expect("an id");
    assert_eq!(world.store.flow(absent).await, Ok(None));
    assert_eq!(world.store.members(absent).await, Ok(vec![]));
    assert_eq!(world.store.is_member(absent, boris.id).await, Ok(false));
    assert_eq!(world.store.flow_summary(absent, Some(boris.id), true).await, Ok(None));
}

/// It is the flow as it stands now; another request with the key is refused; where the flow is gone
/// the key is free.
pub async fn a_repeated_key_makes_no_second_flow(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let new = |owner: &User, key: &str, fingerprint: u8| CreateFlow {
        kind: FlowKind::Group,
        title: key.into(),
        info: String::new(),
        owner: owner.id,
        photo: None,
        members: vec![boris.id],
        key: Some(IdempotencyKey { key: key.into(), fingerprint: [fingerprint; 32] }),
    };
    let now = world.tick();
    // A refused flow uses no key.
    let absent =
        CreateFlow { members: vec![UserId::new(999).expect("an id")], ..new(&anna, "key", 9) };
    assert_eq!(world.store.create_flow(absent, None, now).await, refused(Fault::NoSuchUser));
    let (first, repeated) = flow_and_repeated(
        world.store.create_flow(new(&anna, "key", 1), None, now).await.expect("all live"),
    );
    assert!(!repeated);
    world.post(&first, &boris, "hello").await;
    let as_it_stands =
        world.store.flow(first.id).await.expect("the store answers").expect("it was just made");
    world.events();
    let now = world.tick();
    assert_eq!(
        world.store.create_flow(new(&anna, "key", 1), None, now).await,
        Ok(FlowCreation::Existing(as_it_stands))
    );
    assert_eq!(
        world.store.create_flow(new(&anna, "key", 2), None, now).await,
        refused(Fault::KeyReused)
    );
    assert_eq!(world.published(), []);
    let mut left = Vec::new();
    for other in [new(&boris, "key", 2), new(&anna, "KEY", 2), new(&anna, "key2", 2)] {
        let (flow, repeated) = flow_and_repeated(
            world.store.create_flow(other.clone(), None, now).await.expect("all live"),
        );
        assert!(!repeated, "{other:?}");
        left.push(flow.id);
    }
    world
        .store
        .delete_flow(first.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("it is hers");
    let (second, repeated) = flow_and_repeated(
        world.store.create_flow(new(&anna, "key", 3), None, now).await.expect("all live"),
    );
    assert!(!repeated && second.id != first.id);
    let end = now.after(IDEMPOTENCY_WINDOW);
    let just_before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(
        world.store.create_flow(new(&anna, "key", 3), None, just_before).await,
        Ok(FlowCreation::Existing(second.clone()))
    );
    let (third, repeated) = flow_and_repeated(
        world.store.create_flow(new(&anna, "key", 4), None, end).await.expect("all live"),
    );
    assert!(!repeated && third.id > second.id);
    left.extend([second.id, third.id]);
    let positions = world.store.flow_versions(boris.id).await.expect("the store answers");
    assert_eq!(positions.into_iter().map(|(flow, _)| flow).collect::<Vec<_>>(), left);
}

/// One flow and one event for all.
pub async fn a_key_makes_one_flow_however_many_use_it_at_once(world: &mut World) {
    let anna = world.user("anna").await;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let now = world.tick();
    let tasks = (0..20).map(|_| {
        let (store, answers, owner) = (world.store.clone(), answers.clone(), anna.id);
        Box::pin(async move {
            let key = Some(IdempotencyKey { key: "key".into(), fingerprint: [1; 32] });
            let (title, info) = ("title".into(), String::new());
            let new = CreateFlow {
                kind: FlowKind::Channel,
                title,
                info,
                owner,
                photo: None,
                members: vec![],
                key,
            };
            let (flow, repeated) =
                flow_and_repeated(store.create_flow(new, None, now).await.expect("she lives"));
            answers.lock().expect("no task panicked").push((flow.id, repeated));
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    assert_eq!(answers.iter().filter(|(_, repeated)| !repeated).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(flow, _)| *flow == answers[0].0), "{answers:?}");
    assert_eq!(world.published().len(), 1);
}

/// And only by the owner's will.
pub async fn members_come_and_go_all_or_nobody(world: &mut World) {
    let [anna, boris, clara, dora, gone] =
        world.users(["anna", "boris", "clara", "dora", "gone"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let chat = world
        .store
        .open_chat(anna.id, boris.id, None, world.now)
        .await
        .expect("both live")
        .into_flow();
    world.store.delete_user(gone.id, world.now).await.expect("it lives");
    world.events();
    let (store, now) = (world.store.clone(), world.tick());
    let absent = FlowId::new(999).expect("an id");
    for (flow, by, users, fault) in [
        (absent, &anna, vec![clara.id], Fault::NoSuchFlow),
        (group.id, &dora, vec![clara.id], Fault::NoSuchFlow),
        (chat.id, &anna, vec![clara.id], Fault::WrongKind),
        (group.id, &boris, vec![clara.id], Fault::NotOwner),
        (group.id, &anna, vec![clara.id, gone.id], Fault::NoSuchUser),
        (group.id, &anna, vec![clara.id, UserId::new(999).expect("an id")], Fault::NoSuchUser),
        (group.id, &anna, vec![clara.id, boris.id], Fault::AlreadyMember),
    ] {
        assert_eq!(
            store.add_members(flow, by.id, &users, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    assert_eq!(store.members(group.id).await, Ok(vec![anna.clone(), boris.clone()]));
    assert_eq!(world.published(), []);

    assert_eq!(
        store.add_members(group.id, anna.id, &[dora.id, clara.id, dora.id], origin("3"), now).await,
        Ok(())
    );
    assert_eq!(
        world.published(),
        [EventKind::MembersAdded {
            flow: group.id,
            users: vec![dora.summary(), clara.summary()],
            version: Version(0)
        }]
    );
    assert_eq!(
        store.members(group.id).await,
        Ok(vec![anna.clone(), boris.clone(), clara.clone(), dora.clone()])
    );
    let changed = store.flow(group.id).await.expect("the store answers").expect("the flow exists");
    assert!(changed.changed_at >= now && changed.changed_at > group.changed_at);

    for (flow, by, users, fault) in [
        (absent, &anna, vec![clara.id], Fault::NoSuchFlow),
        (group.id, &gone, vec![clara.id], Fault::NoSuchFlow),
        (chat.id, &anna, vec![boris.id], Fault::WrongKind),
        (group.id, &boris, vec![clara.id], Fault::NotOwner),
        (group.id, &anna, vec![clara.id, gone.id], Fault::NotMember),
    ] {
        assert_eq!(
            store.remove_members(flow, by.id, &users, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    let owner = store.remove_members(group.id, anna.id, &[clara.id, anna.id], None, now).await;
    assert!(
        matches!(owner, Err(StoreError::Refused(Fault::Invalid { field: "users", .. }))),
        "{owner:?}"
    );
    assert_eq!(store.members(group.id).await.map(|members| members.len()), Ok(4));
    assert_eq!(world.published(), []);

    assert_eq!(
        store.remove_members(group.id, anna.id, &[clara.id, boris.id, clara.id], None, now).await,
        Ok(())
    );
    assert_eq!(
        world.published(),
        [EventKind::MembersRemoved { flow: group.id, users: vec![clara.id, boris.id] }]
    );
    assert_eq!(store.members(group.id).await, Ok(vec![anna, dora]));
    assert_eq!(store.flow_versions(boris.id).await, Ok(vec![(chat.id, Version(0))]));
}

/// Of a kind that is meant.
pub async fn only_the_owner_deletes_a_flow(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let chat = world
        .store
        .open_chat(anna.id, boris.id, None, world.now)
        .await
        .expect("both live")
        .into_flow();
    world.events();
    let (store, now) = (world.store.clone(), world.tick());
    for (flow, by, kinds, fault) in [
        (FlowId::new(999).expect("an id"), &anna, FlowKindFilter::Any, Fault::NoSuchFlow),
        (group.id, &clara, FlowKindFilter::Any, Fault::NoSuchFlow),
        (group.id, &anna, FlowKindFilter::Chat, Fault::WrongKind),
        (chat.id, &anna, FlowKindFilter::Shared, Fault::WrongKind),
        (group.id, &boris, FlowKindFilter::Shared, Fault::NotOwner),
        (chat.id, &boris, FlowKindFilter::Any, Fault::NotOwner),
    ] {
        assert_eq!(
            store.delete_flow(flow, by.id, kinds, None, now).await,
            refused(fault.clone()),
            "{fault:?}"
        );
    }
    assert_eq!(
        store.flow_versions(boris.id).await,
        Ok(vec![(group.id, Version(0)), (chat.id, Version(0))])
    );
    assert_eq!(world.published(), []);
    assert_eq!(
        store.delete_flow(group.id, anna.id, FlowKindFilter::Shared, None, now).await,
        Ok(())
    );
    assert_eq!(store.delete_flow(chat.id, anna.id, FlowKindFilter::Chat, None, now).await, Ok(()));
    let deleted = |flow| EventKind::FlowDeleted { flow, by: anna.id };
    assert_eq!(world.published(), [deleted(group.id), deleted(chat.id)]);
}

/// By no method; a pair may begin anew.
pub async fn a_deleted_flow_is_not_found_and_its_id_never_comes_back(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let chat = world
        .store
        .open_chat(anna.id, boris.id, None, world.now)
        .await
        .expect("both live")
        .into_flow();
    let other = world.group(&anna, &[&boris]).await;
    let mut messages = Vec::new();
    for number in 0..30 {
        messages.push(world.post(&chat, &anna, &format!("{number}")).await);
    }
    let now = world.tick();
    let keyed = world
        .store
        .post(with_key(chat.id, &anna, "keyed", "key"), now)
        .await
        .expect("she may")
        .into_message();
    world
        .store
        .delete_flow(chat.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("she owns it");
    world.events();

    let (store, now) = (world.store.clone(), world.tick());
    assert_eq!(store.flow(chat.id).await, Ok(None));
    assert_eq!(store.members(chat.id).await, Ok(vec![]));
    assert_eq!(store.is_member(chat.id, anna.id).await, Ok(false));
    assert_eq!(store.flow_summary(chat.id, Some(anna.id), true).await, Ok(None));
    assert_eq!(store.flow_versions(anna.id).await, Ok(vec![(other.id, Version(0))]));
    for all in [false, true] {
        let flows = store
            .flow_summaries(FlowSummaryQuery { all, ..all_flows(&anna) })
            .await
            .expect("the store answers");
        assert_eq!(
            flows.into_iter().map(|flow_summary| flow_summary.flow.id).collect::<Vec<_>>(),
            [other.id]
        );
    }
    for window in
        [HistoryRange::All, HistoryRange::Unread, HistoryRange::Newest { limit: 5, offset: 1 }]
    {
        assert_eq!(
            store.history(page_of(chat.id, boris.id, window, 10)).await,
            refused(Fault::NoSuchFlow)
        );
    }
    assert_eq!(store.messages_after(chat.id, Version(0), 10).await, Ok(vec![]));
    let changes =
        store.changes(boris.id, Timestamp::default(), None, 100).await.expect("the store answers");
    assert_eq!((changes.messages, changes.flows.len()), (vec![], 1));
    for administrator in [false, true] {
        let post = PostMessage { administrator, ..new_message(chat.id, &anna, "late") };
        assert_eq!(store.post(post, now).await, refused(Fault::NoSuchFlow));
        let edit = EditMessage { administrator, ..editing(&anna, messages[0].id, "late") };
        assert_eq!(store.edit(edit, now).await, refused(Fault::NoSuchMessage));
        let left = store
            .delete(DeleteMessages { administrator, ..deletion(&anna, &[&messages[0]]) }, now)
            .await;
        assert_eq!(left, Ok(Deleted { absent: vec![messages[0].id], ..Deleted::default() }));
    }
    for (by, users) in [(anna.id, [boris.id])] {
        assert_eq!(
            store.add_members(chat.id, by, &users, None, now).await,
            refused(Fault::NoSuchFlow)
        );
        assert_eq!(
            store.remove_members(chat.id, by, &users, None, now).await,
            refused(Fault::NoSuchFlow)
        );
        assert_eq!(
            store.delete_flow(chat.id, by, FlowKindFilter::Any, None, now).await,
            refused(Fault::NoSuchFlow)
        );
    }
    assert_eq!(world.published(), []);

    let reply = Content { reply_to: Some(messages[0].id), ..Content::text("reply") };
    let reply = PostMessage { content: reply, ..new_message(other.id, &anna, "") };
    assert_eq!(store.post(reply, now).await, refused(Fault::NoSuchMessage));
    let (again, made) =
        flow_and_created(store.open_chat(boris.id, anna.id, None, now).await.expect("both live"));
    assert!(made && again.id > chat.id && again.id > other.id);
    // The key's first message is gone, so it is no repetition.
    let (message, repeated) = message_and_repeated(
        store.post(with_key(again.id, &anna, "keyed", "key"), now).await.expect("she may"),
    );
    assert!(!repeated && message.id > keyed.id);
    assert_eq!(
        (message.posted, world.history(&again, &boris, HistoryRange::All).await),
        (Version(1), vec!["keyed".to_owned()])
    );
}

/// Byte for byte; the event and the answer are the stored message.
pub async fn a_message_is_kept_as_it_was_posted(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let first = world.post(&group, &anna, "first").await;
    world.events();
    let files = [
        AttachmentKind::Picture,
        AttachmentKind::Video,
        AttachmentKind::Audio,
        AttachmentKind::Document,
    ];
    let files =
        files.into_iter().map(|kind| Attachment { kind, data: format!("{kind:?}\"\\=") }).collect();
    let contents = [
        Content::text(""),
        Content::text("quote ' \" \\ \u{1}\r\n\t \u{1F600} \u{202e} %_?$1"),
        Content { content_type: ContentType::Image, ..Content::text("aW1hZ2U=") },
        Content { content_type: ContentType::File, ..Content::default() },
        Content { content_type: ContentType::Sticker, ..Content::default() },
        Content { content_type: ContentType::Other("image".into()), ..Content::default() },
        Content { content_type: ContentType::Other("other:x".into()), ..Content::default() },
        Content {
            attachments: files,
            emoji: Some("8J+YgA==".into()),
            reply_to: Some(first.id),
            ..Content::text("all")
        },
        Content { emoji: Some(String::new()), ..Content::text("x".repeat(100_000)) },
    ];
    for (content, version) in contents.into_iter().zip(2..) {
        let now = world.tick();
        let new = PostMessage {
            content: content.clone(),
            origin: origin("4"),
            ..new_message(group.id, &boris, "")
        };
        let (message, repeated) =
            message_and_repeated(world.store.post(new, now).await.expect("he is a member"));
        assert!(!repeated);
        assert_eq!(
            (message.flow, message.flow_kind, &message.author),
            (group.id, FlowKind::Group, &boris.summary())
        );
        assert_eq!(
            (&message.content, message.posted, message.version),
            (&content, Version(version), Version(version))
        );
        assert_eq!((message.posted_at, message.edited_at, message.deleted_at), (now, None, None));
        let events = world.events();
        assert_eq!(
            *events[0],
            Event {
                occurred_at: now,
                committed_at: Some(message.changed_at),
                origin: origin("4"),
                kind: EventKind::Posted(message.clone())
            }
        );
        assert_eq!(events.len(), 1);
        let newest = HistoryRange::Newest { limit: 1, offset: 0 };
        let page = world
            .store
            .history(page_of(group.id, anna.id, newest, 10))
            .await
            .expect("the flow exists");
        assert_eq!((page.messages, page.version), (vec![message.clone()], Version(version)));
        let flow = world.store.flow(group.id).await.expect("the store answers").expect("it exists");
        assert_eq!((flow.version, flow.changed_at), (Version(version), message.changed_at));
    }
    // The author's name is the one of now.
    let now = world.tick();
    let renamed = UserChange { username: Some("Bo".into()), ..UserChange::default() };
    let renamed = world.store.update_user(boris.id, renamed, now).await.expect("he lives");
    let page = world
        .store
        .history(page_of(group.id, anna.id, HistoryRange::Newest { limit: 1, offset: 0 }, 10))
        .await
        .expect("the flow exists");
    assert_eq!(page.messages[0].author, renamed.summary());
}

/// Nothing of it is stored, published or counted.
pub async fn a_message_that_must_not_be_posted_is_refused(world: &mut World) {
    let [anna, boris, clara, admin, gone] =
        world.users(["anna", "boris", "clara", "admin", "gone"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let channel = world.flow(FlowKind::Channel, &anna, &[&boris]).await;
    let chat = world
        .store
        .open_chat(anna.id, boris.id, None, world.now)
        .await
        .expect("both live")
        .into_flow();
    let elsewhere = world.post(&channel, &anna, "elsewhere").await;
    world.store.delete_user(gone.id, world.now).await.expect("it lives");
    world.events();
    let reply = |to: MessageId| Content { reply_to: Some(to), ..Content::text("reply") };
    let absent_message = MessageId::new(999).expect("an id");
    for (new, fault) in [
        (new_message(FlowId::new(999).expect("an id"), &anna, "x"), Fault::NoSuchFlow),
        (new_message(group.id, &clara, "x"), Fault::NoSuchFlow),
        (
            PostMessage { kinds: FlowKindFilter::Chat, ..new_message(group.id, &clara, "x") },
            Fault::NoSuchFlow,
        ),
        (
            PostMessage {
                administrator: true,
                ..new_message(FlowId::new(999).expect("an id"), &admin, "x")
            },
            Fault::NoSuchFlow,
        ),
        (
            PostMessage { kinds: FlowKindFilter::Chat, ..new_message(group.id, &anna, "x") },
            Fault::WrongKind,
        ),
        (
            PostMessage { kinds: FlowKindFilter::Shared, ..new_message(chat.id, &anna, "x") },
            Fault::WrongKind,
        ),
        (new_message(channel.id, &boris, "x"), Fault::NotOwner),
        (
            PostMessage { content: reply(elsewhere.id), ..new_message(group.id, &anna, "") },
            Fault::NoSuchMessage,
        ),
        (
            PostMessage { content: reply(absent_message), ..new_message(group.id, &anna, "") },
            Fault::NoSuchMessage,
        ),
        (
            PostMessage { administrator: true, ..new_message(group.id, &gone, "x") },
            Fault::NoSuchUser,
        ),
    ] {
        let now = world.tick();
        assert_eq!(world.store.post(new.clone(), now).await, refused(fault), "{new:?}");
    }
    assert_eq!(world.published(), []);
    assert_eq!(world.post(&group, &boris, "first").await.version, Version(1));
    assert_eq!(world.post(&channel, &anna, "second").await.version, Version(2));
    // An administrator need not be a member.
    let now = world.tick();
    let posted = world
        .store
        .post(PostMessage { administrator: true, ..new_message(chat.id, &admin, "by admin") }, now)
        .await;
    assert_eq!(
        posted
            .map(message_and_repeated)
            .map(|(message, repeated)| { (message.author, message.posted, repeated) }),
        Ok((admin.summary(), Version(1), false))
    );
}

/// Whoever waits for them, and in which order.
pub async fn messages_stand_in_the_order_in_which_they_were_begun(world: &mut World) {
    let anna = world.user("anna").await;
    let group = world.group(&anna, &[]).await;
    let mut begun = Vec::new();
    for number in 1..=20 {
        let now = world.tick();
        let posting = world
            .store
            .submit_message(new_message(group.id, &anna, &number.to_string()), now)
            .await
            .expect("there is room");
        begun.push((number, posting));
    }
    while let Some((number, posting)) = begun.pop() {
        let (message, repeated) = message_and_repeated(posting.await.expect("she may"));
        assert_eq!(
            (message.content.text, message.version, repeated),
            (number.to_string(), Version(number), false)
        );
    }
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await.len(), 20);
}

/// Within the window, for that author; whatever it says the second time.
pub async fn a_repeated_key_stores_nothing(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let channel = world.flow(FlowKind::Channel, &anna, &[&boris]).await;
    // A refused message uses no key.
    let now = world.tick();
    assert_eq!(
        world.store.post(with_key(channel.id, &boris, "refused", "key"), now).await,
        refused(Fault::NotOwner)
    );
    let (first, repeated) = message_and_repeated(
        world
            .store
            .post(with_key(group.id, &boris, "first", "key"), now)
            .await
            .expect("he is a member"),
    );
    assert!(!repeated);
    world.events();
    for again in
        [with_key(group.id, &boris, "first", "key"), with_key(channel.id, &boris, "other", "key")]
    {
        assert_eq!(
            world.store.post(again, now.after(Duration::from_secs(60))).await,
            Ok(Posted::Repeated(first.clone()))
        );
    }
    assert_eq!(world.published(), []);
    // It is the message as it stands now.
    let edited =
        world.store.edit(editing(&boris, first.id, "edited"), now).await.expect("it is his");
    world.events();
    assert_eq!(
        world.store.post(with_key(group.id, &boris, "first", "key"), now).await,
        Ok(Posted::Repeated(edited))
    );
    assert_eq!(world.published(), []);
    // Another author, another key, another case of the letters: other messages.
    for other in [
        with_key(group.id, &anna, "2", "key"),
        with_key(group.id, &boris, "3", "key2"),
        with_key(group.id, &boris, "4", "KEY"),
    ] {
        let (_, repeated) = message_and_repeated(
            world.store.post(other.clone(), now).await.expect("both are members"),
        );
        assert!(!repeated, "{other:?}");
    }
    let end = now.after(IDEMPOTENCY_WINDOW);
    let just_before = Timestamp::from_micros(end.micros() - 1);
    let (within, repeated) = message_and_repeated(
        world
            .store
            .post(with_key(group.id, &boris, "5", "key"), just_before)
            .await
            .expect("he is a member"),
    );
    assert_eq!((within.id, repeated), (first.id, true));
    let (after, repeated) = message_and_repeated(
        world
            .store
            .post(with_key(group.id, &boris, "6", "key"), end)
            .await
            .expect("he is a member"),
    );
    assert!(!repeated && after.id > first.id);
    // The window begins again with the new message.
    let (again, repeated) = message_and_repeated(
        world
            .store
            .post(with_key(group.id, &boris, "7", "key"), end.after(HOUR))
            .await
            .expect("he is a member"),
    );
    assert_eq!((again.id, repeated), (after.id, true));
    assert_eq!(
        world.history(&group, &anna, HistoryRange::All).await,
        ["edited", "2", "3", "4", "6"]
    );
}

/// One row, one event, one id for all.
pub async fn a_key_serves_one_of_those_who_use_it_at_once(world: &mut World) {
    let anna = world.user("anna").await;
    let group = world.group(&anna, &[]).await;
    world.events();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let now = world.tick();
    let tasks = (0..40).map(|number| {
        let (store, answers, anna, group) =
            (world.store.clone(), answers.clone(), anna.clone(), group.id);
        Box::pin(async move {
            let key = format!("key {}", number % 4);
            let (message, repeated) = message_and_repeated(
                store.post(with_key(group, &anna, &key, &key), now).await.expect("she is a member"),
            );
            answers.lock().expect("no task panicked").push((key, message.id, repeated));
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;
    let answers = answers.lock().expect("no task panicked").clone();
    let mut by_key: BTreeMap<&str, (BTreeSet<MessageId>, usize)> = BTreeMap::new();
    for (key, id, repeated) in &answers {
        let entry = by_key.entry(key).or_default();
        entry.0.insert(*id);
        entry.1 += usize::from(!repeated);
    }
    assert!(
        by_key.len() == 4 && by_key.values().all(|(ids, stored)| ids.len() == 1 && *stored == 1),
        "{answers:?}"
    );
    assert_eq!(world.published().len(), 4);
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await.len(), 4);
}

/// It stays in its place in history.
pub async fn an_edit_takes_the_next_version(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let first = world.post(&group, &anna, "first").await;
    let second = world.post(&group, &boris, "second").await;
    world.events();
    for (number, version) in (3..6).enumerate() {
        let now = world.tick();
        let text = format!("edit {number}");
        let edit = EditMessage {
            flow: Some(group.id),
            origin: origin("5"),
            ..editing(&anna, first.id, &text)
        };
        let edited = world.store.edit(edit, now).await.expect("it is hers");
        let expected = Message {
            content: Content::text(text),
            version: Version(version),
            edited_at: Some(now),
            changed_at: edited.changed_at,
            ..first.clone()
        };
        assert_eq!(edited, expected);
        assert!(edited.changed_at >= now);
        let events = world.events();
        assert_eq!(
            events.iter().map(|event| (**event).clone()).collect::<Vec<_>>(),
            [Event {
                occurred_at: now,
                committed_at: Some(edited.changed_at),
                origin: origin("5"),
                kind: EventKind::Edited(edited.clone())
            }]
        );
        let page = world
            .store
            .history(page_of(group.id, boris.id, HistoryRange::All, 10))
            .await
            .expect("the flow exists");
        assert_eq!((page.messages, page.version), (vec![edited, second.clone()], Version(version)));
    }
}

/// Somebody who is not in the flow learns nothing of it.
pub async fn an_edit_that_must_not_be_is_refused(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let other = world.group(&anna, &[]).await;
    let message = world.post(&group, &anna, "text").await;
    let deleted = world.post(&group, &anna, "deleted").await;
    world.delete(&anna, &[&deleted]).await;
    world.events();
    let edit = |by: &User, id| editing(by, id, "changed");
    for (edit, fault) in [
        (edit(&anna, MessageId::new(999).expect("an id")), Fault::NoSuchMessage),
        (edit(&anna, deleted.id), Fault::NoSuchMessage),
        (EditMessage { flow: Some(other.id), ..edit(&anna, message.id) }, Fault::NoSuchMessage),
        (edit(&clara, message.id), Fault::NoSuchMessage),
        (edit(&boris, message.id), Fault::NotAuthor),
        (EditMessage { administrator: true, ..edit(&clara, message.id) }, Fault::NotAuthor),
    ] {
        let now = world.tick();
        assert_eq!(world.store.edit(edit.clone(), now).await, refused(fault), "{edit:?}");
    }
    // Who left the flow may no longer change what they said there, except as administrator.
    let his = world.post(&group, &boris, "his").await;
    let now = world.tick();
    world
        .store
        .remove_members(group.id, anna.id, &[boris.id], None, now)
        .await
        .expect("she owns it");
    world.events();
    assert_eq!(world.store.edit(edit(&boris, his.id), now).await, refused(Fault::NoSuchMessage));
    assert_eq!(world.published(), []);
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await, ["text", "his"]);
    let edited =
        world.store.edit(EditMessage { administrator: true, ..edit(&boris, his.id) }, now).await;
    assert_eq!(edited.map(|message| message.content.text), Ok("changed".into()));
}

/// Into the deleted, those of others, and those that are not there; one event a flow.
pub async fn a_deletion_sorts_what_it_was_given(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let other = world.group(&anna, &[]).await;
    let foreign = world.group(&clara, &[]).await;
    let (a1, b1) = (world.post(&group, &anna, "a1").await, world.post(&group, &boris, "b1").await);
    let (a2, o1) = (world.post(&group, &anna, "a2").await, world.post(&other, &anna, "o1").await);
    let (c1, a3) =
        (world.post(&foreign, &clara, "c1").await, world.post(&group, &anna, "a3").await);
    world.events();
    let absent = MessageId::new(999).expect("an id");
    let now = world.tick();
    let messages = vec![a2.id, absent, b1.id, o1.id, a2.id, c1.id, a1.id];
    let asked = DeleteMessages {
        messages,
        flow: None,
        by: anna.id,
        administrator: false,
        origin: origin("6"),
    };
    let done = world.store.delete(asked, now).await;
    let expected = Deleted {
        deleted: vec![a2.id, o1.id, a1.id],
        not_author: vec![b1.id],
        absent: vec![absent, c1.id],
    };
    assert_eq!(done, Ok(expected));
    let events = world.events();
    assert!(
        events.iter().all(|event| event.occurred_at == now && event.origin == origin("6")),
        "{events:?}"
    );
    let mut kinds: Vec<EventKind> = events.iter().map(|event| event.kind.clone()).collect();
    kinds.sort_by_key(
        |kind| if let EventKind::Deleted { flow, .. } = kind { Some(*flow) } else { None },
    );
    let deleted =
        |flow: &Flow, messages| EventKind::Deleted { flow: flow.id, by: anna.id, messages };
    assert_eq!(
        kinds,
        [
            deleted(&group, vec![(a2.id, Version(5)), (a1.id, Version(6))]),
            deleted(&other, vec![(o1.id, Version(2))]),
        ]
    );
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await, ["b1", "a3"]);
    let flow = world.store.flow(group.id).await.expect("the store answers").expect("it exists");
    assert_eq!(flow.version, Version(6));

    // What is left of a deleted message says only that it was there.
    let left =
        world.store.messages_after(group.id, Version(4), 10).await.expect("the store answers");
    assert_eq!(ids(&left), [a2.id, a1.id]);
    for message in left {
        assert_eq!((message.content, message.deleted_at), (Content::default(), Some(now)));
        assert!(message.changed_at >= now);
    }

    // Deleted before; elsewhere; none at all.
    assert_eq!(
        world.delete(&anna, &[&a1]).await,
        Deleted { absent: vec![a1.id], ..Deleted::default() }
    );
    let elsewhere = DeleteMessages { flow: Some(other.id), ..deletion(&anna, &[&a3]) };
    assert_eq!(
        world.store.delete(elsewhere, now).await,
        Ok(Deleted { absent: vec![a3.id], ..Deleted::default() })
    );
    assert_eq!(
        world.delete(&clara, &[&a3]).await,
        Deleted { absent: vec![a3.id], ..Deleted::default() }
    );
    assert_eq!(
        world.delete(&boris, &[&a3]).await,
        Deleted { not_author: vec![a3.id], ..Deleted::default() }
    );
    assert_eq!(world.delete(&anna, &[]).await, Deleted::default());
    assert_eq!(world.published(), []);

    let as_administrator = DeleteMessages { administrator: true, ..deletion(&clara, &[&a3, &b1]) };
    let done = world.store.delete(as_administrator, now).await;
    assert_eq!(done, Ok(Deleted { deleted: vec![a3.id, b1.id], ..Deleted::default() }));
    let deleted = EventKind::Deleted {
        flow: group.id,
        by: clara.id,
        messages: vec![(a3.id, Version(7)), (b1.id, Version(8))],
    };
    assert_eq!(world.published(), [deleted]);
}

/// From either end, past any offset.
pub async fn history_leaves_out_the_deleted(world: &mut World) {
    let [anna, boris] = world.users(["anna", "boris"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let empty = world.group(&anna, &[]).await;
    let mut messages = Vec::new();
    for number in 0..10 {
        messages.push(world.post(&group, &anna, &number.to_string()).await);
    }
    world.delete(&anna, &[&messages[2], &messages[8], &messages[9]]).await;
    let now = world.tick();
    world.store.edit(editing(&anna, messages[3].id, "3!"), now).await.expect("it is hers");
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    for (window, limit, expected) in [
        (HistoryRange::All, 1000, vec!["0", "1", "3!", "4", "5", "6", "7"]),
        (HistoryRange::All, 3, vec!["5", "6", "7"]),
        (newest(1000, 0), 1000, vec!["0", "1", "3!", "4", "5", "6", "7"]),
        (newest(2, 0), 1000, vec!["6", "7"]),
        (newest(5, 0), 2, vec!["6", "7"]),
        (newest(2, 1), 1000, vec!["5", "6"]),
        (newest(2, 3), 1000, vec!["3!", "4"]),
        (newest(3, 5), 1000, vec!["0", "1"]),
        (newest(3, 7), 1000, vec![]),
        (newest(3, u32::MAX), 1000, vec![]),
        (newest(0, 0), 1000, vec![]),
        (newest(u32::MAX, 0), u32::MAX, vec!["0", "1", "3!", "4", "5", "6", "7"]),
    ] {
        // Who looks plays no part: membership is the caller's concern.
        for viewer in [&anna, &boris] {
            let page = world
                .store
                .history(page_of(group.id, viewer.id, window, limit))
                .await
                .expect("the flow exists");
            assert_eq!(texts(&page.messages), expected, "{window:?}, {limit}");
            assert_eq!((page.flow, page.version), (group.id, Version(14)));
        }
    }
    let page = world
        .store
        .history(page_of(empty.id, boris.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists");
    assert_eq!((page.messages, page.version), (vec![], Version(0)));
    let absent = FlowId::new(999).expect("an id");
    let absent = world.store.history(page_of(absent, anna.id, HistoryRange::All, 10)).await;
    assert_eq!(absent, refused(Fault::NoSuchFlow));
}

/// Each member's own mark; one's own messages are never unread.
pub async fn reading_moves_the_mark(world: &mut World) {
    let [anna, boris, clara, dora] = world.users(["anna", "boris", "clara", "dora"]).await;
    let group = world.group(&anna, &[&boris, &clara]).await;
    for number in 0..3 {
        world.post(&group, &anna, &format!("a{number}")).await;
        world.post(&group, &boris, &format!("b{number}")).await;
    }
    let read_by = async |world: &World, user: &User, limit| {
        let page = world
            .store
            .history(page_of(group.id, user.id, HistoryRange::Unread, limit))
            .await
            .expect("the flow exists");
        let mark = world
            .store
            .flow_summary(group.id, Some(user.id), false)
            .await
            .expect("the store answers")
            .expect("it exists")
            .read;
        (texts(&page.messages), mark.0)
    };
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(read_by(world, &boris, 2).await, (strings(&["a0", "a1"]), 3));
    assert_eq!(read_by(world, &boris, 10).await, (strings(&["a2"]), 5));
    assert_eq!(read_by(world, &boris, 10).await, (vec![], 5));
    assert_eq!(
        read_by(world, &clara, 10).await,
        (strings(&["a0", "b0", "a1", "b1", "a2", "b2"]), 6)
    );
    assert_eq!(read_by(world, &anna, 0).await, (vec![], 0));
    // Other windows leave the mark.
    world.history(&group, &anna, HistoryRange::All).await;
    world.history(&group, &anna, HistoryRange::Newest { limit: 5, offset: 0 }).await;
    assert_eq!(read_by(world, &anna, 1).await, (strings(&["b0"]), 2));
    // Somebody who only looks has no mark to move.
    for _ in 0..2 {
        assert_eq!(read_by(world, &dora, 1).await, (strings(&["a0"]), 0));
    }
    // Deleted ones are not shown; an edit does not make a message unread.
    let page = world
        .store
        .history(page_of(group.id, anna.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists")
        .messages;
    world.delete(&boris, &[&page[3]]).await;
    let now = world.tick();
    world.store.edit(editing(&boris, page[1].id, "b0!"), now).await.expect("it is his");
    assert_eq!(read_by(world, &anna, 10).await, (strings(&["b2"]), 6));
    world.post(&group, &boris, "b3").await;
    assert_eq!(read_by(world, &anna, 10).await, (strings(&["b3"]), 9));
}

/// Reading with `mark_read` moves the mark forward to the last message returned, whatever the
/// range, and publishes nothing.
pub async fn mark_read_moves_the_mark_whatever_the_range(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let group = world.group(&anna, &[&boris]).await;
    for number in 1..=5 {
        world.post(&group, &anna, &format!("a{number}")).await;
    }
    world.post(&group, &boris, "b6").await;
    world.published();
    let read_by = async |world: &World, user: &User, range, mark_read| {
        let query = HistoryQuery { mark_read, ..page_of(group.id, user.id, range, 10) };
        let page = world.store.history(query).await.expect("the flow exists");
        let summary = world.store.flow_summary(group.id, Some(user.id), false).await;
        let mark = summary.expect("the store answers").expect("the flow exists").read;
        (page.messages.len(), mark.0)
    };
    let newest = |limit, offset| HistoryRange::Newest { limit, offset };
    assert_eq!(read_by(world, &boris, newest(2, 3), false).await, (2, 0));
    assert_eq!(read_by(world, &boris, newest(2, 3), true).await, (2, 3));
    assert_eq!(read_by(world, &boris, newest(1, 5), true).await, (1, 3), "it never moves back");
    assert_eq!(
        read_by(world, &boris, newest(5, 6), true).await,
        (0, 3),
        "an empty page moves it not"
    );
    assert_eq!(read_by(world, &boris, HistoryRange::All, false).await, (6, 3));
    assert_eq!(read_by(world, &boris, HistoryRange::All, true).await, (6, 6));
    assert_eq!(read_by(world, &boris, HistoryRange::Unread, true).await, (0, 6));
    world.post(&group, &anna, "a7").await;
    assert_eq!(read_by(world, &boris, HistoryRange::Unread, false).await, (1, 7));
    assert_eq!(
        read_by(world, &anna, HistoryRange::All, false).await,
        (7, 0),
        "marks are each user's"
    );
    let _ = world.published();
    for _ in 0..2 {
        assert_eq!(
            read_by(world, &clara, HistoryRange::All, true).await,
            (7, 0),
            "no member, no mark"
        );
    }
    assert_eq!(world.published(), []);
}

/// The newest and the oldest message that can be seen, the members where they are wanted, the
/// viewer's mark.
pub async fn overviews_show_the_edges_of_each_flow(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let group = world.group(&anna, &[&boris]).await;
    let chat = world
        .store
        .open_chat(boris.id, anna.id, None, world.now)
        .await
        .expect("both live")
        .into_flow();
    let mut messages = Vec::new();
    for number in 0..5 {
        messages.push(world.post(&group, &anna, &number.to_string()).await);
    }
    world.delete(&anna, &[&messages[0], &messages[4]]).await;
    world
        .store
        .history(page_of(group.id, boris.id, HistoryRange::Unread, 2))
        .await
        .expect("the flow exists");

    for (flow, wanted, members) in
        [(&group, false, 0), (&group, true, 2), (&chat, false, 2), (&chat, true, 2)]
    {
        let flow_summary = world
            .store
            .flow_summary(flow.id, Some(boris.id), wanted)
            .await
            .expect("the store answers")
            .expect("it exists");
        let stored = world.store.flow(flow.id).await.expect("the store answers");
        assert_eq!(Some(&flow_summary.flow), stored.as_ref());
        assert_eq!(flow_summary.members, [anna.clone(), boris.clone()][..members]);
        let (first, last) = if flow.id == group.id {
            (Some(messages[1].id), Some(messages[3].clone()))
        } else {
            (None, None)
        };
        assert_eq!((flow_summary.first, flow_summary.last), (first, last));
        assert_eq!(flow_summary.read, Version(if flow.id == group.id { 3 } else { 0 }));
        let listed = world
            .store
            .flow_summaries(FlowSummaryQuery { members: wanted, ..all_flows(&boris) })
            .await
            .expect("the store answers");
        let one = world
            .store
            .flow_summary(flow.id, Some(boris.id), wanted)
            .await
            .expect("the store answers")
            .expect("it exists");
        assert_eq!(listed.iter().find(|listed| listed.flow.id == flow.id), Some(&one));
    }
    // Somebody who is not a member sees the flow and has no mark.
    let outside = world
        .store
        .flow_summary(group.id, Some(clara.id), true)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!(
        (outside.read, outside.members.len(), outside.first),
        (Version(0), 2, Some(messages[1].id))
    );
    world.delete(&anna, &[&messages[1], &messages[2], &messages[3]]).await;
    let nothing = world
        .store
        .flow_summary(group.id, Some(anna.id), false)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!((nothing.first, nothing.last), (None, None));
}

/// Newest first; one's own flows, or all.
pub async fn overviews_are_paged_by_activity(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let mut flows = Vec::new();
    for _ in 0..6 {
        flows.push(world.group(&anna, &[]).await);
    }
    let now = world.tick();
    for flow in &flows[..4] {
        world
            .store
            .add_members(flow.id, anna.id, &[boris.id], None, now)
            .await
            .expect("she owns it");
    }
    world.post(&flows[1], &anna, "1").await;
    world.post(&flows[4], &anna, "4").await;
    let message = world.post(&flows[0], &boris, "0").await;
    let now = world.tick();
    world.store.edit(editing(&boris, message.id, "0!"), now).await.expect("it is his");
    world.post(&flows[2], &anna, "2").await;
    let moment = world
        .store
        .flow(flows[4].id)
        .await
        .expect("the store answers")
        .expect("it exists")
        .changed_at;
    let query = |viewer: &User| all_flows(viewer);
    for (query, expected) in [
        (query(&boris), vec![2, 0, 1, 3]),
        (query(&anna), vec![2, 0, 4, 1, 3, 5]),
        (query(&clara), vec![]),
        (FlowSummaryQuery { all: true, ..query(&clara) }, vec![2, 0, 4, 1, 3, 5]),
        (FlowSummaryQuery { limit: Some(2), ..query(&boris) }, vec![2, 0]),
        (FlowSummaryQuery { limit: Some(2), offset: 1, ..query(&boris) }, vec![0, 1]),
        (FlowSummaryQuery { offset: 3, ..query(&boris) }, vec![3]),
        (FlowSummaryQuery { offset: 9, ..query(&boris) }, vec![]),
        (FlowSummaryQuery { limit: Some(0), ..query(&boris) }, vec![]),
        (FlowSummaryQuery { changed_after: Some(moment), ..query(&anna) }, vec![2, 0]),
        (
            FlowSummaryQuery {
                changed_after: Some(moment),
                all: true,
                limit: Some(1),
                offset: 1,
                ..query(&clara)
            },
            vec![0],
        ),
    ] {
        let listed = world.store.flow_summaries(query.clone()).await.expect("the store answers");
        let places: Vec<Option<usize>> = listed
            .iter()
            .map(|flow_summary| flows.iter().position(|flow| flow.id == flow_summary.flow.id))
            .collect();
        assert_eq!(places, expected.into_iter().map(Some).collect::<Vec<_>>(), "{query:?}");
    }
    let ids: Vec<FlowId> = flows[..4].iter().map(|flow| flow.id).collect();
    assert_eq!(
        world
            .store
            .flow_versions(boris.id)
            .await
            .map(|flows| flows.into_iter().map(|(flow, _)| flow).collect()),
        Ok(ids)
    );
}

/// Of the user's flows, or of one of them; asking again from `until` gives only what is new.
pub async fn changes_name_messages_flows_and_the_user(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let (group, other) = (world.group(&anna, &[&boris]).await, world.group(&anna, &[&boris]).await);
    let foreign = world.group(&clara, &[]).await;
    let first = world.post(&group, &anna, "first").await;
    let second = world.post(&other, &boris, "second").await;
    world.post(&foreign, &clara, "foreign").await;
    let (store, boris_id) = (world.store.clone(), boris.id);
    let ask = async |since, flow: Option<&Flow>| {
        let changes = store
            .changes(boris_id, since, flow.map(|flow| flow.id), 100)
            .await
            .expect("the store answers");
        assert!(!changes.more);
        let flows: BTreeSet<FlowId> =
            changes.flows.iter().map(|flow_summary| flow_summary.flow.id).collect();
        (ids(&changes.messages), flows, changes.user.is_some(), changes.until)
    };
    let beginning = Timestamp::default();
    let (messages, flows, user, until) = ask(beginning, None).await;
    assert_eq!(
        (messages, flows, user),
        (vec![first.id, second.id], BTreeSet::from([group.id, other.id]), true)
    );
    let (messages, flows, _, _) = ask(beginning, Some(&other)).await;
    assert_eq!((messages, flows), (vec![second.id], BTreeSet::from([other.id])));
    let (messages, flows, _, _) = ask(beginning, Some(&foreign)).await;
    assert_eq!((messages, flows), (vec![], BTreeSet::new()));
    assert_eq!(ask(until, None).await, (vec![], BTreeSet::new(), false, until));

    // An edit and a deletion are changes; what others do elsewhere is not.
    let now = world.tick();
    world.store.edit(editing(&anna, first.id, "first!"), now).await.expect("it is hers");
    world.post(&foreign, &clara, "foreign").await;
    let (messages, flows, user, until) = ask(until, None).await;
    assert_eq!((messages, flows, user), (vec![first.id], BTreeSet::from([group.id]), false));
    world.delete(&boris, &[&second]).await;
    let changes = world.store.changes(boris.id, until, None, 100).await.expect("the store answers");
    assert_eq!(ids(&changes.messages), [second.id]);
    assert!(
        changes.messages[0].deleted_at.is_some()
            && changes.messages[0].content == Content::default()
    );
    let until = changes.until;

    // The record, new members, and a clock that stands still.
    let change = UserChange { bio: Some("bio".into()), ..UserChange::default() };
    let updated = world.store.update_user(boris.id, change, now).await.expect("he lives");
    world.store.add_members(other.id, anna.id, &[clara.id], None, now).await.expect("she owns it");
    let changes = world.store.changes(boris.id, until, None, 100).await.expect("the store answers");
    assert_eq!((changes.messages, changes.user.as_deref()), (vec![], Some(&updated)));
    assert_eq!(
        changes.flows.iter().map(|flow_summary| flow_summary.flow.id).collect::<Vec<_>>(),
        [other.id]
    );
    let nothing =
        world.store.changes(boris.id, changes.until, None, 100).await.expect("the store answers");
    assert_eq!(
        (nothing.messages, nothing.flows, nothing.user, nothing.more),
        (vec![], vec![], None, false)
    );
}

/// Every change is seen, in order, once, by somebody who pages while others post, edit and delete.
pub async fn changes_are_paged_without_gap_or_repeat_while_others_write(world: &mut World) {
    const WRITERS: usize = 3;
    const ROUNDS: usize = 30;
    let reader = world.user("reader").await;
    let (now, mut tasks) = (world.tick(), Vec::<Task>::new());
    let mut flows = Vec::new();
    for number in 0..WRITERS {
        let writer = world.user(&format!("writer {number}")).await;
        let flow = world.group(&writer, &[&reader]).await;
        flows.push(flow.clone());
        let store = world.store.clone();
        tasks.push(Box::pin(async move {
            for round in 0..ROUNDS {
                // The clock stands still, so that moments are unique by the store's own doing.
                let text = round.to_string();
                let message = store
                    .post(new_message(flow.id, &writer, &text), now)
                    .await
                    .expect("a member")
                    .into_message();
                if round % 3 == 0 {
                    store
                        .edit(editing(&writer, message.id, "edited"), now)
                        .await
                        .expect("the author");
                }
                if round % 5 == 0 {
                    store.delete(deletion(&writer, &[&message]), now).await.expect("the author");
                }
            }
        }));
    }
    let tasks: Vec<Task> = tasks.into_iter().map(world.spawn).collect();
    let mut known: BTreeMap<MessageId, Message> = BTreeMap::new();
    let (mut since, mut known_flows, mut quiet) = (Timestamp::default(), BTreeMap::new(), false);
    let mut tasks = tasks.into_iter();
    loop {
        let changes =
            world.store.changes(reader.id, since, None, 7).await.expect("the store answers");
        assert!(changes.messages.len() <= 7);
        assert!(
            changes
                .messages
                .iter()
                .all(|message| message.changed_at > since && message.changed_at <= changes.until)
        );
        assert!(changes.messages.is_sorted_by(|one, next| one.changed_at < next.changed_at));
        assert!(!changes.more || changes.messages.len() == 7);
        for message in changes.messages {
            let before = known.insert(message.id, message.clone());
            assert!(
                before.is_none_or(|before| before.version < message.version),
                "{message:?} came twice"
            );
        }
        for flow_summary in changes.flows {
            known_flows.insert(flow_summary.flow.id, flow_summary.flow);
        }
        assert!(changes.until >= since);
        since = changes.until;
        if changes.more {
            continue;
        }
        if quiet {
            break;
        }
        // Once the writers are done, one more round to the end.
        match tasks.next() {
            Some(task) => task.await,
            None => quiet = true,
        }
        turn().await;
    }
    for flow in &flows {
        let expected = world
            .store
            .messages_after(flow.id, Version(0), 10_000)
            .await
            .expect("the store answers");
        assert_eq!(expected.len(), ROUNDS);
        let mut seen: Vec<Message> =
            known.values().filter(|message| message.flow == flow.id).cloned().collect();
        seen.sort_by_key(|message| message.version);
        assert_eq!(seen, expected);
        assert_eq!(
            Some(known_flows.get(&flow.id)),
            world.store.flow(flow.id).await.expect("the store answers").as_ref().map(Some)
        );
    }
}

/// What changed after a version, each message once, with its newest version.
pub async fn a_gap_is_repaired_by_version(world: &mut World) {
    let anna = world.user("anna").await;
    let group = world.group(&anna, &[]).await;
    let mut messages = Vec::new();
    for number in 0..5 {
        messages.push(world.post(&group, &anna, &number.to_string()).await);
    }
    let now = world.tick();
    world.store.edit(editing(&anna, messages[1].id, "1!"), now).await.expect("it is hers");
    world.delete(&anna, &[&messages[3]]).await;
    for (after, limit, expected) in [
        (0, 10, vec![(0, 1), (2, 3), (4, 5), (1, 6), (3, 7)]),
        (0, 2, vec![(0, 1), (2, 3)]),
        (3, 2, vec![(4, 5), (1, 6)]),
        (5, 10, vec![(1, 6), (3, 7)]),
        (7, 10, vec![]),
        (100, 10, vec![]),
    ] {
        let found = world
            .store
            .messages_after(group.id, Version(after), limit)
            .await
            .expect("the store answers");
        let found: Vec<(MessageId, i64)> =
            found.iter().map(|message| (message.id, message.version.0)).collect();
        let expected: Vec<(MessageId, i64)> = expected
            .into_iter()
            .map(|(place, version): (usize, i64)| (messages[place].id, version))
            .collect();
        assert_eq!(found, expected, "after {after}");
    }
    assert_eq!(
        world.store.messages_after(FlowId::new(999).expect("an id"), Version(0), 10).await,
        Ok(vec![])
    );
}

/// Whatever was published is found again, in the same order, however many pages it takes; what was
/// known is not told again.
pub async fn what_was_not_heard_is_found_by_its_moment(world: &mut World) {
    let [anna, boris, clara] = world.users(["anna", "boris", "clara"]).await;
    let store = world.store.clone();
    let start = store.last_commit_time().await.expect("it is open");
    let group = world.group(&anna, &[&boris]).await;
    let doomed = world.group(&anna, &[&boris]).await;
    let message = world.post(&group, &anna, "first").await;
    let now = world.tick();
    store
        .add_members(group.id, anna.id, &[clara.id], origin("1"), now)
        .await
        .expect("she is no member");
    let now = world.tick();
    store.remove_members(group.id, anna.id, &[boris.id], None, now).await.expect("he is a member");
    let now = world.tick();
    store
        .delete_flow(doomed.id, anna.id, FlowKindFilter::Any, None, now)
        .await
        .expect("it is hers");
    let now = world.tick();
    let session = NewSession {
        user: clara.id,
        token: None,
        refresh: None,
        now,
        expires_at: now.after(Duration::from_secs(60)),
    };
    let session = store.open_session(session).await.expect("she lives");
    let now = world.tick();
    store.end_session(session, now).await.expect("it lives");
    world.delete(&anna, &[&message]).await;
    let now = world.tick();
    store.delete_user(clara.id, now).await.expect("she lives");

    let published = world.events();
    let moments: Vec<_> = published
        .iter()
        .map(|event| event.committed_at.expect("what is stored has a moment"))
        .collect();
    assert!(moments.is_sorted_by(|a, b| a < b) && moments[0] > start, "{moments:?}");
    let unheard: Vec<Event> = published
        .iter()
        // What happened in a flow that is gone is no longer told, but that it is gone.
        .filter(|event| event.versions().is_none())
        .filter(|event| {
            event.flow() != Some(doomed.id) || matches!(event.kind, EventKind::FlowDeleted { .. })
        })
        .map(|event| {
            let mut event = Event { origin: None, ..Event::clone(event) };
            if let EventKind::FlowCreated { flow, .. } = &mut event.kind {
                // The record is told as it is now.
                flow.changed_at = Timestamp::default();
            }
            event
        })
        .collect();
    assert_eq!(unheard.len(), 7, "{unheard:?}");
    for limit in [1, 2, 3, 100] {
        let (mut after, mut events, mut flows) = (start, Vec::new(), BTreeMap::new());
        loop {
            let page = store.changes_after(after, limit).await.expect("it is open");
            assert!(
                page.events.len() <= limit as usize && page.flows.len() <= limit as usize,
                "{page:?}"
            );
            events.extend(page.events);
            flows.extend(page.flows);
            assert!(page.until > after || !page.more, "it would never end");
            after = page.until;
            if !page.more {
                break;
            }
        }
        for event in &mut events {
            if let EventKind::FlowCreated { flow, .. } = &mut event.kind {
                flow.changed_at = Timestamp::default();
            }
        }
        assert_eq!(events, unheard, "{limit} at once");
        assert_eq!(flows, BTreeMap::from([(group.id, Version(2))]), "{limit} at once");
        assert_eq!(store.last_commit_time().await, Ok(after));
        let rest = store.changes_after(after, limit).await.expect("it is open");
        assert_eq!(rest, ChangesPage { flows: vec![], events: vec![], until: after, more: false });
    }
}

/// Whatever the clock does, and whatever is deleted.
pub async fn moments_are_unique_and_ascend(world: &mut World) {
    let anna = world.user("anna").await;
    let (one, two) = (world.group(&anna, &[]).await, world.group(&anna, &[]).await);
    let now = world.tick();
    let mut last = Timestamp::default();
    let back = now.before(HOUR);
    for (number, at) in [now, now, back, now, now.after(HOUR), back].into_iter().enumerate() {
        let flow = if number % 2 == 0 { &one } else { &two };
        let message = world
            .store
            .post(new_message(flow.id, &anna, "x"), at)
            .await
            .expect("she may")
            .into_message();
        assert!(message.changed_at > last && message.changed_at >= at, "{number}");
        assert_eq!(message.posted_at, at);
        last = message.changed_at;
        let edited = world.store.edit(editing(&anna, message.id, "y"), at).await.expect("she may");
        assert!(edited.changed_at > last && edited.changed_at >= at, "{number}");
        last = edited.changed_at;
    }
    // Not even deleting what had the newest moment brings it back.
    world
        .store
        .delete_flow(two.id, anna.id, FlowKindFilter::Any, None, back)
        .await
        .expect("she owns it");
    let message = world
        .store
        .post(new_message(one.id, &anna, "x"), back)
        .await
        .expect("she may")
        .into_message();
    assert!(message.changed_at > last);
    let group = world
        .store
        .flow_summary(one.id, Some(anna.id), false)
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!(group.flow.changed_at, message.changed_at);
}

/// Posts, edits and deletions of many tasks: dense versions, published in order, the same history
/// for all.
pub async fn many_writers_agree_on_one_order_per_flow(world: &mut World) {
    const WRITERS: usize = 12;
    const FLOWS: usize = 3;
    const ROUNDS: usize = 15;
    let mut users = Vec::new();
    for number in 0..WRITERS {
        users.push(world.user(&format!("writer {number}")).await);
    }
    let members: Vec<&User> = users.iter().collect();
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        flows.push(world.group(&users[0], &members).await);
    }
    world.events();
    let now = world.tick();
    let tasks = users.iter().map(|user| {
        let (store, user, flows) = (world.store.clone(), user.clone(), flows.clone());
        Box::pin(async move {
            for round in 0..ROUNDS {
                let flow = flows[round % FLOWS].id;
                let text = format!("{} {round}", user.login);
                let (message, repeated) = message_and_repeated(
                    store.post(new_message(flow, &user, &text), now).await.expect("a member"),
                );
                assert!(!repeated && message.content.text == text && message.author.id == user.id);
                if round % 4 == 0 {
                    store
                        .edit(editing(&user, message.id, &format!("{text}!")), now)
                        .await
                        .expect("the author");
                }
                if round % 7 == 0 {
                    let done =
                        store.delete(deletion(&user, &[&message]), now).await.expect("the author");
                    assert_eq!(done.deleted, [message.id]);
                }
            }
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;

    let events = world.events();
    for flow in &flows {
        let mut next = 1;
        let mut model: BTreeMap<Version, (MessageId, String)> = BTreeMap::new();
        for event in events.iter().filter(|event| event.flow() == Some(flow.id)) {
            let (first, last) = event.versions().expect("only messages changed");
            assert_eq!(first, Version(next), "{event:?}");
            next = last.0 + 1;
            match &event.kind {
                EventKind::Posted(message) | EventKind::Edited(message) => {
                    model.insert(message.posted, (message.id, message.content.text.clone()));
                }
                EventKind::Deleted { messages, .. } => {
                    model.retain(|_, (id, _)| messages.iter().all(|(deleted, _)| deleted != id))
                }
                other => panic!("{other:?} was not asked for"),
            }
        }
        assert!(
            model.values().map(|(id, _)| id).is_sorted(),
            "ids ascend with the order of the flow"
        );
        let stored =
            world.store.flow(flow.id).await.expect("the store answers").expect("it exists");
        assert_eq!(stored.version, Version(next - 1));
        let expected: Vec<String> = model.into_values().map(|(_, text)| text).collect();
        for viewer in &users {
            assert_eq!(world.history(flow, viewer, HistoryRange::All).await, expected);
        }
    }
}

/// Refused and granted changes of every kind, all at once.
pub async fn a_refusal_does_not_disturb_its_neighbours(world: &mut World) {
    const ROUNDS: usize = 40;
    let [anna, clara] = world.users(["anna", "clara"]).await;
    let group = world.group(&anna, &[]).await;
    world.events();
    let now = world.tick();
    let tasks = (0..ROUNDS).map(|number| {
        let (store, anna, clara, flow) =
            (world.store.clone(), anna.clone(), clara.clone(), group.id);
        Box::pin(async move {
            match number % 4 {
                0 => assert!(store.post(new_message(flow, &anna, "granted"), now).await.is_ok()),
                1 => assert_eq!(
                    store.post(new_message(flow, &clara, "refused"), now).await,
                    refused(Fault::NoSuchFlow)
                ),
                2 => assert_eq!(
                    store.create_user(new_user("ANNA"), now).await,
                    refused(Fault::LoginTaken)
                ),
                _ => assert!(
                    store.create_user(new_user(&format!("user {number}")), now).await.is_ok()
                ),
            }
        }) as Task
    });
    world.together(tasks.collect::<Vec<_>>()).await;
    assert_eq!(world.published().len(), ROUNDS / 4);
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await.len(), ROUNDS / 4);
    assert_eq!(
        world.store.search_users("user ", 1000).await.map(|users| users.len()),
        Ok(ROUNDS / 4)
    );
    let flow = world.store.flow(group.id).await.expect("the store answers").expect("it exists");
    assert_eq!(flow.version, Version((ROUNDS / 4) as i64));
}

/// Wherever a message may have it, also beside messages that have not.
pub async fn the_character_nul_is_refused_and_finds_nothing(world: &mut World) {
    let anna = world.user("anna").await;
    let group = world.group(&anna, &[]).await;
    let kept = world.post(&group, &anna, "kept").await;
    world.events();
    let attachments = vec![Attachment { kind: AttachmentKind::Picture, data: "a\0b".into() }];
    let now = world.tick();
    for (part, message) in [
        ("text", new_message(group.id, &anna, "a\0b")),
        ("key", with_key(group.id, &anna, "text", "a\0b")),
        (
            "file",
            PostMessage {
                content: Content { attachments, ..Content::text("text") },
                ..new_message(group.id, &anna, "")
            },
        ),
        (
            "file",
            PostMessage {
                content: Content { emoji: Some("a\0b".into()), ..Content::text("text") },
                ..new_message(group.id, &anna, "")
            },
        ),
        (
            "content_type",
            PostMessage {
                content: Content {
                    content_type: ContentType::Other("a\0b".into()),
                    ..Content::text("text")
                },
                ..new_message(group.id, &anna, "")
            },
        ),
    ] {
        let store = world.store.clone();
        let neighbour = new_message(group.id, &anna, part);
        let beside = Box::pin(async move {
            drop(store.post(neighbour, now).await.expect("nothing is wrong with it"))
        }) as Task;
        let store = world.store.clone();
        let refused = Box::pin(async move {
            let outcome = store.post(message, now).await;
            assert!(
                matches!(&outcome, Err(StoreError::Refused(Fault::Invalid { field, .. })) if *field == part),
                "{part}: {outcome:?}"
            );
        }) as Task;
        world.together([beside, refused]).await;
    }
    let outcome = world.store.edit(editing(&anna, kept.id, "a\0b"), now).await;
    assert!(matches!(outcome, Err(StoreError::Refused(Fault::Invalid { .. }))), "{outcome:?}");
    assert_eq!(world.events().len(), 5);
    assert_eq!(world.history(&group, &anna, HistoryRange::All).await.len(), 6);
    for key in [AccountKey::Login("anna\0"), AccountKey::Email("\0"), AccountKey::Either("a\0nna")]
    {
        assert!(matches!(world.store.account(key).await, Ok(None)), "{key:?}");
    }
    assert_eq!(world.store.search_users("a\0", 10).await, Ok(vec![]));
}

/// It answers until then, and may be closed twice.
pub async fn a_closed_store_is_unavailable(world: &mut World) {
    let anna = world.user("anna").await;
    let group = world.group(&anna, &[]).await;
    world.events();
    assert_eq!(world.store.ping().await, Ok(()));
    world.store.close().await;
    world.store.close().await;
    fn unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    let (store, now) = (world.store.clone(), world.tick());
    unavailable(store.ping().await);
    unavailable(store.user(anna.id).await);
    unavailable(store.create_user(new_user("boris"), now).await);
    unavailable(store.post(new_message(group.id, &anna, "late"), now).await);
    unavailable(store.history(page_of(group.id, anna.id, HistoryRange::Unread, 10)).await);
    unavailable(store.flow_summaries(all_flows(&anna)).await);
    unavailable(store.changes(anna.id, now, None, 10).await);
    assert_eq!(world.published(), []);
}
