//! Refusals while the store is unavailable: each dialect's client reads a refusal, never an
//! acknowledgement, and is served again afterwards on the same connection.

use crate::environment::{Environment, get};
use crate::progress::Progress;
use crate::users::{Failure, STEP_TIMEOUT, TestUser, failure, messages, request};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tolmach_client::{Client, Outcome};
use tolmach_domain::{Fault, FlowId};

/// The size of the disk that is filled, in bytes: little more than an empty store.
const DISK_BYTES: u64 = 6 << 20;

/// The time after which recovery is given up.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// PostgreSQL is down.
pub(crate) async fn postgres_down(progress: Arc<Progress>) -> Result<(), Failure> {
    let Some(environment) = Environment::cluster(&[]).await? else { return Ok(()) };
    let postgres = &environment.servers.as_ref().ok_or("a cluster has servers")?.postgres;
    let stop = || {
        block_in_place(|| postgres.stop_immediately());
        Ok(())
    };
    let start = || {
        block_in_place(|| postgres.start_again());
        Ok(())
    };
    writes_are_refused(&environment, &progress, stop, start, 503).await
}

/// The disk is full. Reading still works, so the gateway is ready.
pub(crate) async fn disk_full(progress: Arc<Progress>) -> Result<(), Failure> {
    let Some(environment) = Environment::on_disk_of(DISK_BYTES).await? else { return Ok(()) };
    let filler = environment.sqlite().with_file_name("filler");
    let fill = || {
        let mut file = File::create(&filler).map_err(failure)?;
        // Down to the last byte.
        for size in [64 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    };
    let empty = || std::fs::remove_file(&filler).map_err(failure);
    writes_are_refused(&environment, &progress, fill, empty, 200).await
}

/// A client of each dialect posts before, during and after the outage, all on one connection.
async fn writes_are_refused(
    environment: &Environment,
    progress: &Progress,
    begin_outage: impl FnOnce() -> Result<(), Failure>,
    end_outage: impl FnOnce() -> Result<(), Failure>,
    ready: u16,
) -> Result<(), Failure> {
    progress.begin_step("before the outage");
    let members: Vec<_> = environment.writers.iter().map(|writer| writer.id).collect();
    let first = environment.nodes[0].address()?;
    let flow = environment.writers[0].create_group(first, "outage", &members).await?;
    let (mut clients, mut acknowledged) = (Vec::new(), Vec::new());
    for (number, writer) in environment.writers.iter().enumerate() {
        let node = environment.nodes[number % environment.nodes.len()].address()?;
        let mut client = writer.join(node, flow).await?.0;
        post_until_acknowledged(&mut client, writer, flow, "before", &mut acknowledged).await?;
        clients.push((writer, client));
    }
    progress.begin_step("the outage");
    begin_outage()?;
    for (writer, client) in &mut clients {
        match post(client, flow, &text_of(writer, "during")).await? {
            Outcome::Refused(Fault::Unavailable) => {}
            outcome => {
                return Err(format!("{}: {outcome:?} while nothing can be stored", writer.login));
            }
        }
    }
    for node in &environment.nodes {
        let status = readiness(node.address()?).await?;
        if status != ready {
            return Err(format!("/readyz answers {status}, not {ready}"));
        }
    }
    progress.begin_step("after the outage");
    end_outage()?;
    for (writer, client) in &mut clients {
        post_until_acknowledged(client, writer, flow, "after", &mut acknowledged).await?;
    }
    for writer in &environment.writers {
        let Some(mut history) = writer.history(first, flow).await? else { continue };
        history.sort();
        acknowledged.sort();
        // A refused message may be stored if the store's own answer was lost, but only once.
        history.dedup();
        history.retain(|text| !text.ends_with("during"));
        if history != acknowledged {
            return Err(format!("{} reads {history:?} of {acknowledged:?}", writer.login));
        }
    }
    Ok(())
}

fn text_of(writer: &TestUser, time: &str) -> String {
    format!("{} {time}", writer.login)
}

async fn post_until_acknowledged(
    client: &mut Client,
    writer: &TestUser,
    flow: FlowId,
    time: &str,
    acknowledged: &mut Vec<String>,
) -> Result<(), Failure> {
    let text = text_of(writer, time);
    let posting = async {
        loop {
            match post(client, flow, &text).await? {
                Outcome::Answer(_) => return Ok(()),
                Outcome::Refused(Fault::Unavailable) => tokio::task::yield_now().await,
                outcome => return Err(format!("{}: {outcome:?}", writer.login)),
            }
        }
    };
    timeout(RECOVERY_TIMEOUT, posting)
        .await
        .map_err(|_| format!("{} is still refused", writer.login))??;
    acknowledged.push(text);
    Ok(())
}

async fn post(client: &mut Client, flow: FlowId, text: &str) -> Result<Outcome, Failure> {
    request(STEP_TIMEOUT, "posting", client, &messages(flow, text, None)).await
}

async fn readiness(node: SocketAddr) -> Result<u16, Failure> {
    let response = get(node, "/readyz").await?;
    response
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| format!("/readyz answers with {response:?}"))
}
