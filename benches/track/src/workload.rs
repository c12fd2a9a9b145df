//! What is moved: Spin applications, made from a seed.

use std::fs::{self, File};
use std::io::{BufWriter, Result, Write};
use std::path::Path;

/// What kind of application is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// One file of 1 GiB.
    W1,
    /// A typical application: 3 components of 2 to 15 MiB, 60 assets of 1 to 500 KiB. Then nothing changes (W4), and then
    /// one asset does (W5).
    W2,
    /// A static site: 480 files of 1 to 40 KiB.
    W3,
}

impl Workload {
    /// Writes the application into `directory`, which it makes. `edition` is what one asset differs in.
    pub fn write(self, directory: &Path, seed: u64, edition: u64) -> Result<()> {
        let mut chance = Chance(seed ^ (self as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (components, assets): (&[u64], Vec<u64>) = match self {
            Self::W1 => (&[64 << 10], vec![1 << 30]),
            Self::W2 => {
                let sizes = (0..60).map(|_| chance.between(1 << 10, 330 << 10));
                (&[2 << 20, 4 << 20, 15 << 20], sizes.collect())
            }
            Self::W3 => (&[64 << 10], (0..480).map(|_| chance.between(1 << 10, 40 << 10)).collect()),
        };
        application(directory, components, &assets, edition, &mut chance)
    }

    /// The name that it has in directories, repositories and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
            Self::W3 => "w3",
        }
    }
}

/// Writes an application of one small component and assets of these sizes.
pub fn of_assets(directory: &Path, assets: &[u64], seed: u64) -> Result<()> {
    application(directory, &[64 << 10], assets, 1, &mut Chance(seed | 1))
}

fn application(directory: &Path, components: &[u64], assets: &[u64], edition: u64, chance: &mut Chance) -> Result<()> {
    fs::create_dir_all(directory.join("assets"))?;
    let mut manifest =
        String::from("spin_manifest_version = 2\n\n[application]\nname = \"race\"\nversion = \"1.0.0\"\n");
    for (n, size) in components.iter().enumerate() {
        component(&directory.join(format!("c{n}.wasm")), *size, chance)?;
        manifest += &format!("\n[[trigger.http]]\nroute = \"/{n}/...\"\ncomponent = \"c{n}\"\n");
        manifest += &format!("\n[component.c{n}]\nsource = \"c{n}.wasm\"\n");
        if n == 0 {
            manifest += "files = [{ source = \"assets\", destination = \"/\" }]\n";
        }
    }
    for (n, size) in assets.iter().enumerate() {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(directory.join(format!("assets/{n:05}.bin")))?);
        // The first asset is what changes between editions.
        if n == 0 {
            file.write_all(&edition.to_le_bytes())?;
        }
        chance.fill(&mut file, *size)?;
        file.flush()?;
    }
    fs::write(directory.join("spin.toml"), manifest)
}

/// Writes a component that has nothing but a custom section of `size` bytes.
fn component(path: &Path, size: u64, chance: &mut Chance) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(b"\0asm\x0d\0\x01\0")?;
    let name = b"\x04race";
    file.write_all(&[0])?;
    let mut rest = size + name.len() as u64;
    loop {
        let (low, high) = ((rest & 0x7f) as u8, rest >> 7);
        file.write_all(&[if high == 0 { low } else { low | 0x80 }])?;
        rest = high;
        if rest == 0 {
            break;
        }
    }
    file.write_all(name)?;
    chance.fill(&mut file, size)?;
    file.flush()
}

/// An xorshift generator: the same seed gives the same bytes, and nothing on the way can make them fewer.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least)
    }

    fn fill(&mut self, out: &mut impl Write, size: u64) -> Result<()> {
        for _ in 0..size / 8 {
            out.write_all(&self.next().to_le_bytes())?;
        }
        out.write_all(&self.next().to_le_bytes()[..(size % 8) as usize])
    }
}
