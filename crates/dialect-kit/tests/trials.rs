//! Every property catches the defect that it is there for, and finds nothing in a dialect that is
//! sound.

mod toy;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tolmach_dialect_kit::trials::{self, Outcome};
use tolmach_dialect_kit::{
    Fidelity, Kit, Project, operations, recognition, stories::all_faults, translation_in,
};
use toy::{Defect, Toy};

type Trial = (&'static str, fn(&Kit) -> Outcome);

macro_rules! trials {
    ($($name:ident)+) => { [$((stringify!($name), trials::$name as fn(&Kit) -> Outcome)),+] };
}

const ALL: [Trial; 13] = trials!(
    the_manifest_is_sound losses_are_declared transcripts_are_golden lines_survive_the_wire notices_render_as_they_are_encoded
    frames_match_their_schemas every_schema_is_used openings_are_recognised generated_lines_survive_the_wire
    generated_notices_render_purely malformed_frames_earn_an_answer mutated_frames_earn_an_answer arbitrary_bytes_do_no_harm
);

/// The losses of a sound toy, partial ones as `true`.
fn losses() -> BTreeMap<&'static str, bool> {
    let faults: Vec<&str> = all_faults().iter().map(tolmach_domain::Fault::name).collect();
    let said = ["login", "send", "posted"];
    let mut losses: BTreeMap<&str, bool> = operations()
        .into_iter()
        .filter(|name| !said.contains(name) && !faults.contains(name))
        .map(|name| (name, false))
        .collect();
    losses.insert("send", true);
    losses
}

fn schemas() -> BTreeMap<&'static str, Value> {
    let strict = |properties: Value, required: Value| json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required});
    let id = json!({"$ref": "definitions.json#/$defs/id"});
    let text = json!({"type": "string"});
    BTreeMap::from([
        ("definitions.json", json!({"$defs": {"id": {"type": "integer", "minimum": 1}}})),
        (
            "login.request.json",
            strict(
                json!({"do": {"const": "login"}, "user": text, "password": text}),
                json!(["do", "user", "password"]),
            ),
        ),
        (
            "send.request.json",
            strict(
                json!({"do": {"const": "send"}, "token": text, "flow": id, "text": text}),
                json!(["do", "token", "flow", "text"]),
            ),
        ),
        (
            "login.reply.json",
            strict(json!({"did": {"const": "login"}, "token": text}), json!(["did", "token"])),
        ),
        (
            "send.reply.json",
            strict(
                json!({"did": {"const": "send"}, "message": {"anyOf": [id, {"type": "null"}]}}),
                json!(["did", "message"]),
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
            strict(
                json!({"pushed": strict(json!({"flow": id, "message": id, "author": id, "text": text}), json!(["flow"]))}),
                json!(["pushed"]),
            ),
        ),
    ])
}

fn write(root: &Path, losses: &BTreeMap<&str, bool>, schemas: &BTreeMap<&str, Value>) -> Project {
    let (protocol, folder) = (root.join("protocols/toy"), root.join("schemas/toy"));
    std::fs::create_dir_all(&protocol).expect("the temporary folder can be written");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let entry = |(operation, partial): (&&str, &bool)| {
        format!(
            "[[loss]]\noperation = \"{operation}\"\npartial = {partial}\nwhat = \"It.\"\nreason = \"A toy.\"\n\n"
        )
    };
    std::fs::write(protocol.join("DEVIATIONS.toml"), losses.iter().map(entry).collect::<String>())
        .expect("the temporary folder can be written");
    for (name, schema) in schemas {
        std::fs::write(folder.join(name), schema.to_string())
            .expect("the temporary folder can be written");
    }
    Project::at(root)
}

/// A project that is right for a sound toy, transcripts included.
fn sound(root: &Path) -> Project {
    let project = write(root, &losses(), &schemas());
    trials::rewrite_transcripts(&Kit::new(project.clone(), Toy(Defect::None), Vec::new()))
        .expect("the toy tells its stories");
    project
}

#[test]
fn a_sound_dialect_has_every_property() {
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    for (name, trial) in ALL {
        if let Err(problems) = trial(&Kit::new(project.clone(), Toy(Defect::None), Vec::new())) {
            panic!("{name}:\n{problems}");
        }
    }
}

