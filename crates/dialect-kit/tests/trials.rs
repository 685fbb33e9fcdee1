//! Every trial finds the defects that it is there for, and nothing in a sound dialect.

mod toy;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tolmach_dialect_kit::stories::all_faults;
use tolmach_dialect_kit::trials;
use tolmach_dialect_kit::{
    Coverage, Fidelity, Kit, Outcome, Project, Script, ScriptStep, fixtures, losses, operations,
    recognition, translation_in,
};
use tolmach_domain::{EventKind, Fault};
use toy::{Defect, Toy};

type Trial = (&'static str, fn(&Kit) -> Outcome);

macro_rules! trials {
    ($($name:ident)+) => { [$((stringify!($name), trials::$name as fn(&Kit) -> Outcome)),+] };
}

const ALL: [Trial; 17] = trials!(
    manifest_matches_behaviour
    deviations_match_losses
    transcripts_match
    stories_round_trip
    stories_render_purely
    frames_match_schemas
    schemas_are_used
    specification_examples_match
    first_frames_are_recognised
    ended_sessions_are_logged_out
    absent_values_are_accepted
    generated_requests_round_trip
    generated_events_render_purely
    malformed_frames_are_answered
    mutated_frames_are_answered
    arbitrary_bytes_are_harmless
    values_have_places
);

/// The partial losses of a sound toy.
const LOSSES: [&str; 4] = ["send", "list_flows", "flow_created", "posted"];

fn schemas() -> BTreeMap<&'static str, Value> {
    let strict = |properties: Value, required: Value| {
        json!({
            "type": "object", "additionalProperties": false,
            "properties": properties, "required": required,
        })
    };
    let id = json!({"$ref": "definitions.json#/$defs/id"});
    let id_or_null = json!({"anyOf": [id, {"type": "null"}]});
    let text = json!({"type": "string"});
    let did = |name: &str| json!({"const": name});
    let push = |name: &str, properties: Value| {
        let push = strict(properties, json!(["flow"]));
        strict(json!({name: push}), json!([name]))
    };
    BTreeMap::from([
        ("definitions.json", json!({"$defs": {"id": {"type": "integer", "minimum": 1}}})),
        (
            "login.request.json",
            strict(
                json!({"do": did("login"), "user": text, "password": text}),
                json!(["do", "user", "password"]),
            ),
        ),
        (
            "send.request.json",
            strict(
                json!({"do": did("send"), "token": text, "flow": id, "text": text}),
                json!(["do", "token", "flow", "text"]),
            ),
        ),
        ("list.request.json", strict(json!({"do": did("list")}), json!(["do"]))),
        (
            "login.reply.json",
            strict(json!({"did": did("login"), "token": text}), json!(["did", "token"])),
        ),
        (
            "send.reply.json",
            strict(json!({"did": did("send"), "message": id_or_null}), json!(["did", "message"])),
        ),
        (
            "list.reply.json",
            strict(
                json!({"did": did("list"), "flows": {"type": "array", "items": id}}),
                json!(["did", "flows"]),
            ),
        ),
        (
            "error.reply.json",
            strict(
                json!({"did": {"type": ["string", "null"]}, "error": text}),
                json!(["did", "error"]),
            ),
        ),
        (
            "posted.push.json",
            push("pushed", json!({"flow": id, "message": id, "author": id, "text": text})),
        ),
        ("made.push.json", push("made", json!({"flow": id, "owner": id_or_null}))),
    ])
}

/// The specification of a toy: an example of each kind of frame.
const SPECIFICATION: &str = r#"# A toy

Refusals have the name of a fault: `{"did":"login","error":"internal"}`.

    > {"do": "login", "user": "ann", "password": "correct horse"}
    < {"did": "login", "token": "secret"}
    < {"did": "login", "error": "wrong_credentials"}

    > {"do": "send", "token": "secret", "flow": 1, "text": "Hello"}
    < {"did": "send", "message": 7}

    > {"do": "list"}
    < {"did": "list", "flows": [1, 2]}

A frame without a method is a violation.

    > {"does": "nothing"}
    < {"did": null, "error": "shape"}

