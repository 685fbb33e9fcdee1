//! Attacks on accounts.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::siege::arena::Attacker;
use crate::users::PASSWORD;
use crate::wire::Wire;
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_dialect::{Correlation, Request};
use tolmach_domain::{Command, Credentials, GrantKind, RecoveryIdentifier, Registration, Secret};

/// Signs up under a new login, again and again.
pub(crate) async fn sign_up(attacker: Attacker) -> BenchResult<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command = || {
        let login = format!("new-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let password = Secret::new(PASSWORD);
        Command::Register(Box::new(Registration::new(login, password, GrantKind::Token)))
    };
    request_again_and_again(attacker, command).await
}

/// Requests a recovery link for an account, again and again.
pub(crate) async fn recover(attacker: Attacker) -> BenchResult<()> {
    let login = attacker.arena.prize.victim()?.login.clone();
    let command = move || Command::Recover { identifier: RecoveryIdentifier::Login(login.clone()) };
    request_again_and_again(attacker, command).await
}

/// Makes requests without credentials, one after the other; a fault ends it.
async fn request_again_and_again(
    attacker: Attacker,
    command: impl Fn() -> Command,
) -> BenchResult<()> {
    let request = || Request::new(Correlation::NONE, Credentials::Nothing, command());
    let (server, source) = (attacker.arena.server, attacker.source());
    let mut connection = Connection::open(server, source, Wire::MODE, &request()).await?;
    loop {
        attacker.arena.tally.act();
        connection.request(request()).await?;
        attacker.arena.tally.granted();
    }
}
