//! `tolmach migrate`

use super::{Failure, configure};
use crate::cli::Place;
use crate::ports::create_private_folder;
use crate::world::store_url;

pub(super) async fn run(place: &Place) -> Result<String, Failure> {
    let config = configure(place)?;
    let made = create_private_folder(&place.data);
    made.map_err(|error| {
        Failure::Failed(format!("the data folder {} cannot be made: {error}", place.data.display()))
    })?;
    let applied = tolmach_store::migrate(store_url(&config, &place.data).expose()).await?;
    if applied.is_empty() {
        return Ok("the store is up to date\n".into());
    }
    Ok(applied.iter().map(|step| format!("applied {step}\n")).collect())
}
