//! The parsers of what proxies write, for `tests/fuzz` only.

use crate::proxies::TrustedProxies;
use crate::proxy_protocol::read_header;
use futures_util::FutureExt;
use http::HeaderMap;
use ipnet::IpNet;
use std::io;
use std::net::IpAddr;

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
