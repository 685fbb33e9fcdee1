//! What clients are told while the store cannot serve them: each dialect's own word for it, never
//! an acknowledgement; and that it passes by itself.

use crate::people::{self, Person, Trouble};
use crate::stand::{Stand, get};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tolmach_client::{Client, Told};
use tolmach_domain::{Command, Content, Fault, FlowId, FlowKindFilter, NewMessage};

/// The disk of the trial that fills it, in bytes: room for a store and little more.
const DISK: u64 = 6 << 20;

/// How long recovery may take. Only ever reached by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// While PostgreSQL is down.
pub(crate) async fn without_a_server() -> Result<(), Trouble> {
    let Some(stand) = Stand::cluster(&[]).await? else { return Ok(()) };
    let postgres = &stand.cluster.as_ref().ok_or("no cluster")?.postgres;
    let stop = || {
        tokio::task::block_in_place(|| postgres.stop_immediately());
        Ok(())
    };
    let start = || {
        tokio::task::block_in_place(|| postgres.start_again());
        Ok(())
    };
    refused_meanwhile(&stand, stop, start, 503).await
}

/// While the disk is full. What is there can be read, so the gateway is ready.
pub(crate) async fn without_room() -> Result<(), Trouble> {
    let Some(stand) = Stand::on_disk_of(DISK).await? else { return Ok(()) };
    let ballast = stand.sqlite().with_file_name("ballast");
    let fill = || {
        let mut file = File::create(&ballast).map_err(text)?;
        // Down to the last byte.
        for size in [64 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    };
    refused_meanwhile(&stand, fill, || std::fs::remove_file(&ballast).map_err(text), 200).await
}

/// Somebody of each dialect speaks before, while and after the store cannot keep it, all on one
/// connection.
async fn refused_meanwhile(
    stand: &Stand,
    break_it: impl FnOnce() -> Result<(), Trouble>,
    heal: impl FnOnce() -> Result<(), Trouble>,
    ready: u16,
) -> Result<(), Trouble> {
    let members: Vec<_> = stand.writers.iter().map(|writer| writer.id).collect();
    let first = stand.nodes[0].address()?;
    let flow = stand.writers[0].group(first, "refusals", &members).await?;
    let (mut speaking, mut acknowledged) = (Vec::new(), Vec::new());
    for (number, writer) in stand.writers.iter().enumerate() {
        let node = stand.nodes[number % stand.nodes.len()].address()?;
        let mut client = writer.enter(node, flow).await?.0;
        keep(&mut client, writer, flow, "before", &mut acknowledged).await?;
        speaking.push((writer, client));
    }
    break_it()?;
    for (writer, client) in &mut speaking {
        match say(client, flow, &words(writer, "meanwhile")).await? {
            Told::Refused(Fault::Unavailable) => {}
            told => {
                return Err(format!(
                    "{}: {told:?} was told while nothing could be kept",
                    writer.login
                ));
            }
        }
    }
    for node in &stand.nodes {
        let told = readiness(node.address()?).await?;
        if told != ready {
            return Err(format!("/readyz says {told}, not {ready}"));
        }
    }
    heal()?;
    for (writer, client) in &mut speaking {
        keep(client, writer, flow, "after", &mut acknowledged).await?;
    }
    for writer in &stand.writers {
        let Some(mut history) = writer.history(first, flow).await? else { continue };
        history.sort();
        acknowledged.sort();
        // What was refused may have been kept all the same where the answer was lost, but not
        // twice.
        history.dedup();
        history.retain(|text| !text.ends_with("meanwhile"));
        if history != acknowledged {
            return Err(format!("{} reads {history:?} of {acknowledged:?}", writer.login));
        }
    }
    Ok(())
}

fn words(writer: &Person, when: &str) -> String {
    format!("{} {when}", writer.login)
}

/// Says something until it is kept, and notes that it was.
async fn keep(
    client: &mut Client,
    writer: &Person,
    flow: FlowId,
    when: &str,
    acknowledged: &mut Vec<String>,
) -> Result<(), Trouble> {
    let words = words(writer, when);
    let kept = async {
        loop {
            match say(client, flow, &words).await? {
                Told::Answer(_) => return Ok(()),
                Told::Refused(Fault::Unavailable) => tokio::task::yield_now().await,
                told => return Err(format!("{}: {told:?}", writer.login)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, kept)
        .await
        .map_err(|_| format!("{} is still refused", writer.login))??;
    acknowledged.push(words);
    Ok(())
}

async fn say(client: &mut Client, flow: FlowId, words: &str) -> Result<Told, Trouble> {
    let draft = |kinds| {
        Command::Send(Box::new(NewMessage {
            flow,
            kinds,
            content: Content::text(words),
            key: None,
        }))
    };
    tokio::time::timeout(
        people::PATIENCE,
        client.say_any(&[FlowKindFilter::Shared, FlowKindFilter::Any].map(draft)),
    )
    .await
    .map_err(|_| "a message was answered with nothing".to_owned())?
    .map_err(text)
}

async fn readiness(node: SocketAddr) -> Result<u16, Trouble> {
    let page = get(node, "/readyz").await?;
    page.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| format!("{page} is no response"))
}

fn text(error: impl std::fmt::Display) -> Trouble {
    error.to_string()
}
