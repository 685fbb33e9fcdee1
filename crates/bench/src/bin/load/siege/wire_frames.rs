//! WebSocket frames of a client, written byte by byte. RFC 6455 section 5.2.

use crate::result::BenchResult;
use crate::websocket::{WebSocket, connect_to_path};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpStream;

/// The opcode of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Ping = 9,
}

/// The header of a frame with a payload of `length` bytes, whose mask is zero.
pub(super) fn header(opcode: Opcode, last: bool, length: u64) -> Vec<u8> {
    let mut header = vec![opcode as u8 | if last { 0x80 } else { 0 }];
    match length {
        0..=125 => header.push(0x80 | length as u8),
        126..=0xFFFF => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}

/// A WebSocket on a path of the gateway, whose frames its user writes byte by byte.
pub(super) async fn open(
    server: SocketAddr,
    source: Ipv4Addr,
    path: &'static str,
) -> BenchResult<RawWebSocket> {
    Ok(RawWebSocket(connect_to_path(server, source, path).await?))
}

/// A WebSocket whose frames its user writes byte by byte.
pub(super) struct RawWebSocket(pub(super) WebSocket);

impl RawWebSocket {
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_length_in_its_shortest_form() {
        for (length, expected) in [
            (0, &[0x01, 0x80, 0, 0, 0, 0][..]),
            (125, &[0x01, 0xFD, 0, 0, 0, 0]),
            (126, &[0x01, 0xFE, 0, 126, 0, 0, 0, 0]),
            (0x1_0000, &[0x01, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(header(Opcode::Text, false, length), expected, "{length}");
        }
        assert_eq!(header(Opcode::Ping, true, 0), [0x89, 0x80, 0, 0, 0, 0]);
    }
}
