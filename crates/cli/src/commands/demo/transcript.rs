//! Frames on paper.

use crate::logging::colours;
use anstyle::{AnsiColor, Style};
use std::io::{IsTerminal, Write, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tolmach_client::{Way, Witness};
use tolmach_dialect::Frame;

const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];
/// The most of a frame that is shown, in characters.
const SHOWN: usize = 4_096;

/// Where frames are shown as they come and go. Whoever reads may stop reading.
pub(super) struct Transcript {
    coloured: bool,
    paper: Mutex<Paper>,
}

struct Paper {
    output: Box<dyn Write + Send>,
    /// The dialects met so far, in the order of their colours.
    dialects: Vec<&'static str>,
}

impl Transcript {
    pub(super) fn new(coloured: bool, output: Box<dyn Write + Send>) -> Self {
        Self { coloured, paper: Mutex::new(Paper { output, dialects: Vec::new() }) }
    }

    /// On standard output, coloured where that is wanted.
    pub(super) fn to_stdout() -> Self {
        Self::new(colours(stdout().is_terminal()), Box::new(stdout()))
    }

    /// A heading.
    pub(super) fn chapter(&self, title: &str) {
        self.write(&format!("\n{}\n", self.paint(title, Style::new().bold().underline())));
    }

    /// A remark of the narrator.
    pub(super) fn remark(&self, text: &str) {
        self.write(&self.paint(&format!("({text})"), Style::new().italic()));
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Each dialect has a colour of its own, as long as there are so many.
    fn colour(&self, dialect: &'static str) -> AnsiColor {
        let dialects = &mut self.paper().dialects;
        let number = dialects.iter().position(|other| *other == dialect).unwrap_or_else(|| {
            dialects.push(dialect);
            dialects.len() - 1
        });
        COLOURS[number % COLOURS.len()]
    }

    fn write(&self, line: &str) {
        // Nothing is lost to the story when nobody reads it any more.
        let _ = writeln!(self.paper().output, "{line}");
    }

    fn paper(&self) -> MutexGuard<'_, Paper> {
        self.paper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Transcript {
    fn frame(&self, who: &str, dialect: &'static str, way: Way, frame: &Frame) {
        let colour = Style::new().fg_color(Some(self.colour(dialect).into()));
        let arrow = match way {
            Way::Sent => "→",
            Way::Received => "←",
        };
        let label = self.paint(&format!("{who:8} {dialect:8} {arrow}"), colour.bold());
        self.write(&format!("{label} {}", shown(frame)));
    }
}

/// A frame on one line. What could steer a terminal is escaped.
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
        line.push_str(&format!("… ({} bytes in all)", frame.payload().len()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line_that_steers_nothing() {
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
                format!("{}… ({} bytes in all)", "x".repeat(SHOWN), SHOWN + 1),
            ),
        ] {
            assert_eq!(shown(&frame), expected);
        }
    }
}
