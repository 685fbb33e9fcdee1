//! What clients of any dialect do in a trial, in canonical words: enter, say, read.

use crate::people::{Human, Trouble, text};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use tolmach_client::{Client, Told};
use tolmach_domain::{
    Answer, Command, Content, Fault, FlowId, FlowKind, FlowKindFilter, HistoryRange, MessageId,
    NewFlow, NewMessage, Timestamp, UserId, UserRef,
};

/// More than any trial says in one flow.
const HISTORY: u32 = 100;

/// A word that no other trial of this run says, nor any login.
pub(crate) fn unique(word: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{word}{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A flow that is spoken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) flow: FlowId,
    pub(crate) kind: FlowKind,
}

impl Place {
    /// The kinds that a request in this flow may name.
    pub(crate) fn kinds(self) -> [FlowKindFilter; 2] {
        [
            if self.kind == FlowKind::Chat { FlowKindFilter::Chat } else { FlowKindFilter::Shared },
            FlowKindFilter::Any,
        ]
    }

    pub(crate) fn history(self) -> Vec<Command> {
        let windows = [HistoryRange::Newest { limit: HISTORY, offset: 0 }, HistoryRange::All];
        let mut commands: Vec<_> = self
            .kinds()
            .into_iter()
            .flat_map(|kinds| {
                windows.map(|window| Command::History { flow: self.flow, kinds, window })
            })
            .collect();
        commands.push(changes(Some(self.flow)));
        commands
    }

    pub(crate) fn look(self) -> Vec<Command> {
        let looks = self
            .kinds()
            .into_iter()
            .flat_map(|kinds| [true, false].map(|members| (kinds, members)));
        looks.map(|(kinds, members)| Command::GetFlow { flow: self.flow, kinds, members }).collect()
    }

    pub(crate) fn send(self, words: &str) -> Vec<Command> {
        let draft =
            |kinds| NewMessage { flow: self.flow, kinds, content: Content::text(words), key: None };
        self.kinds().map(|kinds| Command::Send(Box::new(draft(kinds)))).to_vec()
    }

    pub(crate) fn edit(self, message: MessageId, words: &str) -> Vec<Command> {
        [Some(self.flow), None]
            .map(|flow| Command::Edit { message, flow, text: words.to_owned() })
            .to_vec()
    }

    pub(crate) fn delete(self, message: MessageId) -> Vec<Command> {
        [Some(self.flow), None]
            .map(|flow| Command::Delete { messages: vec![message], flow })
            .to_vec()
    }

    pub(crate) fn remove(self) -> Vec<Command> {
        self.kinds().map(|kinds| Command::DeleteFlow { flow: self.flow, kinds }).to_vec()
    }
}

fn changes(flow: Option<FlowId>) -> Command {
    Command::GetChanges { since: Timestamp::default(), flow, limit: HISTORY }
}

pub(crate) fn list() -> Vec<Command> {
    let mut commands = [false, true]
        .map(|members| Command::ListFlows { limit: None, offset: 0, members })
        .to_vec();
    commands.push(changes(None));
    commands
}

pub(crate) fn new_group(title: &str, members: &[UserId]) -> Vec<Command> {
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

pub(crate) fn chat_with(other: &Human) -> Vec<Command> {
    [UserRef::Id(other.id), UserRef::Login(other.login.clone())]
        .map(|with| Command::OpenChat { with })
        .to_vec()
}

/// A group of its owner and others, made in whatever dialect can.
pub(crate) async fn group(
    owner: &mut Human,
    title: &str,
    members: &[UserId],
) -> Result<Place, Trouble> {
    match owner.anyhow(&new_group(title, members)).await? {
        Answer::FlowCreated { flow, .. } => Ok(Place { flow, kind: FlowKind::Group }),
        answer => Err(format!("a new group is answered with {answer:?}")),
    }
}

/// What was said, oldest first, as this client reads it; `None` where its dialect cannot ask. A
/// client that may read hears from then on what is said, where its dialect tells.
pub(crate) async fn enter(
    client: &mut Client,
    place: Place,
) -> Result<Option<Vec<(MessageId, String)>>, Trouble> {
    match client.say_any(&place.history()).await.map_err(text)? {
        Told::Answer(answer) => messages(&answer).map(Some),
        Told::Refused(fault) => Err(client.trouble("reading", fault).to_string()),
        Told::Unsayable => match client.say_any(&place.look()).await.map_err(text)? {
            // Looking at a flow may be what opens it.
            Told::Answer(_) | Told::Unsayable => Ok(None),
            Told::Refused(fault) => Err(client.trouble("entering", fault).to_string()),
        },
    }
}

/// The messages of an answer that holds some, oldest first, without deleted ones.
pub(crate) fn messages(answer: &Answer) -> Result<Vec<(MessageId, String)>, Trouble> {
    let mut messages = match answer {
        Answer::History(page) => page.messages.clone(),
        Answer::Changes(changes) => {
            let mut messages = changes.messages.clone();
            // Changes come in the order in which they happened: an edit comes after what was said
            // since.
            messages.sort_by_key(|message| message.id);
            messages
        }
        answer => return Err(format!("a history is answered with {answer:?}")),
    };
    messages.retain(|message| message.deleted_at.is_none());
    Ok(messages.into_iter().map(|message| (message.id, message.content.text)).collect())
}

/// The flows that this client knows of; `None` where its dialect cannot ask.
pub(crate) async fn flows(client: &mut Client) -> Result<Option<BTreeSet<FlowId>>, Trouble> {
    let flows = match client.say_any(&list()).await.map_err(text)? {
        Told::Answer(Answer::Flows(flows)) => flows,
        Told::Answer(Answer::Changes(changes)) => changes.flows,
        Told::Unsayable => return Ok(None),
        told => return Err(client.trouble("listing", format!("{told:?}")).to_string()),
    };
    Ok(Some(flows.into_iter().map(|overview| overview.flow.id).collect()))
}

/// Whether this client may read there; `None` where its dialect cannot ask.
pub(crate) async fn may_read(client: &mut Client, place: Place) -> Result<Option<bool>, Trouble> {
    for commands in [place.history(), place.look()] {
        match client.say_any(&commands).await.map_err(text)? {
            Told::Answer(_) => return Ok(Some(true)),
            Told::Refused(Fault::NoSuchFlow) => return Ok(Some(false)),
            Told::Unsayable => {}
            Told::Refused(fault) => {
                return Err(client
                    .trouble("reading", format!("{fault:?} instead of no such flow"))
                    .to_string());
            }
        }
    }
    Ok(None)
}

/// Says these words; the dialect has to have words for it.
pub(crate) async fn send(client: &mut Client, place: Place, words: &str) -> Result<(), Trouble> {
    match client.say_any(&place.send(words)).await.map_err(text)? {
        Told::Answer(Answer::Sent { .. }) => Ok(()),
        told => Err(client.trouble("sending", format!("{told:?}")).to_string()),
    }
}

/// The id of the message with these words, as any dialect of this member tells it.
pub(crate) async fn find(
    member: &mut Human,
    place: Place,
    words: &str,
) -> Result<MessageId, Trouble> {
    let answer = member.anyhow(&place.history()).await?;
    let found = messages(&answer)?.into_iter().find(|(_, said)| said == words).map(|(id, _)| id);
    found.ok_or_else(|| format!("{words:?} was not said in {place:?}"))
}
