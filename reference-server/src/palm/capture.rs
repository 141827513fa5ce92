use std::fmt;

use biowave_client::Sample;
use bytes::Bytes;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity_challenge::PalmType;
use identity_store::{SampleDigest, SecretBytes};
use sha2::Sha256;

use super::image::{ImageRule, check_png};

/// What a device sent of a palm, before anything of it was checked.
#[derive(Default)]
pub struct CaptureParts {
    /// Which palm, if the device says so.
    pub palm_type: Option<PalmType>,
    /// The image in visible light.
    pub image_rgb: Option<Bytes>,
    /// The image in infrared light.
    pub image_ir: Option<Bytes>,
    /// Features taken from the image in visible light.
    pub features_rgb: Option<Bytes>,
    /// Features taken from the image in infrared light.
    pub features_ir: Option<Bytes>,
}

/// Why a capture is refused: the image, and its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureRule {
    /// It is not there, or empty.
    #[error("{part} is missing")]
    Missing {
        /// Which image.
        part: &'static str,
    },
    /// It is no image.
    #[error("{part} {rule}")]
    Image {
        /// Which image.
        part: &'static str,
        /// The rule that it breaks.
        rule: ImageRule,
    },
}

/// One capture of a palm whose images are images. The bytes are biometrics: `Debug` hides them, and
/// nothing but the palm server gets to see them.
#[derive(Clone)]
pub struct Capture {
    palm_type: Option<PalmType>,
    image_rgb: Bytes,
    image_ir: Bytes,
    features_rgb: Option<Bytes>,
    features_ir: Option<Bytes>,
}

impl Capture {
    /// Checks what a device sent.
    ///
    /// # Errors
    ///
    /// [`CaptureRule`]: an image is missing, or is none.
    pub fn new(parts: CaptureParts) -> Result<Self, CaptureRule> {
        Ok(Self {
            palm_type: parts.palm_type,
            image_rgb: image("image_rgb", parts.image_rgb)?,
            image_ir: image("image_ir", parts.image_ir)?,
            features_rgb: parts.features_rgb,
            features_ir: parts.features_ir,
        })
    }

    /// Which palm the device says it is.
    #[must_use]
    pub fn palm_type(&self) -> Option<PalmType> {
        self.palm_type
    }

    /// The capture as the palm server takes it: the same bytes.
    #[must_use]
    pub fn sample(&self) -> Sample {
        Sample::new(self.image_rgb.clone(), self.image_ir.clone())
            .with_features(self.features_rgb.clone(), self.features_ir.clone())
    }

    /// What is kept to know the capture again, byte for byte: HMAC-SHA-256 over its parts, each
    /// after its length, so that no two captures run into one. Without the key nobody can tell
    /// whether a given palm was here.
    ///
    /// # Errors
    ///
    /// None in practice: HMAC takes keys of every length.
    pub fn digest(&self, key: &SecretBytes) -> Result<SampleDigest, InvalidLength> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose())?;
        let images = [Some(&self.image_rgb), Some(&self.image_ir)];
        let features = [self.features_rgb.as_ref(), self.features_ir.as_ref()];
        for part in images.into_iter().chain(features) {
            mac.update(&[u8::from(part.is_some())]);
            let part = part.map(Bytes::as_ref).unwrap_or_default();
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        Ok(SampleDigest(mac.finalize().into_bytes().into()))
    }
}

fn image(part: &'static str, bytes: Option<Bytes>) -> Result<Bytes, CaptureRule> {
    let bytes = bytes
        .filter(|bytes| !bytes.is_empty())
        .ok_or(CaptureRule::Missing { part })?;
    check_png(&bytes).map_err(|rule| CaptureRule::Image { part, rule })?;
    Ok(bytes)
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("palm_type", &self.palm_type)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CaptureParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureParts")
            .field("palm_type", &self.palm_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(mark: u8) -> Bytes {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01".to_vec();
        bytes.extend([8, 0, 0, 0, 0, 1, 2, 3, 4, mark]);
        bytes.into()
    }

    fn parts() -> CaptureParts {
        CaptureParts {
            image_rgb: Some(png(1)),
            image_ir: Some(png(2)),
            ..CaptureParts::default()
        }
    }

    fn digest(key: &[u8], parts: CaptureParts) -> SampleDigest {
        Capture::new(parts)
            .unwrap()
            .digest(&SecretBytes::new(key))
            .unwrap()
    }

    #[test]
    fn both_images_have_to_be_there_and_be_images() {
        let missing = CaptureParts {
            image_ir: None,
            ..parts()
        };
        let refused = CaptureRule::Missing { part: "image_ir" };
        assert_eq!(Capture::new(missing).unwrap_err(), refused);
        let empty = CaptureParts {
            image_rgb: Some(Bytes::new()),
            ..parts()
        };
        let refused = CaptureRule::Missing { part: "image_rgb" };
        assert_eq!(Capture::new(empty).unwrap_err(), refused);
        let text = CaptureParts {
            image_rgb: Some(Bytes::from_static(b"palm")),
            ..parts()
        };
        let refused = CaptureRule::Image {
            part: "image_rgb",
            rule: ImageRule::Signature,
        };
        assert_eq!(Capture::new(text).unwrap_err(), refused);
    }

    #[test]
    fn a_digest_tells_captures_apart_by_every_part_and_by_the_key() {
        let base = digest(b"key", parts());
        assert_eq!(base, digest(b"key", parts()));
        assert_ne!(base, digest(b"other", parts()));
        let swapped = CaptureParts {
            image_rgb: Some(png(2)),
            image_ir: Some(png(1)),
            ..CaptureParts::default()
        };
        assert_ne!(base, digest(b"key", swapped));
        let features = |rgb: Option<&'static [u8]>, ir: Option<&'static [u8]>| {
            let (rgb, ir) = (rgb.map(Bytes::from_static), ir.map(Bytes::from_static));
            digest(
                b"key",
                CaptureParts {
                    features_rgb: rgb,
                    features_ir: ir,
                    ..parts()
                },
            )
        };
        assert_ne!(
            base,
            features(Some(b""), None),
            "nothing is not an empty part"
        );
        assert_ne!(features(Some(b"ab"), None), features(None, Some(b"ab")));
        assert_ne!(
            features(Some(b"ab"), Some(b"c")),
            features(Some(b"a"), Some(b"bc"))
        );
    }

    #[test]
    fn biometrics_do_not_show() {
        let capture = Capture::new(parts()).unwrap();
        assert_eq!(format!("{capture:?}"), "Capture { palm_type: None, .. }");
    }
}
