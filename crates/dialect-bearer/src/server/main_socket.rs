//! The WebSocket of all rooms.

use super::encode::LAST_MESSAGE;
use super::{decode, encode};
use crate::errors::{fault_response, frame_violation, unsupported};
use crate::head::RequestHead;
use crate::routes::Operation;
use crate::wire::{MessageKind, POLICY_VIOLATION};
use std::collections::HashMap;
use tolmach_dialect::{
    Close, Correlation, Delivery, Event, Frame, Handshake, RenderContext, Request, Response,
    Revision, ServerSession, Subscription, Unsupported, Violation, ViolationKind, WireNames,
};
use tolmach_domain::{Answer, Command, EventKind, FlowId, FlowKind, Identity, Timestamp, Version};

/// The newest messages of all rooms. A client sends nothing here.
pub(super) struct MainSocket {
    head: RequestHead,
    max_json_depth: usize,
    revision: Revision,
    is_authenticated: bool,
    /// The version of each flow in the list; `None` until its last messages were sent.
    listed_versions: Option<HashMap<ListedFlow, Version>>,
}

/// A flow by its number and true for a chat: a group may have the number of a chat.
type ListedFlow = (FlowId, bool);

fn listed(flow: FlowId, kind: FlowKind) -> ListedFlow {
    (flow, kind == FlowKind::Chat)
}

impl MainSocket {
    pub(super) fn new(head: RequestHead, handshake: &Handshake<'_>) -> Self {
        Self {
            head,
            max_json_depth: handshake.max_json_depth,
            revision: crate::revision::of(handshake),
            is_authenticated: false,
            listed_versions: None,
        }
    }
}

impl ServerSession for MainSocket {
    fn initial_requests(&mut self, _now: Timestamp, out: &mut Vec<Request>) {
        let command = Command::ListFlows { limit: None, offset: 0, members: false };
        out.push(Request::new(Correlation::NONE, self.head.take_credentials(), command));
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        _out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        decode::client_frame(frame, self.max_json_depth)?;
        let text = "nothing is said here: enter a room";
        Err(frame_violation(ViolationKind::UnknownMethod, text))
    }

    /// Responds to the initial request, the only one.
    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        _context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        match &response.outcome {
            Ok(Answer::Flows(summaries)) => {
                let flows = summaries.iter().map(|summary| &summary.flow);
                let versions = flows.map(|flow| (listed(flow.id, flow.kind), flow.version));
                self.listed_versions = Some(versions.collect());
                // The newest activity comes last, in the order of the events that follow.
                let last = summaries.iter().rev().filter_map(|summary| summary.last.as_ref());
                out.extend(last.map(|last| encode::message_frame(last, MessageKind::LastMessage)));
            }
            Ok(_) => return Err(unsupported(Operation::Main.name())),
            Err(fault) => out.push(Frame::response(fault_response(Operation::Main, fault))),
        }
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.is_authenticated = identity.is_some();
    }

    fn subscription(&self) -> Subscription {
        if self.is_authenticated { Subscription::AllFlows } else { Subscription::None }
    }

    fn deliver(&mut self, event: &Event, _context: &RenderContext<'_>) -> Delivery {
        match (&event.kind, &self.listed_versions) {
            (EventKind::SessionsEnded { .. }, _) => {
                Delivery::Close(Close::new(POLICY_VIOLATION, "the session has ended"))
            }
            (EventKind::Posted(message), Some(versions))
                if versions
                    .get(&listed(message.flow, message.flow_kind))
                    .is_none_or(|sent| message.version.is_newer_than(*sent)) =>
            {
                Delivery::Shared(LAST_MESSAGE)
            }
            _ => Delivery::Skip,
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.head.subprotocol
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
