//! A rehearsal: an import into a world of its own, which has the same users and conversations, and
//! what records refer to of the rest. It is removed afterwards.

use crate::backend::Backend;
use crate::config::Config;
use crate::error::{CliError, RuntimeError};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tolmach_domain::{
    ExternalId, FlowId, IdNamespace, Message, MessageId, ObjectId, ObjectKind, Secret, UserId,
};
use tolmach_engine::ports::{
    ExternalIdRow, ImportChunk, ImportFlow, ImportMember, ImportMessage, ImportUser, LastIds,
    NewUser,
};
use tolmach_engine::{Engine, ImportError};

/// Users or flows copied at once.
const PAGE: u32 = 1_000;

/// The namespace of the world's own ids. Its name makes it one that no source has by chance.
const OWN: &str = "_";

/// The namespace of ids that are not given out in the copy.
const RESERVED: &str = "__";

/// The extent of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Users,
    Everything,
}

/// The world, and the copy that records are imported into.
pub(super) struct Rehearsal {
    pub(super) world: Arc<Engine>,
    pub(super) scratch: Arc<Engine>,
    pub(super) extent: Extent,
    own: IdNamespace,
    /// The last ids of the world as the copy began.
    last: LastIds,
}

/// Opens an empty world in a temporary folder.
pub(super) async fn open(config: &Config) -> Result<(TempDir, Backend), CliError> {
    let folder = tempfile::tempdir().map_err(RuntimeError::TemporaryFolder)?;
    let mut config = config.clone();
    config.store.url = Secret::new("");
    let backend = Backend::open_for_import(&config, Path::new(folder.path())).await?;
    Ok((folder, backend))
}

impl Rehearsal {
    pub(super) async fn new(
        world: Arc<Engine>,
        scratch: Arc<Engine>,
        extent: Extent,
    ) -> Result<Self, CliError> {
        let own: IdNamespace = OWN.parse().map_err(RuntimeError::Namespace)?;
        let last = world.last_ids().await?;
        Ok(Self { world, scratch, extent, own, last })
    }

    /// True if a user of the copy is one of the world, false for a new one.
    pub(super) fn is_of_world(&self, user: UserId) -> bool {
        user.get() <= self.last.users
    }

    /// Copies the users and conversations of the world, and the ids by which a source knows them.
    /// An import gives ids as it would in the world. Returns what is known of the numbers of the
    /// source's groups.
    pub(super) async fn begin(&self, source: &IdNamespace) -> Result<Option<bool>, CliError> {
        let Self { world, scratch, own, .. } = self;
        scratch.begin_import(own).await?;
        let state = world.import_state(source).await?;
        let groups_apart = state.as_ref().and_then(|state| state.groups_apart);
        if let Some(state) = state {
            // The numbers that were free for the first import are free for this one.
            self.reserve(state.before).await?;
            scratch.begin_import(source).await?;
        }
        self.reserve(self.last).await?;
        self.copy_users(source).await?;
        if self.extent == Extent::Everything {
            self.copy_flows(source).await?;
        }
        Ok(groups_apart)
    }

    /// Has ids up to these not given out in the copy.
    async fn reserve(&self, ids: LastIds) -> Result<(), CliError> {
        let reserved: IdNamespace = RESERVED.parse().map_err(RuntimeError::Namespace)?;
        let rows: Vec<_> = [
            (ObjectKind::User, ids.users),
            (ObjectKind::Flow, ids.flows),
            (ObjectKind::Message, ids.messages),
        ]
        .into_iter()
        .filter_map(|(kind, last)| {
            let object = ObjectId::new(kind, last)?;
            Some(ExternalIdRow { object, external: own_id(last) })
        })
        .collect();
        Ok(self.scratch.add_source_ids(&reserved, &rows).await?)
    }

    async fn copy_users(&self, source: &IdNamespace) -> Result<(), CliError> {
        let Self { world, scratch, own, .. } = self;
        let mut after = None;
        loop {
            let page = world.export_users(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.user.id);
            let ids: Vec<_> = page.iter().map(|found| ObjectId::User(found.user.id)).collect();
            let users = page.into_iter().map(|found| {
                let user = found.user;
                let account = NewUser {
                    username: user.username,
                    name: user.name,
                    email: user.email,
                    bot: user.bot,
                    admin: user.admin,
                    business: user.business,
                    profile: user.profile,
                    ..NewUser::named(user.login)
                };
                ImportUser {
                    source_id: own_id(user.id.get()),
                    account,
                    created_at: user.created_at,
                    deleted_at: user.deleted_at,
                }
            });
            let chunk = ImportChunk { users: users.collect(), ..ImportChunk::new(own.clone()) };
            scratch.import(chunk, &HashMap::new()).await.map_err(RuntimeError::Import)?;
            let known = world.source_ids(source, &ids).await?;
            scratch.add_source_ids(source, &known).await?;
        }
    }

