use std::collections::BTreeSet;

use crate::sources::metrics_of_the_page;
use crate::story::Story;

/// What this story has no reason to record, and why.
const NOT_IN_THIS_STORY: &[(&str, &str)] = &[
    ("audit_chains_unarchived", "no retention is configured"),
    ("audit_heads_refused_total", "nobody takes rows out"),
    ("audit_rows_in_default_partition", "PostgreSQL"),
    ("connections_given_up_total", "every client does its part"),
    ("job_failures_total", "no job fails"),
    ("leases_held", "PostgreSQL"),
    ("notification_listener_connected", "PostgreSQL"),
    ("ops_alerts_total", "nothing is to be alerted of"),
    ("panics_total", "nothing panics"),
    ("superseded_certificates_used_total", "nobody uses one"),
    ("unreadable_values_total", "every data key is there"),
    ("webhook_deliveries_total", "there is no webhook"),
    ("webhook_endpoints_disabled_total", "there is no webhook"),
    ("webhook_tries_total", "there is no webhook"),
    ("ciba_notifications_total", "no client asks by CIBA"),
    ("webhook_tries_under_way", "there is no webhook"),
    ("webhook_try_duration_seconds", "there is no webhook"),
];

#[tokio::test]
async fn a_scrape_has_the_metrics_of_the_operators_page_and_no_other() {
    let story = Story::tell("info").await;
    let scrape = story.metrics().await;
    let scraped: BTreeSet<_> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let listed: BTreeSet<_> = metrics_of_the_page().into_keys().collect();
    let unknown: Vec<_> = scraped.difference(&listed).collect();
    assert!(unknown.is_empty(), "not in docs/OPERATIONS.md: {unknown:?}");
    let excused: BTreeSet<_> = NOT_IN_THIS_STORY.iter().map(|(name, _)| *name).collect();
    let absent: BTreeSet<_> = listed.difference(&scraped).copied().collect();
    let missing: Vec<_> = absent.difference(&excused).collect();
    assert!(
        missing.is_empty(),
        "the page has, and the scrape has not: {missing:?}\n{scrape}"
    );
    let gone: Vec<_> = excused.difference(&listed).collect();
    assert!(gone.is_empty(), "no metrics any more: {gone:?}");
}
