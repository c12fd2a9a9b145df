//! As much of the tar format as an archive of an image layout needs: where each member's content stands, and the header of
//! a new one (POSIX.1-2001, pax, "ustar Interchange Format" and "pax Interchange Format"; and what GNU's tar writes).
//!
//! Our own because content is read and written where it stands, at its offset, several at a time; and because names that
//! are announced as gigabytes must not be read into memory. Works on anything that reads and seeks.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

/// A member: what it is, and where its content stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The name, as written, but for `./` at its start and `/` at its end.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Where its first header begins, in bytes from the start of the archive.
    pub(super) start: u64,
    /// Where its content begins.
    pub(super) offset: u64,
    /// How long its content is, in bytes.
    pub(super) size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A hard or symbolic link.
    Link,
    /// A device, a pipe, a sparse file, or something that we do not know.
    Other,
}

/// Why an archive cannot be read.
#[derive(Debug)]
pub(super) enum Flaw {
    Io(io::Error),
    /// It is no archive from this byte on.
    Malformed {
        at: u64,
        expected: &'static str,
    },
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Member {
    /// Returns where the next member begins.
    pub(super) fn end(&self) -> u64 {
        self.offset + padded(self.size)
    }
}

/// Reads the headers of an archive, one after the other, and skips the content.
#[derive(Debug)]
pub(super) struct Members<R> {
    reader: R,
    length: u64,
    at: u64,
    count: usize,
}

impl<R: Read + Seek> Members<R> {
    /// Begins at the start of `reader`.
    pub(super) fn of(mut reader: R) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self { reader, length, at: 0, count: 0 })
    }

    /// Returns the next member; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Flaw> {
        let start = self.at;
        let (mut path, mut size) = (None, None);
        loop {
            let at = self.at;
            let flaw = |expected| Flaw::Malformed { at, expected };
            if at == self.length {
                // Some writers leave out the blocks of zeros that should be the end.
                return if at == start && self.count > 0 { Ok(None) } else { Err(flaw("a member")) };
            }
            let header = self.block()?;
            if header.iter().all(|byte| *byte == 0) {
                return if at == start { Ok(None) } else { Err(flaw("a member after its extension")) };
            }
            self.count += 1;
            if self.count > MAX_MEMBERS {
                return Err(flaw("at most 100000 members"));
            }
            let header = Header::parse(&header).map_err(flaw)?;
            let extension = matches!(header.flag, b'x' | b'g' | b'L' | b'K');
            let size_now = if extension { header.size } else { size.take().unwrap_or(header.size) };
            // Directories have no content, whatever their header says of a size.
            let size_now = if header.flag == b'5' { 0 } else { size_now };
            let end = self.at.checked_add(size_now).and_then(|end| end.checked_next_multiple_of(BLOCK));
            let Some(end) = end.filter(|end| *end <= self.length) else {
                return Err(flaw("the content that its header announces"));
            };
            let offset = self.at;
            if !extension {
                self.skip_to(end)?;
                let kind = header.kind();
                let path =
                    clean(&path.take().unwrap_or(header.path)).ok_or_else(|| flaw("a name within the archive"))?;
                return Ok(Some(Member { path, kind, start, offset, size: size_now }));
            }
            if size_now > MAX_EXTENSION {
                return Err(flaw("names and extensions of at most 64 KiB"));
            }
            let mut content = vec![0; usize::try_from(size_now).expect("at most 64 KiB")];
            self.reader.read_exact(&mut content)?;
            self.at += size_now;
            self.skip_to(end)?;
            match header.flag {
                b'x' => {
                    let records = Records::parse(&content).map_err(flaw)?;
                    path = records.path.or(path);
                    size = records.size.or(size);
                }
                b'L' => path = Some(text(&content).map_err(flaw)?),
                // What holds for all members is times and owners; the target of a link does not matter.
                _ => {}
            }
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK as usize], Flaw> {
        let mut block = [0; BLOCK as usize];
        let at = self.at;
        self.reader.read_exact(&mut block).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Flaw::Malformed { at, expected: "a header of 512 bytes" },
            _ => Flaw::Io(error),
        })?;
        self.at += BLOCK;
        Ok(block)
    }

    fn skip_to(&mut self, at: u64) -> io::Result<()> {
        self.at = self.reader.seek(SeekFrom::Start(at))?;
        Ok(())
    }
}

/// Returns the header blocks of a file: one, and an extension before it where the name or the size does not fit.
///
/// Nothing in it depends on the time or on who we are.
pub(super) fn header(path: &str, size: u64) -> Vec<u8> {
    let mut records = String::new();
    if path.len() > NAME.len() {
        records.push_str(&record("path", path));
    }
    if size > MAX_OCTAL {
        records.push_str(&record("size", &size.to_string()));
    }
    let mut bytes = Vec::new();
    if !records.is_empty() {
        bytes.extend(block("pax", b'x', records.len() as u64));
        bytes.extend(records.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    }
    // Whoever knows no extensions sees the beginning of the name.
    bytes.extend(block(&path[..path.len().min(NAME.len())], b'0', size.min(MAX_OCTAL)));
    bytes
}

/// Returns how much room content takes.
pub(super) fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK)
}

