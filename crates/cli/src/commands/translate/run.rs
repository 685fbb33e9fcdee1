//! The command.

use super::connections::{Begun, Connections};
use super::input::{Input, Piece};
use super::output::Output;
use super::table;
use crate::arguments::Location;
use crate::commands::operator::load_config;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::named_dialects::NamedDialects;
use crate::translate_arguments::{TranslateArguments, TranslationFormat};
use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use tolmach_dialect::Dialect;
use tolmach_domain::Timestamp;
use tolmach_migration::translate::Translator;

/// The name of standard input.
const STANDARD_INPUT: &str = "-";

/// Translates files or standard input, or prints the table of losses.
pub(crate) fn run(location: &Location, arguments: &TranslateArguments) -> Result<String, CliError> {
    let config = load_config(location)?;
    let named = NamedDialects::load(&config).map_err(UsageError::from)?;
    let source = named.find(&arguments.from).map_err(UsageError::NamedDialect)?;
    let target = named.find(&arguments.to).map_err(UsageError::NamedDialect)?;
    if arguments.table {
        let missing = table::missing(&source, &target).map_err(UsageError::from)?;
        let format = arguments.format.unwrap_or(TranslationFormat::Text);
        return Ok(table::render(&arguments.from, &arguments.to, &missing, format));
    }
    let format = arguments.format.unwrap_or_else(|| {
        let is_person = std::io::stdout().is_terminal();
        if is_person { TranslationFormat::Text } else { TranslationFormat::Json }
    });
    if format == TranslationFormat::Markdown {
        return Err(UsageError::MarkdownFrames.into());
    }
    let mut run = Run {
        named: &named,
        from: &arguments.from,
        target,
        translators: BTreeMap::new(),
        output: Output::new(std::io::stdout().lock(), format == TranslationFormat::Json),
    };
    let standard_input = [STANDARD_INPUT.into()];
    let files = if arguments.files.is_empty() { &standard_input[..] } else { &arguments.files };
    for file in files {
        match run.file(file) {
            // A reader that has closed standard output has seen enough.
            Err(CliError::Runtime(RuntimeError::Output(error)))
                if error.kind() == ErrorKind::BrokenPipe =>
            {
                break;
            }
            done => done?,
        }
    }
    let (frames, lossy) = (run.output.frames, run.output.lossy);
    if frames == 0 {
        return Err(UsageError::NoFrames(arguments.from.clone()).into());
    }
    if lossy > 0 { Err(RuntimeError::Lossy { frames, lossy }.into()) } else { Ok(String::new()) }
}

/// A translation of several files.
struct Run<'a, W: std::io::Write> {
    named: &'a NamedDialects<'a>,
    /// The name of the source: `ID` or `ID/REVISION`.
    from: &'a str,
    target: Arc<dyn Dialect>,
    /// By the name of the source with the revision that was captured.
    translators: BTreeMap<String, Translator>,
    output: Output<W>,
}

impl<W: std::io::Write> Run<'_, W> {
    fn file(&mut self, path: &Path) -> Result<(), CliError> {
        let mut input = Input::open(path)?;
        // A file's connections are its own, and so are their translators.
        self.translators.clear();
        let mut connections = Connections::new();
        while let Some(piece) = input.next()? {
            match piece {
                Piece::Open { connection, at, request, wire } => {
                    connections.add(connection, Begun::new(at, request, wire));
                }
                Piece::Frame { line, connection, at, sender, frame, wire } => {
                    let begun = connections.used(connection);
                    begun.wire.update(wire);
                    let Some(name) = begun.wire.name(self.from) else { continue };
                    let is_new = begun.translator.is_none();
                    let name = begun.translator.get_or_insert(name).clone();
                    let (opened_at, request) = (begun.at, begun.request.take());
                    let now = Timestamp::from_micros(at);
                    let translator = self.translator(&name)?;
                    let opened = (is_new && request.is_some()).then(|| {
                        translator.open(connection, Timestamp::from_micros(opened_at), request)
                    });
                    let translated = translator.frame(connection, now, sender, &frame);
                    if let Some(opened) = opened {
                        self.output.opened(line, connection, &opened)?;
                    }
                    self.output.frame(line, connection, at, sender, &translated)?;
                }
                Piece::Close { connection, at } => {
                    let name = connections.remove(connection).and_then(|begun| begun.translator);
                    let Some(name) = name else { continue };
                    let now = Timestamp::from_micros(at);
                    let rest = self.translator(&name)?.close(connection, now);
                    self.output.opened(input.line(), connection, &rest)?;
                }
            }
        }
        for (connection, begun) in connections.into_all() {
            let Some(name) = begun.translator else { continue };
            let rest = self.translator(&name)?.close(connection, Timestamp::default());
            self.output.opened(input.line(), connection, &rest)?;
        }
        self.output.flush()
    }

    fn translator(&mut self, name: &str) -> Result<&mut Translator, CliError> {
        if !self.translators.contains_key(name) {
            let source = self.named.find(name).map_err(UsageError::NamedDialect)?;
            let translator = Translator::new(source, Arc::clone(&self.target));
            self.translators.insert(name.to_owned(), translator.map_err(UsageError::from)?);
        }
        Ok(self.translators.get_mut(name).expect("it was inserted above if it was missing"))
    }
}
