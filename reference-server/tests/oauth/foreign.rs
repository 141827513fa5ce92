//! Clients that are not ours, unmodified.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jsonwebtoken::Algorithm;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{SigningKey, World};
use crate::{backchannel, tell};

pub(crate) fn trials() -> Vec<Trial> {
    let python = std::env::var_os("IDENTITY_PYTHON").is_some();
    let node = folder().join("node_modules").is_dir();
    vec![
        trial("authlib_gets_uses_and_revokes_tokens", python, || {
            tell(client_story(Foreign::python("authlib_client.py")));
        }),
        trial(
            "openid_client_and_oauth4webapi_get_use_and_revoke_tokens",
            node,
            || {
                tell(client_story(Foreign::node("clients.mjs")));
            },
        ),
        trial(
            "openid_client_authenticates_a_user_by_the_backchannel",
            node,
            || {
                tell(backchannel::foreign_story());
            },
        ),
    ]
}

fn trial(name: &str, is_there: bool, story: fn()) -> Trial {
    let trial = Trial::test(name, move || {
        story();
        Ok(())
    });
    let kind = if is_there { "" } else { "not installed" };
    trial.with_ignored_flag(!is_there).with_kind(kind)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../foreign/oauth")
}

/// A program of `foreign/oauth`.
pub(crate) struct Foreign {
    command: Command,
    /// By which it names the roots that it trusts.
    roots: &'static str,
}

impl Foreign {
    fn python(script: &str) -> Self {
        let mut command = Command::new(std::env::var_os("IDENTITY_PYTHON").unwrap());
        command.arg(folder().join(script));
        Self {
            command,
            roots: "REQUESTS_CA_BUNDLE",
        }
    }

    pub(crate) fn node(script: &str) -> Self {
        let mut command = Command::new("node");
        command.arg(folder().join(script));
        Self {
            command,
            roots: "NODE_EXTRA_CA_CERTS",
        }
    }

    /// Runs it to its end with `told` on its standard input; it has to succeed.
    pub(crate) fn run(mut self, world: &World, told: &Value) {
        let roots = TempDir::new().unwrap();
        let root = roots.path().join("root.pem");
        std::fs::write(&root, world.platform.server_key.root_pem()).unwrap();
        let mut child = self
            .command
            .env(self.roots, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(told.to_string().as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

async fn client_story(foreign: Foreign) {
    let world = World::start().await;
    let key = SigningKey::generate(Algorithm::ES256);
    let (client, keyed) = (world.client().await, world.keyed(&[&key]).await);
    let told = json!({
        "issuer": client.api.base(),
        "secret": {"client_id": client.client_id, "client_secret": client.secret},
        "keyed": {"client_id": keyed.client_id, "jwk": key.private},
    });
    tokio::task::block_in_place(|| foreign.run(&world, &told));
}
