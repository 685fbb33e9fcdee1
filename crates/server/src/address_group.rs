//! The addresses that count as one.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that name its network: the least that one customer gets is a /64.
const IPV6_PREFIX: u32 = 64;

/// The address that stands for all that count as one with `address`: an IPv4 address for itself,
/// also in its IPv6 form, and an IPv6 address for its network of 64 bits.
pub(crate) fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << (u128::BITS - IPV6_PREFIX));
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one_and_an_ipv4_address_as_itself() {
        for (address, group) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            let found = address_group(address.parse().unwrap());
            assert_eq!(found, group.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
