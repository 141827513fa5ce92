use std::sync::Arc;

use identity_store::{
    AuditStore as _, Chain, ChainFault, ChainHead, ChainWalk, Month, SealedRow, SignedHead,
};
use reference_server::audit::archive::ArchiveError;
use reference_server::audit::heads;
use reference_server::audit::piece::PieceError;
use reference_server::audit::verify::{VerifyError, verify_all};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::months::{FEBRUARY, JANUARY, acme, record};
use crate::world::{MARCH, World};

#[tokio::test]
async fn a_month_is_archived_chain_by_chain_and_once() {
    let world = World::new().await;
    let first = world.archive(JANUARY).await;
    let chains: Vec<_> = first
        .iter()
        .map(|piece| (piece.chain.clone(), piece.rows))
        .collect();
    assert_eq!(chains, [(Chain::Platform, 1), (acme(), 10)]);
    assert_eq!(world.archive(JANUARY).await, []);
    let second = world.archive(FEBRUARY).await;
    assert_eq!(second.len(), 1, "the platform's chain did not grow");
    assert_eq!(second[0].previous, first[1].head);
    assert_eq!(second[0].head.length, 20);

    // What lies in the folder is what an auditor can read without us.
    let text = std::fs::read(world.file(FEBRUARY)).unwrap();
    assert_eq!(second[0].sha256, <[u8; 32]>::from(Sha256::digest(&text)));
    let mut walk = ChainWalk::from(acme(), first[1].head);
    for (line, position) in String::from_utf8(text).unwrap().lines().zip(11..) {
        walk.step(&SealedRow::from_json(position, line).unwrap())
            .unwrap();
    }
    assert_eq!(walk.finish(), Ok(second[0].head));
    let beside = world
        .folder
        .path()
        .join("audit-tenant-acme-2020-02.ndjson.manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(beside).unwrap()).unwrap();
    assert_eq!(manifest["rows"], 10);
    assert_eq!(manifest["prev_head"], hex::encode(first[1].head.hash));
    assert_eq!(manifest["head"], hex::encode(second[0].head.hash));
    let parts = std::fs::read_dir(world.folder.path()).unwrap();
    let mut names = parts.map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_str().unwrap().ends_with(".part")));
}

#[tokio::test]
async fn a_month_that_is_not_over_is_not_archived() {
    let world = World::new().await;
    let early = MARCH - time::Duration::MILLISECOND;
    let refused = world.try_archive(FEBRUARY, early).await;
    assert!(matches!(refused, Err(ArchiveError::Open(month)) if month == Month::of(FEBRUARY)));
}

#[tokio::test]
async fn rows_and_archives_verify_together() {
    let world = World::new().await;
    let all_good = async |archived: u64| {
        let outcomes = world.verify().await;
        let whole: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!(whole.len(), 2);
        assert_eq!((whole[1].head.length, whole[1].archived), (20, archived));
    };
    all_good(0).await;
    world.archive(JANUARY).await;
    all_good(10).await;
    world.archive(FEBRUARY).await;
    all_good(20).await;
    // Without the folder nobody can say.
    let outcomes = world.verify_with(None, Vec::new()).await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(matches!(error, VerifyError::NoFolder(_)) && !error.is_finding());
    }
}

