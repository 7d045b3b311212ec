//! Bodies with `Content-Encoding: deflate` (RFC 3261 §20.12), inflated into a slice of the caller's.
//!
//! The encoding is the zlib format of RFC 1950; some senders leave its header and checksum out and
//! send the bare stream of RFC 1951. Both are taken. What comes out is bounded by the slice, so that
//! a few bytes cannot become many: a body that does not fit is refused, and the work ends there.

use super::scan::eq_ignore_case;
use core::fmt;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Why a body was not inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InflateError {
    /// The encoding is another one: 415 with `Accept-Encoding: deflate` (RFC 3261 §21.4.13).
    UnknownEncoding,
    /// The bytes are no deflate stream, or its checksum is wrong: 400.
    Malformed,
    /// The stream ends too early: 400.
    Truncated,
    /// There is more text than the slice takes: 413.
    TooSmall,
}

impl InflateError {
    /// The status that a server answers a request with.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownEncoding => 415,
            Self::Malformed | Self::Truncated => 400,
            Self::TooSmall => 413,
        }
    }
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownEncoding => "the content encoding is not deflate",
            Self::Malformed => "the body is no deflate stream",
            Self::Truncated => "the deflate stream ends too early",
            Self::TooSmall => "the inflated body is longer than the buffer",
        })
    }
}

impl core::error::Error for InflateError {}

/// Inflates `src`, whose Content-Encoding is `content_encoding`, into `dst`.
///
/// Gives the part of `dst` that was filled. Takes about 11 KiB of stack.
///
/// # Errors
/// See [`InflateError`]; `dst` then holds nothing of use.
///
/// ```
/// use oma_im::wire::deflate::{InflateError, inflate};
///
/// let body = b"\x78\x9c\xf3\x48\xcd\xc9\xc9\x57\x70\xca\x4f\x02\x00\x0f\xe6\x03\x28";
/// assert_eq!(inflate(b"deflate", body, &mut [0; 32]), Ok(&b"Hello Bob"[..]));
/// assert_eq!(inflate(b"deflate", body, &mut [0; 8]), Err(InflateError::TooSmall));
/// assert_eq!(inflate(b"gzip", body, &mut [0; 32]), Err(InflateError::UnknownEncoding));
/// ```
pub fn inflate<'o>(
    content_encoding: &[u8],
    src: &[u8],
    dst: &'o mut [u8],
) -> Result<&'o [u8], InflateError> {
    if !eq_ignore_case(content_encoding, b"deflate") {
        return Err(InflateError::UnknownEncoding);
    }
    let len = match run(src, dst, TINFL_FLAG_PARSE_ZLIB_HEADER) {
        // It has no zlib header, or begins like one by chance.
        Err(InflateError::Malformed) => run(src, dst, 0)?,
        other => other?,
    };
    dst.get(..len).ok_or(InflateError::TooSmall)
}

fn run(src: &[u8], dst: &mut [u8], flags: u32) -> Result<usize, InflateError> {
    let flags = flags | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = DecompressorOxide::new();
    let (status, _, len) = decompress(&mut state, src, dst, 0, flags);
    match status {
        TINFLStatus::Done => Ok(len),
        TINFLStatus::HasMoreOutput => Err(InflateError::TooSmall),
        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
            Err(InflateError::Truncated)
        }
        _ => Err(InflateError::Malformed),
    }
}