    async fn copy_flows(&self, source: &IdNamespace) -> Result<(), CliError> {
        let Self { world, scratch, own, .. } = self;
        let mut after = None;
        loop {
            let page = world.export_flows(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
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
            scratch.import(chunk, &HashMap::new()).await.map_err(RuntimeError::Import)?;
            let known = world.source_ids(source, &ids).await?;
            scratch.add_source_ids(source, &known).await?;
        }
    }

    /// Copies what the records of a chunk refer to and earlier imports have brought: messages,
    /// memberships, and the ids of conversations that are deleted.
    pub(super) async fn copy_known(&self, chunk: &ImportChunk) -> Result<(), ImportError> {
        if self.extent == Extent::Users {
            return Ok(());
        }
        let source = &chunk.source;
        let flows = chunk.flows.iter().map(|flow| flow.source_id);
        let flows = flows.chain(chunk.messages.iter().map(|message| message.flow));
        let flows = flows.chain(chunk.members.iter().map(|member| member.flow));
        let flows = self.known(source, ObjectKind::Flow, flows).await?;
        self.scratch.add_source_ids(source, &flows).await?;
        self.copy_messages(chunk).await?;
        self.copy_members(chunk, &flows).await
    }

    async fn copy_messages(&self, chunk: &ImportChunk) -> Result<(), ImportError> {
        let messages = chunk.messages.iter();
        let ids = messages.flat_map(|message| [Some(message.source_id), message.reply_to]);
        let ids = ids.chain(chunk.members.iter().map(|member| member.read));
        let ids: HashSet<ExternalId> = ids.flatten().collect();
        let rows = self.known(&chunk.source, ObjectKind::Message, ids.iter().copied()).await?;
        let message = |object: &ObjectId| match object {
            ObjectId::Message(id) => Some(*id),
            ObjectId::User(_) | ObjectId::Flow(_) => None,
        };
        let by_row = rows.iter().filter_map(|row| message(&row.object));
        let by_number = ids.iter().filter_map(|id| MessageId::new(id.number()?).ok());
        let wanted: Vec<MessageId> = by_row.chain(by_number).collect();
        let found = self.world.stored_messages(&wanted).await?;
        let objects: Vec<_> = found.iter().map(|message| ObjectId::Message(message.id)).collect();
        // A message that has a row is not the one of its number.
        let rows = self.world.source_ids(&chunk.source, &objects).await?;
        let messages = found.into_iter().map(own_message).collect();
        let copies = ImportChunk { messages, ..ImportChunk::new(self.own.clone()) };
        self.scratch.import(copies, &HashMap::new()).await?;
        Ok(self.scratch.add_source_ids(&chunk.source, &rows).await?)
    }

    async fn copy_members(
        &self,
        chunk: &ImportChunk,
        flows: &[ExternalIdRow],
    ) -> Result<(), ImportError> {
        let users = chunk.members.iter().map(|member| member.user);
        let users = self.known(&chunk.source, ObjectKind::User, users).await?;
        let by_id = |rows: &[ExternalIdRow]| -> HashMap<ExternalId, i64> {
            rows.iter().map(|row| (row.external, row.object.get())).collect()
        };
        let (flows, users) = (by_id(flows), by_id(&users));
        let mut members = Vec::new();
        for member in &chunk.members {
            let known = (flows.get(&member.flow), users.get(&member.user));
            let (Some(flow), Some(user)) = known else { continue };
            let (Ok(in_flow), Ok(who)) = (FlowId::new(*flow), UserId::new(*user)) else { continue };
            if self.world.is_member(in_flow, who).await? {
                let (flow, user) = (own_id(*flow), own_id(*user));
                let (joined_at, read, awaits_read) = (None, None, false);
                members.push(ImportMember { flow, user, joined_at, read, awaits_read });
            }
        }
        let copies = ImportChunk { members, ..ImportChunk::new(self.own.clone()) };
        self.scratch.import(copies, &HashMap::new()).await.map(drop)
    }

    /// The objects of a kind that the world has from a source.
    async fn known(
        &self,
        source: &IdNamespace,
        kind: ObjectKind,
        ids: impl Iterator<Item = ExternalId>,
    ) -> Result<Vec<ExternalIdRow>, ImportError> {
        let ids: HashSet<_> = ids.map(|id| (kind, id)).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        Ok(self.world.source_objects(source, &ids).await?)
    }
}

fn own_message(message: Message) -> ImportMessage {
    ImportMessage {
        source_id: own_id(message.id.get()),
        flow: own_id(message.flow.get()),
        author: own_id(message.author.id.get()),
        content: message.content,
        reply_to: None,
        posted_at: message.posted_at,
        edited_at: message.edited_at,
        deleted_at: message.deleted_at,
    }
}

fn own_id(number: i64) -> ExternalId {
    ExternalId(u128::try_from(number).unwrap_or_default())
}