#[tokio::test]
async fn no_byte_of_an_archive_changes_unnoticed() {
    let world = World::new().await;
    world.archive(JANUARY).await;
    let file = world.file(JANUARY);
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut tampered = whole.clone();
        tampered[at] ^= 1;
        std::fs::write(&file, &tampered).unwrap();
        world.finding().await;
    }
    // Every length that it can be cut to, at the ends of lines too.
    for length in (0..whole.len()).step_by(11) {
        std::fs::write(&file, &whole[..length]).unwrap();
        world.finding().await;
    }
    std::fs::write(&file, &whole).unwrap();
    assert!(world.verify().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_row_that_was_edited_in_an_archive_is_named() {
    let world = World::new().await;
    world.archive(JANUARY).await;
    let file = world.file(JANUARY);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("req-2020-01-4", "req-2020-01-x")).unwrap();
    match world.finding().await {
        VerifyError::Archive { file, broken } => {
            assert_eq!(file, "audit-tenant-acme-2020-01.ndjson");
            assert_eq!((broken.position, broken.fault), (5, ChainFault::Edited));
        }
        other => panic!("{other:?}"),
    }
    std::fs::remove_file(&file).unwrap();
    match world.finding().await {
        VerifyError::Piece { source, .. } => assert!(matches!(source, PieceError::Read(_))),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_that_were_cut_off_are_missed_by_the_head_that_was_kept() {
    let world = World::new().await;
    let head = world.store.chain_head(&acme()).await.unwrap();
    let longer = ChainHead {
        length: 23,
        hash: [9; 32],
    };
    let another = ChainHead {
        hash: [9; 32],
        ..head
    };
    for (noted, position, fault) in [
        (longer, 21, ChainFault::CutOff),
        (another, 20, ChainFault::Rewritten),
    ] {
        let outcomes = world.verify_with(None, vec![(acme(), noted)]).await;
        match &outcomes[..] {
            [Ok(_), Err(VerifyError::Broken(broken))] => {
                assert_eq!((broken.position, broken.fault), (position, fault));
            }
            other => panic!("{other:?}"),
        }
    }
    // A chain that is gone with its tenant.
    let gone = Chain::Tenant("gone".parse().unwrap());
    let outcomes = world.verify_with(None, vec![(gone.clone(), head)]).await;
    match &outcomes[2] {
        Err(VerifyError::Broken(broken)) => {
            assert_eq!((&broken.chain, broken.position), (&gone, 1));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stored_head_counts_when_the_platform_signed_it() {
    let world = World::new().await;
    let head = world.store.chain_head(&acme()).await.unwrap();
    let good = heads::sign(&world.tokens, acme(), head, MARCH).unwrap();
    let keep = async |head| world.store.keep_signed_heads(vec![head]).await.unwrap();
    keep(good.clone()).await;
    let outcomes = world.verify().await;
    assert_eq!(outcomes[1].as_ref().unwrap().signed, 20);

    // Another chain's head under this chain's name, and one that nobody signed.
    record(&world.store, &acme(), MARCH, "req-march").await;
    world.store.seal_audit(9).await.unwrap();
    let head = world.store.chain_head(&acme()).await.unwrap();
    let platform = heads::sign(&world.tokens, Chain::Platform, head, MARCH).unwrap();
    keep(SignedHead {
        chain: acme(),
        ..platform
    })
    .await;
    let finding = world.finding().await;
    assert!(matches!(
        finding,
        VerifyError::Signature { source: None, .. }
    ));
    record(&world.store, &acme(), MARCH, "req-march").await;
    world.store.seal_audit(9).await.unwrap();
    keep(SignedHead {
        head: world.store.chain_head(&acme()).await.unwrap(),
        signature: "e30.e30.e30".to_owned(),
        ..good
    })
    .await;
    let finding = world.finding().await;
    assert!(matches!(
        finding,
        VerifyError::Signature {
            source: Some(_),
            ..
        }
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_grows_while_it_is_verified_is_not_called_broken() {
    let World { store, tokens, .. } = World::new().await;
    let store = Arc::new(store);
    let grown = Arc::clone(&store);
    let growing = tokio::spawn(async move {
        for row in 0..1000 {
            record(&*grown, &acme(), FEBRUARY, &format!("req-{row}")).await;
            grown.seal_audit(100).await.unwrap();
        }
    });
    while !growing.is_finished() {
        let whole = |outcome: Result<_, VerifyError>| assert!(outcome.is_ok(), "{outcome:?}");
        let verified = verify_all(&*store, Some(&tokens), None, Vec::new(), JANUARY, whole);
        verified.await.unwrap();
    }
    growing.await.unwrap();
}
