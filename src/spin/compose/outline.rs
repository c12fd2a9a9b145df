//! The outermost level of a long file of WebAssembly, read section by section: what is inside others is passed over.

use std::io::{self, Read};

use wasmparser::{BinaryReader, BinaryReaderError, ComponentExportSectionReader, ComponentImportSectionReader};

use super::error::Discord;
use super::surface::Surface;

impl Surface {
    /// Reads it from a component or a core module as it comes by, to its end, in memory that does not depend on its length.
    ///
    /// Unlike [`Surface::read`] this checks the outermost level alone: that its sections follow each other to the end of the
    /// file, and that those with names in them are what they should be.
    ///
    /// # Errors
    ///
    /// The inner one where the bytes are no WebAssembly.
    pub(in super::super) fn outline(wasm: &mut impl Read) -> io::Result<Result<Self, Discord>> {
        match Outline::default().read(wasm) {
            Ok(surface) => Ok(Ok(surface)),
            Err(Fault::Input(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Ok(Err(damaged("unexpected end")))
            }
            Err(Fault::Input(error)) => Err(error),
            Err(Fault::Content(discord)) => Ok(Err(discord)),
        }
    }
}

/// Why reading ends early.
enum Fault {
    Input(io::Error),
    Content(Discord),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<BinaryReaderError> for Fault {
    fn from(error: BinaryReaderError) -> Self {
        Self::Content(Discord::Unreadable { reason: error.into() })
    }
}

fn damaged(what: &str) -> Discord {
    Discord::Unreadable { reason: what.into() }
}

/// What was seen so far.
#[derive(Default)]
struct Outline {
    surface: Surface,
    /// How many bytes have come by.
    offset: u64,
}

impl Outline {
    fn read(mut self, wasm: &mut impl Read) -> Result<Surface, Fault> {
        let is_component = match self.take(wasm, HEADER)?.as_slice() {
            b"\0asm\x01\0\0\0" => false,
            b"\0asm\x0d\0\x01\0" => true,
            _ => return Err(Fault::Content(damaged("it begins with something else"))),
        };
        let mut id = [0];
        while wasm.read(&mut id)? > 0 {
            self.offset += 1;
            let (size, _) = self.number(wasm)?;
            match id[0] {
                CUSTOM => self.custom(wasm, size)?,
                IMPORTS if is_component => {
                    let offset = self.offset;
                    let section = self.names(wasm, size)?;
                    for import in ComponentImportSectionReader::new(BinaryReader::new(&section, offset))? {
                        self.surface.imports.push(import?.name.name.to_owned());
                    }
                }
                EXPORTS if is_component => {
                    let offset = self.offset;
                    let section = self.names(wasm, size)?;
                    for export in ComponentExportSectionReader::new(BinaryReader::new(&section, offset))? {
                        self.surface.exports.push(export?.name.name.to_owned());
                    }
                }
                _ => self.skip(wasm, size.into())?,
            }
        }
        Ok(self.surface)
    }

    /// Reads a custom section, where it is one of those that people want to know.
    fn custom(&mut self, wasm: &mut impl Read, size: u32) -> Result<(), Fault> {
        let too_short = || Fault::Content(damaged("a custom section is shorter than its name"));
        let (length, taken) = self.number(wasm)?;
        let left = size.checked_sub(taken).and_then(|left| left.checked_sub(length)).ok_or_else(too_short)?;
        if length > Surface::LONGEST_NAME || left > Surface::LONGEST_TEXT {
            return self.skip(wasm, u64::from(length) + u64::from(left));
        }
        let name = self.take(wasm, length)?;
        let data = self.take(wasm, left)?;
        if let Ok(name) = str::from_utf8(&name) {
            self.surface.note(name, &data);
        }
        Ok(())
    }

    /// Reads a section of names.
    fn names(&mut self, wasm: &mut impl Read, size: u32) -> Result<Vec<u8>, Fault> {
        if size > MAX_NAMES {
            return Err(Fault::Content(Discord::TooLarge { what: "bytes of names", most: MAX_NAMES as usize }));
        }
        self.take(wasm, size)
    }

