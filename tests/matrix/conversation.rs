//! Conversations over real sockets: a sender in one dialect, a receiver in another. Everything that
//! the sender's dialect has a request for reaches the receiver: pushed if the receiver's dialect
//! pushes it, else on reading.

use crate::arrival::{Arrival, Arrivals};
use crate::cluster::{Cluster, single_node, two_nodes};
use crate::dialects::{by_id, folder, names_flows, pairs_of};
use crate::requests::{
    TargetFlow, create_group, find_message, flow_ids, join, may_read, messages_of, new_group,
    open_chat, post_over, unique,
};
use crate::revision_rows::revision_is_current;
use crate::translation::{losses_of, project};
use crate::users::{Failure, TestUser, failure};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tolmach_cli::dialects::ids;
use tolmach_client::{Client, Notification, Outcome};
use tolmach_dialect::Capabilities;
use tolmach_domain::{Answer, Command, EventKind, MessageId};

type Cache = Mutex<BTreeMap<(String, String), Arc<OnceLock<Result<Arrivals, Failure>>>>>;

/// The arrivals of a conversation at one gateway. Each pair converses once in a run.
pub(crate) fn arrivals(sender: &'static str, receiver: &'static str) -> Result<Arrivals, Failure> {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cell = {
        let mut cache =
            CACHE.get_or_init(Cache::default).lock().unwrap_or_else(PoisonError::into_inner);
        cache.entry((sender.to_owned(), receiver.to_owned())).or_default().clone()
    };
    let converse = || {
        let cluster = single_node();
        cluster.block_on(Conversation::run(&cluster, sender, receiver))
    };
    cell.get_or_init(converse).clone()
}

/// Conversations of clients of a revision with those of every document, and of two of them, at one
/// gateway. What arrives is what `protocols/MATRIX.md` says.
pub(crate) fn of_revision(revision: &'static str) -> Result<(), Failure> {
    let mut found: [Vec<Arrivals>; 2] = Default::default();
    let mut failures = Vec::new();
    for (sender, receiver) in pairs_of(revision) {
        match arrivals(sender, receiver) {
            Ok(arrivals) => {
                for (of_role, title) in found.iter_mut().zip([sender, receiver]) {
                    if title == revision {
                        of_role.push(arrivals.clone());
                    }
                }
            }
            Err(failure) => failures.push(format!("{sender} to {receiver}: {failure}")),
        }
    }
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    let [sent, received] = found;
    revision_is_current(revision, &sent, &received)
}

