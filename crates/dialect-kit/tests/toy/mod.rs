//! A dialect small enough to see through, and the ways in which it can be broken on purpose.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_dialect::{
    Ask, Capabilities, Closes, DOC, Delivery, Dialect, Door, Echo, Frame, Interest, Limits, Line,
    Loss, Manifest, Notice, Opening, Recognition, Refusal, Reply, Session, Side, Transport,
    Variant, Violation, ViolationKind,
};
use tolmach_dialect_kit::{stories::all_faults, world};
use tolmach_domain::{
    Answer, Authority, Command, Content, Credentials, EventKind, Fault, FlowId, FlowKindFilter,
    Grant, GrantKind, NewMessage, Secret, Timestamp, Tokens, UserId,
};

/// What is wrong with a toy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    ForgetsTheEcho,
    CutsTexts,
    CutsLongTexts,
    DropsTheAuthority,
    HearsRefusalsAsGrants,
    CannotSayAFault,
    MistakesAProof,
    RendersDifferently,
    RendersUnlikeItsEncoding,
    LeavesFramesBehindOnALoss,
    PanicsOnNumbers,
    PanicsOnBinary,
    PanicsOnSyntax,
    PanicsWhereItRecognises,
    PanicsInTheClient,
    LeavesLinesBehind,
    IgnoresViolations,
    AnswersInAnotherForm,
    ForgetsItsLoginOnAViolation,
    SaysTooMuch,
    RecognisesNothing,
    RecognisesEverything,
    ClaimsAPush,
}

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: "toy",
    summary: "Logs in and sends",
    doors: &[Door { path: "/toy", transport: Transport::WebSocket }],
    revisions: &[DOC],
    opening: Some("a string \"do\""),
    limits: Limits::default(),
    closes: Closes::default(),
    capabilities: Capabilities { pushes_posted: true, ..Capabilities::default() },
    push_by_default: true,
    documents: &[],
});

static CLAIMING: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    capabilities: Capabilities { pushes_edited: true, ..MANIFEST.capabilities },
    ..MANIFEST.clone()
});

/// The toy dialect: `login` and `send`, with pushes of what was posted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toy(pub(crate) Defect);

fn loss<T>(what: &'static str) -> Result<T, Loss> {
    Err(Loss { dialect: "toy", what })
}

fn text(value: &Value) -> Frame {
    Frame::text(value.to_string())
}

impl Toy {
    fn say(self, ask: &Ask) -> Result<Value, Loss> {
        if ask.authority != Authority::Member && self.0 != Defect::DropsTheAuthority {
            return loss("an administrator");
        }
        match &ask.command {
            Command::Login { identifier, password, .. } => {
                Ok(json!({"do": "login", "user": identifier, "password": password.expose()}))
            }
            Command::Send(draft) => {
                let Credentials::Token(token) = &ask.proof else { return loss("this proof") };
                if draft.content != Content::text(draft.content.text.clone()) {
                    return loss("anything but text");
                }
                Ok(
                    json!({"do": "send", "token": token.expose(), "flow": draft.flow.get(), "text": draft.content.text}),
                )
            }
            other => loss(other.name()),
        }
    }

    fn push(notice: &Notice) -> Result<Value, Loss> {
        match &notice.kind {
            EventKind::Posted(message) => Ok(json!({"pushed": {
                "flow": message.flow.get(), "message": message.id.get(), "author": message.author.id.get(), "text": message.content.text,
            }})),
            _ => loss(notice.name()),
        }
    }
}

impl Dialect for Toy {
    fn manifest(&self) -> &Manifest {
        if self.0 == Defect::ClaimsAPush { &CLAIMING } else { &MANIFEST }
    }

    fn recognise(&self, opening: &Opening<'_>) -> Recognition {
        let value =
            opening.first.and_then(|frame| serde_json::from_slice::<Value>(frame.payload()).ok());
        if self.0 == Defect::PanicsWhereItRecognises {
            assert!(value.as_ref().is_none_or(Value::is_object), "an object is expected");
        }
        match (self.0, value) {
            (Defect::RecognisesNothing, _) => Recognition::No,
            (Defect::RecognisesEverything, _) => Recognition::Certain(DOC),
            (_, Some(value)) if value["do"].is_string() => Recognition::Certain(DOC),
            _ => Recognition::No,
        }
    }

