//! The files that this crate brings.

use crate::dialect::DialectFile;

macro_rules! file {
    ($name:literal) => {
        DialectFile { name: $name, text: include_str!(concat!("../dialects/", $name)) }
    };
}

macro_rules! files {
    (revisions: [$($revision:literal),+ $(,)?], documents: [$($document:literal),+ $(,)?]) => {
        /// The revisions of the compiled dialects that clients in the field use.
        ///
        /// Of two revisions of one dialect that claim a frame, the one that is listed first has it.
        pub const REVISIONS: &[DialectFile<'static>] = &[$(file!($revision)),+];

        /// The files of this crate: [`REVISIONS`], and two dialects of documents (`doc`), which
        /// trials compare with the compiled ones.
        pub const BUILT_IN: &[DialectFile<'static>] =
            &[$(file!($revision)),+, $(file!($document)),+];
    };
}

files! {
    revisions: [
        "mode-literal.toml",
        "sndmsg-uchat.toml",
        "morelia-0.toml",
        "morelia-17.toml",
        "morelia-1.15.toml",
        "morelia-1.16.toml",
        "morelia-server-2020.toml",
        "morelia-json-in-string.toml",
        "action-dcrf.toml",
        "action-2024-12.toml",
        "action-2025-01.toml",
        "action-2025-03.toml",
        "action-2025-04.toml",
    ],
    documents: ["mode-doc.toml", "sndmsg-doc.toml"]
}

#[cfg(test)]
mod tests {
    use super::BUILT_IN;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dialects");
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let listed: BTreeSet<String> = BUILT_IN.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(listed, names.collect());
    }
}
