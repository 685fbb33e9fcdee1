//! Attacks by connections.

use crate::result::BenchResult;
use crate::siege::arena::Attacker;
use crate::siege::wire_frames::open;
use crate::websocket::connect_tcp;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The time between two bytes of a head.
const BYTE_INTERVAL: Duration = Duration::from_secs(1);

/// Connects and sends nothing.
pub(crate) async fn silent(attacker: Attacker) -> BenchResult<()> {
    let mut socket = open(attacker.arena.server, attacker.source(), "/mode").await?;
    attacker.arena.tally.act();
    let mut received = [0; 64];
    while socket.stream().read(&mut received).await? > 0 {}
    Ok(())
}

/// Sends the head of a request byte by byte.
pub(crate) async fn slow_head(attacker: Attacker) -> BenchResult<()> {
    let mut stream = connect_tcp(attacker.arena.server, attacker.source()).await?;
    attacker.arena.tally.act();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(BYTE_INTERVAL).await;
    }
}

/// Connects and ends the connection.
pub(crate) async fn churn(attacker: Attacker) -> BenchResult<()> {
    loop {
        drop(open(attacker.arena.server, attacker.source(), "/mode").await?);
        attacker.arena.tally.act();
    }
}