    fn open(&self, _: &Opening<'_>, side: Side) -> Result<Box<dyn Session>, Refusal> {
        Ok(match side {
            Side::Server => Box::new(Server { toy: *self, user: None, broken: false }),
            Side::Client => Box::new(Client { toy: *self, waiting: VecDeque::new() }),
        })
    }

    fn dial(&self, _: &Ask) -> Result<http::request::Parts, Loss> {
        let request = http::Request::get("/toy")
            .header("upgrade", "websocket")
            .body(())
            .expect("the parts are valid");
        Ok(request.into_parts().0)
    }

    fn render(&self, notice: &Notice, _: Variant) -> Result<Frame, Loss> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut value = Toy::push(notice)?;
        match self.0 {
            Defect::RendersDifferently => {
                value["pushed"]["text"] = COUNT.fetch_add(1, Ordering::Relaxed).to_string().into()
            }
            Defect::RendersUnlikeItsEncoding => value["pushed"]["text"] = "rendered".into(),
            _ => {}
        }
        Ok(text(&value))
    }
}

struct Server {
    toy: Toy,
    user: Option<UserId>,
    broken: bool,
}

impl Server {
    fn violation(&mut self, kind: ViolationKind) -> Violation {
        self.broken = self.toy.0 == Defect::ForgetsItsLoginOnAViolation;
        let answer = match self.toy.0 {
            Defect::IgnoresViolations => None,
            Defect::AnswersInAnotherForm => Some(Frame::text("what?")),
            _ => Some(text(&json!({"did": null, "error": kind.name()}))),
        };
        Violation { kind, answer, close: None }
    }

    fn hear(&self, value: &Value) -> Option<Ask> {
        let field = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if self.toy.0 == Defect::PanicsOnNumbers {
            assert!(!value["user"].is_number(), "a text is expected");
        }
        if self.broken {
            return None;
        }
        let name = field("do")?;
        let echo = Echo::new(name.clone());
        match name.as_str() {
            "login" => {
                let password = Secret::new(field("password")?);
                Some(Ask::new(
                    echo,
                    Credentials::Nothing,
                    Command::Login {
                        identifier: field("user")?,
                        password,
                        grant: GrantKind::Token,
                    },
                ))
            }
            "send" => {
                let mut words = field("text")?;
                match self.toy.0 {
                    Defect::CutsTexts => words = words.chars().take(3).collect(),
                    Defect::CutsLongTexts => words = words.chars().take(28).collect(),
                    _ => {}
                }
                let flow = FlowId::new(value.get("flow")?.as_i64()?).ok()?;
                let token = Secret::new(if self.toy.0 == Defect::MistakesAProof {
                    "another".to_owned()
                } else {
                    field("token")?
                });
                let draft = NewMessage {
                    flow,
                    kinds: FlowKindFilter::Any,
                    content: Content::text(words),
                    key: None,
                };
                Some(Ask::new(echo, Credentials::Token(token), Command::Send(Box::new(draft))))
            }
            _ => None,
        }
    }
}

