/// Gives a reason enum its stable machine-readable codes, one for each variant: the match is
/// exhaustive, so that a new reason cannot be without one. Variants under `nested` wrap another
/// reason and have its codes.
macro_rules! codes {
    (
        $name:ident { $($pattern:pat => $code:literal),+ $(,)? }
        $(nested { $($variant:ident($inner:ty)),+ $(,)? })?
    ) => {
        impl $name {
            /// The rule's stable, machine-readable name.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $($pattern => $code,)+
                    $($(Self::$variant(inner) => inner.code(),)+)?
                }
            }

            /// Every code that [`code`](Self::code) can answer.
            pub fn codes() -> impl Iterator<Item = &'static str> {
                [$($code),+].into_iter()$($(.chain(<$inner>::codes()))+)?
            }
        }
    };
}