    /// Reads a number as WebAssembly writes them (LEB128), and says how many bytes it had.
    fn number(&mut self, wasm: &mut impl Read) -> Result<(u32, u32), Fault> {
        let mut number = 0_u64;
        for index in 0..5_u32 {
            let byte = self.take(wasm, 1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                let number = u32::try_from(number).map_err(|_| Fault::Content(damaged("a length is too large")))?;
                return Ok((number, index + 1));
            }
        }
        Err(Fault::Content(damaged("a length has no end")))
    }

    fn take(&mut self, wasm: &mut impl Read, size: u32) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        // A size that is only claimed takes no memory.
        if wasm.take(size.into()).read_to_end(&mut bytes)? < size as usize {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.offset += u64::from(size);
        Ok(bytes)
    }

    fn skip(&mut self, wasm: &mut impl Read, size: u64) -> Result<(), Fault> {
        if io::copy(&mut wasm.take(size), &mut io::sink())? < size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.offset += size;
        Ok(())
    }
}

/// How long the preamble is, in bytes.
const HEADER: u32 = 8;
/// Custom sections of components and core modules alike.
const CUSTOM: u8 = 0;
/// Imports of a component (component model, Binary.md).
const IMPORTS: u8 = 10;
/// Exports of a component.
const EXPORTS: u8 = 11;
/// How long a section of names may be, in bytes: the longest known have some KiB.
const MAX_NAMES: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(wasm: &[u8]) -> Result<Surface, String> {
        // A byte at a time: nothing depends on what comes together.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(1);
                self.0.read(&mut buffer[..most])
            }
        }
        Surface::outline(&mut Slow(wasm)).expect("memory can be read").map_err(|discord| discord.reason())
    }

    #[test]
    fn the_outermost_level_says_the_same_as_the_whole() {
        for text in [
            "(component)",
            "(module)",
            r#"(component
                (import "b" (func $b)) (import "wasi:cli/stdout@0.2.6" (instance))
                (component (import "inner" (func)) (@custom "version" "9"))
                (core module (import "c" "d" (func)) (export "e" (func 0)) (data "x"))
                (@custom "version" " 1.2.3\n") (@custom "source" "\ff") (@custom "" "") (@custom "authors" "y")
                (instance $x) (export "z:y/x@1.0.0" (instance $x)) (import "after" (func)))"#,
            r#"(module (import "a" "b" (func)) (memory 1) (data (i32.const 0) "x") (@custom "revision" "1"))"#,
        ] {
            let wasm = wat::parse_str(text).expect("code in text form");
            assert_eq!(outline(&wasm), Ok(Surface::read(&wasm).expect("WebAssembly")), "{text}");
            for cut in 0..wasm.len() {
                match outline(&wasm[..cut]) {
                    Err(said) => assert_eq!(said, "unexpected end"),
                    // What ends between two sections is whole as far as anybody can see.
                    Ok(seen) => assert!(cut >= 8 && seen.imports.len() <= 3, "{cut}"),
                }
            }
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        for (bytes, said) in [
            (&b"<html><b"[..], "it begins with something else"),
            (b"\0asm\x0d\0\x01\0\x07\x05\0", "unexpected end"),
            (b"\0asm\x0d\0\x01\0\x07\xff\xff\xff\xff\x7f", "a length is too large"),
            (b"\0asm\x0d\0\x01\0\x07\xff\xff\xff\xff\xff\x01", "a length has no end"),
            (b"\0asm\x0d\0\x01\0\x00\x01\x05", "a custom section is shorter than its name"),
            (b"\0asm\x0d\0\x01\0\x0a\xff\xff\xff\xff\x0f", "it has more than 16777216 bytes of names"),
        ] {
            let error = outline(bytes).expect_err(said);
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(outline(b"\0asm\x0d\0\x01\0\x0a\x02\x01\x09").is_err(), "no import");
    }
}
