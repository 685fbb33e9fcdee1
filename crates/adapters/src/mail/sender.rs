//! The sender of mail.

use super::body::plain_body;
use super::target::{MailTarget, SmtpServer};
use crate::clock::timestamp;
use crate::private_file::{CreateFolderError, create_private_folder, write_atomically};
use async_trait::async_trait;
use lettre::AsyncTransport;
use lettre::address::AddressError;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tolmach_domain::Timestamp;
use tolmach_engine::ports::{Mail, Mailer, PortError, PruneCount};

/// The time that sending one mail may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Options of a [`MailSender`].
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// The sender of all mail. Default: `Tolmach <tolmach@localhost>`.
    pub from: Mailbox,
    /// The target of all mail. Default: files in the folder `mail` of the working folder.
    pub target: MailTarget,
}

impl Default for MailOptions {
    fn default() -> Self {
        let address = lettre::Address::new("tolmach", "localhost");
        Self {
            from: Mailbox::new(
                Some("Tolmach".into()),
                address.expect("tolmach@localhost is an address"),
            ),
            target: MailTarget::Folder("mail".into()),
        }
    }
}

/// Sends mail to its target.
pub struct MailSender {
    from: Mailbox,
    target: MailTarget,
}

/// A mail that could not be sent.
#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("{to:?} is not an address")]
    Address { to: String, source: AddressError },
    #[error("the mail cannot be composed")]
    Compose(#[source] lettre::error::Error),
    #[error("no id can be made for the mail")]
    Id(#[source] getrandom::Error),
    #[error("the file {} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the file of the mail was not written to its end")]
    Cancelled(#[source] tokio::task::JoinError),
    #[error("the mail server {server} did not accept the mail")]
    Smtp { server: String, source: lettre::transport::smtp::Error },
    #[error("the mail server {server} did not reply within {} seconds", TIMEOUT.as_secs())]
    Timeout { server: String },
}

impl MailSender {
    /// Creates the folder of mail files if that is the target. A server is not contacted yet.
    pub fn open(options: MailOptions) -> Result<Self, CreateFolderError> {
        let MailOptions { from, target } = options;
        if let MailTarget::Folder(folder) = &target {
            create_private_folder(folder)?;
        }
        Ok(Self { from, target })
    }

    fn compose(&self, mail: Mail, id: &str) -> Result<Message, MailError> {
        let to: Mailbox = match mail.to.parse() {
            Ok(to) => to,
            Err(source) => return Err(MailError::Address { to: mail.to, source }),
        };
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(plain_body(mail.body))
            .map_err(MailError::Compose)
    }

    async fn try_send(&self, mail: Mail) -> Result<(), MailError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(MailError::Id)?;
        let id = format!("{:032x}", u128::from_ne_bytes(random));
        let message = self.compose(mail, &id)?;
        match &self.target {
            MailTarget::Folder(folder) => write_file(folder, &id, message).await,
            MailTarget::Smtp(server) => submit(server, message).await,
        }
    }
}

#[async_trait]
impl Mailer for MailSender {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        let sent = self.try_send(mail).await;
        sent.map_err(|error| PortError::caused_by("a mail was not sent", error))
    }

    async fn remove_sent(&self, up_to: Timestamp, dry_run: bool) -> Result<PruneCount, PortError> {
        let mut mails = PruneCount { kind: "mails", records: 0, bytes: 0 };
        let MailTarget::Folder(folder) = &self.target else { return Ok(mails) };
        let folder = folder.clone();
        let removed = tokio::task::spawn_blocking(move || {
            remove_files(&folder, up_to, dry_run, &mut mails)?;
            Ok(mails)
        });
        let removed = removed.await.map_err(io::Error::other).and_then(|removed| removed);
        removed.map_err(|error| PortError::caused_by("old mails could not be removed", error))
    }
}

/// Removes the mails of a folder that were sent up to a time, and counts them.
fn remove_files(
    folder: &Path,
    up_to: Timestamp,
    dry_run: bool,
    mails: &mut PruneCount,
) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        // Another process may remove it meanwhile.
        let remove = || -> io::Result<u64> {
            let metadata = std::fs::symlink_metadata(&path)?;
            if !metadata.is_file() || timestamp(metadata.modified()?) > up_to {
                return Ok(0);
            }
            if !dry_run {
                std::fs::remove_file(&path)?;
            }
            Ok(metadata.len())
        };
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(0) => {}
            Ok(bytes) => {
                mails.records += 1;
                mails.bytes += bytes;
            }
        }
    }
    Ok(())
}

