//! The headers that proxies write: `X-Forwarded-For`, and those of the PROXY protocol.

use crate::input::joined;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};
use tolmach_server::fuzzing::{forwarded_client, proxied_client};

/// The address of the proxy.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Headers of both kinds.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let length = [0, u8::try_from(rest.len()).expect("the addresses are short")];
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        [&signature[..], &[0x20 | command, family], &length, rest, b"GET /"].concat()
    };
    vec![
        b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\nGET /".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\nGET /".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(1, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80]),
        v2(1, 0x21, &[1; 36]),
        v2(0, 0, &[]),
        joined(&[b"192.0.2.1, 10.0.0.2".to_vec(), b"[2001:db8::1]:80, unknown".to_vec()]),
        b"::ffff:192.0.2.1:80,10.0.0.3".to_vec(),
    ]
}

/// Reads an input as both.
///
/// # Panics
///
/// If a header of the PROXY protocol takes more than it may, or if a client behind a proxy that is
/// not trusted names its own address.
pub(crate) fn run(input: &[u8]) {
    const LONGEST: usize = 4 << 10;
    if let Ok((_, rest)) = proxied_client(input) {
        let taken = input.len() - rest.len();
        assert!(taken <= LONGEST && input.ends_with(rest), "{taken} bytes of a header");
    }
    let mut headers = HeaderMap::new();
    for record in crate::input::values(input) {
        if let Ok(value) = HeaderValue::from_bytes(record) {
            headers.append("x-forwarded-for", value);
        }
    }
    let trusted: IpNet = "10.0.0.0/8".parse().expect("it is a network");
    let client = forwarded_client(vec![trusted], PROXY, &headers);
    assert_eq!(client, client.to_canonical(), "one client has one address");
    assert_eq!(forwarded_client(Vec::new(), PROXY, &headers), PROXY, "a stranger is believed");
}
