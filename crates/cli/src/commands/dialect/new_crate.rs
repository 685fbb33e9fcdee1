//! `tolmach dialect new --crate`

use crate::dialects;
use crate::error::{CliError, RuntimeError, UsageError};
use std::io;
use std::path::{Path, PathBuf};

/// Files of `examples/own-gateway`: their paths below it, and their texts.
macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$((
            $path,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/../../examples/own-gateway/", $path
            )),
        )),+]
    };
}

/// The example, of which a new crate is a copy with other names.
const EXAMPLE: [(&str, &str); 27] = files![
    "Cargo.lock",
    "Cargo.toml",
    "protocols/tinychat/DEVIATIONS.toml",
    "protocols/tinychat/SPEC.md",
    "protocols/tinychat/asyncapi.json",
    "protocols/tinychat/transcripts/conversation.txt",
    "protocols/tinychat/transcripts/mistakes.txt",
    "schemas/tinychat/definitions.json",
    "schemas/tinychat/deleted.push.json",
    "schemas/tinychat/edited.push.json",
    "schemas/tinychat/error.reply.json",
    "schemas/tinychat/log_in.reply.json",
    "schemas/tinychat/log_in.request.json",
    "schemas/tinychat/log_out.reply.json",
    "schemas/tinychat/log_out.request.json",
    "schemas/tinychat/open.reply.json",
    "schemas/tinychat/open.request.json",
    "schemas/tinychat/read.reply.json",
    "schemas/tinychat/read.request.json",
    "schemas/tinychat/rooms.reply.json",
    "schemas/tinychat/rooms.request.json",
    "schemas/tinychat/said.push.json",
    "schemas/tinychat/say.reply.json",
    "schemas/tinychat/say.request.json",
    "schemas/tinychat/sign_up.request.json",
    "src/backend.rs",
    "src/dialect.rs",
];

/// The other files of the example, whose number differs.
const REST: [(&str, &str); 4] =
    files!["src/lib.rs", "src/main.rs", "tests/conformance.rs", "tests/serve.rs"];

/// The folder of the example, from which its dependencies are named.
const SOURCES: &str = "\"../../crates/";

/// Writes a crate that serves a dialect of its own into a new folder of the working folder, and
/// says how to go on. `sources` is the folder of Tolmach's repository.
pub(super) fn run(id: &str, sources: &Path) -> Result<String, CliError> {
    write_crate(Path::new(""), id, sources)
}

fn write_crate(below: &Path, id: &str, sources: &Path) -> Result<String, CliError> {
    if dialects::ids().contains(&id) {
        return Err(UsageError::DialectTaken(id.to_owned()).into());
    }
    let crates = sources.join("crates");
    let found = crates.join("dialect/Cargo.toml").canonicalize();
    let sources = found.and_then(|_| sources.canonicalize());
    let sources = sources.map_err(|source| UsageError::File { path: crates, source })?;
    let folder = below.join(format!("{id}-gateway"));
    std::fs::create_dir(&folder)
        .map_err(|source| UsageError::NewFolder { folder: folder.clone(), source })?;
    for (path, text) in EXAMPLE.iter().chain(&REST) {
        let path = folder.join(named(path, id));
        write(&path, &with_sources(&named(text, id), &sources))
            .map_err(|source| RuntimeError::File { path, source })?;
    }
    let name = folder.display();
    Ok(format!(
        "{name} is a gateway with the dialect {id}, a copy of Tolmach's example:\n\
         - src/dialect.rs is the dialect; protocols/{id} and schemas/{id} describe it.\n\
         - cargo test --manifest-path {name}/Cargo.toml holds it to them.\n\
         - cargo run --manifest-path {name}/Cargo.toml serves it.\n\
         docs/dialects.md of Tolmach leads on from there.\n"
    ))
}

/// A text of the example with the names of a new dialect.
fn named(text: &str, id: &str) -> String {
    let (first, rest) = id.split_at(1.min(id.len()));
    text.replace("own-gateway", &format!("{id}-gateway"))
        .replace("own_gateway", &format!("{id}_gateway"))
        .replace("TinyChat", &format!("{}{rest}", first.to_uppercase()))
        .replace("tinychat", id)
}

/// A text of the example with the absolute paths of Tolmach's crates.
fn with_sources(text: &str, sources: &Path) -> String {
    let crates: PathBuf = sources.join("crates");
    let quoted = toml::Value::String(format!("{}/", crates.display())).to_string();
    // The rest of the path and the closing quotation mark follow.
    text.replace(SOURCES, quoted.trim_end_matches('"'))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

    /// The paths of all files below a folder, but those that cargo makes.
    fn files(folder: &Path) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if !path.is_dir() {
                    found.insert(path.strip_prefix(folder).unwrap().to_owned());
                } else if !path.ends_with("target") {
                    folders.push(path);
                }
            }
        }
        found
    }

    #[test]
    fn a_crate_has_every_file_of_the_example_under_its_own_names() {
        let below = tempfile::tempdir().unwrap();
        let text = write_crate(below.path(), "parlour", Path::new(ROOT)).unwrap();
        assert!(text.contains("parlour-gateway"), "{text}");
        let folder = below.path().join("parlour-gateway");
        let example = files(&Path::new(ROOT).join("examples/own-gateway"));
        let example = example.iter().map(|path| named(path.to_str().unwrap(), "parlour").into());
        assert_eq!(files(&folder), example.collect());
        for path in files(&folder) {
            let text = std::fs::read_to_string(folder.join(&path)).unwrap();
            for name in ["tinychat", "TinyChat", "own-gateway", "own_gateway", SOURCES] {
                assert!(!text.contains(name), "{name} is in {}", path.display());
            }
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("parlour-gateway"));
        let dialect = manifest["dependencies"]["tolmach-dialect"]["path"].as_str().unwrap();
        assert!(Path::new(dialect).join("Cargo.toml").is_file(), "{dialect}");
        let code = std::fs::read_to_string(folder.join("src/dialect.rs")).unwrap();
        assert!(code.contains("pub struct Parlour;") && code.contains("\"/parlour\""), "{code}");
    }

    #[test]
    fn nothing_is_overwritten_and_no_dialect_is_imitated() {
        let below = tempfile::tempdir().unwrap();
        let error = |id: &str, sources: &str| {
            write_crate(below.path(), id, Path::new(sources)).unwrap_err().lines().join(" ")
        };
        assert!(error("mode", ROOT).contains("mode is a dialect of Tolmach's own"));
        assert!(error("own", "absent").contains("absent/crates cannot be read"));
        std::fs::create_dir(below.path().join("own-gateway")).unwrap();
        assert!(error("own", ROOT).contains("own-gateway cannot be made"));
    }
}
