use crate::name::named;

named! {
    /// Which palm: each user has at most one template of each.
    pub enum PalmType ("palm type") {
        /// The left palm.
        Left = "left",
        /// The right palm.
        Right = "right",
    }
}
