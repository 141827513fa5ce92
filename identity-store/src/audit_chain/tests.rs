use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::{BrokenChain, ChainFault, ChainWalk, seal};
use crate::{AuditActor, AuditId, AuditRow, Chain, ChainHead, Error, Outcome, SealedRow, Severity};

fn tenant() -> Chain {
    Chain::Tenant("acme".parse().unwrap())
}

fn row(number: u64) -> AuditRow {
    let ulid = ulid::Ulid::from_parts(number, number.into());
    AuditRow {
        id: format!("aud_{}", ulid.to_string().to_ascii_lowercase())
            .parse()
            .unwrap(),
        at: OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(7),
        tenant_id: tenant().tenant_id().cloned(),
        actor: AuditActor {
            kind: "device".to_owned(),
            id: "dev_1".to_owned(),
        },
        action: "verification_complete".to_owned(),
        outcome: Outcome::Succeeded,
        severity: Severity::Info,
        subject: "usr_1".to_owned(),
        request_id: format!("req-{number}"),
        ip: Some([192, 0, 2, 7].into()),
        metadata: json!({"scores": [0.1, 1e-7, 3.0, 99.25], "text": "\u{7}\u{e9}\n"}),
    }
}

/// A chain of `length` rows, and its head.
fn chain(length: u64) -> (Vec<SealedRow>, ChainHead) {
    let mut head = ChainHead::EMPTY;
    let rows = (1..=length).map(|number| {
        let sealed = seal(&head, row(number)).unwrap();
        head = sealed.head();
        sealed
    });
    let rows = rows.collect();
    (rows, head)
}

/// Walks `rows`, whatever places they claim, up to the head that was noted with them.
fn walk(rows: &[SealedRow], head: ChainHead) -> Result<ChainHead, BrokenChain> {
    let mut walk = ChainWalk::of(tenant());
    for row in rows {
        walk.step(row).unwrap();
    }
    walk.finish_at(head)
}

fn broken(position: usize, row: Option<&SealedRow>, fault: ChainFault) -> BrokenChain {
    BrokenChain {
        chain: tenant(),
        position: position.try_into().unwrap(),
        row: row.map(|sealed| sealed.row.id.clone()),
        fault,
    }
}

/// Every member of a row that can be edited, by its number.
fn edit(sealed: &mut SealedRow, member: usize) {
    let row = &mut sealed.row;
    match member {
        0 => row.id = self::row(999).id,
        1 => row.at += time::Duration::MILLISECOND,
        2 => row.tenant_id = None,
        3 => row.actor.kind.push('x'),
        4 => row.actor.id.push('x'),
        5 => row.action.push('x'),
        6 => row.outcome = Outcome::Failed,
        7 => row.severity = Severity::High,
        8 => row.subject.push('x'),
        9 => row.request_id.push('x'),
        10 => row.ip = None,
        11 => row.metadata["scores"][1] = json!(1.000_000_000_000_000_2e-7),
        12 => sealed.prev_hash[31] ^= 1,
        _ => sealed.hash[0] ^= 0x80,
    }
}

const MEMBERS: usize = 14;