Pushed:

    < {"pushed": {"author": 1, "flow": 1, "message": 7, "text": "Hello"}}

```json
{"made": {"flow": 2, "owner": null}}
```
"#;

/// A `[[loss]]` of each operation, `true` for a partial one.
fn partial(operations: &[&'static str]) -> BTreeMap<&'static str, bool> {
    operations.iter().map(|operation| (*operation, true)).collect()
}

fn write(root: &Path, losses: &BTreeMap<&str, bool>, schemas: &BTreeMap<&str, Value>) -> Project {
    let (protocol, folder) = (root.join("protocols/toy"), root.join("schemas/toy"));
    for folder in [&protocol, &folder] {
        std::fs::create_dir_all(folder).expect("the temporary folder can be written");
    }
    let entry = |(operation, partial): (&&str, &bool)| {
        format!(
            "[[loss]]\noperation = \"{operation}\"\npartial = {partial}\nwhat = \"It.\"\n\
             reason = \"A toy.\"\n\n"
        )
    };
    std::fs::write(protocol.join("DEVIATIONS.toml"), losses.iter().map(entry).collect::<String>())
        .expect("the temporary folder can be written");
    std::fs::write(protocol.join("SPEC.md"), SPECIFICATION)
        .expect("the temporary folder can be written");
    for (name, schema) in schemas {
        std::fs::write(folder.join(name), schema.to_string())
            .expect("the temporary folder can be written");
    }
    Project::at(root)
}

fn kit(project: &Project, defect: Defect) -> Kit {
    let scripts = if defect == Defect::NoClient { vec![script()] } else { Vec::new() };
    Kit::new(project.clone(), || Toy::new(defect), scripts)
}

/// Every operation of the toy, as frames.
fn script() -> Script {
    let frame = |title, frame: Value| ScriptStep::text(title, frame.to_string());
    let token = fixtures::ANN.token;
    let steps = vec![
        frame("lists before the login", json!({"do": "list"})),
        frame("logs in", json!({"do": "login", "user": "ann", "password": "correct horse"})),
        frame("lists", json!({"do": "list"})),
        frame("sends", json!({"do": "send", "token": token, "flow": 1, "text": "Hello"})),
        ScriptStep::Event(EventKind::Posted(fixtures::message(1, 2))),
        ScriptStep::Event(EventKind::FlowCreated { flow: fixtures::flow(2), members: Vec::new() }),
        frame("has no such method", json!({"do": "dance"})),
    ];
    Script::websocket("script", "/toy", steps)
}

/// A project that is right for a sound toy, transcripts included.
fn sound(root: &Path) -> Project {
    let project = write(root, &partial(&LOSSES), &schemas());
    trials::rewrite_transcripts(&kit(&project, Defect::None)).expect("the toy plays its stories");
    project
}

/// The problems that a trial finds in a toy with this defect.
fn problems(project: &Project, defect: Defect, name: &str) -> Outcome {
    let (_, trial) = ALL.into_iter().find(|(known, _)| *known == name).expect("it is a trial");
    trial(&kit(project, defect))
}

#[test]
fn a_sound_dialect_passes_every_trial() {
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    for (name, trial) in ALL {
        if let Err(problems) = trial(&kit(&project, Defect::None)) {
            panic!("{name}:\n{problems}");
        }
    }
}

#[test]
fn a_sound_dialect_without_a_client_passes_every_trial() {
    let root = tempfile::tempdir().unwrap();
    let project = write(root.path(), &BTreeMap::new(), &schemas());
    let kit = kit(&project, Defect::NoClient);
    trials::rewrite_transcripts(&kit).expect("the toy plays its script");
    for (name, trial) in ALL {
        if let Err(problems) = trial(&kit) {
            panic!("{name}:\n{problems}");
        }
    }
}

#[test]
fn every_trial_finds_its_defects() {
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    for (defect, name, part) in [
        (Defect::ClaimsAPush, "manifest_matches_behaviour", "`edited`"),
        (Defect::CutsTexts, "stories_round_trip", "/text"),
        (Defect::LosesTheCorrelation, "stories_round_trip", "without the correlation"),
        (Defect::DropsTheAuthority, "stories_round_trip", "Administrator"),
        (Defect::DecodesRefusalsAsGrants, "stories_round_trip", "as a granted request"),
        (Defect::CannotEncodeAFault, "stories_round_trip", "no_photo"),
        (Defect::ChangesCredentials, "stories_round_trip", "has the credentials"),
        (Defect::LeavesFramesBehind, "stories_round_trip", "does not leave `out` as it was"),
        (Defect::RendersDifferently, "stories_render_purely", "twice"),
        (Defect::RendersByItsValue, "stories_render_purely", "by another value"),
        (Defect::DeliversWhatItCannotRender, "stories_render_purely", "but `render` fails"),
        (Defect::RendersDifferently, "generated_events_render_purely", "twice"),
        (Defect::RendersByItsValue, "generated_events_render_purely", "by two values"),
        (Defect::SendsTooMuch, "frames_match_schemas", "password"),
        (Defect::SendsTooMuch, "transcripts_match", "hunter2"),
        (Defect::RecognisesNothing, "first_frames_are_recognised", "not certain"),
        (Defect::StaysSubscribed, "ended_sessions_are_logged_out", "SessionsEnded"),
        (Defect::StaysSubscribed, "ended_sessions_are_logged_out", "None is expected"),
        (
            Defect::StaysSubscribedWhenRefused,
            "ended_sessions_are_logged_out",
            "after the response the subscription",
        ),
        (Defect::RemembersItsToken, "ended_sessions_are_logged_out", "were remembered"),
        (Defect::IgnoresTheLoggedOut, "ended_sessions_are_logged_out", "without an answer"),
        (Defect::RefusesAnAbsentMessage, "absent_values_are_accepted", "without message"),
        (Defect::RefusesAnAbsentOwner, "absent_values_are_accepted", "without flow.owner"),
        (Defect::RefusesAnAbsentMessage, "generated_requests_round_trip", "cannot decode"),
        (Defect::CutsLongTexts, "generated_requests_round_trip", "smallest input"),
        (
            Defect::PanicsOnNumbers,
            "malformed_frames_are_answered",
            "decoding panics: a text is expected",
        ),
        (Defect::PanicsOnBinary, "malformed_frames_are_answered", "as a binary frame"),
        (Defect::PanicsOnSyntax, "malformed_frames_are_answered", "JSON is expected"),
        (Defect::PanicsWhereItRecognises, "malformed_frames_are_answered", "recognising panics"),
        (Defect::PanicsInTheClient, "malformed_frames_are_answered", "to the client"),
        (Defect::LeavesRequestsBehind, "malformed_frames_are_answered", "requests in `out`"),
        (Defect::IgnoresViolations, "malformed_frames_are_answered", "neither answered nor closes"),
        (Defect::AnswersInAnotherForm, "malformed_frames_are_answered", "is no JSON"),
        (
            Defect::ForgetsItsLoginOnAViolation,
            "malformed_frames_are_answered",
            "a good one is not decoded",
        ),
        (Defect::PanicsOnSyntax, "mutated_frames_are_answered", "JSON is expected"),
        (Defect::PanicsOnSyntax, "arbitrary_bytes_are_harmless", "JSON is expected"),
        (Defect::SendsTooMuch, "values_have_places", "hunter2 at password"),
    ] {
        let Err(problems) = problems(&project, defect, name) else {
            panic!("{name} does not find {defect:?}");
        };
        assert!(
            problems.0.iter().any(|problem| problem.contains(part)),
            "{defect:?}, {name}: {part:?} is not in\n{problems}"
        );
    }
}

#[test]
fn files_that_do_not_fit_the_dialect_are_found() {
    type Spoil = fn(&Path);
    let cases: [(&str, &str, Spoil); 20] = [
        ("deviations_match_losses", "declares `login` lost, but it has frames", |root| {
            let mut more = partial(&LOSSES);
            more.insert("login", false);
            write(root, &more, &schemas());
        }),
        ("deviations_match_losses", "of `send` these have no frame", |root| {
            write(root, &partial(&LOSSES[1..]), &schemas());
        }),
        ("deviations_match_losses", "a part of `edit` lost, but all of it is", |root| {
            let mut more = partial(&LOSSES);
            more.insert("edit", true);
            write(root, &more, &schemas());
        }),
        (
            "deviations_match_losses",
            "a part of `unavailable` lost, but all of it arrives",
            |root| {
                let mut more = partial(&LOSSES);
                more.insert("unavailable", true);
                write(root, &more, &schemas());
            },
        ),
        ("deviations_match_losses", "no operation is named `teleport`", |root| {
            let mut more = partial(&LOSSES);
            more.insert("teleport", false);
            write(root, &more, &schemas());
        }),
        ("deviations_match_losses", "the file may be empty, but must exist", |root| {
            std::fs::remove_file(root.join("protocols/toy/DEVIATIONS.toml")).unwrap();
        }),
        ("schemas_are_used", "logout.request.json", |root| {
            let mut more = schemas();
            more.insert("logout.request.json", json!({"type": "object", "required": ["logout"]}));
            write(root, &partial(&LOSSES), &more);
        }),
        ("frames_match_schemas", "matches no schema", |root| {
            let mut less = schemas();
            less.insert("send.request.json", json!(false));
            write(root, &partial(&LOSSES), &less);
        }),
        ("malformed_frames_are_answered", "there are no schemas", |root| {
            std::fs::remove_dir_all(root.join("schemas/toy")).unwrap();
            std::fs::create_dir(root.join("schemas/toy")).unwrap();
        }),
        ("specification_examples_match", "SPEC.md:6: the server session encodes", |root| {
            let example = r#"{"did": "login", "token": "secret"}"#;
            respell(root, example, r#"{"token": "secret", "did": "login"}"#);
        }),
        ("specification_examples_match", "SPEC.md:7: the example matches no schema", |root| {
            respell(root, r#""error": "wrong"#, r#""fault": "wrong"#);
        }),
        ("specification_examples_match", "SPEC.md:7: the client session cannot decode", |root| {
            respell(root, "wrong_credentials", "wrong_password");
        }),
        ("specification_examples_match", "SPEC.md:12: the example matches no schema", |root| {
            respell(root, r#"{"do": "list"}"#, r#"{"do": "list", "all": true}"#);
        }),
        ("specification_examples_match", "SPEC.md:18: the server session encodes", |root| {
            respell(root, r#""error": "shape""#, r#""error": "syntax""#);
        }),
        ("specification_examples_match", "SPEC.md:22: the server session encodes", |root| {
            let mut looser = schemas();
            looser.insert("posted.push.json", json!({"required": ["pushed"]}));
            write(root, &partial(&LOSSES), &looser);
            respell(root, r#""text": "Hello"}}"#, r#""text": "Hello", "title": "x"}}"#);
        }),
        ("specification_examples_match", "no example matches schemas/toy/made.push.json", |root| {
            respell(root, "```json", "```text");
        }),
        ("specification_examples_match", "the file describes the wire", |root| {
            std::fs::remove_file(root.join("protocols/toy/SPEC.md")).unwrap();
        }),
        ("transcripts_match", "there are no transcripts", |root| {
            std::fs::remove_dir_all(root.join("protocols/toy/transcripts")).unwrap();
        }),
        ("transcripts_match", "line ", |root| {
            let path = root.join("protocols/toy/transcripts/chat.txt");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace("Hello yourself", "Hello, me")).unwrap();
        }),
        ("transcripts_match", "no story and no script has this name", |root| {
            std::fs::write(root.join("protocols/toy/transcripts/elsewhere.txt"), "").unwrap();
        }),
    ];
    for (name, part, spoil) in cases {
        let root = tempfile::tempdir().unwrap();
        let project = sound(root.path());
        spoil(root.path());
        let problems = problems(&project, Defect::None, name).expect_err(part);
        assert!(
            problems.0.iter().any(|problem| problem.contains(part)),
            "{part:?} is not in\n{problems}"
        );
    }
}

/// Replaces a part of the specification.
fn respell(root: &Path, part: &str, by: &str) {
    let path = root.join("protocols/toy/SPEC.md");
    let text =
        std::fs::read_to_string(&path).expect("the temporary folder can be read and written");
    assert!(text.contains(part), "{part}");
    std::fs::write(path, text.replace(part, by))
        .expect("the temporary folder can be read and written");
}

#[test]
fn what_is_missing_altogether_is_one_problem() {
    let root = tempfile::tempdir().unwrap();
    let project = Project::at(root.path());
    for name in ["malformed_frames_are_answered", "frames_match_schemas", "transcripts_match"] {
        let problems = problems(&project, Defect::None, name).expect_err("there are no files");
        assert_eq!(problems.0.len(), 1, "{name}: {problems}");
        let root = root.path().display().to_string();
        assert!(problems.0[0].contains(&root), "{name}: {problems}");
    }
}

#[test]
fn whole_losses_are_computed() {
    let losses = losses(&Toy::new(Defect::None)).expect("the toy has a client");
    assert_eq!(losses.of("unavailable"), Some(&Coverage::Full));
    assert!(
        matches!(
            losses.of("send"),
            Some(Coverage::Partial { unsupported, .. })
                if unsupported.iter().any(|title| title.contains("a sticker"))
        ),
        "{losses:?}"
    );
    let has_frames = ["login", "send", "list_flows", "posted", "flow_created"];
    let faults: Vec<&str> = all_faults().iter().map(Fault::name).collect();
    let expected: Vec<&str> = operations()
        .into_iter()
        .filter(|name| !has_frames.contains(name) && !faults.contains(name))
        .collect();
    assert_eq!(losses.whole().collect::<Vec<_>>(), expected);
    assert!(tolmach_dialect_kit::losses(&Toy::new(Defect::NoClient)).is_none());
}

#[test]
fn a_frame_that_two_dialects_claim_is_found() {
    let toy = |defect| Toy::new(defect);
    recognition(&[&toy(Defect::None)]).unwrap();
    recognition(&[&toy(Defect::None), &Toy::sibling()]).unwrap();
    for (defect, part) in [
        (Defect::RecognisesNothing, "is claimed by {}"),
        (Defect::RecognisesEverything, "is claimed by {\"sibling\", \"toy\"}"),
        (Defect::RecognisesASiblingsKey, "is claimed by {\"sibling\", \"toy\"}"),
        (Defect::RecognisesNoForeignKey, "toy no longer claims"),
    ] {
        let problems = recognition(&[&toy(defect), &Toy::sibling()]).expect_err(part);
        assert!(
            problems.0.iter().any(|problem| problem.contains(part)),
            "{defect:?}: {part:?} is not in\n{problems}"
        );
    }
}

#[test]
fn a_translation_reports_what_comes_through() {
    let toy = |defect| Toy::new(defect);
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    let report = translation_in(&project, &toy(Defect::None), &toy(Defect::None)).unwrap();
    assert_eq!(report.operations["login"], Fidelity::Full);
    assert_eq!(report.operations["posted"], Fidelity::Full);
    assert_eq!(report.operations["edit"], Fidelity::Inexpressible);
    assert!(
        matches!(
            &report.operations["send"],
            Fidelity::Partial(what) if what.iter().any(|what| what.contains("a sticker"))
        ),
        "{report:?}"
    );
    let source = toy(Defect::DecodesRefusalsAsGrants);
    let problems = translation_in(&project, &source, &toy(Defect::None)).map(|_| ());
    assert_eq!(problems, Ok(()), "the source's own client is not part of the translation");
    let weak = write(root.path(), &partial(&LOSSES[1..]), &schemas());
    translation_in(&weak, &toy(Defect::CutsTexts), &toy(Defect::None))
        .expect_err("the source cuts texts and declares nothing");
    translation_in(&weak, &toy(Defect::None), &toy(Defect::CutsTexts))
        .expect("the target's server is not part of the translation");
    translation_in(&weak, &toy(Defect::NoClient), &toy(Defect::None))
        .expect_err("a dialect without a client cannot be translated from");
}
