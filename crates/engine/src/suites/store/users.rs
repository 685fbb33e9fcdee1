//! Trials of [`UserStore`](crate::ports::UserStore).

use super::fixture::{Fixture, HOUR, hash, new_user, page_of, refused, session_of};
use crate::IMITATION;
use crate::ports::{
    AccountKey, FlowLimits, ImportChunk, ImportUser, NewUser, Rotation, UserChange,
};
use tolmach_domain::{
    EventKind, ExternalId, Fault, HistoryRange, IdNamespace, PhotoKey, User, UserId,
};

/// Login and address match in any case; a search by either prefers the login.
pub async fn an_account_is_found_by_id_login_and_address(fixture: &mut Fixture) {
    let now = fixture.tick();
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
    let user = fixture.store.create_user(new, now).await.expect("the store is empty");
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
        (None, true, true, true, true)
    );
    assert_eq!(fixture.store.avatar(user.id).await, Ok(Some("YXZhdGFy".into())));
    assert_eq!((user.created_at, user.deleted_at), (now, None));
    assert!(user.changed_at >= now);
    assert_eq!(fixture.store.user(user.id).await, Ok(Some(user.clone())));
    // A login that is the account's own address.
    let now = fixture.tick();
    let own = "shadow@example.org";
    let shadow = NewUser { email: Some(own.into()), ..new_user(own) };
    let shadow = fixture.store.create_user(shadow, now).await.expect("the login is free");
    for (key, expected) in [
        (AccountKey::Login("анна"), Some(&user)),
        (AccountKey::Login("АННА"), Some(&user)),
        (AccountKey::Login("анна@example.org"), None),
        (AccountKey::Email("АННА@EXAMPLE.ORG"), Some(&user)),
        (AccountKey::Email("анна"), None),
        (AccountKey::Either("аннА"), Some(&user)),
        (AccountKey::Either("анна@EXAMPLE.org"), Some(&user)),
        (AccountKey::Either("Shadow@Example.org"), Some(&shadow)),
        (AccountKey::Email("Shadow@Example.org"), Some(&shadow)),
        (AccountKey::Either("anna"), None),
    ] {
        let found = fixture.store.account(key).await.expect("the store answers");
        assert_eq!(found.as_ref().map(|account| &account.user), expected, "{key:?}");
        if found
            .is_some_and(|account| account.password_hash.is_some() != (account.user.id == user.id))
        {
            panic!("{key:?}: only the first has a password");
        }
    }
    let absent = UserId::new(999).expect("an id");
    assert_eq!(fixture.store.user(absent).await, Ok(None));
    for without in [shadow.id, absent] {
        assert_eq!(fixture.store.avatar(without).await, Ok(None));
    }
    assert_eq!(fixture.published(), []);
}

