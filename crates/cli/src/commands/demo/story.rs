//! The story: all clients join, meet in a group, send greetings, receive those of the others, and
//! read the same history.

use super::steps::{create_group, greet, greeting, join, read_history, wait_for_message};
use super::transcript::Transcript;
use crate::dialects;
use crate::error::{CliError, RuntimeError};
use std::net::SocketAddr;
use std::sync::Arc;
use tolmach_client::{Client, FrameObserver};
use tolmach_domain::FlowId;
use tolmach_engine::Engine;

const NAMES: [&str; 8] = ["anna", "boris", "clara", "daniil", "emma", "fedor", "greta", "hugo"];

/// Plays the story; its summary.
pub(super) async fn play(
    engine: &Engine,
    address: SocketAddr,
    transcript: &Arc<Transcript>,
) -> Result<String, CliError> {
    let mut clients = clients(address, transcript);
    let mut users = Vec::new();
    transcript.chapter("All clients join, each through its own dialect");
    for client in &mut clients {
        users.push(join(engine, client, transcript).await?.id);
    }
    transcript.chapter("They meet in a group");
    let group = create_group(engine, &mut clients, &users, transcript).await?;
    for client in &mut clients {
        read_history(client, group).await?;
    }
    transcript.chapter("Each says hello");
    for client in &mut clients {
        greet(client, group).await?;
    }
    let pushed = wait_for_greetings(&mut clients).await?;
    transcript.chapter("All read the same history");
    compare_histories(&mut clients, group, transcript).await?;
    Ok(format!(
        "\n{} clients of {} dialects talked; {pushed} were pushed every message of the others.\n",
        clients.len(),
        dialects::ids().len()
    ))
}

/// A client of every dialect that has a client side.
fn clients(address: SocketAddr, transcript: &Arc<Transcript>) -> Vec<Client> {
    let dialects = dialects::all().into_iter().filter(|dialect| dialect.client().is_some());
    dialects
        .enumerate()
        .map(|(number, dialect)| {
            let name =
                NAMES.get(number).map_or_else(|| format!("guest{number}"), |&name| name.into());
            Client::new(name, dialect, address, transcript.clone() as Arc<dyn FrameObserver>)
        })
        .collect()
}

/// Waits until every client whose dialect pushes messages has received those of all others; their
/// number.
async fn wait_for_greetings(clients: &mut [Client]) -> Result<usize, CliError> {
    let greetings: Vec<_> = clients.iter().map(greeting).collect();
    let mut pushed = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        if !client.dialect().manifest().capabilities.pushes_posted {
            continue;
        }
        for (_, text) in greetings.iter().enumerate().filter(|(other, _)| *other != number) {
            wait_for_message(client, text).await?;
        }
        pushed += 1;
    }
    Ok(pushed)
}

/// Compares what every client reads with what was sent.
async fn compare_histories(
    clients: &mut [Client],
    group: FlowId,
    transcript: &Transcript,
) -> Result<(), CliError> {
    let sent: Vec<_> = clients.iter().map(greeting).collect();
    for client in clients {
        let Some(read) = read_history(client, group).await? else {
            transcript.remark(&format!("{}'s dialect has no request for a history", client.name()));
            continue;
        };
        if read != sent {
            let name = client.name();
            let text = format!("{name} reads {read:?}, and {sent:?} was sent");
            return Err(RuntimeError::Demo(text).into());
        }
    }
    Ok(())
}
