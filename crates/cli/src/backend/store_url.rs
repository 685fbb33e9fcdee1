//! The URL of the store.

use crate::config::Config;
use std::path::Path;
use tolmach_domain::Secret;

/// The URL of the store: that of the configuration, or a file in the data folder. A file that is
/// missing is created.
pub(crate) fn store_url(config: &Config, data: &Path) -> Secret {
    let url = config.store.url.expose();
    if !url.is_empty() {
        return with_creation(url);
    }
    let path = data
        .join("tolmach.sqlite")
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    Secret::new(format!("sqlite://{path}?mode=rwc"))
}

/// The URL of a store, changed to create a missing SQLite file unless it has a mode of its own.
pub(crate) fn with_creation(url: &str) -> Secret {
    if url.starts_with("sqlite:") && !url.contains("mode=") {
        let separator = if url.contains('?') { '&' } else { '?' };
        return Secret::new(format!("{url}{separator}mode=rwc"));
    }
    Secret::new(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_a_file_in_the_data_folder_unless_it_is_configured() {
        for (url, expected) in [
            ("", "sqlite://some%3F/where/tolmach.sqlite?mode=rwc"),
            ("sqlite:///a/b.sqlite", "sqlite:///a/b.sqlite?mode=rwc"),
            ("sqlite://b.sqlite?cache=private", "sqlite://b.sqlite?cache=private&mode=rwc"),
            ("sqlite://b.sqlite?mode=rw", "sqlite://b.sqlite?mode=rw"),
            ("postgres://a:b@c", "postgres://a:b@c"),
        ] {
            let config = Config::with_file(&format!("[store]\nurl = \"{url}\""));
            assert_eq!(store_url(&config, Path::new("some?/where")).expose(), expected);
        }
    }
}
