//! Who runs the servers: PostgreSQL refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// An account that is not root's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Debian's `postgres`, or else `nobody`, if this process is root's; its own account does
    /// otherwise.
    pub(crate) fn unprivileged() -> Option<Self> {
        let process = std::fs::metadata("/proc/self");
        if process.is_ok_and(|process| process.uid() != 0) {
            return None;
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| named(&accounts, name));
        Some(account.unwrap_or_else(|| panic!("neither postgres nor nobody is an account here")))
    }

    /// Has `command` run under this account.
    pub(crate) fn runs(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives `path` to this account.
    pub(crate) fn owns(self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .unwrap_or_else(|error| panic!("{} cannot be given away: {error}", path.display()));
    }
}

/// The account of that name in the text of `/etc/passwd`.
fn named(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_it.then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:5:6::/:\npostgres:x:101:104::/:\n";
        let account = named(accounts, "postgres").expect("it is there");
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(named(accounts, "nobody").is_none());
    }
}
