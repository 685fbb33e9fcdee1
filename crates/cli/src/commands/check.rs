//! `tolmach check`

use super::Failure;
use super::dialects;
use crate::cli::{Address, Place};
use crate::config::Config;
use crate::ports::{BlobTarget, KeyRing, MailTarget};
use crate::world;
use std::fmt::Write;
use std::net::ToSocketAddrs;
use std::path::Path;
use tolmach_domain::Secret;

pub(super) async fn run(place: &Place, address: &Address) -> Result<String, Failure> {
    let config = place.load(address)?;
    let found = examine(&config, &place.data).await?;
    if let BlobTarget::Bucket(bucket) = world::blob_target(&config, &place.data)? {
        let probed = bucket.probe().await;
        probed.map_err(|error| {
            Failure::Configuration(format!("`blobs`: photos cannot be kept there: {error}"))
        })?;
    }
    Ok(found)
}

/// What would be served, or everything that is wrong. Nothing is made or changed.
async fn examine(config: &Config, data: &Path) -> Result<String, Failure> {
    let mut wrong = Vec::new();
    if let Err(error) = config.http.listen.to_socket_addrs() {
        wrong.push(format!(
            "`http.listen` = {:?}: no address is known by this name: {error}",
            config.http.listen
        ));
    }
    wrong.extend(cannot_write(data).map(|reason| format!("the data folder: {reason}")));
    let store = tolmach_store::examine(world::store_url(config, data).expose()).await;
    let store = note(
        &mut wrong,
        store.map_err(|error| Failure::Configuration(format!("`store.url`: {error}"))),
    );
    let bus = note(&mut wrong, world::bus_in_words(config));
    let blobs = note(&mut wrong, world::blob_target(config, data));
    if let Some(BlobTarget::Folder(folder)) = &blobs {
        wrong.extend(cannot_write(folder).map(|reason| format!("`blobs.folder`: {reason}")));
    }
    let mail = note(&mut wrong, world::mail_target(config, data));
    if let Some(MailTarget::Folder(folder)) = &mail {
        wrong.extend(cannot_write(folder).map(|reason| format!("the mail folder: {reason}")));
    }
    let keys = note(&mut wrong, keys(config, data));
    if config.dialects.values().all(|options| !options.enabled) {
        wrong.push("every dialect is disabled: nothing would be served".into());
    }
    let (Some(store), Some(bus), Some(blobs), Some(mail), Some(keys), []) =
        (store, bus, blobs, mail, keys, wrong.as_slice())
    else {
        return Err(Failure::Configuration(wrong.join("\n")));
    };
    let mut text = String::new();
    for (name, value) in [
        ("address", format!("{}, known to others as {}", config.http.listen, config.public_url())),
        ("store", store),
        ("bus", bus),
        ("keys", keys.join(", ")),
        ("mail", format!("{mail}, from {}", config.mail.from)),
        ("photos", blobs.to_string()),
        ("shared", config.doors.shared.join(" ")),
    ] {
        writeln!(text, "{name:8} {value}").map_err(|error| Failure::Failed(error.to_string()))?;
    }
    Ok(format!("{text}\n{}", dialects::list(config)))
}

/// The keys in words. A secret that is yet to be made is stood in for.
fn keys(config: &Config, data: &Path) -> Result<Vec<String>, Failure> {
    let path = world::own_secret(data);
    let ring = KeyRing::load(&config.auth, |required| match std::fs::read_to_string(&path) {
        Ok(secret) => Ok(Some(Secret::new(secret.trim_end()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(required.then(|| Secret::new("yet to be made ".repeat(4))))
        }
        Err(error) => Err(error),
    })?;
    Ok(ring.describe())
}

fn note<T>(wrong: &mut Vec<String>, outcome: Result<T, Failure>) -> Option<T> {
    let told = |failure| match failure {
        Failure::Configuration(text) | Failure::Failed(text) => wrong.push(text),
    };
    outcome.map_err(told).ok()
}

/// Why nothing can be written in a folder, or where it would have to be made.
fn cannot_write(folder: &Path) -> Option<String> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let nearest = absolute.ancestors().find(|ancestor| ancestor.exists())?;
    // A file without a name, which is gone when it is closed.
    tempfile::tempfile_in(nearest)
        .err()
        .map(|error| format!("nothing can be written in {}: {error}", nearest.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    async fn check(file: &str, data: &Path) -> Result<String, Failure> {
        let ids: Vec<_> =
            crate::dialects::all().iter().map(|dialect| dialect.manifest().id).collect();
        examine(
            &Config::load(
                Sources { file: Some(("test.toml".into(), file.into())), ..Sources::default() },
                &ids,
            )
            .unwrap(),
            data,
        )
        .await
    }

    #[tokio::test]
    async fn a_good_configuration_is_described_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = check("", &data).await.unwrap();
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
    async fn everything_that_is_wrong_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let disabled: String = crate::dialects::all()
            .iter()
            .map(|dialect| format!("[dialects.{}]\nenabled = false\n", dialect.manifest().id))
            .collect();
        let file = format!(
            "[http]\nlisten = \"no such host.invalid:1\"\n[store]\nurl = \"oracle://hunter2\"\n[bus]\nurl = \"nats://hunter2\"\n\
             [mail]\nurl = \"pigeon://hunter2\"\n[auth]\njwt_keys = \"absent.json\"\n[blobs]\nfolder = {:?}\n{disabled}",
            file.join("inside")
        );
        let Err(Failure::Configuration(text)) = check(&file, folder.path()).await else {
            panic!("it was thought good")
        };
        let found: Vec<_> = text.lines().collect();
        let expected = [
            "`http.listen`",
            "`store.url`",
            "`bus.url`",
            "`blobs.folder`",
            "`mail.url`",
            "`auth.jwt_keys`",
            "every dialect",
        ];
        assert_eq!(found.len(), expected.len(), "{text}");
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.starts_with(expected) && !found.contains("hunter2"), "{found}");
        }
    }
}
