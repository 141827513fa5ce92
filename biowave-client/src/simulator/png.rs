//! Grey PNG images of one size, written and read without a codec: stored, not compressed.

/// Width and height in pixels.
pub(super) const SIDE: usize = 16;

/// Pixels of an image.
pub(super) const AREA: usize = SIDE * SIDE;

pub(super) const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// IHDR of a 16 by 16 image, 8 bits a pixel, grey, not interlaced.
const HEADER: [u8; 13] = [0, 0, 0, 16, 0, 0, 0, 16, 8, 0, 0, 0, 0];

/// A zlib stream of one stored block (RFC 1950, RFC 1951 §3.2.4), up to the block's length.
const STORED: [u8; 3] = [0x78, 0x01, 0x01];

/// Each line begins with its filter type: 0, none.
const SCAN_LENGTH: u16 = 16 * 17;

/// The image as a PNG file.
pub(super) fn encode(pixels: &[u8; AREA]) -> Vec<u8> {
    let mut scan = Vec::new();
    for line in pixels.chunks(SIDE) {
        scan.push(0);
        scan.extend_from_slice(line);
    }
    let mut data = STORED.to_vec();
    data.extend_from_slice(&SCAN_LENGTH.to_le_bytes());
    data.extend_from_slice(&(!SCAN_LENGTH).to_le_bytes());
    data.extend_from_slice(&scan);
    data.extend_from_slice(&adler32(&scan).to_be_bytes());

    let mut file = SIGNATURE.to_vec();
    push_chunk(&mut file, *b"IHDR", &HEADER);
    push_chunk(&mut file, *b"IDAT", &data);
    push_chunk(&mut file, *b"IEND", &[]);
    file
}

/// The pixels of a file that [`encode`] wrote; nothing for any other file.
pub(super) fn decode(file: &[u8]) -> Option<[u8; AREA]> {
    // signature, IHDR with its 13 bytes, then length and name of IDAT, then zlib's and the block's
    // heads
    let start = SIGNATURE.len() + (12 + HEADER.len()) + 8 + STORED.len() + 4;
    let scan = file.get(start..start + usize::from(SCAN_LENGTH))?;
    let mut pixels = [0; AREA];
    for (line, from) in pixels.chunks_mut(SIDE).zip(scan.chunks(SIDE + 1)) {
        line.copy_from_slice(from.get(1..)?);
    }
    (encode(&pixels) == file).then_some(pixels)
}

fn push_chunk(file: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&name);
    file.extend_from_slice(data);
    let checksum = crc32(name.iter().chain(data));
    file.extend_from_slice(&checksum.to_be_bytes());
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789".iter()), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(crc32(b"IEND".iter()), 0xAE42_6082);
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let mut pixels = [0; AREA];
        for (pixel, value) in pixels.iter_mut().zip(0..=255) {
            *pixel = value;
        }
        let file = encode(&pixels);
        assert_eq!(decode(&file), Some(pixels));
        for cut in 0..file.len() {
            assert_eq!(decode(&file[..cut]), None, "{cut}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "{at}");
        }
    }
}
