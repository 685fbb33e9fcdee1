//! Posting: messages that are queued one after another are posted together.

use super::lookups::{distinct, pair_values};
use super::transaction::Batch;
use crate::entities::flow::Kind;
use crate::entities::message_key;
use crate::error::corrupt;
use crate::rows::{attachments_text, content_type_text, message_id};
use crate::sql::{self, get};
use sea_orm::{FromQueryResult, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tolmach_domain::{EventKind, Fault, FlowKind, Message, MessageId, Timestamp, Version};
use tolmach_engine::ports::{IDEMPOTENCY_WINDOW, PostMessage, Posted, StoreError};

/// The result of one message of a run.
pub(crate) type PostOutcome = Result<Posted, Fault>;

/// The rows that the rules of posting are checked with.
#[derive(Default)]
struct Context {
    keys: HashMap<(i64, String), (i64, Timestamp)>,
    flows: HashMap<i64, PostingFlow>,
    /// The pairs of flow and author that are memberships, each with true if the author has acted.
    members: HashMap<(i64, i64), bool>,
    /// The pairs of flow and author that are chats whose other member blocks the author.
    blocked: HashSet<(i64, i64)>,
    active_users: HashSet<i64>,
    flows_of_messages: HashMap<i64, i64>,
}

/// A flow as posting needs it.
struct PostingFlow {
    kind: FlowKind,
    owner: i64,
    version: i64,
}

/// The decision about one message of a run.
enum Decision {
    Refused(Fault),
    /// The key was used before the run, for the message with this id.
    Repeats(i64),
    /// The key was used earlier in the run, by the message at this index.
    RepeatsIndex(usize),
    Accepted(FlowKind),
}

impl Batch {
    /// Posts messages in this order. The number of statements grows with the logarithm of the
    /// number of messages.
    pub(crate) async fn post(
        &mut self,
        run: Vec<(PostMessage, Timestamp)>,
    ) -> Result<Vec<PostOutcome>, StoreError> {
        let context = self.context(&run).await?;
        let mut used: HashMap<(i64, &str), usize> = HashMap::new();
        let mut decisions = Vec::with_capacity(run.len());
        for (index, (new, now)) in run.iter().enumerate() {
            let key = new.key.as_deref().map(|key| (new.author.id.get(), key));
            let earlier = key
                .and_then(|key| used.get(&key).copied())
                .filter(|earlier| *now < run[*earlier].1.after(IDEMPOTENCY_WINDOW));
            let decision = match earlier {
                Some(earlier) => Decision::RepeatsIndex(earlier),
                None => context.decide(new, *now),
            };
            if let (Some(key), Decision::Accepted(_)) = (key, &decision) {
                used.insert(key, index);
            }
            decisions.push(decision);
        }
        let keys: Vec<(i64, String, usize)> = used
            .into_iter()
            .map(|((author, key), index)| (author, key.to_owned(), index))
            .collect();
        let repeated: Vec<i64> = decisions
            .iter()
            .filter_map(
                |decision| if let Decision::Repeats(id) = decision { Some(*id) } else { None },
            )
            .collect();
        let repeated = self.messages(&repeated).await?;
        let mut inserted = self.insert_run(run, &decisions, &context).await?;
        self.put_keys(&keys, &inserted).await?;
        // The messages that are returned for later ones of the run too.
        let repeats = |decision: &Decision| {
            if let Decision::RepeatsIndex(earlier) = decision { Some(*earlier) } else { None }
        };
        let shared: HashMap<usize, Message> = decisions
            .iter()
            .filter_map(repeats)
            .filter_map(|index| Some((index, inserted.get(&index)?.clone())))
            .collect();

        let mut outcomes = Vec::with_capacity(decisions.len());
        for (index, decision) in decisions.into_iter().enumerate() {
            let missing = || corrupt("a message that was just inserted or read is missing");
            outcomes.push(match decision {
                Decision::Refused(fault) => Err(fault),
                Decision::Repeats(id) => {
                    Ok(Posted::Repeated(repeated.get(&id).ok_or_else(missing)?.clone()))
                }
                Decision::RepeatsIndex(earlier) => {
                    Ok(Posted::Repeated(shared.get(&earlier).ok_or_else(missing)?.clone()))
                }
                Decision::Accepted(_) => {
                    Ok(Posted::New(inserted.remove(&index).ok_or_else(missing)?))
                }
            });
        }
        Ok(outcomes)
    }

    /// Reads the context of a run.
    async fn context(&self, run: &[(PostMessage, Timestamp)]) -> Result<Context, StoreError> {
        let mut context = Context::default();
        let keys: Vec<(i64, &str)> = run
            .iter()
            .filter_map(|(new, _)| Some((new.author.id.get(), new.key.as_deref()?)))
            .collect();
        for list in sql::padded_lists(&distinct(keys)) {
            let values = list
                .iter()
                .flat_map(|(author, key)| [Value::from(*author), Value::from(*key)])
                .collect();
            for row in sql::MESSAGE_KEYS.rows(&self.transaction, list.len(), values).await? {
                let row = message_key::Model::from_query_result(&row, "").map_err(corrupt)?;
                context.keys.insert(
                    (row.author_id, row.key),
                    (row.message_id, Timestamp::from_micros(row.used_at)),
                );
            }
        }
        let pairs = distinct(run.iter().map(|(new, _)| (new.flow.get(), new.author.id.get())));
        for list in sql::padded_lists(&pairs) {
            for row in
                sql::POSTING_FLOWS.rows(&self.transaction, list.len(), pair_values(&list)).await?
            {
                let (flow, kind): (i64, Kind) = (get(&row, "id")?, get(&row, "kind")?);
                context.flows.insert(
                    flow,
                    PostingFlow {
                        kind: kind.into(),
                        owner: get(&row, "owner_id")?,
                        version: get(&row, "version")?,
                    },
                );
                if get(&row, "blocked")? {
                    context.blocked.insert((flow, get(&row, "author_id")?));
                }
                if let Some(member) = get(&row, "member")? {
                    let acted = get(&row, "acted")?;
                    context.members.insert((flow, member), acted);
                }
            }
        }
        for row in self
            .by_id(
                &sql::ACTIVE_USERS,
                run.iter().filter(|(new, _)| new.administrator).map(|(new, _)| new.author.id.get()),
            )
            .await?
        {
            context.active_users.insert(get(&row, "id")?);
        }
        for row in self
            .by_id(
                &sql::FLOWS_OF_MESSAGES,
                run.iter().filter_map(|(new, _)| Some(new.content.reply_to?.get())),
            )
            .await?
        {
            context.flows_of_messages.insert(get(&row, "id")?, get(&row, "flow_id")?);
        }
        Ok(context)
    }

    /// Inserts the accepted messages, each with the next version of its flow, and returns them by
    /// their index in the run.
    async fn insert_run(
        &mut self,
        run: Vec<(PostMessage, Timestamp)>,
        decisions: &[Decision],
        context: &Context,
    ) -> Result<HashMap<usize, Message>, StoreError> {
        let accepted =
            decisions.iter().filter(|decision| matches!(decision, Decision::Accepted(_))).count();
        if accepted == 0 {
            return Ok(HashMap::new());
        }
        let count = i64::try_from(accepted).map_err(corrupt)?;
        let mut last_id = sql::take_message_ids(&self.transaction, count).await? - count;
        let mut versions: BTreeMap<i64, (i64, Timestamp)> = BTreeMap::new();
        let mut newly_acting = BTreeSet::new();
        let mut rows = Vec::with_capacity(accepted);
        let mut inserted = HashMap::with_capacity(accepted);
        for (index, ((new, now), decision)) in run.into_iter().zip(decisions).enumerate() {
            let Decision::Accepted(flow_kind) = decision else { continue };
            let flow = context
                .flows
                .get(&new.flow.get())
                .ok_or_else(|| corrupt("a flow without a row"))?;
            let changed_at = self.next_commit_time(now);
            let (version, newest) =
                versions.entry(new.flow.get()).or_insert((flow.version, changed_at));
            *version += 1;
            *newest = changed_at;
            last_id += 1;
            let member = (new.flow.get(), new.author.id.get());
            if context.members.get(&member) == Some(&false) {
                newly_acting.insert(member);
            }
            let version = Version(*version);
            let (id, flow) = (message_id(last_id)?, (new.flow, *flow_kind));
            let message = Message {
                posted: version,
                version,
                changed_at,
                ..Message::new(id, flow, new.author, new.content, now)
            };
            rows.push(columns(&message)?);
            self.publish(now, new.origin, EventKind::Posted(message.clone()));
            inserted.insert(index, message);
        }
        let versions: Vec<_> = versions
            .into_iter()
            .map(|(flow, (version, newest))| [flow, version, newest.micros()])
            .collect();
        for list in sql::padded_lists(&versions) {
            let values = list.iter().flatten().copied().map(Value::from).collect();
            sql::SET_FLOW_VERSIONS.execute(&self.transaction, list.len(), values).await?;
        }
        let newly_acting: Vec<_> = newly_acting.into_iter().collect();
        for list in sql::padded_lists(&newly_acting) {
            let values = pair_values(&list);
            sql::SET_ACTED.execute(&self.transaction, list.len(), values).await?;
        }
        let mut rows = rows.into_iter();
        for length in sql::chunk_lengths(accepted) {
            let values = rows.by_ref().take(length).flatten().collect();
            sql::INSERT_MESSAGES.execute(&self.transaction, length, values).await?;
        }
        Ok(inserted)
    }

    /// Stores the keys of inserted messages, given with their indexes in the run.
    async fn put_keys(
        &self,
        keys: &[(i64, String, usize)],
        inserted: &HashMap<usize, Message>,
    ) -> Result<(), StoreError> {
        for batch in sql::chunks(keys) {
            let mut values = Vec::with_capacity(batch.len() * 4);
            for (author, key, index) in batch {
                let message =
                    inserted.get(index).ok_or_else(|| corrupt("a key without its message"))?;
                values.extend([
                    Value::from(*author),
                    key.as_str().into(),
                    message.id.get().into(),
                    message.posted_at.micros().into(),
                ]);
            }
            sql::PUT_MESSAGE_KEYS.execute(&self.transaction, batch.len(), values).await?;
        }
        Ok(())
    }
}

impl Context {
    /// The decision by the state before the run.
    fn decide(&self, new: &PostMessage, now: Timestamp) -> Decision {
        let author = new.author.id.get();
        if let Some((message, used_at)) =
            new.key.as_ref().and_then(|key| self.keys.get(&(author, key.clone())))
            && now < used_at.after(IDEMPOTENCY_WINDOW)
        {
            return Decision::Repeats(*message);
        }
        match self.check(new, author) {
            Ok(kind) => Decision::Accepted(kind),
            Err(fault) => Decision::Refused(fault),
        }
    }

    /// The kind of the flow, or the fault of a message that must not be posted.
    fn check(&self, new: &PostMessage, author: i64) -> Result<FlowKind, Fault> {
        let flow = new.flow.get();
        let PostingFlow { kind, owner, .. } = *self.flows.get(&flow).ok_or(Fault::NoSuchFlow)?;
        if !new.administrator && !self.members.contains_key(&(flow, author)) {
            return Err(Fault::NoSuchFlow);
        }
        if !new.kinds.include(kind) {
            return Err(Fault::WrongKind);
        }
        if !new.administrator && self.blocked.contains(&(flow, author)) {
            return Err(Fault::NoSuchFlow);
        }
        if kind == FlowKind::Channel && owner != author {
            return Err(Fault::NotOwner);
        }
        if new.administrator && !self.active_users.contains(&author) {
            return Err(Fault::NoSuchUser);
        }
        if new
            .content
            .reply_to
            .is_some_and(|answered| self.flows_of_messages.get(&answered.get()) != Some(&flow))
        {
            return Err(Fault::NoSuchMessage);
        }
        Ok(kind)
    }
}

/// The values of [`sql::MESSAGE_COLUMNS`] for a new message.
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
