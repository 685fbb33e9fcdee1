//! The client session of a toy.

use crate::toy::defect::Defect;
use crate::toy::wire::Wire;
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use tolmach_dialect::{
    ClientSession, Correlation, Event, Frame, Incoming, InvalidReply, Request, Response,
    Unsupported,
};
use tolmach_dialect_kit::fixtures;
use tolmach_dialect_kit::stories::all_faults;
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, EventKind, Fault, Flow, FlowId, FlowKind,
    FlowSummary, Grant, Secret, Timestamp, Tokens, UserId,
};

pub(crate) struct Client {
    wire: Wire,
    /// Requests without a response, the oldest first.
    pending: VecDeque<(Correlation, Command)>,
}

impl Client {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, pending: VecDeque::new() }
    }

    fn encode(&self, request: &Request) -> Result<Frame, Unsupported> {
        if request.authority != Authority::Member && !self.wire.is(Defect::DropsTheAuthority) {
            return self.wire.unsupported("an administrator");
        }
        match &request.command {
            Command::Login { identifier, password, .. } => Ok(self.wire.request(&[
                ("do", "login".into()),
                ("user", identifier.as_str().into()),
                ("password", password.expose().into()),
            ])),
            Command::Send(new) => {
                let Credentials::Token(token) = &request.credentials else {
                    return self.wire.unsupported("these credentials");
                };
                if new.content != Content::text(new.content.text.clone()) {
                    return self.wire.unsupported("anything but text");
                }
                let remembered = self.wire.is(Defect::RemembersItsToken);
                Ok(self.wire.request(&[
                    ("do", "send".into()),
                    ("token", if remembered { "" } else { token.expose() }.into()),
                    ("flow", new.flow.get().into()),
                    ("text", new.content.text.as_str().into()),
                ]))
            }
            Command::ListFlows { limit: None, offset: 0, members: false }
                if request.credentials != Credentials::Nothing =>
            {
                Ok(self.wire.request(&[("do", "list".into())]))
            }
            other => self.wire.unsupported(other.name()),
        }
    }

    fn incoming(&mut self, value: &Value) -> Option<Incoming> {
        if let Some(kind) =
            value.get("pushed").map(posted).or_else(|| Some(self.made(value.get("made")?)))
        {
            return Some(Event::new(fixtures::time(0), kind?).into());
        }
        let (correlation, command) = self.pending.pop_front()?;
        let outcome = match value.get("error") {
            Some(_)
                if matches!(command, Command::Send(_))
                    && self.wire.is(Defect::DecodesRefusalsAsGrants) =>
            {
                Ok(Answer::Sent { message: None, repeated: false })
            }
            Some(error) => Err(fault(error.as_str()?)?),
            None => Ok(self.answer(value, command)?),
        };
        let lost = self.wire.is(Defect::LosesTheCorrelation);
        let correlation = if lost { Correlation::NONE } else { correlation };
        Some(Incoming::Response(Response::new(correlation, outcome)))
    }

    fn answer(&self, value: &Value, command: Command) -> Option<Answer> {
        match command {
            Command::Login { .. } => {
                let token = Secret::new(value.get("token")?.as_str()?);
                let grant = Grant { user: None, tokens: Tokens::Token(token) };
                Some(Answer::Granted(Box::new(grant)))
            }
            Command::Send(new) => {
                let id = value.get("message")?;
                if id.is_null() && !self.wire.is(Defect::RefusesAnAbsentMessage) {
                    return Some(Answer::Sent { message: None, repeated: false });
                }
                let mut message = fixtures::message(1, 3);
                (message.flow, message.content) = (new.flow, new.content);
                message.id = id.as_i64()?.try_into().ok()?;
                Some(Answer::Sent { message: Some(Box::new(message)), repeated: false })
            }
            Command::ListFlows { .. } => {
                let flow = |id: &Value| {
                    let id = FlowId::new(id.as_i64()?).ok()?;
                    Some(FlowSummary::new(Flow::new(id, FlowKind::Group, "untitled")))
                };
                let flows = value.get("flows")?.as_array()?.iter().map(flow);
                Some(Answer::Flows(flows.collect::<Option<Vec<_>>>()?))
            }
            _ => None,
        }
    }

    fn made(&self, made: &Value) -> Option<EventKind> {
        let id = FlowId::new(made.get("flow")?.as_i64()?).ok()?;
        let owner = made.get("owner")?;
        let owner = match owner.as_i64() {
            Some(owner) => Some(UserId::new(owner).ok()?),
            None if self.wire.is(Defect::RefusesAnAbsentOwner) => return None,
            None => None,
        };
        let flow = Flow { owner, ..Flow::new(id, FlowKind::Group, "untitled") };
        Some(EventKind::FlowCreated { flow, members: Vec::new() })
    }
}

impl ClientSession for Client {
    fn request(
        &mut self,
        _: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let frame = self.encode(request).inspect_err(|_| {
            if self.wire.is(Defect::LeavesFramesBehind) {
                out.push(Frame::Text(Bytes::from_static(b"half")));
            }
        })?;
        self.pending.push_back((request.correlation.clone(), request.command.clone()));
        out.push(frame);
        Ok(())
    }

    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let value: Value = serde_json::from_slice(frame.payload())?;
        if self.wire.is(Defect::PanicsInTheClient) {
            assert!(value.is_object(), "an object is expected");
        }
        out.push(self.incoming(&value).ok_or(InvalidReply::SHAPE)?);
        Ok(())
    }
}

fn posted(pushed: &Value) -> Option<EventKind> {
    let number = |key: &str| pushed.get(key).and_then(Value::as_i64);
    let mut message = fixtures::message(1, 3);
    message.flow = FlowId::new(number("flow")?).ok()?;
    message.id = number("message")?.try_into().ok()?;
    message.author.id = UserId::new(number("author")?).ok()?;
    message.content = Content::text(pushed.get("text")?.as_str()?);
    Some(EventKind::Posted(message))
}

fn fault(name: &str) -> Option<Fault> {
    all_faults().into_iter().find(|fault| fault.name() == name)
}
