//! The report as one page of HTML, without scripts and without anything from elsewhere.

use crate::report::model::{Cited, Counts, Example, FieldDifference, Operation, Report, Verdict};
use std::fmt::{self, Write};

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;\
color:#1b1b1b;background:#fff}\
table{border-collapse:collapse;width:100%;margin:1rem 0}\
th,td{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:right;vertical-align:top}\
th:first-child,td:first-child{text-align:left}\
.fields td,.fields th{text-align:left}\
.frames{display:grid;grid-template-columns:1fr 1fr;gap:1rem}\
pre{background:#f4f4f4;padding:.6rem;margin:.3rem 0;white-space:pre-wrap;\
overflow-wrap:anywhere}\
.bad{background:#fff1e0}.zero{color:#999}\
details{margin:.5rem 0;border-left:3px solid #bbb;padding-left:1rem}\
@media (prefers-color-scheme:dark){body{color:#ddd;background:#161616}\
pre{background:#242424}.bad{background:#40300f}th,td{border-color:#444}}";

/// The verdicts in the order of the columns.
const COLUMNS: [(Verdict, &str); 6] = [
    (Verdict::Same, "same"),
    (Verdict::SameMeaning, "same meaning"),
    (Verdict::Differs, "differs"),
    (Verdict::Missing, "missing"),
    (Verdict::Extra, "extra"),
    (Verdict::Order, "order"),
];

/// The report as a page: a table by operation, then examples with both frames side by side. All
/// texts are escaped, and the page's policy forbids scripts and loading.
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    write(&mut page, report).expect("a string takes every text");
    page
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{a} and {b}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{a} and {b}</h1>\n",
        a = Escaped(&report.a.name),
        b = Escaped(&report.b.name),
    )?;
    let verdict = match report.total.differences() {
        0 => "No differences".to_owned(),
        1 => "1 difference".to_owned(),
        count => format!("{count} differences"),
    };
    writeln!(out, "<p><strong>{verdict}</strong></p>\n<table>")?;
    writeln!(
        out,
        "<tr><th>capture<th>connections<th>frames of clients<th>frames of the server</tr>"
    )?;
    for (letter, source) in [('A', &report.a), ('B', &report.b)] {
        writeln!(
            out,
            "<tr><td>{letter}: {}<td>{}<td>{}<td>{}</tr>",
            Escaped(&source.name),
            source.connections,
            source.client_frames,
            source.server_frames
        )?;
    }
    writeln!(out, "</table>")?;
    for note in &report.notes {
        writeln!(out, "<p>Note: {}</p>", Escaped(note))?;
    }
    writeln!(out, "<table>\n<tr><th>operation")?;
    for (_, title) in COLUMNS {
        writeln!(out, "<th>{title}")?;
    }
    writeln!(out, "</tr>")?;
    for (index, (name, operation)) in report.operations.iter().enumerate() {
        let name = Escaped(name);
        if operation.counts.differences() == 0 {
            row(out, &name.to_string(), operation.counts)?;
        } else {
            row(out, &format!("<a href=\"#o{index}\">{name}</a>"), operation.counts)?;
        }
    }
    row(out, "total", report.total)?;
    writeln!(out, "</table>")?;
    for (index, (name, operation)) in report.operations.iter().enumerate() {
        if operation.counts.differences() > 0 {
            writeln!(out, "<h2 id=\"o{index}\">{}</h2>", Escaped(name))?;
            details(out, operation)?;
        }
    }
    out.push_str("</body>\n</html>\n");
    Ok(())
}

/// `name` is HTML.
fn row(out: &mut String, name: &str, counts: Counts) -> fmt::Result {
    let class = if counts.differences() == 0 { "" } else { " class=\"bad\"" };
    write!(out, "<tr{class}><td>{name}")?;
    for (verdict, _) in COLUMNS {
        match counts.of(verdict) {
            0 => write!(out, "<td class=\"zero\">0")?,
            count => write!(out, "<td>{count}")?,
        }
    }
    writeln!(out, "</tr>")
}

fn details(out: &mut String, operation: &Operation) -> fmt::Result {
    if !operation.fields.is_empty() {
        writeln!(out, "<table class=\"fields\">\n<tr><th>field<th>differs in</tr>")?;
        for (path, count) in &operation.fields {
            writeln!(out, "<tr><td><code>{}</code><td>{count}</tr>", Escaped(path))?;
        }
        writeln!(out, "</table>")?;
    }
    for example in &operation.examples {
        write_example(out, example)?;
    }
    Ok(())
}

fn write_example(out: &mut String, example: &Example) -> fmt::Result {
    let Example { verdict, connection, request, a, b, fields } = example;
    let name = verdict.name();
    writeln!(out, "<details open>\n<summary>{name}, connection {connection}</summary>")?;
    if let Some(request) = request {
        writeln!(out, "<p>The client's frame</p>\n<pre>{}</pre>", Escaped(request))?;
    }
    writeln!(out, "<div class=\"frames\">")?;
    for (letter, cited) in [('A', a), ('B', b)] {
        match cited {
            Some(Cited { line: 0, frame }) => {
                writeln!(out, "<div>{letter}<pre>{}</pre></div>", Escaped(frame))?;
            }
            Some(Cited { line, frame }) => {
                writeln!(out, "<div>{letter}, line {line}<pre>{}</pre></div>", Escaped(frame))?;
            }
            None => writeln!(out, "<div>{letter}: none</div>")?,
        }
    }
    writeln!(out, "</div>")?;
    if !fields.is_empty() {
        writeln!(out, "<table class=\"fields\">\n<tr><th>field<th>A<th>B</tr>")?;
        for FieldDifference { path, a, b, order } in fields {
            let order = if *order { " (another order)" } else { "" };
            write!(out, "<tr><td><code>{}</code>{order}", Escaped(path))?;
            for value in [a, b] {
                match value {
                    Some(value) => write!(out, "<td><code>{}</code>", Escaped(value))?,
                    None => write!(out, "<td>none")?,
                }
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</table>")?;
    }
    writeln!(out, "</details>")
}

/// A text within HTML.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                '\n' => formatter.write_char('\n')?,
                control if control.is_control() => formatter.write_char('\u{fffd}')?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_from_captures_is_escaped() {
        let hostile = "<script>alert('1')</script>\"&\u{1b}";
        let cited = || Some(Cited { line: 3, frame: hostile.to_owned() });
        let mut report = Report::default();
        report.a.name = hostile.to_owned();
        report.b.name = hostile.to_owned();
        report.note(hostile.to_owned());
        report.add(
            hostile,
            Example {
                verdict: Verdict::Differs,
                connection: 1,
                request: Some(hostile.to_owned()),
                a: cited(),
                b: cited(),
                fields: vec![FieldDifference {
                    path: hostile.to_owned(),
                    a: Some(hostile.to_owned()),
                    b: None,
                    order: true,
                }],
            },
        );
        let page = html(&report);
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
        let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}";
        assert_eq!(page.matches(escaped).count(), 15, "{page}");
    }
}
