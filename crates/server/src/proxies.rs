//! The address of a client, also behind reverse proxies.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The header that proxies add the address of their client to. `Forwarded` (RFC 7239) has the same
/// meaning, but a proxy that writes the one passes on what a client put into the other: only one of
/// them can be believed, and this is the one that all proxies write.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The reverse proxies whose header is believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// The client behind a connection from `peer`: the right-most address that no trusted proxy
    /// has. Each proxy adds its own client at the right end; what stands further left was written
    /// by others.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let values: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        for entry in values.iter().flat_map(|value| value.split(',')).rev() {
            // An entry that is no address was not written by a trusted proxy: the last address
            // before it is as far as is known.
            let Some(address) = parse(entry) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// True if `address` is one of these proxies.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, which some proxies write with a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = |trusted: &[&str]| {
            TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect())
        };
        let (none, one, many) = (
            proxies(&[]),
            proxies(&["10.0.0.1/32", "::1/128"]),
            proxies(&["10.0.0.0/8", "2001:db8::/32"]),
        );
        for (name, proxies, peer, headers, expected) in [
            ("none is trusted", &none, "10.0.0.1", &["1.2.3.4"][..], "10.0.0.1"),
            ("a stranger", &one, "10.0.0.2", &["1.2.3.4"], "10.0.0.2"),
            ("no header", &one, "10.0.0.1", &[], "10.0.0.1"),
            ("an empty header", &one, "10.0.0.1", &[""], "10.0.0.1"),
            ("one entry", &one, "10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("what the client wrote itself", &one, "10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("in a header of its own", &one, "10.0.0.1", &["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
            (
                "a chain of proxies",
                &many,
                "10.0.0.1",
                &["6.6.6.6, 1.2.3.4,10.9.9.9 ,  10.0.0.2"],
                "1.2.3.4",
            ),
            ("proxies only", &many, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (
                "no address behind a proxy",
                &many,
                "10.0.0.1",
                &["1.2.3.4, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            ("no address", &one, "10.0.0.1", &["unknown"], "10.0.0.1"),
            ("with a port", &one, "10.0.0.1", &["1.2.3.4:5678"], "1.2.3.4"),
            ("IPv6", &many, "2001:db8::1", &["2a00::1"], "2a00::1"),
            ("IPv6 in brackets", &one, "::1", &["[2a00::1]"], "2a00::1"),
            ("IPv6 with a port", &one, "::1", &["[2a00::1]:5678"], "2a00::1"),
            ("a proxy by IPv4 in IPv6", &one, "::ffff:10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            ("a stranger by IPv4 in IPv6", &one, "::ffff:10.0.0.2", &["1.2.3.4"], "10.0.0.2"),
        ] {
            let mut map = HeaderMap::new();
            for value in headers {
                map.append(FORWARDED_FOR, value.parse().unwrap());
            }
            map.insert("forwarded", "for=7.7.7.7".parse().unwrap());
            assert_eq!(proxies.client(peer.parse().unwrap(), &map).to_string(), expected, "{name}");
        }
    }
}
