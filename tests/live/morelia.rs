//! The dialect `morelia` at a gateway: protocols/morelia/SPEC.md.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer};
use serde_json::{Value, json};

/// A client of the dialect `morelia`, logged in.
pub(crate) struct Morelia {
    pub(crate) peer: Peer,
    /// The `user` of its requests.
    pub(crate) user: Value,
}

impl Morelia {
    pub(crate) async fn log_in(gateway: &Gateway, login: &str) -> Self {
        let mut peer = gateway.websocket("/morelia").await;
        let user = json!({"login": login, "password": PASSWORD});
        let reply = peer.request(&request("auth", &json!({"user": user}))).await;
        assert_eq!(reply["errors"]["code"], 200, "{reply}");
        let user = &reply["data"]["user"];
        let user = json!({"id": user["id"], "auth_id": user["auth_id"]});
        Self { peer, user }
    }

    /// The same user on a new connection, by the token of an earlier login.
    pub(crate) async fn with_token(gateway: &Gateway, user: &Value) -> Self {
        Self { peer: gateway.websocket("/morelia").await, user: user.clone() }
    }

    /// A request that posts a message with this key.
    pub(crate) fn message(&self, flow: i64, key: i64, text: &str) -> Value {
        let message = json!({"id": key, "text": text});
        let data = json!({"flow": {"id": flow}, "message": message, "user": self.user});
        request("send_message", &data)
    }

    /// Posts a message; panics if it is refused.
    pub(crate) async fn send(&mut self, flow: i64, key: i64, text: &str) {
        let reply = self.peer.request(&self.message(flow, key, text)).await;
        assert_eq!(reply["errors"]["code"], 200, "{reply}");
    }
}

/// A request of the dialect.
pub(crate) fn request(method: &str, data: &Value) -> Value {
    json!({"type": method, "data": data, "jsonapi": {"version": 1.0}})
}

#[tokio::test]
async fn delete_user_with_another_id_or_token_is_refused_and_deletes_nothing() {
    let gateway = Gateway::start().await;
    Mode::register(&gateway, "ann").await;
    Mode::register(&gateway, "bob").await;
    let mut ann = Morelia::log_in(&gateway, "ann").await;
    let bob = Morelia::log_in(&gateway, "bob").await;
    let (id, token) = (&ann.user["id"], &ann.user["auth_id"]);
    let (other_id, other_token) = (&bob.user["id"], &bob.user["auth_id"]);
    let unknown = json!("dG9rZW4");
    for (name, fields, code) in [
        ("another user's id", json!({"id": other_id}), 401),
        ("an unknown id", json!({"id": 999_999}), 401),
        ("another user's token", json!({"auth_id": other_token}), 401),
        ("an unknown token", json!({"auth_id": unknown}), 401),
        ("the own id and another user's token", json!({"id": id, "auth_id": other_token}), 401),
        ("another user's id and the own token", json!({"id": other_id, "auth_id": token}), 401),
        ("the own id and the own token", json!({"id": id, "auth_id": token}), 200),
    ] {
        // Still there before each attempt.
        Bearer::log_in(&gateway, "ann").await;
        let mut user = json!({"login": "ann", "password": PASSWORD});
        let fields = fields.as_object().expect("the fields are an object").clone();
        user.as_object_mut().expect("the user is an object").extend(fields);
        let reply = ann.peer.request(&request("delete_user", &json!({"user": user}))).await;
        assert_eq!(reply["errors"]["code"], code, "{name}: {reply}");
    }
    let body = json!({"username": "ann", "password": PASSWORD});
    gateway.json("POST", "/api/v1/login", None, &body).await.refused(401);
    Bearer::log_in(&gateway, "bob").await;
}
