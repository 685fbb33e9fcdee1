//! `tolmach user`

use super::operator::with_backend;
use super::user_export::export;
use crate::arguments::{Location, UserCommand};
use crate::backend::Backend;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::table::table;
use std::collections::BTreeMap;
use std::io::BufRead;
use tolmach_adapters::HashForm;
use tolmach_domain::{Fault, FlowId, GrantKind, Registration, Secret, User};
use tolmach_engine::ports::{StoredUser, UserChange};

/// Accounts read at once.
const PAGE: u32 = 1_000;
/// The longest line read from standard input, in bytes: more than the longest password.
const MAX_LINE_BYTES: u64 = 4_096;

pub(crate) async fn run(location: &Location, command: UserCommand) -> Result<String, CliError> {
    match command {
        UserCommand::Add { login, password, email, admin, business } => {
            let password = read_password(password.argument, password.from_stdin)?;
            let password = password.ok_or(UsageError::NoPassword)?;
            let account = Registration {
                email,
                username: None,
                ..Registration::new(login, password, GrantKind::Nothing)
            };
            with_backend(location, async |backend| add(backend, account, admin, business).await)
                .await
        }
        UserCommand::Set { login, admin, business, password, email } => {
            let password = read_password(password.argument, password.from_stdin)?;
            if password.is_none() && admin.is_none() && business.is_none() && email.is_none() {
                return Err(UsageError::NothingToSet.into());
            }
            let change = UserChange { admin, business, email, ..UserChange::default() };
            with_backend(location, async |backend| {
                set(backend, &login, change, password.as_ref()).await
            })
            .await
        }
        UserCommand::Delete { login, erase: false } => {
            with_backend(location, async |backend| delete(backend, &login).await).await
        }
        UserCommand::Delete { login, erase: true } => {
            with_backend(location, async |backend| erase(backend, &login).await).await
        }
        UserCommand::Export { login, folder } => {
            with_backend(location, async |backend| {
                export(backend, account(backend, &login).await?, &folder).await
            })
            .await
        }
        UserCommand::List { hashes: false } => with_backend(location, list).await,
        UserCommand::List { hashes: true } => with_backend(location, hashes).await,
        UserCommand::Leave { login, flow } => {
            with_backend(location, async |backend| leave(backend, &login, flow).await).await
        }
        UserCommand::Block { login, blocked } => {
            with_backend(location, async |backend| block(backend, &login, &blocked).await).await
        }
        UserCommand::Unblock { login, blocked } => {
            with_backend(location, async |backend| unblock(backend, &login, &blocked).await).await
        }
        UserCommand::Blocks { login } => {
            with_backend(location, async |backend| blocks(backend, &login).await).await
        }
    }
}

async fn add(
    backend: &Backend,
    account: Registration,
    admin: bool,
    business: bool,
) -> Result<String, CliError> {
    let now = backend.engine.now();
    let user = backend.engine.create_account(account, now).await?;
    if admin || business {
        let change =
            UserChange { admin: Some(admin), business: Some(business), ..UserChange::default() };
        backend.engine.change_account(user.id, change, None, now).await?;
    }
    Ok(format!("{}\n", user.id))
}

async fn set(
    backend: &Backend,
    login: &str,
    change: UserChange,
    password: Option<&Secret>,
) -> Result<String, CliError> {
    let user = account(backend, login).await?;
    backend.engine.change_account(user.id, change, password, backend.engine.now()).await?;
    Ok(String::new())
}

async fn delete(backend: &Backend, login: &str) -> Result<String, CliError> {
    let user = account(backend, login).await?;
    backend.engine.remove_account(user, backend.engine.now()).await?;
    Ok(String::new())
}

async fn erase(backend: &Backend, login: &str) -> Result<String, CliError> {
    let user = account(backend, login).await?;
    let messages = backend.engine.erase_account(user, backend.engine.now()).await?;
    Ok(format!("{messages} messages erased\n"))
}

async fn leave(backend: &Backend, login: &str, flow: FlowId) -> Result<String, CliError> {
    let user = account(backend, login).await?;
    backend.engine.leave(user.id, flow, None, backend.engine.now()).await?;
    Ok(String::new())
}

async fn block(backend: &Backend, login: &str, blocked: &str) -> Result<String, CliError> {
    let (user, blocked) = (account(backend, login).await?, account(backend, blocked).await?);
    backend.engine.block_user(user.id, blocked.id, backend.engine.now()).await?;
    Ok(String::new())
}

