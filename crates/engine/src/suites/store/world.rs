//! Trials of [`WorldStore`](crate::ports::WorldStore).

use super::fixture::{Fixture, editing, new_user};
use crate::ports::{
    AccountKey, FlowLimits, ImportChunk, ImportFlow, ImportMember, ImportMessage, ImportNote,
    ImportOutcomes, ImportPosition, ImportState, ImportUser, Imported, LastIds, NewUser,
    StoreError, StoredContent,
};
use tolmach_domain::{
    Content, ExternalId, Fault, FlowId, FlowKind, IdNamespace, Message, MessageId, ObjectId,
    Timestamp, UserId, Version,
};

fn source() -> IdNamespace {
    "old".parse().expect("the name is plain")
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_micros(1_500_000_000_000_000 + second * 1_000_000)
}

fn user(id: u128, login: &str) -> ImportUser {
    ImportUser {
        source_id: ExternalId(id),
        account: NewUser { password_hash: Some("hash".into()), ..new_user(login) },
        created_at: time(0),
        deleted_at: None,
    }
}

fn group(id: u128, owner: u128) -> ImportFlow {
    ImportFlow {
        source_id: ExternalId(id),
        kind: FlowKind::Group,
        title: "title".into(),
        info: String::new(),
        owner: ExternalId(owner),
        pair: None,
        photo: None,
        created_at: time(1),
    }
}

fn chat(id: u128, pair: [u128; 2]) -> ImportFlow {
    let kind = FlowKind::Chat;
    ImportFlow { kind, pair: Some(pair.map(ExternalId)), ..group(id, pair[0]) }
}

fn message(id: u128, flow: u128, author: u128, second: i64) -> ImportMessage {
    ImportMessage {
        source_id: ExternalId(id),
        flow: ExternalId(flow),
        author: ExternalId(author),
        content: Content::text(format!("text {id}")),
        reply_to: None,
        posted_at: time(second),
        edited_at: None,
        deleted_at: None,
    }
}

fn member(flow: u128, user: u128, read: Option<u128>) -> ImportMember {
    ImportMember {
        flow: ExternalId(flow),
        user: ExternalId(user),
        joined_at: None,
        read: read.map(ExternalId),
        awaits_read: false,
    }
}

/// Two users in a group with three messages, and in a chat.
fn world() -> ImportChunk {
    ImportChunk {
        users: vec![user(70, "anna"), user(50, "bob")],
        flows: vec![group(7, 70), chat(9, [50, 70])],
        messages: vec![message(30, 7, 70, 10), message(20, 7, 50, 10), message(40, 7, 70, 12)],
        members: vec![
            member(7, 70, Some(40)),
            member(7, 50, None),
            member(9, 50, None),
            member(9, 70, None),
        ],
        ..ImportChunk::new(source())
    }
}

impl Fixture {
    async fn import(&mut self, chunk: ImportChunk) -> ImportOutcomes {
        let now = self.tick();
        self.store.begin_import(&chunk.source).await.expect("an import can be begun");
        self.store.import(chunk, now).await.expect("the records can be imported")
    }

    /// The ids and texts of a flow's messages, in its order.
    async fn texts(&self, flow: i64) -> Vec<(i64, String)> {
        let messages = self.store.export_messages(None, 100).await.expect("readable");
        let of_flow = messages.into_iter().filter(|message| message.flow.get() == flow);
        of_flow.map(|message| (message.id.get(), message.content.text)).collect()
    }
}

