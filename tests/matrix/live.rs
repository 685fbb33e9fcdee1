//! A speaker in one dialect, a listener in another, over real sockets: what the first can say
//! reaches the second, live where its dialect tells and on reading otherwise.

use crate::dialects::{self, Spoken};
use crate::house::{House, cluster, single};
use crate::people::{Human, Trouble, text};
use crate::scene::{
    Place, chat_with, enter, find, flows, group, may_read, messages, new_group, send, unique,
};
use crate::translate::project;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tolmach_client::{Client, Heard, Told};
use tolmach_domain::{Answer, Command, EventKind, MessageId};

/// How something reached the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Its client was told, and where it can ask it reads the same.
    Live,
    /// It finds it when it asks.
    OnReading,
    /// The speaker's dialect has no words for it.
    Unsaid,
    /// The listener's dialect has no words for it.
    Untold,
}

/// What is tried, in this order, as people call it.
pub(crate) const OPERATIONS: [&str; 8] = [
    "a message",
    "an edit",
    "a deletion",
    "typing",
    "a new conversation",
    "a member added",
    "a member removed",
    "one order",
];

/// How everything that is tried came through.
pub(crate) type Passages = BTreeMap<&'static str, Passage>;

type Memory = Mutex<BTreeMap<(String, String), Arc<OnceLock<Result<Passages, Trouble>>>>>;

/// What comes through from `speaker` to `listener` at one gateway. Tried once in a run.
pub(crate) fn passages(speaker: &'static str, listener: &'static str) -> Result<Passages, Trouble> {
    static MEMORY: OnceLock<Memory> = OnceLock::new();
    let cell = {
        let mut memory =
            MEMORY.get_or_init(Memory::default).lock().unwrap_or_else(PoisonError::into_inner);
        memory.entry((speaker.to_owned(), listener.to_owned())).or_default().clone()
    };
    let hold = || {
        let house = single();
        house.run(Talk::hold(&house, speaker, listener))
    };
    cell.get_or_init(hold).clone()
}

/// The same as at one gateway comes through from a speaker at one node of a cluster to listeners of
/// every dialect at another.
pub(crate) fn across_nodes(speaker: &'static str) -> Result<(), Trouble> {
    let Some(house) = cluster() else { return Ok(()) };
    let spoken = dialects::all();
    let talks = spoken.iter().map(Spoken::id).map(|listener| {
        let across = house.run(Talk::hold(&house, speaker, listener));
        across.map(drop).map_err(|trouble| format!("{speaker} to {listener}: {trouble}"))
    });
    let troubles: Vec<_> = talks.filter_map(Result::err).collect();
    if troubles.is_empty() { Ok(()) } else { Err(troubles.join("\n")) }
}

/// A conversation of two, and a third who comes and goes.
struct Talk {
    speaker: Human,
    listener: Human,
    third: Human,
    /// The dialects of the speaker and of the listener; the third speaks the listener's.
    said: &'static str,
    heard: &'static str,
    place: Place,
    passages: Passages,
}

impl Talk {
    async fn hold(
        house: &House,
        said: &'static str,
        heard: &'static str,
    ) -> Result<Passages, Trouble> {
        let mut speaker = Human::join(&unique("speaker"), said, house.first()).await?;
        let listener = Human::join(&unique("listener"), heard, house.last()).await?;
        let third = Human::join(&unique("third"), heard, house.last()).await?;
        let place = group(&mut speaker, &unique("a group "), &[listener.id]).await?;
        let mut talk =
            Self { speaker, listener, third, said, heard, place, passages: Passages::new() };
        enter(talk.speaker().await?, place).await?;
        enter(talk.listener().await?, place).await?;
        talk.message().await?;
        talk.edit().await?;
        talk.deletion().await?;
        talk.typing().await?;
        talk.new_flow().await?;
        talk.membership().await?;
        talk.order().await?;
        Ok(talk.passages)
    }

    async fn speaker(&mut self) -> Result<&mut Client, Trouble> {
        self.speaker.speaking(self.said).await
    }

    async fn listener(&mut self) -> Result<&mut Client, Trouble> {
        self.listener.speaking(self.heard).await
    }

    fn note(
        &mut self,
        operation: &'static str,
        live: bool,
        read: Option<bool>,
    ) -> Result<(), Trouble> {
        let passage = match (live, read) {
            (_, Some(false)) => return Err(format!("{operation} is not what the listener reads")),
            (true, _) => Passage::Live,
            (false, Some(true)) => Passage::OnReading,
            (false, None) => Passage::Untold,
        };
        self.passages.insert(operation, passage);
        Ok(())
    }

