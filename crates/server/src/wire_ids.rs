//! Ids on their way between a dialect and the engine, where a namespace of external ids belongs to
//! the dialect. Without one, nothing here is called.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tolmach_dialect::{Request, Response, ServerSession, Subscription, WideIds, stand_in_index};
use tolmach_domain::{
    ExternalId, Fault, FlowKindFilter, FlowSummary, IdMut, Identity, ObjectId, VisitIds,
};
use tolmach_engine::{ExternalIds, WireIdMap};

/// The ids in a value.
pub(crate) fn ids_in(value: &mut impl VisitIds) -> BTreeSet<ObjectId> {
    let mut ids = BTreeSet::new();
    value.visit_ids(&mut |id| {
        ids.insert(id.get());
    });
    ids
}

/// Gives the objects in a value the ids that they have on the wire. Returns their wide ids.
pub(crate) fn rename(value: &mut impl VisitIds, map: &WireIdMap) -> Vec<(ObjectId, ExternalId)> {
    let mut wide = Vec::new();
    value.visit_ids(&mut |mut id| {
        let wire = map.get(id.get());
        id.set(wire.number);
        wide.extend(wire.wide.map(|external| (wire.number, external)));
    });
    wide
}

/// The ids in a request.
struct RequestIds<'a>(&'a mut Request);

impl VisitIds for RequestIds<'_> {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.0.credentials.visit_ids(visit);
        self.0.command.visit_ids(visit);
    }
}

/// The ids of a request as its wire has them, for a request that another server is asked for after
/// the engine.
pub(crate) struct IdsOnWire {
    objects: Vec<ObjectId>,
    wide_ids: Vec<ExternalId>,
}

impl IdsOnWire {
    /// Those of a request that has not passed [`to_world`] yet.
    pub(crate) fn of(request: &mut Request) -> Self {
        let mut objects = Vec::new();
        RequestIds(request).visit_ids(&mut |id| objects.push(id.get()));
        Self { objects, wide_ids: request.wide_ids.clone() }
    }

    /// Gives them back to the request, which has the same credentials and command.
    pub(crate) fn restore(&self, request: &mut Request) {
        request.wide_ids.clone_from(&self.wide_ids);
        let mut objects = self.objects.iter();
        RequestIds(request).visit_ids(&mut |mut id| {
            if let Some(object) = objects.next() {
                id.set(*object);
            }
        });
    }
}

/// Gives the objects in a request the ids that they have in the world. `kinds` are the
/// [kinds of flow](ServerSession::flow_kinds) that the session's numbers name. Returns the numbers
/// on the wire of the objects of [`Request::wide_ids`], in their order.
pub(crate) async fn to_world(
    ids: Option<&ExternalIds>,
    kinds: FlowKindFilter,
    request: &mut Request,
) -> Result<Vec<i64>, Fault> {
    let Some(ids) = ids else { return Ok(Vec::new()) };
    let wide_ids = std::mem::take(&mut request.wide_ids);
    let stand_in = |number: ObjectId| {
        let index = stand_in_index(number.get())?;
        Some((index, (number.kind(), *wide_ids.get(index)?)))
    };
    let numbers = ids_in(&mut RequestIds(request));
    let wide: Vec<_> = numbers.iter().filter_map(|number| stand_in(*number)).collect();
    let plain: Vec<_> =
        numbers.iter().copied().filter(|number| stand_in(*number).is_none()).collect();
    let keys: Vec<_> = wide.iter().map(|(_, key)| *key).collect();
    let (of_plain, of_wide) = ids.in_world(&plain, &keys, kinds).await?;
    let stand_ins = numbers.iter().copied().filter(|number| stand_in(*number).is_some());
    let objects: HashMap<ObjectId, ObjectId> =
        plain.iter().copied().zip(of_plain).chain(stand_ins.zip(of_wide.iter().copied())).collect();
    RequestIds(request).visit_ids(&mut |mut id| {
        if let Some(object) = objects.get(&id.get()) {
            id.set(*object);
        }
    });
    let mut requested = vec![0; wide_ids.len()];
    if !of_wide.is_empty() {
        let on_wire = ids.on_wire(&of_wide.iter().copied().collect()).await?;
        for ((index, _), object) in wide.iter().zip(of_wide) {
            requested[*index] = on_wire.get(object).number.get();
        }
    }
    Ok(requested)
}

