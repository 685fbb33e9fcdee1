//! Hosts of this machine.

use std::net::IpAddr;

/// True if a host of a URL is this machine itself: connections to it need no encryption.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_this_machine_may_get_a_password_unencrypted() {
        for (host, expected) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("localhost.example.org", false),
            ("10.0.0.1", false),
            ("::", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
