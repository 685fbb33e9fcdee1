//! Copies between databases.

use crate::fixtures::{group, new_user, now, page_of, post, user};
use sea_orm::{ConnectionTrait, Database};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ExternalId, Fault, Flow, FlowKind, FlowKindFilter,
    HistoryRange, IdNamespace, Message, ObjectId, ObjectKind, PhotoKey, SessionId, User, UserId,
    Version,
};
use tolmach_engine::ErrorChain;
use tolmach_engine::memory::MemoryBus;
use tolmach_engine::ports::{
    AccountKey, BlockStore, CounterKey, CreateFlow, DeleteMessages, EditMessage, ExternalIdRow,
    ExternalIdStore, FlowLimits, FlowStore, IdempotencyKey, LedgerClient, LedgerDay, LedgerEntry,
    LedgerPage, LedgerQuery, LedgerScope, LedgerStore, LedgerUse, LoginCounterStore, MessageStore,
    NewRule, NewSession, NewUser, PostMessage, Posted, ReadMark, RuleEffect, RuleStore,
    RuleSubject, SessionStore, Store, StoreError, TokenHash, UserStore, WorldStore,
};
use tolmach_store::{CopiedTable, CopyError, Options, SqlStore, copy};
use tolmach_test_servers::{Durability, Postgres};

/// Reads unread messages of a user, and marks them as read. Returns their number.
async fn read_unread(store: &SqlStore, flow: &Flow, viewer: &User, limit: u32) -> usize {
    let unread = page_of(flow, viewer, HistoryRange::Unread, limit);
    let messages = store.history(unread).await.unwrap().messages;
    if let Some(last) = messages.last() {
        let mark = ReadMark { flow: flow.id, viewer: viewer.id, version: last.posted };
        store.move_read_mark(mark).await.unwrap();
    }
    messages.len()
}

async fn open(url: &str) -> Arc<SqlStore> {
    let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
    SqlStore::open(url, Arc::new(MemoryBus::new()), options).await.expect("it can be opened")
}

fn file(folder: &TempDir, name: &str) -> String {
    format!("sqlite://{}?mode=rwc", folder.path().join(name).display())
}

