//! Requests for the wire.

use super::meaning::is_kept;
use crate::decode::Matcher;
use crate::encode::{Fill, Me};
use crate::fixed::completed;
use crate::model::{self, Operation, Shape, Source, read_named};
use crate::plan::{Compiled, RequestFrame, RequestRule, ResponsePlan};
use bytes::Bytes;
use tolmach_dialect::{Credentials, Request, WideIdNumbers};
use tolmach_domain::{Authority, Command, Secret, Timestamp, UserId};

/// The deepest nesting of a request's own frame.
const MAX_DEPTH: usize = 64;

/// The proof of a request, as a wire writes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    pub(super) token: Option<Secret>,
    pub(super) user: Option<UserId>,
}

impl Proof {
    /// The proof of these credentials, where `connection` is the token that the connection keeps.
    pub(super) fn of(credentials: &Credentials, connection: Option<&Secret>) -> Self {
        let (token, user) = match credentials {
            Credentials::Nothing => (None, None),
            Credentials::Connection => (connection.cloned(), None),
            Credentials::Token(token) | Credentials::Bearer(token) => (Some(token.clone()), None),
            Credentials::TokenOf(user, token) => (Some(token.clone()), Some(*user)),
        };
        Self { token, user }
    }
}

/// The knowledge of a client that writes a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) file: &'a Compiled,
    pub(super) now: Timestamp,
    pub(super) me: &'a Me,
    pub(super) memory: &'a [Option<i64>],
    pub(super) chosen: &'a [u8],
    pub(super) tag: &'a [u8],
    pub(super) proof: &'a Proof,
    pub(super) numbers: Option<&'a WideIdNumbers>,
}

/// One request on the wire.
#[derive(Debug)]
pub(super) struct EncodedRequest {
    pub(super) rule: usize,
    pub(super) frame: Bytes,
    /// The request as the server reads it.
    pub(super) said: Command,
    /// The request id, where the frame has one.
    pub(super) tag: Option<Bytes>,
}

/// True if the wire has a frame for a request.
pub(super) fn can_say(file: &Compiled, request: &Request) -> bool {
    let chosen = most_precise(file);
    // A flow in memory is the one of the request.
    let flow = match Operation::of(&request.command) {
        Some(operation) => flow_of(operation, &request.command),
        None => return false,
    };
    let memory = vec![flow; file.memory.len()];
    let unset = vec![None; file.memory.len()];
    let me = Me { login: Some(String::new()), ..Me::default() };
    let proof = Proof::of(&request.credentials, None);
    let writes = |memory: &[Option<i64>]| {
        let now = Timestamp::default();
        let tag: &[u8] = if file.has_text_tags { b"\"1\"" } else { b"1" };
        let (me, chosen, proof, numbers) = (&me, &*chosen, &proof, None);
        let writing = Writing { file, now, me, memory, chosen, tag, proof, numbers };
        encode(writing, &request.command).is_some()
    };
    request.authority == Authority::Member && (writes(&memory) || writes(&unset))
}

fn flow_of(operation: Operation, command: &Command) -> Option<i64> {
    Shape::Command(operation).field("flow")?;
    match read_named(Source::Command(command), "flow", None) {
        model::Datum::Integer(flow) => Some(flow),
        _ => None,
    }
}

/// The form of each choice that keeps the most of a time.
pub(super) fn most_precise(file: &Compiled) -> Vec<u8> {
    let choices = file.tables.choices.iter();
    choices
        .map(|forms| {
            let best = forms.iter().enumerate().rev().max_by_key(|(_, form)| form.precision());
            best.map_or(0, |(index, _)| u8::try_from(index).unwrap_or_default())
        })
        .collect()
}

/// Writes a command by the frame that says the most of it; of several, by one that the connection
/// remembers something of, such as the room that its events come from; of several, by the first.
/// `None` where no frame says what it means.
pub(super) fn encode(writing: Writing<'_>, command: &Command) -> Option<EncodedRequest> {
    let operation = Operation::of(command)?;
    let mut best: Option<((usize, bool), EncodedRequest)> = None;
    for (index, rule) in writing.file.requests.iter().enumerate() {
        let has_end = rule.each.is_none() || rule.fence.is_some();
        // The server makes a request after another one by itself.
        let is_own = rule.after.is_empty();
        let is_answered = !matches!(rule.response, ResponsePlan::Nothing);
        if rule.operation != operation || !has_end || !is_own || !is_answered {
            continue;
        }
        // A wire with tokens in its requests reads none without.
        if rule.needs_token && operation.is_anonymous() && writing.proof.token.is_none() {
            continue;
        }
        let is_set = |cell: usize| writing.memory.get(cell).copied().flatten().is_some();
        if rule.needs.iter().any(|(cell, must_be_set, _)| is_set(*cell) != *must_be_set) {
            continue;
        }
        for frame in &rule.frames {
            let Some(encoded) = written(writing, index, rule, frame, command) else { continue };
            let lost = lost_fields(operation, command, &encoded.said);
            let cost = (lost, rule.remember.is_empty());
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, encoded));
            }
        }
    }
    best.map(|(_, encoded)| encoded)
}

/// Writes a command by one frame, and reads it back: what the server would not read, or would read
/// as another command, is not written.
fn written(
    writing: Writing<'_>,
    index: usize,
    rule: &RequestRule,
    frame: &RequestFrame,
    command: &Command,
) -> Option<EncodedRequest> {
    let Writing { file, memory, me, numbers, .. } = writing;
    let bytes = fill(writing, rule, Some(command)).frame(&frame.plan);
    let matcher =
        Matcher { syntax: file.syntax, tables: &file.tables, numbers, is_of_server: false };
    let read = file.syntax.read(&bytes, MAX_DEPTH, |value| {
        let fits = Matcher::fits(&frame.conditions, &value);
        if fits { matcher.find(&frame.plan, &value).ok() } else { None }
    });
    let found = read.ok()??;
    let record = completed(rule, found.record, memory, me);
    let said = model::command(rule.operation, record).ok()?;
    let tag = found.tag;
    is_kept(command, &said).then_some(EncodedRequest { rule: index, frame: bytes, said, tag })
}

/// Fills in frames of a request.
pub(super) fn fill<'a>(
    writing: Writing<'a>,
    rule: &'a RequestRule,
    command: Option<&'a Command>,
) -> Fill<'a> {
    Fill {
        wide_ids: None,
        numbers: writing.numbers,
        syntax: writing.file.syntax,
        tables: &writing.file.tables,
        root: command.map(Source::Command),
        request: None,
        me: writing.me,
        name: &rule.name,
        request_name: &rule.name,
        outcome: &[],
        now: writing.now,
        tag: Some(writing.tag),
        token: writing.proof.token.as_ref().map(Secret::expose),
        token_user: writing.proof.user.or(writing.me.id),
        memory: writing.memory,
        page: None,
        chosen: writing.chosen,
    }
}

/// The number of fields of a command that the server reads otherwise.
fn lost_fields(operation: Operation, asked: &Command, said: &Command) -> usize {
    let fields = Shape::Command(operation).fields().iter();
    let differs = |name| {
        let of = |command| read_named(Source::Command(command), name, None);
        of(asked) != of(said)
    };
    fields.filter(|field| differs(field.name)).count()
}