/// Conversations of a sender at one node of a cluster with receivers of every dialect at another.
pub(crate) fn across_nodes(sender: &'static str) -> Result<(), Failure> {
    let Some(cluster) = two_nodes() else { return Ok(()) };
    let outcomes = ids().into_iter().map(|receiver| {
        let outcome = cluster.block_on(Conversation::run(&cluster, sender, receiver));
        outcome.map(drop).map_err(|failure| format!("{sender} to {receiver}: {failure}"))
    });
    let failures: Vec<_> = outcomes.filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// A conversation of two users, and a third one who is added and removed.
struct Conversation {
    sender: TestUser,
    receiver: TestUser,
    third: TestUser,
    /// The sender's dialect.
    source: &'static str,
    /// The dialect of the receiver and of the third user.
    target: &'static str,
    group: TargetFlow,
    arrivals: Arrivals,
}

impl Conversation {
    async fn run(
        cluster: &Cluster,
        source: &'static str,
        target: &'static str,
    ) -> Result<Arrivals, Failure> {
        let (first, last) = (cluster.first(), cluster.last());
        let mut sender = TestUser::register(&unique("sender"), source, first).await?;
        let receiver = TestUser::register(&unique("receiver"), target, last).await?;
        let third = TestUser::register(&unique("third"), target, last).await?;
        let group = new_group(&mut sender, &unique("a group "), &[receiver.id]).await?;
        let arrivals = Arrivals::new();
        let mut conversation = Self { sender, receiver, third, source, target, group, arrivals };
        join(conversation.sender().await?, group).await?;
        join(conversation.receiver().await?, group).await?;
        conversation.message().await?;
        conversation.edit().await?;
        conversation.deletion().await?;
        conversation.typing().await?;
        conversation.new_flow().await?;
        conversation.membership().await?;
        conversation.order().await?;
        Ok(conversation.arrivals)
    }

    async fn sender(&mut self) -> Result<&mut Client, Failure> {
        self.sender.client(self.source).await
    }

    async fn receiver(&mut self) -> Result<&mut Client, Failure> {
        self.receiver.client(self.target).await
    }

    /// The events that the receiver's dialect pushes.
    fn pushed(&self) -> Capabilities {
        by_id(self.target).manifest().capabilities
    }

    /// Notes an operation's arrival; `read` is `None` if the receiver's dialect cannot read it.
    fn note(
        &mut self,
        operation: &'static str,
        pushed: bool,
        read: Option<bool>,
    ) -> Result<(), Failure> {
        let arrival = match (pushed, read) {
            (_, Some(false)) => return Err(format!("the receiver does not read {operation}")),
            (true, _) => Arrival::Live,
            (false, Some(true)) => Arrival::OnReading,
            (false, None) => Arrival::NotReceivable,
        };
        self.arrivals.insert(operation, arrival);
        Ok(())
    }

    /// Makes the first of these requests that the sender's dialect supports. If it supports none,
    /// notes that and gives `false`.
    async fn request(
        &mut self,
        operations: &[&'static str],
        commands: &[Command],
    ) -> Result<bool, Failure> {
        let client = self.sender().await?;
        match client.request_any(commands).await.map_err(failure)? {
            Outcome::Answer(_) => Ok(true),
            Outcome::Refused(fault) => Err(client.error(operations[0], fault).to_string()),
            Outcome::Unsupported => {
                let unsupported =
                    operations.iter().map(|operation| (*operation, Arrival::NotSendable));
                self.arrivals.extend(unsupported);
                Ok(false)
            }
        }
    }

    /// Waits for an event if the receiver's dialect pushes it. Gives `pushed`.
    async fn receive(
        &mut self,
        pushed: bool,
        description: &str,
        is_expected: impl Fn(&EventKind) -> bool,
    ) -> Result<bool, Failure> {
        if pushed {
            let find = |notification: &Notification| match notification {
                Notification::Event(event) => is_expected(&event.kind).then_some(()),
                Notification::Closed(_) => None,
            };
            self.receiver().await?.wait_for(description, find).await.map_err(failure)?;
        }
        Ok(pushed)
    }

    /// The texts that the receiver reads; `None` if its dialect cannot.
    async fn read_texts(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let group = self.group;
        let messages = join(self.receiver().await?, group).await?;
        Ok(messages.map(texts))
    }

    async fn message(&mut self) -> Result<(), Failure> {
        let (group, text) = (self.group, unique("hello "));
        if !self.request(&["a message"], &group.send(&text)).await? {
            return Ok(());
        }
        // Most wires have either the id or the login of the author.
        let (author, login) = (self.sender.id, self.sender.login.clone());
        let names_flow = names_flows(self.target);
        let is_expected = |kind: &EventKind| {
            matches!(kind, EventKind::Posted(message)
                if message.content.text == text
                    && (message.flow == group.id || !names_flow)
                    && (message.author.id == author || *message.author.login == *login))
        };
        let pushed = self.receive(self.pushed().pushes_posted, &text, is_expected).await?;
        let read = self.read_texts().await?.map(|texts| texts.contains(&text));
        self.note("a message", pushed, read)
    }

    async fn edit(&mut self) -> Result<(), Failure> {
        let (group, before, after) = (self.group, unique("to be edited "), unique("edited "));
        let message = self.post(&before).await?;
        if !self.request(&["an edit"], &group.edit(message, &after)).await? {
            return Ok(());
        }
        let is_expected = |kind: &EventKind| {
            matches!(kind, EventKind::Edited(edited)
                if edited.id == message && edited.content.text == after)
        };
        let pushed = self.receive(self.pushed().pushes_edited, &after, is_expected).await?;
        let texts = self.read_texts().await?;
        let read = texts.map(|texts| texts.contains(&after) && !texts.contains(&before));
        self.note("an edit", pushed, read)
    }

    async fn deletion(&mut self) -> Result<(), Failure> {
        let (group, text) = (self.group, unique("to be deleted "));
        let message = self.post(&text).await?;
        if !self.request(&["a deletion"], &group.delete_message(message)).await? {
            return Ok(());
        }
        let is_expected = |kind: &EventKind| {
            matches!(kind, EventKind::Deleted { messages, .. }
                if messages.iter().any(|(id, _)| *id == message))
        };
        let pushed =
            self.receive(self.pushed().pushes_deleted, "the deletion", is_expected).await?;
        let read = self.read_texts().await?.map(|texts| !texts.contains(&text));
        self.note("a deletion", pushed, read)
    }

    async fn typing(&mut self) -> Result<(), Failure> {
        let (flow, typist) = (self.group.id, self.sender.id);
        let mut pushed = false;
        for active in [true, false] {
            if !self.request(&["typing"], &[Command::ShowTyping { flow, active }]).await? {
                return Ok(());
            }
            let is_expected = |kind: &EventKind| {
                matches!(kind, EventKind::Typing { flow: target, user, active: now }
                    if *target == flow && user.id == typist && *now == active)
            };
            pushed = self.receive(self.pushed().pushes_typing, "typing", is_expected).await?;
        }
        self.note("typing", pushed, None)
    }

    /// A group, or a chat if the sender's dialect has no request for groups.
    async fn new_flow(&mut self) -> Result<(), Failure> {
        let title = unique("a new group ");
        let mut commands = create_group(&title, &[self.receiver.id]);
        commands.extend(open_chat(&self.receiver));
        let client = self.sender().await?;
        let (flow, is_group) = match client.request_any(&commands).await.map_err(failure)? {
            Outcome::Answer(Answer::FlowCreated { flow, .. }) => (flow, true),
            Outcome::Answer(Answer::ChatOpened { flow, .. }) => (flow, false),
            Outcome::Unsupported => {
                self.arrivals.insert("a new conversation", Arrival::NotSendable);
                return Ok(());
            }
            outcome => {
                return Err(client.error("creating a flow", format!("{outcome:?}")).to_string());
            }
        };
        let deviations =
            project().deviations(&folder(self.target)).map_err(|all| all.join("; "))?;
        // A dialect that loses a part of this event pushes it for chats only.
        let pushes =
            self.pushed().pushes_flows && !(is_group && deviations.weakens("flow_created"));
        let is_expected = |kind: &EventKind| match kind {
            EventKind::FlowCreated { flow: created, .. } => created.id == flow,
            _ => false,
        };
        let pushed = self.receive(pushes, &title, is_expected).await?;
        let read = flow_ids(self.receiver().await?).await?.map(|flows| flows.contains(&flow));
        self.note("a new conversation", pushed, read)
    }

    /// The third user is added and removed, and reads as long as it is a member.
    async fn membership(&mut self) -> Result<(), Failure> {
        let (added, removed) = ("a member added", "a member removed");
        let (group, third, target) = (self.group, self.third.id, self.target);
        if may_read(self.third.client(target).await?, group).await? == Some(true) {
            return Err("the third user reads before it is added".to_owned());
        }
        let add = Command::AddMembers { flow: group.id, users: vec![third] };
        if !self.request(&[added, removed], &[add]).await? {
            return Ok(());
        }
        let losses = losses_of(target)?;
        let is_lost = |operation| losses.whole().any(|lost| lost == operation);
        let is_added = |kind: &EventKind| {
            matches!(kind, EventKind::MembersAdded { flow, users, .. }
                if *flow == group.id && users.iter().any(|user| user.id == third))
        };
        let pushed = self.receive(!is_lost("members_added"), "the new member", is_added).await?;
        let reads = may_read(self.third.client(target).await?, group).await?;
        self.note(added, pushed, reads)?;

        let remove = Command::RemoveMembers { flow: group.id, users: vec![third] };
        if !self.request(&[removed], &[remove]).await? {
            return Ok(());
        }
        let pushed = !is_lost("members_removed");
        if pushed {
            // A dialect may close the connection of a removed member instead.
            let is_removed = |notification: &Notification| match notification {
                Notification::Event(event) => matches!(
                    &event.kind,
                    EventKind::MembersRemoved { flow, users }
                        if *flow == group.id && users.contains(&third)
                )
                .then_some(()),
                Notification::Closed(_) => Some(()),
            };
            let client = self.third.client(target).await?;
            client.wait_for("the removal", is_removed).await.map_err(failure)?;
        }
        let reads = may_read(self.third.client(target).await?, group).await?;
        self.note(removed, pushed, reads.map(|reads| !reads))
    }

    /// Both post by turns; both read the messages in the order in which they were posted.
    async fn order(&mut self) -> Result<(), Failure> {
        let group = self.group;
        let mut posted = Vec::new();
        for _ in 0..3 {
            let turns = [unique("the sender's turn "), unique("the receiver's turn ")];
            post_over(&mut self.sender, self.source, group, &turns[0]).await?;
            post_over(&mut self.receiver, self.target, group, &turns[1]).await?;
            posted.extend(turns);
        }
        let history = messages_of(&self.sender.request_over_any(&group.history()).await?)?;
        let stored = turns(texts(history));
        if stored != posted {
            return Err(format!("posted {posted:?}, the history is {stored:?}"));
        }
        let own = join(self.sender().await?, group).await?;
        if own.is_some_and(|messages| turns(texts(messages)) != posted) {
            return Err(format!("posted {posted:?}, the sender reads another order"));
        }
        let read = self.read_texts().await?.map(|texts| turns(texts) == posted);
        if read.is_some() || !self.pushed().pushes_posted {
            return self.note("one order", false, read);
        }
        // A dialect that cannot read receives the sender's messages in their order.
        let last = posted.iter().rev().nth(1).cloned().unwrap_or_default();
        let is_last = |kind: &EventKind| match kind {
            EventKind::Posted(message) => message.content.text == last,
            _ => false,
        };
        self.receive(true, &last, is_last).await?;
        let notifications = self.receiver().await?.notifications().iter();
        let received = notifications.filter_map(|notification| match notification {
            Notification::Event(event) => match &event.kind {
                EventKind::Posted(message) => Some(message.content.text.clone()),
                _ => None,
            },
            Notification::Closed(_) => None,
        });
        let of_sender = |turns: Vec<String>| {
            turns.into_iter().filter(|turn| turn.starts_with("the sender's")).collect::<Vec<_>>()
        };
        let (received, posted) = (of_sender(received.collect()), of_sender(posted));
        if received != posted {
            return Err(format!("posted {posted:?}, received {received:?}"));
        }
        self.note("one order", true, None)
    }

    /// Posts a message as the sender; gives its id.
    async fn post(&mut self, text: &str) -> Result<MessageId, Failure> {
        let group = self.group;
        post_over(&mut self.sender, self.source, group, text).await?;
        find_message(&mut self.sender, group, text).await
    }
}

fn texts(messages: Vec<(MessageId, String)>) -> Vec<String> {
    messages.into_iter().map(|(_, text)| text).collect()
}

/// The texts that were posted by turns.
fn turns(mut texts: Vec<String>) -> Vec<String> {
    texts.retain(|text| text.contains("'s turn "));
    texts
}
