//! The transcript: every frame, as it is sent and received.

use crate::logging::use_colours;
use anstyle::{AnsiColor, Style};
use std::io::{IsTerminal, Write, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tolmach_client::{Direction, FrameObserver};
use tolmach_dialect::Frame;

const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];
/// The longest part of a frame that is shown, in characters.
const SHOWN: usize = 4_096;

/// The transcript. An output that is closed ends it, and not the demo.
pub(super) struct Transcript {
    coloured: bool,
    state: Mutex<State>,
}

struct State {
    output: Box<dyn Write + Send>,
    /// The dialects so far, in the order of their colours.
    dialects: Vec<&'static str>,
}

impl Transcript {
    /// A transcript on `output`.
    pub(super) fn new(coloured: bool, output: Box<dyn Write + Send>) -> Self {
        Self { coloured, state: Mutex::new(State { output, dialects: Vec::new() }) }
    }

    /// A transcript on standard output, coloured on a terminal.
    pub(super) fn to_stdout() -> Self {
        Self::new(use_colours(stdout().is_terminal()), Box::new(stdout()))
    }

    /// Writes a heading.
    pub(super) fn chapter(&self, title: &str) {
        self.write(&format!("\n{}\n", self.paint(title, Style::new().bold().underline())));
    }

    /// Writes a remark between frames.
    pub(super) fn remark(&self, text: &str) {
        self.write(&self.paint(&format!("({text})"), Style::new().italic()));
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// The colour of a dialect: its own, as far as there are enough.
    fn colour(&self, dialect: &'static str) -> AnsiColor {
        let dialects = &mut self.state().dialects;
        let number = dialects.iter().position(|other| *other == dialect).unwrap_or_else(|| {
            dialects.push(dialect);
            dialects.len() - 1
        });
        COLOURS[number % COLOURS.len()]
    }

    fn write(&self, line: &str) {
        // An error means that the output is closed; the demo goes on without.
        let _ = writeln!(self.state().output, "{line}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameObserver for Transcript {
    fn frame(&self, name: &str, dialect: &'static str, direction: Direction, frame: &Frame) {
        let colour = Style::new().fg_color(Some(self.colour(dialect).into()));
        let arrow = match direction {
            Direction::Sent => "→",
            Direction::Received => "←",
        };
        let label = self.paint(&format!("{name:8} {dialect:8} {arrow}"), colour.bold());
        self.write(&format!("{label} {}", shown(frame)));
    }
}

/// A frame on one line, with control characters escaped: a terminal would obey them.
fn shown(frame: &Frame) -> String {
    let head = match frame {
        Frame::Request(request) => {
            let headers = request
                .headers()
                .keys()
                .map(http::HeaderName::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            format!("{} {} [{headers}] ", request.method(), request.uri())
        }
        Frame::Response(response) => format!("{} ", response.status()),
        Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) => String::new(),
    };
    let text = String::from_utf8_lossy(frame.payload());
    let mut line = head;
    for char in text.chars().take(SHOWN) {
        if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
    }
    if text.chars().nth(SHOWN).is_some() {
        line.push_str(&format!("… ({} bytes in total)", frame.payload().len()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_without_control_characters() {
        let request =
            http::Request::put("/a").header("X-B", "secret").body("c\r\n\u{1b}[2J".into()).unwrap();
        let response = http::Response::builder().status(404).body("{}".into()).unwrap();
        for (frame, expected) in [
            (Frame::text("{\"ключ\":1}"), "{\"ключ\":1}".to_owned()),
            (Frame::text("a\nb\u{9b}"), "a\\nb\\u{9b}".to_owned()),
            (Frame::request(request), "PUT /a [x-b] c\\r\\n\\u{1b}[2J".to_owned()),
            (Frame::response(response), "404 Not Found {}".to_owned()),
            (
                Frame::text("x".repeat(SHOWN + 1)),
                format!("{}… ({} bytes in total)", "x".repeat(SHOWN), SHOWN + 1),
            ),
        ] {
            assert_eq!(shown(&frame), expected);
        }
    }
}
