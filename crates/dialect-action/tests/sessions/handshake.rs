//! Who is let in.

use crate::{ADMINISTRATORS, MEMBERS, NOW, TOKEN, opening, reply, request, said, user};
use std::time::Duration;
use tolmach_dialect::{Dialect, Frame, Line, Opening, Settings, Side};
use tolmach_dialect_action::Action;
use tolmach_domain::{Answer, Authority, Command, Credentials, Fault, Secret, UserRef};

const ORIGIN: (&str, &str) = ("origin", "http://localhost:80");

#[test]
fn a_handshake_without_token_or_allowed_origin_is_answered_with_403_and_nothing_else() {
    let token = ("authorization", TOKEN);
    static LISTED: std::sync::LazyLock<[String; 1]> =
        std::sync::LazyLock::new(|| ["https://chat.example.org".to_owned()]);
    let list = LISTED.as_slice();
    for (headers, origins, good) in [
        (&[token, ORIGIN][..], &[][..], true),
        (&[token, ("origin", "https://chat.example.org")], list, true),
        (
            &[token, ("host", "chat.example.org:8080"), ("origin", "https://chat.example.org")],
            &[],
            true,
        ),
        (&[token, ("origin", "https://chat.example.org")], &[], false),
        (&[token, ORIGIN], list, false),
        (&[token], &[], false),
        (&[token, ("origin", "null")], &[], false),
        (&[ORIGIN], &[], false),
        (&[("authorization", "Bearer"), ORIGIN], &[], false),
        (&[("authorization", "Basic YTpi"), ORIGIN], &[], false),
        (&[("authorization", "Bearer a b"), ORIGIN], &[], false),
        (&[], &[], false),
    ] {
        let parts = request(MEMBERS, headers);
        let opening =
            Opening { settings: Settings { origins, ..Settings::default() }, ..opening(&parts) };
        match Action::default().open(&opening, Side::Server) {
            Ok(_) => assert!(good, "{headers:?}"),
            Err(refusal) => {
                assert!(!good, "{headers:?}");
                assert_eq!(
                    (refusal.response.status().as_u16(), refusal.response.body().len()),
                    (403, 0)
                );
            }
        }
    }
    let parts = request(MEMBERS, &[]);
    let without = Opening { request: None, ..opening(&parts) };
    assert!(Action::default().open(&without, Side::Server).is_err(), "no handshake at all");
}

#[test]
fn a_handshake_asks_who_is_there_in_the_right_of_its_door() {
    for (path, authority) in [
        (MEMBERS, Authority::Member),
        ("/ws/chat", Authority::Member),
        (ADMINISTRATORS, Authority::Administrator),
        ("/ws/admin-chat?x", Authority::Administrator),
        ("/ws", Authority::Member),
    ] {
        let parts = request(path, &[("authorization", TOKEN), ORIGIN]);
        let mut session =
            Action::default().open(&opening(&parts), Side::Server).expect("the handshake is good");
        let mut lines = Vec::new();
        session.greet(*NOW, &mut lines);
        let [Line::Ask(ask)] = &lines[..] else { panic!("{lines:?} was asked") };
        assert_eq!(
            (&ask.proof, ask.authority),
            (&Credentials::Bearer(Secret::new("a.b.c")), authority),
            "{path}"
        );
        assert_eq!(ask.command, Command::GetUser { who: UserRef::Me });
        assert_eq!(said(&mut *session, &reply(&ask.echo, Ok(Answer::User(Box::new(user(1)))))), []);
    }
}

#[test]
fn whatever_is_wrong_with_the_token_is_answered_alike() {
    for fault in [
        Fault::Unauthenticated,
        Fault::NoProfile,
        Fault::NotAdministrator,
        Fault::NoSuchUser,
        Fault::TooMany { retry_after: Duration::from_secs(1) },
        Fault::Unavailable,
        Fault::Internal,
    ] {
        let parts = request(ADMINISTRATORS, &[("authorization", TOKEN), ORIGIN]);
        let mut session =
            Action::default().open(&opening(&parts), Side::Server).expect("the handshake is good");
        let mut lines = Vec::new();
        session.greet(*NOW, &mut lines);
        let [Line::Ask(ask)] = &lines[..] else { panic!("{lines:?} was asked") };
        match &said(&mut *session, &reply(&ask.echo, Err(fault.clone())))[..] {
            [Frame::Response(response)] => assert_eq!(
                (response.status().as_u16(), response.body().len()),
                (403, 0),
                "{fault:?}"
            ),
            other => panic!("{fault:?} is answered with {other:?}"),
        }
    }
}
