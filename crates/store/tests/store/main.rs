//! The store on real databases.

#[cfg(test)]
mod copy;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod world;
