//! The effect of a proxy on connections to an echo server: they pass, stall, are reset, and pass
//! again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tolmach_test_servers::Proxy;

/// Starts an echo server that runs until the test ends.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut reader = connection.expect("it listens");
            let mut writer = reader.try_clone().expect("it is open");
            thread::spawn(move || {
                // The connection may be reset.
                let _ = std::io::copy(&mut reader, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// Writes bytes and reads them back.
fn echoed(connection: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    connection.write_all(bytes)?;
    reads(connection, bytes)
}

/// Reads the expected bytes.
fn reads(connection: &mut TcpStream, expected: &[u8]) -> std::io::Result<()> {
    let mut bytes = vec![0; expected.len()];
    connection.read_exact(&mut bytes)?;
    assert_eq!(bytes, expected);
    Ok(())
}

/// Asserts that neither bytes nor the end arrive.
fn is_silent(connection: &mut TcpStream) {
    connection.set_read_timeout(Some(Duration::from_millis(100))).expect("the timeout is not zero");
    let received = connection.read(&mut [0; 16]).expect_err("no bytes arrive").kind();
    assert!(matches!(received, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{received:?}");
    connection.set_read_timeout(None).expect("it is open");
}

#[test]
fn bytes_pass_until_the_connection_ends() {
    let proxy = Proxy::to(&echo());
    let mut connection = TcpStream::connect(proxy.address()).unwrap();
    echoed(&mut connection, b"words").unwrap();
    // More than all buffers hold: the echo waits until it is read.
    let long: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut writer = connection.try_clone().unwrap();
    let bytes = long.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    connection.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == long, "{} bytes of {} came back", received.len(), long.len());
}

#[test]
fn a_cut_stalls_old_and_new_connections_and_healing_delivers() {
    let proxy = Proxy::to(&echo());
    let mut old = TcpStream::connect(proxy.address()).unwrap();
    echoed(&mut old, b"before").unwrap();
    proxy.cut();
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    for connection in [&mut old, &mut new] {
        connection.write_all(b"meanwhile").unwrap();
        is_silent(connection);
    }
    proxy.heal();
    for connection in [&mut old, &mut new] {
        reads(connection, b"meanwhile").unwrap();
        echoed(connection, b"after").unwrap();
    }
}

#[test]
fn a_reset_ends_old_and_new_connections_and_healing_lets_new_ones_pass() {
    let proxy = Proxy::to(&echo());
    let mut old = TcpStream::connect(proxy.address()).unwrap();
    echoed(&mut old, b"before").unwrap();
    // A stalled connection is reset too.
    proxy.cut();
    let mut stalled = TcpStream::connect(proxy.address()).unwrap();
    stalled.write_all(b"meanwhile").unwrap();
    proxy.reset();
    for connection in [&mut old, &mut stalled] {
        assert_eq!(connection.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let new = TcpStream::connect(proxy.address()).and_then(|mut new| echoed(&mut new, b"in vain"));
    assert!(new.is_err());
    proxy.heal();
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    echoed(&mut new, b"after").unwrap();
}

/// A connection by way of a proxy, and the server's end of it, both with a byte received.
fn both_ends() -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let proxy = Proxy::to(&listener.local_addr().expect("it listens").to_string());
    let mut peer = TcpStream::connect(proxy.address()).expect("it listens");
    let mut server = listener.accept().expect("it listens").0;
    peer.write_all(b"a").expect("both ends are open");
    reads(&mut server, b"a").expect("both ends are open");
    server.write_all(b"b").expect("both ends are open");
    reads(&mut peer, b"b").expect("both ends are open");
    (proxy, peer, server)
}

#[test]
fn a_reset_reaches_both_sides() {
    let (proxy, mut peer, mut server) = both_ends();
    proxy.reset();
    for end in [&mut peer, &mut server] {
        assert_eq!(end.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_reset_of_the_server_passes_a_cut_only_once_it_is_healed() {
    let (proxy, mut peer, server) = both_ends();
    // Bytes that it has not read make the server's end a reset.
    peer.write_all(b"unread").unwrap();
    server.peek(&mut [0]).unwrap();
    proxy.cut();
    drop(server);
    is_silent(&mut peer);
    proxy.heal();
    assert_eq!(peer.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_connection_to_a_server_that_ended_is_reset() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let proxy = Proxy::to(&closed);
    let mut connection = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(connection.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_delay_keeps_the_order() {
    let proxy = Proxy::to(&echo());
    proxy.delay(Duration::from_millis(5));
    let mut connection = TcpStream::connect(proxy.address()).unwrap();
    for word in [&b"one"[..], b"two", b"three"] {
        connection.write_all(word).unwrap();
    }
    reads(&mut connection, b"onetwothree").unwrap();
}

#[test]
fn a_proxy_that_is_dropped_ends_its_connections() {
    let proxy = Proxy::to(&echo());
    let address = proxy.address();
    let mut connection = TcpStream::connect(&address).unwrap();
    echoed(&mut connection, b"before").unwrap();
    drop(proxy);
    // By an end or by a reset.
    assert!(matches!(connection.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
