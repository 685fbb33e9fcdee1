//! The command line, alone and beside a running gateway.

use crate::harness::{Bearer, Gateway, PASSWORD, data_folder, eventually, run, tolmach};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use serde_json::json;
use std::process::Output;
use tempfile::TempDir;
use tolmach_test_servers::{Durability, Postgres};

fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The output of a command that must succeed and write nothing to standard error.
fn stdout_of(output: &Output) -> String {
    let (code, stdout, stderr) = outcome(output);
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    stdout
}

/// The exit code and the errors of a command that must fail and print nothing else.
fn failed(output: &Output) -> (i32, String) {
    let (code, stdout, stderr) = outcome(output);
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("error: "), "{stderr}");
    (code.expect("it ended by itself"), stderr)
}

#[tokio::test]
async fn accounts_are_added_changed_and_listed_beside_a_running_gateway() {
    let gateway = Gateway::start().await;
    let add =
        ["user", "add", "carol", "--password", PASSWORD, "--email", "carol@example.org", "--admin"];
    let id: i64 = stdout_of(&gateway.run(add).await).trim().parse().expect("the id is printed");
    let carol = Bearer::log_in(&gateway, "carol").await;
    assert_eq!(carol.id, id);
    let row = async || {
        let list = stdout_of(&gateway.run(["user", "list"]).await);
        let row = list.lines().find(|line| line.contains("carol")).map(str::to_owned);
        row.unwrap_or_else(|| panic!("carol is not in {list}"))
    };
    let first = row().await;
    assert!(
        first.contains("carol@example.org")
            && first.contains("admin")
            && !first.contains("business"),
        "{first}"
    );
    for (flag, marks) in
        [("--business=true", ["admin", "business"]), ("--admin=false", ["business", "business"])]
    {
        assert_eq!(stdout_of(&gateway.run(["user", "set", "carol", flag]).await), "");
        let row = row().await;
        assert!(marks.iter().all(|mark| row.contains(mark)), "{flag}: {row}");
    }
    assert!(!row().await.contains("admin"));

    const NEXT: &str = "another password";
    assert_eq!(
        stdout_of(&gateway.run(["user", "set", "carol@example.org", "--password", NEXT]).await),
        ""
    );
    let logs_in = async |password: &str| {
        let body = json!({"username": "carol", "password": password});
        gateway.json("POST", "/api/v1/login", None, &body).await.status == 200
    };
    eventually("the new password", async || logs_in(NEXT).await.then_some(())).await;
    assert!(!logs_in(PASSWORD).await, "the old password must be refused");
    eventually("the end of the old token", async || {
        (carol.get("/user").await.status == 401).then_some(())
    })
    .await;

    for (arguments, reason) in [
        (vec!["user", "add", "CAROL", "--password", "x"], "taken"),
        (vec!["user", "add", "dave", "--password", ""], "password"),
        (vec!["user", "add", "", "--password", "x"], "login"),
        (vec!["user", "set", "nobody", "--admin=true"], "nobody"),
        (vec!["token", "nobody"], "nobody"),
    ] {
        let output = match &arguments[..] {
            [a, b] => gateway.run([*a, *b]).await,
            [a, b, c, d] => gateway.run([*a, *b, *c, *d]).await,
            [a, b, c, d, e] => gateway.run([*a, *b, *c, *d, *e]).await,
            other => panic!("{other:?}"),
        };
        let (code, error) = failed(&output);
        assert!(code == 1 && error.contains(reason), "{arguments:?}: {code} {error}");
    }
}

#[tokio::test]
async fn a_token_of_the_command_line_is_an_access_token() {
    let gateway = Gateway::start().await;
    stdout_of(&gateway.run(["user", "add", "carol", "--password", PASSWORD]).await);
    let token = stdout_of(&gateway.run(["token", "carol"]).await);
    let (token, rest) = token.split_once('\n').expect("it is a line");
    assert_eq!(rest, "");
    let carol = Bearer::of(&gateway, &json!({"access_token": token, "refresh_token": ""}));
    assert_eq!(carol.get("/user").await.expect(200)["username"], "carol");
}

#[tokio::test]
async fn dialects_lists_endpoints_and_disabled_dialects() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let list = stdout_of(
        &run(folder.path(), &[("DIALECTS__BEARER__ENABLED", "false")], ["dialects"]).await,
    );
    let row = |dialect: &str| {
        list.lines()
            .find(|line| line.starts_with(dialect))
            .unwrap_or_else(|| panic!("no {dialect} in {list}"))
    };
    assert!(row("mode").contains("doc") && row("mode").contains("/mode"), "{list}");
    assert!(row("bearer").contains("disabled"), "{list}");
}

