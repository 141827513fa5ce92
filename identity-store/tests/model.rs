//! Random lists of operations: SQLite answers as the memory model does.

#![cfg(feature = "sqlite")]

mod operations;

use operations::{answers_as_the_model_does, config, operations};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn sqlite_answers_as_the_model_does(operations in operations()) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("identity.db");
        answers_as_the_model_does(path.to_str().expect("a path"), &operations);
    }
}
