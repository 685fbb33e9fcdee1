//! Mail: to a server, or into a folder where there is none.

use super::private_file::{create_private_folder, write_whole};
use async_trait::async_trait;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tolmach_domain::Secret;
use tolmach_engine::ports::{Mail, Mailer, PortError};

/// The longest line of a mail that is not encoded, without its end; RFC 5322 section 2.1.1.
const LONGEST_LINE: usize = 998;
/// How long one answer of the server is awaited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long sending one mail may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where mail goes.
pub(crate) enum MailTarget {
    /// Each mail becomes a file.
    Folder(PathBuf),
    /// A mail server.
    Server {
        /// Its address, for people.
        name: String,
        /// The way there.
        transport: AsyncSmtpTransport<Tokio1Executor>,
    },
}

impl MailTarget {
    /// Reads what the configuration says; `folder` is used where it says nothing. The error does
    /// not quote the address, which may hold a password.
    pub(crate) fn parse(url: &Secret, folder: PathBuf) -> Result<Self, PortError> {
        let url = url.expose();
        if url.is_empty() {
            return Ok(Self::Folder(folder));
        }
        match url.split_once("://") {
            Some(("folder", path)) if Path::new(path).is_absolute() => Ok(Self::Folder(path.into())),
            Some(("smtp" | "smtps", _)) => Self::server(url),
            _ => Err(PortError("folder:///path, smtp://user:password@host:port or smtps://user:password@host:port is expected".into())),
        }
    }

    fn server(url: &str) -> Result<Self, PortError> {
        let malformed = || {
            PortError("user:password@host:port is expected after ://, with % and two digits for what a URL keeps to itself".into())
        };
        let parsed: http::Uri = url.parse().map_err(|_| malformed())?;
        let authority = parsed.authority().ok_or_else(malformed)?;
        let host = authority.host();
        if host.is_empty() || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
            return Err(malformed());
        }
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| login);
        if login.is_some_and(|login| !login.contains(':')) {
            return Err(malformed());
        }
        let encryption = match (parsed.scheme_str(), is_this_machine(host), login) {
            (Some("smtps"), ..) | (_, true, _) => "",
            (_, false, Some(_)) => "?tls=required",
            (_, false, None) => "?tls=opportunistic",
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&format!(
            "{}{encryption}",
            url.trim_end_matches('/')
        ));
        let transport = builder.map_err(|_| malformed())?.timeout(Some(ANSWER_TIMEOUT)).build();
        let port = authority.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(Self::Server { name: format!("{host}{port}"), transport })
    }
}

impl fmt::Display for MailTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "files in {}", path.display()),
            Self::Server { name, .. } => write!(formatter, "the server {name}"),
        }
    }
}

/// Whether a host of a URL is the machine that asks.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Sends mail to its target.
pub(crate) struct Post {
    from: Mailbox,
    target: MailTarget,
}

impl Post {
    /// Mail from `from`. The folder is made where there is none.
    pub(crate) fn open(from: Mailbox, target: MailTarget) -> std::io::Result<Self> {
        if let MailTarget::Folder(folder) = &target {
            create_private_folder(folder)?;
        }
        Ok(Self { from, target })
    }

    fn compose(&self, mail: Mail, id: &str) -> Result<Message, PortError> {
        let to: Mailbox = mail
            .to
            .parse()
            .map_err(|error| PortError(format!("this address cannot be written to: {error}")))?;
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(plain(mail.body))
            .map_err(|error| PortError(format!("this mail cannot be written: {error}")))
    }
}

/// A body as it is, where mail allows that: encoded, its links could not be copied out of the file
/// by hand.
fn plain(body: String) -> Body {
    if !body.is_ascii()
        || body.contains(['\0', '\r'])
        || body.lines().any(|line| line.len() > LONGEST_LINE)
    {
        return Body::new(body);
    }
    Body::dangerous_pre_encoded(
        body.replace('\n', "\r\n").into_bytes(),
        ContentTransferEncoding::SevenBit,
    )
}

