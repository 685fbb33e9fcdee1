//! `tolmach user`

use super::{Failure, in_world, table};
use crate::cli::{Place, User};
use crate::world::World;
use std::io::BufRead;
use tolmach_domain::{Fault, GrantKind, Registration, Secret};
use tolmach_engine::ports::UserChange;

/// Accounts read at once.
const PAGE: u32 = 1_000;
/// More than the longest password.
const STDIN_LIMIT: u64 = 4_096;

pub(super) async fn run(place: &Place, command: User) -> Result<String, Failure> {
    match command {
        User::Add { login, password, email, admin, business } => {
            let password = read_password(password.given, password.stdin)?;
            let password =
                password.ok_or_else(|| Failure::Configuration("a password is needed".into()))?;
            in_world(place, async |world| add(world, login, password, email, admin, business).await)
                .await
        }
        User::Set { login, admin, business, password, email } => {
            let password = read_password(password.given, password.stdin)?;
            if password.is_none() && admin.is_none() && business.is_none() && email.is_none() {
                return Err(Failure::Configuration(
                    "nothing to set: name --admin, --business, --email, --password or --password-stdin".into(),
                ));
            }
            let change = UserChange { admin, business, email, ..UserChange::default() };
            in_world(place, async |world| set(world, &login, change, password.as_ref()).await).await
        }
        User::Delete { login } => in_world(place, async |world| delete(world, &login).await).await,
        User::List => in_world(place, list).await,
    }
}

async fn add(
    world: &World,
    login: String,
    password: Secret,
    email: Option<String>,
    admin: bool,
    business: bool,
) -> Result<String, Failure> {
    let now = world.engine.now();
    let registration = Registration {
        login: Some(login),
        password,
        username: None,
        email,
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Nothing,
    };
    let user = world.engine.create_account(registration, now).await?;
    if admin || business {
        let change =
            UserChange { admin: Some(admin), business: Some(business), ..UserChange::default() };
        world.engine.change_account(user.id, change, None, now).await?;
    }
    Ok(format!("{}\n", user.id))
}

async fn set(
    world: &World,
    login: &str,
    change: UserChange,
    password: Option<&Secret>,
) -> Result<String, Failure> {
    let user = account(world, login).await?;
    world.engine.change_account(user.id, change, password, world.engine.now()).await?;
    Ok(String::new())
}

async fn delete(world: &World, login: &str) -> Result<String, Failure> {
    world.engine.remove_account(account(world, login).await?, world.engine.now()).await?;
    Ok(String::new())
}

async fn account(world: &World, login: &str) -> Result<tolmach_domain::User, Failure> {
    world.engine.account(login).await.map_err(|fault| match fault {
        Fault::NoSuchUser => Failure::Failed(format!("there is no account {login:?}")),
        fault => fault.into(),
    })
}

async fn list(world: &World) -> Result<String, Failure> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let users = world.engine.accounts(after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.id);
        rows.extend(users.into_iter().map(|user| {
            let marks = [
                (user.admin, "admin"),
                (user.business, "business"),
                (user.bot, "bot"),
                (!user.profile, "no profile"),
            ];
            let marks = marks
                .into_iter()
                .filter_map(|(has, mark)| has.then_some(mark))
                .collect::<Vec<_>>()
                .join(", ");
            [
                user.id.to_string(),
                user.login,
                user.username,
                user.email.unwrap_or_default(),
                user.created_at.rfc3339(),
                marks,
            ]
        }));
    }
    Ok(table(["ID", "LOGIN", "NAME", "E-MAIL", "SINCE", ""], rows))
}

fn read_password(given: Option<String>, stdin: bool) -> Result<Option<Secret>, Failure> {
    if !stdin {
        return Ok(given.map(Secret::new));
    }
    let line = first_line(std::io::stdin().lock())
        .map_err(|error| Failure::Failed(format!("standard input cannot be read: {error}")))?;
    Ok(Some(line))
}

fn first_line(input: impl BufRead) -> std::io::Result<Secret> {
    let mut line = String::new();
    input.take(STDIN_LIMIT).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use tolmach_domain::{Authority, Command, Credentials};
    use tolmach_engine::Request;

    /// A gateway's world and an operator's, on the same data.
    async fn two_worlds() -> (tempfile::TempDir, World, World) {
        let folder = tempfile::tempdir().unwrap();
        let flags = vec![("test", "auth.bcrypt_cost", "4".to_owned())];
        let config = Config::load(Sources { flags, ..Sources::default() }, &[]).unwrap();
        let gateway = World::open(&config, folder.path()).await.unwrap();
        let operator = World::open(&config, folder.path()).await.unwrap();
        (folder, gateway, operator)
    }

    async fn logs_in(world: &World, identifier: &str, password: &str) -> bool {
        let command = Command::Login {
            identifier: identifier.into(),
            password: Secret::new(password),
            grant: GrantKind::Nothing,
        };
        world
            .engine
            .execute(Request {
                caller: None,
                authority: Authority::Member,
                origin: None,
                address: None,
                command,
            })
            .await
            .outcome
            .is_ok()
    }

    #[tokio::test]
    async fn accounts_are_made_and_changed_beside_a_running_gateway() {
        let (_folder, gateway, operator) = two_worlds().await;
        assert_eq!(
            add(&operator, "Anna".into(), Secret::new("one"), Some("a@x.org".into()), true, false)
                .await,
            Ok("1\n".into())
        );
        assert_eq!(
            add(&operator, "bob".into(), Secret::new("one"), None, false, true).await,
            Ok("2\n".into())
        );
        assert_eq!(
            add(&operator, "anna".into(), Secret::new("one"), None, false, false).await,
            Err(Fault::LoginTaken.into())
        );
        assert!(
            logs_in(&gateway, "anna", "one").await && logs_in(&gateway, "a@x.org", "one").await
        );
        let change =
            UserChange { admin: Some(false), business: Some(true), ..UserChange::default() };
        assert_eq!(
            set(&operator, "anna", change, Some(&Secret::new("two"))).await,
            Ok(String::new())
        );
        assert!(logs_in(&gateway, "anna", "two").await && !logs_in(&gateway, "anna", "one").await);
        let absent = set(&operator, "carol", UserChange::default(), None).await;
        assert_eq!(absent, Err(Failure::Failed("there is no account \"carol\"".into())));
        let listed = list(&operator).await.unwrap();
        let rows: Vec<_> = listed
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        assert_eq!(
            rows.iter().map(|row| (row[0], row[1], *row.last().unwrap())).collect::<Vec<_>>(),
            [("1", "Anna", "business"), ("2", "bob", "business")]
        );
    }

    #[tokio::test]
    async fn an_operators_token_is_believed_by_the_gateway() {
        let (_folder, gateway, operator) = two_worlds().await;
        add(&operator, "anna".into(), Secret::new("one"), None, false, false).await.unwrap();
        let token = operator.engine.operator_token("anna").await.unwrap();
        let principal =
            gateway.engine.authenticate(&Credentials::Bearer(token), None).await.unwrap().unwrap();
        assert_eq!(principal.identity.user, gateway.engine.account("anna").await.unwrap().id);
    }

    #[test]
    fn a_password_is_the_first_line_as_it_is() {
        for (input, password) in
            [("a\n", "a"), ("a", "a"), ("a\r\n", "a"), (" a \nb\n", " a "), ("", ""), ("\n", "")]
        {
            assert_eq!(first_line(input.as_bytes()).unwrap(), Secret::new(password), "{input:?}");
        }
        assert!(first_line(&[0xff, b'\n'][..]).is_err());
    }
}
