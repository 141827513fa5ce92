//! File descriptors: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this, devices are soon turned away.
const FEW: u64 = 4096;

/// Raises what this process may have open to what it is allowed to: by default far fewer, for the sake
/// of programs that use `select`.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of file descriptors could not be raised");
    }
    // None is no limit.
    if let Some(limit) = getrlimit(Resource::Nofile)
        .current
        .filter(|&limit| limit < FEW)
    {
        tracing::warn!(
            limit,
            "few file descriptors: each connection takes one (LimitNOFILE=)"
        );
    }
}
