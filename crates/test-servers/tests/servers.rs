//! Each server starts, ends in every way, and restarts with the data that it should have.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tolmach_test_servers::{Durability, Postgres, Redis, S3};

/// The types of PostgreSQL's messages in reply to these queries, and the text of the last row's
/// column.
fn query(address: &str, queries: &[&str]) -> std::io::Result<(Vec<u8>, String)> {
    let mut connection = TcpStream::connect(address)?;
    let parameters = b"user\0tolmach\0database\0tolmach\0\0";
    let mut opening = Vec::from((8 + parameters.len() as u32).to_be_bytes());
    opening.extend(196_608_u32.to_be_bytes());
    opening.extend(parameters);
    connection.write_all(&opening)?;
    let (mut types, mut value) = (Vec::new(), String::new());
    for query in std::iter::once(&"").chain(queries) {
        if !query.is_empty() {
            let mut frame = vec![b'Q'];
            frame.extend((5 + query.len() as u32).to_be_bytes());
            frame.extend(query.as_bytes());
            frame.push(0);
            connection.write_all(&frame)?;
        }
        loop {
            let mut head = [0; 5];
            connection.read_exact(&mut head)?;
            let mut body =
                vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
            connection.read_exact(&mut body)?;
            types.push(head[0]);
            match head[0] {
                b'D' => value = String::from_utf8_lossy(&body[6..]).into_owned(),
                b'E' => {
                    return Err(std::io::Error::other(String::from_utf8_lossy(&body).into_owned()));
                }
                b'Z' => break,
                _ => {}
            }
        }
    }
    Ok((types, value))
}

fn redis(address: &str, command: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply)?;
    Ok(reply)
}

#[test]
fn postgres_has_committed_data_after_every_kind_of_end() {
    for durability in [Durability::Fast, Durability::Full] {
        let Some(postgres) = Postgres::start_or_skip(durability) else { return };
        let (address, url) = (postgres.address(), postgres.url());
        assert_eq!(url, format!("postgres://tolmach@{address}/tolmach"));
        query(&address, &["create table words (word text)"]).unwrap();
        for (count, end) in
            (1..).zip([Postgres::kill, Postgres::stop_immediately, |_: &Postgres| {}])
        {
            query(&address, &["insert into words values ('kept')"]).unwrap();
            end(&postgres);
            postgres.start_again();
            assert_eq!(postgres.url(), url);
            assert_eq!(
                query(&address, &["select count(*) from words"]).unwrap().1,
                count.to_string(),
                "{durability:?}"
            );
        }
        postgres.kill();
        assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        postgres.kill();
    }
}

#[test]
fn fast_and_full_differ_in_fsync_alone() {
    for (durability, fsync) in [(Durability::Fast, "off"), (Durability::Full, "on")] {
        let Some(postgres) = Postgres::start_or_skip(durability) else { return };
        for (setting, expected) in
            [("fsync", fsync), ("synchronous_commit", "on"), ("full_page_writes", "on")]
        {
            assert_eq!(
                query(&postgres.address(), &[&format!("show {setting}")]).unwrap().1,
                expected,
                "{setting}, {durability:?}"
            );
        }
    }
}

#[test]
fn redis_restarts_empty_on_the_same_address() {
    let Some(server) = Redis::start_or_skip() else { return };
    let address = server.address();
    assert_eq!(server.url(), format!("redis://{address}"));
    assert_eq!(redis(&address, "SET word value").unwrap(), "+OK\r\n+OK\r\n");
    assert_eq!(redis(&address, "GET word").unwrap(), "$5\r\nvalue\r\n+OK\r\n");
    server.kill();
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    server.start_again();
    assert_eq!(redis(&server.address(), "GET word").unwrap(), "$-1\r\n+OK\r\n");
    assert_eq!(server.address(), address);
}

#[test]
fn a_redis_cluster_of_one_serves_every_slot_also_after_a_restart() {
    let Some(server) = Redis::cluster_or_skip() else { return };
    let serves_every_slot = || {
        // Three slots far from each other.
        for word in ["one", "two", "three"] {
            assert_eq!(
                redis(&server.address(), &format!("SPUBLISH {word} value")).unwrap(),
                ":0\r\n+OK\r\n"
            );
        }
    };
    serves_every_slot();
    server.start_again();
    serves_every_slot();
}

/// The system accepts connections during a pause; they are answered after it.
#[test]
fn a_paused_server_is_silent_and_keeps_connections() {
    let Some(server) = Redis::start_or_skip() else { return };
    let Some(postgres) = Postgres::start_or_skip(Durability::Fast) else { return };
    server.pause();
    postgres.pause();
    let addresses = [server.address(), postgres.address()];
    let mut silent = addresses.clone().map(|address| TcpStream::connect(address).unwrap());
    silent[0].write_all(b"PING\r\n").unwrap();
    // A request for TLS, which is answered with the letter N.
    silent[1].write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    for connection in &mut silent {
        connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let received = connection.read(&mut [0; 16]).unwrap_err().kind();
        assert!(matches!(received, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{received:?}");
        connection.set_read_timeout(None).unwrap();
    }
    server.resume();
    postgres.resume();
    for (connection, expected) in silent.iter_mut().zip([&b"+PONG\r\n"[..], b"N"]) {
        let mut received = vec![0; expected.len()];
        connection.read_exact(&mut received).unwrap();
        assert_eq!(received, expected);
    }
}

/// Neither processes nor folders are left.
#[test]
fn a_dropped_server_leaves_nothing() {
    let Some(server) = Redis::start_or_skip() else { return };
    let Some(postgres) = Postgres::start_or_skip(Durability::Fast) else { return };
    let folder =
        redis(&server.address(), "CONFIG GET dir").unwrap().lines().nth(4).unwrap().to_owned();
    let addresses = [server.address(), postgres.address()];
    postgres.pause();
    drop((server, postgres));
    for address in addresses {
        assert_eq!(
            TcpStream::connect(&address).unwrap_err().kind(),
            ErrorKind::ConnectionRefused,
            "{address}"
        );
    }
    assert!(folder.contains("tolmach-") && !std::path::Path::new(&folder).exists(), "{folder}");
}

#[test]
fn object_storage_restarts_empty_on_the_same_port() {
    let Some(storage) = S3::start_or_skip() else { return };
    let url = storage.url();
    for _ in 0..2 {
        storage.make_bucket("words");
        assert_eq!(storage.keys("words"), [""; 0]);
        storage.kill();
        assert_eq!(
            TcpStream::connect(storage.address()).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        storage.start_again();
        assert_eq!(storage.url(), url);
    }
    storage.pause();
    let connection = TcpStream::connect(storage.address()).unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    (&connection).write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let waits = (&connection).read(&mut [0]).unwrap_err().kind();
    assert!(matches!(waits, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits:?}");
    connection.set_read_timeout(None).unwrap();
    storage.resume();
    assert_eq!((&connection).read(&mut [0]).unwrap(), 1, "the waiting request is answered");
}