async fn unblock(backend: &Backend, login: &str, blocked: &str) -> Result<String, CliError> {
    let (user, blocked) = (account(backend, login).await?, account(backend, blocked).await?);
    backend.engine.unblock_user(user.id, blocked.id).await?;
    Ok(String::new())
}

async fn blocks(backend: &Backend, login: &str) -> Result<String, CliError> {
    let user = account(backend, login).await?;
    let blocked = backend.engine.blocked_users(user.id).await?;
    Ok(user_table(blocked.into_iter().map(row).collect()))
}

async fn account(backend: &Backend, login: &str) -> Result<User, RuntimeError> {
    backend.engine.account(login).await.map_err(|fault| match fault {
        Fault::NoSuchUser => RuntimeError::NoSuchAccount(login.to_owned()),
        fault => fault.into(),
    })
}

async fn list(backend: &Backend) -> Result<String, CliError> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let users = backend.engine.accounts(after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.id);
        rows.extend(users.into_iter().map(row));
    }
    Ok(user_table(rows))
}

/// The accounts with the kinds of their password hashes, and the number of each kind.
async fn hashes(backend: &Backend) -> Result<String, CliError> {
    let (mut rows, mut counts, mut after) = (Vec::new(), BTreeMap::new(), None);
    loop {
        let users = backend.engine.export_users(after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.user.id);
        for StoredUser { user, password_hash } in users {
            if user.deleted_at.is_some() {
                continue;
            }
            let kind = match password_hash.as_deref().map(HashForm::parse) {
                None => "none",
                Some(Ok(form)) => form.name(),
                Some(Err(_)) => "unknown",
            };
            *counts.entry(kind).or_insert(0_u64) += 1;
            rows.push([user.id.to_string(), user.login, kind.to_owned()]);
        }
    }
    let mut text = table(["ID", "LOGIN", "HASH"], rows);
    let counts: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    text.push_str(&format!("in all: {}\n", counts.join(", ")));
    Ok(text)
}

fn user_table(rows: Vec<[String; 6]>) -> String {
    table(["ID", "LOGIN", "NAME", "E-MAIL", "SINCE", ""], rows)
}

fn row(user: User) -> [String; 6] {
    let marks = [
        (user.admin, "admin"),
        (user.business, "business"),
        (user.bot, "bot"),
        (!user.profile, "no profile"),
    ];
    let marks: Vec<_> = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
    [
        user.id.to_string(),
        user.login,
        user.username,
        user.email.unwrap_or_default(),
        user.created_at.rfc3339(),
        marks.join(", "),
    ]
}

fn read_password(
    argument: Option<String>,
    from_stdin: bool,
) -> Result<Option<Secret>, RuntimeError> {
    if !from_stdin {
        return Ok(argument.map(Secret::new));
    }
    first_line(std::io::stdin().lock()).map(Some).map_err(RuntimeError::Input)
}

