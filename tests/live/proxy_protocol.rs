//! The PROXY protocol: the clients of a balancer that passes TCP through.

use crate::harness::{Gateway, Peer, Response, read_to_end};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const BALANCER: [u8; 4] = [127, 0, 0, 1];

/// Addresses of others, one for each connection: an address has one place here, which is free again
/// a moment after its connection's end.
const STRANGERS: [[u8; 4]; 3] = [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]];

/// A header of version 2 for TCP over IPv4. Section 2.2.
fn version_2(command: u8, client: [u8; 4]) -> Vec<u8> {
    let head = [0x20 | command, 0x11, 0, 12];
    let ports = [0x30, 0x39, 0x1f, 0x90];
    [b"\r\n\r\n\0\r\nQUIT\n", &head[..], &client, &[127, 0, 0, 1], &ports].concat()
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 127.0.0.1 12345 8080\r\n").into_bytes()
}

async fn gateway() -> Gateway {
    Gateway::with(&[
        ("HTTP__PROXY_PROTOCOL", "true"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.1"),
        ("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "1"),
        ("HTTP__HEADER_TIMEOUT", "1s"),
    ])
    .await
}

/// A connection on which these bytes come first.
async fn connect(gateway: &Gateway, source: [u8; 4], bytes: &[u8]) -> TcpStream {
    let mut stream = gateway.connect_from(source).await;
    stream.write_all(bytes).await.expect("the connection is open");
    stream
}

async fn websocket(gateway: &Gateway, header: &[u8]) -> Result<Peer, Response> {
    gateway.try_websocket_on(connect(gateway, BALANCER, header).await, "/mode", &[]).await
}

#[tokio::test]
async fn the_header_names_the_client_whose_connections_are_counted() {
    let gateway = gateway().await;
    let mut peers = Vec::new();
    for (name, header) in [
        ("version 1", version_1("192.0.2.1")),
        ("version 2", version_2(1, [192, 0, 2, 2])),
        ("the balancer itself", version_2(0, [192, 0, 2, 1])),
        ("the balancer itself again", version_2(0, [192, 0, 2, 1])),
        ("an unknown client", b"PROXY UNKNOWN\r\n".to_vec()),
    ] {
        let peer = websocket(&gateway, &header).await;
        peers.push(peer.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}")));
    }
    for (name, header) in
        [("version 1", version_1("192.0.2.2")), ("version 2", version_2(1, [192, 0, 2, 1]))]
    {
        let refusal = websocket(&gateway, &header).await.err();
        refusal.unwrap_or_else(|| panic!("{name}: it was accepted")).refused(503);
    }
    for peer in &mut peers {
        assert_eq!(peer.request(&json!({"mode": "probe"})).await["status"], 501);
    }
}

#[tokio::test]
async fn the_header_is_read_from_trusted_proxies_and_nobody_else() {
    let gateway = gateway().await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (name, source, bytes, expected) in [
        ("a balancer", BALANCER, [&version_1("192.0.2.9")[..], request].concat(), "HTTP/1.1 200 "),
        ("a balancer without it", BALANCER, request.to_vec(), ""),
        ("a balancer that says nothing", BALANCER, vec![], ""),
        ("half a header", BALANCER, b"PROXY TCP4 192.0.2.9 ".to_vec(), ""),
        ("a stranger without it", STRANGERS[0], request.to_vec(), "HTTP/1.1 200 "),
        (
            "a stranger, version 1",
            STRANGERS[1],
            [&version_1("192.0.2.9")[..], request].concat(),
            "HTTP/1.1 400 ",
        ),
        (
            "a stranger, version 2",
            STRANGERS[2],
            [&version_2(1, [192, 0, 2, 9])[..], request].concat(),
            "HTTP/1.1 400 ",
        ),
    ] {
        let mut stream = connect(&gateway, source, &bytes).await;
        let received = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        let fits = match expected {
            "" => received.is_empty(),
            expected => received.starts_with(expected),
        };
        assert!(fits, "{name}: {received:?}");
    }
}
