//! Values of columns as records have them.

use crate::id::Id;
use crate::record::{Attachment, AttachmentKind};
use crate::time::Time;
use tolmach_domain::{ExternalId, Timestamp};

/// The id that nothing has.
pub(super) const NOTHING: Id = Id(ExternalId(0));

/// An id that is a number; [`NOTHING`] below 0.
pub(super) fn id(number: i64) -> Id {
    Id::number(number).unwrap_or(NOTHING)
}

/// A time in seconds since 1970.
pub(super) fn seconds(seconds: i64) -> Time {
    micros(seconds.saturating_mul(1_000_000))
}

/// A time in microseconds since 1970.
pub(super) fn micros(micros: i64) -> Time {
    Time(Timestamp::from_micros(micros))
}

/// Files that are named by their paths or addresses, one a line.
pub(super) fn files(names: Option<String>) -> Vec<Attachment> {
    let names = names.unwrap_or_default();
    let file = |name: &str| Attachment { kind: kind(name), data: name.to_owned() };
    names.lines().filter(|name| !name.is_empty()).map(file).collect()
}

/// The kind of a file by the end of its name.
fn kind(name: &str) -> AttachmentKind {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    match end.to_ascii_lowercase().as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "bmp" | "svg" => AttachmentKind::Picture,
        "mp4" | "webm" | "mov" | "mkv" | "avi" => AttachmentKind::Video,
        "mp3" | "ogg" | "oga" | "opus" | "wav" | "m4a" => AttachmentKind::Audio,
        _ => AttachmentKind::Document,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_file_is_that_of_the_end_of_its_name() {
        for (name, expected) in [
            ("storage/1/photos/a.b.PNG", AttachmentKind::Picture),
            ("clip.webm", AttachmentKind::Video),
            ("voice.ogg", AttachmentKind::Audio),
            ("paper.pdf", AttachmentKind::Document),
            ("png", AttachmentKind::Document),
        ] {
            let found = files(Some(format!("{name}\n")));
            assert_eq!(found, [Attachment { kind: expected, data: name.to_owned() }]);
        }
        assert_eq!(files(None), []);
    }
}
