//! A dialect with its revisions.

use crate::dialect::Declared;
use std::sync::Arc;
use std::time::Duration;
use tolmach_dialect::{
    Delivery, Dialect, DialectClient, Endpoint, Event, ExpectedBody, Frame, Handshake,
    HandshakeRejection, Manifest, Recognition, RenderContext, Request, Response, Revision,
    ServerSession, Subscription, Transport, Unsupported, Variant, Violation, WideIdNumbers,
};
use tolmach_domain::{ConnectionId, FlowKindFilter, Identity, Timestamp};

/// The variants of the dialect itself; those of the revisions come after them.
const OWN_VARIANTS: u8 = 64;
/// The variants of one revision.
const REVISION_VARIANTS: u8 = 16;
/// The most revisions beside the dialect's own.
const MAX_REVISIONS: usize = 12;

/// A dialect with revisions that files describe.
///
/// - A revision that is pinned ([`Handshake::revision`]) is used as it is.
/// - Otherwise the first frame decides, on paths of the dialect's own too: the first revision, in
///   the order given, that claims it, or else the dialect itself.
/// - Revisions whose token is a WebSocket subprotocol claim handshakes that have one: the dialect's
///   own rules do not apply to them, and the last in the order given has the connection until the
///   first frame decides.
/// - Until then a connection gets no events: nothing says which of the revisions could read them.
/// - Any other revision whose handshake proves the user is for connections that the dialect
///   accepts.
#[derive(Clone)]
pub struct Revised {
    base: Arc<dyn Dialect>,
    revisions: Arc<[Declared]>,
    manifest: &'static Manifest,
}

/// Too many revisions, or two of one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionsError {
    /// More than a dialect can have.
    #[error("{dialect} has {count} revisions beside its own; at most {MAX_REVISIONS} are possible")]
    TooMany {
        /// The id of the dialect.
        dialect: &'static str,
        /// The number of revisions.
        count: usize,
    },
    /// Two revisions have one name.
    #[error("{dialect} has two revisions named {revision}")]
    Twice {
        /// The id of the dialect.
        dialect: &'static str,
        /// The name.
        revision: Revision,
    },
}

impl Revised {
    /// Adds revisions to a dialect; the first that claims a frame has it.
    pub fn new(base: Arc<dyn Dialect>, revisions: Vec<Declared>) -> Result<Self, RevisionsError> {
        let dialect = base.manifest().id;
        if revisions.len() > MAX_REVISIONS {
            return Err(RevisionsError::TooMany { dialect, count: revisions.len() });
        }
        let mut names: Vec<Revision> = base.manifest().revisions.to_vec();
        for revision in revisions.iter().map(Declared::revision) {
            if names.contains(&revision) {
                return Err(RevisionsError::Twice { dialect, revision });
            }
            names.push(revision);
        }
        let of_http = |endpoint: &&Endpoint| endpoint.transport == Transport::Http;
        let pages = revisions.iter().flat_map(|revision| revision.manifest().endpoints);
        let mut endpoints = base.manifest().endpoints.to_vec();
        for page in pages.filter(of_http) {
            // A revision has the pages of the one that it extends.
            if !endpoints.contains(page) {
                endpoints.push(*page);
            }
        }
        let of_files = revisions.iter().map(|one| (one.revision(), one.manifest().fields));
        let fields = base.manifest().revision_fields.iter().copied().chain(of_files).collect();
        let manifest = base
            .manifest()
            .clone()
            .revisions(Vec::leak(names))
            .endpoints(Vec::leak(endpoints))
            .revision_fields(Vec::leak(fields));
        let manifest: &'static Manifest = Box::leak(Box::new(manifest));
        Ok(Self { base, revisions: revisions.into(), manifest })
    }

    fn revision(&self, name: Revision) -> Option<usize> {
        self.revisions.iter().position(|revision| revision.revision() == name)
    }

    /// The revisions that a handshake may open, before its first frame.
    fn candidates(&self, handshake: &Handshake<'_>) -> Vec<usize> {
        let claims = |index: &usize| self.revisions[*index].claims_handshake(handshake);
        let claimed: Vec<usize> = (0..self.revisions.len()).filter(claims).collect();
        if claimed.is_empty() {
            let open = |index: &usize| self.revisions[*index].opens_by_frame();
            return (0..self.revisions.len()).filter(open).collect();
        }
        claimed
    }