/// Over all of Unicode, at creation and at change.
pub async fn logins_and_addresses_are_unique_without_regard_to_case(fixture: &mut Fixture) {
    let other = fixture.user("other").await;
    for (login, same) in [
        ("anna", "ANNA"),
        ("Ärger", "äRGER"),
        ("Анна", "АННА"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("straße", "STRASSE"),
        ("ǅ", "ǆ"),
    ] {
        let address = |login: &str| Some(format!("{login}@example.org"));
        let now = fixture.tick();
        fixture
            .store
            .create_user(NewUser { email: address(login), ..new_user(login) }, now)
            .await
            .expect("the login is free");
        for rival in [NewUser { email: address(same), ..new_user("rival") }, new_user(same)] {
            assert_eq!(
                fixture.store.create_user(rival, now).await,
                refused(Fault::LoginTaken),
                "{same}"
            );
        }
        for change in [
            UserChange { login: Some(same.into()), ..UserChange::default() },
            UserChange { email: address(same), ..UserChange::default() },
        ] {
            assert_eq!(
                fixture.store.update_user(other.id, change, now).await,
                refused(Fault::LoginTaken),
                "{same}"
            );
        }
    }
    // A user may change the case of their login.
    let now = fixture.tick();
    let renamed = fixture
        .store
        .update_user(
            other.id,
            UserChange { login: Some("OTHER".into()), ..UserChange::default() },
            now,
        )
        .await;
    assert_eq!(renamed.map(|user| user.login), Ok("OTHER".into()));
    assert_eq!(fixture.store.search_users("rival", 10).await, Ok(vec![]));
}

/// Only the hash that was compared is replaced, and sessions go on.
pub async fn a_replaced_password_hash_ends_no_session(fixture: &mut Fixture) {
    let now = fixture.tick();
    let anna = NewUser { password_hash: Some("old".into()), ..new_user("anna") };
    let anna = fixture.store.create_user(anna, now).await.expect("the login is free");
    let session = fixture.store.open_session(session_of(&anna, Some(1), None, now)).await;
    let session = session.expect("the user exists");
    let store = fixture.store.clone();
    let old = async || {
        let account = store.account(AccountKey::Login("anna")).await.expect("readable");
        account.and_then(|account| account.password_hash)
    };
    let first = old().await.expect("the account has a password");
    assert_eq!(store.replace_password_hash(anna.id, "another", "new").await, Ok(false));
    assert_eq!(old().await.as_deref(), Some(first.as_str()));
    assert_eq!(store.replace_password_hash(anna.id, &first, "new").await, Ok(true));
    assert_eq!(old().await.as_deref(), Some("new"));
    let (session, _) = store.session(session).await.expect("readable").expect("it was opened");
    assert_eq!(session.ended_at, None);
    assert_eq!(fixture.published(), []);
}

/// At creation and at change, for logins and addresses of either kind, and of deleted users.
pub async fn logins_and_addresses_are_one_namespace(fixture: &mut Fixture) {
    let now = fixture.tick();
    let address = || Some("Victim@corp.example".to_owned());
    let victim = NewUser { email: address(), ..new_user("victim") };
    let victim = fixture.store.create_user(victim, now).await.expect("the login is free");
    let other = fixture.user("other").await;
    let login = |login: &str| UserChange { login: Some(login.into()), ..UserChange::default() };
    let email = |email: &str| UserChange { email: Some(email.into()), ..UserChange::default() };
    let taken = || refused(Fault::LoginTaken);
    for rival in [
        new_user("victim@CORP.example"),
        NewUser { email: address(), ..new_user("rival") },
        NewUser { email: Some("VICTIM".into()), ..new_user("rival") },
    ] {
        assert_eq!(fixture.store.create_user(rival.clone(), now).await, taken(), "{rival:?}");
    }
    for change in [login("victim@corp.EXAMPLE"), email("Victim@Corp.example"), email("victim")] {
        let changed = fixture.store.update_user(other.id, change.clone(), now).await;
        assert_eq!(changed, taken(), "{change:?}");
    }
    // Names that are given up are free again, and only those.
    for change in [email("new@corp.example"), login("renamed"), login("VICTIM@corp.example")] {
        let changed = fixture.store.update_user(victim.id, change.clone(), now).await;
        assert!(changed.is_ok(), "{change:?}: {changed:?}");
    }
    let rival = fixture.store.update_user(other.id, login("victim@corp.example"), now).await;
    assert_eq!(rival, taken());
    assert!(fixture.store.update_user(other.id, login("victim"), now).await.is_ok());
    fixture.store.delete_user(victim.id, now).await.expect("the user exists");
    let heir = NewUser { email: Some("New@corp.example".into()), ..new_user("heir") };
    assert!(fixture.store.create_user(heir, now).await.is_ok(), "the address is free");
    let heir = NewUser { email: address(), ..new_user("late") };
    assert_eq!(fixture.store.create_user(heir, now).await, taken(), "the login is not");
}

/// Of users who are not deleted and of those who are; a user may change the looks of their own.
pub async fn a_login_that_looks_like_anothers_is_taken(fixture: &mut Fixture) {
    let [anna, other] = fixture.users(["Anna", "other"]).await;
    let now = fixture.tick();
    let login = |login: &str| UserChange { login: Some(login.into()), ..UserChange::default() };
    // Cyrillic letters; the last has them all.
    let alike = ["аnna", "АNNA", "аnnа"];
    for like in alike {
        let rival = fixture.store.create_user(new_user(like), now).await;
        assert_eq!(rival, refused(Fault::LoginTaken), "{like}");
        let rival = fixture.store.update_user(other.id, login(like), now).await;
        assert_eq!(rival, refused(Fault::LoginTaken), "{like}");
    }
    assert!(fixture.store.update_user(anna.id, login("ANNA"), now).await.is_ok());
    fixture.store.delete_user(anna.id, now).await.expect("the user exists");
    for like in alike {
        let rival = fixture.store.create_user(new_user(like), now).await;
        assert_eq!(rival, refused(Fault::LoginTaken), "{like}");
    }
    assert!(fixture.store.create_user(new_user("Hanna"), now).await.is_ok());
}

/// A user may have their own login as a name; names of accounts without a profile are not shown.
pub async fn a_display_name_that_looks_like_anothers_login_is_refused(fixture: &mut Fixture) {
    let [anna, other] = fixture.users(["anna", "other"]).await;
    let now = fixture.tick();
    let with_profile =
        |login: &str, name: &str| NewUser { name: name.into(), profile: true, ..new_user(login) };
    let named = |name: &str| UserChange { name: Some(name.into()), ..UserChange::default() };
    for like in ["anna", "ANNA", " аnnа ", "Anna\u{200b}"] {
        let invalid = || refused(Fault::invalid("name", IMITATION));
        let rival = fixture.store.create_user(with_profile("rival", like), now).await;
        assert_eq!(rival, invalid(), "{like:?}");
        let rival = fixture.store.update_user(other.id, named(like), now).await;
        assert_eq!(rival, invalid(), "{like:?}");
        let own = fixture.store.update_user(anna.id, named(like), now).await;
        assert_eq!(own.map(|user| user.name), Ok(like.to_owned()));
    }
    let username = UserChange { username: Some("Anna".into()), ..UserChange::default() };
    let rival = fixture.store.update_user(other.id, username, now).await;
    assert_eq!(rival, refused(Fault::invalid("username", IMITATION)));
    let hidden = NewUser { profile: false, ..with_profile("hidden", "Anna") };
    assert!(fixture.store.create_user(hidden, now).await.is_ok());
    let own = fixture.store.create_user(with_profile("Zoe", "ZOE"), now).await;
    assert!(own.is_ok(), "{own:?}");
}

/// The id of a token that another issuer signed.
pub async fn a_chosen_id_is_kept_and_later_ids_are_higher(fixture: &mut Fixture) {
    let first = fixture.user("first").await;
    let now = fixture.tick();
    let chosen = UserId::new(1_000).expect("an id");
    let user =
        fixture.store.create_user(NewUser { id: Some(chosen), ..new_user("chosen") }, now).await;
    assert_eq!(user.map(|user| user.id), Ok(chosen));
    for id in [chosen, first.id] {
        let taken =
            fixture.store.create_user(NewUser { id: Some(id), ..new_user("rival") }, now).await;
        assert_eq!(taken, refused(Fault::LoginTaken));
    }
    let between = UserId::new(500).expect("an id");
    let user =
        fixture.store.create_user(NewUser { id: Some(between), ..new_user("between") }, now).await;
    assert_eq!(user.map(|user| user.id), Ok(between));
    assert!(fixture.user("last").await.id > chosen);
}

/// One field at a time, then none.
pub async fn an_update_changes_the_named_fields_only(fixture: &mut Fixture) {
    let photo = PhotoKey { key: "ef".into(), media_type: "image/gif".into() };
    let mut expected = fixture.user("anna").await;
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
        let now = fixture.tick();
        let changed = fixture
            .store
            .update_user(expected.id, change.clone(), now)
            .await
            .expect("the user exists");
        assert!(
            changed.changed_at >= now && changed.changed_at > expected.changed_at,
            "{change:?}"
        );
        apply(&mut expected);
        expected.changed_at = changed.changed_at;
        assert_eq!(changed, expected, "{change:?}");
        assert_eq!(fixture.store.user(expected.id).await, Ok(Some(expected.clone())), "{change:?}");
    }
    let found = fixture.store.account(AccountKey::Login("hanna")).await.expect("the store answers");
    assert_eq!(found.map(|account| account.user), Some(expected));
    assert!(
        fixture
            .store
            .account(AccountKey::Login("anna"))
            .await
            .expect("the store answers")
            .is_none()
    );
    let absent =
        fixture.store.update_user(UserId::new(999).expect("an id"), none(), fixture.now).await;
    assert_eq!(absent, refused(Fault::NoSuchUser));
    assert_eq!(fixture.published(), []);
}

