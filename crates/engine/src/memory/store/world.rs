//! A whole world, moved in or out.

use super::memory_store::MemoryStore;
use super::state::{FlowRecord, State, UserRecord, next};
use crate::limits::case_folded;
use crate::names::look_alikes;
use crate::ports::{
    ExternalIdRow, IdentifierOwner, ImportChunk, ImportFlow, ImportMember, ImportMessage,
    ImportNote, ImportOutcomes, ImportState, ImportUser, Imported, LastIds, StoreError,
    StoredContent, StoredFlow, StoredMember, StoredUser, WorldStore,
};
use async_trait::async_trait;
use tolmach_domain::{
    Content, ExternalId, Fault, Flow, FlowId, FlowKind, IdNamespace, Message, MessageId, ObjectId,
    ObjectKind, Timestamp, User, UserId, UserSummary, Version,
};

#[async_trait]
impl WorldStore for MemoryStore {
    async fn begin_import(&self, source: &IdNamespace) -> Result<ImportState, StoreError> {
        self.change(|state| {
            let before = state.last_ids();
            let begun = || ImportState { before, ..ImportState::default() };
            Ok(state.imports.entry(source.clone()).or_insert_with(begun).clone())
        })
        .await
    }

    async fn import_state(&self, source: &IdNamespace) -> Result<Option<ImportState>, StoreError> {
        self.read(|state| state.imports.get(source).cloned()).await
    }

    async fn import(
        &self,
        chunk: ImportChunk,
        now: Timestamp,
    ) -> Result<ImportOutcomes, StoreError> {
        self.change(|state| {
            let (last_change, committed_at) = (state.commit_time, state.next_commit_time(now));
            let source = chunk.source.clone();
            let known = state.imports.get_mut(&source);
            let (mut before, mut groups_apart) = (LastIds::default(), chunk.groups_apart);
            if let Some(known) = known {
                before = known.before;
                known.groups_apart = groups_apart.or(known.groups_apart);
                groups_apart = known.groups_apart;
            }
            let groups_apart = groups_apart.unwrap_or_default();
            let outcomes = Import { before, source, groups_apart, state }.run(chunk)?;
            Ok(ImportOutcomes { last_change, committed_at, ..outcomes })
        })
        .await
    }

    async fn end_import(&self, source: &IdNamespace) -> Result<(), StoreError> {
        self.change(|state| {
            if let Some(import) = state.imports.get_mut(source) {
                import.position = None;
            }
            Ok(())
        })
        .await
    }

    async fn imported_users(
        &self,
        source: &IdNamespace,
        users: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        self.read(|state| {
            let is_known =
                |user: &&ExternalId| state.object_of(source, ObjectKind::User, **user).is_some();
            users.iter().filter(is_known).copied().collect()
        })
        .await
    }

    async fn identifier_owners(
        &self,
        identifiers: &[String],
    ) -> Result<Vec<IdentifierOwner>, StoreError> {
        self.read(|state| {
            let mut owners = Vec::new();
            for identifier in identifiers {
                for UserRecord { user, .. } in state.users.values() {
                    let mut known = [Some(&user.login), user.email.as_ref()].into_iter().flatten();
                    let is_exact = known.any(|known| case_folded(known) == case_folded(identifier));
                    let looks = look_alikes(identifier);
                    if is_exact || !looks.is_disjoint(&look_alikes(&user.login)) {
                        owners.push(IdentifierOwner {
                            identifier: identifier.clone(),
                            user: user.id,
                            login: user.login.clone(),
                            email: user.email.clone(),
                            is_deleted: user.deleted_at.is_some(),
                            is_exact,
                        });
                    }
                }
            }
            owners
        })
        .await
    }

