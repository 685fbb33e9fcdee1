//! Accounts, sessions and users.

use crate::fixtures::{ANN, BOB, CHAT, photo, user_id};
use crate::stories::commands::{NEWEST, history, list_flows, log_in, login, register};
use crate::stories::story::{Exchange, Step, Story};
use std::time::Duration;
use tolmach_domain::{
    Command, EventKind, Fault, FlowKindFilter, PhotoOf, Profile, RecoveryIdentifier, Secret,
    UserRef,
};

pub(crate) fn account() -> Story {
    let profile = |photo| {
        Command::CreateProfile(Box::new(Profile {
            username: "ann-the-user".to_owned(),
            name: "Ann Archer".to_owned(),
            bio: "I am ann".to_owned(),
            photo,
        }))
    };
    let get_user = |user| Command::GetUser { user };
    let search = |query: &str| Command::SearchUsers { query: query.to_owned(), limit: 50 };
    let deletion = |password: &str| Command::DeleteAccount {
        user: None,
        login: ANN.login.to_owned(),
        password: Secret::new(password),
    };
    let reset = || Command::ResetPassword {
        token: Secret::new("recovery-token"),
        password: Secret::new("new password"),
    };
    let refresh = || Command::Refresh { token: Secret::new(ANN.refresh) };
    let user_photo = || Command::GetPhoto { of: PhotoOf::User(BOB.user()) };
    Story {
        name: "account",
        steps: vec![
            Exchange::refused(&ANN, register("bob"), Fault::LoginTaken).unauthenticated().into(),
            Exchange::refused(
                &ANN,
                register("ann"),
                Fault::invalid("password", "at least one byte is expected"),
            )
            .unauthenticated()
            .into(),
            Exchange::granted(&ANN, "", register("ann")).unauthenticated().into(),
            Exchange::refused(
                &ANN,
                login("ann", "wrong"),
                Fault::WrongCredentials { login_exists: true },
            )
            .unauthenticated()
            .into(),
            Exchange::refused(
                &ANN,
                login("nobody", "wrong"),
                Fault::WrongCredentials { login_exists: false },
            )
            .unauthenticated()
            .into(),
            Exchange::refused(
                &ANN,
                login("ann", "wrong"),
                Fault::TooMany { retry_after: Duration::from_secs(30) },
            )
            .unauthenticated()
            .into(),
            Exchange::granted(&ANN, "by e-mail", login("ann@example.org", ANN.password))
                .unauthenticated()
                .into(),
            log_in(&ANN),
            Exchange::granted(&ANN, "", refresh()).unauthenticated().into(),
            Exchange::refused(&ANN, refresh(), Fault::Unauthenticated).unauthenticated().into(),
            Exchange::refused(&ANN, get_user(UserRef::Me), Fault::NoProfile).into(),
            Exchange::granted(&ANN, "with a photo", profile(Some(photo()))).into(),
            Exchange::granted(&ANN, "without a photo", profile(None)).into(),
            Exchange::refused(&ANN, profile(None), Fault::ProfileExists).into(),
            Exchange::granted(&ANN, "oneself", get_user(UserRef::Me)).into(),
            Exchange::granted(&ANN, "by id", get_user(UserRef::Id(BOB.user()))).into(),
            Exchange::granted(&ANN, "by login", get_user(UserRef::Login("bob".to_owned()))).into(),
            Exchange::refused(&ANN, get_user(UserRef::Id(user_id(404))), Fault::NoSuchUser).into(),
            Exchange::granted(&ANN, "of a user", user_photo()).into(),
            Exchange::refused(&ANN, user_photo(), Fault::NoPhoto).into(),
            Exchange::granted(&ANN, "some match", search("O")).into(),
            Exchange::granted(&ANN, "nobody matches", search("zzz")).into(),
            Exchange::refused(&ANN, search("o"), Fault::Unauthenticated).into(),
            Exchange::granted(&ANN, "", Command::Block { user: UserRef::Id(BOB.user()) }).into(),
            Exchange::granted(&ANN, "", Command::ListBlocked).into(),
            Exchange::granted(&ANN, "", Command::Unblock { user: UserRef::Id(BOB.user()) }).into(),
            Exchange::granted(
                &ANN,
                "by e-mail",
                Command::Recover {
                    identifier: RecoveryIdentifier::Email("ann@example.org".to_owned()),
                },
            )
            .unauthenticated()
            .into(),
            Exchange::granted(
                &ANN,
                "by login",
                Command::Recover { identifier: RecoveryIdentifier::Login("ann".to_owned()) },
            )
            .unauthenticated()
            .into(),
            Exchange::granted(&ANN, "", reset()).unauthenticated().into(),
            Exchange::refused(&ANN, reset(), Fault::Unauthenticated).unauthenticated().into(),
            Exchange::refused(
                &ANN,
                deletion("wrong"),
                Fault::WrongCredentials { login_exists: true },
            )
            .unauthenticated()
            .into(),
            Exchange::refused(
                &ANN,
                Command::Logout { login: Some("bob".to_owned()) },
                Fault::Unauthenticated,
            )
            .into(),
            Exchange::granted(
                &ANN,
                "naming oneself",
                Command::Logout { login: Some("ann".to_owned()) },
            )
            .into(),
            log_in(&ANN),
            Exchange::granted(&ANN, "", Command::Logout { login: None }).into(),
            log_in(&BOB),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::granted(
                &BOB,
                "to hear of the end",
                history(CHAT, FlowKindFilter::Chat, NEWEST),
            )
            .into(),
            Step::Event(Box::new(EventKind::SessionsEnded {
                user: BOB.user(),
                session: BOB.identity().session,
            })),
            log_in(&ANN),
            Exchange::granted(&ANN, "", deletion(ANN.password)).unauthenticated().into(),
        ],
    }
}
