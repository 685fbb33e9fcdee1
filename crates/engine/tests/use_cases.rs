//! The use cases and their permissions, on the ports in memory.

use async_trait::async_trait;
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tolmach_domain::*;
use tolmach_engine::memory::{
    ManualClock, MemoryBlobs, MemoryBus, MemoryMailer, MemoryStore, PlainPasswords, PlainSigner,
    SeededEntropy,
};
use tolmach_engine::ports::{
    AccessClaims, Bus, Clock, PasswordError, Passwords, Signal, Signer, UserChange,
};
use tolmach_engine::{Engine, LoginThrottlePolicy, Policy, Ports, Principal, Submission};

/// An engine on the ports in memory, with hands on those that a test looks at.
struct World {
    engine: Engine,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    mailer: Arc<MemoryMailer>,
    blobs: Arc<MemoryBlobs>,
    bus: Arc<MemoryBus>,
}

impl World {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        Self::made(Arc::new(PlainPasswords), policy)
    }

    fn checking(passwords: Arc<dyn Passwords>, login_throttle: LoginThrottlePolicy) -> Self {
        Self::made(passwords, Policy { login_throttle, ..Policy::default() })
    }

    fn made(passwords: Arc<dyn Passwords>, policy: Policy) -> Self {
        let bus = Arc::new(MemoryBus::new());
        Self::on(Arc::new(MemoryStore::new(bus.clone())), bus, passwords, policy)
    }

    /// Another node on the same store.
    fn beside(&self) -> Self {
        Self::on(self.store.clone(), self.bus.clone(), Arc::new(PlainPasswords), Policy::default())
    }

    fn on(
        store: Arc<MemoryStore>,
        bus: Arc<MemoryBus>,
        passwords: Arc<dyn Passwords>,
        policy: Policy,
    ) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_600_000_000_000_000)));
        let (mailer, blobs) = (Arc::new(MemoryMailer::new()), Arc::new(MemoryBlobs::new()));
        let ports = Ports {
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            mailer: mailer.clone(),
            blobs: blobs.clone(),
            passwords,
            signer: Arc::new(PlainSigner),
        };
        Self { engine: Engine::new(ports, policy), store, clock, mailer, blobs, bus }
    }

    /// What a proof allows: authenticated, then carried out.
    async fn ask(&self, proof: &Credentials, command: Command) -> Result<Answer, Fault> {
        self.ask_as(proof, Authority::Member, command).await
    }

    async fn ask_as(
        &self,
        proof: &Credentials,
        authority: Authority,
        command: Command,
    ) -> Result<Answer, Fault> {
        self.ask_from(None, proof, authority, command).await
    }

    async fn ask_from(
        &self,
        address: Option<IpAddr>,
        proof: &Credentials,
        authority: Authority,
        command: Command,
    ) -> Result<Answer, Fault> {
        let caller = self.engine.authenticate(proof, None).await?;
        let handled = self
            .engine
            .execute(Submission { caller, authority, origin: None, address, command })
            .await;
        if let Some(deferred) = handled.deferred {
            deferred.await;
        }
        handled.outcome
    }

    /// A new user with a complete profile, and their token.
    async fn user(&self, login: &str) -> (UserId, Credentials) {
        let answer = self
            .ask(&Credentials::Nothing, Command::Register(Box::new(registration(login))))
            .await
            .expect("a new user can register");
        let Answer::Granted(grant) = answer else { panic!("{answer:?}") };
        let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
        (grant.user.expect("the engine knows who").id, Credentials::Token(token))
    }

    async fn group(&self, owner: &Credentials, members: &[UserId]) -> FlowId {
        let flow = NewFlow {
            kind: FlowKind::Group,
            title: "Group".into(),
            info: String::new(),
            members: members.to_vec(),
            photo: None,
            key: None,
        };
        let answer = self
            .ask(owner, Command::CreateFlow(Box::new(flow)))
            .await
            .expect("a user can make a group");
        let Answer::FlowCreated { flow, .. } = answer else { panic!("{answer:?}") };
        flow
    }

    async fn send(&self, proof: &Credentials, flow: FlowId, text: &str) -> Result<Message, Fault> {
        match self.ask(proof, draft(flow, text)).await? {
            Answer::Sent { message, .. } => Ok(*message.expect("the engine knows which")),
            other => panic!("{other:?}"),
        }
    }

    async fn texts(&self, proof: &Credentials, flow: FlowId) -> Vec<String> {
        match self
            .ask(
                proof,
                Command::History {
                    flow,
                    kinds: FlowKindFilter::Any,
                    range: HistoryRange::All,
                    mark_read: false,
                },
            )
            .await
            .expect("a member can read")
        {
            Answer::History(page) => {
                page.messages.into_iter().map(|message| message.content.text).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn registration(login: &str) -> Registration {
    Registration {
        login: Some(login.into()),
        password: Secret::new(format!("{login}'s password")),
        username: Some(login.into()),
        email: Some(format!("{}@example.org", login.to_lowercase())),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Token,
    }
}

fn log_in(identifier: &str, password: &str, grant: GrantKind) -> Command {
    Command::Login { identifier: identifier.into(), password: Secret::new(password), grant }
}

fn draft(flow: FlowId, text: &str) -> Command {
    Command::Send(Box::new(NewMessage {
        flow,
        kinds: FlowKindFilter::Any,
        content: Content::text(text),
        key: None,
    }))
}

fn profile(username: &str) -> Command {
    Command::CreateProfile(Box::new(Profile {
        username: username.into(),
        name: "A name".into(),
        bio: String::new(),
        photo: None,
    }))
}

fn pair(answer: Answer) -> (Credentials, Secret) {
    match answer {
        Answer::Granted(grant) => match grant.tokens {
            Tokens::Pair { access, refresh } => (Credentials::Bearer(access), refresh),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

/// Operation by operation: what an anonymous caller, a stranger, a member and the owner of a group
/// come to.
#[tokio::test]
async fn who_may_do_what_in_a_group() {
    type Make = fn(FlowId, MessageId, UserId) -> Command;
    let denied = Err(Fault::NoSuchFlow);
    type Outcome = Result<(), Fault>;
    let rows: Vec<(&str, Make, Outcome, Outcome, Outcome)> = vec![
        ("send", |flow, _, _| draft(flow, "hello"), denied.clone(), Ok(()), Ok(())),
        (
            "history",
            |flow, _, _| Command::History {
                flow,
                kinds: FlowKindFilter::Any,
                range: HistoryRange::All,
                mark_read: false,
            },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "get_flow",
            |flow, _, _| Command::GetFlow { flow, kinds: FlowKindFilter::Any, members: true },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "get_photo",
            |flow, _, _| Command::GetPhoto { of: PhotoOf::Flow(flow) },
            denied.clone(),
            Err(Fault::NoPhoto),
            Err(Fault::NoPhoto),
        ),
        (
            "get_changes",
            |flow, _, _| Command::GetChanges {
                since: Timestamp::default(),
                flow: Some(flow),
                limit: 10,
            },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "show_typing",
            |flow, _, _| Command::ShowTyping { flow, active: true },
            denied.clone(),
            Ok(()),
            Ok(()),
        ),
        (
            "edit",
            |_, message, _| Command::Edit { message, flow: None, text: "new".into() },
            Err(Fault::NoSuchMessage),
            Err(Fault::NotAuthor),
            Ok(()),
        ),
        (
            "add_members",
            |flow, _, other| Command::AddMembers { flow, users: vec![other] },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
        (
            "remove_members",
            |flow, _, other| Command::RemoveMembers { flow, users: vec![other] },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
        (
            "delete",
            |_, message, _| Command::Delete { messages: vec![message], flow: None },
            Err(Fault::NoSuchMessage),
            Err(Fault::NotAuthor),
            Ok(()),
        ),
        (
            "delete_flow",
            |flow, _, _| Command::DeleteFlow { flow, kinds: FlowKindFilter::Any },
            denied.clone(),
            Err(Fault::NotOwner),
            Ok(()),
        ),
    ];
    let world = World::new();
    let (_, owner) = world.user("owner").await;
    let (member_id, member) = world.user("member").await;
    let (_, stranger) = world.user("stranger").await;
    let (newcomer, _) = world.user("newcomer").await;
    let flow = world.group(&owner, &[member_id]).await;
    let message = world.send(&owner, flow, "the owner's").await.unwrap().id;
    for (name, make, as_stranger, as_member, as_owner) in rows {
        let command = || make(flow, message, newcomer);
        assert_eq!(command().name(), name);
        for (who, proof, expected) in [
            ("nobody", &Credentials::Nothing, Err(Fault::Unauthenticated)),
            ("a stranger", &stranger, as_stranger),
            ("a member", &member, as_member),
            ("the owner", &owner, as_owner),
        ] {
            assert_eq!(world.ask(proof, command()).await.map(|_| ()), expected, "{name} by {who}");
        }
    }
    assert_eq!(world.send(&owner, flow, "gone").await, Err(Fault::NoSuchFlow));
}

#[tokio::test]
async fn an_administrator_reads_everything_but_writes_only_where_there_is_business() {
    let world = World::new();
    let (owner_id, owner) = world.user("owner").await;
    let (admin_id, admin) = world.user("admin").await;
    let flow = world.group(&owner, &[]).await;
    let message = world.send(&owner, flow, "hello").await.unwrap().id;
    let read = || Command::History {
        flow,
        kinds: FlowKindFilter::Any,
        range: HistoryRange::All,
        mark_read: false,
    };
    assert_eq!(
        world.ask_as(&admin, Authority::Administrator, read()).await,
        Err(Fault::NotAdministrator)
    );
    let change = |change: UserChange, user| {
        world.engine.change_account(user, change, None, world.clock.now())
    };
    change(UserChange { admin: Some(true), ..UserChange::default() }, admin_id).await.unwrap();
    assert!(world.ask_as(&admin, Authority::Administrator, read()).await.is_ok());
    assert_eq!(
        world.ask(&admin, read()).await,
        Err(Fault::NoSuchFlow),
        "the right is used only where it is claimed"
    );
    let edit = || Command::Edit { message, flow: Some(flow), text: "no".into() };
    let delete = || Command::Delete { messages: vec![message], flow: Some(flow) };
    for command in [draft(flow, "x"), edit(), delete()] {
        assert_eq!(
            world.ask_as(&admin, Authority::Administrator, command).await,
            Err(Fault::NoBusiness)
        );
    }
    change(UserChange { business: Some(true), ..UserChange::default() }, owner_id).await.unwrap();
    assert!(
        world
            .ask_as(&admin, Authority::Administrator, draft(flow, "from the administrator"))
            .await
            .is_ok()
    );
    assert_eq!(world.ask_as(&admin, Authority::Administrator, edit()).await, Err(Fault::NotAuthor));
    assert!(world.ask_as(&admin, Authority::Administrator, delete()).await.is_ok());
    assert_eq!(world.texts(&owner, flow).await, ["from the administrator"]);
}

#[tokio::test]
async fn a_login_or_an_email_logs_in_and_failures_look_alike() {
    let world = World::new();
    world.user("Жанна").await;
    for (identifier, password, expected) in [
        ("Жанна", "Жанна's password", true),
        ("жАННА", "Жанна's password", true),
        ("ЖАННА@EXAMPLE.ORG", "Жанна's password", true),
        ("Жанна", "жанна's password", false),
        ("nobody", "Жанна's password", false),
        ("", "", false),
    ] {
        let outcome =
            world.ask(&Credentials::Nothing, log_in(identifier, password, GrantKind::Token)).await;
        assert_eq!(outcome.is_ok(), expected, "{identifier}: {outcome:?}");
        if let Err(fault) = outcome {
            assert_eq!(fault.to_string(), "wrong login or password");
        }
    }
}

#[tokio::test]
async fn a_registration_that_cannot_stand_says_why() {
    let world = World::new();
    world.user("taken").await;
    let base = || Registration { email: None, ..registration("new") };
    let long = |count: usize| "x".repeat(count);
    for (field, registration) in [
        ("login", Registration { login: Some(String::new()), ..base() }),
        ("login", Registration { login: Some("a\u{0}b".into()), ..base() }),
        ("login", Registration { login: Some(long(65)), ..base() }),
        ("login", Registration { login: None, ..base() }),
        ("username", Registration { username: Some(long(65)), ..base() }),
        ("password", Registration { password: Secret::new(""), ..base() }),
        ("password", Registration { password: Secret::new(long(1025)), ..base() }),
        ("email", Registration { email: Some("nobody".into()), ..base() }),
        ("email", Registration { email: Some("a b@c".into()), ..base() }),
        ("bio", Registration { bio: Some(long(4097)), ..base() }),
        ("avatar", Registration { avatar: Some(long((1 << 20) + 1)), ..base() }),
    ] {
        match world.ask(&Credentials::Nothing, Command::Register(Box::new(registration))).await {
            Err(Fault::Invalid { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    for registration in [
        Registration { login: Some("TAKEN".into()), ..base() },
        Registration { email: Some("Taken@Example.org".into()), ..base() },
    ] {
        assert_eq!(
            world.ask(&Credentials::Nothing, Command::Register(Box::new(registration))).await,
            Err(Fault::LoginTaken)
        );
    }
    let closed = World::with(Policy { registration: false, ..Policy::default() });
    assert!(matches!(
        closed.ask(&Credentials::Nothing, Command::Register(Box::new(base()))).await,
        Err(Fault::Invalid { .. })
    ));
}

#[tokio::test]
async fn an_account_by_email_chooses_its_login_with_its_profile() {
    let world = World::new();
    world.user("taken").await;
    let by_email = Registration {
        login: None,
        username: None,
        profile: false,
        grant: GrantKind::Pair,
        ..registration("eve")
    };
    let (proof, _) = pair(
        world.ask(&Credentials::Nothing, Command::Register(Box::new(by_email))).await.unwrap(),
    );
    let list = || Command::ListFlows { limit: None, offset: 0, members: false };
    assert_eq!(world.ask(&proof, list()).await, Err(Fault::NoProfile));
    assert_eq!(world.ask(&proof, profile("Taken")).await, Err(Fault::LoginTaken));
    assert_eq!(world.ask(&proof, profile("eve")).await, Ok(Answer::ProfileCreated));
    assert_eq!(world.ask(&proof, profile("eve")).await, Err(Fault::ProfileExists));
    assert!(world.ask(&proof, list()).await.is_ok());
    for identifier in ["eve", "eve@example.org"] {
        assert!(
            world
                .ask(&Credentials::Nothing, log_in(identifier, "eve's password", GrantKind::Pair))
                .await
                .is_ok(),
            "{identifier}"
        );
    }
}

#[tokio::test]
async fn a_token_minted_elsewhere_makes_its_own_account_and_cannot_be_logged_out() {
    let world = World::new();
    let user = UserId::new(4_000).unwrap();
    let now = world.clock.now();
    let claims = AccessClaims {
        user,
        session: None,
        issued_at: now,
        expires_at: now.after(Duration::from_secs(60)),
    };
    let proof = Credentials::Bearer(PlainSigner.sign(&claims, [0; 16]).unwrap());
    assert_eq!(
        world.ask(&proof, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::NoProfile)
    );
    assert_eq!(world.ask(&proof, profile("elsewhere")).await, Ok(Answer::ProfileCreated));
    match world.ask(&proof, Command::GetUser { user: UserRef::Me }).await.unwrap() {
        Answer::User(me) => assert_eq!((me.id, me.login.as_str()), (user, "elsewhere")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        world.ask(&proof, Command::Logout { login: None }).await,
        Err(Fault::Invalid { field: "token", .. })
    ));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(
        world.ask(&proof, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
}

#[tokio::test]
async fn an_opaque_token_lives_from_use_to_use_and_dies_with_its_session() {
    let world = World::new();
    let lifetime = Policy::default().token_lifetime;
    let (alice_id, alice) = world.user("alice").await;
    let me = || Command::GetUser { user: UserRef::Me };
    for _ in 0..3 {
        world.clock.advance(lifetime - Duration::from_secs(1));
        assert!(world.ask(&alice, me()).await.is_ok(), "each use renews it");
    }
    let Credentials::Token(token) = alice.clone() else { unreachable!() };
    let (bob_id, bob) = world.user("bob").await;
    assert!(world.ask(&Credentials::TokenOf(alice_id, token.clone()), me()).await.is_ok());
    assert_eq!(
        world.ask(&Credentials::TokenOf(bob_id, token), me()).await,
        Err(Fault::Unauthenticated),
        "it is bound to its user"
    );
    assert_eq!(
        world.ask(&alice, Command::Logout { login: Some("bob".into()) }).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        world.ask(&alice, Command::Logout { login: Some("ALICE".into()) }).await,
        Ok(Answer::LoggedOut)
    );
    assert_eq!(world.ask(&alice, me()).await, Err(Fault::Unauthenticated));
    world.clock.advance(lifetime);
    assert_eq!(world.ask(&bob, me()).await, Err(Fault::Unauthenticated), "unused, it expires");
    assert_eq!(
        world.ask(&Credentials::Token(Secret::new("unknown")), me()).await,
        Err(Fault::Unauthenticated)
    );
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_reuse_ends_the_session() {
    let world = World::new();
    world.user("alice").await;
    let granted = world
        .ask(&Credentials::Nothing, log_in("alice", "alice's password", GrantKind::Pair))
        .await
        .unwrap();
    let (_, first) = pair(granted);
    let refresh = |token: &Secret| Command::Refresh { token: token.clone() };
    let (access, second) = pair(world.ask(&Credentials::Nothing, refresh(&first)).await.unwrap());
    let me = || Command::GetUser { user: UserRef::Me };
    assert!(world.ask(&access, me()).await.is_ok());
    assert_eq!(
        world.ask(&Credentials::Nothing, refresh(&first)).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        world.ask(&access, me()).await,
        Err(Fault::Unauthenticated),
        "the access token dies with the session"
    );
    assert_eq!(
        world.ask(&Credentials::Nothing, refresh(&second)).await,
        Err(Fault::Unauthenticated),
        "and the family with it"
    );
}

#[tokio::test]
async fn a_recovery_link_is_mailed_to_who_exists_works_once_and_ends_all_sessions() {
    let world = World::new();
    let (_, alice) = world.user("alice").await;
    for identifier in [
        RecoveryIdentifier::Login("nobody".into()),
        RecoveryIdentifier::Email("nobody@example.org".into()),
    ] {
        assert_eq!(
            world.ask(&Credentials::Nothing, Command::Recover { identifier }).await,
            Ok(Answer::RecoveryAccepted)
        );
    }
    assert_eq!(world.mailer.take(), []);
    for identifier in [
        RecoveryIdentifier::Login("Alice".into()),
        RecoveryIdentifier::Email("ALICE@example.org".into()),
    ] {
        assert_eq!(
            world.ask(&Credentials::Nothing, Command::Recover { identifier }).await,
            Ok(Answer::RecoveryAccepted)
        );
    }
    let mails = world.mailer.take();
    assert_eq!(mails.len(), 1, "a mailbox is not flooded");
    assert_eq!(mails[0].to, "alice@example.org");
    let token = mails[0]
        .body
        .split_once("/recover?token=")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap();
    let reset = |password: &str| Command::ResetPassword {
        token: Secret::new(token),
        password: Secret::new(password),
    };
    assert!(
        matches!(
            world.ask(&Credentials::Nothing, reset("")).await,
            Err(Fault::Invalid { field: "password", .. })
        ),
        "a bad password does not spend it"
    );
    assert_eq!(world.ask(&Credentials::Nothing, reset("fresh")).await, Ok(Answer::PasswordReset));
    assert_eq!(world.ask(&Credentials::Nothing, reset("again")).await, Err(Fault::Unauthenticated));
    assert_eq!(
        world.ask(&alice, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
    assert!(
        world.ask(&Credentials::Nothing, log_in("alice", "fresh", GrantKind::Token)).await.is_ok()
    );
}

#[tokio::test]
async fn a_deleted_account_is_gone_but_what_it_said_stays() {
    let world = World::new();
    let (alice_id, alice) = world.user("alice").await;
    let (bob_id, bob) = world.user("bob").await;
    let flow = world.group(&alice, &[bob_id]).await;
    world.send(&alice, flow, "I was here").await.unwrap();
    let delete = |password: &str| Command::DeleteAccount {
        user: None,
        login: "alice".into(),
        password: Secret::new(password),
    };
    assert!(matches!(
        world.ask(&Credentials::Nothing, delete("wrong")).await,
        Err(Fault::WrongCredentials { .. })
    ));
    assert_eq!(
        world.ask(&Credentials::Nothing, delete("alice's password")).await,
        Ok(Answer::AccountDeleted { user: alice_id })
    );
    assert_eq!(
        world.ask(&alice, Command::GetUser { user: UserRef::Me }).await,
        Err(Fault::Unauthenticated)
    );
    assert_eq!(
        world.ask(&bob, Command::GetUser { user: UserRef::Id(alice_id) }).await,
        Err(Fault::NoSuchUser)
    );
    assert!(
        world
            .ask(&Credentials::Nothing, log_in("alice", "alice's password", GrantKind::Token))
            .await
            .is_err()
    );
    assert_eq!(
        world.ask(&Credentials::Nothing, Command::Register(Box::new(registration("Alice")))).await,
        Err(Fault::LoginTaken)
    );
    assert_eq!(world.texts(&bob, flow).await, ["I was here"]);
}

#[tokio::test]
async fn a_photo_is_an_image_by_its_content_and_is_shown_to_whom_it_may() {
    let world = World::new();
    let (_, owner) = world.user("owner").await;
    let (_, stranger) = world.user("stranger").await;
    let create = |content: &[u8]| {
        let photo =
            Photo { media_type: "image/png".into(), content: Bytes::copy_from_slice(content) };
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title: "G".into(),
            info: String::new(),
            members: vec![],
            photo: Some(photo),
            key: None,
        }))
    };
    for content in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..],
        b"<html>",
        b"",
        b"%PDF-1.7",
        &vec![0x89; PHOTO_LIMIT + 1],
    ] {
        assert!(
            matches!(
                world.ask(&owner, create(content)).await,
                Err(Fault::Invalid { field: "photo", .. })
            ),
            "{} bytes",
            content.len()
        );
    }
    assert_eq!(world.blobs.keys(), Vec::<String>::new());
    let answer = world.ask(&owner, create(PNG)).await.unwrap();
    let Answer::FlowCreated { flow, .. } = answer else { panic!("{answer:?}") };
    let photo = || Command::GetPhoto { of: PhotoOf::Flow(flow) };
    assert_eq!(world.ask(&stranger, photo()).await, Err(Fault::NoSuchFlow));
    match world.ask(&owner, photo()).await.unwrap() {
        Answer::Photo(photo) => {
            assert_eq!((photo.media_type.as_str(), &photo.content[..]), ("image/png", PNG))
        }
        other => panic!("{other:?}"),
    }
    world.ask(&owner, Command::DeleteFlow { flow, kinds: FlowKindFilter::Shared }).await.unwrap();
    assert_eq!(world.blobs.keys(), Vec::<String>::new(), "the photo goes with its flow");
}

#[tokio::test]
async fn a_chat_is_one_for_each_pair_and_never_with_oneself() {
    let world = World::new();
    let (alice_id, alice) = world.user("alice").await;
    let (bob_id, bob) = world.user("bob").await;
    let open = |with| Command::OpenChat { with };
    let Ok(Answer::ChatOpened { flow, created: true, .. }) =
        world.ask(&alice, open(UserRef::Id(bob_id))).await
    else {
        panic!()
    };
    for (proof, with) in [(&alice, UserRef::Login("BOB".into())), (&bob, UserRef::Id(alice_id))] {
        match world.ask(proof, open(with)).await {
            Ok(Answer::ChatOpened { flow: same, created: false, .. }) => assert_eq!(same, flow),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        world.ask(&alice, open(UserRef::Id(alice_id))).await,
        Err(Fault::Invalid { field: "user", .. })
    ));
    assert_eq!(
        world.ask(&alice, open(UserRef::Login("nobody".into()))).await,
        Err(Fault::NoSuchUser)
    );
    assert_eq!(
        world.ask(&alice, Command::AddMembers { flow, users: vec![bob_id] }).await,
        Err(Fault::WrongKind)
    );
    assert_eq!(
        world
            .ask(&alice, Command::GetFlow { flow, kinds: FlowKindFilter::Shared, members: false })
            .await,
        Err(Fault::WrongKind)
    );
}

#[tokio::test]
async fn only_the_owner_writes_in_a_channel() {
    let world = World::new();
    let (_, owner) = world.user("owner").await;
    let (reader_id, reader) = world.user("reader").await;
    let channel = NewFlow {
        kind: FlowKind::Channel,
        title: "News".into(),
        info: String::new(),
        members: vec![reader_id],
        photo: None,
        key: None,
    };
    let Ok(Answer::FlowCreated { flow, .. }) =
        world.ask(&owner, Command::CreateFlow(Box::new(channel))).await
    else {
        panic!()
    };
    assert!(world.send(&owner, flow, "news").await.is_ok());
    assert_eq!(world.send(&reader, flow, "I object").await, Err(Fault::NotOwner));
    assert_eq!(world.texts(&reader, flow).await, ["news"]);
}

#[tokio::test]
async fn typing_is_heard_but_not_kept() {
    let world = World::new();
    let (_, owner) = world.user("owner").await;
    let flow = world.group(&owner, &[]).await;
    let mut heard = world.bus.receivers(1);
    assert_eq!(
        world.ask(&owner, Command::ShowTyping { flow, active: true }).await,
        Ok(Answer::TypingShown)
    );
    let Some(Signal::Events(events)) = heard[0].next().await else { panic!("the bus is alive") };
    assert!(
        matches!(&events[0].kind, EventKind::Typing { flow: there, active: true, .. } if *there == flow)
    );
    assert_eq!(world.texts(&owner, flow).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_is_believed_as_long_as_its_session() {
    let world = World::new();
    let (_, alice) = world.user("alice").await;
    let principal: Principal = world.engine.authenticate(&alice, None).await.unwrap().unwrap();
    assert_eq!(
        world.engine.authenticate(&Credentials::Connection, Some(&principal)).await,
        Ok(Some(principal))
    );
    assert_eq!(
        world.engine.authenticate(&Credentials::Connection, None).await,
        Err(Fault::Unauthenticated)
    );
    world.ask(&alice, Command::Logout { login: None }).await.unwrap();
    assert_eq!(
        world.engine.authenticate(&Credentials::Connection, Some(&principal)).await,
        Err(Fault::Unauthenticated)
    );
}

/// A client of REST comes to another node with each request.
#[tokio::test]
async fn a_profile_made_at_one_node_is_known_at_another_at_once() {
    let here = World::new();
    let there = here.beside();
    let registration =
        Registration { profile: false, grant: GrantKind::Token, ..registration("alice") };
    let answer = here
        .ask(&Credentials::Nothing, Command::Register(Box::new(registration)))
        .await
        .expect("a new user can register");
    let Answer::Granted(grant) = answer else { panic!("{answer:?}") };
    let Tokens::Token(token) = grant.tokens else { panic!("{:?}", grant.tokens) };
    let alice = Credentials::Token(token);
    let look = || Command::SearchUsers { query: "alice".into(), limit: 1 };
    assert_eq!(there.ask(&alice, look()).await, Err(Fault::NoProfile));
    here.ask(&alice, profile("alice")).await.expect("a profile can be made");
    there.ask(&alice, look()).await.expect("it is known");
}

/// Attempts to log in from addresses.
impl World {
    fn guarded(login_throttle: LoginThrottlePolicy) -> Self {
        Self::with(Policy { login_throttle, ..Policy::default() })
    }

    /// Whether a password opens a login from an address: `None` where nothing is told.
    async fn attempt(&self, address: &str, login: &str, password: &str) -> Option<bool> {
        let address = Some(address.parse().expect("it is an address"));
        match self
            .ask_from(
                address,
                &Credentials::Nothing,
                Authority::Member,
                log_in(login, password, GrantKind::Token),
            )
            .await
        {
            Ok(_) => Some(true),
            Err(Fault::WrongCredentials { .. }) => Some(false),
            Err(Fault::TooMany { retry_after }) => {
                assert!(!retry_after.is_zero() && retry_after <= WINDOW, "{retry_after:?}");
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn fail(&self, address: &str, login: &str, times: u32) {
        for time in 0..times {
            assert_eq!(
                self.attempt(address, login, "wrong").await,
                Some(false),
                "{login} from {address}, failure {time}"
            );
        }
    }
}

const WINDOW: Duration = Duration::from_secs(900);
const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";
const RIGHT: &str = "alice's password";

fn login_throttle() -> LoginThrottlePolicy {
    LoginThrottlePolicy {
        window: WINDOW,
        free_attempts: 3,
        max_failures_per_login_and_address: 5,
        max_failures_per_login: 12,
        max_failures_per_address: 20,
        ..LoginThrottlePolicy::default()
    }
}

#[tokio::test]
async fn whoever_fails_too_often_is_refused_until_the_window_is_over() {
    for login in ["alice", "nobody"] {
        let world = World::guarded(login_throttle());
        world.user("alice").await;
        let started = world.clock.now();
        world.fail(HERE, login, 5).await;
        for password in ["wrong", RIGHT] {
            assert_eq!(world.attempt(HERE, &login.to_uppercase(), password).await, None, "{login}");
        }
        let left = WINDOW - world.clock.now().since(started);
        let refused = world.ask_from(
            Some(HERE.parse().unwrap()),
            &Credentials::Nothing,
            Authority::Member,
            log_in(login, RIGHT, GrantKind::Pair),
        );
        assert_eq!(
            refused.await.map(drop),
            Err(Fault::TooMany { retry_after: left }),
            "{login}: the time left is told"
        );
        world.clock.set(started.after(WINDOW));
        assert_eq!(
            world.attempt(HERE, login, RIGHT).await,
            Some(login == "alice"),
            "the window is over"
        );
    }
}

#[tokio::test]
async fn each_failure_after_the_free_ones_makes_the_next_answer_later() {
    let world = World::guarded(LoginThrottlePolicy {
        max_failures_per_login_and_address: 9,
        ..login_throttle()
    });
    world.user("alice").await;
    for expected in [0, 0, 0, 500, 1_000, 2_000, 4_000, 4_000] {
        let before = world.clock.now();
        world.fail(HERE, "alice", 1).await;
        assert_eq!(world.clock.now().since(before).as_millis(), expected);
    }
    let before = world.clock.now();
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, Some(true));
    assert_eq!(
        world.clock.now().since(before).as_millis(),
        4_000,
        "the right one is not told by its speed"
    );
    let before = world.clock.now();
    world.fail(HERE, "alice", 1).await;
    assert_eq!(world.clock.now(), before, "a success forgets what failed here");
}

#[tokio::test]
async fn nobody_is_held_back_where_too_many_are() {
    let world = World::guarded(LoginThrottlePolicy { max_delayed: 0, ..login_throttle() });
    world.user("alice").await;
    world.fail(HERE, "alice", 3).await;
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, None);
    assert_eq!(
        world.attempt(THERE, "alice", RIGHT).await,
        Some(true),
        "who need not wait is not refused"
    );
}

#[tokio::test]
async fn the_owner_is_not_locked_out_where_others_fail() {
    let world = World::guarded(login_throttle());
    world.user("alice").await;
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, Some(true));
    for place in 10..13 {
        world.fail(&format!("198.51.100.{place}"), "alice", 4).await;
    }
    for address in [THERE, "198.51.100.10", "2001:db8::1"] {
        assert_eq!(
            world.attempt(address, "alice", RIGHT).await,
            None,
            "{address}: too many have failed from everywhere"
        );
    }
    world.fail(HERE, "alice", 4).await;
    assert_eq!(
        world.attempt(HERE, "alice", RIGHT).await,
        Some(true),
        "where she has succeeded, only what fails there counts"
    );
    world.clock.advance(WINDOW);
    assert_eq!(world.attempt(THERE, "alice", RIGHT).await, Some(true));
}

#[tokio::test]
async fn an_address_is_trusted_for_as_long_as_its_successes_are_recent() {
    let policy = login_throttle();
    let trust = policy.trust_lifetime;
    let world = World::guarded(policy);
    world.user("alice").await;
    let crowd = async || {
        for place in 10..13 {
            world.fail(&format!("198.51.100.{place}"), "alice", 4).await;
        }
    };
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, Some(true));
    world.clock.advance(trust * 3 / 4);
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, Some(true), "it is renewed");
    world.clock.advance(trust * 3 / 4);
    crowd().await;
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, Some(true));
    world.clock.advance(trust);
    crowd().await;
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, None);
}

#[tokio::test]
async fn an_address_that_tries_many_logins_is_refused_for_all() {
    let world = World::guarded(login_throttle());
    world.user("alice").await;
    for number in 0..10 {
        world.fail("2001:db8::1", &format!("login-{number}"), 2).await;
    }
    for (address, expected) in
        [("2001:db8::1", None), ("2001:db8::ffff", None), ("2001:db8:0:1::1", Some(true))]
    {
        assert_eq!(world.attempt(address, "alice", RIGHT).await, expected, "{address}");
    }
}

#[tokio::test]
async fn many_right_logins_at_once_are_all_let_in() {
    let world = World::guarded(login_throttle());
    world.user("alice").await;
    let attempts = (0..100).map(|_| world.attempt(HERE, "alice", RIGHT));
    assert!(
        futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .all(|attempt| attempt == Some(true))
    );
}

#[tokio::test]
async fn every_check_of_a_password_counts() {
    let world = World::guarded(login_throttle());
    world.user("alice").await;
    let address = Some(HERE.parse().unwrap());
    let delete = |password: &str| Command::DeleteAccount {
        user: None,
        login: "alice".into(),
        password: Secret::new(password),
    };
    let ask = |command| world.ask_from(address, &Credentials::Nothing, Authority::Member, command);
    for _ in 0..5 {
        assert!(matches!(ask(delete("wrong")).await, Err(Fault::WrongCredentials { .. })));
    }
    assert!(matches!(ask(delete(RIGHT)).await, Err(Fault::TooMany { .. })));
    assert_eq!(world.attempt(HERE, "alice", RIGHT).await, None);
}

/// How many login_throttle are made beside each other, the right one not among them.
const GUESSES: usize = 30;

/// Checks no password before all that are expected are there, and the right one when the others
/// have been answered.
#[derive(Default)]
struct Beside {
    present: AtomicUsize,
    answered: AtomicUsize,
}

#[async_trait]
impl Passwords for Beside {
    async fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        PlainPasswords.hash(password).await
    }

    async fn verify(&self, password: &Secret, hash: Option<&str>) -> Result<bool, PasswordError> {
        self.present.fetch_add(1, Ordering::SeqCst);
        let right = password.expose() == RIGHT;
        while self.present.load(Ordering::SeqCst) <= GUESSES
            || (right && self.answered.load(Ordering::SeqCst) < GUESSES)
        {
            tokio::task::yield_now().await;
        }
        PlainPasswords.verify(password, hash).await
    }
}

#[tokio::test]
async fn guesses_beside_each_other_learn_no_more_than_one_after_another() {
    let passwords = Arc::new(Beside::default());
    let world = World::checking(passwords.clone(), login_throttle());
    world.user("alice").await;
    let attempts = (0..=GUESSES).map(async |number| {
        let told =
            world.attempt(HERE, "alice", if number == GUESSES { RIGHT } else { "wrong" }).await;
        passwords.answered.fetch_add(1, Ordering::SeqCst);
        told
    });
    let told: Vec<_> =
        futures_util::future::join_all(attempts).await.into_iter().flatten().collect();
    assert_eq!(told, [false; 5]);
}

#[tokio::test]
async fn a_repeated_key_makes_one_group_and_keeps_one_photo() {
    let world = World::new();
    let (_, alice) = world.user("alice").await;
    let (bob_id, bob) = world.user("bob").await;
    let group = |title: &str, photo: Option<&[u8]>, members: &[UserId], key: &str| {
        let photo = photo.map(|content| Photo {
            media_type: "image/png".into(),
            content: Bytes::copy_from_slice(content),
        });
        let (title, members, key) = (title.to_owned(), members.to_vec(), Some(key.to_owned()));
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title,
            info: String::new(),
            members,
            photo,
            key,
        }))
    };
    let first = world.ask(&alice, group("G", Some(PNG), &[bob_id], "key")).await.unwrap();
    let again = world.ask(&alice, group("G", Some(PNG), &[bob_id, bob_id], "key")).await;
    assert_eq!(again, Ok(first.clone()), "naming somebody twice asks for the same");
    assert_eq!(world.blobs.keys().len(), 1);
    for other in [
        group("H", Some(PNG), &[bob_id], "key"),
        group("G", None, &[bob_id], "key"),
        group("G", Some(PNG), &[], "key"),
    ] {
        assert_eq!(world.ask(&alice, other).await, Err(Fault::KeyReused));
    }
    assert_eq!(world.blobs.keys().len(), 1);
    assert_ne!(
        world.ask(&bob, group("G", Some(PNG), &[bob_id], "key")).await,
        Ok(first),
        "a key is its owner's own"
    );
    for key in ["", " ", "a\nb", &"k".repeat(256)] {
        assert!(
            matches!(
                world.ask(&alice, group("G", None, &[], key)).await,
                Err(Fault::Invalid { field: "key", .. })
            ),
            "{key:?}"
        );
    }
}