/// Sessions opened as an administrator must not keep that authority.
pub async fn the_loss_of_the_administrators_right_ends_all_sessions(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    for (admin, ends) in [
        (Some(true), false),
        (Some(true), false),
        (None, false),
        (Some(false), true),
        (Some(false), false),
    ] {
        let now = fixture.tick();
        fixture
            .store
            .update_user(anna.id, UserChange { admin, ..UserChange::default() }, now)
            .await
            .expect("the user exists");
        let ended = vec![EventKind::SessionsEnded { user: anna.id, session: None }];
        assert_eq!(fixture.published(), if ends { ended } else { vec![] }, "{admin:?}");
    }
}

/// Sessions of other users stay open.
pub async fn a_new_password_ends_all_sessions_of_the_user(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let now = fixture.tick();
    let mut opened = Vec::new();
    for (user, token) in [(&anna, 1), (&anna, 2), (&boris, 3)] {
        opened.push(
            fixture
                .store
                .open_session(session_of(user, Some(token), Some(token + 10), now))
                .await
                .expect("the user exists"),
        );
    }
    let now = fixture.tick();
    let change = UserChange { password_hash: Some("new".into()), ..UserChange::default() };
    fixture.store.update_user(anna.id, change, now).await.expect("the user exists");
    for (session, ended_at) in opened.iter().zip([Some(now), Some(now), None]) {
        let (session, _) = fixture
            .store
            .session(*session)
            .await
            .expect("the store answers")
            .expect("the session exists");
        assert_eq!(session.ended_at, ended_at);
    }
    let account =
        fixture.store.account(AccountKey::Login("anna")).await.expect("the store answers");
    assert_eq!(account.and_then(|account| account.password_hash).as_deref(), Some("new"));
    assert_eq!(fixture.published(), [EventKind::SessionsEnded { user: anna.id, session: None }]);
    assert_eq!(
        fixture.store.rotate_refresh(hash(11), hash(99), u32::MAX, now, now.after(HOUR)).await,
        Ok(Rotation::Unknown)
    );
}

