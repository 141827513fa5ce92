//! Somebody who can write the database, and would have the sealer forget what it signed.

use identity_store::LeaseName;

use crate::replicas::holds;
use crate::retry::until;
use crate::stage::Stage;
use crate::template::Backend;

/// How long the tenant's chain was when it was signed last.
const SIGNED: &str = "
    SELECT coalesce(max(signed_length), 0)::text FROM audit_chains WHERE tenant_id = 'acme'";

const TAKE_THE_LEASE: &str = "
    UPDATE leases SET holder = 'nobody', fence = fence + 1, lease_until = 4102444800000
    WHERE name = 'audit_sealer'";

/// All but the first row of the tenant's chain, and the signature.
const CUT_OFF: &str = "
    DELETE FROM audit_rows WHERE tenant_id = 'acme' AND chain_position > 1;
    UPDATE audit_chains SET length = 1, signed_length = 0, signed_hash = NULL, signed_head = NULL,
        hash = (SELECT hash FROM audit_rows WHERE tenant_id = 'acme' AND chain_position = 1)
    WHERE tenant_id = 'acme'";

const GIVE_IT_BACK: &str = "UPDATE leases SET lease_until = 0 WHERE name = 'audit_sealer'";

pub(crate) async fn a_sealer_whose_lease_was_taken_meanwhile_signs_no_chain_that_was_cut_off() {
    let stage = Stage::on(Backend::Postgres, 1).await;
    let url = stage.database.url();
    let holds = async || holds(&stage, 0, LeaseName::AuditSealer).await;
    let refused = async || stage.counted(0, "audit_heads_refused_total").await > 0;
    let signed = || {
        let length = postgres_cluster::ask(&url, SIGNED).expect("a number");
        length.parse::<u64>().expect("a number")
    };
    // An earlier process may have signed what was there before.
    assert_eq!(signed(), 0);
    for _ in 0..2 {
        stage.clients.register().await;
    }
    until("it signs", async || signed() > 1).await;
    stage.database.tamper(TAKE_THE_LEASE).await;
    until("the lease is lost", async || !holds().await).await;
    stage.database.tamper(CUT_OFF).await;
    assert!(!refused().await);
    stage.database.tamper(GIVE_IT_BACK).await;
    until("it refuses to sign", refused).await;
    assert_eq!(signed(), 0);
}
