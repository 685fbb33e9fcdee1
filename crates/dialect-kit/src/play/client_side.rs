//! Calls of a client session that hold it to the rules of its trait.

use crate::frame_text::inline;
use crate::play::failure::{Defect, PlayError};
use tolmach_dialect::{
    ClientSession, Correlation, Frame, Incoming, InvalidReply, Request, Response,
};
use tolmach_domain::{Answer, Timestamp};

/// The correlation of a response that no session has decoded.
struct Sentinel;

/// Encodes a request; on an error, checks that no frame was put out.
pub(crate) fn encode_request(
    client: &mut dyn ClientSession,
    now: Timestamp,
    request: &Request,
) -> Result<Vec<Frame>, PlayError> {
    // A frame that is already there shows if an error leaves `out` as it was.
    let sentinel = Frame::text("sentinel");
    let mut frames = vec![sentinel.clone()];
    match client.request(now, request, &mut frames) {
        Ok(()) if frames.first() == Some(&sentinel) => {
            frames.remove(0);
            Ok(frames)
        }
        Ok(()) => Err(Defect::round_trip("encoding overwrites frames that are in `out`").into()),
        Err(_) if frames != [sentinel] => Err(Defect::round_trip(
            "a request that is not supported does not leave `out` as it was",
        )
        .into()),
        Err(unsupported) => Err(unsupported.into()),
    }
}

/// Decodes a server's frame into values that it appends.
pub(crate) fn receive(
    client: &mut dyn ClientSession,
    now: Timestamp,
    frame: &Frame,
    incoming: &mut Vec<Incoming>,
) -> Result<(), PlayError> {
    let decoded = decode_reply(client, now, frame)?.map_err(|error| {
        let frame = inline(frame);
        Defect::round_trip(format!(
            "the client session cannot decode the server's {frame}: {error}"
        ))
    })?;
    incoming.extend(decoded);
    Ok(())
}

/// Decodes a server's frame; on an error, checks that no value was put out.
pub(crate) fn decode_reply(
    client: &mut dyn ClientSession,
    now: Timestamp,
    frame: &Frame,
) -> Result<Result<Vec<Incoming>, InvalidReply>, Defect> {
    // A value that is already there shows if an error leaves `out` as it was.
    let sentinel = Response::new(Correlation::new(Sentinel), Ok(Answer::LoggedOut));
    let mut out = vec![Incoming::Response(sentinel)];
    let decoded = client.decode(now, frame, &mut out);
    let is_sentinel = |value: &Incoming| match value {
        Incoming::Response(response) => response.correlation.get::<Sentinel>().is_some(),
        Incoming::Event(_) => false,
    };
    if !out.first().is_some_and(is_sentinel) {
        return Err(Defect::round_trip("decoding overwrites values that are in `out`"));
    }
    match decoded {
        Ok(()) => Ok(Ok(out.split_off(1))),
        Err(_) if out.len() != 1 => {
            let count = out.len() - 1;
            Err(Defect::round_trip(format!("an invalid reply leaves {count} values in `out`")))
        }
        Err(error) => Ok(Err(error)),
    }
}
