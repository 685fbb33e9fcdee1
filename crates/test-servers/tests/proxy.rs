//! What a proxy does to connections: they pass, stall, are reset, and pass again. The server behind
//! it says back what it hears.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tolmach_test_servers::Proxy;

/// Says back what it hears, to anybody, until the test ends.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut hearing = connection.expect("it listens");
            let mut saying = hearing.try_clone().expect("it is open");
            thread::spawn(move || {
                // Its peer may be reset.
                let _ = std::io::copy(&mut hearing, &mut saying);
                let _ = saying.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn said_back(connection: &mut TcpStream, words: &[u8]) -> std::io::Result<()> {
    connection.write_all(words)?;
    hears(connection, words)
}

fn hears(connection: &mut TcpStream, words: &[u8]) -> std::io::Result<()> {
    let mut heard = vec![0; words.len()];
    connection.read_exact(&mut heard)?;
    assert_eq!(heard, words);
    Ok(())
}

/// Nothing comes, and no end either.
fn is_silent(connection: &mut TcpStream) {
    connection.set_read_timeout(Some(Duration::from_millis(100))).expect("it is more than nothing");
    let heard = connection.read(&mut [0; 16]).expect_err("nothing comes").kind();
    assert!(matches!(heard, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{heard:?}");
    connection.set_read_timeout(None).expect("it is open");
}

#[test]
fn all_passes_and_ends_in_peace() {
    let proxy = Proxy::to(&echo());
    let mut connection = TcpStream::connect(proxy.address()).unwrap();
    said_back(&mut connection, b"words").unwrap();
    // More than may be on the way at once: what the server says back waits for whom it is for.
    let long: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut saying = connection.try_clone().unwrap();
    let words = long.clone();
    let speaker = thread::spawn(move || {
        saying.write_all(&words).unwrap();
        saying.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    connection.read_to_end(&mut heard).unwrap();
    speaker.join().unwrap();
    assert!(heard == long, "{} bytes of {} came back", heard.len(), long.len());
}

#[test]
fn a_cut_stalls_old_and_new_connections_and_healing_delivers() {
    let proxy = Proxy::to(&echo());
    let mut old = TcpStream::connect(proxy.address()).unwrap();
    said_back(&mut old, b"before").unwrap();
    proxy.cut();
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    for connection in [&mut old, &mut new] {
        connection.write_all(b"meanwhile").unwrap();
        is_silent(connection);
    }
    proxy.heal();
    for connection in [&mut old, &mut new] {
        hears(connection, b"meanwhile").unwrap();
        said_back(connection, b"after").unwrap();
    }
}

#[test]
fn a_reset_ends_old_and_new_connections_and_healing_lets_new_ones_pass() {
    let proxy = Proxy::to(&echo());
    let mut old = TcpStream::connect(proxy.address()).unwrap();
    said_back(&mut old, b"before").unwrap();
    // Also one that stalls.
    proxy.cut();
    let mut stalled = TcpStream::connect(proxy.address()).unwrap();
    stalled.write_all(b"meanwhile").unwrap();
    proxy.reset();
    for connection in [&mut old, &mut stalled] {
        assert_eq!(connection.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let new =
        TcpStream::connect(proxy.address()).and_then(|mut new| said_back(&mut new, b"in vain"));
    assert!(new.is_err());
    proxy.heal();
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    said_back(&mut new, b"after").unwrap();
}

#[test]
fn whose_server_is_gone_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let proxy = Proxy::to(&gone);
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
    hears(&mut connection, b"onetwothree").unwrap();
}

#[test]
fn a_proxy_that_is_dropped_ends_its_connections() {
    let proxy = Proxy::to(&echo());
    let address = proxy.address();
    let mut connection = TcpStream::connect(&address).unwrap();
    said_back(&mut connection, b"before").unwrap();
    drop(proxy);
    // In peace or by a reset.
    assert!(matches!(connection.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
