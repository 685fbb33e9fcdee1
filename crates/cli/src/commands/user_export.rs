//! `tolmach user export`

use super::export::{flow, member, message, user};
use crate::backend::Backend;
use crate::error::{CliError, RuntimeError};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tolmach_domain::{FlowId, Message, User, UserId};
use tolmach_engine::ports::StoredUser;
use tolmach_world::{self as world, Record};

/// Records read at once.
const PAGE: u32 = 1_000;

/// Writes what is stored of a user into a new folder: `data.jsonl`, in the form tolmach-world/1
/// without the password's hash, and the photo.
pub(super) async fn export(
    backend: &Backend,
    account: User,
    folder: &Path,
) -> Result<String, CliError> {
    let id = account.id;
    std::fs::create_dir(folder).map_err(RuntimeError::Output)?;
    let file = File::create_new(folder.join("data.jsonl")).map_err(RuntimeError::Output)?;
    let mut data = Data(BufWriter::new(file));
    data.write(&Record::World(world::Header::new("user")))?;
    for found in backend.engine.export_users(UserId::new(id.get() - 1).ok(), 1).await? {
        data.write(&user(StoredUser { password_hash: None, ..found }))?;
    }
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let page = backend.engine.export_members(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.flow, last.user));
        members.extend(page.into_iter().filter(|found| found.user == id));
    }
    let mut flows: BTreeSet<FlowId> = members.iter().map(|member| member.flow).collect();
    each_message(backend, id, |found| {
        flows.insert(found.flow);
        Ok(())
    })
    .await?;
    let mut after = None;
    loop {
        let page = backend.engine.export_flows(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.flow.id);
        for found in page.into_iter().filter(|found| flows.contains(&found.flow.id)) {
            data.write(&flow(found))?;
        }
    }
    let mut count = 0_u64;
    each_message(backend, id, |found| {
        count += 1;
        data.write(&message(found))
    })
    .await?;
    for found in members {
        data.write(&member(found))?;
    }
    data.0.flush().map_err(RuntimeError::Output)?;
    if let Some(photo) = account.photo {
        let photo = backend.engine.photo(photo).await?;
        let kind = photo.media_type.rsplit('/').next().unwrap_or_default();
        let path = folder.join(format!("photo.{kind}"));
        std::fs::write(path, &photo.content).map_err(RuntimeError::Output)?;
    }
    Ok(format!("{count} messages in {}\n", folder.display()))
}

/// Calls `take` with each message of a user, in the order of flows and posting.
async fn each_message(
    backend: &Backend,
    author: UserId,
    mut take: impl FnMut(Message) -> Result<(), RuntimeError>,
) -> Result<(), CliError> {
    let mut after = None;
    loop {
        let page = backend.engine.export_messages(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.flow, last.posted));
        for found in page.into_iter().filter(|found| found.author.id == author) {
            take(found)?;
        }
    }
}

/// The file with the records.
struct Data(BufWriter<File>);

impl Data {
    fn write(&mut self, record: &Record) -> Result<(), RuntimeError> {
        let line = record.to_line().map_err(|error| RuntimeError::World(error.to_string()))?;
        writeln!(self.0, "{line}").map_err(RuntimeError::Output)
    }
}
