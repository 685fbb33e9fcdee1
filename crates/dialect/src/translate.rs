//! From one dialect to another, through the canonical form.

use crate::{Frame, Line, Loss, Session, Violation};
use tolmach_domain::Timestamp;

/// Why a frame could not be translated.
#[derive(Debug, Clone, PartialEq)]
pub enum Untranslated {
    /// The frame is not the source dialect's.
    Violation(Violation),
    /// The target dialect cannot say it.
    Loss(Loss),
}

/// Translates one frame that `source` hears into the frames that `target` says.
///
/// Requests go from the server side of one dialect to the client side of another; replies and
/// notices go back from that client side to that server side. Either way the two sessions form one
/// proxied connection: the echo of each ask is kept by the session that made it. Returns the frames
/// and the lines that they came from.
pub fn translate(
    now: Timestamp,
    source: &mut dyn Session,
    target: &mut dyn Session,
    frame: &Frame,
) -> Result<(Vec<Frame>, Vec<Line>), Untranslated> {
    let mut lines = Vec::new();
    source.decode(now, frame, &mut lines).map_err(Untranslated::Violation)?;
    let mut frames = Vec::new();
    for line in &lines {
        target.encode(now, line, &mut frames).map_err(Untranslated::Loss)?;
    }
    Ok((frames, lines))
}
