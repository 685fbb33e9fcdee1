//! Attacks by WebSocket frames.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::siege::arena::Attacker;
use crate::siege::wire_frames::{Opcode, RawWebSocket, header, open};
use crate::wire::Wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The length of a message that never ends, in bytes.
const MESSAGE: u64 = 16 << 20;
/// The bytes of one write.
const CHUNK: usize = 16 << 10;
/// The paths that the attackers connect to in turn.
const PATHS: [&str; 4] = ["/", "/ws", "/morelia", "/mode"];

/// Sends a fragment of 16 MiB that is not the last one.
pub(crate) async fn unfinished(attacker: Attacker) -> BenchResult<()> {
    let path = PATHS[attacker.number % PATHS.len()];
    let mut socket = open(attacker.arena.server, attacker.source(), path).await?;
    send_unfinished(&attacker, &mut socket).await
}

/// The same after a request with a valid token.
pub(crate) async fn unfinished_of_user(attacker: Attacker) -> BenchResult<()> {
    let wire: Wire = "morelia".parse()?;
    let (server, source, user) = (attacker.arena.server, attacker.source(), attacker.user());
    let connection = Connection::subscribe(server, source, wire, user, None).await?;
    let mut socket = RawWebSocket(connection.into_parts().0);
    send_unfinished(&attacker, &mut socket).await
}

async fn send_unfinished(attacker: &Attacker, socket: &mut RawWebSocket) -> BenchResult<()> {
    let stream = socket.stream();
    stream.write_all(&header(Opcode::Text, false, MESSAGE)).await?;
    attacker.arena.tally.act();
    let chunk = [b' '; CHUNK];
    let mut received = [0; 64];
    for _ in 0..MESSAGE / CHUNK as u64 {
        stream.write_all(&chunk).await?;
    }
    attacker.arena.tally.granted();
    // The fragment stands; whatever the gateway sends keeps the connection.
    while stream.read(&mut received).await? > 0 {
        stream.write_all(&header(Opcode::Ping, true, 0)).await?;
    }
    Ok(())
}

/// Sends empty continuation frames without a pause.
pub(crate) async fn empty_continuations(attacker: Attacker) -> BenchResult<()> {
    let begin = header(Opcode::Text, false, 0);
    flood(attacker, &begin, &header(Opcode::Continuation, false, 0)).await
}

/// Sends pings without a pause, and reads no pong.
pub(crate) async fn pings(attacker: Attacker) -> BenchResult<()> {
    flood(attacker, &[], &header(Opcode::Ping, true, 0)).await
}

/// Sends requests that the gateway answers without the store.
pub(crate) async fn small_frames(attacker: Attacker) -> BenchResult<()> {
    flood(attacker, &[], &text_frame(r#"{"mode":"ping","timestamp":1700000000.0}"#)).await
}

/// Sends frames that are no JSON, or nested more deeply than allowed.
pub(crate) async fn malformed(attacker: Attacker) -> BenchResult<()> {
    let deep = format!(r#"{{"mode":{}"#, "[".repeat(4_000));
    let frame = if attacker.number.is_multiple_of(2) { "not JSON" } else { &deep };
    flood(attacker, &[], &text_frame(frame)).await
}

fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = header(Opcode::Text, true, text.len() as u64);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Sends one frame again and again, as many as fit in a write, and drops what comes back.
async fn flood(attacker: Attacker, begin: &[u8], frame: &[u8]) -> BenchResult<()> {
    let mut socket = open(attacker.arena.server, attacker.source(), "/mode").await?;
    let (mut reader, mut writer) = socket.stream().split();
    let count = CHUNK.div_ceil(frame.len());
    let frames = frame.repeat(count);
    let write = async {
        writer.write_all(begin).await?;
        loop {
            writer.write_all(&frames).await?;
            (0..count).for_each(|_| attacker.arena.tally.act());
        }
    };
    let read = async {
        let mut received = [0; CHUNK];
        while reader.read(&mut received).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}