#[test]
fn every_property_catches_its_defect() {
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    for (defect, name, part) in [
        (Defect::ClaimsAPush, "the_manifest_is_sound", "`edited`"),
        (Defect::CutsTexts, "lines_survive_the_wire", "/text"),
        (Defect::ForgetsTheEcho, "lines_survive_the_wire", "echo"),
        (Defect::DropsTheAuthority, "lines_survive_the_wire", "Administrator"),
        (Defect::HearsRefusalsAsGrants, "lines_survive_the_wire", "is heard as granted"),
        (Defect::CannotSayAFault, "lines_survive_the_wire", "no_photo"),
        (Defect::MistakesAProof, "lines_survive_the_wire", "proven by"),
        (Defect::LeavesFramesBehindOnALoss, "lines_survive_the_wire", "a loss does not leave"),
        (Defect::RendersDifferently, "notices_render_as_they_are_encoded", "twice"),
        (
            Defect::RendersUnlikeItsEncoding,
            "notices_render_as_they_are_encoded",
            "for the connection alone",
        ),
        (Defect::RendersDifferently, "generated_notices_render_purely", "twice"),
        (Defect::SaysTooMuch, "frames_match_their_schemas", "password"),
        (Defect::SaysTooMuch, "transcripts_are_golden", "hunter2"),
        (Defect::RecognisesNothing, "openings_are_recognised", "not certain"),
        (Defect::CutsLongTexts, "generated_lines_survive_the_wire", "smallest input"),
        (
            Defect::PanicsOnNumbers,
            "malformed_frames_earn_an_answer",
            "decoding panics: a text is expected",
        ),
        (Defect::PanicsOnBinary, "malformed_frames_earn_an_answer", "as a binary frame"),
        (Defect::PanicsOnSyntax, "malformed_frames_earn_an_answer", "JSON is expected"),
        (Defect::PanicsWhereItRecognises, "malformed_frames_earn_an_answer", "recognising panics"),
        (Defect::PanicsInTheClient, "malformed_frames_earn_an_answer", "the client hears"),
        (Defect::LeavesLinesBehind, "malformed_frames_earn_an_answer", "lines behind"),
        (
            Defect::IgnoresViolations,
            "malformed_frames_earn_an_answer",
            "neither answered nor closes",
        ),
        (Defect::AnswersInAnotherForm, "malformed_frames_earn_an_answer", "is no JSON"),
        (
            Defect::ForgetsItsLoginOnAViolation,
            "malformed_frames_earn_an_answer",
            "a good one is not understood",
        ),
        (Defect::PanicsOnSyntax, "mutated_frames_earn_an_answer", "JSON is expected"),
        (Defect::PanicsOnSyntax, "arbitrary_bytes_do_no_harm", "JSON is expected"),
    ] {
        let (_, trial) = ALL.into_iter().find(|(known, _)| *known == name).unwrap();
        let problems = trial(&Kit::new(project.clone(), Toy(defect), Vec::new()))
            .expect_err(&format!("{name} does not see {defect:?}"));
        assert!(
            problems.0.iter().any(|problem| problem.contains(part)),
            "{defect:?}, {name}: {part:?} is not in\n{problems}"
        );
    }
}

#[test]
fn files_that_do_not_fit_the_dialect_are_found() {
    type Spoil = fn(&Path);
    let cases: [(&str, &str, Spoil); 9] = [
        ("losses_are_declared", "`edit` is never said", |root| {
            let mut less = losses();
            less.remove("edit");
            write(root, &less, &schemas());
        }),
        ("losses_are_declared", "declares `login` lost, but it is said", |root| {
            let mut more = losses();
            more.insert("login", false);
            write(root, &more, &schemas());
        }),
        ("losses_are_declared", "of `send` these are not said", |root| {
            let mut less = losses();
            less.remove("send");
            write(root, &less, &schemas());
        }),
        ("losses_are_declared", "a part of `unavailable` lost, but all of it arrives", |root| {
            let mut more = losses();
            more.insert("unavailable", true);
            write(root, &more, &schemas());
        }),
        ("losses_are_declared", "no operation is named `teleport`", |root| {
            let mut more = losses();
            more.insert("teleport", false);
            write(root, &more, &schemas());
        }),
        ("every_schema_is_used", "logout.request.json", |root| {
            let mut more = schemas();
            more.insert("logout.request.json", json!({"type": "object", "required": ["logout"]}));
            write(root, &losses(), &more);
        }),
        ("frames_match_their_schemas", "matches no schema", |root| {
            let mut less = schemas();
            less.insert("send.request.json", json!(false));
            write(root, &losses(), &less);
        }),
        ("transcripts_are_golden", "line ", |root| {
            let path = root.join("protocols/toy/transcripts/chat.txt");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace("Hello yourself", "Hello, me")).unwrap();
        }),
        ("transcripts_are_golden", "no story and no script has this name", |root| {
            std::fs::write(root.join("protocols/toy/transcripts/elsewhere.txt"), "").unwrap();
        }),
    ];
    for (name, part, spoil) in cases {
        let root = tempfile::tempdir().unwrap();
        let project = sound(root.path());
        spoil(root.path());
        let (_, trial) = ALL.into_iter().find(|(known, _)| *known == name).unwrap();
        let problems = trial(&Kit::new(project, Toy(Defect::None), Vec::new())).expect_err(part);
        assert!(
            problems.0.iter().any(|problem| problem.contains(part)),
            "{part:?} is not in\n{problems}"
        );
    }
}

#[test]
fn a_frame_that_two_dialects_claim_is_found() {
    recognition(&[&Toy(Defect::None)]).unwrap();
    recognition(&[&Toy(Defect::None), &Toy(Defect::RecognisesNothing)])
        .expect_err("one of the two does not know its own frames");
    recognition(&[&Toy(Defect::None), &Toy(Defect::RecognisesEverything)])
        .expect_err("both claim the frames");
}

#[test]
fn a_translation_reports_what_comes_through() {
    let root = tempfile::tempdir().unwrap();
    let project = sound(root.path());
    let report = translation_in(&project, &Toy(Defect::None), &Toy(Defect::None)).unwrap();
    assert_eq!(report.operations["login"], Fidelity::Full);
    assert_eq!(report.operations["posted"], Fidelity::Full);
    assert_eq!(report.operations["edit"], Fidelity::Inexpressible);
    assert!(
        matches!(&report.operations["send"], Fidelity::Partial(what) if what.iter().any(|what| what.contains("a sticker"))),
        "{report:?}"
    );
    let problems =
        translation_in(&project, &Toy(Defect::HearsRefusalsAsGrants), &Toy(Defect::None))
            .map(|_| ());
    assert_eq!(problems, Ok(()), "the source's client is a native peer's own affair");
    let weak = write(
        root.path(),
        &losses().into_iter().filter(|(name, _)| *name != "send").collect(),
        &schemas(),
    );
    translation_in(&weak, &Toy(Defect::CutsTexts), &Toy(Defect::None))
        .expect_err("the source cuts texts and declares nothing");
    translation_in(&weak, &Toy(Defect::None), &Toy(Defect::CutsTexts))
        .expect("what the target's server does is no matter of the wire");
}