    /// Says the first of these that the speaker's dialect has words for; `false`, and noted, where
    /// it has none.
    async fn say(
        &mut self,
        operations: &[&'static str],
        commands: &[Command],
    ) -> Result<bool, Trouble> {
        let client = self.speaker().await?;
        match client.say_any(commands).await.map_err(text)? {
            Told::Answer(_) => Ok(true),
            Told::Refused(fault) => Err(client.trouble(operations[0], fault).to_string()),
            Told::Unsayable => {
                self.passages
                    .extend(operations.iter().map(|operation| (*operation, Passage::Unsaid)));
                Ok(false)
            }
        }
    }

    /// Where the listener's dialect tells of this, it has to come.
    async fn told(
        &mut self,
        tells: bool,
        what: &str,
        is_it: impl Fn(&EventKind) -> bool,
    ) -> Result<bool, Trouble> {
        if tells {
            let it = |heard: &Heard| {
                matches!(heard, Heard::Notice(notice) if is_it(&notice.kind)).then_some(())
            };
            self.listener().await?.hear(what, it).await.map_err(text)?;
        }
        Ok(tells)
    }

    /// What the listener reads; `None` where its dialect cannot ask.
    async fn texts(&mut self) -> Result<Option<Vec<String>>, Trouble> {
        let place = self.place;
        let read = enter(self.listener().await?, place).await?;
        Ok(read.map(|messages| messages.into_iter().map(|(_, text)| text).collect()))
    }

    async fn message(&mut self) -> Result<(), Trouble> {
        let (place, words) = (self.place, unique("hello "));
        if !self.say(&["a message"], &place.send(&words)).await? {
            return Ok(());
        }
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_posted;
        // A wire names the author by id or by login, hardly ever by both.
        let (author, login) = (self.speaker.id, self.speaker.login.clone());
        let live = self
            .told(tells, &words, |kind| {
                matches!(kind, EventKind::Posted(message)
                    if message.content.text == words && message.flow == place.flow
                        && (message.author.id == author || *message.author.login == *login))
            })
            .await?;
        let read = self.texts().await?.map(|texts| texts.contains(&words));
        self.note("a message", live, read)
    }

    async fn edit(&mut self) -> Result<(), Trouble> {
        let (place, before, after) = (self.place, unique("to be edited "), unique("edited "));
        let message = self.spoken(&before).await?;
        if !self.say(&["an edit"], &place.edit(message, &after)).await? {
            return Ok(());
        }
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_edited;
        let live = self
            .told(tells, &after, |kind| matches!(kind, EventKind::Edited(edited) if edited.id == message && edited.content.text == after))
            .await?;
        let read =
            self.texts().await?.map(|texts| texts.contains(&after) && !texts.contains(&before));
        self.note("an edit", live, read)
    }

    async fn deletion(&mut self) -> Result<(), Trouble> {
        let (place, words) = (self.place, unique("to be deleted "));
        let message = self.spoken(&words).await?;
        if !self.say(&["a deletion"], &place.delete(message)).await? {
            return Ok(());
        }
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_deleted;
        let live = self
            .told(
                tells,
                "the deletion",
                |kind| matches!(kind, EventKind::Deleted { messages, .. } if messages.iter().any(|(id, _)| *id == message)),
            )
            .await?;
        let read = self.texts().await?.map(|texts| !texts.contains(&words));
        self.note("a deletion", live, read)
    }

    async fn typing(&mut self) -> Result<(), Trouble> {
        let (flow, typist) = (self.place.flow, self.speaker.id);
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_typing;
        let mut live = false;
        for active in [true, false] {
            if !self.say(&["typing"], &[Command::ShowTyping { flow, active }]).await? {
                return Ok(());
            }
            live = self
                .told(tells, "typing", |kind| {
                    matches!(kind, EventKind::Typing { flow: there, user, active: now } if *there == flow && user.id == typist && *now == active)
                })
                .await?;
        }
        self.note("typing", live, None)
    }

    /// A group, or where the speaker's dialect has none a chat.
    async fn new_flow(&mut self) -> Result<(), Trouble> {
        let title = unique("a new group ");
        let mut commands = new_group(&title, &[self.listener.id]);
        commands.extend(chat_with(&self.listener));
        let client = self.speaker().await?;
        let (flow, group) = match client.say_any(&commands).await.map_err(text)? {
            Told::Answer(Answer::FlowCreated { flow, .. }) => (flow, true),
            Told::Answer(Answer::ChatOpened { flow, .. }) => (flow, false),
            Told::Unsayable => {
                self.passages.insert("a new conversation", Passage::Unsaid);
                return Ok(());
            }
            told => return Err(client.trouble("making a flow", format!("{told:?}")).to_string()),
        };
        let losses = project().deviations(self.heard).map_err(|problems| problems.join("; "))?;
        // A wire that tells only a part of this event tells of chats.
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_flows
            && !(group && losses.weakens("flow_created"));
        let live = self
            .told(
                tells,
                &title,
                |kind| matches!(kind, EventKind::FlowCreated { flow: made, .. } if made.id == flow),
            )
            .await?;
        let read = flows(self.listener().await?).await?.map(|flows| flows.contains(&flow));
        self.note("a new conversation", live, read)
    }

    /// The third comes in and goes out: what matters to somebody who speaks the listener's dialect.
    async fn membership(&mut self) -> Result<(), Trouble> {
        let (added, removed) = ("a member added", "a member removed");
        let (place, third, heard) = (self.place, self.third.id, self.heard);
        let outside = may_read(self.third.speaking(heard).await?, place).await?;
        if outside == Some(true) {
            return Err("the third reads before it was let in".to_owned());
        }
        let add = Command::AddMembers { flow: place.flow, users: vec![third] };
        if !self.say(&[added, removed], &[add]).await? {
            return Ok(());
        }
        let losses = project().deviations(heard).map_err(|problems| problems.join("; "))?;
        let is_added = |kind: &EventKind| matches!(kind, EventKind::MembersAdded { flow, users, .. } if *flow == place.flow && users.iter().any(|user| user.id == third));
        let live = self.told(!losses.loses("members_added"), "the new member", is_added).await?;
        let inside = may_read(self.third.speaking(heard).await?, place).await?;
        self.note(added, live, inside)?;

        let remove = Command::RemoveMembers { flow: place.flow, users: vec![third] };
        if !self.say(&[removed], &[remove]).await? {
            return Ok(());
        }
        let live = !losses.loses("members_removed");
        if live {
            // Whoever is out may be told by the end of a connection.
            let is_out = |heard: &Heard| {
                match heard {
                Heard::Notice(notice) => {
                    matches!(&notice.kind, EventKind::MembersRemoved { flow, users } if *flow == place.flow && users.contains(&third))
                        .then_some(())
                }
                Heard::Closed(_) => Some(()),
            }
            };
            self.third.speaking(heard).await?.hear("the removal", is_out).await.map_err(text)?;
        }
        let outside = may_read(self.third.speaking(heard).await?, place).await?;
        self.note(removed, live, outside.map(|may_read| !may_read))
    }

    /// Both speak by turns; both read it in the order in which it was said.
    async fn order(&mut self) -> Result<(), Trouble> {
        let place = self.place;
        let mut said = Vec::new();
        for _ in 0..3 {
            let turns = [unique("the speaker's turn "), unique("the listener's turn ")];
            send(self.speaker().await?, place, &turns[0]).await?;
            send(self.listener().await?, place, &turns[1]).await?;
            said.extend(turns);
        }
        let whole = messages(&self.speaker.anyhow(&place.history()).await?)?;
        let texts = turns(whole.into_iter().map(|(_, text)| text).collect());
        if texts != said {
            return Err(format!("{said:?} was said, the history is {texts:?}"));
        }
        let own = self.reads_in_order(&said).await?;
        if own == Some(false) {
            return Err(format!("{said:?} was said, and the speaker reads another order"));
        }
        let read = self.texts().await?.map(|texts| turns(texts) == said);
        let tells = dialects::named(self.heard).dialect.manifest().capabilities.pushes_posted;
        if read.is_some() || !tells {
            return self.note("one order", false, read);
        }
        // Who cannot ask has heard the other's turns in their order.
        let last = said.iter().rev().nth(1).cloned().unwrap_or_default();
        self.told(
            true,
            &last,
            |kind| matches!(kind, EventKind::Posted(message) if message.content.text == last),
        )
        .await?;
        let heard = self.listener().await?.heard().iter().filter_map(|heard| match heard {
            Heard::Notice(notice) => match &notice.kind {
                EventKind::Posted(message) => Some(message.content.text.clone()),
                _ => None,
            },
            Heard::Closed(_) => None,
        });
        let of_speaker = |turns: Vec<String>| {
            turns.into_iter().filter(|turn| turn.starts_with("the speaker's")).collect::<Vec<_>>()
        };
        let (heard, said) = (of_speaker(heard.collect()), of_speaker(said));
        if heard != said {
            return Err(format!("{said:?} was said, {heard:?} was heard"));
        }
        self.note("one order", true, None)
    }

    /// `None` where the speaker's dialect cannot ask.
    async fn reads_in_order(&mut self, said: &[String]) -> Result<Option<bool>, Trouble> {
        let place = self.place;
        let read = enter(self.speaker().await?, place).await?;
        Ok(read.map(|messages| turns(messages.into_iter().map(|(_, text)| text).collect()) == said))
    }

    /// The id of a message that the speaker has just posted.
    async fn spoken(&mut self, words: &str) -> Result<MessageId, Trouble> {
        let place = self.place;
        send(self.speaker().await?, place, words).await?;
        find(&mut self.speaker, place, words).await
    }
}

/// What was said by turns, of all that was said.
fn turns(mut texts: Vec<String>) -> Vec<String> {
    texts.retain(|text| text.contains("'s turn "));
    texts
}