    /// True if a revision may have a connection whose first frame it recognises: a handshake that
    /// proves the user in the dialect's own way is held to the rules of the dialect.
    fn admits(&self, index: usize, handshake: &Handshake<'_>) -> bool {
        let revision = &self.revisions[index];
        !revision.proves_by_handshake()
            || revision.claims_handshake(handshake)
            || self.base.accept(handshake).is_ok()
    }

    /// The first of these revisions that recognises a handshake and may have its connection.
    fn recognised(
        &self,
        candidates: impl IntoIterator<Item = usize>,
        handshake: &Handshake<'_>,
    ) -> Option<(usize, Recognition)> {
        candidates
            .into_iter()
            .map(|index| (index, self.revisions[index].recognise(handshake)))
            .find(|(index, found)| *found != Recognition::No && self.admits(*index, handshake))
    }

    /// The session of a revision.
    fn accept_revision(
        &self,
        index: usize,
        handshake: &Handshake<'_>,
    ) -> Result<RevisedSession, HandshakeRejection> {
        let session = self.revisions[index].accept(handshake)?;
        Ok(RevisedSession { session, first_variant: first_variant(index), opening: None })
    }

    /// The session of the dialect itself.
    fn accept_base(&self, handshake: &Handshake<'_>) -> Result<RevisedSession, HandshakeRejection> {
        let session = self.base.accept(handshake)?;
        Ok(RevisedSession { session, first_variant: 0, opening: None })
    }
}

impl Dialect for Revised {
    fn manifest(&self) -> &Manifest {
        self.manifest
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        if let Some(revision) = handshake.revision {
            return Recognition::Certain(revision);
        }
        match self.recognised(0..self.revisions.len(), handshake) {
            Some((_, found)) => found,
            None => self.base.recognise(handshake),
        }
    }

    fn ignores(&self, frame: &Frame) -> bool {
        self.base.ignores(frame) || self.revisions.iter().any(|revision| revision.ignores(frame))
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        let mut revisions = self.revisions.iter();
        if let Some(revision) = revisions.find(|revision| revision.is_token_check(handshake)) {
            return revision.accept(handshake);
        }
        if let Some(revision) = handshake.revision {
            return match self.revision(revision) {
                Some(index) => Ok(Box::new(self.accept_revision(index, handshake)?)),
                None => self.base.accept(handshake),
            };
        }
        let candidates = self.candidates(handshake);
        let claiming = candidates
            .last()
            .copied()
            .filter(|index| self.revisions[*index].claims_handshake(handshake));
        if handshake.first_frame.is_some() {
            let recognised = self.recognised(candidates, handshake).map(|(index, _)| index);
            return match recognised.or(claiming) {
                Some(index) => Ok(Box::new(self.accept_revision(index, handshake)?)),
                None => self.base.accept(handshake),
            };
        }
        // Without a WebSocket there is one frame only, which the handshake is.
        if candidates.is_empty() || !handshake.websocket && handshake.request.is_some() {
            return self.base.accept(handshake);
        }
        let mut session = match claiming {
            Some(index) => self.accept_revision(index, handshake)?,
            None => self.accept_base(handshake)?,
        };
        session.opening = Some(Box::new(Opening {
            dialect: self.clone(),
            request: handshake.request.cloned(),
            connection: handshake.connection,
            is_local: handshake.local,
            max_json_depth: handshake.max_json_depth,
            has_external_ids: handshake.has_external_ids,
            numbers: handshake.wide_id_numbers.cloned(),
            keeps_choice: candidates
                .iter()
                .any(|index| self.revisions[*index].proves_by_handshake()),
            candidates,
            identity: None,
        }));
        Ok(Box::new(session))
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        let Some(above) = variant.0.checked_sub(OWN_VARIANTS) else {
            return self.base.render(event, context, variant);
        };
        let (index, own) = (above / REVISION_VARIANTS, Variant(above % REVISION_VARIANTS));
        match self.revisions.get(usize::from(index)) {
            Some(revision) => revision.render(event, context, own),
            None => Err(Unsupported { dialect: self.manifest.id, what: event.name() }),
        }
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.base.client()
    }
}

