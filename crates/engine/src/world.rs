//! Importing and exporting: for operators.

use crate::faults::password_fault;
use crate::limits::{
    INFO_LIMIT, LOGIN_LIMIT, NAME_LIMIT, check_content, check_email, check_line, check_text,
};
use crate::names::{check_display_name, enforce_login};
use crate::ports::{
    ExternalIdRow, HashClass, HashOrigin, IdentifierOwner, ImportChunk, ImportFlow, ImportMessage,
    ImportOutcomes, ImportState, ImportUser, Imported, LastIds, StoreError, StoredContent,
    StoredFlow, StoredMember, StoredUser,
};
use crate::{Engine, check_storable};
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::mem::take;
use tolmach_domain::{
    ExternalId, Fault, FlowId, FlowKind, IdNamespace, Message, MessageId, ObjectId, ObjectKind,
    PhotoKey, Secret, Timestamp, User, UserId, Version,
};

/// Passwords that are hashed at once, or wait for it.
const HASHES_AT_ONCE: usize = 16;

/// Error of an import.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password could not be hashed.
    #[error("a password could not be hashed")]
    Password(#[source] Fault),
}

impl Engine {
    /// See [`WorldStore::begin_import`](crate::ports::WorldStore::begin_import).
    pub async fn begin_import(&self, source: &IdNamespace) -> Result<ImportState, StoreError> {
        self.ports.store.begin_import(source).await
    }

    /// See [`WorldStore::import_state`](crate::ports::WorldStore::import_state).
    pub async fn import_state(
        &self,
        source: &IdNamespace,
    ) -> Result<Option<ImportState>, StoreError> {
        self.ports.store.import_state(source).await
    }

    /// Imports records that keep the rules for new ones, see
    /// [`WorldStore::import`](crate::ports::WorldStore::import). `passwords` are those that users
    /// have in the clear: they are hashed, unless the user was imported before.
    pub async fn import(
        &self,
        chunk: ImportChunk,
        passwords: &HashMap<ExternalId, Secret>,
    ) -> Result<ImportOutcomes, ImportError> {
        let (now, mut chunk) = (self.now(), chunk);
        let of_chunk = (take(&mut chunk.users), take(&mut chunk.flows), take(&mut chunk.messages));
        let (users, flows, messages) = of_chunk;
        let (mut users, user_faults) = split(users, |user| self.check_user(user, now));
        let (flows, flow_faults) = split(flows, |flow| check_flow(flow, now));
        let (messages, message_faults) = split(messages, |new| self.check_message(new, now));
        self.hash_passwords(&chunk.source, &mut users, passwords).await?;
        let chunk = ImportChunk { users, flows, messages, ..chunk };
        let outcomes = self.ports.store.import(chunk, now).await?;
        Ok(ImportOutcomes {
            users: join(outcomes.users, user_faults),
            flows: join(outcomes.flows, flow_faults),
            messages: join(outcomes.messages, message_faults),
            members: outcomes.members,
            last_change: outcomes.last_change,
            committed_at: outcomes.committed_at,
        })
    }

    /// See [`WorldStore::end_import`](crate::ports::WorldStore::end_import).
    pub async fn end_import(&self, source: &IdNamespace) -> Result<(), StoreError> {
        self.ports.store.end_import(source).await
    }

    /// See [`WorldStore::imported_users`](crate::ports::WorldStore::imported_users).
    pub async fn imported_users(
        &self,
        source: &IdNamespace,
        users: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        self.ports.store.imported_users(source, users).await
    }