impl Session for Server {
    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let Frame::Text(bytes) = frame else {
            assert_ne!(self.toy.0, Defect::PanicsOnBinary, "text is expected");
            return Err(self.violation(ViolationKind::FrameKind));
        };
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            assert_ne!(self.toy.0, Defect::PanicsOnSyntax, "JSON is expected");
            return Err(self.violation(ViolationKind::Syntax));
        };
        match self.hear(&value) {
            Some(ask) => out.push(Line::Ask(ask)),
            None => {
                if self.toy.0 == Defect::LeavesLinesBehind {
                    let command = Command::Logout { login: None };
                    out.push(Line::Ask(Ask::new(Echo::NONE, Credentials::Nothing, command)));
                }
                return Err(self.violation(ViolationKind::Shape));
            }
        }
        Ok(())
    }

    fn encode(&mut self, _: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let value = match line {
            Line::Ask(_) => return loss("an ask"),
            Line::Notice(notice) => Toy::push(notice)?,
            Line::Reply(reply) => {
                self.user = reply.identity.map(|identity| identity.user).or(self.user);
                let did = reply.echo.get::<String>().cloned();
                match &reply.outcome {
                    Err(Fault::NoPhoto) if self.toy.0 == Defect::CannotSayAFault => {
                        return loss("no_photo");
                    }
                    Err(fault) => json!({"did": did, "error": fault.name()}),
                    Ok(Answer::Granted(grant)) => match &grant.tokens {
                        Tokens::Token(token) => json!({"did": did, "token": token.expose()}),
                        Tokens::Nothing | Tokens::Connection | Tokens::Pair { .. } => {
                            return loss("these tokens");
                        }
                    },
                    Ok(Answer::Sent { message, .. }) => {
                        let mut value = json!({"did": did, "message": message.as_ref().map(|message| message.id.get())});
                        if self.toy.0 == Defect::SaysTooMuch {
                            value["password"] = "hunter2".into();
                        }
                        value
                    }
                    Ok(_) => return loss("this answer"),
                }
            }
        };
        out.push(text(&value));
        Ok(())
    }

    fn interest(&self) -> Interest {
        self.user.map_or(Interest::Nothing, Interest::EveryFlowOf)
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        match notice.kind {
            EventKind::Posted(_) => Delivery::Shared(Variant(0)),
            _ => Delivery::Skip,
        }
    }
}

struct Client {
    toy: Toy,
    waiting: VecDeque<(Echo, Command)>,
}

impl Client {
    fn hear(&mut self, value: &Value) -> Option<Line> {
        if let Some(pushed) = value.get("pushed") {
            let number = |key: &str| pushed.get(key).and_then(Value::as_i64);
            let mut message = world::message(1, 3);
            message.flow = FlowId::new(number("flow")?).ok()?;
            message.id = number("message")?.try_into().ok()?;
            message.author.id = UserId::new(number("author")?).ok()?;
            message.content = Content::text(pushed.get("text")?.as_str()?);
            let kind = EventKind::Posted(message);
            return Some(Line::Notice(std::sync::Arc::new(Event::new(world::moment(0), kind))));
        }
        let (echo, command) = self.waiting.pop_front()?;
        let outcome = match (value.get("error"), command) {
            (Some(_), Command::Send(_)) if self.toy.0 == Defect::HearsRefusalsAsGrants => {
                Ok(Answer::Sent { message: None, repeated: false })
            }
            (Some(error), _) => {
                Err(all_faults().into_iter().find(|fault| Some(fault.name()) == error.as_str())?)
            }
            (None, Command::Login { .. }) => {
                let token = Secret::new(value.get("token")?.as_str()?);
                Ok(Answer::Granted(Box::new(Grant { user: None, tokens: Tokens::Token(token) })))
            }
            (None, Command::Send(draft)) => {
                let mut message = world::message(1, 3);
                (message.flow, message.content) = (draft.flow, draft.content);
                message.id = value.get("message")?.as_i64()?.try_into().ok()?;
                Ok(Answer::Sent { message: Some(Box::new(message)), repeated: false })
            }
            (None, _) => return None,
        };
        let echo = if self.toy.0 == Defect::ForgetsTheEcho { Echo::NONE } else { echo };
        Some(Line::Reply(Reply { echo, identity: None, outcome }))
    }
}

impl Session for Client {
    fn decode(
        &mut self,
        _: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let violation = |kind| Violation { kind, answer: None, close: None };
        let value: Value = serde_json::from_slice(frame.payload())
            .map_err(|_| violation(ViolationKind::Syntax))?;
        if self.toy.0 == Defect::PanicsInTheClient {
            assert!(value.is_object(), "an object is expected");
        }
        out.push(self.hear(&value).ok_or_else(|| violation(ViolationKind::Shape))?);
        Ok(())
    }

    fn encode(&mut self, _: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        let Line::Ask(ask) = line else { return loss("what a server says") };
        let value = self.toy.say(ask).inspect_err(|_| {
            if self.toy.0 == Defect::LeavesFramesBehindOnALoss {
                out.push(Frame::Text(Bytes::from_static(b"half")));
            }
        })?;
        self.waiting.push_back((ask.echo.clone(), ask.command.clone()));
        out.push(text(&value));
        Ok(())
    }
}