fn first_variant(index: usize) -> u8 {
    let index = u8::try_from(index).unwrap_or_default();
    OWN_VARIANTS.saturating_add(REVISION_VARIANTS.saturating_mul(index))
}

/// The session of a revision or of the dialect itself. Until the revision is decided, it is that of
/// the handshake.
struct RevisedSession {
    session: Box<dyn ServerSession>,
    /// The number of the session's first variant among those of the dialect.
    first_variant: u8,
    /// `None` once the revision is decided.
    opening: Option<Box<Opening>>,
}

/// The parts of a connection that decide its revision.
struct Opening {
    dialect: Revised,
    request: Option<http::request::Parts>,
    connection: ConnectionId,
    is_local: bool,
    max_json_depth: usize,
    has_external_ids: bool,
    numbers: Option<Arc<WideIdNumbers>>,
    candidates: Vec<usize>,
    /// True if the first frame decides after the handshake has proven the user.
    keeps_choice: bool,
    /// The user of the connection so far.
    identity: Option<Identity>,
}

impl Opening {
    /// The session of the revision that claims the first frame. `None` if none does, or if the
    /// revision rejects the handshake: the session that accepted it stays.
    fn decide(&self, frame: &Frame) -> Option<RevisedSession> {
        let mut handshake = Handshake::new(self.connection)
            .first_frame(frame)
            .local(self.is_local)
            .max_json_depth(self.max_json_depth)
            .external_ids(self.has_external_ids);
        if let Some(numbers) = &self.numbers {
            handshake = handshake.wide_id_numbers(numbers);
        }
        if let Some(request) = &self.request {
            handshake = handshake.request(request).websocket(true);
        }
        let candidates = self.candidates.iter().copied();
        let (index, _) = self.dialect.recognised(candidates, &handshake)?;
        let mut session = self.dialect.accept_revision(index, &handshake).ok()?;
        if self.identity.is_some() {
            session.authenticated(self.identity);
        }
        Some(session)
    }

    /// True for a text that a revision drops, which decides nothing.
    fn ignores(&self, frame: &Frame) -> bool {
        self.candidates.iter().any(|index| self.dialect.revisions[*index].ignores(frame))
    }
}

impl ServerSession for RevisedSession {
    fn initial_requests(&mut self, now: Timestamp, out: &mut Vec<Request>) {
        let before = out.len();
        self.session.initial_requests(now, out);
        // The session of the dialect itself keeps what their responses tell it. Where they only
        // prove the user, whom another session is told of, the first frame chooses still: the
        // responses precede it.
        if out.len() > before {
            self.opening.take_if(|opening| !opening.keeps_choice);
        }
    }

    fn expected_body(&self) -> Option<ExpectedBody> {
        self.session.expected_body()
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let Some(opening) = self.opening.take() else {
            return self.session.decode(now, frame, out);
        };
        if opening.ignores(frame) {
            self.opening = Some(opening);
            return Ok(());
        }
        if let Some(decided) = opening.decide(frame) {
            *self = decided;
            return self.session.decode(now, frame, out);
        }
        let before = out.len();
        let decoded = self.session.decode(now, frame, out);
        // A text that the dialect drops decides nothing either.
        if decoded.is_ok() && out.len() == before {
            self.opening = Some(opening);
        }
        decoded
    }

    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        self.session.respond(now, response, context, out)
    }

    fn follow_ups(&mut self, out: &mut Vec<Request>) {
        self.session.follow_ups(out);
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        if let Some(opening) = &mut self.opening {
            opening.identity = identity;
        }
        self.session.authenticated(identity);
    }

    fn subscription(&self) -> Subscription {
        match self.opening {
            Some(_) => Subscription::None,
            None => self.session.subscription(),
        }
    }

    fn flow_kinds(&self) -> FlowKindFilter {
        self.session.flow_kinds()
    }

    fn receives_own_events(&self) -> bool {
        self.session.receives_own_events()
    }

    fn deliver(&mut self, event: &Event, context: &RenderContext<'_>) -> Delivery {
        match self.session.deliver(event, context) {
            Delivery::Shared(Variant(own)) => {
                Delivery::Shared(Variant(self.first_variant.saturating_add(own)))
            }
            other => other,
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        self.session.subprotocol()
    }

    fn pace(&self) -> Option<Duration> {
        self.session.pace()
    }

    fn revision(&self) -> Revision {
        self.session.revision()
    }
}
