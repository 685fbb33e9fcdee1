//! Contact data: one table of the users who are sent the e-mail address of another one, tried over
//! every dialect.

use crate::cluster::{Cluster, single_node};
use crate::frame_record::frame_record;
use crate::requests::{list_flows, new_group, post, unique};
use crate::users::{Failure, TestUser, client_name, failure};
use tolmach_cli::dialects::ids;
use tolmach_domain::{Command, UserRef};

/// The dialects whose wire has a place for the addresses of other users.
const WIRES_WITH_ADDRESSES: [&str; 1] = ["action"];

/// The acts of two members of a group, added by its owner, before one reads about the other.
struct Row {
    viewer_wrote: bool,
    other_wrote: bool,
    is_shown: bool,
}

const TABLE: [Row; 4] = [
    Row { viewer_wrote: false, other_wrote: false, is_shown: false },
    Row { viewer_wrote: true, other_wrote: false, is_shown: false },
    Row { viewer_wrote: false, other_wrote: true, is_shown: false },
    Row { viewer_wrote: true, other_wrote: true, is_shown: true },
];

/// Every row holds over a dialect.
pub(crate) fn are_shown_to_acquaintances(dialect: &str) -> Result<(), Failure> {
    let cluster = single_node();
    cluster.block_on(async {
        for row in &TABLE {
            try_row(&cluster, dialect, row).await?;
        }
        Ok(())
    })
}

async fn try_row(cluster: &Cluster, dialect: &str, row: &Row) -> Result<(), Failure> {
    let gateway = cluster.first();
    // A wire with addresses, so that the accounts have some.
    let register = async |name| TestUser::register(&unique(name), "mode", gateway).await;
    let (mut owner, mut viewer, mut other) =
        (register("owner").await?, register("viewer").await?, register("other").await?);
    let group = new_group(&mut owner, &unique("group "), &[viewer.id, other.id]).await?;
    for (user, wrote) in [(&mut viewer, row.viewer_wrote), (&mut other, row.other_wrote)] {
        if wrote {
            post(user.client(ids()[0]).await?, group, &unique("text ")).await?;
        }
    }
    let address = format!("{}@example.org", other.login);
    let search = |query: &str| Command::SearchUsers { query: query.to_owned(), limit: 50 };
    let mut requests = vec![list_flows(), group.get(), group.history()];
    requests.extend([
        vec![Command::GetUser { user: UserRef::Id(other.id) }],
        vec![Command::GetUser { user: UserRef::Login(other.login.clone()) }],
        vec![search("@")],
        vec![search(&other.login)],
        vec![search(&address)],
    ]);
    let client = viewer.client(dialect).await?;
    for forms in requests {
        for command in forms {
            client.request_any(&[command]).await.map_err(failure)?;
        }
    }
    let name = client_name(&viewer.login, dialect);
    let shown = frame_record().received_by(&name, &address);
    let is_expected = row.is_shown && WIRES_WITH_ADDRESSES.contains(&dialect);
    match (is_expected, shown.first()) {
        (true, Some(_)) | (false, None) => Ok(()),
        (true, None) => Err(format!("{name} was not sent {address}")),
        (false, Some(frame)) => Err(format!("{name} was sent {address}: {frame}")),
    }
}
