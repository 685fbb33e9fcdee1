//! Values of the model that a frame is filled in with.

use std::borrow::Cow;
use tolmach_domain::{
    Answer, Command, ContentType, Event, Flow, FlowKind, FlowSummary, Message, RecoveryIdentifier,
    Timestamp, User, UserRef, UserSummary,
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
    List(Vec<Datum<'a>>),
}

impl<'a> Datum<'a> {
    /// True for none and for a list without items.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Datum::None => true,
            Datum::List(items) => items.is_empty(),
            _ => false,
        }
    }

    /// The first item of a list, and any other value itself.
    pub(crate) fn first(self) -> Self {
        match self {
            Datum::List(items) => items.into_iter().next().unwrap_or(Datum::None),
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

    pub(crate) fn objects<T>(items: &'a [T], source: impl Fn(&'a T) -> Source<'a>) -> Self {
        Datum::List(items.iter().map(|item| Datum::Object(source(item))).collect())
    }

    pub(crate) fn ids<T: Copy>(items: &[T], number: impl Fn(T) -> i64) -> Self {
        Datum::List(items.iter().map(|item| Datum::Integer(number(*item))).collect())
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