    /// A user, also a deleted one.
    pub async fn stored_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.ports.store.user(id).await
    }

    /// True if a user is a member of a flow.
    pub async fn is_member(&self, flow: FlowId, user: UserId) -> Result<bool, StoreError> {
        self.ports.store.is_member(flow, user).await
    }

    /// See [`WorldStore::identifier_owners`](crate::ports::WorldStore::identifier_owners).
    pub async fn identifier_owners(
        &self,
        identifiers: &[String],
    ) -> Result<Vec<IdentifierOwner>, StoreError> {
        self.ports.store.identifier_owners(identifiers).await
    }

    /// The objects that a source knows by these ids, those that are known.
    pub async fn source_objects(
        &self,
        source: &IdNamespace,
        ids: &[(ObjectKind, ExternalId)],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.ports.store.objects_of_external_ids(source, ids).await
    }

    /// See [`WorldStore::stored_messages`](crate::ports::WorldStore::stored_messages).
    pub async fn stored_messages(&self, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
        self.ports.store.stored_messages(ids).await
    }

    /// See [`WorldStore::stored_contents`](crate::ports::WorldStore::stored_contents).
    pub async fn stored_contents(
        &self,
        ids: &[MessageId],
    ) -> Result<Vec<StoredContent>, StoreError> {
        self.ports.store.stored_contents(ids).await
    }

    /// See [`WorldStore::last_ids`](crate::ports::WorldStore::last_ids).
    pub async fn last_ids(&self) -> Result<LastIds, StoreError> {
        self.ports.store.last_ids().await
    }

    /// See [`WorldStore::export_users`](crate::ports::WorldStore::export_users).
    pub async fn export_users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredUser>, StoreError> {
        self.ports.store.export_users(after, limit).await
    }

    /// See [`WorldStore::export_flows`](crate::ports::WorldStore::export_flows).
    pub async fn export_flows(
        &self,
        after: Option<FlowId>,
        limit: u32,
    ) -> Result<Vec<StoredFlow>, StoreError> {
        self.ports.store.export_flows(after, limit).await
    }

    /// See [`WorldStore::export_messages`](crate::ports::WorldStore::export_messages).
    pub async fn export_messages(
        &self,
        after: Option<(FlowId, Version)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.ports.store.export_messages(after, limit).await
    }

    /// See [`WorldStore::export_members`](crate::ports::WorldStore::export_members).
    pub async fn export_members(
        &self,
        after: Option<(FlowId, UserId)>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        self.ports.store.export_members(after, limit).await
    }

    /// The ids that a source gave these objects, those that are known.
    pub async fn source_ids(
        &self,
        source: &IdNamespace,
        objects: &[ObjectId],
    ) -> Result<Vec<ExternalIdRow>, StoreError> {
        self.ports.store.external_ids_of_objects(source, objects).await
    }

    /// Remembers objects by the ids that a source gave them.
    pub async fn add_source_ids(
        &self,
        source: &IdNamespace,
        rows: &[ExternalIdRow],
    ) -> Result<(), StoreError> {
        self.ports.store.add_external_ids(source, rows).await
    }

    /// Checks a user as a registration would be, and brings the login into its stored form.
    fn check_user(&self, user: &mut ImportUser, now: Timestamp) -> Result<(), Fault> {
        check_time("created_at", user.created_at, now)?;
        let account = &mut user.account;
        account.login = enforce_login("login", &account.login)?;
        check_display_name("username", &account.username, LOGIN_LIMIT)?;
        check_display_name("name", &account.name, NAME_LIMIT)?;
        if let Some(email) = &account.email {
            check_email(email)?;
        }
        if let Some(phone) = &account.phone {
            check_line("phone", phone, LOGIN_LIMIT)?;
        }
        check_text("bio", &account.bio, INFO_LIMIT)?;
        check_storable("avatar", account.avatar.as_deref().unwrap_or_default())?;
        check_photo(account.photo.as_ref())?;
        match &account.password_hash {
            None => Ok(()),
            Some(hash) => self
                .ports
                .passwords
                .check_hash(hash)
                .map_err(|reason| Fault::invalid("password_hash", reason)),
        }
    }

    fn check_message(&self, new: &mut ImportMessage, now: Timestamp) -> Result<(), Fault> {
        check_time("posted_at", new.posted_at, now)?;
        if new.deleted_at.is_some() {
            new.content = tolmach_domain::Content::default();
            return Ok(());
        }
        check_content(&new.content, &self.policy)
    }

    async fn hash_passwords(
        &self,
        source: &IdNamespace,
        users: &mut [ImportUser],
        passwords: &HashMap<ExternalId, Secret>,
    ) -> Result<(), ImportError> {
        if passwords.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = users.iter().map(|user| user.source_id).collect();
        let known = self.ports.store.imported_users(source, &ids).await?;
        let known: HashSet<_> = known.into_iter().collect();
        let origin = HashOrigin::new(HashClass::Registration, None);
        let mut waiting = Vec::new();
        for (index, user) in users.iter().enumerate() {
            if let Some(password) = passwords.get(&user.source_id)
                && !known.contains(&user.source_id)
            {
                waiting.push((index, password));
            }
        }
        for group in waiting.chunks(HASHES_AT_ONCE) {
            let mut hashes = Vec::with_capacity(group.len());
            for (_, password) in group {
                hashes.push(self.ports.passwords.hash(password, origin));
            }
            for ((index, _), hash) in group.iter().zip(join_all(hashes).await) {
                let hash = hash.map_err(|error| ImportError::Password(password_fault(error)))?;
                users[*index].account.password_hash = Some(hash);
            }
        }
        Ok(())
    }
}

