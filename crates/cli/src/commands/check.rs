//! `tolmach check`

use super::dialect_list::dialect_list;
use crate::arguments::{ListenArguments, Location};
use crate::backend::{self, PhotoTarget, SecretFile};
use crate::config::{Auth, Config, HttpTls, TcpListener};
use crate::configured_dialects::configured_dialects;
use crate::error::{CliError, UsageError};
use crate::upstreams;
use std::net::ToSocketAddrs;
use std::path::Path;
use tolmach_adapters::MailTarget;
use tolmach_domain::Secret;

pub(crate) async fn run(location: &Location, listen: &ListenArguments) -> Result<String, CliError> {
    let config = location.load_config(listen).map_err(UsageError::from)?;
    let description = check(&config, &location.data).await?;
    if let PhotoTarget::Bucket(bucket) = backend::photo_target(&config, &location.data)? {
        bucket.probe().await.map_err(UsageError::PhotoBucket)?;
    }
    Ok(description)
}

/// A description of what would be served, or all mistakes. Nothing is created or changed.
async fn check(config: &Config, data: &Path) -> Result<String, UsageError> {
    let mut mistakes = Mistakes::default();
    mistakes.note(check_address("http.listen", &config.http.listen));
    if !config.admin.listen.is_empty() {
        mistakes.note(check_address("admin.listen", &config.admin.listen));
    }
    if !config.tcp.sndmsg.listen.is_empty() {
        mistakes.note(check_address("tcp.sndmsg.listen", &config.tcp.sndmsg.listen));
    }
    mistakes.note(backend::check_proxy_protocol(&config.http));
    mistakes.note(backend::check_tcp(config));
    let tls = mistakes.note(backend::tls(&config.http));
    mistakes.note(check_folder("the data folder", data));
    let url = backend::store_url(config, data);
    let store = tolmach_store::probe(url.expose()).await;
    let store = mistakes.note(store.map_err(UsageError::Store));
    let collisions = match &store {
        Some(_) => {
            let collisions = tolmach_store::colliding_logins(url.expose()).await;
            mistakes.note(collisions.map_err(UsageError::Store)).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let bus = mistakes.note(backend::describe_bus(config));
    let photos = mistakes.note(backend::photo_target(config, data));
    if let Some(PhotoTarget::Folder(folder)) = &photos {
        mistakes.note(check_folder("`blobs.folder`", folder));
    }
    let mail = mistakes.note(backend::mail_target(config, data));
    if let Some(MailTarget::Folder(folder)) = &mail {
        mistakes.note(check_folder("the mail folder", folder));
    }
    let keys = mistakes.note(describe_keys(&config.auth, data));
    let upstreams = mistakes.note(upstreams::wires_of_all(config));
    let dialects = mistakes.note(configured_dialects(config).map_err(UsageError::from));
    if dialects.iter().flatten().all(|dialect| !dialect.is_enabled) && dialects.is_some() {
        mistakes.note::<()>(Err(UsageError::NothingEnabled));
    }
    let (
        Some(tls),
        Some(store),
        Some(bus),
        Some(photos),
        Some(mail),
        Some(keys),
        Some(upstreams),
        Some(dialects),
        true,
    ) = (tls, store, bus, photos, mail, keys, upstreams, dialects, mistakes.0.is_empty())
    else {
        return Err(UsageError::Several(mistakes.0));
    };
    let tcp = describe_tcp(&config.tcp.sndmsg);
    let admin = Some(config.admin.listen.clone()).filter(|address| !address.is_empty());
    let rows = [
        ("address", format!("{}, public URL {}", config.http.listen, config.public_url())),
        ("tls", tls.map_or_else(|| "none".into(), |_| describe_tls(&config.http.tls))),
        ("tcp", tcp),
        ("admin", admin.unwrap_or_else(|| "none".into())),
        ("store", store),
        ("bus", bus),
        ("keys", keys.join(", ")),
        ("mail", format!("{mail}, from {}", config.mail.from)),
        ("photos", photos.to_string()),
        ("shared", config.routing.shared_paths.join(" ")),
    ];
    let mut text: String = rows.map(|(name, value)| format!("{name:8} {value}\n")).concat();
    for (name, _) in upstreams {
        let url = &config.bridge.upstreams[&name].url;
        text.push_str(&format!("{:8} {name} at {url}\n", "upstream"));
    }
    for collision in collisions {
        text.push_str(&format!("collision: {collision}\n"));
    }
    Ok(format!("{text}\n{}", dialect_list(config, &dialects)))
}

/// The mistakes that were found so far.
#[derive(Default)]
struct Mistakes(Vec<UsageError>);

impl Mistakes {
    fn note<T>(&mut self, outcome: Result<T, UsageError>) -> Option<T> {
        outcome.map_err(|mistake| self.0.push(mistake)).ok()
    }
}

fn check_address(key: &'static str, address: &str) -> Result<(), UsageError> {
    let resolved = address.to_socket_addrs().map(drop);
    resolved.map_err(|source| UsageError::Listen { key, address: address.to_owned(), source })
}

fn describe_tls(tls: &HttpTls) -> String {
    format!("1.2 and 1.3, certificate {}", tls.certificate.display())
}

fn describe_tcp(listener: &TcpListener) -> String {
    match (listener.listen.as_str(), listener.tls) {
        ("", _) => "none".to_owned(),
        (address, true) => format!("sndmsg at {address} with TLS"),
        (address, false) => format!("sndmsg at {address}"),
    }
}

/// Tries whether a folder can be written, or the folder where it would be created.
fn check_folder(name: &'static str, folder: &Path) -> Result<(), UsageError> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(nearest) = absolute.ancestors().find(|ancestor| ancestor.exists()) else {
        return Ok(());
    };
    // The file has no name, and vanishes when it is closed.
    tempfile::tempfile_in(nearest).map(drop).map_err(|source| UsageError::Folder {
        name,
        folder: nearest.to_owned(),
        source,
    })
}

/// One line per key. A placeholder takes the place of a secret that serving would create.
fn describe_keys(auth: &Auth, data: &Path) -> Result<Vec<String>, UsageError> {
    let placeholder = || Secret::new("not created yet ".repeat(4));
    let file = SecretFile::in_folder(data);
    Ok(backend::key_ring(auth, &file, |_| Ok(placeholder()))?.describe())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects;

    #[tokio::test]
    async fn a_good_configuration_is_described_and_nothing_is_created() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = check(&Config::with_file(""), &data).await.unwrap();
        for expected in [
            "127.0.0.1:8080",
            "tolmach.sqlite",
            "HS256 without kid (signs)",
            "photos",
            "mode",
            "Tolmach <tolmach@localhost>",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!data.exists());
    }

    #[tokio::test]
    async fn all_mistakes_are_reported_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let disabled: String = dialects::ids()
            .into_iter()
            .map(|id| format!("[dialects.{id}]\nenabled = false\n"))
            .collect();
        let config = Config::with_file(&format!(
            "[http]\nlisten = \"no such host.invalid:1\"\nproxy_protocol = true\n\
             tls.certificate = \"absent.pem\"\n[admin]\nlisten = \"no such host.invalid:2\"\n\
             [tcp.sndmsg]\nlisten = \"no such host.invalid:3\"\n\
             [store]\nurl = \"oracle://hunter2\"\n\
             [bus]\nurl = \"nats://hunter2\"\n[mail]\nurl = \"pigeon://hunter2\"\n\
             [auth]\njwt_keys = \"absent.json\"\n[blobs]\nfolder = {:?}\n{disabled}",
            file.join("inside")
        ));
        let error = CliError::from(check(&config, folder.path()).await.unwrap_err());
        let (found, code) = (error.lines(), error.exit_code());
        let expected = [
            "`http.listen`",
            "`admin.listen`",
            "`tcp.sndmsg.listen`",
            "`http.trusted_proxies` is missing beside `http.proxy_protocol`",
            "`http.tls.key` is missing beside `http.tls.certificate`",
            "`store.url`",
            "`bus.url`",
            "`blobs.folder`",
            "`mail.url`",
            "`auth.jwt_keys`",
            "every dialect",
        ];
        assert_eq!((found.len(), code), (expected.len(), 2), "{found:?}");
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.starts_with(expected) && !found.contains("hunter2"), "{found}");
        }
    }

    #[tokio::test]
    async fn tls_on_raw_tcp_needs_a_certificate_where_there_is_a_listener() {
        let folder = tempfile::tempdir().unwrap();
        let listen = "listen = \"127.0.0.1:0\"\n";
        let config = Config::with_file(&format!("[tcp.sndmsg]\n{listen}tls = true"));
        let error = CliError::from(check(&config, folder.path()).await.unwrap_err());
        let expected = "`http.tls.certificate` is missing beside `tcp.sndmsg.tls`";
        assert_eq!(error.lines(), [expected]);
        for (file, expected) in
            [("tls = true", "tcp      none"), (listen, "tcp      sndmsg at 127.0.0.1:0\n")]
        {
            let config = Config::with_file(&format!("[tcp.sndmsg]\n{file}"));
            let text = check(&config, folder.path()).await.unwrap();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn the_files_of_tls_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.pem");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nhunter2\n").unwrap();
        let absent = folder.path().join("absent.pem");
        for (certificate, cause) in [(&absent, "cannot be read"), (&file, "no PEM file")] {
            let config = Config::with_file(&format!(
                "[http.tls]\ncertificate = {certificate:?}\nkey = {file:?}"
            ));
            let error = CliError::from(check(&config, folder.path()).await.unwrap_err());
            let lines = error.lines();
            let line = lines[0].clone();
            assert!(lines.len() == 1 && line.starts_with("`http.tls`: "), "{lines:?}");
            assert!(line.contains(cause) && line.contains(&certificate.display().to_string()));
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
}
