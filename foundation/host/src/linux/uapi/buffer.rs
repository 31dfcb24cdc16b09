//! Buffers for text that holds keys: wiped after use, and never grown, so that no copy stays behind.

use std::io::{self, Read, Write};

use zeroize::{Zeroize as _, Zeroizing};

/// Bytes that are written or read at once.
const CHUNK: usize = 64 * 1024;
/// The longest line of the protocol is far shorter: a preshared key takes 78 bytes, an end point with zone about 80.
const LINE_MAX: usize = 4096;

/// Collects small pieces of text and writes them in large ones.
pub(super) struct Writer<W: Write> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, buffer: Vec::with_capacity(CHUNK) }
    }

    /// `key=value`.
    pub(super) fn line(&mut self, key: &str, value: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self, "{key}={value}")
    }

    /// `key=` and the bytes in hexadecimal.
    pub(super) fn key(&mut self, name: &str, bytes: &[u8; 32]) -> io::Result<()> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Zeroizing::new([0; 64]);
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        self.write_all(name.as_bytes())?;
        self.write_all(b"=")?;
        self.write_all(hex.as_slice())?;
        self.write_all(b"\n")
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush()?;
        }
        let taken = bytes.len().min(CHUNK);
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.write_all(&self.buffer);
        // Of the slice, not of the vector: that would wipe all its room, most of it never used.
        self.buffer.as_mut_slice().zeroize();
        self.buffer.clear();
        result
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        self.buffer.as_mut_slice().zeroize();
    }
}

/// Reads line by line with one buffer.
pub(super) struct Lines<R: Read> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How much of the buffer was ever used.
    used: usize,
}

impl<R: Read> Drop for Lines<R> {
    fn drop(&mut self) {
        self.buffer[..self.used].zeroize();
    }
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; CHUNK], start: 0, end: 0, used: 0 }
    }

    /// The next line without its end; `None` at the end of the input. A last line without an end is a line. A line
    /// longer than [`LINE_MAX`] is an error ([`io::ErrorKind::InvalidData`]).
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = self.buffer[searched..self.end].iter().position(|byte| *byte == b'\n') {
                let line = self.start..searched + at;
                self.start = line.end + 1;
                return Ok(Some(&self.buffer[line]));
            }
            searched = self.end;
            if self.end - self.start > LINE_MAX {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            if self.end == self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                searched = self.end;
            }
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) if self.start == self.end => return Ok(None),
                Ok(0) => {
                    let line = self.start..self.end;
                    self.start = self.end;
                    return Ok(Some(&self.buffer[line]));
                }
                Ok(count) => {
                    self.end += count;
                    self.used = self.used.max(self.end);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
