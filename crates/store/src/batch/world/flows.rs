//! Flows.

use super::known::Source;
use super::records::Records;
use crate::batch::transaction::Batch;
use crate::entities::flow::Kind;
use crate::rows::{flow_id, photo_columns};
use crate::sql::{self, get};
use sea_orm::{ActiveEnum, Value};
use std::collections::HashSet;
use tolmach_domain::{Fault, FlowId, FlowKind, ObjectKind};
use tolmach_engine::ports::{ImportFlow, ImportNote, Imported, StoreError};

/// A flow with its owner and its pair as they are stored.
struct NewFlow {
    flow: ImportFlow,
    owner: i64,
    pair: Option<String>,
}

impl Batch {
    pub(super) async fn import_flows(
        &mut self,
        source: &mut Source,
        before: i64,
        flows: Vec<ImportFlow>,
    ) -> Result<Vec<Imported<FlowId>>, StoreError> {
        let source_ids = flows.iter().map(|flow| flow.source_id);
        let known = self.known(source, ObjectKind::Flow, source_ids).await?;
        let users =
            flows.iter().flat_map(|flow| flow.pair.into_iter().flatten().chain([flow.owner]));
        let users = self.known(source, ObjectKind::User, users).await?;
        let pair_of = |flow: &ImportFlow| {
            let [one, other] = flow.pair?.map(|user| users.get(&user).copied());
            let (one, other) = (one?, other?);
            (one != other).then(|| format!("{}:{}", one.min(other), one.max(other)))
        };
        let pairs: Vec<String> = flows.iter().filter_map(pair_of).collect();
        let mut pairs = self.taken_pairs(&pairs).await?;
        let mut records = Records::new(flows.len());
        for flow in flows {
            if let Some(id) = known.get(&flow.source_id) {
                records.existing(*id);
                continue;
            }
            if records.repeats(flow.source_id) {
                continue;
            }
            let Some(owner) = users.get(&flow.owner).copied() else {
                records.refuse(Fault::NoSuchUser);
                continue;
            };
            let (mut flow, mut note) = (flow, None);
            let pair = match flow.kind {
                FlowKind::Group | FlowKind::Channel => None,
                FlowKind::Chat if flow.pair.is_none() => {
                    records.refuse(Fault::invalid("pair", "a chat has two users"));
                    continue;
                }
                FlowKind::Chat => match pair_of(&flow) {
                    None => {
                        records.refuse(Fault::NoSuchUser);
                        continue;
                    }
                    Some(pair) if !pairs.insert(pair.clone()) => {
                        (flow.kind, note) = (FlowKind::Group, Some(ImportNote::ChatAsGroup));
                        None
                    }
                    pair => pair,
                },
            };
            records.accept(flow.source_id, NewFlow { flow, owner, pair }, note);
        }
        let taken = self.taken_ids(&sql::EXISTING_FLOWS, records.source_ids()).await?;
        let is_taken = |id| taken.contains(&id);
        let ids = self.new_ids(ObjectKind::Flow, before, records.source_ids(), is_taken).await?;
        let new = records.take_new();
        let rows = new.iter().zip(&ids).map(|(flow, id)| columns(flow, *id)).collect();
        sql::INSERT_FLOWS.execute(&self.transaction, rows).await?;
        let remembered = new.iter().map(|new| new.flow.source_id).zip(ids.iter().copied());
        self.remember(source, ObjectKind::Flow, remembered).await?;
        records.outcomes(&ids, flow_id)
    }

    /// Those of these pairs that have a chat.
    async fn taken_pairs(&self, pairs: &[String]) -> Result<HashSet<String>, StoreError> {
        let pairs: Vec<Value> = pairs.iter().map(|pair| pair.as_str().into()).collect();
        let rows = sql::PAIRS.rows(&self.transaction, Vec::new(), &pairs).await?;
        rows.iter().map(|row| get(row, "pair")).collect()
    }
}

/// The values of [`sql::FLOW_COLUMNS`].
fn columns(new: &NewFlow, id: i64) -> [Value; sql::FLOW_COLUMNS.len()] {
    let flow = &new.flow;
    let (photo_key, photo_type) = photo_columns(flow.photo.clone());
    [
        id.into(),
        Kind::from(flow.kind).to_value().into(),
        flow.title.as_str().into(),
        flow.info.as_str().into(),
        new.owner.into(),
        photo_key.into(),
        photo_type.into(),
        new.pair.clone().into(),
        0_i64.into(),
        flow.created_at.micros().into(),
        flow.created_at.micros().into(),
    ]
}