#[tokio::test]
async fn a_bad_configuration_is_refused_by_name_and_shows_no_secret() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    std::fs::create_dir(data_folder(folder.path())).expect("it can be made");
    let file = data_folder(folder.path()).join("tolmach.toml");
    stdout_of(&run(folder.path(), &[], ["check"]).await);
    for (name, options, file_text, expected) in [
        (
            "an unknown key of the environment",
            vec![("HTTP__LISTEM", "127.0.0.1:0")],
            "",
            vec!["http.listem", "http.listen"],
        ),
        (
            "an unknown section of the environment",
            vec![("STOR__URL", "hunter2")],
            "",
            vec!["stor.url", "store.url"],
        ),
        (
            "an unknown key of the file",
            vec![],
            "[limits]\nframes = 1\n",
            vec!["`limits.frames`", "`limits.frame_", "tolmach.toml"],
        ),
        (
            "an unknown dialect",
            vec![("DIALECTS__MOOD__ENABLED", "true")],
            "",
            vec!["dialects.mood", "dialects.mode"],
        ),
        (
            "a mistyped value",
            vec![("LIMITS__MAX_JSON_DEPTH", "deep")],
            "",
            vec!["`limits.max_json_depth`"],
        ),
        (
            "a value out of range",
            vec![("AUTH__BCRYPT_COST", "99")],
            "",
            vec!["auth.bcrypt_cost", "31"],
        ),
        (
            "a duration without unit",
            vec![("KEEPALIVE__PING_INTERVAL", "30")],
            "",
            vec!["`keepalive.ping_interval`"],
        ),
        (
            "a size that is none",
            vec![],
            "[limits]\nsend_queue_bytes = \"much\"\n",
            vec!["`limits.send_queue_bytes`"],
        ),
        (
            "an unknown key of a nested section",
            vec![("AUTH__LOGIN_THROTTLE__WINDO", "1m")],
            "",
            vec!["`auth.login_throttle.windo`", "`auth.login_throttle.window`"],
        ),
        (
            "a wrong option of a dialect",
            vec![("DIALECTS__ACTION__ORIGINS", "chat.example.org")],
            "",
            vec!["`dialects.action.origins`", "origin"],
        ),
        ("an address without port", vec![("HTTP__LISTEN", "localhost")], "", vec!["http.listen"]),
        (
            "a mail server that is none",
            vec![("MAIL__URL", "pigeon://hunter2@host")],
            "",
            vec!["mail.url"],
        ),
        (
            "a file that is not TOML",
            vec![],
            "[auth]\njwt_secret = \"hunter2\n",
            vec!["tolmach.toml", "line 2"],
        ),
    ] {
        std::fs::write(&file, file_text).expect("it can be written");
        for command in ["check", "serve"] {
            let (code, error) = failed(&run(folder.path(), &options, [command]).await);
            assert_eq!(code, 2, "{name}, {command}: {error}");
            assert!(expected.iter().all(|part| error.contains(part)), "{name}, {command}: {error}");
            assert!(!error.contains("hunter2"), "{name}, {command}: {error}");
        }
    }
}

