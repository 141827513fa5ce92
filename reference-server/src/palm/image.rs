use std::num::NonZeroU32;

/// The eight bytes that every PNG begins with (PNG, third edition, §5.2).
const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// Length and type of the chunk that comes first (§5.3, §11.2.1).
const IHDR: &[u8; 8] = b"\0\0\0\x0dIHDR";
/// Lengths and dimensions are below 2³¹ (§7.1).
const MAX_DIMENSION: u32 = 0x7fff_ffff;

/// Why bytes are not taken for a palm image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageRule {
    /// They do not begin as a PNG does.
    #[error("does not begin with the PNG signature")]
    Signature,
    /// The first chunk is no image header.
    #[error("does not begin with an IHDR chunk of 13 bytes")]
    Header,
    /// The header tells of an image without points, or of more than PNG allows.
    #[error("is {width} by {height} points")]
    Dimensions {
        /// The width that the header tells.
        width: u32,
        /// The height that the header tells.
        height: u32,
    },
}

/// The size of an image: proof that it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimensions {
    /// Points in a row.
    pub(super) width: NonZeroU32,
    /// Rows.
    pub(super) height: NonZeroU32,
}

/// Looks at the head of a PNG. The rest is the palm server's to read (contract §8).
///
/// # Errors
///
/// The [`ImageRule`] that `bytes` break.
pub(super) fn check_png(bytes: &[u8]) -> Result<Dimensions, ImageRule> {
    let rest = bytes.strip_prefix(SIGNATURE).ok_or(ImageRule::Signature)?;
    let header = rest.strip_prefix(IHDR).ok_or(ImageRule::Header)?;
    let (width, header) = header.split_first_chunk().ok_or(ImageRule::Header)?;
    let (height, header) = header.split_first_chunk().ok_or(ImageRule::Header)?;
    // Five more bytes describe the points, four are the chunk's checksum.
    if header.len() < 9 {
        return Err(ImageRule::Header);
    }
    let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
    match (NonZeroU32::new(width), NonZeroU32::new(height)) {
        (Some(w), Some(h)) if width <= MAX_DIMENSION && height <= MAX_DIMENSION => Ok(Dimensions {
            width: w,
            height: h,
        }),
        _ => Err(ImageRule::Dimensions { width, height }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = [SIGNATURE.as_slice(), IHDR].concat();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 0, 0, 0, 0, 1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn a_png_is_known_by_its_signature_and_its_header() {
        let size = check_png(&png(640, 480)).unwrap();
        assert_eq!((size.width.get(), size.height.get()), (640, 480));
        let mut trailing = png(1, 0x7fff_ffff);
        trailing.extend([0; 100]);
        assert!(check_png(&trailing).is_ok());
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_refused() {
        let whole = png(2, 2);
        for end in 0..whole.len() {
            assert!(check_png(&whole[..end]).is_err(), "{end}");
        }
        assert_eq!(
            check_png(b"\xff\xd8\xff\xe0 a JPEG file"),
            Err(ImageRule::Signature)
        );
        let mut other_chunk = png(2, 2);
        other_chunk[12..16].copy_from_slice(b"IDAT");
        assert_eq!(check_png(&other_chunk), Err(ImageRule::Header));
        let mut other_length = png(2, 2);
        other_length[11] = 14;
        assert_eq!(check_png(&other_length), Err(ImageRule::Header));
    }

    #[test]
    fn an_image_has_points() {
        for (width, height) in [(0, 1), (1, 0), (0, 0), (0x8000_0000, 1), (1, u32::MAX)] {
            let refused = Err(ImageRule::Dimensions { width, height });
            assert_eq!(check_png(&png(width, height)), refused);
        }
    }
}
