use identity_pki::TbsSha256;

/// How far a reader of the denylist's feed has come. What is in it is the back end's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DenialCursor {
    /// The last row read, by its sequence number alone or behind its transaction.
    pub(crate) transaction: i64,
    pub(crate) sequence: i64,
    /// The first transaction that was under way when this pass began: the next begins there.
    pub(crate) horizon: Option<i64>,
}

/// A part of the denylist's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedPage {
    /// What was denied.
    pub digests: Vec<TbsSha256>,
    /// Where to read on.
    pub next: DenialCursor,
    /// Whether everything has been read that was committed before the call.
    pub is_last: bool,
}
