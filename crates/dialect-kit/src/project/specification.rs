//! The examples of a specification.

use serde_json::Value;

/// The examples of a `SPEC.md`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Specification {
    /// The frames of code blocks that are indented by four spaces: `> ` is a client's, `< ` is a
    /// server's.
    pub(crate) exchanges: Vec<ExampleExchange>,
    /// The fenced blocks that are marked `json`, and the inline code after `Answer: `: frames or
    /// bodies of either side.
    pub(crate) values: Vec<Example>,
    /// Other inline code that is a JSON object: a frame, a body or a part of one.
    pub(crate) parts: Vec<Example>,
}

/// One frame or body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    /// The number of its first line.
    pub(crate) line: usize,
    /// The text.
    pub(crate) text: String,
}

/// A request with its answers: several are the frames of one answer, or alternatives. Without a
/// request, the frames are pushed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExampleExchange {
    /// The client's frame.
    pub(crate) request: Option<Example>,
    /// The server's frames.
    pub(crate) answers: Vec<Example>,
}

impl Specification {
    /// Finds the examples in a Markdown text.
    pub(crate) fn parse(text: &str) -> Self {
        let mut specification = Self::default();
        let mut lines = (1..).zip(text.lines());
        // True while the lines are of one indented block.
        let mut in_block = false;
        while let Some((line, text)) = lines.next() {
            if let Some(language) = text.strip_prefix("```") {
                let block: Vec<&str> = lines
                    .by_ref()
                    .map(|(_, text)| text)
                    .take_while(|text| !text.starts_with("```"))
                    .collect();
                if language == "json" {
                    specification.values.push(Example { line, text: block.join("\n") });
                }
            } else if let Some(request) = text.strip_prefix("    > ") {
                let request = Some(Example { line, text: request.to_owned() });
                specification.exchanges.push(ExampleExchange { request, answers: Vec::new() });
                in_block = true;
                continue;
            } else if let Some(answer) = text.strip_prefix("    < ") {
                if !in_block {
                    specification.exchanges.push(ExampleExchange::default());
                }
                if let Some(exchange) = specification.exchanges.last_mut() {
                    exchange.answers.push(Example { line, text: answer.to_owned() });
                }
                in_block = true;
                continue;
            } else {
                specification.inline(line, text);
            }
            in_block = false;
        }
        specification
    }

    /// Finds the inline code of a line.
    fn inline(&mut self, line: usize, text: &str) {
        let pieces: Vec<&str> = text.split('`').collect();
        for pair in pieces.chunks_exact(2) {
            let example = || Example { line, text: pair[1].to_owned() };
            if pair[0].to_lowercase().ends_with("answer: ") {
                self.values.push(example());
            } else if is_object(pair[1]) {
                self.parts.push(example());
            }
        }
    }
}

fn is_object(code: &str) -> bool {
    code.starts_with("{\"") && serde_json::from_str::<Value>(code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_bodies_and_inline_objects_are_found() {
        let text = "\
# A wire

Refusals are `{\"error\":\"…\"}`, not `{error}` or `true`. Answer: `[]`.

    > {\"do\": 1}
    < {\"did\": 1}
    < {\"did\": 2}
    > {\"do\": 2}

Pushed:

    < {\"pushed\": 1}

```json
{
}
```

```http
GET / HTTP/1.1
```
";
        let example = |line, text: &str| Example { line, text: text.to_owned() };
        let exchange =
            |request, answers: &[Example]| ExampleExchange { request, answers: answers.to_vec() };
        let expected = Specification {
            exchanges: vec![
                exchange(
                    Some(example(5, "{\"do\": 1}")),
                    &[example(6, "{\"did\": 1}"), example(7, "{\"did\": 2}")],
                ),
                exchange(Some(example(8, "{\"do\": 2}")), &[]),
                exchange(None, &[example(12, "{\"pushed\": 1}")]),
            ],
            values: vec![example(3, "[]"), example(14, "{\n}")],
            parts: vec![example(3, "{\"error\":\"…\"}")],
        };
        assert_eq!(Specification::parse(text), expected);
    }
}
