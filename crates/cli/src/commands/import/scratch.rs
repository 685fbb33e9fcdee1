//! A dry run: an import into a world of its own that has the same users and conversations, and is
//! removed afterwards.

use crate::backend::Backend;
use crate::config::Config;
use crate::error::{CliError, RuntimeError};
use std::collections::HashMap;
use std::path::Path;
use tempfile::TempDir;
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, Secret, UserId};
use tolmach_engine::Engine;
use tolmach_engine::ports::{ImportChunk, ImportFlow, ImportUser, NewUser};

/// Users or flows copied at once.
const PAGE: u32 = 1_000;

/// Opens an empty world in a temporary folder.
pub(super) async fn open(config: &Config) -> Result<(TempDir, Backend), CliError> {
    let folder = tempfile::tempdir().map_err(RuntimeError::TemporaryFolder)?;
    let mut config = config.clone();
    config.store.url = Secret::new("");
    let backend = Backend::open(&config, Path::new(folder.path())).await?;
    Ok((folder, backend))
}

/// Copies users and conversations, so that what collides with them is found, and what is known of
/// a source.
pub(super) async fn fill(
    scratch: &Engine,
    world: &Engine,
    source: &IdNamespace,
) -> Result<(), CliError> {
    // The namespace of the world's own ids, which no source has.
    let own: IdNamespace = "_".parse().map_err(RuntimeError::Namespace)?;
    scratch.begin_import(&own).await?;
    let (none, mut after) = (HashMap::new(), None);
    loop {
        let page = world.export_users(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.user.id);
        let ids: Vec<_> = page.iter().map(|found| ObjectId::User(found.user.id)).collect();
        let users = page.into_iter().map(|found| {
            let user = found.user;
            let account = NewUser {
                id: None,
                login: user.login,
                username: user.username,
                name: user.name,
                email: user.email,
                phone: None,
                bio: String::new(),
                avatar: None,
                photo: None,
                bot: user.bot,
                admin: user.admin,
                business: user.business,
                profile: user.profile,
                password_hash: None,
            };
            ImportUser {
                source_id: own_id(user.id.get()),
                account,
                created_at: user.created_at,
                deleted_at: user.deleted_at,
            }
        });
        let chunk = ImportChunk { users: users.collect(), ..ImportChunk::new(own.clone()) };
        scratch.import(chunk, &none).await.map_err(RuntimeError::Import)?;
        let known = world.source_ids(source, &ids).await?;
        scratch.add_source_ids(source, &known).await?;
    }
    let mut after = None;
    loop {
        let page = world.export_flows(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.flow.id);
        let ids: Vec<_> = page.iter().map(|found| ObjectId::Flow(found.flow.id)).collect();
        let flows = page.into_iter().map(|found| {
            let flow = found.flow;
            ImportFlow {
                source_id: own_id(flow.id.get()),
                kind: flow.kind,
                title: flow.title,
                info: String::new(),
                owner: own_id(flow.owner.map_or(0, UserId::get)),
                pair: found.pair.map(|pair| pair.map(|user| own_id(user.get()))),
                photo: None,
                created_at: flow.created_at,
            }
        });
        let chunk = ImportChunk { flows: flows.collect(), ..ImportChunk::new(own.clone()) };
        scratch.import(chunk, &none).await.map_err(RuntimeError::Import)?;
        let known = world.source_ids(source, &ids).await?;
        scratch.add_source_ids(source, &known).await?;
    }
    Ok(())
}

fn own_id(number: i64) -> ExternalId {
    ExternalId(u128::try_from(number).unwrap_or_default())
}
