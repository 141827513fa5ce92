use identity_pki::TenantId;

use super::audit::superseded;
use super::fixtures::{World, at};
use super::witness::walk;
use crate::{
    Actor, AuditFilter, AuditRow, Chain, Change, Error, Event, OperatorId, PageRequest, SealedRow,
    Severity,
};

impl World {
    /// Things that happened, some at one moment, to `chain`; none in the order of time.
    async fn happened(&self, chain: &Chain, tenant_id: &TenantId) {
        let [ada, bob]: [OperatorId; 2] = [self.id("adm_"), self.id("adm_")];
        for (seconds, who, event) in [
            (7, &ada, superseded("dev_1")),
            (3, &bob, superseded("dev_2")),
            (3, &ada, updated(tenant_id)),
            (9, &bob, updated(tenant_id)),
            (3, &ada, superseded("dev_1")),
            (5, &ada, alert()),
        ] {
            let actor = Actor::Operator(who.clone());
            let change = Change::new(at(seconds), actor, "req-1");
            let recorded = self.store.record(change, chain.clone(), vec![event]);
            recorded.await.unwrap();
        }
    }
}

fn updated(tenant_id: &TenantId) -> Event {
    Event::TenantUpdated {
        tenant_id: tenant_id.clone(),
    }
}

fn alert() -> Event {
    Event::OpsAlert {
        kind: "license_capacity",
    }
}

/// A filter, and whether it takes a row.
type Case = (AuditFilter, Box<dyn Fn(&AuditRow) -> bool>);

fn case(filter: AuditFilter, takes: impl Fn(&AuditRow) -> bool + 'static) -> Case {
    (filter, Box::new(takes))
}

fn cases(actor: String) -> Vec<Case> {
    let all = AuditFilter::default;
    let text = |text: &str| Some(text.to_owned());
    vec![
        case(all(), |_| true),
        case(
            AuditFilter {
                actor: Some(actor.clone()),
                ..all()
            },
            {
                let actor = actor.clone();
                move |row| row.actor.id == actor
            },
        ),
        case(
            AuditFilter {
                action: text("tenant_updated"),
                ..all()
            },
            |row| row.action == "tenant_updated",
        ),
        case(
            AuditFilter {
                subject: text("dev_1"),
                ..all()
            },
            |row| row.subject == "dev_1",
        ),
        case(
            AuditFilter {
                severity: Some(Severity::Info),
                ..all()
            },
            |row| row.severity == Severity::Info,
        ),
        case(
            AuditFilter {
                severity: Some(Severity::Critical),
                ..all()
            },
            |row| row.severity == Severity::Critical,
        ),
        case(
            AuditFilter {
                from: Some(at(3)),
                to: Some(at(7)),
                ..all()
            },
            |row| row.at >= at(3) && row.at < at(7),
        ),
        case(
            AuditFilter {
                actor: Some(actor.clone()),
                action: text("superseded_certificate_used"),
                subject: text("dev_1"),
                severity: Some(Severity::High),
                from: Some(at(4)),
                to: Some(at(8)),
            },
            move |row| row.actor.id == actor && row.subject == "dev_1" && row.at == at(7),
        ),
        case(
            AuditFilter {
                subject: text("nobody"),
                ..all()
            },
            |_| false,
        ),
    ]
}

pub async fn rows_are_found_by_who_did_what_to_whom_and_when(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let tenants = [Chain::Tenant(acme.clone()), Chain::Tenant(other)];
    for chain in [&tenants[0], &tenants[1], &Chain::Platform] {
        world.happened(chain, &acme).await;
        let mut rows = world.sealed(chain).await;
        rows.sort_by(|a, b| (b.row.at, &b.row.id).cmp(&(a.row.at, &a.row.id)));
        let actor = rows[0].row.actor.id.clone();
        for (filter, takes) in cases(actor) {
            let expected: Vec<&SealedRow> = rows.iter().filter(|row| takes(&row.row)).collect();
            for limit in [1, 2, 200] {
                let found = walk(limit, async |page| {
                    world.store.audit_rows(chain, filter.clone(), page).await
                });
                let found = found.await;
                let found: Vec<&SealedRow> = found.iter().collect();
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
}

pub async fn rows_without_a_place_are_counted_and_not_found(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    let found = async || {
        let page = PageRequest::first(9);
        let rows = world.store.audit_rows(&acme, AuditFilter::default(), page);
        rows.await.unwrap().data.len()
    };
    let unsealed = async |chain| world.store.unsealed_audit(chain).await.unwrap();
    world.store.seal_audit(u32::MAX).await.unwrap();
    for n in 1..3 {
        world.record(&acme, vec![superseded("dev_1")]).await;
        assert_eq!(unsealed(Some(&acme)).await, n);
    }
    world.record(&Chain::Platform, vec![alert()]).await;
    assert_eq!(unsealed(None).await, 3);
    assert_eq!(unsealed(Some(&Chain::Platform)).await, 1);
    assert_eq!(unsealed(Some(&acme)).await, 2);
    assert_eq!(found().await, 0);
    world.store.seal_audit(u32::MAX).await.unwrap();
    assert_eq!(unsealed(Some(&acme)).await, 0);
    assert_eq!(found().await, 2);
}

pub async fn a_page_of_another_list_is_no_page_of_the_trail(world: World) {
    let cursor = crate::Cursor::decode("bm93aGVyZQ").unwrap();
    let page = PageRequest {
        limit: 9,
        after: Some(cursor),
    };
    let rows = world
        .store
        .audit_rows(&Chain::Platform, AuditFilter::default(), page);
    assert!(matches!(rows.await, Err(Error::Cursor)));
}

pub async fn the_ledger_is_read_newest_first_whole_or_of_a_device(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let mut devices = Vec::new();
    for tenant_id in [&acme, &other, &acme] {
        devices.push(world.paired_device(tenant_id).await.identity);
    }
    let all = walk(2, async |page| world.store.issuances(None, page).await).await;
    assert!(all.is_sorted_by_key(|row| std::cmp::Reverse((row.issued_at, row.certificate.serial))));
    let of = |row: &crate::Issuance| row.certificate.identity.clone();
    let mut listed: Vec<_> = all.iter().map(of).collect();
    listed.sort();
    let mut expected = devices.clone();
    expected.sort();
    assert_eq!(listed, expected);
    for device in devices {
        let read = async |page| world.store.issuances(Some(device.device_id()), page).await;
        let own = walk(1, read).await;
        let expected: Vec<_> = all.iter().filter(|row| of(row) == device).collect();
        assert_eq!(own.iter().collect::<Vec<_>>(), expected);
    }
    let nobody = "dev_unknown".parse().unwrap();
    let page = world.store.issuances(Some(&nobody), PageRequest::first(9));
    assert_eq!(page.await.unwrap().data, []);
}
