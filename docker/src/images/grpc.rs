//! How does a gRPC message look on the wire, and what does BuildKit put into one?
//!
//! As much of gRPC over HTTP/2 and of protobuf as BuildKit's session needs: messages with fields that have a length.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::{
    HeaderMap, Response,
    body::Frame,
    header::{CONTENT_TYPE, HeaderValue},
};

/// The largest message that is taken, in bytes: more than an ssh agent says at a time.
const MAX_MESSAGE: usize = 1 << 20;

/// The status of a call (`google.golang.org/grpc/codes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    NotFound,
    Unimplemented,
    Unavailable,
}

impl Code {
    fn number(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ok => "0",
            Self::NotFound => "5",
            Self::Unimplemented => "12",
            Self::Unavailable => "14",
        })
    }

    /// What ends an answer.
    pub(super) fn trailers(self) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", self.number());
        Frame::trailers(trailers)
    }
}

/// The head of an answer.
pub(super) fn answer<B>(body: B) -> Response<B> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

/// A message, its length before it, not compressed.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// Takes the first whole message out of what has come so far; `Err`: it is none that is understood.
pub(super) fn unframed(come: &mut BytesMut) -> Result<Option<Bytes>, ()> {
    let Some((&compressed, rest)) = come.split_first() else { return Ok(None) };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if compressed != 0 || length > MAX_MESSAGE {
        return Err(());
    }
    if come.len() < length + 5 {
        return Ok(None);
    }
    come.advance(5);
    Ok(Some(come.split_to(length).freeze()))
}

/// A field with bytes in it.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    loop {
        let (low, more) = ((length & 0x7f).to_le_bytes()[0], length > 0x7f);
        bytes.push(if more { low | 0x80 } else { low });
        length >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The fields of a protobuf message that have a length; numbers are passed over.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = number(&mut self.0)?;
            let skip = match key & 7 {
                0 => {
                    number(&mut self.0)?;
                    continue;
                }
                1 => 8,
                2 => usize::try_from(number(&mut self.0)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (content, rest) = self.0.split_at_checked(skip)?;
            self.0 = rest;
            if key & 7 == 2 {
                return Some((key >> 3, content));
            }
        }
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_came_in() {
        let long = vec![7; 300];
        let sent = [framed(b"one"), framed(&long), framed(b"")].concat();
        let mut come = BytesMut::new();
        let mut found = Vec::new();
        for byte in sent {
            come.put_u8(byte);
            found.extend(unframed(&mut come).expect("understood"));
        }
        assert_eq!(found, [Bytes::from_static(b"one"), long.into(), Bytes::new()]);
        assert_eq!(unframed(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])), Err(()), "compressed");
        assert_eq!(unframed(&mut BytesMut::from(&[0, 0xff, 0, 0, 0][..])), Err(()), "too long");
    }

    #[test]
    fn a_field_is_read_as_it_was_written() {
        let long = vec![7; 70_000];
        let message = [field(1, b"id"), field(2, &long)].concat();
        assert_eq!(Fields(&message).collect::<Vec<_>>(), [(1, &b"id"[..]), (2, &long[..])]);
    }
}
