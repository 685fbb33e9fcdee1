//! Messages: many at once where they come in a run.

use super::{Batch, distinct};
use crate::entities::flow::Kind;
use crate::entities::{message, message_key};
use crate::error::{corrupt, refuse};
use crate::rows::{
    attachments_text, content_type_text, flow_id, message as to_message, message_id, moment,
};
use crate::sql::{self, get};
use sea_orm::{EntityTrait, FromQueryResult, Set, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tolmach_domain::{
    Content, Event, EventKind, Fault, FlowId, FlowKind, Message, MessageId, MessagePage, Timestamp,
    UserId, Version,
};
use tolmach_engine::ports::{
    DeleteMessages, Deleted, EditMessage, IDEMPOTENCY_WINDOW, PostMessage, Posted, StoreError,
};

/// What became of one message of a run.
pub(crate) type PostOutcome = Result<Posted, Fault>;

/// What posting knows before it decides.
#[derive(Default)]
struct Known {
    keys: HashMap<(i64, String), (i64, Timestamp)>,
    flows: HashMap<i64, KnownFlow>,
    members: HashSet<(i64, i64)>,
    living: HashSet<i64>,
    flow_of: HashMap<i64, i64>,
}

struct KnownFlow {
    kind: FlowKind,
    owner: i64,
    /// Nobody else changes it while this transaction is the one that writes.
    version: i64,
}

/// What was decided about one message of a run.
enum Decision {
    Refused(Fault),
    /// The key was used before the run, for this message.
    Repeats(i64),
    /// The key was used earlier in the run, by the message at this place.
    RepeatsPlace(usize),
    Accepted(FlowKind),
}

impl Batch {
    /// Posts messages in this order. What it costs in statements hardly depends on how many they
    /// are.
    pub(crate) async fn post(
        &mut self,
        run: Vec<(PostMessage, Timestamp)>,
    ) -> Result<Vec<PostOutcome>, StoreError> {
        let known = self.known(&run).await?;
        let mut used: HashMap<(i64, &str), usize> = HashMap::new();
        let mut decisions = Vec::with_capacity(run.len());
        for (place, (new, now)) in run.iter().enumerate() {
            let key = new.key.as_deref().map(|key| (new.author.id.get(), key));
            let earlier = key
                .and_then(|key| used.get(&key).copied())
                .filter(|earlier| *now < run[*earlier].1.after(IDEMPOTENCY_WINDOW));
            let decision = match earlier {
                Some(earlier) => Decision::RepeatsPlace(earlier),
                None => known.decide(new, *now),
            };
            if let (Some(key), Decision::Accepted(_)) = (key, &decision) {
                used.insert(key, place);
            }
            decisions.push(decision);
        }
        let keys: Vec<(i64, String, usize)> = used
            .into_iter()
            .map(|((author, key), place)| (author, key.to_owned(), place))
            .collect();
        let repeated: Vec<i64> = decisions
            .iter()
            .filter_map(
                |decision| if let Decision::Repeats(id) = decision { Some(*id) } else { None },
            )
            .collect();
        let repeated = self.messages(&repeated).await?;
        let mut made = self.insert_run(run, &decisions, &known).await?;
        self.put_keys(&keys, &made).await?;
        // Those that are answered more than once.
        let repeats = |decision: &Decision| {
            if let Decision::RepeatsPlace(earlier) = decision { Some(*earlier) } else { None }
        };
        let again: HashMap<usize, Message> = decisions
            .iter()
            .filter_map(repeats)
            .filter_map(|place| Some((place, made.get(&place)?.clone())))
            .collect();

        let mut outcomes = Vec::with_capacity(decisions.len());
        for (place, decision) in decisions.into_iter().enumerate() {
            let missing = || corrupt("a message that was just written or read is missing");
            outcomes.push(match decision {
                Decision::Refused(fault) => Err(fault),
                Decision::Repeats(id) => {
                    Ok(Posted::Repeated(repeated.get(&id).ok_or_else(missing)?.clone()))
                }
                Decision::RepeatsPlace(earlier) => {
                    Ok(Posted::Repeated(again.get(&earlier).ok_or_else(missing)?.clone()))
                }
                Decision::Accepted(_) => Ok(Posted::New(made.remove(&place).ok_or_else(missing)?)),
            });
        }
        Ok(outcomes)
    }

    async fn known(&self, run: &[(PostMessage, Timestamp)]) -> Result<Known, StoreError> {
        let mut known = Known::default();
        let keys: Vec<(i64, &str)> = run
            .iter()
            .filter_map(|(new, _)| Some((new.author.id.get(), new.key.as_deref()?)))
            .collect();
        for list in sql::lists(&distinct(keys)) {
            let values = list
                .iter()
                .flat_map(|(author, key)| [Value::from(*author), Value::from(*key)])
                .collect();
            for row in sql::KEYS.rows(&self.transaction, list.len(), values).await? {
                let row = message_key::Model::from_query_result(&row, "").map_err(corrupt)?;
                known.keys.insert((row.author_id, row.key), (row.message_id, moment(row.used_at)));
            }
        }
        let pairs = distinct(run.iter().map(|(new, _)| (new.flow.get(), new.author.id.get())));
        for list in sql::lists(&pairs) {
            for row in sql::FLOWS.rows(&self.transaction, list.len(), pair_values(&list)).await? {
                let (flow, kind): (i64, Kind) = (get(&row, "id")?, get(&row, "kind")?);
                known.flows.insert(
                    flow,
                    KnownFlow {
                        kind: kind.into(),
                        owner: get(&row, "owner_id")?,
                        version: get(&row, "version")?,
                    },
                );
                if let Some(member) = get(&row, "member")? {
                    known.members.insert((flow, member));
                }
            }
        }
        for row in self
            .by_id(
                &sql::LIVING,
                run.iter().filter(|(new, _)| new.administrator).map(|(new, _)| new.author.id.get()),
            )
            .await?
        {
            known.living.insert(get(&row, "id")?);
        }
        for row in self
            .by_id(
                &sql::FLOW_OF,
                run.iter().filter_map(|(new, _)| Some(new.content.reply_to?.get())),
            )
            .await?
        {
            known.flow_of.insert(get(&row, "id")?, get(&row, "flow_id")?);
        }
        Ok(known)
    }

    async fn by_id(
        &self,
        ladder: &sql::Ladder,
        ids: impl Iterator<Item = i64>,
    ) -> Result<Vec<sea_orm::QueryResult>, StoreError> {
        let mut rows = Vec::new();
        for list in sql::lists(&distinct(ids)) {
            let values = list.iter().copied().map(Value::from).collect();
            rows.extend(ladder.rows(&self.transaction, list.len(), values).await?);
        }
        Ok(rows)
    }

    /// Which of these pairs of flow and user are memberships.
    pub(super) async fn memberships(
        &self,
        pairs: &[(i64, i64)],
    ) -> Result<HashSet<(i64, i64)>, StoreError> {
        let mut found = HashSet::new();
        for list in sql::lists(pairs) {
            for row in
                sql::MEMBERSHIPS.rows(&self.transaction, list.len(), pair_values(&list)).await?
            {
                found.insert((get(&row, "flow_id")?, get(&row, "user_id")?));
            }
        }
        Ok(found)
    }

    /// Whole messages by id.
    async fn messages(&self, ids: &[i64]) -> Result<HashMap<i64, Message>, StoreError> {
        let rows = self.by_id(&sql::MESSAGES, ids.iter().copied()).await?;
        rows.iter()
            .map(to_message)
            .map(|message| message.map(|message| (message.id.get(), message)))
            .collect()
    }

    /// Inserts the accepted ones, each with the next version of its flow, and returns them by their
    /// place in the run.
    async fn insert_run(
        &mut self,
        run: Vec<(PostMessage, Timestamp)>,
        decisions: &[Decision],
        known: &Known,
    ) -> Result<HashMap<usize, Message>, StoreError> {
        let accepted =
            decisions.iter().filter(|decision| matches!(decision, Decision::Accepted(_))).count();
        if accepted == 0 {
            return Ok(HashMap::new());
        }
        let count = i64::try_from(accepted).map_err(corrupt)?;
        let mut last_id = sql::take_message_ids(&self.transaction, count).await? - count;
        let mut moved: BTreeMap<i64, (i64, Timestamp)> = BTreeMap::new();
        let mut rows = Vec::with_capacity(accepted);
        let mut made = HashMap::with_capacity(accepted);
        for (place, ((new, now), decision)) in run.into_iter().zip(decisions).enumerate() {
            let Decision::Accepted(flow_kind) = decision else { continue };
            let flow =
                known.flows.get(&new.flow.get()).ok_or_else(|| corrupt("a flow without a row"))?;
            let changed_at = self.next_moment(now);
            let (version, newest) =
                moved.entry(new.flow.get()).or_insert((flow.version, changed_at));
            *version += 1;
            *newest = changed_at;
            last_id += 1;
            let version = Version(*version);
            let message = Message {
                id: message_id(last_id)?,
                flow: new.flow,
                flow_kind: *flow_kind,
                author: new.author,
                content: new.content,
                posted: version,
                version,
                posted_at: now,
                edited_at: None,
                deleted_at: None,
                changed_at,
            };
            rows.push(columns(&message)?);
            self.publish(now, new.origin, EventKind::Posted(message.clone()));
            made.insert(place, message);
        }
        let moved: Vec<_> = moved
            .into_iter()
            .map(|(flow, (version, newest))| [flow, version, newest.micros()])
            .collect();
        for list in sql::lists(&moved) {
            let values = list.iter().flatten().copied().map(Value::from).collect();
            sql::MOVE_FLOWS.execute(&self.transaction, list.len(), values).await?;
        }
        let mut rows = rows.into_iter();
        for length in sql::steps(accepted) {
            let values = rows.by_ref().take(length).flatten().collect();
            sql::INSERT_MESSAGE.execute(&self.transaction, length, values).await?;
        }
        Ok(made)
    }

    /// Takes the next versions of a flow and returns the last of them.
    async fn take_versions(
        &self,
        flow: FlowId,
        count: i64,
        changed_at: Timestamp,
    ) -> Result<Version, StoreError> {
        let values = vec![count.into(), changed_at.micros().into(), flow.get().into()];
        let row = sql::row(&self.transaction, sql::TAKE_VERSIONS, values).await?;
        Ok(Version(get(&row.ok_or_else(|| corrupt("a flow without a row"))?, "version")?))
    }

    async fn put_keys(
        &self,
        keys: &[(i64, String, usize)],
        made: &HashMap<usize, Message>,
    ) -> Result<(), StoreError> {
        for batch in sql::batches(keys) {
            let mut values = Vec::with_capacity(batch.len() * 4);
            for (author, key, place) in batch {
                let message =
                    made.get(place).ok_or_else(|| corrupt("a key without its message"))?;
                values.extend([
                    Value::from(*author),
                    key.as_str().into(),
                    message.id.get().into(),
                    message.posted_at.micros().into(),
                ]);
            }
            sql::PUT_KEY.execute(&self.transaction, batch.len(), values).await?;
        }
        Ok(())
    }

    pub(crate) async fn edit(
        &mut self,
        edit: EditMessage,
        now: Timestamp,
    ) -> Result<Message, StoreError> {
        let EditMessage { message, flow, by, administrator, text, origin } = edit;
        let found = self.messages(&[message.get()]).await?.remove(&message.get());
        let mut message = found.filter(|message| {
            message.deleted_at.is_none() && flow.is_none_or(|flow| flow == message.flow)
        });
        if let Some(found) = &message
            && !administrator
            && self.memberships(&[(found.flow.get(), by.get())]).await?.is_empty()
        {
            message = None;
        }
        let mut message = message.ok_or(Fault::NoSuchMessage)?;
        if message.author.id != by {
            return Err(Fault::NotAuthor.into());
        }
        message.changed_at = self.next_moment(now);
        message.version = self.take_versions(message.flow, 1, message.changed_at).await?;
        message.content.text = text;
        message.edited_at = Some(now);
        let row = message::ActiveModel {
            id: Set(message.id.get()),
            text: Set(message.content.text.clone()),
            version: Set(message.version.0),
            edited_at: Set(Some(now.micros())),
            changed_at: Set(message.changed_at.micros()),
            ..Default::default()
        };
        message::Entity::update(row).exec(&self.transaction).await.map_err(refuse)?;
        self.publish(now, origin, EventKind::Edited(message.clone()));
        Ok(message)
    }

    pub(crate) async fn delete(
        &mut self,
        deletion: DeleteMessages,
        now: Timestamp,
    ) -> Result<Deleted, StoreError> {
        let DeleteMessages { messages, flow, by, administrator, origin } = deletion;
        let mut found: HashMap<i64, (i64, i64)> = HashMap::new();
        for row in self.by_id(&sql::DELETABLE, messages.iter().map(|message| message.get())).await?
        {
            found.insert(get(&row, "id")?, (get(&row, "flow_id")?, get(&row, "author_id")?));
        }
        let pairs = if administrator {
            Vec::new()
        } else {
            distinct(found.values().map(|(flow, _)| (*flow, by.get())))
        };
        let members = self.memberships(&pairs).await?;

        let mut done = Deleted::default();
        let mut flows: BTreeMap<FlowId, Vec<(MessageId, Timestamp)>> = BTreeMap::new();
        for id in distinct(messages) {
            let reached = |(there, _): &&(i64, i64)| {
                flow.is_none_or(|flow| flow.get() == *there)
                    && (administrator || members.contains(&(*there, by.get())))
            };
            match found.get(&id.get()).filter(reached) {
                None => done.absent.push(id),
                Some((_, author)) if !administrator && *author != by.get() => {
                    done.not_author.push(id)
                }
                Some((there, _)) => {
                    done.deleted.push(id);
                    let changed_at = self.next_moment(now);
                    flows.entry(flow_id(*there)?).or_default().push((id, changed_at));
                }
            }
        }
        for (flow, messages) in flows {
            let Some((_, newest)) = messages.last().copied() else { continue };
            let count = i64::try_from(messages.len()).map_err(corrupt)?;
            let first = self.take_versions(flow, count, newest).await?.0 - count + 1;
            let messages: Vec<_> = (first..)
                .zip(messages)
                .map(|(version, (id, at))| (id, Version(version), at))
                .collect();
            for (id, version, changed_at) in &messages {
                self.empty(*id, *version, *changed_at, now).await?;
            }
            let messages = messages.into_iter().map(|(id, version, _)| (id, version)).collect();
            let kind = EventKind::Deleted { flow, by, messages };
            self.events.push(Arc::new(Event {
                occurred_at: now,
                committed_at: Some(newest),
                origin: origin.clone(),
                kind,
            }));
        }
        Ok(done)
    }

    /// Takes a message's content away and marks it deleted.
    async fn empty(
        &self,
        id: MessageId,
        version: Version,
        changed_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Content { text, content_type, attachments, emoji, reply_to } = Content::default();
        let row = message::ActiveModel {
            id: Set(id.get()),
            text: Set(text),
            content_type: Set(content_type_text(&content_type)),
            attachments: Set(attachments_text(&attachments)?),
            emoji: Set(emoji),
            reply_to: Set(reply_to.map(MessageId::get)),
            version: Set(version.0),
            deleted_at: Set(Some(now.micros())),
            changed_at: Set(changed_at.micros()),
            ..Default::default()
        };
        message::Entity::update(row).exec(&self.transaction).await.map_err(refuse)?;
        Ok(())
    }

    /// The oldest unread messages of a viewer, who has read them then.
    pub(crate) async fn read_unread(
        &mut self,
        flow: FlowId,
        viewer: UserId,
        limit: u32,
    ) -> Result<MessagePage, StoreError> {
        let page = crate::read::unread(&self.transaction, flow, viewer, limit).await?;
        if let Some(last) = page.messages.last() {
            self.move_read_mark(flow, viewer, last.posted).await?;
        }
        Ok(page)
    }

    /// Moves a member's read mark forward. Nothing changes if it is there or beyond already, or if
    /// the viewer is not a member.
    pub(crate) async fn move_read_mark(
        &mut self,
        flow: FlowId,
        viewer: UserId,
        mark: Version,
    ) -> Result<(), StoreError> {
        let values = vec![mark.0.into(), flow.get().into(), viewer.get().into()];
        let sql = "UPDATE member SET read_version = $1 \
             WHERE flow_id = $2 AND user_id = $3 AND read_version < $1";
        sql::execute(&self.transaction, sql, values).await.map(drop)
    }
}

impl Known {
    fn decide(&self, new: &PostMessage, now: Timestamp) -> Decision {
        let author = new.author.id.get();
        if let Some((message, used_at)) =
            new.key.as_ref().and_then(|key| self.keys.get(&(author, key.clone())))
            && now < used_at.after(IDEMPOTENCY_WINDOW)
        {
            return Decision::Repeats(*message);
        }
        match self.refusal(new, author) {
            Ok(kind) => Decision::Accepted(kind),
            Err(fault) => Decision::Refused(fault),
        }
    }

    fn refusal(&self, new: &PostMessage, author: i64) -> Result<FlowKind, Fault> {
        let flow = new.flow.get();
        let KnownFlow { kind, owner, .. } = *self.flows.get(&flow).ok_or(Fault::NoSuchFlow)?;
        if !new.administrator && !self.members.contains(&(flow, author)) {
            return Err(Fault::NoSuchFlow);
        }
        if !new.kinds.include(kind) {
            return Err(Fault::WrongKind);
        }
        if kind == FlowKind::Channel && owner != author {
            return Err(Fault::NotOwner);
        }
        if new.administrator && !self.living.contains(&author) {
            return Err(Fault::NoSuchUser);
        }
        if new
            .content
            .reply_to
            .is_some_and(|answered| self.flow_of.get(&answered.get()) != Some(&flow))
        {
            return Err(Fault::NoSuchMessage);
        }
        Ok(kind)
    }
}

/// A new message as [`sql::MESSAGE_COLUMNS`] names its columns.
fn columns(message: &Message) -> Result<[Value; sql::MESSAGE_COLUMNS.len()], StoreError> {
    let content = &message.content;
    Ok([
        message.id.get().into(),
        message.flow.get().into(),
        message.author.id.get().into(),
        content_type_text(&content.content_type).into(),
        content.text.as_str().into(),
        attachments_text(&content.attachments)?.into(),
        content.emoji.clone().into(),
        content.reply_to.map(MessageId::get).into(),
        message.posted.0.into(),
        message.version.0.into(),
        message.posted_at.micros().into(),
        message.changed_at.micros().into(),
    ])
}

fn pair_values(pairs: &[(i64, i64)]) -> Vec<Value> {
    pairs.iter().flat_map(|(one, other)| [Value::from(*one), Value::from(*other)]).collect()
}