/// An empty store keeps the numbers of users, flows and messages, and their order in the file.
pub async fn an_imported_world_keeps_its_numbers_order_and_times(fixture: &mut Fixture) {
    let outcomes = fixture.import(world()).await;
    let ids = |found: &[Imported<MessageId>]| -> Vec<i64> {
        found
            .iter()
            .map(|outcome| match outcome {
                Imported::New(id, None) => id.get(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(ids(&outcomes.messages), [30, 20, 40]);
    assert_eq!(outcomes.members, vec![Imported::New((), None); 4]);
    let account = fixture.store.account(AccountKey::Login("ANNA")).await.expect("readable");
    let account = account.expect("anna was imported");
    assert_eq!(
        (account.user.id.get(), account.user.created_at, account.password_hash.as_deref()),
        (70, time(0), Some("hash"))
    );
    let texts = [(30, "text 30"), (20, "text 20"), (40, "text 40")].map(|(n, t)| (n, t.to_owned()));
    assert_eq!(fixture.texts(7).await, texts);
    let stored = [20, 30, 40].map(|id| MessageId::new(id).expect("an id"));
    let mut contents = fixture.store.stored_contents(&stored).await.expect("readable");
    contents.sort_unstable_by_key(|content| content.id);
    let stored = fixture.store.stored_messages(&stored).await.expect("readable");
    let content = |message: &Message| StoredContent {
        id: message.id,
        flow: message.flow,
        content: message.content.clone(),
        posted_at: message.posted_at,
    };
    assert_eq!(contents, stored.iter().map(content).collect::<Vec<_>>());
    assert_eq!(
        stored.iter().map(|m| (m.posted, m.posted_at)).collect::<Vec<_>>(),
        [(Version(2), time(10)), (Version(1), time(10)), (Version(3), time(12))]
    );
    // Only what is newer than the newest message is new to a client.
    let flow = fixture.store.flow(FlowId::new(7).expect("an id")).await.expect("readable");
    let changed_at = flow.expect("the group was imported").changed_at;
    assert!((time(12)..time(13)).contains(&changed_at), "{changed_at:?}");
    // Both posted in the group.
    let viewer = UserId::new(70).expect("an id");
    let other = UserId::new(50).expect("an id");
    let known = fixture.store.acquaintances(viewer, &[other]).await.expect("readable");
    assert!(known.contains(&other));
    // Later ids are higher.
    let carol = fixture.user("carol").await;
    assert_eq!(carol.id.get(), 71);
}

/// The same records again are existing ones, and listeners learn of nothing.
pub async fn a_repeated_import_changes_nothing(fixture: &mut Fixture) {
    fixture.import(world()).await;
    let before = fixture.store.export_messages(None, 100).await.expect("readable");
    let again = fixture.import(world()).await;
    assert!(again.users.iter().all(|outcome| matches!(outcome, Imported::Existing(_))));
    assert!(again.flows.iter().all(|outcome| matches!(outcome, Imported::Existing(_))));
    assert!(again.messages.iter().all(|outcome| matches!(outcome, Imported::Existing(_))));
    assert_eq!(again.members, vec![Imported::Existing(()); 4]);
    assert_eq!(fixture.store.export_messages(None, 100).await.expect("readable"), before);
    assert_eq!(fixture.published(), []);
    let known = [70, 60, 50].map(ExternalId);
    let mut found = fixture.store.imported_users(&source(), &known).await.expect("readable");
    found.sort_unstable();
    assert_eq!(found, [ExternalId(50), ExternalId(70)]);
}

/// Also of one whose members were counted before.
pub async fn imported_members_take_places_of_a_group(fixture: &mut Fixture) {
    fixture.import(world()).await;
    let [carol, dave] = fixture.users(["carol", "dave"]).await;
    let (store, now) = (fixture.store.clone(), fixture.tick());
    let (flow, by) = (FlowId::new(7).expect("an id"), UserId::new(70).expect("an id"));
    let limits = FlowLimits { max_members: 4, ..FlowLimits::NONE };
    let add = async |user: UserId| store.add_members(flow, by, &[user], limits, None, now).await;
    assert_eq!(add(carol.id).await, Ok(()));
    let chunk = ImportChunk {
        users: vec![user(90, "elena")],
        members: vec![member(7, 90, None)],
        ..ImportChunk::new(source())
    };
    assert_eq!(fixture.import(chunk).await.members, [Imported::New((), None)]);
    let over = add(dave.id).await;
    assert!(
        matches!(over, Err(StoreError::Refused(Fault::Invalid { field: "users", .. }))),
        "{over:?}"
    );
}

/// Each message of a source that numbered groups apart has a row, so that its number is not taken
/// for that of the other kind.
pub async fn messages_of_chats_keep_their_numbers_beside_those_of_groups(fixture: &mut Fixture) {
    let of_group = |number| ExternalId::of_group(number).expect("a number").0;
    let chunk = || ImportChunk {
        users: vec![user(70, "anna"), user(50, "bob")],
        flows: vec![chat(1, [50, 70]), group(of_group(1), 70)],
        messages: vec![message(1, 1, 70, 10), message(of_group(1), of_group(1), 50, 11)],
        groups_apart: Some(true),
        ..ImportChunk::new(source())
    };
    let outcomes = fixture.import(chunk()).await;
    let [Imported::New(of_chat, None), Imported::New(of_group, None)] = outcomes.messages[..]
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(of_chat.get(), 1);
    let objects = [of_chat, of_group].map(ObjectId::Message);
    let rows = fixture.store.external_ids_of_objects(&source(), &objects).await;
    assert_eq!(rows.expect("readable").len(), 2);
    let again = fixture.import(chunk()).await;
    assert_eq!(again.messages, [of_chat, of_group].map(Imported::Existing));
}

/// The source has said so, and its first groups come later.
pub async fn messages_of_chats_keep_their_numbers_before_a_group_is_known(fixture: &mut Fixture) {
    let of_group = |number| ExternalId::of_group(number).expect("a number").0;
    fixture
        .import(ImportChunk {
            users: vec![user(70, "anna"), user(50, "bob")],
            flows: vec![chat(1, [50, 70])],
            groups_apart: Some(true),
            ..ImportChunk::new(source())
        })
        .await;
    let messages = vec![message(1, 1, 70, 10)];
    let of_chat = fixture.import(ImportChunk { messages, ..ImportChunk::new(source()) }).await;
    let groups = fixture
        .import(ImportChunk {
            flows: vec![group(of_group(1), 70)],
            messages: vec![message(of_group(1), of_group(1), 50, 11)],
            ..ImportChunk::new(source())
        })
        .await;
    let ids = of_chat.messages.iter().chain(&groups.messages).map(|outcome| match outcome {
        Imported::New(id, _) => *id,
        other => panic!("{other:?}"),
    });
    let objects: Vec<ObjectId> = ids.map(ObjectId::Message).collect();
    let rows = fixture.store.external_ids_of_objects(&source(), &objects).await;
    let mut found: Vec<_> =
        rows.expect("readable").iter().map(|row| (row.object, row.external)).collect();
    found.sort_unstable();
    let external = [1, of_group(1)].map(ExternalId);
    let expected: Vec<_> = objects.into_iter().zip(external).collect();
    assert_eq!(found, expected);
    let state = fixture.store.import_state(&source()).await.expect("readable");
    assert_eq!(state.and_then(|state| state.groups_apart), Some(true));
}

/// Numbers that others have are given anew, and so are those that others may have had; the next
/// import finds the objects all the same.
pub async fn an_import_gives_new_numbers_where_its_own_are_taken(fixture: &mut Fixture) {
    let [anna, bob] = fixture.users(["first", "second"]).await;
    let flow = fixture.flow(FlowKind::Group, &anna, &[&bob]).await;
    let first = fixture.post(&flow, &anna, "native").await;
    let chunk = || ImportChunk {
        users: vec![user(1, "one"), user(900, "two"), user(u128::MAX, "three")],
        flows: vec![group(1, 1)],
        messages: vec![
            message(first.id.get().unsigned_abs().into(), 1, 1, 5),
            message(u128::MAX, 1, u128::MAX, 6),
            message(800, 1, 900, 7),
        ],
        members: vec![member(1, 1, Some(u128::MAX))],
        ..ImportChunk::new(source())
    };
    let outcomes = fixture.import(chunk()).await;
    let renumbered = Some(ImportNote::Renumbered);
    let Imported::New(one, note) = &outcomes.users[0] else { panic!("{outcomes:?}") };
    assert_eq!((one.get() > bob.id.get(), note), (true, &renumbered));
    let two = UserId::new(900).expect("an id");
    assert_eq!(outcomes.users[1], Imported::New(two, None));
    let Imported::New(three, None) = &outcomes.users[2] else { panic!("{outcomes:?}") };
    let Imported::New(imported, note) = &outcomes.flows[0] else { panic!("{outcomes:?}") };
    assert_eq!((imported.get() > flow.id.get(), note), (true, &renumbered));
    let history = fixture.texts(imported.get()).await;
    assert_eq!(history.len(), 3);
    assert_ne!(history[0].0, first.id.get());
    assert_eq!(history[2].0, 800);
    let again = fixture.import(chunk()).await;
    assert_eq!(again.users[2], Imported::Existing(*three));
    let found: Vec<i64> = again
        .messages
        .iter()
        .map(|outcome| match outcome {
            Imported::Existing(id) => id.get(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, history.iter().map(|(id, _)| *id).collect::<Vec<_>>());
}

/// Messages of one author and second: the number that one of them got is not taken for the number
/// that another one has at the source.
pub async fn ids_that_are_no_numbers_do_not_hide_messages_with_numbers(fixture: &mut Fixture) {
    let wide = |number: u128| number << 64;
    let chunk =
        |messages: Vec<ImportMessage>| ImportChunk { messages, ..ImportChunk::new(source()) };
    let first = ImportChunk {
        users: vec![user(7, "anna")],
        flows: vec![group(3, 7)],
        ..chunk(vec![message(1, 3, 7, 5), message(wide(1), 3, 7, 5), message(wide(2), 3, 7, 5)])
    };
    let second = || chunk(vec![message(2, 3, 7, 5), message(3, 3, 7, 5), message(4, 3, 7, 5)]);
    fixture.import(first).await;
    let is_new = |outcome: &Imported<MessageId>| matches!(outcome, Imported::New(..));
    assert!(fixture.import(second()).await.messages.iter().all(is_new));
    assert_eq!(fixture.texts(3).await.len(), 6);
    assert!(!fixture.import(second()).await.messages.iter().any(is_new));
    assert_eq!(fixture.texts(3).await.len(), 6);
}

/// A record that breaks a rule is refused alone.
pub async fn a_refused_record_does_not_affect_the_others(fixture: &mut Fixture) {
    fixture.user("taken").await;
    let named_like_another =
        ImportUser { account: NewUser { name: "Taken".into(), ..new_user("fay") }, ..user(14, "") };
    let outcomes = fixture
        .import(ImportChunk {
            users: vec![
                user(10, "TAKEN"),
                user(11, "dora"),
                user(12, "Dora"),
                user(13, "emil"),
                named_like_another,
                user(11, "dora"),
            ],
            flows: vec![
                group(20, 10),
                chat(21, [11, 13]),
                chat(22, [13, 11]),
                chat(23, [11, 11]),
                group(24, 11),
                ImportFlow { pair: None, ..chat(25, [11, 14]) },
            ],
            messages: vec![
                message(30, 20, 11, 1),
                message(31, 24, 10, 2),
                message(32, 24, 11, 3),
                ImportMessage { reply_to: Some(ExternalId(32)), ..message(33, 24, 11, 4) },
                ImportMessage { reply_to: Some(ExternalId(99)), ..message(34, 24, 11, 5) },
                ImportMessage { reply_to: Some(ExternalId(32)), ..message(35, 21, 11, 6) },
            ],
            members: vec![
                member(20, 11, None),
                member(21, 14, None),
                member(24, 10, None),
                ImportMember { awaits_read: true, ..member(24, 13, Some(35)) },
                member(24, 13, Some(35)),
                member(24, 11, Some(33)),
            ],
            ..ImportChunk::new(source())
        })
        .await;
    let id = |number| UserId::new(number).expect("an id");
    assert_eq!(
        outcomes.users,
        [
            Imported::Refused(Fault::LoginTaken),
            Imported::New(id(11), None),
            Imported::Refused(Fault::LoginTaken),
            Imported::New(id(13), None),
            Imported::New(id(14), Some(ImportNote::Renamed)),
            Imported::Existing(id(11)),
        ]
    );
    let id = |number| FlowId::new(number).expect("an id");
    assert_eq!(
        outcomes.flows,
        [
            Imported::Refused(Fault::NoSuchUser),
            Imported::New(id(21), None),
            Imported::New(id(22), Some(ImportNote::ChatAsGroup)),
            Imported::Refused(Fault::NoSuchUser),
            Imported::New(id(24), None),
            Imported::Refused(Fault::invalid("pair", "a chat has two users")),
        ]
    );
    let id = |number| MessageId::new(number).expect("an id");
    let no_reply = Some(ImportNote::NoReply);
    assert_eq!(
        outcomes.messages,
        [
            Imported::Refused(Fault::NoSuchFlow),
            Imported::Refused(Fault::NoSuchUser),
            Imported::New(id(32), None),
            Imported::New(id(33), None),
            Imported::New(id(34), no_reply),
            Imported::New(id(35), no_reply),
        ]
    );
    assert_eq!(
        outcomes.members,
        [
            Imported::Refused(Fault::NoSuchFlow),
            Imported::Refused(Fault::WrongKind),
            Imported::Refused(Fault::NoSuchUser),
            Imported::Refused(Fault::NoSuchMessage),
            Imported::New((), Some(ImportNote::NoReadMark)),
            Imported::New((), None),
        ]
    );
    let replies = fixture.store.stored_messages(&[id(33), id(34)]).await.expect("readable");
    let replies: Vec<_> = replies.iter().map(|message| message.content.reply_to).collect();
    assert_eq!(replies, [Some(id(32)), None]);
    let fay = fixture.store.user(UserId::new(14).expect("an id")).await.expect("readable");
    assert_eq!(fay.expect("fay was imported").name, "fay");
}

/// The commit times of two imports follow one another, unless something has changed in between.
pub async fn an_import_tells_if_others_have_changed_the_world(fixture: &mut Fixture) {
    let outcomes = fixture.import(world()).await;
    let before = outcomes.committed_at;
    assert!(outcomes.last_change < before);
    let outcomes = fixture.import(world()).await;
    assert_eq!(outcomes.last_change, before);
    let walter = fixture.user("walter").await;
    let group = fixture.group(&walter, &[]).await;
    for _ in 0..2 {
        let message = fixture.post(&group, &walter, "hello").await;
        let outcomes = fixture.import(world()).await;
        assert_eq!(outcomes.last_change, message.changed_at);
        assert!(outcomes.last_change < outcomes.committed_at);
    }
}

/// The position is there until the import ends, and belongs to its source.
pub async fn an_interrupted_import_has_a_position(fixture: &mut Fixture) {
    let store = fixture.store.clone();
    assert_eq!(store.import_state(&source()).await.expect("readable"), None);
    let begun = ImportState::default();
    assert_eq!(store.begin_import(&source()).await.expect("writable"), begun);
    let position = Some(ImportPosition { lines: 3, digest: [7; 32] });
    fixture.import(ImportChunk { position, ..world() }).await;
    let at = ImportState { position, ..begun.clone() };
    assert_eq!(store.begin_import(&source()).await.expect("writable"), at);
    assert_eq!(store.import_state(&source()).await.expect("readable"), Some(at));
    let other = "other".parse().expect("the name is plain");
    let before = LastIds { users: 70, flows: 9, messages: 40 };
    let of_other = ImportState { before, ..ImportState::default() };
    assert_eq!(store.begin_import(&other).await.expect("writable"), of_other);
    store.end_import(&source()).await.expect("writable");
    assert_eq!(store.begin_import(&source()).await.expect("writable"), begun);
}

/// A gap in a stream of events has no messages for which no event was published.
pub async fn imported_messages_fill_no_gap(fixture: &mut Fixture) {
    fixture.import(world()).await;
    let store = fixture.store.clone();
    let group = FlowId::new(7).expect("an id");
    assert_eq!(store.messages_after(group, Version(0), 10).await.expect("readable"), []);
    let flow = store.flow(group).await.expect("readable").expect("it was imported");
    let anna = store.user(UserId::new(70).expect("an id")).await.expect("readable");
    let anna = anna.expect("she was imported");
    let live = fixture.post(&flow, &anna, "live").await;
    let changed = MessageId::new(40).expect("an id");
    let now = fixture.tick();
    store.edit(editing(&anna, changed, "edited"), now).await.expect("it is hers");
    let more = ImportChunk {
        messages: vec![message(60, 7, 70, 13), message(61, 7, 50, 14)],
        ..ImportChunk::new(source())
    };
    fixture.import(more).await;
    let found = store.messages_after(group, Version(0), 10).await.expect("readable");
    let found: Vec<_> = found.iter().map(|message| (message.id, message.version.0)).collect();
    assert_eq!(found, [(live.id, 4), (changed, 5)]);
}

/// The cursor is stored with the records, and outlives the import.
pub async fn a_cursor_stays_after_the_import(fixture: &mut Fixture) {
    let store = fixture.store.clone();
    let position = Some(ImportPosition { lines: 3, digest: [7; 32] });
    let cursor = Some("first".to_owned());
    fixture.import(ImportChunk { position, cursor: cursor.clone(), ..world() }).await;
    let state = store.begin_import(&source()).await.expect("writable");
    assert_eq!((state.position, &state.cursor), (position, &cursor));
    fixture.import(ImportChunk::new(source())).await;
    let state = store.begin_import(&source()).await.expect("writable");
    assert_eq!((state.position, &state.cursor), (position, &cursor), "both are left");
    store.end_import(&source()).await.expect("writable");
    let state = store.begin_import(&source()).await.expect("writable");
    assert_eq!((state.position, &state.cursor), (None, &cursor));
    let cursor = Some("second".to_owned());
    fixture.import(ImportChunk { cursor: cursor.clone(), ..ImportChunk::new(source()) }).await;
    assert_eq!(store.begin_import(&source()).await.expect("writable").cursor, cursor);
}

/// Logins and addresses lead to their users, without regard to case, and to users whose logins look
/// like them.
pub async fn owners_of_identifiers_are_found(fixture: &mut Fixture) {
    let with_email = |id, login: &str, email: &str| {
        let account = NewUser { email: Some(email.into()), ..new_user(login) };
        ImportUser { account, ..user(id, login) }
    };
    let deleted = ImportUser { deleted_at: Some(time(3)), ..with_email(3, "carl", "c@x.org") };
    let chunk = ImportChunk {
        users: vec![with_email(1, "anna", "A@x.org"), with_email(2, "bob", "b@x.org"), deleted],
        ..ImportChunk::new(source())
    };
    fixture.import(chunk).await;
    let asked = ["ANNA", "a@X.org", "b0b", "carl", "c@x.org", "dora"].map(str::to_owned);
    let mut found = fixture.store.identifier_owners(&asked).await.expect("readable");
    found.sort_unstable_by_key(|owner| (owner.user, owner.identifier.clone()));
    let found: Vec<_> = found
        .iter()
        .map(|owner| {
            let email = owner.email.as_deref();
            (&*owner.identifier, owner.user.get(), email, owner.is_deleted, owner.is_exact)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("ANNA", 1, Some("A@x.org"), false, true),
            ("a@X.org", 1, Some("A@x.org"), false, true),
            ("b0b", 2, Some("b@x.org"), false, false),
            ("carl", 3, None, true, true),
        ]
    );
    assert_eq!(fixture.store.identifier_owners(&[]).await.expect("readable"), []);
}

/// Everything is exported page by page, and imported into another source as it was.
pub async fn an_export_has_the_whole_world(fixture: &mut Fixture) {
    fixture.import(world()).await;
    let store = fixture.store.clone();
    let last = LastIds { users: 70, flows: 9, messages: 40 };
    assert_eq!(store.last_ids().await.expect("readable"), last);
    let (mut users, mut after) = (Vec::new(), None);
    while let [found] = store.export_users(after, 1).await.expect("readable").as_slice() {
        after = Some(found.user.id);
        users.push((found.user.login.clone(), found.password_hash.clone()));
    }
    let hash = Some("hash".to_owned());
    assert_eq!(users, [("bob".to_owned(), hash.clone()), ("anna".to_owned(), hash)]);
    let (mut flows, mut after) = (Vec::new(), None);
    while let [found] = store.export_flows(after, 1).await.expect("readable").as_slice() {
        after = Some(found.flow.id);
        flows.push((found.flow.kind, found.pair.map(|pair| pair.map(UserId::get))));
    }
    assert_eq!(flows, [(FlowKind::Group, None), (FlowKind::Chat, Some([50, 70]))]);
    let (mut messages, mut after) = (Vec::new(), None);
    while let [found] = store.export_messages(after, 1).await.expect("readable").as_slice() {
        after = Some((found.flow, found.posted));
        messages.push((found.flow.get(), found.id.get()));
    }
    assert_eq!(messages, [(7, 30), (7, 20), (7, 40)]);
    let (mut members, mut after) = (Vec::new(), None);
    while let [found] = store.export_members(after, 1).await.expect("readable").as_slice() {
        after = Some((found.flow, found.user));
        members.push((found.flow.get(), found.user.get(), found.read.map(MessageId::get)));
        assert_eq!(found.joined_at, time(1));
    }
    assert_eq!(members, [(7, 50, None), (7, 70, Some(40)), (9, 50, None), (9, 70, None)]);
}
