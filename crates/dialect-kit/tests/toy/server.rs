//! The server session of a toy.

use crate::toy::defect::Defect;
use crate::toy::wire::{Wire, frame};
use serde_json::{Value, json};
use tolmach_dialect::{
    Correlation, Delivery, Event, Frame, RenderContext, Request, Response, ServerSession,
    Subscription, Unsupported, Variant, Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Command, Content, Credentials, EventKind, Fault, FlowId, FlowKindFilter, GrantKind,
    Identity, NewMessage, Secret, Timestamp, Tokens,
};

pub(crate) struct Server {
    wire: Wire,
    is_authenticated: bool,
    is_broken: bool,
    /// The token of a login.
    token: Option<Secret>,
}

impl Server {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, is_authenticated: false, is_broken: false, token: None }
    }

    fn violation(&mut self, kind: ViolationKind) -> Violation {
        self.is_broken = self.wire.is(Defect::ForgetsItsLoginOnAViolation);
        let answer = match self.wire.defect {
            Defect::IgnoresViolations => None,
            Defect::AnswersInAnotherForm => Some(Frame::text("what?")),
            _ => Some(frame(&json!({"did": null, "error": kind.name()}))),
        };
        Violation { kind, answer, close: None }
    }

    fn request(&self, value: &Value) -> Option<Request> {
        if self.wire.is(Defect::PanicsOnNumbers) {
            assert!(!value["user"].is_number(), "a text is expected");
        }
        if self.is_broken {
            return None;
        }
        let name = self.wire.text(value, "do")?;
        let correlation = Correlation::new(name.clone());
        let (credentials, command) = match name.as_str() {
            "login" => (Credentials::Nothing, self.login(value)?),
            "send" => (self.credentials(value)?, self.send(value)?),
            "list" => {
                let command = Command::ListFlows { limit: None, offset: 0, members: false };
                (Credentials::Connection, command)
            }
            _ => return None,
        };
        Some(Request::new(correlation, credentials, command))
    }

    fn login(&self, value: &Value) -> Option<Command> {
        let password = Secret::new(self.wire.text(value, "password")?);
        let identifier = self.wire.text(value, "user")?.into();
        Some(Command::Login { identifier, password, grant: GrantKind::Token })
    }

    fn credentials(&self, value: &Value) -> Option<Credentials> {
        let token = match (self.wire.defect, &self.token) {
            (Defect::ChangesCredentials, _) => Secret::new("another"),
            (Defect::RemembersItsToken, Some(token)) => token.clone(),
            _ => Secret::new(self.wire.text(value, "token")?),
        };
        Some(Credentials::Token(token))
    }

    fn send(&self, value: &Value) -> Option<Command> {
        let mut text = self.wire.text(value, "text")?;
        match self.wire.defect {
            Defect::CutsTexts => text = text.chars().take(3).collect(),
            Defect::CutsLongTexts => text = text.chars().take(28).collect(),
            _ => {}
        }
        let flow = FlowId::new(value.get(self.wire.key("flow"))?.as_i64()?).ok()?;
        let content = Content::text(text);
        let new = NewMessage { flow, kinds: FlowKindFilter::Any, content, key: None };
        Some(Command::Send(Box::new(new)))
    }
}

impl ServerSession for Server {
    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let Frame::Text(bytes) = frame else {
            assert!(!self.wire.is(Defect::PanicsOnBinary), "text is expected");
            return Err(self.violation(ViolationKind::FrameKind));
        };
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            assert!(!self.wire.is(Defect::PanicsOnSyntax), "JSON is expected");
            return Err(self.violation(ViolationKind::Syntax));
        };
        let Some(request) = self.request(&value) else {
            if self.wire.is(Defect::LeavesRequestsBehind) {
                let command = Command::Logout { login: None };
                out.push(Request::new(Correlation::NONE, Credentials::Nothing, command));
            }
            return Err(self.violation(ViolationKind::Shape));
        };
        out.push(request);
        Ok(())
    }

    fn respond(
        &mut self,
        _: Timestamp,
        response: &Response,
        _: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let did = response.correlation.get::<String>().cloned();
        let by_connection = did.as_deref() == Some("list");
        let value = match &response.outcome {
            Err(Fault::NoPhoto) if self.wire.is(Defect::CannotEncodeAFault) => {
                return self.wire.unsupported("no_photo");
            }
            Err(Fault::Unauthenticated)
                if by_connection && self.wire.is(Defect::IgnoresTheLoggedOut) =>
            {
                return Ok(());
            }
            Err(fault) => json!({"did": did, "error": fault.name()}),
            Ok(Answer::Granted(grant)) => match &grant.tokens {
                Tokens::Token(token) => {
                    self.token = Some(token.clone());
                    json!({"did": did, "token": token.expose()})
                }
                Tokens::Nothing | Tokens::Connection | Tokens::Pair { .. } => {
                    return self.wire.unsupported("these tokens");
                }
            },
            Ok(Answer::Sent { message, .. }) => {
                let message = message.as_ref().map(|message| message.id.get());
                let mut value = json!({"did": did, "message": message});
                if self.wire.is(Defect::SendsTooMuch) {
                    value["password"] = "hunter2".into();
                }
                value
            }
            Ok(Answer::Flows(flows)) => {
                let flows: Vec<i64> = flows.iter().map(|summary| summary.flow.id.get()).collect();
                json!({"did": did, "flows": flows})
            }
            Ok(_) => return self.wire.unsupported("this answer"),
        };
        out.push(frame(&value));
        if by_connection && self.wire.is(Defect::StaysSubscribedWhenRefused) {
            self.is_authenticated = true;
        }
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        if identity.is_some() || !self.wire.is(Defect::StaysSubscribed) {
            self.is_authenticated = identity.is_some();
        }
    }

    fn subscription(&self) -> Subscription {
        if self.is_authenticated { Subscription::AllFlows } else { Subscription::None }
    }

    fn deliver(&mut self, event: &Event, _: &RenderContext<'_>) -> Delivery {
        match event.kind {
            EventKind::Posted(_) | EventKind::FlowCreated { .. } => Delivery::Shared(Variant(0)),
            EventKind::Edited(_) if self.wire.is(Defect::DeliversWhatItCannotRender) => {
                Delivery::Shared(Variant(0))
            }
            _ => Delivery::Skip,
        }
    }
}
