//! Attacks by requests of users.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::seeder::Seeder;
use crate::siege::arena::Attacker;
use crate::users::{BenchUser, LOWEST_COST};
use crate::websocket::connect_tcp;
use crate::wire::Wire;
use std::future::pending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tolmach_domain::{Command, FlowId, FlowKind, NewFlow};

/// The messages of a large history.
const MESSAGES: usize = 1_000;
/// The text of each of them, in bytes: as long as is allowed.
const TEXT: usize = 64 << 10;
/// The groups with a large last message, and the bytes of it.
const GROUPS: usize = 40;
const LAST_TEXT: usize = 1 << 20;
/// The members with large avatars, and the bytes of each.
const MEMBERS: usize = 512;
const AVATAR: usize = 200_000;
/// The requests for a large answer that one connection makes before it reads.
const UNREAD: usize = 4;

/// Creates a group with a large history.
pub(crate) async fn large_history(seeder: &Seeder, users: &[BenchUser]) -> BenchResult<FlowId> {
    let flow = seeder.group(users).await?;
    seeder.post(&users[0], flow, MESSAGES, TEXT).await?;
    Ok(flow)
}

/// Creates groups of all attackers, each with a large message.
pub(crate) async fn large_last_messages(seeder: &Seeder, users: &[BenchUser]) -> BenchResult<()> {
    for flow in seeder.groups(users, GROUPS, users.len()).await? {
        seeder.post(&users[0], flow, 1, LAST_TEXT).await?;
    }
    Ok(())
}

/// Creates a group of the attackers and of users with large avatars.
pub(crate) async fn large_avatars(seeder: &Seeder, users: &[BenchUser]) -> BenchResult<FlowId> {
    let mut members = users.to_vec();
    members.extend(seeder.users_with_avatar("portrait", MEMBERS, LOWEST_COST, AVATAR).await?);
    seeder.group(&members).await
}

/// Requests a large history several times and reads nothing.
pub(crate) async fn read_no_history(attacker: Attacker) -> BenchResult<()> {
    let (server, source, user) = (attacker.arena.server, attacker.source(), attacker.user());
    let flow = attacker.arena.prize.flow()?;
    let request = || Wire::MODE.history_request(user, flow);
    let mut connection = Connection::open(server, source, Wire::MODE, &request()).await?;
    for _ in 0..UNREAD {
        connection.send(request()).await?;
        attacker.arena.tally.act();
    }
    pending().await
}

/// Requests the list of conversations several times and reads nothing.
pub(crate) async fn read_no_list(attacker: Attacker) -> BenchResult<()> {
    let mut stream = connect_tcp(attacker.arena.server, attacker.source()).await?;
    let head = get("/api/v1/chats", attacker.user());
    for _ in 0..UNREAD {
        stream.write_all(head.as_bytes()).await?;
        attacker.arena.tally.act();
    }
    pending().await
}

/// Reads a group with its members again and again.
pub(crate) async fn read_group(attacker: Attacker) -> BenchResult<()> {
    let mut stream = connect_tcp(attacker.arena.server, attacker.source()).await?;
    let path = format!("/api/v1/group/{}", attacker.arena.prize.flow()?.get());
    let head = get(&path, attacker.user());
    let mut received = vec![0; 1 << 20];
    loop {
        stream.write_all(head.as_bytes()).await?;
        attacker.arena.tally.act();
        if stream.read(&mut received).await? == 0 {
            return Ok(());
        }
        attacker.arena.tally.granted();
    }
}

/// Searches for users again and again.
pub(crate) async fn search(attacker: Attacker) -> BenchResult<()> {
    let wire: Wire = "sndmsg".parse()?;
    repeat(attacker, wire, |_| Command::SearchUsers { query: "e".into(), limit: 50 }).await
}

/// Posts messages as large as allowed, and waits for no answer.
pub(crate) async fn large_messages(attacker: Attacker) -> BenchResult<()> {
    let (server, source, user) = (attacker.arena.server, attacker.source(), attacker.user());
    let flow = attacker.arena.prize.flow()?;
    let request = || Wire::MODE.send_request(user, flow, "x".repeat(TEXT));
    let mut connection = Connection::open(server, source, Wire::MODE, &request()).await?;
    loop {
        connection.send(request()).await?;
        attacker.arena.tally.act();
    }
}

/// Creates groups of which the victim is a member.
pub(crate) async fn groups_with_victim(attacker: Attacker) -> BenchResult<()> {
    let victim = attacker.arena.prize.victim()?.id;
    let wire: Wire = "morelia".parse()?;
    let group = move |number| {
        Command::CreateFlow(Box::new(NewFlow {
            kind: FlowKind::Group,
            title: format!("group {number}"),
            info: String::new(),
            members: vec![victim],
            photo: None,
            key: None,
        }))
    };
    repeat(attacker, wire, group).await
}

/// Makes requests of a user one after the other; the argument of `command` counts them.
async fn repeat(
    attacker: Attacker,
    wire: Wire,
    command: impl Fn(usize) -> Command,
) -> BenchResult<()> {
    let (server, source, user) = (attacker.arena.server, attacker.source(), attacker.user());
    let mut connection = Connection::subscribe(server, source, wire, user, None).await?;
    for number in 0.. {
        attacker.arena.tally.act();
        connection.request(wire.request(user, command(number))).await?;
        attacker.arena.tally.granted();
    }
    Ok(())
}

fn get(path: &str, user: &BenchUser) -> String {
    let token = user.access.expose();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
}
