#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the README's links are relative to its folder"
)]
#![doc = include_str!("../../README.md")]

mod alert;
mod one_line;

pub use alert::is_alert;
pub use one_line::one_line;
