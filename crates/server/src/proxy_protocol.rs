//! The PROXY protocol, versions 1 and 2: a balancer that passes TCP through writes the client's
//! address before the client's own bytes.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use ppp::{v1, v2};
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, in bytes. Section 2.1.
const MAX_V1_BYTES: usize = 107;
/// The longest header of version 2 that is read, in bytes: addresses take 232 at most, the rest is
/// room for the balancer's own fields.
const MAX_V2_BYTES: usize = 4 << 10;
/// The part of a header of version 2 that always comes: the signature, version and command, family,
/// and the length of the rest.
const V2_HEAD_BYTES: usize = 16;

/// Reads the header that begins a connection, and nothing behind it. Returns the address of the
/// client; `None` where the balancer has connected for itself, or does not know it.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        read_rest_of_v2(stream, &mut header).await?;
        return parse_v2(&header);
    }
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(invalid("it does not begin with a header of the PROXY protocol"));
    }
    // Byte by byte, because the client's own bytes follow and must not be taken.
    while !header.ends_with(b"\r\n") {
        if header.len() >= MAX_V1_BYTES {
            return Err(invalid("its header of the PROXY protocol has no end"));
        }
        header.push(stream.read_u8().await?);
    }
    parse_v1(&header)
}

async fn read_rest_of_v2(
    stream: &mut (impl AsyncRead + Unpin),
    header: &mut Vec<u8>,
) -> io::Result<()> {
    header.resize(V2_HEAD_BYTES, 0);
    stream.read_exact(&mut header[v2::PROTOCOL_PREFIX.len()..]).await?;
    let rest = u16::from_be_bytes([header[V2_HEAD_BYTES - 2], header[V2_HEAD_BYTES - 1]]);
    let length = V2_HEAD_BYTES + usize::from(rest);
    if length > MAX_V2_BYTES {
        return Err(invalid("its header of the PROXY protocol is too long"));
    }
    header.resize(length, 0);
    stream.read_exact(&mut header[V2_HEAD_BYTES..]).await?;
    Ok(())
}

fn parse_v1(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v1::Header::try_from(header).map_err(io::Error::other)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Unknown => None,
    })
}

fn parse_v2(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v2::Header::try_from(header).map_err(io::Error::other)?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => {
            Some(addresses.source_address.into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
            Some(addresses.source_address.into())
        }
        (v2::Command::Proxy | v2::Command::Local, _) => None,
    })
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn v2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[0x20 | command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn a_header_tells_the_client_and_nothing_behind_it_is_read() {
        let ipv4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let ipv6 = [
            &"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets()[..],
            &[0; 16],
            &[0x30, 0x39, 0, 80],
        ]
        .concat();
        let field = [&ipv4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (name, header, expected) in [
            ("1, IPv4", b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n".to_vec(), "192.0.2.1"),
            ("1, IPv6", b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n".to_vec(), "2001:db8::1"),
            ("1, unknown", b"PROXY UNKNOWN\r\n".to_vec(), ""),
            ("1, unknown with more", b"PROXY UNKNOWN ::1 ::1 1 2\r\n".to_vec(), ""),
            ("2, IPv4", v2_header(1, 0x11, &ipv4), "192.0.2.1"),
            ("2, IPv6", v2_header(1, 0x21, &ipv6), "2001:db8::1"),
            ("2, with a field", v2_header(1, 0x11, &field), "192.0.2.1"),
            ("2, local", v2_header(0, 0x11, &ipv4), ""),
            ("2, local without addresses", v2_header(0, 0, &[]), ""),
        ] {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let mut stream = &bytes[..];
            let client = read_header(&mut stream).await.unwrap();
            let client = client.map(|address| address.to_string()).unwrap_or_default();
            assert_eq!((client.as_str(), stream), (expected, &b"GET / HTTP/1.1\r\n"[..]), "{name}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        let long = v2_header(1, 0x11, &[0; MAX_V2_BYTES]);
        for (name, bytes) in [
            ("nothing", &b""[..]),
            ("a request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("a part of it", b"PROXY TCP4 192.0.2.1"),
            ("no address", b"PROXY TCP4 example.org 10.0.0.1 12345 80\r\n"),
            ("no end", &endless),
            ("a part of version 2", V2),
            ("an unknown version", &[V2, &[0x31, 0x11, 0, 0]].concat()),
            ("a missing address", &v2_header(1, 0x11, &[1, 2])),
            ("too long", &long),
        ] {
            assert!(read_header(&mut &bytes[..]).await.is_err(), "{name}");
        }
    }
}
