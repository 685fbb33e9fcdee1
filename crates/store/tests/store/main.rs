//! The store on real databases.

mod postgres;
mod sqlite;
mod suite;
mod world;