/// The subscription with the flow that its number on the wire names.
pub(crate) async fn subscription_to_world(
    ids: Option<&ExternalIds>,
    kinds: FlowKindFilter,
    subscription: Subscription,
) -> Result<Subscription, Fault> {
    let (Some(ids), Subscription::Flow(flow)) = (ids, subscription) else {
        return Ok(subscription);
    };
    let (objects, _) = ids.in_world(&[ObjectId::Flow(flow)], &[], kinds).await?;
    Ok(match objects.as_slice() {
        [ObjectId::Flow(flow)] => Subscription::Flow(*flow),
        _ => Subscription::None,
    })
}

/// A response as its wire knows the objects in it.
pub(crate) struct ForWire {
    pub(crate) response: Response,
    pub(crate) summary: Option<Arc<FlowSummary>>,
    pub(crate) wide_ids: Option<WideIds>,
}

impl ForWire {
    /// `requested` is what [`to_world`] returned for the request. Ids that cannot be read make a
    /// refusal of the response.
    pub(crate) async fn new(
        ids: Option<&ExternalIds>,
        mut response: Response,
        mut summary: Option<Arc<FlowSummary>>,
        requested: Vec<i64>,
    ) -> Self {
        let Some(ids) = ids else { return Self { response, summary, wide_ids: None } };
        let mut objects = ids_in(&mut response.outcome);
        objects.append(&mut ids_in(&mut response.identity));
        // The summary is shared with other connections.
        let mut copy = summary.as_deref().cloned();
        objects.append(&mut ids_in(&mut copy));
        let mut wide = Vec::new();
        match ids.on_wire(&objects).await {
            Ok(map) if map.is_empty() => {}
            Ok(map) => {
                wide.append(&mut rename(&mut response.outcome, &map));
                wide.append(&mut rename(&mut response.identity, &map));
                wide.append(&mut rename(&mut copy, &map));
                summary = copy.map(Arc::new);
            }
            Err(fault) => response.outcome = Err(fault),
        }
        Self { response, summary, wide_ids: Some(WideIds::new(wide, requested)) }
    }
}

/// Tells a session of its connection's new identity, with the user's id on its wire. A session
/// whose id cannot be read is told that there is none.
pub(crate) async fn announce_identity(
    ids: Option<&ExternalIds>,
    session: &mut dyn ServerSession,
    identity: Option<Identity>,
) -> Result<(), Fault> {
    let identity = identity_to_wire(ids, identity).await;
    session.authenticated(identity.as_ref().copied().unwrap_or_default());
    identity.map(drop)
}

/// The identity as its wire knows the user.
async fn identity_to_wire(
    ids: Option<&ExternalIds>,
    identity: Option<Identity>,
) -> Result<Option<Identity>, Fault> {
    let (Some(ids), Some(mut identity)) = (ids, identity) else { return Ok(identity) };
    let map = ids.on_wire(&ids_in(&mut identity)).await?;
    rename(&mut identity, &map);
    Ok(Some(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_dialect::Correlation;
    use tolmach_domain::{Command, Credentials, FlowId, MessageId, Secret, UserId};

    #[test]
    fn a_request_gets_its_ids_on_the_wire_back_each_in_its_place() {
        let messages = [7, 8, 7].map(|id| MessageId::new(id).unwrap()).to_vec();
        let flow = FlowId::new(3).ok();
        let command = Command::Delete { messages, flow, all_or_none: false };
        let credentials = Credentials::TokenOf(UserId::new(5).unwrap(), Secret::new("token"));
        let wide_ids = vec![ExternalId(1 << 100)];
        let mut request = Request::new(Correlation::NONE, credentials.clone(), command.clone());
        request.wide_ids = wide_ids.clone();
        let ids = IdsOnWire::of(&mut request);
        request.wide_ids.clear();
        RequestIds(&mut request).visit_ids(&mut |mut id| {
            id.set(match id.get() {
                ObjectId::User(_) => ObjectId::User(UserId::new(1).unwrap()),
                ObjectId::Flow(_) => ObjectId::Flow(FlowId::new(1).unwrap()),
                ObjectId::Message(_) => ObjectId::Message(MessageId::new(1).unwrap()),
            });
        });
        assert_ne!(request.command, command);
        ids.restore(&mut request);
        assert_eq!((&request.credentials, &request.command), (&credentials, &command));
        assert_eq!(request.wide_ids, wide_ids);
    }
}
