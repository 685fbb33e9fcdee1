//! Trials of [`SessionStore`](crate::ports::SessionStore).

use super::fixture::{Fixture, HOUR, hash, refused, session_of};
use crate::ports::{AccountKey, NewSession, Rotation};
use tolmach_domain::{EventKind, Fault, SessionId, UserId};

/// Also an expired one and an ended one.
pub async fn a_session_is_found_by_token_and_id(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let id = fixture
        .store
        .open_session(session_of(&anna, Some(1), None, now))
        .await
        .expect("the user exists");
    let other = fixture
        .store
        .open_session(session_of(&anna, None, None, now))
        .await
        .expect("the user exists");
    assert!(other > id);
    let (session, user) =
        fixture.store.session(id).await.expect("the store answers").expect("it was just created");
    assert_eq!(Ok(Some(user.clone())), fixture.store.user(anna.id).await);
    assert_eq!(
        (session.id, session.user, session.expires_at, session.ended_at),
        (id, anna.id, now.after(HOUR), None)
    );
    assert_eq!(fixture.store.session_by_token(hash(1)).await, Ok(Some((session, user))));
    assert_eq!(fixture.store.session_by_token(hash(2)).await, Ok(None));
    assert_eq!(fixture.store.session(SessionId::new(999).expect("an id")).await, Ok(None));

    assert_eq!(fixture.store.renew_session(id, now.after(HOUR * 2)).await, Ok(()));
    assert_eq!(
        fixture.store.session(id).await.map(|found| found.map(|(session, _)| session.expires_at)),
        Ok(Some(now.after(HOUR * 2)))
    );
    assert_eq!(fixture.published(), []);

    let now = fixture.tick();
    assert_eq!(fixture.store.end_session(id, now).await, Ok(()));
    assert_eq!(
        fixture.published(),
        [EventKind::SessionsEnded { user: anna.id, session: Some(id) }]
    );
    let later = fixture.tick();
    assert_eq!(fixture.store.end_session(id, later).await, Ok(()));
    assert_eq!(fixture.store.end_session(SessionId::new(999).expect("an id"), later).await, Ok(()));
    assert_eq!(fixture.published(), []);
    let (ended, _) = fixture
        .store
        .session_by_token(hash(1))
        .await
        .expect("the store answers")
        .expect("it exists");
    assert_eq!(ended.ended_at, Some(now));
    let (other, _) =
        fixture.store.session(other).await.expect("the store answers").expect("it exists");
    assert_eq!(other.ended_at, None);
    let absent =
        NewSession { user: UserId::new(999).expect("an id"), ..session_of(&anna, None, None, now) };
    assert_eq!(fixture.store.open_session(absent).await, refused(Fault::NoSuchUser));
}

/// Rotations succeed in turn; a second use of a token is a copy of it.
pub async fn a_spent_refresh_token_ends_its_session(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let session = fixture
        .store
        .open_session(session_of(&anna, None, Some(1), now))
        .await
        .expect("the user exists");
    let rotated = Rotation::Rotated { user: anna.id, session };
    for step in 1..4 {
        let now = fixture.tick();
        assert_eq!(
            fixture
                .store
                .rotate_refresh(hash(step), hash(step + 1), u32::MAX, now, now.after(HOUR))
                .await,
            Ok(rotated)
        );
        let (session, _) = fixture
            .store
            .session(session)
            .await
            .expect("the store answers")
            .expect("the user exists");
        assert_eq!(session.expires_at, now.after(HOUR));
    }
    assert_eq!(fixture.published(), []);
    let now = fixture.tick();
    assert_eq!(
        fixture.store.rotate_refresh(hash(2), hash(9), u32::MAX, now, now.after(HOUR)).await,
        Ok(Rotation::Reused)
    );
    assert_eq!(
        fixture.published(),
        [EventKind::SessionsEnded { user: anna.id, session: Some(session) }]
    );
    assert_eq!(
        fixture
            .store
            .session(session)
            .await
            .map(|found| found.and_then(|(session, _)| session.ended_at)),
        Ok(Some(now))
    );
    for dead in [2, 4, 9] {
        assert_eq!(
            fixture
                .store
                .rotate_refresh(hash(dead), hash(10), u32::MAX, now, now.after(HOUR))
                .await,
            Ok(Rotation::Unknown)
        );
    }
    assert_eq!(fixture.published(), []);
}