/// Its login stays reserved, its address becomes free, its messages keep its name.
pub async fn a_deleted_account_is_found_by_id_only(fixture: &mut Fixture) {
    let now = fixture.tick();
    let new = NewUser {
        email: Some("a@x.org".into()),
        phone: Some("1".into()),
        password_hash: Some("h".into()),
        ..new_user("anna")
    };
    let anna = fixture.store.create_user(new, now).await.expect("the login is free");
    let boris = fixture.user("boris").await;
    let group = fixture.group(&boris, &[&anna]).await;
    let own = fixture.group(&anna, &[&boris]).await;
    let chat = fixture
        .store
        .open_chat(anna.id, boris.id, FlowLimits::NONE, None, now)
        .await
        .expect("both users exist")
        .into_flow();
    let message = fixture.post(&group, &anna, "stays").await;
    let session = fixture
        .store
        .open_session(session_of(&anna, Some(1), Some(2), now))
        .await
        .expect("the user exists");
    fixture
        .store
        .put_recovery_token(hash(3), anna.id, now.after(HOUR))
        .await
        .expect("the user exists");
    fixture.events();

    let now = fixture.tick();
    assert_eq!(fixture.store.delete_user(anna.id, now).await, Ok(()));

    let deleted =
        fixture.store.user(anna.id).await.expect("the store answers").expect("it is found by id");
    assert_eq!(
        (
            deleted.login.as_str(),
            deleted.email.as_deref(),
            deleted.phone.as_deref(),
            deleted.deleted_at
        ),
        ("anna", None, None, Some(now))
    );
    for key in [
        AccountKey::Login("anna"),
        AccountKey::Email("a@x.org"),
        AccountKey::Either("anna"),
        AccountKey::Either("a@x.org"),
    ] {
        assert!(fixture.store.account(key).await.expect("the store answers").is_none(), "{key:?}");
    }
    assert_eq!(fixture.store.search_users("anna", 10).await, Ok(vec![]));
    assert_eq!(fixture.store.list_users(None, 10).await, Ok(vec![boris.clone()]));
    assert_eq!(
        fixture
            .store
            .session(session)
            .await
            .map(|found| found.and_then(|(session, _)| session.ended_at)),
        Ok(Some(now))
    );
    assert_eq!(fixture.store.is_recovery_token_valid(hash(3), now).await, Ok(false));
    assert_eq!(fixture.store.spend_recovery_token(hash(3), "h".into(), now).await, Ok(None));
    assert_eq!(fixture.store.flow_versions(anna.id).await, Ok(vec![]));
    for flow in [&group, &own, &chat] {
        assert_eq!(fixture.store.is_member(flow.id, anna.id).await, Ok(false));
        assert_eq!(fixture.members(flow.id).await, std::slice::from_ref(&boris));
    }
    let kept = fixture
        .store
        .history(page_of(group.id, boris.id, HistoryRange::All, 10))
        .await
        .expect("the flow exists")
        .messages;
    assert_eq!(kept, [message]);

    let published = fixture.published();
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

    assert_eq!(fixture.store.create_user(new_user("Anna"), now).await, refused(Fault::LoginTaken));
    let heir = NewUser { email: Some("A@x.org".into()), ..new_user("heir") };
    assert!(fixture.store.create_user(heir, now).await.is_ok());
    let no_user = Fault::NoSuchUser;
    assert_eq!(fixture.store.delete_user(anna.id, now).await, refused(no_user.clone()));
    assert_eq!(
        fixture.store.update_user(anna.id, UserChange::default(), now).await,
        refused(no_user.clone())
    );
    assert_eq!(
        fixture.store.open_session(session_of(&anna, None, None, now)).await,
        refused(no_user.clone())
    );
    assert_eq!(
        fixture.store.put_recovery_token(hash(4), anna.id, now).await,
        refused(no_user.clone())
    );
    assert_eq!(
        fixture.store.delete_user(UserId::new(999).expect("an id"), now).await,
        refused(no_user)
    );
    assert_eq!(fixture.published(), []);
}