async fn write_file(folder: &Path, id: &str, message: Message) -> Result<(), MailError> {
    let path = folder.join(format!("{id}.eml"));
    let written = tokio::task::spawn_blocking(move || {
        write_atomically(&path, &message.formatted())
            .map_err(|source| MailError::Write { path, source })
    });
    written.await.map_err(MailError::Cancelled)?
}

async fn submit(server: &SmtpServer, message: Message) -> Result<(), MailError> {
    let name = || server.name.clone();
    match tokio::time::timeout(TIMEOUT, server.transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(MailError::Smtp { server: name(), source }),
        Err(_) => Err(MailError::Timeout { server: name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tolmach_domain::Secret;
    use tolmach_engine::ErrorChain;

    fn sender(target: MailTarget) -> MailSender {
        let from = "Chat <chat@example.org>".parse().unwrap();
        MailSender::open(MailOptions { from, target }).unwrap()
    }

    fn smtp(address: std::net::SocketAddr, login: &str) -> MailSender {
        let url = Secret::new(format!("smtp://{login}@{address}"));
        sender(MailTarget::parse(&url).unwrap())
    }

    /// A line longer than the 78 characters that RFC 5322 section 2.1.1 advises.
    const LINK: &str = concat!(
        "https://chat.example.org/recover?token=",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    );

    fn mail(to: &str) -> Mail {
        Mail {
            to: to.into(),
            subject: "Привет".into(),
            body: format!("Open\n{LINK}\n.\nor not.\n"),
        }
    }

    #[tokio::test]
    async fn each_mail_becomes_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let sender = sender(MailTarget::Folder(folder.path().join("mail")));
        sender.send(mail("a@example.org")).await.unwrap();
        sender.send(mail("b@example.org")).await.unwrap();
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
    async fn mails_are_removed_by_the_time_at_which_they_were_sent() {
        let folder = tempfile::tempdir().unwrap();
        let sender = sender(MailTarget::Folder(folder.path().to_owned()));
        sender.send(mail("a@example.org")).await.unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not a mail").unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let eml = |entry: io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.extension().unwrap() == "eml").then(|| std::fs::metadata(path).unwrap())
        };
        let sent = std::fs::read_dir(folder.path()).unwrap().find_map(eml).unwrap();
        let sent_at = timestamp(sent.modified().unwrap());
        let just_before = sent_at.before(Duration::from_micros(1));
        for (up_to, dry_run, records, left) in
            [(just_before, false, 0, 2), (sent_at, true, 1, 2), (sent_at, false, 1, 1)]
        {
            let removed = sender.remove_sent(up_to, dry_run).await.unwrap();
            let bytes = records * sent.len();
            assert_eq!(removed, PruneCount { kind: "mails", records, bytes });
            assert_eq!(files(), left);
        }
    }

    #[tokio::test]
    async fn a_body_beyond_ascii_is_encoded() {
        let folder = tempfile::tempdir().unwrap();
        let sender = sender(MailTarget::Folder(folder.path().to_owned()));
        sender.send(Mail { body: "Откройте".into(), ..mail("a@example.org") }).await.unwrap();
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.is_ascii() && text.contains("Content-Transfer-Encoding: "), "{text}");
    }

    #[tokio::test]
    async fn an_address_cannot_add_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let sender = sender(MailTarget::Folder(folder.path().to_owned()));
        for to in ["a@b\r\nBcc: c@d", "a", "", "a@b, c@d", "a@b>\r\nX: <c@d"] {
            assert!(sender.send(mail(to)).await.is_err(), "{to:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Serves one SMTP connection: replies to each line by its verb, to the end of the mail with
    /// `verdict`. Returns the received lines.
    async fn serve(listener: TcpListener, verdict: &str) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.split();
        let (mut lines, mut received, mut in_body) =
            (BufReader::new(reader).lines(), Vec::new(), false);
        writer.write_all(b"220 test\r\n").await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            let reply = match line.split(' ').next().unwrap() {
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
            received.push(line);
            writer.write_all(reply.as_bytes()).await.unwrap();
            if last || (reply == verdict && !in_body) {
                break;
            }
        }
        received
    }

    #[tokio::test]
    async fn a_mail_is_submitted_and_the_reply_of_the_server_counts() {
        for (verdict, accepted) in [("250 queued\r\n", true), ("554 no\r\n", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let sender = smtp(address, "user:p%40ss");
            let (received, sent) =
                tokio::join!(serve(listener, verdict), sender.send(mail("a@example.org")));
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
                assert!(received.iter().any(|other| other == line), "{line} not in {received:#?}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = smtp(address, "user:hunter2").send(mail("a@example.org")).await.unwrap_err();
        let text = ErrorChain(&error).to_string();
        assert!(text.contains(&address.to_string()) && !text.contains("hunter2"), "{text}");
    }
}