#[tokio::test]
async fn a_flag_precedes_the_environment_and_that_the_file() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("other.toml");
    std::fs::write(
        &file,
        "[http]\nlisten = \"127.0.0.1:1001\"\n[dialects.mode]\nenabled = false\n",
    )
    .expect("it can be written");
    let file = file.to_str().expect("it is text");
    let mut by_file = tolmach(folder.path(), &[], ["check", "--config", file]);
    by_file.env_remove("TOLMACH__HTTP__LISTEN");
    for (name, mut command, address) in [
        ("the file", by_file, "127.0.0.1:1001"),
        (
            "the environment",
            tolmach(
                folder.path(),
                &[("HTTP__LISTEN", "127.0.0.1:1002")],
                ["check", "--config", file],
            ),
            "127.0.0.1:1002",
        ),
        (
            "a flag",
            tolmach(folder.path(), &[], ["check", "--config", file, "--listen", "127.0.0.1:1003"]),
            "127.0.0.1:1003",
        ),
    ] {
        let text = stdout_of(&command.output().await.expect("the binary can be started"));
        assert!(text.contains(address) && text.contains("disabled"), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_store_is_brought_up_to_date_once() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let first = stdout_of(&run(folder.path(), &[], ["migrate"]).await);
    assert!(
        first.lines().count() > 0 && first.lines().all(|line| line.starts_with("applied ")),
        "{first}"
    );
    assert_eq!(stdout_of(&run(folder.path(), &[], ["migrate"]).await), "the store is up to date\n");
}

#[tokio::test]
async fn a_store_is_copied_to_another_and_a_killed_copy_continues() {
    let Some(server) = Postgres::start_or_skip(Durability::Fast) else { return };
    let mut gateway = Gateway::start().await;
    stdout_of(&gateway.run(["user", "add", "carol", "--password", PASSWORD]).await);
    let carol = Bearer::log_in(&gateway, "carol").await.id;
    gateway.signal("TERM").await;
    gateway.ended().await;
    let from = format!("sqlite://{}", gateway.data().join("tolmach.sqlite").display());
    let (folder, url) = (TempDir::new().expect("a temporary folder can be made"), server.url());
    let target = [("STORE__URL", &*url)];
    stdout_of(&run(folder.path(), &target, ["migrate"]).await);
    // The lock stops the copy at the second table until it is killed.
    let database = Database::connect(&url).await.expect("the server is up");
    let held = database.begin().await.expect("the server is up");
    held.execute_unprepared("LOCK TABLE session IN SHARE MODE")
        .await
        .expect("no other connection has the lock");
    let copy = ["copy", "--from", &from, "--to", &url];
    let mut child = tolmach(folder.path(), &[], copy)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let waiting =
        Statement::from_string(DbBackend::Postgres, "SELECT pid FROM pg_locks WHERE NOT granted");
    eventually("the copy to wait for the lock", async || {
        let rows = held.query_all_raw(waiting.clone()).await.expect("the server is up");
        (!rows.is_empty()).then_some(())
    })
    .await;
    child.kill().await.expect("it runs");
    held.rollback().await.expect("the server is up");
    let (code, error) = failed(&run(folder.path(), &target, ["user", "list"]).await);
    assert!(code == 1 && error.contains("not finished"), "{error}");

    let (code, table, progress) = outcome(&run(folder.path(), &[], copy).await);
    assert_eq!(code, Some(0), "{progress}");
    assert!(
        table.lines().any(|line| line.starts_with("session "))
            && table.ends_with("the same on both sides\n"),
        "{table}"
    );
    assert!(progress.lines().any(|line| line == "copying user: 1 of 1"), "{progress}");
    let (code, error) = failed(&run(folder.path(), &[], copy).await);
    assert!(code == 1 && error.contains("is not empty"), "{error}");

    let text = stdout_of(&run(folder.path(), &target, ["check"]).await);
    assert!(
        text.contains(&format!("PostgreSQL, database tolmach at {}", server.address())),
        "{text}"
    );
    let gateway = Gateway::with(&target).await;
    assert_eq!(Bearer::log_in(&gateway, "carol").await.id, carol);
}

#[tokio::test]
async fn help_names_every_command_and_errors_name_the_nearest() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let help = stdout_of(&run(folder.path(), &[], ["--help"]).await);
    for command in [
        "serve", "check", "migrate", "copy", "user", "flow", "prune", "token", "dialects", "demo",
        "--data", "--config",
    ] {
        assert!(help.contains(command), "{command} is not in\n{help}");
    }
    for command in
        ["serve", "check", "migrate", "copy", "user", "flow", "prune", "token", "dialects", "demo"]
    {
        assert!(
            stdout_of(&run(folder.path(), &[], [command, "--help"]).await).contains("--data"),
            "{command}"
        );
    }
    let (code, _, stderr) = outcome(&run(folder.path(), &[], ["serv"]).await);
    assert!(code == Some(2) && stderr.contains("serve"), "{stderr}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let gateway = Gateway::start().await;
    let folder = TempDir::new().expect("a temporary folder can be made");
    let address = gateway.address.to_string();
    let (code, error) = failed(&run(folder.path(), &[("HTTP__LISTEN", &address)], ["serve"]).await);
    assert!(code == 1 && error.contains(&address), "{error}");
}

#[tokio::test]
async fn serving_needs_no_command_and_creates_its_folder() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let mut child = tolmach(folder.path(), &[], std::iter::empty::<&str>())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let child = child.as_mut().expect("the binary can be started");
    let mut line = String::new();
    let mut stdout = tokio::io::BufReader::new(child.stdout.take().expect("it is piped"));
    let read = tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line);
    crate::harness::within("the first line", read).await.expect("it is text");
    assert!(line.starts_with("ready http=127.0.0.1:"), "{line}");
    assert!(line.contains(" admin=127.0.0.1:"), "{line}");
    let secret = std::fs::read_to_string(data_folder(folder.path()).join("jwt_secret"))
        .expect("it was made");
    assert!(secret.trim().len() >= 32);
}
