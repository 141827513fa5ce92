use identity_pki::DeviceCertificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::platform::{Key, Platform};

const PATH: &str = "/v1/admin/ssl/device-policy";

fn time(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

/// A certificate, from which moment on it is valid, and for how long it is and should be kept.
struct Terms {
    answer: Value,
    not_before: OffsetDateTime,
    validity_days: i64,
    window_days: i64,
}

/// Pairs a device and tells the terms of its certificate.
async fn terms(platform: &Platform) -> Terms {
    let (_, code) = platform.register().await;
    let answer = platform.pair(&code, &Key::new().csr()).await.expect(200);
    let pem = answer["certificate"].as_str().unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let certificate = DeviceCertificate::from_der(&der).unwrap();
    let (expires_at, renew_after) = (time(&answer["expires_at"]), time(&answer["renew_after"]));
    let validity = expires_at - time(&answer["server_time"]);
    Terms {
        not_before: certificate.not_before(),
        // Certificates have whole seconds.
        validity_days: (validity + Duration::SECOND).whole_days(),
        window_days: (expires_at - renew_after).whole_days(),
        answer,
    }
}

#[tokio::test]
async fn certificates_are_made_as_the_platforms_policy_says_from_its_change_on() {
    let platform = Platform::start().await;
    let operator = &platform.operator;
    let default =
        json!({"validity_days": 90, "renewal_window_days": 30, "clock_skew_seconds": 300});
    assert_eq!(operator.get(PATH).await.expect(200), default);
    let first = terms(&platform).await;
    assert_eq!((first.validity_days, first.window_days), (90, 30));
    let dated_back = time(&first.answer["server_time"]) - first.not_before;
    assert!(dated_back >= Duration::seconds(300), "{dated_back}");

    let policy = json!({"validity_days": 10, "renewal_window_days": 3, "clock_skew_seconds": 0});
    assert_eq!(operator.put(PATH, policy.clone()).await.expect(200), policy);
    assert_eq!(operator.get(PATH).await.expect(200), policy);
    let second = terms(&platform).await;
    assert_eq!((second.validity_days, second.window_days), (10, 3));
    assert!(second.not_before > first.not_before + Duration::seconds(200));

    let config_path = "/v1/admin/tenants/acme/config";
    let mut config = operator.get(config_path).await.expect(200);
    config["certificate_validity_days"] = json!(20);
    operator.put(config_path, config).await.expect(200);
    let own = terms(&platform).await;
    assert_eq!((own.validity_days, own.window_days), (20, 3));

    let rows = platform.audit().await;
    let changed: Vec<_> = rows
        .iter()
        .filter(|row| row.action == "device_policy_changed")
        .collect();
    assert_eq!(changed.len(), 1);
    let me = operator.get("/v1/auth/me").await.expect(200);
    let mut recorded = policy;
    recorded["platform_admin_id"] = me["id"].clone();
    assert_eq!(changed[0].metadata, recorded);
    assert_eq!(changed[0].subject, "device_policy");
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_and_changes_nothing() {
    let platform = Platform::start().await;
    let operator = &platform.operator;
    let before = operator.get(PATH).await.expect(200);
    let config_path = "/v1/admin/tenants/acme/config";
    let mut config = operator.get(config_path).await.expect(200);
    config["renewal_window_days"] = json!(50);
    operator.put(config_path, config).await.expect(200);
    for (validity, window, skew, member) in [
        (0, 0, 0, "validity_days"),
        (3651, 30, 0, "validity_days"),
        (90, 30, 86_401, "clock_skew_seconds"),
        (90, 90, 300, "renewal_window_days"),
        // The tenant would have a window as long as the validity.
        (50, 10, 300, "renewal_window_days"),
    ] {
        let policy = json!({
            "validity_days": validity, "renewal_window_days": window, "clock_skew_seconds": skew,
        });
        let refused = operator.put(PATH, policy).await;
        let refused = refused.refused(422, "validation_failed");
        assert_eq!(refused["fields"][0]["path"], member, "{refused}");
        let names_the_tenant = refused["fields"][0]["reason"].to_string().contains("acme");
        assert_eq!(names_the_tenant, validity == 50, "{refused}");
    }
    for body in [json!({}), json!({"validity_days": 90}), json!([])] {
        operator
            .put(PATH, body)
            .await
            .refused(422, "validation_failed");
    }
    assert_eq!(operator.get(PATH).await.expect(200), before);
    for other in [&platform.admin, &platform.nobody] {
        let (read, written) = (other.get(PATH).await, other.put(PATH, before.clone()).await);
        assert!(matches!(read.status, 401 | 403) && read.status == written.status);
    }
}
