//! The commands `erasures export` and `erasures replay`.

use std::path::Path;

use identity_store::{Actor, Change, Store, Tombstone};

use super::TombstonesError;
use super::tombstone::{self, Tombstones};
use crate::cli::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::serve::open_as_it_is;
use crate::start::StartError;

/// How many tombstones are read at once.
const PAGE: u32 = 1000;

/// Prints the tombstone of every erasure that was asked for, a line for each.
///
/// # Errors
///
/// [`StartError`] when the database cannot be read.
pub async fn export(config: Config) -> Result<(), StartError> {
    let store = open_as_it_is(config).await?;
    let printed = print_all(&store).await;
    store.close().await;
    printed
}

async fn print_all(store: &dyn Store) -> Result<(), StartError> {
    let mut after: Option<Tombstone> = None;
    loop {
        let page = store.tombstones(after.as_ref(), PAGE).await?;
        for tombstone in &page {
            let line = tombstone::line(tombstone);
            print(&line.map_err(|error| StartError::System {
                what: "a tombstone cannot be written",
                source: error.into(),
            })?)?;
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Begins the erasure of every user of the file who is there: a backup from before their erasure was
/// restored. Servers complete it. Again changes nothing.
///
/// # Errors
///
/// [`StartError::Tombstones`] before anything is erased, and what the database fails at.
pub async fn replay(config: Config, file: &Path) -> Result<(), StartError> {
    let mut lines = read(file).await?;
    while lines.next().await?.is_some() {}
    let mut lines = read(file).await?;
    let store = open_as_it_is(config).await?;
    let replayed = erase_all(&store, &mut lines).await;
    store.close().await;
    let (read, erased) = replayed?;
    print(&format!(
        "{read} tombstones read, {erased} users came back and are erased"
    ))
}

async fn read(file: &Path) -> Result<Tombstones, TombstonesError> {
    Tombstones::open(file).await
}

async fn erase_all(store: &dyn Store, lines: &mut Tombstones) -> Result<(u64, u64), StartError> {
    let (mut read, mut erased) = (0, 0);
    while let Some(tombstone) = lines.next().await? {
        read += 1;
        let actor = Actor::System("erasures_replay");
        let change = Change::new(SystemClock.now(), actor, "command:erasures-replay");
        if store.erase_again(change, tombstone.clone()).await? {
            erased += 1;
            print(&tombstone.internal_id.to_string())?;
        }
    }
    Ok((read, erased))
}
