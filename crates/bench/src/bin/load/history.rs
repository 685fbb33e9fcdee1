//! Histories, each asked for after the one before.

use crate::Outcome;
use crate::sends::race;
use crate::server::{Server, Subject, data_folder};
use crate::wire::{Peer, Wire, source};
use crate::world::{CHEAP, Member, World, many, sqlite};
use serde_json::Value;
use std::sync::Arc;
use tolmach_domain::{Answer, FlowId};

/// The length of a message's text, in bytes.
const TEXT: usize = 100;

/// Histories.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Arguments {
    /// How many ask at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many messages each history has
    #[arg(long, default_value_t = 50)]
    messages: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures how many histories a second are read with `mode`.
pub(crate) async fn measure(arguments: Arguments) -> Outcome<Value> {
    let Arguments { connections, messages, seconds } = arguments;
    let data = data_folder()?;
    let world = World::open(&sqlite(data.path())).await?;
    let members = world.members("member", connections, CHEAP).await?;
    let flow = world.group(&members).await?;
    world
        .post(members.first().ok_or("one connection or more is expected")?, flow, messages, TEXT)
        .await?;
    world.close().await;
    let server = Server::start(Subject::Tolmach, data.path(), &[])?;
    let (address, members) = (server.address, Arc::new(members));
    let readers = many(connections, connections, move |index| {
        let member = members[index].clone();
        async move {
            Ok(Reader {
                peer: Wire::Mode.enter(address, source(index), &member, None).await?,
                member,
                flow,
                messages,
            })
        }
    })
    .await?;
    let cpu = server.cpu()?;
    let read =
        race(
            readers,
            seconds,
            |mut reader: Reader| async move { reader.read().await.map(|()| reader) },
        )
        .await?;
    Ok(read.json(server.cpu()? - cpu))
}

struct Reader {
    peer: Peer,
    member: Member,
    flow: FlowId,
    messages: usize,
}

impl Reader {
    async fn read(&mut self) -> Outcome<()> {
        match self.peer.ask(Wire::Mode.read(&self.member, self.flow)).await? {
            Answer::History(page) if page.messages.len() == self.messages => Ok(()),
            answer => {
                Err(format!("a history of {} messages was expected, not {answer:?}", self.messages)
                    .into())
            }
        }
    }
}
