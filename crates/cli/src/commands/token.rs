//! `tolmach token`

use super::operator::with_backend;
use crate::arguments::Location;
use crate::error::{CliError, RuntimeError};
use tolmach_domain::Fault;

pub(crate) async fn run(location: &Location, login: &str) -> Result<String, CliError> {
    with_backend(location, async |backend| match backend.engine.operator_token(login).await {
        Ok(token) => Ok(format!("{}\n", token.expose())),
        Err(Fault::NoSuchUser) => Err(RuntimeError::NoSuchAccount(login.to_owned()).into()),
        Err(fault) => Err(fault.into()),
    })
    .await
}