fn check_flow(flow: &mut ImportFlow, now: Timestamp) -> Result<(), Fault> {
    check_time("created_at", flow.created_at, now)?;
    check_line("title", &flow.title, NAME_LIMIT)?;
    check_text("info", &flow.info, INFO_LIMIT)?;
    if flow.kind == FlowKind::Chat && flow.pair.is_none() {
        return Err(Fault::invalid("pair", "a chat has two users"));
    }
    check_photo(flow.photo.as_ref())
}

/// Refuses a time that is yet to come: the changes of a world are behind its commits.
fn check_time(field: &'static str, time: Timestamp, now: Timestamp) -> Result<(), Fault> {
    if time <= now { Ok(()) } else { Err(Fault::invalid(field, "lies in the future")) }
}

/// Refuses the key of a photo that no store of photos would give.
fn check_photo(photo: Option<&PhotoKey>) -> Result<(), Fault> {
    let Some(photo) = photo else { return Ok(()) };
    let is_plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'/');
    if !photo.key.is_empty() && photo.key.len() <= NAME_LIMIT && photo.key.bytes().all(is_plain) {
        return check_line("photo", &photo.media_type, NAME_LIMIT);
    }
    Err(Fault::invalid("photo", "a key has lowercase letters, digits, dots and slashes"))
}

/// Splits records into those that pass a check, and the faults of the others by their indexes.
fn split<T>(
    records: Vec<T>,
    mut check: impl FnMut(&mut T) -> Result<(), Fault>,
) -> (Vec<T>, Vec<(usize, Fault)>) {
    let (mut sound, mut faults) = (Vec::with_capacity(records.len()), Vec::new());
    for (index, mut record) in records.into_iter().enumerate() {
        match check(&mut record) {
            Ok(()) => sound.push(record),
            Err(fault) => faults.push((index, fault)),
        }
    }
    (sound, faults)
}

/// The outcomes of all records, in their order: the reverse of [`split`].
fn join<T>(outcomes: Vec<Imported<T>>, faults: Vec<(usize, Fault)>) -> Vec<Imported<T>> {
    let length = outcomes.len() + faults.len();
    let (mut outcomes, mut faults) = (outcomes.into_iter(), faults.into_iter().peekable());
    let next = |index| match faults.next_if(|(refused, _)| *refused == index) {
        Some((_, fault)) => Some(Imported::Refused(fault)),
        None => outcomes.next(),
    };
    (0..length).filter_map(next).collect()
}
