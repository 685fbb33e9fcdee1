//! Members.

use super::known::Source;
use crate::batch::lookups::distinct;
use crate::batch::transaction::Batch;
use crate::sql::{self, get};
use sea_orm::Value;
use std::collections::{HashMap, HashSet};
use tolmach_domain::{Fault, ObjectKind};
use tolmach_engine::ports::{ImportMember, ImportNote, Imported, StoreError};

/// A flow as its members need it.
struct MemberFlow {
    owner: i64,
    pair: Option<String>,
    created_at: i64,
}

/// The rows that the rules of memberships are checked with.
struct Context {
    flows: HashMap<i64, MemberFlow>,
    /// The users who are not deleted, each with true for the business tariff.
    users: HashMap<i64, bool>,
    /// The flows and the `posted` of messages.
    messages: HashMap<i64, (i64, i64)>,
    /// The pairs of flow and user that are memberships.
    members: HashSet<(i64, i64)>,
    /// The pairs of flow and user of authors.
    authors: HashSet<(i64, i64)>,
}

impl Batch {
    pub(super) async fn import_members(
        &mut self,
        source: &mut Source,
        members: Vec<ImportMember>,
    ) -> Result<Vec<Imported<()>>, StoreError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let flows = self.known(source, ObjectKind::Flow, members.iter().map(|new| new.flow));
        let flows = flows.await?;
        let users = self.known(source, ObjectKind::User, members.iter().map(|new| new.user));
        let users = users.await?;
        let read = || members.iter().filter_map(|new| new.read);
        let known = self.known(source, ObjectKind::Message, read()).await?;
        let message = |id| known.get(&id).copied().or(id.number());
        let pairs: Vec<_> = members
            .iter()
            .filter_map(|new| Some((*flows.get(&new.flow)?, *users.get(&new.user)?)))
            .collect();
        let read: Vec<i64> = read().filter_map(message).collect();
        let mut context = self.member_context(&distinct(pairs), &read).await?;
        let mut outcomes = Vec::with_capacity(members.len());
        let mut rows = Vec::with_capacity(members.len());
        let mut larger = Vec::new();
        for member in members {
            let flow = flows.get(&member.flow).copied().unwrap_or_default();
            let user = users.get(&member.user).copied().unwrap_or_default();
            let read = member.read.map(|id| message(id).unwrap_or_default());
            outcomes.push(match context.check(flow, user, read, member.awaits_read) {
                Err(fault) => Imported::Refused(fault),
                Ok(_) if context.members.contains(&(flow, user)) => Imported::Existing(()),
                Ok((of, read_version, note)) => {
                    let joined_at = member.joined_at.map_or(of.created_at, |time| time.micros());
                    let acted = of.owner == user || context.authors.contains(&(flow, user));
                    let business = context.users.get(&user).copied().unwrap_or_default();
                    rows.push([
                        Value::from(flow),
                        user.into(),
                        read_version.into(),
                        acted.into(),
                        joined_at.into(),
                        business.into(),
                    ]);
                    context.members.insert((flow, user));
                    larger.push(flow);
                    Imported::New((), note)
                }
            });
        }
        sql::INSERT_MEMBERS.execute(&self.transaction, rows).await?;
        self.listed(&sql::FORGET_MEMBER_COUNTS, larger.into_iter()).await?;
        Ok(outcomes)
    }

    /// Reads the context of memberships, given as pairs of flow and user, and of messages.
    async fn member_context(
        &self,
        pairs: &[(i64, i64)],
        messages: &[i64],
    ) -> Result<Context, StoreError> {
        let mut context = Context {
            flows: HashMap::new(),
            users: HashMap::new(),
            messages: HashMap::new(),
            members: self.memberships(pairs).await?,
            authors: HashSet::new(),
        };
        let flows = || pairs.iter().map(|(flow, _)| *flow);
        for row in self.listed(&sql::MEMBER_FLOWS, flows()).await? {
            let flow = MemberFlow {
                owner: get(&row, "owner_id")?,
                pair: get(&row, "pair")?,
                created_at: get(&row, "created_at")?,
            };
            context.flows.insert(get(&row, "id")?, flow);
        }
        for row in self.listed(&sql::MEMBER_USERS, pairs.iter().map(|(_, user)| *user)).await? {
            context.users.insert(get(&row, "id")?, get(&row, "business")?);
        }
        for row in self.listed(&sql::MESSAGE_IDENTITIES, messages.iter().copied()).await? {
            let place = (get(&row, "flow_id")?, get(&row, "posted")?);
            context.messages.insert(get(&row, "id")?, place);
        }
        for row in self.listed(&sql::AUTHORS, flows()).await? {
            context.authors.insert((get(&row, "flow_id")?, get(&row, "author_id")?));
        }
        Ok(context)
    }
}

impl Context {
    /// The flow of a membership, and its read mark, with a note if that is left out.
    fn check(
        &self,
        flow: i64,
        user: i64,
        read: Option<i64>,
        awaits_read: bool,
    ) -> Result<(&MemberFlow, i64, Option<ImportNote>), Fault> {
        let found = self.flows.get(&flow).ok_or(Fault::NoSuchFlow)?;
        if !self.users.contains_key(&user) {
            return Err(Fault::NoSuchUser);
        }
        if let Some(pair) = &found.pair
            && !pair.split(':').any(|one| one == user.to_string())
        {
            return Err(Fault::WrongKind);
        }
        let Some(read) = read else { return Ok((found, 0, None)) };
        match self.messages.get(&read) {
            Some((in_flow, posted)) if *in_flow == flow => Ok((found, *posted, None)),
            _ if awaits_read => Err(Fault::NoSuchMessage),
            _ => Ok((found, 0, Some(ImportNote::NoReadMark))),
        }
    }
}
