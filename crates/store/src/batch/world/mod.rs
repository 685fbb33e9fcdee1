//! Importing: many records of another server in one transaction.

mod flows;
mod known;
mod members;
mod messages;
mod records;
mod run;
mod statistics;
mod users;
