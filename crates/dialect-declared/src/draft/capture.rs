//! Captured conversations: frames of both sides in their order, a line each.

use serde::Deserialize;

/// A frame of a captured conversation, such as drafts are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedFrame {
    /// The line, from 1.
    pub line: usize,
    /// True for a frame of the client, false for one of the server.
    pub is_clients: bool,
    /// The frame.
    pub text: String,
}

/// A line of a recorded conversation. Other keys, and lines of other directions, are notes.
#[derive(Deserialize)]
struct Recorded {
    dir: String,
    frame: Option<String>,
    bytes: Option<String>,
}

/// Reads the lines of a captured conversation: [`captured_frame`].
pub(super) fn read(text: &str) -> Vec<CapturedFrame> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter_map(|(number, line)| captured_frame(number, line)).collect()
}

/// The frame of a line of a captured conversation. A line is an object with `dir` and `frame` (or
/// `bytes`), or a frame after `>` or `→` of the client, or after `<` or `←` of the server; without
/// a mark it is the client's. `None` for a note, which begins with `#`, and for an empty line.
pub fn captured_frame(line: usize, text: &str) -> Option<CapturedFrame> {
    let text = text.trim();
    let frame = |is_clients, text: &str| {
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(CapturedFrame { line, is_clients, text })
    };
    if let Ok(recorded) = serde_json::from_str::<Recorded>(text) {
        let text = recorded.frame.or(recorded.bytes)?;
        return match recorded.dir.as_str() {
            "client" => frame(true, &text),
            "server" => frame(false, &text),
            _ => None,
        };
    }
    match text.chars().next()? {
        '#' => None,
        mark @ ('>' | '→') => frame(true, &text[mark.len_utf8()..]),
        mark @ ('<' | '←') => frame(false, &text[mark.len_utf8()..]),
        _ => frame(true, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_recorded_frame_or_one_after_a_mark() {
        let text = "# a note\n\n{\"dir\":\"about\",\"source\":\"x\"}\n\
                    {\"dir\":\"client\",\"frame\":\"{}\"}\n{\"dir\":\"server\",\"bytes\":\" {}\"}\n\
                    {\"dir\":\"expect\",\"frame\":\"{}\"}\n> {\"a\":1}\n← {\"b\":1}\n{'c': None}";
        let found: Vec<_> = read(text)
            .into_iter()
            .map(|frame| (frame.line, frame.is_clients, frame.text))
            .collect();
        let expected = [
            (4, true, "{}"),
            (5, false, "{}"),
            (7, true, "{\"a\":1}"),
            (8, false, "{\"b\":1}"),
            (9, true, "{'c': None}"),
        ];
        assert_eq!(found, expected.map(|(line, side, text)| (line, side, text.to_owned())));
    }
}