    async fn stored_messages(&self, ids: &[MessageId]) -> Result<Vec<Message>, StoreError> {
        self.read(|state| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.dedup();
            ids.iter().filter_map(|id| state.messages.get(id)).map(|m| state.shown(m)).collect()
        })
        .await
    }

    async fn stored_contents(&self, ids: &[MessageId]) -> Result<Vec<StoredContent>, StoreError> {
        let content = |message: Message| StoredContent {
            id: message.id,
            flow: message.flow,
            content: Content { reply_to: None, ..message.content },
            posted_at: message.posted_at,
        };
        Ok(self.stored_messages(ids).await?.into_iter().map(content).collect())
    }

    async fn last_ids(&self) -> Result<LastIds, StoreError> {
        self.read(State::last_ids).await
    }

    async fn export_users(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredUser>, StoreError> {
        self.read(|state| {
            let later = state.users.values().filter(|r| after.is_none_or(|id| r.user.id > id));
            let stored = |record: &UserRecord| StoredUser {
                user: User { avatar: record.avatar.clone(), ..record.user.clone() },
                password_hash: record.password_hash.clone(),
            };
            later.take(limit as usize).map(stored).collect()
        })
        .await
    }

    async fn export_flows(
        &self,
        after: Option<FlowId>,
        limit: u32,
    ) -> Result<Vec<StoredFlow>, StoreError> {
        self.read(|state| {
            let later = state.flows.values().filter(|r| after.is_none_or(|id| r.flow.id > id));
            let stored = |record: &FlowRecord| StoredFlow {
                flow: record.flow.clone(),
                pair: record.pair.map(<[UserId; 2]>::from),
            };
            later.take(limit as usize).map(stored).collect()
        })
        .await
    }

    async fn export_messages(
        &self,
        after: Option<(FlowId, Version)>,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        self.read(|state| {
            let mut found: Vec<&Message> = (state.messages.values())
                .filter(|message| after.is_none_or(|place| (message.flow, message.posted) > place))
                .filter(|message| message.deleted_at.is_none())
                .filter(|message| state.flows.contains_key(&message.flow))
                .collect();
            found.sort_unstable_by_key(|message| (message.flow, message.posted));
            found.truncate(limit as usize);
            found.into_iter().map(|message| state.shown(message)).collect()
        })
        .await
    }

    async fn export_members(
        &self,
        after: Option<(FlowId, UserId)>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        self.read(|state| {
            let mut found = Vec::new();
            for (flow, record) in &state.flows {
                let members = record.members.iter();
                let later =
                    members.filter(|(user, _)| after.is_none_or(|place| (*flow, **user) > place));
                for (user, read) in later.take(limit as usize - found.len()) {
                    let mut of_flow: Vec<_> =
                        state.messages.values().filter(|m| m.flow == *flow).collect();
                    of_flow.sort_unstable_by_key(|message| message.posted);
                    found.push(StoredMember {
                        flow: *flow,
                        user: *user,
                        joined_at: record.flow.created_at,
                        read: of_flow
                            .into_iter()
                            .rfind(|m| m.posted <= *read && m.deleted_at.is_none())
                            .map(|message| message.id),
                    });
                }
            }
            found
        })
        .await
    }
}

/// An import under way.
struct Import<'a> {
    state: &'a mut State,
    source: IdNamespace,
    before: LastIds,
    groups_apart: bool,
}

