//! `tolmach token`

use super::{Failure, in_world};
use crate::cli::Place;
use tolmach_domain::Fault;

pub(super) async fn run(place: &Place, login: &str) -> Result<String, Failure> {
    in_world(place, async |world| match world.engine.operator_token(login).await {
        Ok(token) => Ok(format!("{}\n", token.expose())),
        Err(Fault::NoSuchUser) => Err(Failure::Failed(format!("there is no account {login:?}"))),
        Err(fault) => Err(fault.into()),
    })
    .await
}