/// Unknown, expired and ended ones have the same result.
pub async fn a_refresh_token_ends_with_its_session(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let ended = fixture
        .store
        .open_session(session_of(&anna, None, Some(1), now))
        .await
        .expect("the user exists");
    fixture
        .store
        .open_session(session_of(&anna, None, Some(2), now))
        .await
        .expect("the user exists");
    fixture.store.end_session(ended, now).await.expect("the store answers");
    for (token, now) in [(1, now), (2, now.after(HOUR)), (3, now)] {
        assert_eq!(
            fixture
                .store
                .rotate_refresh(hash(token), hash(9), u32::MAX, now, now.after(HOUR))
                .await,
            Ok(Rotation::Unknown),
            "{token}"
        );
    }
    // A token that could not be spent stores no next one.
    assert_eq!(
        fixture.store.rotate_refresh(hash(9), hash(10), u32::MAX, now, now.after(HOUR)).await,
        Ok(Rotation::Unknown)
    );
    assert!(matches!(
        fixture.store.rotate_refresh(hash(2), hash(10), u32::MAX, now, now.after(HOUR * 2)).await,
        Ok(Rotation::Rotated { .. })
    ));
    // The reuse of a spent token is detected until the token would have expired.
    assert_eq!(
        fixture
            .store
            .rotate_refresh(hash(2), hash(11), u32::MAX, now.after(HOUR), now.after(HOUR * 3))
            .await,
        Ok(Rotation::Unknown)
    );
    assert!(matches!(
        fixture
            .store
            .rotate_refresh(hash(10), hash(11), u32::MAX, now.after(HOUR), now.after(HOUR * 3))
            .await,
        Ok(Rotation::Rotated { .. })
    ));
}

/// Any one of a user's, before it expires; then none of them.
pub async fn a_recovery_token_is_spent_once(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let now = fixture.tick();
    let session = fixture
        .store
        .open_session(session_of(&anna, Some(1), None, now))
        .await
        .expect("the user exists");
    for (token, user) in [(2, &anna), (3, &anna), (4, &boris)] {
        fixture
            .store
            .put_recovery_token(hash(token), user.id, now.after(HOUR))
            .await
            .expect("the user exists");
    }
    let late = now.after(HOUR);
    for (token, at, open) in
        [(2, now, true), (3, now, true), (3, late, false), (4, now, true), (5, now, false)]
    {
        assert_eq!(
            fixture.store.is_recovery_token_valid(hash(token), at).await,
            Ok(open),
            "{token}"
        );
        if !open {
            assert_eq!(
                fixture.store.spend_recovery_token(hash(token), "stolen".into(), at).await,
                Ok(None),
                "{token}"
            );
        }
    }
    assert_eq!(fixture.published(), []);
    let now = fixture.tick();
    assert_eq!(
        fixture.store.spend_recovery_token(hash(3), "new".into(), now).await,
        Ok(Some(anna.id))
    );
    assert_eq!(fixture.published(), [EventKind::SessionsEnded { user: anna.id, session: None }]);
    assert_eq!(
        fixture
            .store
            .session(session)
            .await
            .map(|found| found.and_then(|(session, _)| session.ended_at)),
        Ok(Some(now))
    );
    let account =
        fixture.store.account(AccountKey::Login("anna")).await.expect("the store answers");
    assert_eq!(account.and_then(|account| account.password_hash).as_deref(), Some("new"));
    for token in [2, 3] {
        assert_eq!(fixture.store.is_recovery_token_valid(hash(token), now).await, Ok(false));
        let again = fixture.store.spend_recovery_token(hash(token), "again".into(), now).await;
        assert_eq!(again, Ok(None), "{token}");
    }
    assert_eq!(fixture.store.is_recovery_token_valid(hash(4), now).await, Ok(true));
    assert_eq!(
        fixture.store.put_recovery_token(hash(6), UserId::new(999).expect("an id"), late).await,
        refused(Fault::NoSuchUser)
    );
}
