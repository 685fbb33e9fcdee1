//! The recognition of a dialect by its first frame: at most one dialect claims it, and accepts what
//! it claims.

use crate::input::{self, kind};
use crate::subject::subjects;
use tolmach_dialect::{Handshake, Recognition, Revision};
use tolmach_domain::ConnectionId;

/// Has every dialect recognise the first frame of each connection of an input.
pub(crate) fn run(input: &[u8]) {
    let mut opening = None;
    for (kind, content) in input::records(input) {
        if kind == kind::OPEN {
            opening = Some(input::parts(&input::request(content)));
            continue;
        }
        let Some(frame) = input::message(kind, content) else { continue };
        let Some(opening) = &opening else { continue };
        let handshake = Handshake::new(ConnectionId(1))
            .local(true)
            .request(opening)
            .websocket(true)
            .first_frame(&frame);
        let claims: Vec<(&str, Revision)> = subjects()
            .values()
            .filter(|subject| subject.dialect.manifest().opening.is_some())
            .filter_map(|subject| match subject.dialect.recognise(&handshake) {
                Recognition::Certain(revision) => Some((subject.id(), revision)),
                Recognition::No => None,
            })
            .collect();
        // A frame of several dialects is legal and served by none of them.
        if let [(id, revision)] = claims[..] {
            let dialect = &subjects()[id].dialect;
            assert!(dialect.manifest().revisions.contains(&revision), "{id}: {revision}");
            let accepted = dialect.accept(&handshake.revision(revision));
            assert!(accepted.is_ok(), "{id} recognises a handshake that it rejects");
        }
    }
}