/// Of active and deleted users; messages and everything else stay.
pub async fn an_erased_profile_has_the_login_alone(fixture: &mut Fixture) {
    let now = fixture.tick();
    let photo = PhotoKey { key: "ab/cd".into(), media_type: "image/png".into() };
    let new = NewUser {
        username: "Anna".into(),
        name: "Anna Petrova".into(),
        bio: "about me".into(),
        avatar: Some("YQ==".into()),
        photo: Some(photo),
        ..new_user("anna")
    };
    let store = fixture.store.clone();
    let anna = store.create_user(new, now).await.expect("the login is free");
    let group = fixture.group(&anna, &[]).await;
    fixture.post(&group, &anna, "stays").await;
    let absent = UserId::new(999).expect("an id");
    assert_eq!(store.erase_profile(absent, now).await, refused(Fault::NoSuchUser));
    for is_deleted in [false, true] {
        let now = fixture.tick();
        if is_deleted {
            assert_eq!(store.delete_user(anna.id, now).await, Ok(()));
        }
        assert_eq!(store.erase_profile(anna.id, now).await, Ok(()));
        let erased = store.user(anna.id).await.expect("the store answers").expect("it is there");
        let names = [&erased.login, &erased.username, &erased.name].map(String::as_str);
        assert_eq!((names, erased.bio.as_str()), (["anna"; 3], ""));
        assert_eq!((erased.photo, store.avatar(anna.id).await), (None, Ok(None)));
        assert_eq!(erased.deleted_at.is_some(), is_deleted);
    }
}

