//! The parsers of what proxies write and of raw TCP streams, for `tests/fuzz` only.

use crate::proxies::TrustedProxies;
use crate::proxy_protocol::read_header;
use crate::tcp::Framing;
use bytes::{Buf, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use ipnet::IpNet;
use std::io::{self, Cursor};
use std::net::IpAddr;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The client behind a connection from `peer`, by the headers of a request.
pub fn forwarded_client(trusted: Vec<IpNet>, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    TrustedProxies::new(trusted).client(peer, headers)
}

/// The client that a header of the PROXY protocol at the beginning of `bytes` names, and the bytes
/// behind the header.
pub fn proxied_client(mut bytes: &[u8]) -> io::Result<(Option<IpAddr>, &[u8])> {
    let read = read_header(&mut bytes).now_or_never();
    let client = read.expect("bytes in memory can be read at once")?;
    Ok((client, bytes))
}

/// The values of a raw TCP stream.
#[derive(Debug, PartialEq, Eq)]
pub struct RawValues {
    /// The values that have ended, as they stand in the stream.
    pub values: Vec<Vec<u8>>,
    /// The bytes of the stream that have passed, white space between values too.
    pub bytes: Vec<u8>,
}

/// The values of a stream that comes in these parts.
pub fn raw_values<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> RawValues {
    let (mut framing, mut frames) = (Framing::default(), BytesMut::new());
    parts.into_iter().for_each(|part| framing.push(part, &mut frames));
    let (mut values, mut bytes, mut begun) = (Vec::new(), Vec::new(), None);
    while !frames.is_empty() {
        let mut cursor = Cursor::new(&frames[..]);
        let parsed = FrameHeader::parse(&mut cursor).expect("the server makes valid frames");
        let (header, length) = parsed.expect("the server makes whole frames");
        frames.advance(cursor.position() as usize);
        let payload = frames.split_to(usize::try_from(length).expect("it is in memory"));
        bytes.extend_from_slice(&payload);
        let OpCode::Data(data) = header.opcode else { continue };
        assert_eq!(begun.is_some(), data == Data::Continue, "a message begins once");
        let mut value: Vec<u8> = begun.take().unwrap_or_default();
        value.extend_from_slice(&payload);
        match header.is_final {
            true => values.push(value),
            false => begun = Some(value),
        }
    }
    RawValues { values, bytes }
}
