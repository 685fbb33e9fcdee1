//! The arguments of `tolmach record`.

use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use tolmach_client::tap::TapTransport;

/// The proxy, and what it writes.
#[derive(Debug, Args)]
pub(crate) struct RecordArguments {
    /// The server behind the proxy: http://HOST:PORT for HTTP/1.1 and WebSockets, tcp://HOST:PORT
    /// for JSON values on raw TCP
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: UpstreamAddress,
    /// The address to listen on, host:port
    #[arg(long = "listen", id = "record_listen", value_name = "ADDR")]
    pub(crate) listen: String,
    /// The capture, a new file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The dialect of all connections; without it, those of the configuration are recognised by
    /// their paths and first frames
    #[arg(long, value_name = "ID[/REVISION]")]
    pub(crate) dialect: Option<String>,
    /// Replace texts, names, logins, e-mail addresses and telephone numbers too
    #[arg(long)]
    pub(crate) texts: bool,
}

/// The address of the server behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamAddress {
    pub(crate) transport: TapTransport,
    /// The host and the port.
    pub(crate) authority: String,
}

impl FromStr for UpstreamAddress {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let expected =
            "http://HOST:PORT, ws://HOST:PORT or tcp://HOST:PORT is expected, without TLS";
        let (scheme, authority) = url.split_once("://").ok_or(expected)?;
        let (transport, port) = match scheme {
            "http" | "ws" => (TapTransport::Http, ":80"),
            "tcp" => (TapTransport::Values, ""),
            _ => return Err(expected),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let port_at = authority.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        let authority = match port_at {
            Some(Ok(_)) => authority.to_owned(),
            None if !port.is_empty() => format!("{authority}{port}"),
            _ => return Err(expected),
        };
        if authority.contains(['/', '?', '@']) || authority.starts_with(':') {
            return Err(expected);
        }
        Ok(Self { transport, authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port_without_tls() {
        for (url, expected) in [
            ("http://chat.example", Some((TapTransport::Http, "chat.example:80"))),
            ("ws://127.0.0.1:8080/", Some((TapTransport::Http, "127.0.0.1:8080"))),
            ("tcp://[::1]:9000", Some((TapTransport::Values, "[::1]:9000"))),
            ("tcp://chat.example", None),
            ("https://chat.example", None),
            ("http://chat.example/ws", None),
            ("http://:80", None),
            ("http://chat.example:x", None),
            ("chat.example:80", None),
        ] {
            let read = url.parse::<UpstreamAddress>().ok();
            let read = read.as_ref().map(|read| (read.transport, read.authority.as_str()));
            assert_eq!(read, expected, "{url}");
        }
    }
}
