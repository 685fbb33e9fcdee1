//! Keys of objects, as frames have them.

use super::{Syntax, Writer};

/// A key with the separators around it, written once for all frames: `,"key":` in JSON.
#[derive(Debug, Clone)]
pub(crate) struct WrittenKey {
    json: String,
    python: String,
}

impl WrittenKey {
    pub(crate) fn new(key: &str) -> Self {
        let written = |syntax: Syntax| {
            let (colon, comma) = syntax.separators();
            let mut writer = Writer::default();
            writer.push_str(comma);
            syntax.write_text(&mut writer, key);
            writer.push_str(colon);
            String::from_utf8_lossy(&writer.finish()).into_owned()
        };
        Self { json: written(Syntax::Json), python: written(Syntax::PythonLiteral) }
    }

    /// Writes the key; unless it is the first, after the separator from the member before it.
    pub(crate) fn write(&self, syntax: Syntax, is_first: bool, writer: &mut Writer) {
        let written = match syntax {
            Syntax::Json | Syntax::JsonInString => &self.json,
            Syntax::PythonLiteral => &self.python,
        };
        let (_, comma) = syntax.separators();
        writer.push_str(if is_first { &written[comma.len()..] } else { written });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_with_its_separators() {
        for (key, syntax, first, later) in [
            ("a", Syntax::Json, "\"a\":", ",\"a\":"),
            ("a\"\n", Syntax::JsonInString, "\"a\\\"\\n\":", ",\"a\\\"\\n\":"),
            ("a", Syntax::PythonLiteral, "'a': ", ", 'a': "),
            ("it's", Syntax::PythonLiteral, "\"it's\": ", ", \"it's\": "),
        ] {
            for (is_first, expected) in [(true, first), (false, later)] {
                let mut writer = Writer::default();
                WrittenKey::new(key).write(syntax, is_first, &mut writer);
                assert_eq!(writer.finish(), expected.as_bytes(), "{key} in {syntax:?}");
            }
        }
    }
}