/// Says how an archive begins that was compressed.
pub(super) fn compression(start: &[u8]) -> Option<&'static str> {
    [(&b"\x1f\x8b"[..], "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz")]
        .into_iter()
        .find_map(|(magic, name)| start.starts_with(magic).then_some(name))
}

/// What a header block says.
struct Header {
    path: String,
    size: u64,
    flag: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK as usize]) -> Result<Self, &'static str> {
        let counted = block.iter().enumerate().map(|(n, byte)| if CHECKSUM.contains(&n) { b' ' } else { *byte });
        let sum: u64 = counted.map(u64::from).sum();
        if number(&block[CHECKSUM]) != Some(sum) {
            return Err("a tar header");
        }
        let size = number(&block[SIZE]).ok_or("a size in the header")?;
        let mut path = text(&block[NAME])?;
        // GNU's headers have times where others have the beginning of the name.
        if &block[MAGIC] == b"ustar\0" && block[PREFIX.start] != 0 {
            path = format!("{}/{path}", text(&block[PREFIX])?);
        }
        Ok(Self { path, size, flag: block[FLAG] })
    }

    fn kind(&self) -> Kind {
        match self.flag {
            // Before POSIX a directory was a file whose name ends in a slash.
            b'0' | 0 | b'7' if self.path.ends_with('/') && self.size == 0 => Kind::Directory,
            b'0' | 0 | b'7' => Kind::File,
            b'5' => Kind::Directory,
            b'1' | b'2' => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// What an extension says that matters here.
#[derive(Default)]
struct Records {
    path: Option<String>,
    size: Option<u64>,
}

impl Records {
    fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        const EXPECTED: &str = "records of a length, a key and a value";
        let mut records = Self::default();
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|byte| *byte == b' ').ok_or(EXPECTED)?;
            let length = std::str::from_utf8(&bytes[..blank]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let length = length.filter(|length| (blank + 2..=bytes.len()).contains(length)).ok_or(EXPECTED)?;
            let record = bytes[blank + 1..length].strip_suffix(b"\n").ok_or(EXPECTED)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(EXPECTED)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => records.path = Some(std::str::from_utf8(value).map_err(|_| EXPECTED)?.to_owned()),
                b"size" => {
                    let digits = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                    records.size = Some(digits.ok_or(EXPECTED)?);
                }
                _ if key.starts_with(b"GNU.sparse.") => return Err("files without holes"),
                _ => {}
            }
            bytes = &bytes[length..];
        }
        Ok(records)
    }
}

/// Reads text that ends at the first zero, or at the end.
fn text(bytes: &[u8]) -> Result<String, &'static str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes[..end].to_vec()).map_err(|_| "a name of UTF-8")
}

/// Reads octal digits, or, where the first bit is set, GNU's binary form.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let zeros = high.iter().enumerate().all(|(n, byte)| if n == 0 { *byte == 0x80 } else { *byte == 0 });
        return (zeros && low.len() == 8).then(|| u64::from_be_bytes(low.try_into().expect("eight bytes")));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with('+')) }
}

/// Returns a name without `./` before and `/` behind; `None` where it leads out of the archive.
fn clean(path: &str) -> Option<String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Some(parts.join("/"))
}

/// Writes one record; its length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + " =\n".len();
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    format!("{length} {key}={value}\n")
}

fn block(path: &str, flag: u8, size: u64) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |start: usize, text: &str| block[start..start + text.len()].copy_from_slice(text.as_bytes());
    put(NAME.start, path);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(SIZE.start, &format!("{size:011o}"));
    put(136, "00000000000");
    put(CHECKSUM.start, "        ");
    put(MAGIC.start, "ustar");
    put(263, "00");
    block[FLAG] = flag;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Other => "special file",
        })
    }
}

/// Everything in an archive begins at a multiple of this, in bytes.
pub(super) const BLOCK: u64 = 512;
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const FLAG: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..263;
const PREFIX: std::ops::Range<usize> = 345..500;
/// The largest number of eleven octal digits: one byte less than 8 GiB.
const MAX_OCTAL: u64 = 0o777_7777_7777;
/// How long a name or an extension may be, in bytes: ours have 160.
const MAX_EXTENSION: u64 = 64 << 10;
/// How many headers are read; each member takes memory.
const MAX_MEMBERS: usize = 100_000;

#[cfg(test)]
mod tests;
