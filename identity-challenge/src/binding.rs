use crate::Error;
use crate::name::named;

named! {
    /// What sort of palm hardware a device is (specification §9.1).
    pub enum DeviceClass ("device class") {
        /// At a counter; gets its work as challenges, which carry the user.
        PersonalScanner = "personal_scanner",
        /// A point of sale; starts transactions.
        Pos = "pos",
        /// An entry; starts transactions.
        Gate = "gate",
        /// Signs users up and enrols them.
        Kiosk = "kiosk",
    }
}

/// Something that only devices of some classes may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Take and complete challenges.
    Challenge,
    /// Start a transaction with a bare scan.
    Transaction,
    /// Sign a new user up.
    Signup,
    /// Enrol a palm without a challenge.
    Enrollment,
}

impl DeviceClass {
    /// The one table of which class may do what.
    ///
    /// ```
    /// use identity_challenge::{DeviceClass, OperationKind};
    ///
    /// assert!(DeviceClass::PersonalScanner.allows(OperationKind::Challenge));
    /// assert!(!DeviceClass::Gate.allows(OperationKind::Challenge));
    /// ```
    #[must_use]
    pub const fn allows(self, operation: OperationKind) -> bool {
        match operation {
            OperationKind::Challenge => matches!(self, Self::PersonalScanner),
            OperationKind::Transaction => matches!(self, Self::Pos | Self::Gate),
            OperationKind::Signup | OperationKind::Enrollment => matches!(self, Self::Kiosk),
        }
    }
}

/// The rule of the product binding that a device breaks (contract §6).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingRule {
    /// A product or an action for a class that takes none: `binding_not_allowed`.
    #[error("a {class} takes neither bound_product nor bound_action")]
    NotAllowed {
        /// The class.
        class: DeviceClass,
    },
    /// A missing product or action: `binding_required`.
    #[error("a {class} needs {member}")]
    Required {
        /// The class.
        class: DeviceClass,
        /// `bound_product` or `bound_action`.
        member: &'static str,
    },
    /// A key that is not 1 to 64 of `A-Za-z0-9._-`.
    #[error("{member} is 1 to 64 of A-Za-z0-9._-, not {value:?}")]
    Key {
        /// `bound_product` or `bound_action`.
        member: &'static str,
        /// What was given, cut to 80 characters.
        value: String,
    },
}

/// A device's class together with the one product and action that its scans mean, if any.
///
/// ```
/// use identity_challenge::{DeviceBinding, DeviceClass};
///
/// let kiosk = DeviceBinding::new(DeviceClass::Kiosk, Some("wallet"), None)?;
/// assert_eq!(kiosk.action(), Some("signup"));
/// assert!(DeviceBinding::new(DeviceClass::Gate, Some("access"), None).is_err());
/// # Ok::<(), identity_challenge::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceBinding {
    class: DeviceClass,
    bound: Option<Bound>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bound {
    product: String,
    action: String,
}

impl DeviceBinding {
    /// What a kiosk does unless told otherwise.
    pub const KIOSK_ACTION: &str = "signup";

    /// Checks that `product` and `action` fit `class`: a `personal_scanner` takes neither, `pos`
    /// and `gate` need both, a `kiosk` needs a product and its action is `signup` by default.
    ///
    /// # Errors
    ///
    /// [`Error::Binding`] with the [`BindingRule`] that is broken.
    pub fn new(
        class: DeviceClass,
        product: Option<&str>,
        action: Option<&str>,
    ) -> Result<Self, Error> {
        let bound = match class {
            DeviceClass::PersonalScanner => match (product, action) {
                (None, None) => Ok(None),
                (Some(_), _) | (None, Some(_)) => Err(BindingRule::NotAllowed { class }),
            },
            DeviceClass::Pos | DeviceClass::Gate => Bound::new(class, product, action).map(Some),
            DeviceClass::Kiosk => {
                Bound::new(class, product, action.or(Some(Self::KIOSK_ACTION))).map(Some)
            }
        };
        let bound = bound.map_err(Error::Binding)?;
        Ok(Self { class, bound })
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> DeviceClass {
        self.class
    }

    /// The product that the device routes to: `bound_product`.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.bound.as_ref().map(|bound| bound.product.as_str())
    }

    /// What the product does for it: `bound_action`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.bound.as_ref().map(|bound| bound.action.as_str())
    }
}

impl Bound {
    fn new(
        class: DeviceClass,
        product: Option<&str>,
        action: Option<&str>,
    ) -> Result<Self, BindingRule> {
        Ok(Self {
            product: key(class, "bound_product", product)?,
            action: key(class, "bound_action", action)?,
        })
    }
}

fn key(
    class: DeviceClass,
    member: &'static str,
    value: Option<&str>,
) -> Result<String, BindingRule> {
    let value = value.ok_or(BindingRule::Required { class, member })?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=64).contains(&value.len()) && value.bytes().all(fits) {
        Ok(value.to_owned())
    } else {
        Err(BindingRule::Key {
            member,
            value: value.chars().take(80).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(class: DeviceClass, product: Option<&str>, action: Option<&str>) -> BindingRule {
        match DeviceBinding::new(class, product, action) {
            Err(Error::Binding(rule)) => rule,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_personal_scanner_takes_no_binding() {
        let class = DeviceClass::PersonalScanner;
        assert!(DeviceBinding::new(class, None, None).is_ok());
        for (product, action) in [(Some("p"), None), (None, Some("a")), (Some("p"), Some("a"))] {
            assert_eq!(
                rule(class, product, action),
                BindingRule::NotAllowed { class }
            );
        }
    }

    #[test]
    fn a_pos_and_a_gate_need_product_and_action() {
        for class in [DeviceClass::Pos, DeviceClass::Gate] {
            let bound = DeviceBinding::new(class, Some("wallet"), Some("pay")).unwrap();
            assert_eq!(
                (bound.product(), bound.action()),
                (Some("wallet"), Some("pay"))
            );
            for (product, action, member) in [
                (None, Some("pay"), "bound_product"),
                (Some("wallet"), None, "bound_action"),
                (None, None, "bound_product"),
            ] {
                assert_eq!(
                    rule(class, product, action),
                    BindingRule::Required { class, member }
                );
            }
        }
    }

    #[test]
    fn a_kiosk_needs_a_product_and_signs_up_by_default() {
        let class = DeviceClass::Kiosk;
        let bound = |action| DeviceBinding::new(class, Some("wallet"), action).unwrap();
        assert_eq!(bound(None).action(), Some("signup"));
        assert_eq!(bound(Some("enroll")).action(), Some("enroll"));
        assert_eq!(
            rule(class, None, None),
            BindingRule::Required {
                class,
                member: "bound_product"
            }
        );
    }

    #[test]
    fn a_key_is_a_short_plain_word() {
        for bad in ["", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(
                matches!(
                    rule(DeviceClass::Kiosk, Some(bad), None),
                    BindingRule::Key { .. }
                ),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn each_operation_belongs_to_its_classes() {
        use DeviceClass::{Gate, Kiosk, PersonalScanner, Pos};
        for (operation, allowed) in [
            (OperationKind::Challenge, &[PersonalScanner][..]),
            (OperationKind::Transaction, &[Pos, Gate]),
            (OperationKind::Signup, &[Kiosk]),
            (OperationKind::Enrollment, &[Kiosk]),
        ] {
            for &class in DeviceClass::ALL {
                assert_eq!(
                    class.allows(operation),
                    allowed.contains(&class),
                    "{class} {operation:?}"
                );
            }
        }
    }
}
