//! Answers of the upstream, as the command asked: reduced where a wider form was requested, and
//! completed with what the wire leaves out.

use crate::deliveries::Deliveries;
use crate::directory::Directory;
use crate::session::Session;
use tolmach_domain::{
    Answer, Changes, Command, EXTERNAL_NUMBER_LIMIT, Event, EventKind, Fault, FlowKindFilter,
    FlowSummary, HistoryRange, Message, MessagePage, Timestamp, UserRef, Version,
};

/// The answer to `command`, of the answer to one of its forms.
pub(crate) fn complete(
    command: &Command,
    mut answer: Answer,
    session: Option<&Session>,
    deliveries: &mut Deliveries,
    directory: &Directory,
) -> Answer {
    match (command, &mut answer) {
        (Command::History { range, .. }, Answer::History(page)) => {
            for message in &mut page.messages {
                deliveries.complete_message(message);
                deliveries.note(message);
            }
            cut(*range, page, session);
        }
        (Command::GetChanges { .. }, Answer::Changes(changes)) => {
            for message in &mut changes.messages {
                deliveries.complete_message(message);
                deliveries.note(message);
            }
        }
        (Command::Send(_), Answer::Sent { message: Some(message), .. })
        | (Command::Edit { .. }, Answer::Edited(message)) => deliveries.complete_message(message),
        (Command::OpenChat { with }, Answer::ChatOpened { with: opened, .. })
            if opened.is_none() =>
        {
            *opened = directory.user(with).map(|user| user.summary());
        }
        (Command::ListFlows { .. }, Answer::Flows(flows)) => {
            flows.iter_mut().for_each(|summary| complete_flow(summary, directory));
        }
        (Command::GetFlow { .. }, Answer::Flow(summary)) => complete_flow(summary, directory),
        _ => {}
    }
    answer
}

/// Cuts a page to the range that was asked for, and moves the read mark that the bridge keeps.
fn cut(range: HistoryRange, page: &mut MessagePage, session: Option<&Session>) {
    range.cut(&mut page.messages);
    let Some(session) = session else { return };
    let mut account = session.account();
    let read = account.last_read(page.flow);
    if let Some(last) = page.messages.last() {
        account.note_read(page.flow, last.id);
    }
    if range == HistoryRange::Unread
        && let Some(place) =
            read.and_then(|read| page.messages.iter().position(|message| message.id == read))
    {
        page.messages.drain(..=place);
    }
}

fn complete_flow(summary: &mut FlowSummary, directory: &Directory) {
    if directory.is_shared(summary.flow.id) && FlowKindFilter::Chat.include(summary.flow.kind) {
        summary.flow.kind = tolmach_domain::FlowKind::Group;
    }
}

/// The history of a flow, out of its changes since the beginning.
pub(crate) fn history_of_changes(range: HistoryRange, mut page: MessagePage) -> MessagePage {
    page.messages.retain(|message| message.deleted_at.is_none());
    page.messages.sort_by_key(|message| (message.posted_at, order(message)));
    range.cut(&mut page.messages);
    page
}

/// The place of a message among those of the same time: that of its id. Numbers that stand for
/// other ids have no order, and so the upstream's stays; they come first, as such ids are of
/// messages that came along from an older server.
fn order(message: &Message) -> i64 {
    let id = message.id.get();
    if id < EXTERNAL_NUMBER_LIMIT { id } else { 0 }
}

/// The changes since a time, out of histories.
pub(crate) fn changes_of_histories(
    since: Timestamp,
    mut messages: Vec<Message>,
    flows: Vec<FlowSummary>,
    limit: u32,
) -> Changes {
    messages.retain(|message| message.changed_at > since);
    messages.sort_by_key(|message| (message.changed_at, order(message)));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = messages.len() > limit;
    messages.truncate(limit);
    let until = messages.last().map_or(since, |message| message.changed_at);
    Changes { messages, flows, user: None, until, more }
}