/// Without regard to case, ordered; no character is a wildcard.
pub async fn a_search_finds_parts_of_logins(fixture: &mut Fixture) {
    fixture
        .users(["delta", "Alpha", "al_ba", "50%", "back\\slash", "ЩУКА", "ΛΌΓΟΣ", "deleted-alpha"])
        .await;
    fixture.user("address@example.org").await;
    let deleted = fixture
        .store
        .account(AccountKey::Login("deleted-alpha"))
        .await
        .expect("the store answers")
        .expect("it was just created");
    let now = fixture.tick();
    fixture.store.delete_user(deleted.user.id, now).await.expect("the user exists");
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
        ("@", 10, vec![]),
        ("address", 10, vec![]),
        ("alpha ", 10, vec![]),
        ("a", 0, vec![]),
    ] {
        let found = fixture.store.search_users(query, limit).await.expect("the store answers");
        let found: Vec<&str> = found.iter().map(|user| user.login.as_str()).collect();
        assert_eq!(found, expected, "{query:?}, {limit}");
    }
}

/// However many have the text in a login that is an e-mail address.
pub async fn a_search_finds_a_login_beside_many_addresses(fixture: &mut Fixture) {
    let source: IdNamespace = "old".parse().expect("the name is plain");
    let (mut users, now) = (Vec::new(), fixture.tick());
    let mut add = |login: &str| {
        users.push(ImportUser {
            source_id: ExternalId(users.len() as u128 + 1),
            account: NewUser::named(login),
            created_at: now,
            deleted_at: None,
        });
    };
    (1..=501).for_each(|number| add(&format!("{number}@x.com")));
    add("comrade");
    fixture.store.begin_import(&source).await.expect("an import can be begun");
    let chunk = ImportChunk { users, ..ImportChunk::new(source) };
    fixture.store.import(chunk, now).await.expect("the logins are free");
    for query in ["c", "com", "comrade"] {
        let found = fixture.store.search_users(query, 10).await.expect("the store answers");
        let found: Vec<&str> = found.iter().map(|user| user.login.as_str()).collect();
        assert_eq!(found, ["comrade"], "{query:?}");
    }
}

/// By any number of characters, whichever they are.
pub async fn a_search_follows_changes_of_logins(fixture: &mut Fixture) {
    let [user, other] = fixture.users(["before", "\"it's\" AND *"]).await;
    let now = fixture.tick();
    let change = UserChange { login: Some("after".into()), ..UserChange::default() };
    fixture.store.update_user(user.id, change, now).await.expect("the login is free");
    let unchanged = UserChange { bio: Some("bio".into()), ..UserChange::default() };
    fixture.store.update_user(other.id, unchanged, now).await.expect("the user exists");
    for (query, expected) in [
        ("before", None),
        ("bef", None),
        ("b", None),
        ("after", Some(user.id)),
        ("fte", Some(user.id)),
        ("ft", Some(user.id)),
        ("\"it", Some(other.id)),
        ("t's\" and *", Some(other.id)),
        ("NEAR", None),
        ("*\"", None),
    ] {
        let found = fixture.store.search_users(query, 10).await.expect("the store answers");
        let found: Vec<UserId> = found.iter().map(|user| user.id).collect();
        assert_eq!(found, Vec::from_iter(expected), "{query:?}");
    }
}

/// In pages.
pub async fn users_are_listed_by_id(fixture: &mut Fixture) {
    let users = fixture.users(["e", "d", "c", "b", "a"]).await;
    let now = fixture.tick();
    fixture.store.delete_user(users[2].id, now).await.expect("the user exists");
    let expected: Vec<UserId> = [0, 1, 3, 4].map(|place| users[place].id).into();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.store.list_users(after, 2).await.expect("the store answers");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id);
        listed.extend(page.iter().map(|user| user.id));
    }
    assert_eq!(listed, expected);
}
