use time::OffsetDateTime;
use time::macros::datetime;

use super::audit::superseded;
use super::fixtures::World;
use crate::{
    Actor, ArchiveManifest, Chain, ChainHead, ChainWalk, Change, Conflict, Error, Month, Retired,
    SealedRow,
};

const OCTOBER: OffsetDateTime = datetime!(2026-10-31 23:59:59.999 UTC);
const NOVEMBER: OffsetDateTime = datetime!(2026-11-01 00:00 UTC);

fn october() -> Month {
    Month::of(OCTOBER)
}

impl World {
    /// Records a row that happens at `moment`, and seals it.
    async fn happens(&self, chain: &Chain, moment: OffsetDateTime) {
        let change = Change::new(moment, Actor::System("test"), "req-archive");
        let event = superseded("dev_1");
        let recorded = self.store.record(change, chain.clone(), vec![event]);
        recorded.await.unwrap();
        self.store.seal_audit(u32::MAX).await.unwrap();
    }

    /// A tenant's chain with a row at each of `moments`.
    async fn chain_of(&self, moments: &[OffsetDateTime]) -> Chain {
        let chain = Chain::Tenant(self.tenant("acme").await);
        for moment in moments {
            self.happens(&chain, *moment).await;
        }
        chain
    }

    async fn live(&self, chain: &Chain) -> Vec<SealedRow> {
        self.store.sealed_audit(chain, 0, u32::MAX).await.unwrap()
    }

    async fn gap(&self, manifest: ArchiveManifest) {
        match self.store.keep_archive_manifest(manifest).await {
            Err(Error::Conflict(Conflict::ArchiveGap)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The manifest of `piece`, the rows of `chain` behind `previous`.
fn manifest(
    chain: &Chain,
    month: Month,
    previous: ChainHead,
    piece: &[SealedRow],
) -> ArchiveManifest {
    let (first, last) = (piece.first().unwrap(), piece.last().unwrap());
    ArchiveManifest {
        chain: chain.clone(),
        month,
        rows: piece.len().try_into().unwrap(),
        first_id: first.row.id.clone(),
        last_id: last.row.id.clone(),
        previous,
        head: last.head(),
        sha256: [5; 32],
        file_name: format!("audit-{month}.ndjson"),
        retired: false,
    }
}

pub async fn a_piece_is_kept_behind_the_pieces_before_it(world: World) {
    let moments = [OCTOBER, OCTOBER, NOVEMBER, NOVEMBER];
    let chain = world.chain_of(&moments).await;
    let rows = world.live(&chain).await;
    let first = manifest(&chain, october(), ChainHead::EMPTY, &rows[..2]);
    let second = manifest(&chain, october().next(), first.head, &rows[2..]);
    assert_eq!(world.store.archive_manifests(&chain).await.unwrap(), []);
    // Not behind one another, of a wrong length, of an end that is no row, of no chain.
    world.gap(second.clone()).await;
    world
        .gap(ArchiveManifest {
            rows: 3,
            ..first.clone()
        })
        .await;
    let elsewhere = ChainHead {
        length: 2,
        hash: [9; 32],
    };
    world
        .gap(ArchiveManifest {
            head: elsewhere,
            ..first.clone()
        })
        .await;
    let nobody = Chain::Tenant("nobody".parse().unwrap());
    world
        .gap(ArchiveManifest {
            chain: nobody,
            ..first.clone()
        })
        .await;

    let kept = world.store.keep_archive_manifest(first.clone()).await;
    kept.unwrap();
    world.gap(first.clone()).await;
    // A month has one piece.
    world
        .gap(ArchiveManifest {
            month: october(),
            ..second.clone()
        })
        .await;
    let kept = world.store.keep_archive_manifest(second.clone()).await;
    kept.unwrap();
    let manifests = world.store.archive_manifests(&chain).await.unwrap();
    assert_eq!(manifests, [first, second]);
}

pub async fn a_chain_goes_on_from_its_archive(world: World) {
    let chain = world.chain_of(&[OCTOBER, OCTOBER, NOVEMBER]).await;
    let rows = world.live(&chain).await;
    let piece = manifest(&chain, october(), ChainHead::EMPTY, &rows[..2]);
    let kept = world.store.keep_archive_manifest(piece.clone()).await;
    kept.unwrap();
    let verified = vec![(chain.clone(), piece.head)];
    let retired = world.store.retire_audit(october(), verified.clone()).await;
    let expected = Retired {
        pieces: 1,
        unarchived: 0,
    };
    assert_eq!(retired.unwrap(), expected);
    assert_eq!(world.live(&chain).await, rows[2..]);
    let manifests = world.store.archive_manifests(&chain).await.unwrap();
    assert!(manifests[0].retired);

    world.happens(&chain, NOVEMBER).await;
    let live = world.live(&chain).await;
    let places: Vec<_> = live.iter().map(|row| row.position).collect();
    assert_eq!(places, [3, 4]);
    let mut walk = ChainWalk::from(chain.clone(), piece.head);
    live.iter().for_each(|row| walk.step(row).unwrap());
    let head = world.store.chain_head(&chain).await.unwrap();
    assert_eq!(walk.finish_at(head), Ok(head));
    // Nothing is left to go.
    let again = world.store.retire_audit(october(), verified).await;
    assert_eq!(again.unwrap().pieces, 0);
}

pub async fn what_no_archive_holds_is_not_dropped(world: World) {
    let chain = world.chain_of(&[OCTOBER, OCTOBER]).await;
    let rows = world.live(&chain).await;
    let piece = manifest(&chain, october(), ChainHead::EMPTY, &rows);
    // A head that no manifest names drops nothing.
    let refused = world
        .store
        .retire_audit(october(), vec![(chain.clone(), piece.head)])
        .await;
    match refused {
        Err(Error::Conflict(Conflict::ArchiveGap)) => {}
        other => panic!("{other:?}"),
    }
    let retired = world.store.retire_audit(october(), Vec::new()).await;
    let nothing = Retired {
        pieces: 0,
        unarchived: 1,
    };
    assert_eq!(retired.unwrap(), nothing);
    assert_eq!(world.live(&chain).await, rows);
    // A row of the month that was sealed after the month was archived stays.
    let kept = world.store.keep_archive_manifest(piece.clone()).await;
    kept.unwrap();
    world.happens(&chain, OCTOBER).await;
    let retired = world
        .store
        .retire_audit(october(), vec![(chain.clone(), piece.head)])
        .await;
    assert_eq!(retired.unwrap(), nothing);
    assert_eq!(world.live(&chain).await.len(), 3);
    let manifests = world.store.archive_manifests(&chain).await.unwrap();
    assert!(!manifests[0].retired);
}

pub async fn a_month_ends_with_its_last_row(world: World) {
    // Around midnight, sealed as they became visible, not as they happened.
    let moments = [OCTOBER, NOVEMBER, OCTOBER, NOVEMBER];
    let chain = world.chain_of(&moments).await;
    let last = async |month| world.store.last_place_in(&chain, month).await.unwrap();
    assert_eq!(last(october().before(1)).await, None);
    assert_eq!(last(october()).await, Some(3));
    assert_eq!(last(october().next()).await, Some(4));
    let months = [october(), october().next()];
    assert_eq!(world.store.prepare_audit_months(&months).await.unwrap(), 0);
}