proptest! {
    #[test]
    fn a_row_that_was_edited_is_named(at in 0..12_usize, member in 0..MEMBERS) {
        let (mut rows, head) = chain(12);
        edit(&mut rows[at], member);
        let expected = broken(at + 1, Some(&rows[at]), ChainFault::Edited);
        prop_assert_eq!(walk(&rows, head), Err(expected));
    }

    #[test]
    fn a_row_that_is_gone_is_named_by_the_one_after_it(at in 0..12_usize) {
        let (mut rows, head) = chain(12);
        rows.remove(at);
        let expected = match rows.get(at) {
            Some(next) => broken(at + 1, Some(next), ChainFault::Missing),
            None => broken(12, None, ChainFault::CutOff),
        };
        prop_assert_eq!(walk(&rows, head), Err(expected));
    }

    #[test]
    fn rows_that_changed_places_are_named(one in 0..12_usize, other in 0..12_usize) {
        prop_assume!(one < other);
        let (mut rows, head) = chain(12);
        rows.swap(one, other);
        let expected = broken(one + 1, Some(&rows[one]), ChainFault::OutOfPlace);
        prop_assert_eq!(walk(&rows, head), Err(expected));
    }

    #[test]
    fn a_row_that_was_put_in_is_named(at in 0..=12_usize, source in 0..3_usize, from in 0..12_usize) {
        let (mut rows, head) = chain(12);
        let before = at.checked_sub(1).map_or(ChainHead::EMPTY, |last| rows[last].head());
        let (inserted, fault) = match source {
            // One that fits behind the row before it.
            0 => (seal(&before, row(100)).unwrap(), ChainFault::Inserted),
            // One that fits nowhere.
            1 => (seal(&ChainHead { hash: [7; 32], ..before }, row(100)).unwrap(), ChainFault::OutOfPlace),
            // A copy of another.
            _ => (rows[from].clone(), ChainFault::OutOfPlace),
        };
        rows.insert(at, inserted);
        let Err(found) = walk(&rows, head) else {
            return Err(TestCaseError::fail("nothing was found"));
        };
        let is_copy = source == 2 && (from == at || from + 1 == at);
        if is_copy {
            // Behind itself a copy is one row too many; which of the two, nobody can tell.
            prop_assert_eq!(found.row.as_ref(), Some(&rows[at].row.id));
        } else if at == 12 && source != 0 {
            prop_assert_eq!(found, broken(13, Some(&rows[12]), ChainFault::Missing));
        } else {
            prop_assert_eq!(found, broken(at + 1, Some(&rows[at]), fault));
        }
    }

    #[test]
    fn the_newest_rows_do_not_go_unnoticed(left in 0..12_usize) {
        let (rows, head) = chain(12);
        let cut = &rows[..left];
        let expected = broken(left + 1, None, ChainFault::CutOff);
        prop_assert_eq!(walk(cut, head), Err(expected.clone()));
        // Whoever cut the rows off may have taken the head back with them; a signed one tells.
        let mut walk = ChainWalk::of(tenant()).expecting([head]);
        cut.iter().for_each(|row| walk.step(row).unwrap());
        let forged = walk.head();
        prop_assert_eq!(walk.finish_at(forged), Err(expected));
    }

    #[test]
    fn a_chain_made_anew_does_not_meet_its_signed_heads(from in 0..12_usize, signed in 1..=12_u64) {
        let (mut rows, _) = chain(12);
        let signed = rows[usize::try_from(signed).unwrap() - 1].head();
        let mut head = from.checked_sub(1).map_or(ChainHead::EMPTY, |last| rows[last].head());
        for sealed in &mut rows[from..] {
            sealed.row.subject.push_str("-forged");
            *sealed = seal(&head, sealed.row.clone()).unwrap();
            head = sealed.head();
        }
        let mut walk = ChainWalk::of(tenant()).expecting([signed]);
        rows.iter().for_each(|row| walk.step(row).unwrap());
        let found = walk.finish_at(head);
        let at = usize::try_from(signed.length).unwrap();
        if at <= from {
            prop_assert_eq!(found, Ok(head));
        } else {
            let expected = broken(at, Some(&rows[at - 1]), ChainFault::Rewritten);
            prop_assert_eq!(found, Err(expected));
        }
    }

    #[test]
    fn a_walk_goes_on_from_where_an_archive_ends(at in 0..12_usize) {
        let (rows, head) = chain(12);
        let start = at.checked_sub(1).map_or(ChainHead::EMPTY, |last| rows[last].head());
        let mut walk = ChainWalk::from(tenant(), start).expecting([rows[0].head(), head]);
        rows[at..].iter().for_each(|row| walk.step(row).unwrap());
        prop_assert_eq!(walk.finish_at(head), Ok(head));
    }
}

#[test]
fn a_row_reads_back_from_its_export_with_the_same_hash() {
    let (rows, head) = chain(3);
    let exported: Vec<_> = rows.iter().map(|row| row.to_json().unwrap()).collect();
    assert!(exported.iter().all(|line| !line.contains('\n')));
    let read = exported.iter().zip(1..);
    let read = read.map(|(line, position)| SealedRow::from_json(position, line).unwrap());
    let read: Vec<_> = read.collect();
    assert_eq!(read, rows);
    assert_eq!(walk(&read, head), Ok(head));
}

#[test]
fn a_line_that_is_no_row_is_refused() {
    let line = chain(1).0[0].to_json().unwrap();
    let half = &line[..line.len() / 2];
    let no_hash = line.replace("\"hash\":", "\"h\":");
    let more = line.replace("\"at\":", "\"note\":1,\"at\":");
    let short = line.replace("\"prev_hash\":\"0000", "\"prev_hash\":\"00");
    for bad in ["", "null", "[]", "{}", half, &no_hash, &more, &short] {
        let refused = SealedRow::from_json(1, bad);
        assert!(matches!(refused, Err(Error::ExportedRow)), "{bad}");
    }
}

#[test]
fn what_is_wrong_is_told_in_a_line() {
    let id: AuditId = row(1).id;
    let edited = BrokenChain {
        chain: Chain::Platform,
        position: 7,
        row: Some(id.clone()),
        fault: ChainFault::Edited,
    };
    let told = format!("the platform's chain: the row at place 7 ({id}) was edited");
    assert_eq!(edited.to_string(), told);
    let cut = broken(3, None, ChainFault::CutOff).to_string();
    let told = "the chain of tenant acme: the rows from place 3 on are gone";
    assert_eq!(cut, told);
}