impl Import<'_> {
    fn run(mut self, chunk: ImportChunk) -> Result<ImportOutcomes, StoreError> {
        let mut outcomes = ImportOutcomes::default();
        for user in chunk.users {
            outcomes.users.push(self.user(user)?);
        }
        for flow in chunk.flows {
            outcomes.flows.push(self.flow(flow)?);
        }
        for message in chunk.messages {
            outcomes.messages.push(self.message(message)?);
        }
        for member in chunk.members {
            outcomes.members.push(self.member(member));
        }
        if let Some(import) = self.state.imports.get_mut(&self.source) {
            import.position = chunk.position.or(import.position);
            import.cursor = chunk.cursor.or_else(|| import.cursor.take());
        }
        Ok(outcomes)
    }

    fn user(&mut self, new: ImportUser) -> Result<Imported<UserId>, StoreError> {
        if let Some(id) = self.known_user(new.source_id) {
            return Ok(Imported::Existing(id));
        }
        let account = new.account;
        if self.state.is_taken(Some(&account.login), account.email.as_deref(), None) {
            return Ok(Imported::Refused(Fault::LoginTaken));
        }
        let (mut username, mut name, mut note) = (account.username, account.name, None);
        for shown in [&mut username, &mut name] {
            if self.state.check_display_name("name", shown, &account.login, None).is_err() {
                shown.clone_from(&account.login);
                note = Some(ImportNote::Renamed);
            }
        }
        let number = new.source_id.number().filter(|n| *n > self.before.users);
        let number = number.and_then(|number| UserId::new(number).ok());
        let id = match number.filter(|id| !self.state.users.contains_key(id)) {
            Some(id) => id,
            None => next(&mut self.state.last_user, UserId::new)?,
        };
        self.state.last_user = self.state.last_user.max(id.get());
        let deleted = new.deleted_at.is_some();
        let user = User {
            id,
            login: account.login,
            username,
            name,
            email: account.email.filter(|_| !deleted),
            phone: account.phone.filter(|_| !deleted),
            bio: account.bio,
            avatar: None,
            photo: account.photo,
            bot: account.bot,
            admin: account.admin,
            business: account.business,
            profile: account.profile,
            created_at: new.created_at,
            changed_at: new.created_at,
            deleted_at: new.deleted_at,
        };
        let password_hash = account.password_hash.filter(|_| !deleted);
        self.state.users.insert(id, UserRecord { user, avatar: account.avatar, password_hash });
        self.remember(ObjectId::User(id), new.source_id)?;
        Ok(Imported::New(id, note.or_else(|| renumbered(new.source_id, id.get()))))
    }

    fn flow(&mut self, new: ImportFlow) -> Result<Imported<FlowId>, StoreError> {
        if let Some(id) = self.known_flow(new.source_id) {
            return Ok(Imported::Existing(id));
        }
        let Some(owner) = self.known_user(new.owner) else {
            return Ok(Imported::Refused(Fault::NoSuchUser));
        };
        let pair = match (new.kind, new.pair) {
            (FlowKind::Chat, Some(pair)) => match pair.map(|user| self.known_user(user)) {
                [Some(one), Some(other)] if one != other => Some((one.min(other), one.max(other))),
                _ => return Ok(Imported::Refused(Fault::NoSuchUser)),
            },
            (FlowKind::Chat, None) => {
                return Ok(Imported::Refused(Fault::invalid("pair", "a chat has two users")));
            }
            (FlowKind::Group | FlowKind::Channel, _) => None,
        };
        let (mut kind, mut pair, mut note) = (new.kind, pair, None);
        if pair.is_some() && self.state.flows.values().any(|record| record.pair == pair) {
            (kind, pair, note) = (FlowKind::Group, None, Some(ImportNote::ChatAsGroup));
        }
        let number = new.source_id.number().filter(|n| *n > self.before.flows);
        let number = number.and_then(|number| FlowId::new(number).ok());
        let id = match number.filter(|id| !self.state.flows.contains_key(id)) {
            Some(id) => id,
            None => next(&mut self.state.last_flow, FlowId::new)?,
        };
        self.state.last_flow = self.state.last_flow.max(id.get());
        let flow = Flow {
            id,
            kind,
            title: new.title,
            info: new.info,
            owner: Some(owner),
            photo: new.photo,
            version: Version::default(),
            created_at: new.created_at,
            changed_at: new.created_at,
        };
        let (members, joined, acted) = Default::default();
        self.state.flows.insert(id, FlowRecord { flow, pair, members, joined, acted });
        self.remember(ObjectId::Flow(id), new.source_id)?;
        Ok(Imported::New(id, note.or_else(|| renumbered(new.source_id, id.get()))))
    }

    fn message(&mut self, new: ImportMessage) -> Result<Imported<MessageId>, StoreError> {
        let Some(flow) = self.known_flow(new.flow) else {
            return Ok(Imported::Refused(Fault::NoSuchFlow));
        };
        let Some(author) = self.known_user(new.author) else {
            return Ok(Imported::Refused(Fault::NoSuchUser));
        };
        let number = new.source_id.number().and_then(|number| MessageId::new(number).ok());
        let numbered = number.and_then(|id| self.state.messages.get(&id));
        // A message that has a row got its number here: it is not the one of that number there.
        let is_renumbered = |id| self.has_row(ObjectId::Message(id));
        if let Some(found) = numbered
            && !is_renumbered(found.id)
            && (found.flow, found.author.id, found.posted_at) == (flow, author, new.posted_at)
        {
            return Ok(Imported::Existing(found.id));
        }
        let kept = number.filter(|id| numbered.is_none() && id.get() > self.before.messages);
        if let Some(ObjectId::Message(id)) =
            self.state.object_of(&self.source, ObjectKind::Message, new.source_id)
        {
            return Ok(Imported::Existing(id));
        }
        let reply_to = new.reply_to.and_then(|reply| self.known_message(reply));
        let reply_to = reply_to.filter(|id| self.state.messages[id].flow == flow);
        let note = (reply_to.is_none() && new.reply_to.is_some()).then_some(ImportNote::NoReply);
        let id = match kept {
            Some(id) => id,
            None => next(&mut self.state.last_message, MessageId::new)?,
        };
        self.state.last_message = self.state.last_message.max(id.get());
        let record = self.state.flows.get_mut(&flow).ok_or(Fault::NoSuchFlow)?;
        let newest = match record.flow.version {
            Version(0) => Timestamp::default(),
            _ => record.flow.changed_at,
        };
        let version = Version(record.flow.version.0 + 1);
        let changed_at = new.commit_time(id, newest);
        record.flow.version = version;
        record.flow.changed_at = changed_at;
        if record.members.contains_key(&author) {
            record.acted.insert(author);
        }
        let mut content = new.content;
        content.reply_to = reply_to;
        let message = Message {
            posted: version,
            version,
            edited_at: new.edited_at,
            deleted_at: new.deleted_at,
            changed_at,
            ..Message::new(
                id,
                (flow, record.flow.kind),
                UserSummary::named(author, ""),
                content,
                new.posted_at,
            )
        };
        self.state.messages.insert(id, message);
        self.state.imported.insert(id);
        if kept.is_none() || self.groups_apart {
            self.remember(ObjectId::Message(id), new.source_id)?;
        }
        Ok(Imported::New(id, note.or_else(|| renumbered(new.source_id, id.get()))))
    }

    fn member(&mut self, new: ImportMember) -> Imported<()> {
        let Some(flow) = self.known_flow(new.flow) else {
            return Imported::Refused(Fault::NoSuchFlow);
        };
        let user = self.known_user(new.user);
        let user = user.filter(|user| self.state.users[user].is_active());
        let Some(user) = user else { return Imported::Refused(Fault::NoSuchUser) };
        let (mut read_version, mut note) = (Version::default(), None);
        if let Some(read) = new.read {
            let read = self.known_message(read).map(|id| &self.state.messages[&id]);
            match read.filter(|message| message.flow == flow) {
                Some(message) => read_version = message.posted,
                None if new.awaits_read => return Imported::Refused(Fault::NoSuchMessage),
                None => note = Some(ImportNote::NoReadMark),
            }
        }
        let has_posted =
            self.state.messages.values().any(|m| (m.flow, m.author.id) == (flow, user));
        let Some(record) = self.state.flows.get_mut(&flow) else {
            return Imported::Refused(Fault::NoSuchFlow);
        };
        if record.pair.is_some_and(|(one, other)| user != one && user != other) {
            return Imported::Refused(Fault::WrongKind);
        }
        if record.members.contains_key(&user) {
            return Imported::Existing(());
        }
        record.members.insert(user, read_version);
        record.joined.push(user);
        if has_posted || record.flow.owner == Some(user) {
            record.acted.insert(user);
        }
        Imported::New((), note)
    }

    fn known_user(&self, source_id: ExternalId) -> Option<UserId> {
        match self.state.object_of(&self.source, ObjectKind::User, source_id)? {
            ObjectId::User(id) => Some(id),
            ObjectId::Flow(_) | ObjectId::Message(_) => None,
        }
    }

    fn known_flow(&self, source_id: ExternalId) -> Option<FlowId> {
        match self.state.object_of(&self.source, ObjectKind::Flow, source_id)? {
            ObjectId::Flow(id) if self.state.flows.contains_key(&id) => Some(id),
            ObjectId::Flow(_) | ObjectId::User(_) | ObjectId::Message(_) => None,
        }
    }

    /// The message of the source with this id: by its row, or else by its number.
    fn known_message(&self, source_id: ExternalId) -> Option<MessageId> {
        match self.state.object_of(&self.source, ObjectKind::Message, source_id) {
            Some(ObjectId::Message(id)) => Some(id),
            _ => {
                let own = source_id.number().and_then(|number| MessageId::new(number).ok());
                own.filter(|id| !self.has_row(ObjectId::Message(*id)))
            }
        }
        .filter(|id| self.state.messages.contains_key(id))
    }

    /// True if an object has a row in the namespace of the source.
    fn has_row(&self, object: ObjectId) -> bool {
        let rows = self.state.external_ids.get(&self.source);
        rows.is_some_and(|rows| rows.by_object.contains_key(&object))
    }

    fn remember(&mut self, object: ObjectId, external: ExternalId) -> Result<(), Fault> {
        let rows = self.state.external_ids.entry(self.source.clone()).or_default();
        rows.add(ExternalIdRow { object, external })
    }
}

/// The note of an object whose number is not that of the source.
fn renumbered(source_id: ExternalId, id: i64) -> Option<ImportNote> {
    source_id.number().filter(|number| *number != id).map(|_| ImportNote::Renumbered)
}

impl State {
    fn last_ids(&self) -> LastIds {
        LastIds { users: self.last_user, flows: self.last_flow, messages: self.last_message }
    }

    fn object_of(
        &self,
        source: &IdNamespace,
        kind: ObjectKind,
        external: ExternalId,
    ) -> Option<ObjectId> {
        self.external_ids.get(source)?.by_external.get(&(kind, external)).copied()
    }
}
