//! The bounds on the content of messages.

use crate::fixture::Fixture;
use std::sync::Arc;
use tolmach_domain::*;
use tolmach_engine::Policy;
use tolmach_engine::memory::PlainPasswords;

const TEXT: usize = 100;
const ATTACHED: usize = 200;

fn content(text: usize, files: &[usize], emoji: Option<usize>) -> Content {
    let data = |bytes: usize| "A".repeat(bytes);
    let file = |bytes: &usize| Attachment { kind: AttachmentKind::Picture, data: data(*bytes) };
    Content {
        attachments: files.iter().map(file).collect(),
        emoji: emoji.map(data),
        // Two bytes a letter.
        ..Content::text("\u{444}".repeat(text / 2) + &data(text % 2))
    }
}

fn policy() -> Policy {
    Policy { max_text_bytes: TEXT, max_attachment_bytes: ATTACHED, ..Policy::default() }
}

#[tokio::test]
async fn messages_stored_under_higher_bounds_are_reduced_for_readers() {
    let before = Fixture::new();
    let (_, user) = before.user("user").await;
    let flow = before.group(&user, &[]).await;
    let message = NewMessage {
        flow,
        kinds: FlowKindFilter::Any,
        content: content(TEXT + 1, &[ATTACHED + 1], None),
        key: None,
    };
    let sent = before.execute(&user, Command::Send(Box::new(message))).await;
    sent.expect("the default bounds are higher");
    let passwords = Arc::new(PlainPasswords);
    let after = Fixture::on_store(before.store.clone(), before.bus.clone(), passwords, policy());
    let expected = format!("{}\n[picture, 201 bytes]", content(TEXT, &[], None).text);
    assert_eq!(after.texts(&user, flow).await, [expected.as_str()]);
    let changes = Command::GetChanges { since: Timestamp::default(), flow: None, limit: 10 };
    match after.execute(&user, changes).await.expect("a member may read") {
        Answer::Changes(changes) => {
            assert_eq!(changes.messages[0].content, Content::text(expected))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn content_passes_up_to_the_bounds_in_bytes() {
    let fixture = Fixture::with(policy());
    let (_, user) = fixture.user("user").await;
    let flow = fixture.group(&user, &[]).await;
    let too_long = Err(Fault::invalid("text", "must have at most 100 bytes"));
    let too_large = Err(Fault::invalid("file", "must have at most 200 bytes in all"));
    for (content, expected) in [
        (content(TEXT, &[], None), Ok(())),
        (content(TEXT + 1, &[], None), too_long.clone()),
        (content(TEXT, &[ATTACHED], None), Ok(())),
        (content(TEXT, &[ATTACHED + 1], None), too_large.clone()),
        (content(0, &[ATTACHED / 2, ATTACHED / 2], None), Ok(())),
        (content(0, &[ATTACHED / 2, ATTACHED / 2 + 1], None), too_large.clone()),
        (content(0, &[ATTACHED - 10], Some(10)), Ok(())),
        (content(0, &[ATTACHED - 10], Some(11)), too_large.clone()),
        (content(0, &[], Some(ATTACHED + 1)), too_large),
    ] {
        let sizes = (content.text.len(), content.attached_size());
        let kinds = FlowKindFilter::Any;
        let message = NewMessage { flow, kinds, content, key: None };
        let sent = fixture.execute(&user, Command::Send(Box::new(message))).await;
        assert_eq!(sent.map(drop), expected, "{sizes:?}");
    }
    let message = fixture.send(&user, flow, "hello").await.expect("a member may write").id;
    for (bytes, expected) in [(TEXT, Ok(())), (TEXT + 1, too_long)] {
        let edit = Command::Edit { message, flow: None, text: "A".repeat(bytes) };
        assert_eq!(fixture.execute(&user, edit).await.map(drop), expected, "{bytes}");
    }
}