/// The flow that a list has, as a request for one flow is answered.
pub(crate) fn flow_of_list(
    command: &Command,
    flows: Vec<FlowSummary>,
    directory: &Directory,
) -> Result<Answer, Fault> {
    let Command::GetFlow { flow: wanted, kinds, .. } = command else {
        return Err(Fault::Internal);
    };
    let found = flows.into_iter().find(|summary| summary.flow.id == *wanted);
    let mut summary = found.ok_or(Fault::NoSuchFlow)?;
    complete_flow(&mut summary, directory);
    if kinds.include(summary.flow.kind) {
        Ok(Answer::Flow(Box::new(summary)))
    } else {
        Err(Fault::WrongKind)
    }
}

/// The event of a change that was granted, for clients whose wire answers by it.
pub(crate) fn event_of(
    now: Timestamp,
    command: &Command,
    answer: &Answer,
    session: &Session,
    deliveries: &Deliveries,
) -> Option<Event> {
    let kind = match (command, answer) {
        (Command::Send(_), Answer::Sent { message: Some(message), repeated: false }) => {
            EventKind::Posted((**message).clone())
        }
        (Command::Edit { .. }, Answer::Edited(message)) => EventKind::Edited((**message).clone()),
        (Command::Delete { flow, .. }, Answer::Deleted { deleted, .. }) if !deleted.is_empty() => {
            EventKind::Deleted {
                flow: (*flow).or_else(|| deliveries.flow_of(*deleted.first()?))?,
                by: session.account().user.id,
                messages: deleted.iter().map(|id| (*id, Version::default())).collect(),
            }
        }
        _ => return None,
    };
    Some(Event::new(now, kind))
}

/// A user as the directory knows them.
pub(crate) fn known_user(user: &UserRef, directory: &Directory) -> Result<Answer, Fault> {
    let user = directory.user(user).ok_or(Fault::NoSuchUser)?;
    Ok(Answer::User(Box::new(user)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Account;
    use tolmach_domain::{
        Content, FlowId, FlowKind, MessageId, SessionId, User, UserId, UserSummary,
    };

    fn message(id: i64, changed_at: i64) -> Message {
        let at = Timestamp::from_micros(changed_at);
        Message::new(
            MessageId::new(id).unwrap(),
            (FlowId::new(5).unwrap(), FlowKind::Chat),
            UserSummary::named(UserId::new(1).unwrap(), "ann"),
            Content::text("hello"),
            at,
        )
    }

    fn ids(messages: &[Message]) -> Vec<i64> {
        messages.iter().map(|message| message.id.get()).collect()
    }

    #[test]
    fn the_bridge_keeps_read_marks_that_the_upstream_has_not() {
        let account = Account::new(User::named(UserId::new(1).unwrap(), "ann"));
        let session = Session::new(SessionId::new(1).unwrap(), account);
        for (messages, expected) in [(2, vec![1, 2]), (2, vec![]), (4, vec![3, 4])] {
            let messages = (1..=messages).map(|id| message(id, id)).collect();
            let mut page = MessagePage::new(FlowId::new(5).unwrap(), messages);
            cut(HistoryRange::Unread, &mut page, Some(&session));
            assert_eq!(ids(&page.messages), expected);
        }
    }

    #[test]
    fn messages_of_one_time_are_in_the_order_of_their_ids_or_as_the_upstream_has_them() {
        let [high, low] = [(1 << 52) + 9, (1 << 52) + 3];
        for (given, expected) in [([2, 1], [1, 2]), ([high, low], [high, low])] {
            let messages = given.map(|id| message(id, 20)).to_vec();
            let page = MessagePage::new(FlowId::new(5).unwrap(), messages.clone());
            assert_eq!(ids(&history_of_changes(HistoryRange::All, page).messages), expected);
            let since = Timestamp::from_micros(1);
            assert_eq!(ids(&changes_of_histories(since, messages, vec![], 9).messages), expected);
        }
    }

    #[test]
    fn changes_are_bounded_and_say_where_the_next_ones_begin() {
        let since = Timestamp::from_micros(1);
        let messages = || vec![message(3, 30), message(1, 1), message(2, 20)];
        let all = changes_of_histories(since, messages(), Vec::new(), 2);
        assert_eq!((ids(&all.messages), all.more), (vec![2, 3], false));
        assert_eq!(all.until, Timestamp::from_micros(30));
        let first = changes_of_histories(since, messages(), Vec::new(), 1);
        assert_eq!((ids(&first.messages), first.more), (vec![2], true));
        assert_eq!(first.until, Timestamp::from_micros(20));
    }
}
