//! Durable pairings a second through the whole route, beside signatures a second of `cfssl serve`.

use clap::Args;

use crate::Failure;
use crate::cfssl::{self, Cfssl};
use crate::connection::{Connection, Prepared, Target};
use crate::fleet;
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};
use crate::turn::{Turn, median};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pairings, and requests to cfssl, of one turn.
    #[arg(long, default_value_t = 5000)]
    requests: usize,
    /// Turns of each server; they alternate.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Kept-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Pairings a second, as a part of cfssl's signatures a second, that there have to be.
    #[arg(long, default_value_t = 0.5)]
    bar: f64,
    /// Measures without the peer.
    #[arg(long)]
    alone: bool,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let platform = Platform::first_run(settings, 1).await?;
    let server = platform.server()?.process();
    let peer = match options.alone {
        true => None,
        false => Some(Cfssl::start(platform.folder()).await?),
    };
    if let Some(peer) = &peer {
        peer.check().await?;
    }
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        // Codes live for five minutes, so each turn has its own.
        let registered = fleet::register(&platform.tenant, options.requests).await?;
        let pairings: Vec<Prepared> = registered.into_iter().map(|it| it.pairing).collect();
        platform.until_sealed().await?;
        // Opened late: the server closes those that are idle.
        let mut own = connections(&platform.target()?, options.connections).await?;
        let ours = Turn::run(&mut own, pairings, server).await?;
        println!("{:>8}: {ours}", "pairings");
        rates.push(ours.rate());
        if let Some(peer) = &peer {
            let requests = cfssl::requests(options.requests)?;
            let mut others = connections(&peer.target, options.connections).await?;
            let theirs = Turn::run(&mut others, requests, peer.process()).await?;
            println!("{:>8}: {theirs}", "cfssl");
            ratios.push(ours.rate() / theirs.rate());
        }
    }
    let mut rows = vec![Row::plain("durable pairings", median(rates), "/s")];
    if !ratios.is_empty() {
        let what = "durable pairings a second, of cfssl's signatures";
        let bar = Bar::AtLeast(options.bar);
        rows.push(Row::measured(what, median(ratios), " ×", bar));
    }
    Ok(rows)
}

/// That many open connections.
pub(crate) async fn connections(target: &Target, count: usize) -> Result<Vec<Connection>, Failure> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        open.push(Connection::open(target).await?);
    }
    Ok(open)
}
