//! The requests of the trials, in every form that a dialect may have for them.

use crate::users::{Failure, TestUser, failure};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use tolmach_client::{Client, Outcome};
use tolmach_domain::{
    Answer, Command, Content, Fault, FlowId, FlowKind, FlowKindFilter, HistoryRange, MessageId,
    NewFlow, NewMessage, Timestamp, UserId, UserRef,
};

/// A limit above the number of messages that any trial posts in one flow.
const HISTORY_LIMIT: u32 = 100;

/// A text with this beginning that occurs once in a run.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The flow that requests are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetFlow {
    pub(crate) id: FlowId,
    pub(crate) kind: FlowKind,
}

impl TargetFlow {
    pub(crate) fn history(self) -> Vec<Command> {
        let ranges = [HistoryRange::Newest { limit: HISTORY_LIMIT, offset: 0 }, HistoryRange::All];
        let mut commands: Vec<_> = self
            .kinds()
            .into_iter()
            .flat_map(|kinds| {
                ranges.map(|range| Command::History {
                    flow: self.id,
                    kinds,
                    range,
                    mark_read: false,
                })
            })
            .collect();
        commands.push(changes(Some(self.id)));
        commands
    }

    pub(crate) fn get(self) -> Vec<Command> {
        let variants = self
            .kinds()
            .into_iter()
            .flat_map(|kinds| [true, false].map(|members| (kinds, members)));
        variants
            .map(|(kinds, members)| Command::GetFlow { flow: self.id, kinds, members })
            .collect()
    }

    pub(crate) fn send(self, text: &str) -> Vec<Command> {
        let message =
            |kinds| NewMessage { flow: self.id, kinds, content: Content::text(text), key: None };
        self.kinds().map(|kinds| Command::Send(Box::new(message(kinds)))).to_vec()
    }

    pub(crate) fn edit(self, message: MessageId, text: &str) -> Vec<Command> {
        [Some(self.id), None]
            .map(|flow| Command::Edit { message, flow, text: text.to_owned() })
            .to_vec()
    }

    pub(crate) fn delete_message(self, message: MessageId) -> Vec<Command> {
        let delete = |flow| Command::Delete { messages: vec![message], flow, all_or_none: false };
        [Some(self.id), None].map(delete).to_vec()
    }

    pub(crate) fn delete(self) -> Vec<Command> {
        self.kinds().map(|kinds| Command::DeleteFlow { flow: self.id, kinds }).to_vec()
    }

    /// The kinds that a request about this flow may name.
    fn kinds(self) -> [FlowKindFilter; 2] {
        [
            if self.kind == FlowKind::Chat { FlowKindFilter::Chat } else { FlowKindFilter::Shared },
            FlowKindFilter::Any,
        ]
    }
}

fn changes(flow: Option<FlowId>) -> Command {
    Command::GetChanges { since: Timestamp::default(), flow, limit: HISTORY_LIMIT }
}

pub(crate) fn list_flows() -> Vec<Command> {
    let mut commands = [false, true]
        .map(|members| Command::ListFlows { limit: None, offset: 0, members })
        .to_vec();
    commands.push(changes(None));
    commands
}

pub(crate) fn create_group(title: &str, members: &[UserId]) -> Vec<Command> {
    let group = NewFlow {
        kind: FlowKind::Group,
        title: title.to_owned(),
        info: String::new(),
        members: members.to_vec(),
        photo: None,
        key: None,
    };
    vec![Command::CreateFlow(Box::new(group))]
}

pub(crate) fn open_chat(other: &TestUser) -> Vec<Command> {
    named(other).map(|with| Command::OpenChat { with }).to_vec()
}

/// A user, in both ways in which a request may name one.
pub(crate) fn named(user: &TestUser) -> [UserRef; 2] {
    [UserRef::Id(user.id), UserRef::Login(user.login.clone())]
}

/// A new group of its owner and these members, made over any dialect that can.
pub(crate) async fn new_group(
    owner: &mut TestUser,
    title: &str,
    members: &[UserId],
) -> Result<TargetFlow, Failure> {
    match owner.request_over_any(&create_group(title, members)).await? {
        Answer::FlowCreated { flow, .. } => Ok(TargetFlow { id: flow, kind: FlowKind::Group }),
        answer => Err(format!("a new group is answered with {answer:?}")),
    }
}

