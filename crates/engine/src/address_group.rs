//! Addresses that count as one source.

use std::net::{IpAddr, Ipv6Addr};

/// The address by which limits per address count a client: of IPv6 the /64 network, the least that
/// one customer gets; an IPv4-mapped address (RFC 4291 section 2.5.5.2) is its IPv4 address.
pub fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        for (address, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "0.0.0.1", false),
        ] {
            let groups =
                [address, other].map(|text| address_group(text.parse().expect("an address")));
            assert_eq!(groups[0] == groups[1], same, "{address} and {other}");
        }
    }
}