#[async_trait]
impl Mailer for Post {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| PortError(error.to_string()))?;
        let id = format!("{:032x}", u128::from_ne_bytes(random));
        let message = self.compose(mail, &id)?;
        match &self.target {
            MailTarget::Folder(folder) => {
                let file = folder.join(format!("{id}.eml"));
                let written = tokio::task::spawn_blocking(move || {
                    write_whole(&file, &message.formatted())
                        .map_err(|error| format!("writing {}: {error}", file.display()))
                });
                written.await.map_err(|error| PortError(error.to_string()))?.map_err(PortError)
            }
            MailTarget::Server { name, transport } => {
                match tokio::time::timeout(TIMEOUT, transport.send(message)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(PortError(format!("{name}: {error}"))),
                    Err(_) => Err(PortError(format!(
                        "{name}: no answer within {} seconds",
                        TIMEOUT.as_secs()
                    ))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    fn parse(url: &str) -> Result<MailTarget, PortError> {
        MailTarget::parse(&Secret::new(url), "data/mail".into())
    }

    fn post(target: MailTarget) -> Post {
        Post::open("Chat <chat@example.org>".parse().unwrap(), target).unwrap()
    }

    /// Longer than mail likes its lines to be.
    const LINK: &str = "https://chat.example.org/recover?token=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn mail(to: &str) -> Mail {
        Mail {
            to: to.into(),
            subject: "Привет".into(),
            body: format!("Open\n{LINK}\n.\nor not.\n"),
        }
    }

    #[tokio::test]
    async fn targets_are_told_apart() {
        for (url, expected) in [
            ("", Some("files in data/mail")),
            ("folder:///var/mail", Some("files in /var/mail")),
            ("folder://var/mail", None),
            ("folder:", None),
            ("smtp://localhost", Some("the server localhost")),
            ("smtp://mail.example.org", Some("the server mail.example.org")),
            ("smtp://a:p%40ss@mail.example.org:587", Some("the server mail.example.org:587")),
            ("smtps://a:hunter2@mail.example.org:465/", Some("the server mail.example.org:465")),
            ("smtp://a@mail.example.org", None),
            ("smtp://a:hunter2@", None),
            ("smtp://", None),
            ("smtp://a:hunter2 @mail.example.org", None),
            ("smtp://mail.example.org/path", None),
            ("smtp://mail.example.org?tls=none", None),
            ("smtp://mail.example.org:99999", None),
            ("http://hunter2", None),
            ("hunter2", None),
        ] {
            match (parse(url), expected) {
                (Ok(target), expected) => {
                    assert_eq!(Some(target.to_string().as_str()), expected, "{url}")
                }
                (Err(error), None) => assert!(
                    !error.0.contains("hunter2") && error.0.contains("expected"),
                    "{url}: {error}"
                ),
                (Err(error), Some(_)) => panic!("{url}: {error}"),
            }
        }
    }

    #[test]
    fn only_this_machine_may_hear_a_password_in_the_clear() {
        for (host, here) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("localhost.example.org", false),
            ("10.0.0.1", false),
            ("::", false),
        ] {
            assert_eq!(is_this_machine(host), here, "{host}");
        }
    }

    #[tokio::test]
    async fn each_mail_becomes_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let post = post(MailTarget::Folder(folder.path().join("mail")));
        post.send(mail("a@example.org")).await.unwrap();
        post.send(mail("b@example.org")).await.unwrap();
        let files = std::fs::read_dir(folder.path().join("mail"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut texts: Vec<_> = files
            .map(|path| {
                (path.extension().unwrap() == "eml", std::fs::read_to_string(path).unwrap())
            })
            .collect();
        texts.sort_by_key(|(_, text)| !text.contains("To: a@example.org\r\n"));
        let [(true, first), (true, second)] = texts.as_slice() else { panic!("{texts:?}") };
        for (text, to) in [(first, "a@example.org"), (second, "b@example.org")] {
            for line in [
                "From: Chat <chat@example.org>",
                &format!("To: {to}"),
                "Date: ",
                "Message-ID: <",
                "Subject: =?utf-8?",
            ] {
                assert!(text.contains(line), "{line} is not in {text}");
            }
            assert!(text.contains(&format!("\r\n{LINK}\r\n")), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_not_ascii_arrives_too() {
        let folder = tempfile::tempdir().unwrap();
        let post = post(MailTarget::Folder(folder.path().to_owned()));
        post.send(Mail { body: "Откройте".into(), ..mail("a@example.org") }).await.unwrap();
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.is_ascii() && text.contains("Content-Transfer-Encoding: "), "{text}");
    }

    #[test]
    fn a_body_is_encoded_only_where_it_has_to_be() {
        let link = format!("see\nhttps://example.org/recover?token={}\n", "0".repeat(64));
        for (body, whole) in
            [(link.clone(), true), (format!("é\n{link}"), false), ("x".repeat(999), false)]
        {
            let written = plain(body.clone());
            assert_eq!(written.encoding() == ContentTransferEncoding::SevenBit, whole, "{body:?}");
            assert_eq!(
                written.into_vec() == body.replace('\n', "\r\n").into_bytes(),
                whole,
                "{body:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_address_cannot_smuggle_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let post = post(MailTarget::Folder(folder.path().to_owned()));
        for to in ["a@b\r\nBcc: c@d", "a", "", "a@b, c@d", "a@b>\r\nX: <c@d"] {
            assert!(post.send(mail(to)).await.is_err(), "{to:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// A mail server for one connection; answers each line by its verb, and gives back what it was
    /// told.
    async fn serve(listener: TcpListener, verdict: &str) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.split();
        let (mut lines, mut heard, mut in_body) =
            (BufReader::new(reader).lines(), Vec::new(), false);
        writer.write_all(b"220 test\r\n").await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer = match line.split(' ').next().unwrap() {
                "." if in_body => {
                    in_body = false;
                    verdict
                }
                _ if in_body => "",
                "EHLO" => "250-test\r\n250 AUTH PLAIN\r\n",
                "AUTH" => "235 ok\r\n",
                "DATA" => {
                    in_body = true;
                    "354 go on\r\n"
                }
                "QUIT" => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            let last = line == "QUIT";
            heard.push(line);
            writer.write_all(answer.as_bytes()).await.unwrap();
            if last || (answer == verdict && !in_body) {
                break;
            }
        }
        heard
    }

    #[tokio::test]
    async fn a_server_is_given_the_mail_and_its_word_counts() {
        for (verdict, accepted) in [("250 queued\r\n", true), ("554 no\r\n", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let post = post(parse(&format!("smtp://user:p%40ss@{address}")).unwrap());
            let (heard, sent) =
                tokio::join!(serve(listener, verdict), post.send(mail("a@example.org")));
            assert_eq!(sent.is_ok(), accepted, "{sent:?}");
            // "\0user\0p@ss" in base64.
            for line in [
                "AUTH PLAIN AHVzZXIAcEBzcw==",
                "MAIL FROM:<chat@example.org>",
                "RCPT TO:<a@example.org>",
                "To: a@example.org",
                LINK,
                "..",
            ] {
                assert!(heard.iter().any(|heard| heard == line), "{line} is not in {heard:#?}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = post(parse(&format!("smtp://user:hunter2@{address}")).unwrap())
            .send(mail("a@example.org"))
            .await
            .unwrap_err();
        assert!(error.0.contains(&address.to_string()) && !error.0.contains("hunter2"), "{error}");
    }
}
