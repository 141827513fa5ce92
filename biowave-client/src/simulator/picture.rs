use sha2::{Digest, Sha256};

use super::png::{self, AREA};
use crate::Sample;

/// How far noise moves a pixel, either way.
const NOISE: i16 = 4;

/// How far the noise of a blurred capture moves a pixel, either way.
const BLUR: i16 = 70;

/// The mean distance of two independent pixels.
const UNRELATED: f64 = 85.0;

/// A capture of palm number `palm`, as a PNG of 16 by 16 grey pixels.
///
/// The palm gives the picture, `noise` disturbs it a little: no two captures are the same bytes, and
/// those of one palm look alike.
#[must_use]
pub fn palm_png(palm: u64, noise: u64) -> Vec<u8> {
    png::encode(&draw(palm, noise, NOISE))
}

/// The images of a capture that a palm server recognises. A palm has one picture in visible light
/// and another in infrared.
#[must_use]
pub fn palm_sample(palm: u64, noise: u64) -> Sample {
    sample(palm, noise, NOISE)
}

/// A capture so bad that its palm is the best candidate and does not reach the thresholds.
#[must_use]
pub fn blurred_palm_sample(palm: u64, noise: u64) -> Sample {
    sample(palm, noise, BLUR)
}

fn sample(palm: u64, noise: u64, amplitude: i16) -> Sample {
    let image = |palm| png::encode(&draw(palm, noise, amplitude));
    Sample::new(image(palm), image(!palm))
}

fn draw(palm: u64, noise: u64, amplitude: i16) -> [u8; AREA] {
    let mut pixels = pattern("palm", palm, 0);
    for (pixel, random) in pixels.iter_mut().zip(pattern("noise", palm, noise)) {
        let shift = i16::from(random) % (2 * amplitude + 1) - amplitude;
        *pixel = u8::try_from((i16::from(*pixel) + shift).clamp(0, 255)).unwrap_or(u8::MAX);
    }
    pixels
}

fn pattern(purpose: &str, palm: u64, noise: u64) -> [u8; AREA] {
    let mut pixels = [0; AREA];
    for (block, counter) in pixels.chunks_mut(32).zip(0_u8..) {
        let hash = Sha256::new()
            .chain_update(purpose)
            .chain_update(palm.to_be_bytes())
            .chain_update(noise.to_be_bytes())
            .chain_update([counter])
            .finalize();
        for (pixel, byte) in block.iter_mut().zip(hash) {
            *pixel = byte;
        }
    }
    pixels
}

/// What is kept of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picture {
    /// A synthetic palm.
    Palm(Box<[u8; AREA]>),
    /// The hash of any other image: alike to itself only.
    Other([u8; 32]),
}

impl Picture {
    /// Takes a PNG; nothing for anything else.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        file.starts_with(png::SIGNATURE)
            .then(|| match png::decode(file) {
                Some(pixels) => Self::Palm(Box::new(pixels)),
                None => Self::Other(Sha256::digest(file).into()),
            })
    }

    /// How alike the upper and the lower halves are, from 0 to 1.
    pub(super) fn compare(&self, other: &Self) -> [f64; 2] {
        match (self, other) {
            (Self::Palm(mine), Self::Palm(theirs)) => {
                let (upper, lower) = mine.split_at(AREA / 2);
                let (their_upper, their_lower) = theirs.split_at(AREA / 2);
                [alike(upper, their_upper), alike(lower, their_lower)]
            }
            (Self::Other(mine), Self::Other(theirs)) if mine == theirs => [1.0; 2],
            (Self::Palm(_) | Self::Other(_), Self::Palm(_) | Self::Other(_)) => [0.0; 2],
        }
    }
}

fn alike(mine: &[u8], theirs: &[u8]) -> f64 {
    let distance: u32 = mine
        .iter()
        .zip(theirs)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    let pixels: u32 = mine.iter().map(|_| 1).sum();
    (1.0 - f64::from(distance) / f64::from(pixels) / UNRELATED).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Picture {
        Picture::read(file).unwrap()
    }

    #[test]
    fn captures_of_one_palm_are_alike_and_of_two_are_not() {
        for palm in 0..50 {
            let first = read(&palm_png(palm, 0));
            for noise in 1..10 {
                assert_ne!(palm_png(palm, 0), palm_png(palm, noise));
                let again = read(&palm_png(palm, noise));
                assert!(first.compare(&again).iter().all(|score| *score > 0.95));
                let other = read(&palm_png(palm + noise, 0));
                assert!(first.compare(&other).iter().all(|score| *score < 0.35));
            }
        }
    }

    #[test]
    fn any_other_image_is_alike_to_itself_only() {
        let file = |last: &[u8]| read(&[png::SIGNATURE.as_slice(), last].concat());
        assert_eq!(file(b"a").compare(&file(b"a")), [1.0; 2]);
        assert_eq!(file(b"a").compare(&file(b"b")), [0.0; 2]);
        assert_eq!(file(b"a").compare(&read(&palm_png(1, 1))), [0.0; 2]);
        assert_eq!(Picture::read(b"GIF89a"), None);
    }
}