/// Reads a flow's messages, oldest first; `None` if the dialect has no request for it. A client
/// that may read them receives the flow's events from then on, if the dialect pushes events.
pub(crate) async fn join(
    client: &mut Client,
    flow: TargetFlow,
) -> Result<Option<Vec<(MessageId, String)>>, Failure> {
    match client.request_any(&flow.history()).await.map_err(failure)? {
        Outcome::Answer(answer) => messages_of(&answer).map(Some),
        Outcome::Refused(fault) => Err(client.error("reading", fault).to_string()),
        Outcome::Unsupported => match client.request_any(&flow.get()).await.map_err(failure)? {
            // On some wires the request for a flow is what subscribes to it.
            Outcome::Answer(_) | Outcome::Unsupported => Ok(None),
            Outcome::Refused(fault) => Err(client.error("joining", fault).to_string()),
        },
    }
}

/// The messages of an answer, oldest first, without deleted ones.
pub(crate) fn messages_of(answer: &Answer) -> Result<Vec<(MessageId, String)>, Failure> {
    let mut messages = match answer {
        Answer::History(page) => page.messages.clone(),
        Answer::Changes(changes) => {
            let mut messages = changes.messages.clone();
            // Changes come in the order of their versions: an edited message after later ones.
            messages.sort_by_key(|message| message.id);
            messages
        }
        answer => return Err(format!("a history is answered with {answer:?}")),
    };
    messages.retain(|message| message.deleted_at.is_none());
    Ok(messages.into_iter().map(|message| (message.id, message.content.text)).collect())
}

/// The flows of a client's user; `None` if the dialect has no request for them.
pub(crate) async fn flow_ids(client: &mut Client) -> Result<Option<BTreeSet<FlowId>>, Failure> {
    let flows = match client.request_any(&list_flows()).await.map_err(failure)? {
        Outcome::Answer(Answer::Flows(flows)) => flows,
        Outcome::Answer(Answer::Changes(changes)) => changes.flows,
        Outcome::Unsupported => return Ok(None),
        outcome => return Err(client.error("listing flows", format!("{outcome:?}")).to_string()),
    };
    Ok(Some(flows.into_iter().map(|summary| summary.flow.id).collect()))
}

/// True if this client may read the flow; `None` if the dialect has no request for it.
pub(crate) async fn may_read(
    client: &mut Client,
    flow: TargetFlow,
) -> Result<Option<bool>, Failure> {
    for commands in [flow.history(), flow.get()] {
        match client.request_any(&commands).await.map_err(failure)? {
            Outcome::Answer(_) => return Ok(Some(true)),
            Outcome::Refused(Fault::NoSuchFlow) => return Ok(Some(false)),
            Outcome::Unsupported => {}
            Outcome::Refused(fault) => {
                let reason = format!("{fault:?} instead of no such flow");
                return Err(client.error("reading", reason).to_string());
            }
        }
    }
    Ok(None)
}

/// Posts a message; fails if the dialect has no request for it.
pub(crate) async fn post(client: &mut Client, flow: TargetFlow, text: &str) -> Result<(), Failure> {
    match client.request_any(&flow.send(text)).await.map_err(failure)? {
        Outcome::Answer(Answer::Sent { .. }) => Ok(()),
        outcome => Err(client.error("posting", format!("{outcome:?}")).to_string()),
    }
}

/// Posts a message over a wire, or over another one if that has no request for it here.
pub(crate) async fn post_over(
    user: &mut TestUser,
    title: &str,
    flow: TargetFlow,
    text: &str,
) -> Result<(), Failure> {
    let client = user.client(title).await?;
    match client.request_any(&flow.send(text)).await.map_err(failure)? {
        Outcome::Answer(Answer::Sent { .. }) => Ok(()),
        Outcome::Unsupported => user.request_over_any(&flow.send(text)).await.map(drop),
        outcome => Err(client.error("posting", format!("{outcome:?}")).to_string()),
    }
}

/// The id of the message with this text, read over any dialect of this member.
pub(crate) async fn find_message(
    member: &mut TestUser,
    flow: TargetFlow,
    text: &str,
) -> Result<MessageId, Failure> {
    let answer = member.request_over_any(&flow.history()).await?;
    let messages = messages_of(&answer)?;
    let found = messages.into_iter().find(|(_, found)| found == text).map(|(id, _)| id);
    found.ok_or_else(|| format!("{flow:?} has no message {text:?}"))
}