async fn all(from: &str, to: &str) -> Vec<CopiedTable> {
    copy(from, to, |_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn execute(url: &str, sql: &str) {
    let database = Database::connect(url).await.unwrap();
    database.execute_unprepared(sql).await.unwrap();
    database.close().await.unwrap();
}

/// The expected content of a database.
struct Expected {
    anna: User,
    boris: User,
    chat: Flow,
    group: Flow,
    keyed: Message,
    session: SessionId,
    last_flow: Flow,
}

fn new_message(flow: &Flow, author: &User, content: Content, key: Option<&str>) -> PostMessage {
    PostMessage {
        flow: flow.id,
        kinds: FlowKindFilter::Any,
        author: author.summary(),
        administrator: false,
        content,
        key: key.map(str::to_owned),
        origin: None,
    }
}

fn ledger_entry(user: &User) -> LedgerEntry {
    let client = LedgerClient {
        user: Some(user.id),
        address: "192.0.2.0/24".into(),
        agent: "agent".into(),
        dialect: "mode".into(),
        revision: "doc".into(),
    };
    let used = LedgerUse {
        operation: "send".into(),
        day: LedgerDay::of(now()),
        requests: 3,
        first_at: now(),
        last_at: now(),
    };
    LedgerEntry { client, used }
}

fn refused(user: &User) -> NewRule {
    let user_agent = Some("Dash = \"1\" ю".into());
    let subject = RuleSubject { user: Some(user.id), user_agent, ..RuleSubject::default() };
    NewRule { subject, effect: RuleEffect::Refused { from: now() } }
}

fn namespace() -> IdNamespace {
    "old".parse().unwrap()
}

/// Fills a database with at least one row of each table.
async fn fill(store: &SqlStore) -> Expected {
    let anna = NewUser {
        email: Some("Анна@example.org".into()),
        phone: Some("+1".into()),
        bio: "\"'\\ ;--\n\t€😀".into(),
        avatar: Some("YQ==".into()),
        photo: Some(PhotoKey { key: "ab/cd".into(), media_type: "image/png".into() }),
        bot: true,
        admin: true,
        password_hash: Some("hash".into()),
        ..new_user("Анна")
    };
    let anna = store.create_user(anna, now()).await.unwrap();
    let boris = store
        .create_user(NewUser { id: UserId::new(70).ok(), ..new_user("boris") }, now())
        .await
        .unwrap();
    let deleted = user(store, "deleted").await;
    let chat = store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, now())
        .await
        .unwrap()
        .into_flow();
    let new = CreateFlow {
        kind: FlowKind::Channel,
        title: "t".into(),
        info: "i".into(),
        owner: anna.id,
        photo: Some(PhotoKey { key: "ef/gh".into(), media_type: "image/jpeg".into() }),
        members: vec![boris.id, deleted.id],
        key: Some(IdempotencyKey { key: "a_b".into(), fingerprint: [7; 32] }),
    };
    let limits = FlowLimits { groups_per_day: 10, ..FlowLimits::NONE };
    let group = store.create_flow(new, limits, None, now()).await.unwrap().into_flow();
    store.block(boris.id, deleted.id, 10, now()).await.unwrap();
    store
        .increment_login_counters(
            &[CounterKey([3; 32])],
            now(),
            now().after(Duration::from_secs(60)),
        )
        .await
        .unwrap();
    store.delete_user(deleted.id, now()).await.unwrap();
    let attachments = vec![Attachment { kind: AttachmentKind::Picture, data: "iVBORw0=".into() }];
    let first = store
        .post(
            new_message(
                &chat,
                &anna,
                Content { attachments, ..Content::text("\u{10ffff} é") },
                None,
            ),
            now(),
        )
        .await
        .unwrap()
        .into_message();
    let reply =
        Content { reply_to: Some(first.id), emoji: Some("8J+YgA==".into()), ..Content::default() };
    let mut keyed = None;
    // An order that differs from that of every locale.
    for key in ["b", "a", "B", "_", "ä", "a-c", "a_b"] {
        keyed = Some(
            store
                .post(new_message(&chat, &boris, reply.clone(), Some(key)), now())
                .await
                .unwrap()
                .into_message(),
        );
    }
    let edit = EditMessage {
        message: first.id,
        flow: None,
        by: anna.id,
        administrator: false,
        text: "again".into(),
        origin: None,
    };
    store.edit(edit, now()).await.unwrap();
    let doomed = post(store, &group, &anna, "doomed".into()).await.unwrap();
    let deletion = DeleteMessages {
        messages: vec![doomed.id],
        flow: None,
        all_or_none: false,
        by: anna.id,
        administrator: false,
        origin: None,
    };
    store.delete(deletion, now()).await.unwrap();
    let row = ExternalIdRow { object: ObjectId::Flow(chat.id), external: ExternalId(u128::MAX) };
    store.add_external_ids(&namespace(), &[row]).await.unwrap();
    store.begin_import(&namespace()).await.unwrap();
    store.add_to_ledger(&[ledger_entry(&anna)]).await.unwrap();
    store.set_rule(refused(&anna), 10).await.unwrap();
    post(store, &group, &anna, "unread".into()).await.unwrap();
    assert_eq!(read_unread(store, &chat, &anna, 3).await, 3);
    let (token, refresh) = (Some(TokenHash([0xff; 32])), Some(TokenHash([0; 32])));
    let expires_at = now().after(Duration::from_secs(3600));
    let session = store
        .open_session(NewSession {
            user: anna.id,
            token,
            refresh,
            max_sessions: u32::MAX,
            now: now(),
            expires_at,
        })
        .await
        .unwrap();
    store
        .rotate_refresh(TokenHash([0; 32]), TokenHash([1; 32]), u32::MAX, now(), expires_at)
        .await
        .unwrap();
    let ended = store
        .open_session(NewSession {
            user: boris.id,
            token: None,
            refresh: None,
            max_sessions: u32::MAX,
            now: now(),
            expires_at,
        })
        .await
        .unwrap();
    store.end_session(ended, now()).await.unwrap();
    store.put_recovery_token(TokenHash([2; 32]), boris.id, expires_at).await.unwrap();
    // The last flow is deleted, and its id must not be reused.
    let last_flow = crate::fixtures::group(store, &anna).await;
    store.delete_flow(last_flow.id, anna.id, FlowKindFilter::Any, None, now()).await.unwrap();
    Expected { anna, boris, chat, group, keyed: keyed.unwrap(), session, last_flow }
}

/// Asserts that the content is the expected one, and adds to it: new ids were never used before.
async fn check_and_continue(
    store: &SqlStore,
    memory: &Expected,
    expected: &[Message],
    round: usize,
) -> Vec<Message> {
    let Expected { anna, boris, chat, group, keyed, session, last_flow } = memory;
    let known = store.messages_after(chat.id, Version(0), 1000).await.unwrap();
    assert_eq!(known, expected);
    let account = store
        .account(AccountKey::Email("анна@EXAMPLE.org"))
        .await
        .unwrap()
        .expect("the account exists");
    assert_eq!((&account.user, account.password_hash.as_deref()), (anna, Some("hash")));
    assert_eq!(
        store.session_by_token(TokenHash([0xff; 32])).await.unwrap().map(|(found, _)| found.id),
        Some(*session)
    );
    assert_eq!(store.is_recovery_token_valid(TokenHash([2; 32]), now()).await, Ok(true));
    assert_eq!(store.flow(last_flow.id).await, Ok(None));
    let key = (ObjectKind::Flow, ExternalId(u128::MAX));
    let row = ExternalIdRow { object: ObjectId::Flow(chat.id), external: key.1 };
    let query = LedgerQuery {
        scope: LedgerScope::User(anna.id),
        since: LedgerDay(0),
        after: None,
        limit: 10,
    };
    let LedgerPage { records, .. } = store.ledger_page(&query).await.unwrap();
    let LedgerEntry { client, used } = ledger_entry(anna);
    assert_eq!((&records[0].client, &records[0].uses), (&client, &vec![used]));
    let rules = store.rules().await.unwrap();
    let NewRule { subject, effect } = refused(anna);
    assert_eq!((rules.len(), &rules[0].subject, &rules[0].effect), (1, &subject, &effect));
    let another = store.set_rule(refused(boris), 10).await.unwrap();
    assert!(another > rules[0].number, "{another} was given out before");
    assert_eq!(store.remove_rules(&[another]).await, Ok(1));
    assert_eq!(store.objects_of_external_ids(&namespace(), &[key]).await, Ok(vec![row]));
    assert_eq!(store.external_id_bounds(&namespace()).await.map(|found| found.additions), Ok(1));
    assert_eq!(
        store.create_user(new_user("DELETED"), now()).await.map(drop),
        Err(StoreError::Refused(Fault::LoginTaken))
    );
    let again = store
        .post(new_message(chat, boris, Content::text("again"), Some("a_b")), now())
        .await
        .unwrap();
    assert!(matches!(again, Posted::Repeated(message) if message.id == keyed.id));
    // Three of seven were read before the first copy, and all of them after it.
    let unread = read_unread(store, chat, anna, 1000).await;
    assert_eq!(unread, if round == 0 { 4 } else { 0 });

    let stranger = user(store, &format!("stranger {round}")).await;
    assert_eq!(stranger.id.get(), 72 + round as i64);
    let next = post(store, chat, anna, format!("round {round}")).await.unwrap();
    let last = known.last().expect("there are messages");
    assert_eq!(next.version.0, last.version.0 + 1);
    assert!(next.changed_at > last.changed_at && known.iter().all(|message| message.id < next.id));
    assert!(crate::fixtures::group(store, anna).await.id > last_flow.id);
    let summary = store.flow_summary(group.id, None, true, 8 << 20).await.unwrap().unwrap();
    assert_eq!(summary.members.len(), 2);
    store.messages_after(chat.id, Version(0), 1000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_copied_to_another_and_back() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (file(&folder, "first.db"), file(&folder, "second.db"));
    let store = open(&first).await;
    let memory = fill(&store).await;
    let mut expected = store.messages_after(memory.chat.id, Version(0), 1000).await.unwrap();
    store.close().await;
    // Housekeeping notes it ten minutes after its first commit.
    execute(&first, "INSERT INTO sweep (kind, begun_at) VALUES ('messages', 1)").await;
    let there = all(&first, &server.url()).await;
    let empty: Vec<_> =
        there.iter().filter(|table| table.rows == 0).map(|table| table.name.as_str()).collect();
    // A new table needs a row here to show that it is copied.
    assert_eq!(empty, <[&str; 0]>::default());
    let back = all(&server.url(), &second).await;
    assert_eq!(there, back);
    let store = open(&server.url()).await;
    expected = check_and_continue(&store, &memory, &expected, 0).await;
    store.close().await;
    // The copy back has the changes made in PostgreSQL.
    let third = file(&folder, "third.db");
    assert_ne!(all(&server.url(), &third).await, back);
    let store = open(&third).await;
    check_and_continue(&store, &memory, &expected, 1).await;
    store.close().await;
}

/// A database with more messages than one transaction of a copy has.
async fn many(url: &str, messages: usize) -> (User, Flow) {
    let store = open(url).await;
    let anna = user(&store, "anna").await;
    let flow = group(&store, &anna).await;
    let tasks: Vec<_> = (0..messages)
        .map(|number| {
            let (store, anna, flow) = (store.clone(), anna.clone(), flow.clone());
            tokio::spawn(
                async move { post(&store, &flow, &anna, number.to_string()).await.map(drop) },
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    store.close().await;
    (anna, flow)
}

/// Begins a copy and cancels it between messages, as if its process were killed.
async fn interrupted(from: &str, to: &str) {
    let middle = Notify::new();
    let copying = pin!(copy(from, to, |progress| {
        if progress.table == "message" && progress.rows > 0 {
            assert!(progress.rows < progress.of);
            middle.notify_one();
        }
    }));
    tokio::select! {
        biased;
        () = middle.notified() => {}
        outcome = copying => panic!("the copy ended: {outcome:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_copy_is_resumed() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (file(&folder, "first.db"), file(&folder, "second.db"));
    let (anna, flow) = many(&first, 5000).await;
    for (from, to) in [(&first, &server.url()), (&server.url(), &second)] {
        interrupted(from, to).await;
        let refused =
            SqlStore::open(to, Arc::new(MemoryBus::new()), Options::default()).await.map(drop);
        let is_unfinished =
            |error: &StoreError| ErrorChain(error).to_string().contains("not finished");
        assert!(
            matches!(&refused, Err(error @ StoreError::Failed(_)) if is_unfinished(error)),
            "{refused:?}"
        );
        // It is refused as a source too.
        let refused = copy(to, &file(&folder, "other.db"), |_| {}).await;
        assert!(matches!(refused, Err(CopyError::Source(StoreError::Failed(_)))), "{refused:?}");
        let mut begun_at = None;
        let copied = copy(from, to, |progress| {
            if progress.table == "message" {
                begun_at.get_or_insert(progress.rows);
            }
        });
        let copied = copied.await.unwrap();
        assert!(begun_at > Some(0), "{begun_at:?}");
        assert_eq!(
            copied.iter().find(|table| table.name == "message").map(|table| table.rows),
            Some(5000)
        );
    }
    let store = open(&second).await;
    assert_eq!(
        post(&store, &flow, &anna, "next".into()).await.map(|message| message.version),
        Ok(Version(5001))
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_not_resumed_from_a_changed_source() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = file(&folder, "first.db");
    let (anna, flow) = many(&first, 5000).await;
    interrupted(&first, &server.url()).await;
    let store = open(&first).await;
    post(&store, &flow, &anna, "late".into()).await.unwrap();
    store.close().await;
    assert_eq!(copy(&first, &server.url(), |_| {}).await, Err(CopyError::Begun));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_of_a_copy_cannot_be_written() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = file(&folder, "first.db");
    let (anna, flow) = many(&first, 5000).await;
    for (from, to) in [(first, server.url()), (server.url(), file(&folder, "second.db"))] {
        let options = Options { timeout: Duration::from_secs(2), ..Options::default() };
        let store = SqlStore::open(&from, Arc::new(MemoryBus::new()), options).await.unwrap();
        let middle = Notify::new();
        let mut copying = pin!(copy(&from, &to, |progress| {
            if progress.table == "message" && progress.rows > 0 && !progress.verifying {
                middle.notify_one();
            }
        }));
        tokio::select! {
            biased;
            () = middle.notified() => {}
            outcome = &mut copying => panic!("the copy ended: {outcome:?}"),
        }
        // The copy is paused meanwhile; reads succeed.
        assert!(matches!(
            post(&store, &flow, &anna, "late".into()).await,
            Err(StoreError::Unavailable(_))
        ));
        assert_eq!(
            store.flow(flow.id).await.unwrap().map(|flow| flow.version),
            Some(Version(5000))
        );
        let copied = copying.await.unwrap();
        assert_eq!(
            copied.iter().find(|table| table.name == "message").map(|table| table.rows),
            Some(5000)
        );
        store.close().await;
    }
}

#[tokio::test]
async fn a_target_with_other_data_is_refused() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder = tempfile::tempdir().unwrap();
    let first = file(&folder, "first.db");
    for url in [&first, &server.url()] {
        let store = open(url).await;
        user(&store, "anna").await;
        store.close().await;
    }
    let occupied = CopyError::Occupied { table: "user".into(), rows: 1 };
    for (from, to) in [(&first, &server.url()), (&server.url(), &first)] {
        assert_eq!(copy(from, to, |_| {}).await, Err(occupied.clone()));
    }
    assert!(matches!(copy(&first, &first, |_| {}).await, Err(CopyError::Same(_))));
    let absent = copy("sqlite://absent/absent.db", &file(&folder, "second.db"), |_| {}).await;
    assert!(matches!(absent, Err(CopyError::Source(StoreError::Unavailable(_)))), "{absent:?}");
    let unserved = copy(&first, "mysql://a:hunter2@b/c", |_| {}).await.unwrap_err();
    let unserved = ErrorChain(&unserved).to_string();
    assert!(unserved.starts_with("the target: ") && !unserved.contains("hunter2"), "{unserved}");
    let store = open(&server.url()).await;
    assert_eq!(user(&store, "boris").await.id.get(), 2);
    store.close().await;
}
