use std::fmt;

use bytes::Bytes;

/// One capture of a palm: two images, and features that the scanner took from them, if it does.
///
/// The bytes are passed on untouched. They are biometrics: there is no `Display`, no `Serialize`,
/// and `Debug` shows lengths only. A clone shares the bytes.
///
/// ```
/// let sample = biowave_client::Sample::new(vec![1, 2, 3], vec![4]);
/// assert_eq!(
///     format!("{sample:?}"),
///     "Sample { image_rgb: 3 bytes, image_ir: 1 bytes, features_rgb: none, features_ir: none }"
/// );
/// ```
#[derive(Clone)]
pub struct Sample {
    pub(crate) image_rgb: Bytes,
    pub(crate) image_ir: Bytes,
    pub(crate) features_rgb: Option<Bytes>,
    pub(crate) features_ir: Option<Bytes>,
}

impl Sample {
    /// A capture of two PNG images, in visible and in infrared light.
    #[must_use]
    pub fn new(image_rgb: impl Into<Bytes>, image_ir: impl Into<Bytes>) -> Self {
        Self {
            image_rgb: image_rgb.into(),
            image_ir: image_ir.into(),
            features_rgb: None,
            features_ir: None,
        }
    }

    /// The same capture with features, as far as the scanner gave them.
    #[must_use]
    pub fn with_features(self, rgb: Option<Bytes>, ir: Option<Bytes>) -> Self {
        Self {
            features_rgb: rgb,
            features_ir: ir,
            ..self
        }
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |bytes: &Option<Bytes>| match bytes {
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "none".to_owned(),
        };
        f.debug_struct("Sample")
            .field("image_rgb", &format_args!("{} bytes", self.image_rgb.len()))
            .field("image_ir", &format_args!("{} bytes", self.image_ir.len()))
            .field(
                "features_rgb",
                &format_args!("{}", optional(&self.features_rgb)),
            )
            .field(
                "features_ir",
                &format_args!("{}", optional(&self.features_ir)),
            )
            .finish()
    }
}
