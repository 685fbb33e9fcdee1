//! Accounts against strangers: registrations in masses, logins and names that imitate others,
//! recovery, and secrets in the log.

use crate::harness::{Bearer, Gateway, Mode, PASSWORD, Peer, eventually};
use futures_util::future::{join, join_all};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn registration(login: &str, email: Option<&str>) -> Value {
    json!({"mode": "register", "timestamp": 1, "username": login, "password": PASSWORD,
        "email": email})
}

fn login(login: &str) -> Value {
    json!({"mode": "auth", "timestamp": 1, "username": login, "password": PASSWORD})
}

async fn status(peer: &mut Peer, frame: &Value) -> i64 {
    peer.request(frame).await["status"].as_i64().expect("a status is a number")
}

async fn mode_from(gateway: &Gateway, source: [u8; 4]) -> Peer {
    let stream = gateway.connect_from(source).await;
    gateway.try_websocket_on(stream, "/mode", &[]).await.expect("the handshake is accepted")
}

/// One address has more registrations under way than are hashed and than may wait, all the time.
#[tokio::test]
async fn logins_are_served_while_another_address_registers_in_masses() {
    const SOCKETS: usize = 40;
    const LOGINS: usize = 20;
    let gateway = Gateway::with(&[
        ("AUTH__BCRYPT_COST", "6"),
        ("AUTH__PASSWORD_WORKERS", "1"),
        ("AUTH__PASSWORD_QUEUE", "4"),
        ("AUTH__REGISTRATION_THROTTLE__MAX_PER_ADDRESS", "1000000"),
        ("AUTH__REGISTRATION_THROTTLE__MAX_IN_ALL", "1000000"),
    ])
    .await;
    Mode::register(&gateway, "ann").await;
    let (refused, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let storm = join_all((0..SOCKETS).map(async |socket| {
        let mut peer = mode_from(&gateway, [127, 0, 0, 2]).await;
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let login = format!("storm-{socket}-{number}");
            if status(&mut peer, &registration(&login, None)).await == 429 {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let logins = async {
        eventually("a full queue", async || {
            (refused.load(Ordering::Relaxed) > SOCKETS).then_some(())
        })
        .await;
        let mut peer = mode_from(&gateway, [127, 0, 0, 1]).await;
        let mut statuses = Vec::new();
        for _ in 0..LOGINS {
            statuses.push(status(&mut peer, &login("ann")).await);
        }
        done.store(true, Ordering::Relaxed);
        statuses
    };
    let (_, statuses) = join(storm, logins).await;
    assert_eq!(statuses, [200; LOGINS]);
}

#[tokio::test]
async fn registrations_of_an_address_are_limited_in_every_dialect_together() {
    let gateway = Gateway::with(&[
        ("AUTH__REGISTRATION_THROTTLE__MAX_PER_ADDRESS", "3"),
        ("AUTH__REGISTRATION_THROTTLE__MAX_IN_ALL", "5"),
    ])
    .await;
    let mut mode = gateway.websocket("/mode").await;
    assert_eq!(status(&mut mode, &registration("ann", None)).await, 200);
    assert_eq!(status(&mut mode, &registration("bob", None)).await, 200);
    assert_eq!(status(&mut mode, &registration("ann", None)).await, 409, "which counts");
    assert_eq!(status(&mut mode, &registration("carl", None)).await, 429);
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let frame = json!({"type": "REQUEST_SIGNUP", "login": "carl", "pass": PASSWORD});
    let reply = sndmsg.request(&frame).await.to_string();
    assert!(reply.contains("too many requests"), "{reply}");
    let mut morelia = gateway.websocket("/morelia").await;
    let user = json!({"login": "carl", "password": PASSWORD});
    let frame =
        json!({"type": "register_user", "data": {"user": user}, "jsonapi": {"version": 1.0}});
    assert_eq!(morelia.request(&frame).await["errors"]["code"], 429);
    let body = json!({"email": "carl@x.org", "password": PASSWORD, "username": "carl"});
    let response = gateway.json("POST", "/api/v1/register", None, &body).await;
    let seconds: u64 = response.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=3600).contains(&seconds), "{seconds}");
    response.refused(429);
    // Logins are not registrations, and other addresses have counts of their own.
    assert_eq!(status(&mut mode, &login("ann")).await, 200);
    let mut other = mode_from(&gateway, [127, 0, 0, 2]).await;
    assert_eq!(status(&mut other, &registration("carl", None)).await, 200);
    assert_eq!(status(&mut other, &registration("dora", None)).await, 429, "five in all");
    let text = gateway.log();
    let warnings = text.lines().filter(|line| line.contains("registrations from one address"));
    assert_eq!(warnings.count(), 1, "{text}");
}

#[tokio::test]
async fn nobody_takes_an_address_by_a_login() {
    let gateway = Gateway::start().await;
    let mut mode = gateway.websocket("/mode").await;
    let address = "victim@corp.example";
    assert_eq!(status(&mut mode, &registration("victim", Some(address))).await, 200);
    // The login of an account with this address, with another and with none.
    assert_eq!(status(&mut mode, &registration(address, Some(address))).await, 409);
    assert_eq!(status(&mut mode, &registration(address, Some("own@corp.example"))).await, 422);
    assert_eq!(status(&mut mode, &registration(address, None)).await, 422);
    assert_eq!(status(&mut mode, &registration("free@corp.example", None)).await, 422);
    assert_eq!(status(&mut mode, &registration("rival", Some("VICTIM@corp.example"))).await, 409);
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    let frame = json!({"type": "REQUEST_SIGNUP", "login": address, "pass": PASSWORD});
    assert_ne!(sndmsg.request(&frame).await["status"], "SINGUP_OK");
    let body = json!({"email": address, "password": PASSWORD});
    gateway.json("POST", "/api/v1/register", None, &body).await.refused(409);
    let log_in = async |body: Value| gateway.json("POST", "/api/v1/login", None, &body).await;
    let by_email = json!({"email": "Victim@corp.example", "password": PASSWORD});
    let pair = log_in(by_email).await.expect(200);
    let victim = Bearer::of(&gateway, &pair).get("/user").await.expect(200);
    assert_eq!(victim["username"], "victim");
    log_in(json!({"username": "victim", "password": PASSWORD})).await.expect(200);
    log_in(json!({"email": "victim", "password": PASSWORD})).await.refused(401);
}

#[tokio::test]
async fn logins_and_names_do_not_imitate_others() {
    let gateway = Gateway::start().await;
    let mut mode = gateway.websocket("/mode").await;
    assert_eq!(status(&mut mode, &registration("Support", None)).await, 200);
    for (login, expected) in [
        ("support", 409),
        // Cyrillic letters.
        ("Suppоrt", 409),
        ("ѕuрроrt", 409),
        // Characters that are not shown, that turn the direction, and that are wide.
        ("Sup\u{200b}port", 422),
        ("\u{202e}Support", 422),
        ("Support\u{2069}", 422),
        ("Ｓupport", 409),
        (" Support", 422),
        ("Sup  port", 422),
        ("Sup port", 200),
        ("Анна Мария", 200),
    ] {
        let found = status(&mut mode, &registration(login, None)).await;
        assert_eq!(found, expected, "{login:?}");
    }
    let mut morelia = gateway.websocket("/morelia").await;
    let mut register = async |login: &str, username: &str| {
        let user = json!({"login": login, "password": PASSWORD, "username": username});
        let frame =
            json!({"type": "register_user", "data": {"user": user}, "jsonapi": {"version": 1.0}});
        morelia.request(&frame).await["errors"]["code"].as_i64().expect("a code")
    };
    let accepted = register("ann", "Ann of Accounts").await;
    for name in ["SUPPORT", "Ѕuрроrt", "Ann\u{202e}", "Ann\u{200b}"] {
        assert_ne!(register("bob", name).await, accepted, "{name:?}");
    }
    assert_eq!(register("bob", "BOB").await, accepted);
    let carl = json!({"email": "carl@x.org", "password": PASSWORD, "username": "carl"});
    let pair = gateway.json("POST", "/api/v1/register", None, &carl).await.expect(200);
    let carl = Bearer::of(&gateway, &pair);
    let profile = |name: &str| json!({"username": "carl", "name": name, "description": ""});
    for name in ["Support", "suppоrt", "Carl\u{2066}"] {
        carl.form("/user", &profile(name), None).await.refused(400);
    }
    carl.form("/user", &profile("Carl"), None).await.expect(200);
}

/// Neither the login nor the name.
#[tokio::test]
async fn a_recovery_mail_has_no_text_of_users() {
    let gateway = Gateway::start().await;
    let mut mode = gateway.websocket("/mode").await;
    let login = "Buy now at evil.example";
    assert_eq!(status(&mut mode, &registration(login, Some("victim@x.org"))).await, 200);
    let recover = json!({"mode": "recovery", "timestamp": 1, "known_data": "victim@x.org",
        "known_data_type": "email"});
    for _ in 0..3 {
        assert_eq!(status(&mut mode, &recover).await, 202);
    }
    let warned = "recovery mails to one account";
    for line in [warned, "a recovery link was mailed"] {
        eventually(line, async || gateway.log().contains(line).then_some(())).await;
    }
    let mails: Vec<String> = std::fs::read_dir(gateway.data().join("mail"))
        .expect("the folder exists")
        .map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("a mail"))
        .collect();
    let [mail] = mails.as_slice() else { panic!("one mail is expected: {mails:?}") };
    assert!(mail.contains("/recover?token=") && mail.contains("To: victim@x.org"), "{mail}");
    for text in ["Buy", "evil"] {
        assert!(!mail.contains(text), "{mail}");
    }
    assert_eq!(gateway.log().matches(warned).count(), 1, "the log says it once");
}

/// Of passwords, tokens and messages, whatever the filter says.
#[tokio::test]
async fn the_log_holds_no_secret_at_any_level() {
    let filter = "trace,tungstenite=trace,hyper=trace,h2=trace,sqlx=trace,tolmach_server=trace";
    let gateway = Gateway::with(&[("LOG__FILTER", filter)]).await;
    let (ann, bob) =
        (Bearer::register(&gateway, "ann").await, Bearer::register(&gateway, "bob").await);
    let flow = bob.chat_with(ann.id).await;
    let mut ann = Mode::log_in(&gateway, "ann").await;
    ann.send(flow, "a message between two").await;
    let mut sndmsg = gateway.websocket("/sndmsg").await;
    sndmsg.request(&json!({"type": "REQUEST_LOGIN", "login": "ann", "pass": PASSWORD})).await;
    let mut http2 = gateway.http2().await;
    let body = json!({"username": "ann", "password": PASSWORD}).to_string();
    let request = gateway
        .request("POST", &format!("http://{}/api/v1/login", gateway.address))
        .header("content-type", "application/json")
        .body(http_body_util::Full::new(bytes::Bytes::from(body)))
        .expect("the request is valid");
    let response = http2.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    bob.get("/user").await.expect(200);
    let log = gateway.log();
    assert!(log.contains("request carried out"), "the gateway's own lines are there: {log}");
    for secret in [PASSWORD, &ann.token, &bob.access, &bob.refresh, "a message between two"] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
}

/// A database from before logins and addresses were one namespace.
#[tokio::test]
async fn collisions_are_printed_by_check_and_migrate() {
    let gateway = Gateway::start().await;
    let mut mode = gateway.websocket("/mode").await;
    assert_eq!(status(&mut mode, &registration("ann", Some("ann@x.org"))).await, 200);
    assert_eq!(status(&mut mode, &registration("bob", Some("bob@x.org"))).await, 200);
    let printed = async |command| {
        let text = gateway.run([command]).await.stdout;
        String::from_utf8(text).expect("text").contains("collision: ")
    };
    for command in ["check", "migrate"] {
        assert!(!printed(command).await, "{command}");
    }
    let url = format!("sqlite://{}", gateway.data().join("tolmach.sqlite").display());
    let database = sea_orm::Database::connect(url).await.expect("the store is a file");
    let collide = "UPDATE \"user\" SET login = 'bob@x.org', login_key = 'bob@x.org' WHERE id = 1";
    database.execute_unprepared(collide).await.expect("the user exists");
    database.close().await.expect("it was open");
    for command in ["check", "migrate"] {
        assert!(printed(command).await, "{command}");
    }
}
