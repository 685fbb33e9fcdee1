//! The steps of a plan. Numbers choose among the things that exist then, round and round.

use arbitrary::Arbitrary;

/// The most steps that are taken.
pub(crate) const MAX_STEPS: usize = 128;

/// The steps, in their order.
#[derive(Debug, Arbitrary)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Arbitrary)]
pub(crate) enum Step {
    /// A user's request through a dialect.
    Request { user: u8, dialect: u8, administrator: bool, action: Action },
    /// A frame of any content, on a connection that is open.
    Frame { connection: u8, content: Vec<u8> },
    /// A frame of any content in which a flow and a message are named that exist.
    Fill { connection: u8, flow: u8, message: u8, template: u8 },
    /// The delivery of the events that wait for a connection.
    Deliver { connection: u8, events: u8 },
    /// Time passes.
    Wait { seconds: u16 },
    /// A connection ends.
    Disconnect { connection: u8 },
}

/// A request, or an act that few wires have: another variant would change the meaning of every
/// input that is kept. `GetUser` from 128 on is a block, from 192 on the end of one, from 208 on a
/// registration; `RemoveMember` of a user from 192 on is the departure of that user.
#[derive(Debug, Arbitrary)]
pub(crate) enum Action {
    Send { flow: u8, key: Option<u8>, reply_to: Option<u8> },
    Edit { message: u8, names_flow: bool },
    Delete { messages: [u8; 2], flow: u8, all_or_none: bool },
    History { flow: u8, range: Range, mark_read: bool },
    ListFlows { limit: Option<u8>, offset: u8, members: bool },
    GetFlow { flow: u8, members: bool },
    GetChanges { since: u8, flow: Option<u8>, limit: u8 },
    ShowTyping { flow: u8, active: bool },
    OpenChat { with: u8, by_login: bool },
    CreateFlow { channel: bool, members: [u8; 2], key: Option<u8> },
    AddMember { flow: u8, user: u8 },
    RemoveMember { flow: u8, user: u8 },
    DeleteFlow { flow: u8 },
    GetUser { user: u8 },
    SearchUsers { query: u8 },
    Login { of: u8, wrong: bool },
    Logout,
}

/// The part of a history.
#[derive(Debug, Arbitrary)]
pub(crate) enum Range {
    All,
    Unread,
    Newest { limit: u8, offset: u8 },
}
