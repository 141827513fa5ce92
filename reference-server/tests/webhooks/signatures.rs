use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::sink::Received;
use crate::world::{World, deliveries, register_device, text};

/// The interpreter that has standardwebhooks.
pub(crate) fn python() -> Option<OsString> {
    std::env::var_os("IDENTITY_PYTHON")
}

/// How many of these tries the receivers' library takes for good.
fn verified(tries: &[Received], secret: &str) -> usize {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks/verify.py");
    let mut child = Command::new(python().unwrap())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    for one in tries {
        let line = json!({"secret": secret, "headers": one.headers, "body": one.body});
        writeln!(to, "{line}").unwrap();
    }
    drop(to);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

pub(crate) async fn the_receivers_library_verifies_every_try() {
    let world = World::start().await;
    let (api, sink) = (&world.acme, &world.sink);
    let (id, first) = world.webhook(api, "/ok", &["*"]).await;
    let (_, failing) = world.webhook(api, "/fails", &["*"]).await;
    for _ in 0..3 {
        register_device(api).await;
    }
    // Each of the three, and each once more after five seconds.
    for _ in 0..6 {
        sink.next("/fails");
    }
    deliveries(api, &id, "delivered", 3).await;
    let (good, failed) = (sink.all("/ok"), sink.all("/fails"));
    assert_eq!(verified(&good, &first), 3);
    assert_eq!(verified(&failed, &failing), failed.len());
    assert_eq!(
        verified(&good, &failing),
        0,
        "each endpoint has a secret of its own"
    );

    // Within the grace either secret will do.
    let rotate = async |grace| {
        let path = format!("/v1/webhooks/{id}/secret/rotate");
        let rotated = api.post(&path, json!({"grace_seconds": grace})).await;
        assert_eq!(rotated.status, 201, "{}", rotated.text);
        text(&rotated.json["secret"])
    };
    let second = rotate(3600).await;
    register_device(api).await;
    deliveries(api, &id, "delivered", 4).await;
    let both = &sink.all("/ok")[3..];
    assert_eq!((verified(both, &first), verified(both, &second)), (1, 1));
    let third = rotate(0).await;
    register_device(api).await;
    deliveries(api, &id, "delivered", 5).await;
    let last = &sink.all("/ok")[4..];
    assert_eq!((verified(last, &first), verified(last, &second)), (0, 0));
    assert_eq!(verified(last, &third), 1);
    let altered = Received {
        body: last[0].body.replace("device.created", "device.revoked"),
        ..last[0].clone()
    };
    assert_eq!(verified(&[altered], &third), 0);
}