/// The first line without its end.
fn first_line(input: impl BufRead) -> std::io::Result<Secret> {
    let mut line = String::new();
    input.take(MAX_LINE_BYTES).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use tolmach_domain::{Authority, Command, Credentials};
    use tolmach_engine::Submission;

    /// The backends of a gateway and of an operator, on the same data.
    async fn two_backends() -> (tempfile::TempDir, Backend, Backend) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::with_file("[auth]\nbcrypt_cost = 4");
        let gateway = Backend::open(&config, folder.path()).await.unwrap();
        let operator = Backend::open(&config, folder.path()).await.unwrap();
        (folder, gateway, operator)
    }

    fn registration(login: &str) -> Registration {
        Registration::new(login, Secret::new("one"), GrantKind::Nothing)
    }

    async fn logs_in(backend: &Backend, identifier: &str, password: &str) -> bool {
        let command = Command::Login {
            identifier: identifier.into(),
            password: Secret::new(password),
            grant: GrantKind::Nothing,
        };
        let submission = Submission {
            caller: None,
            authority: Authority::Member,
            origin: None,
            address: None,
            command,
        };
        backend.engine.execute(submission).await.outcome.is_ok()
    }

    #[tokio::test]
    async fn accounts_are_added_and_changed_beside_a_running_gateway() {
        let (_folder, gateway, operator) = two_backends().await;
        let anna = Registration { email: Some("a@x.org".into()), ..registration("Anna") };
        assert_eq!(add(&operator, anna, true, false).await.unwrap(), "1\n");
        assert_eq!(add(&operator, registration("bob"), false, true).await.unwrap(), "2\n");
        let taken = add(&operator, registration("anna"), false, false).await;
        assert!(
            matches!(taken, Err(CliError::Runtime(RuntimeError::Fault(Fault::LoginTaken)))),
            "{taken:?}"
        );
        assert!(logs_in(&gateway, "anna", "one").await);
        assert!(logs_in(&gateway, "a@x.org", "one").await);
        let change =
            UserChange { admin: Some(false), business: Some(true), ..UserChange::default() };
        set(&operator, "anna", change, Some(&Secret::new("two"))).await.unwrap();
        assert!(logs_in(&gateway, "anna", "two").await);
        assert!(!logs_in(&gateway, "anna", "one").await);
        let absent = set(&operator, "carol", UserChange::default(), None).await.unwrap_err();
        assert_eq!(absent.to_string(), "there is no account \"carol\"");
        let list = list(&operator).await.unwrap();
        let rows: Vec<Vec<_>> =
            list.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let shown: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[row.len() - 1])).collect();
        assert_eq!(shown, [("1", "Anna", "business"), ("2", "bob", "business")]);
    }

    #[tokio::test]
    async fn an_erased_account_leaves_neither_profile_nor_messages() {
        let (_folder, gateway, operator) = two_backends().await;
        for login in ["anna", "bob"] {
            add(&operator, registration(login), false, false).await.unwrap();
        }
        let engine = &gateway.engine;
        let (anna, bob) =
            (engine.account("anna").await.unwrap(), engine.account("bob").await.unwrap());
        let as_user = async |user: &User, command: Command| {
            let token = engine.operator_token(&user.login).await.unwrap();
            let caller = engine.authenticate(&Credentials::Bearer(token), None).await.unwrap();
            let submission = Submission {
                caller,
                authority: Authority::Member,
                origin: None,
                address: None,
                command,
            };
            engine.execute(submission).await.outcome.unwrap()
        };
        let open = Command::OpenChat { with: tolmach_domain::UserRef::Id(bob.id) };
        let opened = as_user(&anna, open).await;
        let tolmach_domain::Answer::ChatOpened { flow, .. } = opened else { panic!("{opened:?}") };
        for (author, text) in [(&anna, "hers"), (&bob, "his"), (&anna, "hers too")] {
            let message = tolmach_domain::NewMessage {
                flow,
                kinds: tolmach_domain::FlowKindFilter::Any,
                content: tolmach_domain::Content::text(text),
                key: None,
            };
            as_user(author, Command::Send(Box::new(message))).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("anna");
        let exported = export(&operator, anna.clone(), &folder).await.unwrap();
        assert!(exported.starts_with("2 messages in "), "{exported}");
        let data = std::fs::read_to_string(folder.join("data.jsonl")).unwrap();
        let lines: Vec<&str> = data.lines().collect();
        // The header, the user, the chat, two messages and the membership.
        assert_eq!(lines.len(), 6, "{data}");
        assert!(data.contains("hers too") && !data.contains("\"his\"") && !data.contains("$2b$"));
        assert!(export(&operator, anna.clone(), &folder).await.is_err(), "nothing is overwritten");
        assert_eq!(erase(&operator, "anna").await.unwrap(), "2 messages erased\n");
        assert!(!logs_in(&gateway, "anna", "one").await);
        let left = engine.export_messages(None, 10).await.unwrap();
        let texts: Vec<_> = left.iter().map(|message| message.content.text.as_str()).collect();
        assert_eq!(texts, ["his"]);
        assert!(erase(&operator, "anna").await.is_err(), "she is gone");
    }

    #[tokio::test]
    async fn the_gateway_accepts_an_operators_token() {
        let (_folder, gateway, operator) = two_backends().await;
        add(&operator, registration("anna"), false, false).await.unwrap();
        let token = operator.engine.operator_token("anna").await.unwrap();
        let principal =
            gateway.engine.authenticate(&Credentials::Bearer(token), None).await.unwrap().unwrap();
        assert_eq!(principal.identity.user, gateway.engine.account("anna").await.unwrap().id);
    }

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (input, password) in
            [("a\n", "a"), ("a", "a"), ("a\r\n", "a"), (" a \nb\n", " a "), ("", ""), ("\n", "")]
        {
            assert_eq!(first_line(input.as_bytes()).unwrap(), Secret::new(password), "{input:?}");
        }
        assert!(first_line(&[0xff, b'\n'][..]).is_err());
    }
}
