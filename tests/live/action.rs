//! The dialect `action` at a gateway: protocols/action/SPEC.md.

use crate::harness::{Bearer, Gateway};
use serde_json::{Value, json};

#[tokio::test]
async fn numbers_that_are_no_ids_are_left_by_delete_messages() {
    let gateway = Gateway::start().await;
    let ann = Bearer::register(&gateway, "ann").await;
    let group = ann.group("diary", &[]).await;
    let authorization = format!("Bearer {}", ann.access);
    let headers = [("authorization", &*authorization), ("origin", "http://localhost")];
    let opened = gateway.try_websocket("/ws/chat/", &headers).await;
    let mut peer = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let join = json!({"action": "join_room", "room_pk": group, "request_id": 1});
    assert_eq!(peer.request(&join).await["response_status"], 200);
    let create = json!({"action": "create_message", "msg_text": "hello", "request_id": 2});
    let created = peer.request(&create).await;
    assert_eq!(created["response_status"], 201, "{created}");
    let message = created["data"]["id"].as_i64().expect("an id is a number");

    let mut delete = async |ids: Value| {
        let frame = json!({"action": "delete_messages", "msg_id_list": ids, "request_id": 3});
        peer.request(&frame).await
    };
    for ids in [json!([0]), json!([-1]), json!([]), json!([0, -1]), json!([999_999])] {
        let reply = delete(ids.clone()).await;
        assert_eq!(reply["response_status"], 404, "{ids}: {reply}");
    }
    for ids in [json!(["1"]), json!([1.5]), json!([null])] {
        let reply = delete(ids.clone()).await;
        assert_eq!(reply["response_status"], 400, "{ids}: {reply}");
    }
    assert_eq!(ann.room(&format!("/group/{group}")).await.1, ["hello"], "nothing is deleted");
    let reply = delete(json!([message, 0])).await;
    let left = json!(["Not all of the requested messages were deleted! Left: 0"]);
    assert_eq!((&reply["response_status"], &reply["errors"]), (&json!(200), &left), "{reply}");
    assert_eq!(reply["data"]["messages_ids"], json!([message]), "{reply}");
    assert_eq!(ann.room(&format!("/group/{group}")).await.1, [""; 0], "the message is deleted");
}
