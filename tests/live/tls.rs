//! TLS of the public listener, with independent clients: curl and OpenSSL, and rustls.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, eventually, read_to_end, within};
use crate::raw_tcp::Values;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name of the certificates.
const NAME: &str = "localhost";

/// A certificate and its key, as files that the gateway watches.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: TempDir::new().expect("a temporary folder can be made") };
        files.issue("certificate.pem", "key.pem");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a new pair of files.
    fn issue(&self, certificate: &str, key: &str) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(self.path(key))
            .arg("-out")
            .arg(self.path(certificate))
            .output()
            .expect("openssl can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Makes a new pair, and puts it in place of the old one.
    fn renew(&self) {
        self.issue("new-certificate.pem", "new-key.pem");
        for name in ["certificate.pem", "key.pem"] {
            let new = self.path(&format!("new-{name}"));
            std::fs::rename(new, self.path(name)).expect("a file can be renamed");
        }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("certificate.pem")).expect("it is a certificate")
    }

    async fn gateway(&self, options: &[(&str, &str)]) -> Gateway {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        let files =
            [("HTTP__TLS__CERTIFICATE", text(&certificate)), ("HTTP__TLS__KEY", text(&key))];
        Gateway::with(&[&files, options].concat()).await
    }

    /// The output of curl, and its exit code.
    fn curl(&self, gateway: &Gateway, path: &str, arguments: &[&str]) -> (String, Option<i32>) {
        let port = gateway.address.port();
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--resolve"])
            .arg(format!("{NAME}:{port}:127.0.0.1"))
            .arg("--cacert")
            .arg(self.path("certificate.pem"))
            .args(arguments)
            .arg(format!("https://{NAME}:{port}{path}"))
            .output()
            .expect("curl can be started");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// A TLS connection on `stream` that trusts these certificates.
async fn tls(
    stream: TcpStream,
    trusted: &[CertificateDer<'static>],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).expect("it is a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(NAME).expect("it is a name");
    within("a TLS handshake", connector.connect(name, stream)).await
}

/// The certificate of a new connection.
async fn served(gateway: &Gateway, trusted: &[CertificateDer<'static>]) -> CertificateDer<'static> {
    let stream = tls(gateway.connect().await, trusted).await.expect("a certificate is trusted");
    let chain = stream.get_ref().1.peer_certificates().expect("the server has one");
    chain[0].clone().into_owned()
}

async fn websocket(
    gateway: &Gateway,
    trusted: &[CertificateDer<'static>],
) -> Peer<TlsStream<TcpStream>> {
    let stream = tls(gateway.connect().await, trusted).await.expect("the certificate is trusted");
    let opened = gateway.try_websocket_on(stream, "/mode", &[]).await;
    opened.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_served_with_http_2_and_http_1_1_and_nothing_older() {
    let files = Files::new();
    let gateway = files.gateway(&[("HTTP__HEADER_TIMEOUT", "1s")]).await;
    let written = ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"];
    for (name, arguments, expected) in [
        ("by default", &[][..], "2 200"),
        ("HTTP/1.1 alone", &["--http1.1"], "1.1 200"),
        ("TLS 1.2", &["--tls-max", "1.2"], "2 200"),
        ("TLS 1.3", &["--tlsv1.3"], "2 200"),
    ] {
        let (output, code) = files.curl(&gateway, "/healthz", &[arguments, &written].concat());
        assert_eq!((output.as_str(), code), (expected, Some(0)), "{name}");
    }
    let old = ["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    let (_, code) = files.curl(&gateway, "/healthz", &old);
    assert_eq!(code, Some(35), "TLS 1.1 is a failed handshake");
    let (head, _) = files.curl(&gateway, "/healthz", &["--head"]);
    assert!(head.contains("strict-transport-security: max-age=31536000\r\n"), "{head}");
    let plain = gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.starts_with(b"HTTP/"), "{plain:?}");
    let mut silent = gateway.connect().await;
    assert_eq!(read_to_end(&mut silent).await, b"", "a handshake has a deadline");
    assert!(gateway.metrics().await.status == 200, "the admin listener has no TLS");
    assert!(gateway.log().contains("https://127.0.0.1:"), "links are https");
}

#[tokio::test]
async fn hsts_can_be_turned_off() {
    let files = Files::new();
    let gateway = files.gateway(&[("HTTP__TLS__HSTS_MAX_AGE", "0s")]).await;
    let (head, _) = files.curl(&gateway, "/healthz", &["--head"]);
    assert!(head.contains(" 200") && !head.contains("strict-transport-security"), "{head}");
}

#[tokio::test]
async fn clients_over_wss_get_responses_and_each_others_messages() {
    const MESSAGES: usize = 50;
    let mut gateway = Gateway::start().await;
    let (ann, bob) = (Mode::register(&gateway, "ann").await, Mode::register(&gateway, "bob").await);
    let member = Bearer::log_in(&gateway, "bob").await.id;
    let group = Bearer::log_in(&gateway, "ann").await.group("diary", &[member]).await;
    let files = Files::new();
    let (certificate, key) = (files.path("certificate.pem"), files.path("key.pem"));
    let options = [("HTTP__TLS__CERTIFICATE", text(&certificate)), ("HTTP__TLS__KEY", text(&key))];
    gateway.crash(&options).await;

    let trusted = [files.certificate()];
    let mut writer = websocket(&gateway, &trusted).await;
    let mut reader = websocket(&gateway, &trusted).await;
    let chats = json!({"mode": "getChats", "timestamp": 1, "token": bob.token});
    assert_eq!(reader.request(&chats).await["status"], 200);
    // Together more than the buffers of TLS and of the sockets take at once.
    let content = |number: usize| format!("{number} {}", "x".repeat(60_000));
    for number in 0..MESSAGES {
        let message = json!({
            "mode": "sendMessage", "timestamp": 1, "token": ann.token, "chat_id": group,
            "content": content(number), "content_type": "text",
        });
        assert_eq!(writer.request(&message).await["status"], 200, "{number}");
    }
    for number in 0..MESSAGES {
        let push = reader.receive().await;
        let received = push["messages"][0]["content"].as_str().expect("it is a push");
        assert!(received == content(number), "{number}: {} bytes", received.len());
    }
}

#[tokio::test]
async fn a_balancer_names_the_client_before_the_handshake_of_tls() {
    let files = Files::new();
    let options = [
        ("HTTP__PROXY_PROTOCOL", "true"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.1"),
        ("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "1"),
    ];
    let gateway = files.gateway(&options).await;
    let trusted = [files.certificate()];
    let connect = async |client: &str| {
        let mut stream = gateway.connect().await;
        let header = format!("PROXY TCP4 {client} 127.0.0.1 12345 443\r\n");
        stream.write_all(header.as_bytes()).await.expect("the connection is open");
        tls(stream, &trusted).await
    };
    let stream = connect("192.0.2.1").await.expect("the certificate is trusted");
    let mut open = gateway.try_websocket_on(stream, "/mode", &[]).await;
    let open = open.as_mut().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert!(connect("192.0.2.1").await.is_err(), "the client has its connection");
    assert!(connect("192.0.2.2").await.is_ok(), "another client");
    assert_eq!(open.request(&json!({"mode": "probe"})).await["status"], 501);
}

#[tokio::test]
async fn a_certificate_is_read_again_when_its_files_change_and_on_sighup() {
    let files = Files::new();
    let gateway = files.gateway(&[]).await;
    let first = files.certificate();
    let mut open = websocket(&gateway, std::slice::from_ref(&first)).await;
    gateway.signal("HUP").await;
    let logged = "the certificate was read again";
    eventually("SIGHUP", async || gateway.log().contains(logged).then_some(())).await;

    files.renew();
    let trusted = [first.clone(), files.certificate()];
    eventually("the new certificate", async || {
        (served(&gateway, &trusted).await == trusted[1]).then_some(())
    })
    .await;

    std::fs::write(files.path("key.pem"), "-----BEGIN PRIVATE KEY-----\nhunter2\n").unwrap();
    gateway.signal("HUP").await;
    let logged = "the certificate cannot be used, the previous one stays";
    eventually("the broken key", async || gateway.log().contains(logged).then_some(())).await;
    assert_eq!(served(&gateway, &trusted).await, trusted[1]);
    assert!(!gateway.log().contains("hunter2"));

    files.renew();
    let trusted = [trusted[1].clone(), files.certificate()];
    eventually("a good pair again", async || {
        (served(&gateway, &trusted).await == trusted[1]).then_some(())
    })
    .await;
    let reply = open.request(&json!({"mode": "probe"})).await;
    assert_eq!(reply["status"], 501, "connections outlast their certificate");
}

#[tokio::test]
async fn raw_tcp_is_served_by_tls_with_the_certificate_of_the_public_listener() {
    let files = Files::new();
    let options = [("TCP__SNDMSG__LISTEN", "127.0.0.1:0"), ("TCP__SNDMSG__TLS", "true")];
    let gateway = files.gateway(&options).await;
    let address = gateway.sndmsg_tcp.expect("the ready line has the address");
    let stream = TcpStream::connect(address).await.expect("it listens");
    let stream = tls(stream, &[files.certificate()]).await.expect("the certificate is trusted");
    Values::new(stream).sign_up("ann").await;
    let mut plain = TcpStream::connect(address).await.expect("it listens");
    plain.write_all(b"{\"type\":5,\"user\":\"\"}").await.expect("the connection is open");
    assert!(!read_to_end(&mut plain).await.starts_with(b"{"), "there is no plain text");
}

#[tokio::test]
async fn a_bridge_reaches_its_upstream_over_tls_and_trusts_it_by_the_file_that_is_named() {
    let files = Files::new();
    let upstream = files.gateway(&[]).await;
    let url = format!("wss://{NAME}:{}", upstream.address.port());
    let certificate = files.path("certificate.pem");
    let arguments = ["bridge", "--upstream", &url, "--upstream-dialect", "mode"];
    let trusting = ["--upstream-ca", text(&certificate)];
    let bridge = Gateway::with_command(&[], arguments.into_iter().chain(trusting)).await;
    // The wire of `mode` stands behind that of `bearer`.
    let body = json!({"username": "ann", "email": "ann@example.org", "password": PASSWORD});
    bridge.json("POST", "/api/v1/register", None, &body).await.expect(200);
    let distrusting = Gateway::with_command(&[], arguments).await;
    let login = json!({"username": "ann", "password": PASSWORD});
    bridge.json("POST", "/api/v1/login", None, &login).await.expect(200);
    distrusting.json("POST", "/api/v1/login", None, &login).await.refused(503);
}
