//! The demo does what it says, and what it prints works.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-server"));
    command.arg("demo");
    command
}

#[test]
fn told_once_it_ends_well_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = demo()
        .arg("--once")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert!(status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "nothing to complain about");

    let steps: Vec<&str> = stdout
        .lines()
        .map(|line| line.split_once(" ms  ").unwrap().1)
        .collect();
    // What ends in an ellipsis goes on with something that differs from run to run.
    let story = [
        "database, palm server and HTTPS server are up: https://127.0.0.1:…",
        "the first operator signs in, has to change the password, and does",
        "the platform's CA is generated: …",
        "a tenant is made: acme",
        "acme's administrator signs in and changes the password",
        "acme's backend gets an OAuth client and an access token",
        "a scanner is registered; its pairing code is …",
        "the scanner makes a key, pairs, and is urn:link:tenant:acme:device:dev_…",
        "it polls over mutual TLS; without a certificate nobody can",
        "Ada is a user; without her consent no palm is enrolled, so she gives it",
        "Ada's left palm is enrolled; the palm server has learnt it",
        "Ada's palm is verified, with the scores 0.9…",
        "the backend has the receipt; its signature is the published key's",
        "a stranger's palm is refused, and the third try ends the challenge",
        "the scanner renews its certificate for a new key, without anybody's help",
        "the old certificate is refused in the handshake, TLS 1.2: …",
        "the old certificate is refused in the handshake, TLS 1.3: …",
        "so far the scanner's certificate is let in, over TLS 1.2 and TLS 1.3",
        "the scanner is revoked; open connections that this closed: …",
        "the revoked scanner is refused in the handshake, TLS 1.2: …",
        "the revoked scanner is refused in the handshake, TLS 1.3: …",
    ];
    assert_eq!(steps.len(), story.len(), "{stdout}");
    for (step, told) in steps.iter().zip(story) {
        match told.strip_suffix('…') {
            Some(beginning) => assert!(step.starts_with(beginning), "{step}"),
            None => assert_eq!(*step, told),
        }
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the demo's folder is gone");
}

#[test]
fn a_story_that_breaks_off_is_a_failure_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let started = demo()
        .arg("--once")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(started.unwrap());
    // Nobody listens to the first line.
    drop(running.0.stdout.take());
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    let mut reader = running.0.stderr.take().unwrap();
    reader.read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("the demo broke off: "), "{stderr}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the demo's folder is gone");
}

/// A running demo; it is killed if the test ends early.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// With a second thread the client's connections end while this one waits for the server's end.
#[tokio::test(flavor = "multi_thread")]
async fn its_curl_lines_work_and_it_stops_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let started = demo()
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn();
    let mut running = Running(started.unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let told: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("The server goes on"))
        .collect();

    let calls: Vec<&String> = told
        .iter()
        .filter(|line| line.starts_with("curl "))
        .collect();
    let [token, challenges, device] = calls.as_slice() else {
        panic!("not three calls: {told:#?}");
    };
    let token = answer(token).await;
    assert_eq!(token["token_type"], "Bearer");
    assert_eq!(token["expires_in"], 900);
    let challenges = answer(challenges).await;
    let statuses: Vec<&Value> = challenges["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|challenge| &challenge["status"])
        .collect();
    assert_eq!(statuses, ["failed", "completed", "completed"]);
    let device = answer(device).await;
    assert_eq!(device["status"], "pending_pairing");

    let ca_file = told.iter().find_map(|line| line.strip_prefix("CA file"));
    let ca_file = PathBuf::from(ca_file.unwrap().trim());
    assert!(ca_file.starts_with(folder.path()) && ca_file.exists());

    let process = running.0.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &process]).status();
    assert!(sent.unwrap().success());
    let ended = running.0.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the demo's folder is gone");
}

/// What a printed call answers: to a shell, where there is curl, and to a client that reads the line.
async fn answer(line: &str) -> Value {
    let curl = Command::new("curl").arg("--version").output();
    if curl.is_ok_and(|curl| curl.status.success()) {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(answer.get("error").is_none(), "{line}: {answer}");
    }
    let answer = request(&words(line)).send().await.unwrap();
    assert!(answer.status().is_success(), "{line}: {answer:?}");
    answer.json().await.unwrap()
}

/// The words of a shell's line with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        let quoted = index % 2 == 1;
        let mut pieces = if quoted {
            vec![part]
        } else {
            part.split(' ').collect()
        }
        .into_iter();
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(str::to_owned));
    }
    words
}

/// The request that curl makes of these words.
fn request(words: &[String]) -> reqwest::RequestBuilder {
    let ca = std::fs::read(values(words, "--cacert")[0]).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build();
    let (client, url) = (client.unwrap(), words.last().unwrap());
    let mut headers = values(words, "-H");
    let mut request = match values(words, "-d").as_slice() {
        [] => client.get(url),
        bodies => {
            if !headers
                .iter()
                .any(|header| header.starts_with("Content-Type"))
            {
                headers.push("Content-Type: application/x-www-form-urlencoded");
            }
            client.post(url).body(bodies.join("&"))
        }
    };
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    for credentials in values(words, "-u") {
        let (user, password) = credentials.split_once(':').unwrap();
        request = request.basic_auth(user, Some(password));
    }
    request
}

/// What follows each `option`.
fn values<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.map(|pair| pair[1].as_str()).collect()
}
