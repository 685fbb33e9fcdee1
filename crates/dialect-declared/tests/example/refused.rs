//! Mistakes of a file: each is an error at its place.

use tolmach_dialect_declared::{Declared, DialectFile};

/// A small file that compiles.
const FILE: &str = r#"[dialect]
id = "desk"
summary = "an envelope with a name"
credentials = "connection"
[values.kind]
chat = "D"
"*" = "P"
[outcomes]
columns = ["code", "text"]
ok = ["0"]
"*" = ["1", "<field>: <reason>"]
[envelope]
request = '{"do": <name>, "body"+: {}}'
response = '{"do": <name>, "code": <outcome.code>, "body"+: {}}'
[[request.login]]
name = "in"
set = { grant = "connection" }
frame = '{"who": <identifier>, "pin": <password>}'
[[request.send]]
name = "put"
frame = '{"to": <flow: decimal>, "txt": <text>}'
response = '{"id": <id: decimal>}'
[[event.flow_created]]
name = "made"
frame = '{"kind": <flow.kind: kind>}'
"#;

/// The problems of [`FILE`] with one text in place of another.
fn problems(old: &str, new: &str) -> Vec<String> {
    assert!(FILE.contains(old), "{old}");
    let text = FILE.replacen(old, new, 1);
    match Declared::compile(DialectFile { name: "desk.toml", text: &text }, &[]) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn a_mistake_is_one_error_at_its_place() {
    assert!(problems("id", "id").is_empty());
    let mut wrong = Vec::new();
    for (old, new, expected) in [
        // Holes within texts.
        (
            "<flow.kind: kind>}",
            "<flow.kind: kind>, \"m\": \"is <flow.kind: present>!\"}",
            "25:47: <flow.kind>: true or false cannot stand in a text; write a form of texts",
        ),
        // Defaults.
        (
            "<flow: decimal>",
            "<flow: decimal = \"0\">",
            "21:17: <flow>: an id that is needed has no default",
        ),
        (
            "\"txt\": <text>",
            "\"txt\": <text = 0>",
            "21:41: <text>: the default is no value of the form of this hole",
        ),
        // Rows that nothing leads to.
        (
            "ok = [\"0\"]",
            "ok = [\"0\"]\nnot_autor = [\"7\"]",
            "11:13: not_autor: no fault, and no `ok` names it; the nearest is not_author",
        ),
        (
            "name = \"put\"",
            "name = \"put\"\noutcomes = { not_ownr = [\"4\"] }",
            "21:25: not_ownr: no such fault; the nearest is not_owner",
        ),
        (
            "name = \"put\"",
            "name = \"put\"\nrefused = { no_such_flw = '{\"x\": 1}' }",
            "21:27: no_such_flw: no such fault; the nearest is no_such_flow",
        ),
        // Lists of frames.
        (
            "frame = '{\"to\": <flow: decimal>, \"txt\": <text>}'",
            "frame = ['{\"to\": <flow: decimal>, \"txt\": <text>, \"re\"!: \"0\"}', \
             '{\"to\": <flow: decimal>, \"txt\": <text>, \"re\"!: <reply_to: decimal>}']",
            "19:1: send: one frame can be both frame 1 and frame 2 of the list; a constant, a \
             kind, or a key that only one has must differ, not below a key with `?`",
        ),
        // Two requests of one name.
        (
            "[[event.flow_created]]",
            "[[request.edit]]\nname = \"put\"\nframe = '{\"to\": <message: decimal>, \"txt\": \
             <text>}'\n[[event.flow_created]]",
            "23:1: requests send and edit: one frame can be both; a constant, a kind, or a key \
             that only one has must differ",
        ),
        // Names of forms.
        (
            "[outcomes]",
            "[values.flag]\ntrue = \"Y\"\nfalse = \"N\"\n[outcomes]",
            "8:1: flag: a form has this name; another one is needed",
        ),
        (
            "[outcomes]",
            "[choice]\nseconds = [\"plain\", \"seconds\"]\n[outcomes]",
            "9:11: seconds: a form has this name; another one is needed",
        ),
        // Values that never fit.
        (
            "credentials = \"connection\"",
            "credentials = \"field\"",
            "4:15: credentials: field: no request has a hole <proof.token>",
        ),
        (
            "name = \"made\"",
            "name = \"made\"\nonly = { \"flow.kind\" = \"D\" }",
            "25:24: D: no value of the model; there are chat, group, channel",
        ),
        (
            "[[event.flow_created]]",
            "[[event.flow_created]]\nname = \"all\"\n[[event.flow_created]]",
            "25:1: event.flow_created: never reached; the entry before it, whose `only` is wider, \
             has all of its events",
        ),
        (
            "id = \"desk\"",
            "id = \"Desk\"",
            "2:6: an id has lowercase letters and digits, and begins with a letter",
        ),
        (
            "credentials",
            "paths = [\"/desk/{room}\"]\ncredentials",
            "4:9: /desk/{room}: a path begins with a slash and has none of ? # { } * and spaces",
        ),
        (
            "credentials",
            "opens = '{}'\ncredentials",
            "4:9: opens: every object fulfils it; a key without `?` is needed",
        ),
        (
            "credentials",
            "opens = '{\"do\"?: <_: string>}'\ncredentials",
            "4:9: opens: every object fulfils it; a key without `?` is needed",
        ),
        // Tables.
        (
            "\"*\" = \"P\"",
            "group = \"P\"",
            "5:1: values.kind: channel has no value and there is no \"*\"",
        ),
        // Messages.
        (
            "<id: decimal>",
            "<posted_at: unix>",
            "22:32: unix: no such form; times have seconds, float_seconds, millis, plain, \
             rfc3339(0), date(\"%H:%M\")",
        ),
        (
            "name = \"put\"",
            "name = \"put\"\nenvelope = \"open\"",
            "19:1: [envelope] open: no such envelope; there are request, response",
        ),
        (
            "credentials",
            "extends = \"desk.toml\"\ncredentials",
            "4:11: desk.toml: the file extends itself",
        ),
    ] {
        let found = problems(old, new);
        if found != [format!("desk.toml:{expected}")] {
            wrong.push(format!("{new}: {found:#?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
