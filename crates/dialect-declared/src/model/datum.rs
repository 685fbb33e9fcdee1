//! Values of the model that a frame is filled in with.

use std::borrow::Cow;
use tolmach_domain::{
    Answer, Command, ContentType, Event, Flow, FlowKind, FlowSummary, Message, MessageId,
    RecoveryIdentifier, Timestamp, User, UserId, UserRef, UserSummary, Version,
};

/// One value of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Datum<'a> {
    None,
    Flag(bool),
    /// An integer or an id.
    Integer(i64),
    Text(Cow<'a, str>),
    Time(Timestamp),
    FlowKind(FlowKind),
    ContentType(&'a ContentType),
    Word(&'static str),
    /// A value in the syntax of the wire.
    Json(&'a [u8]),
    Object(Source<'a>),
    List(List<'a>),
}

/// A list of the model, borrowed from it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum List<'a> {
    Messages(&'a [Message]),
    /// Messages, the last one first.
    Newest(&'a [Message]),
    Summaries(&'a [FlowSummary]),
    Users(&'a [User]),
    Authors(&'a [UserSummary]),
    UserIds(&'a [UserId]),
    MessageIds(&'a [MessageId]),
    Deleted(&'a [(MessageId, Version)]),
    /// Some of the users of a list.
    Picked(Vec<Source<'a>>),
}

/// An item of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListItem<'a> {
    Object(Source<'a>),
    Id(i64),
}

impl<'a> From<ListItem<'a>> for Datum<'a> {
    fn from(item: ListItem<'a>) -> Self {
        match item {
            ListItem::Object(source) => Datum::Object(source),
            ListItem::Id(number) => Datum::Integer(number),
        }
    }
}

impl<'a> List<'a> {
    fn get(&self, index: usize) -> Option<ListItem<'a>> {
        let object = |source: Source<'a>| Some(ListItem::Object(source));
        let id = |number: i64| Some(ListItem::Id(number));
        match self {
            List::Messages(messages) => object(Source::Message(messages.get(index)?)),
            List::Newest(messages) => object(Source::Message(messages.iter().nth_back(index)?)),
            List::Summaries(summaries) => object(Source::Summary(summaries.get(index)?)),
            List::Users(users) => object(Source::User(users.get(index)?)),
            List::Authors(authors) => object(Source::Author(authors.get(index)?)),
            List::UserIds(ids) => id(ids.get(index)?.get()),
            List::MessageIds(ids) => id(ids.get(index)?.get()),
            List::Deleted(messages) => id(messages.get(index)?.0.get()),
            List::Picked(users) => object(*users.get(index)?),
        }
    }
}

impl<'a> Datum<'a> {
    /// True for none and for a list without items.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Datum::None => true,
            Datum::List(list) => list.get(0).is_none(),
            _ => false,
        }
    }

    /// The item of a list at an index. An object or an id is its own only item.
    pub(crate) fn item(&self, index: usize) -> Option<ListItem<'a>> {
        match self {
            Datum::List(list) => list.get(index),
            Datum::Object(source) if index == 0 => Some(ListItem::Object(*source)),
            Datum::Integer(number) if index == 0 => Some(ListItem::Id(*number)),
            _ => None,
        }
    }

    /// All items.
    pub(crate) fn items(&self) -> impl Iterator<Item = ListItem<'a>> {
        (0..).map_while(|index| self.item(index))
    }

    /// The first item of a list, and any other value itself.
    pub(crate) fn first(self) -> Self {
        match self {
            Datum::List(list) => list.get(0).map_or(Datum::None, Datum::from),
            other => other,
        }
    }

    pub(crate) fn text(text: &'a str) -> Self {
        Datum::Text(Cow::Borrowed(text))
    }

    pub(crate) fn optional_text(text: Option<&'a str>) -> Self {
        text.map_or(Datum::None, Datum::text)
    }

    pub(crate) fn optional_id(id: Option<i64>) -> Self {
        id.map_or(Datum::None, Datum::Integer)
    }

    pub(crate) fn optional_time(time: Option<Timestamp>) -> Self {
        time.map_or(Datum::None, Datum::Time)
    }
}

/// An object of the model, whose fields are read by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source<'a> {
    Message(&'a Message),
    Summary(&'a FlowSummary),
    /// A flow that was created, with its members.
    NewFlow(&'a Flow, &'a [UserSummary]),
    User(&'a User),
    Author(&'a UserSummary),
    Known(&'a RecoveryIdentifier),
    Reference(&'a UserRef),
    Command(&'a Command),
    Answer(&'a Answer),
    Event(&'a Event),
}
