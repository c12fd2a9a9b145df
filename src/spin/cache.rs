//! Spin's cache of what was pulled, as a place to put things and to find them again.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::cache_use::InUse;
use super::cached::CachedApplication;
use super::dependency_name::PackageName;
use super::media;
use super::unpack::{UnpackLimits, Unpacked, unpack};
use crate::content::{Blob, Body, Open, Pushed};
use crate::disk::{self, Lock, Mode};
use crate::error::Error;
use crate::model::{Descriptor, Digest, MediaType, Name, Reference, Registry};
use crate::store::{self, Naming, SessionId, Shelf, blocking};

/// Spin's cache of pulled applications, in Spin's own tree; cheap to clone.
///
/// ```text
/// DIR/registry/manifests/<registry>/<repository>/<tag or digest>/{manifest.json,config.json}
/// DIR/registry/wasm/<digest>           components
/// DIR/registry/data/<digest>           files, archives and what was unpacked from them
/// DIR/registry/.spinreg/partial/       what is not finished
/// DIR/registry/.spinreg/unpacked/      which files came out of which archive
/// DIR/registry/.spinreg/packages/      which content the versions of packages have
/// DIR/registry/.spinreg/digests        which digests the files of applications had when they were packed
/// DIR/registry/.spinreg/manifests.lock held while a `manifest.json` and its `config.json` are replaced
/// DIR/registry/.spinreg/use.lock       shared by those who use the cache, and held alone by those who clear it
/// ```
///
/// Spin finds here what we have pulled, and we find what Spin has: a blob is there where a file of its name has its
/// length. Several processes may use one cache at a time.
#[derive(Clone, Debug)]
pub struct Cache {
    root: Arc<Path>,
    wasm: Shelf,
    data: Shelf,
    limits: UnpackLimits,
    /// Keeps away whoever clears the cache, where that was asked for.
    _in_use: Option<Arc<InUse>>,
}

impl Cache {
    /// Names the cache below `dir`, as `--cache-dir` does. Nothing has to exist, and nothing is made now.
    pub fn at(dir: impl AsRef<Path>) -> Self {
        let root = dir.as_ref().join("registry");
        let partials = root.join(PRIVATE).join("partial");
        // Spin, and other programs of the user, may replace what is here.
        let shelf = |folder| Shelf::new(root.join(folder), &partials, Naming::Flat, Mode::Shared);
        let (wasm, data) = (shelf("wasm"), shelf("data"));
        Self { wasm, data, root: root.into(), limits: UnpackLimits::default(), _in_use: None }
    }

    /// Returns the directory that Spin uses where none is given, by what the environment says: `None` where that says
    /// too little.
    ///
    /// `$XDG_CACHE_HOME/spin` (if absolute), else `$HOME/.cache/spin`; on macOS `$HOME/Library/Caches/spin`; on Windows
    /// `%LOCALAPPDATA%\spin`.
    pub fn default_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = if cfg!(windows) {
            path("LOCALAPPDATA")?
        } else if cfg!(target_os = "macos") {
            path("HOME")?.join("Library/Caches")
        } else {
            path("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| Some(path("HOME")?.join(".cache")))?
        };
        Some(caches.join("spin"))
    }

    /// Lets no more than this come out of an archive.
    #[must_use]
    pub fn with_limits(self, limits: UnpackLimits) -> Self {
        Self { limits, ..self }
    }

    /// Returns this cache, with the promise that nothing is taken away from it while the result or a clone of it lives:
    /// [`prune`](Self::prune), [`clear`](Self::clear) and [`verify`](Self::verify) wait for that, in this process and in
    /// others. The process may end in any way, and the promise ends with it. Makes the file of the lock; where that cannot
    /// be written, nobody of this user clears the cache, and there is no lock.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be locked, or somebody has cleared the cache for ten minutes.
    pub async fn in_use(self) -> Result<Self, Error> {
        let in_use = InUse::gain(self.lock_of_use()).await?;
        Ok(Self { _in_use: Some(Arc::new(in_use)), ..self })
    }

    /// Returns the file under whose lock the cache is used and cleared.
    pub(super) fn lock_of_use(&self) -> PathBuf {
        self.root.join(PRIVATE).join("use.lock")
    }

    /// Returns our own folder inside the cache.
    pub(super) fn private(&self) -> PathBuf {
        self.root.join(PRIVATE)
    }

    /// Returns the root of the tree, the directory `registry`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the place of one application: where a copy puts it, and where it is found again.
    pub fn application(&self, reference: &Reference) -> CachedApplication {
        CachedApplication::new(self.clone(), &self.directory(reference))
    }

    /// Says what of an application is missing, each digest once: layers, files of archives, the lock file. `None` where
    /// nothing was pulled under this reference, or something else than the digest in it. No requests: one look at each
    /// file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Parse`] where the manifest in the cache is none.
    pub async fn missing(&self, reference: &Reference) -> Result<Option<Vec<Digest>>, Error> {
        // A digest alone has a place of its own, and nothing else is ever put there.
        let wanted = reference.digest().filter(|_| reference.tag().is_some());
        self.application(reference).missing(wanted.copied()).await
    }

    /// Finds the WebAssembly of a digest: where components are, else among the files, as Spin does.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is in neither; [`Error::Io`].
    pub async fn wasm(&self, digest: &Digest) -> Result<PathBuf, Error> {
        if self.wasm.size(digest).await?.is_some() {
            return Ok(self.wasm.path(digest));
        }
        self.data(digest).await
    }

    /// Finds a file by its digest.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it is not there; [`Error::Io`].
    pub async fn data(&self, digest: &Digest) -> Result<PathBuf, Error> {
        match self.data.size(digest).await? {
            Some(_) => Ok(self.data.path(digest)),
            None => Err(store::missing(format!("content `{digest}`"), &self.root)),
        }
    }

    /// Finds WebAssembly as [`wasm`](Self::wasm) does, and compares its digest: a file that something has damaged is
    /// taken away where components are, and counts as absent.
    pub(super) async fn verified_wasm(&self, digest: &Digest) -> Result<Option<PathBuf>, Error> {
        for shelf in [&self.wasm, &self.data] {
            if shelf.size(digest).await?.is_none() {
                continue;
            }
            let path = shelf.path(digest);
            if Blob::from_file(media::WASM, &path).await?.descriptor().digest == *digest {
                // No application may need it, and so this is how it is known to be in use.
                let used = path.clone();
                blocking(move || disk::touch(&used).or(Ok(()))).await?;
                return Ok(Some(path));
            }
            tracing::warn!(path = %path.display(), "damaged, and therefore obtained again");
        }
        let damaged = self.wasm.path(digest);
        blocking(move || disk::remove_if_present(&damaged)).await?;
        Ok(None)
    }

    /// Returns the file in which it is noted which digests files of applications had when they were read last.
    pub fn known_digests(&self) -> PathBuf {
        self.root.join(PRIVATE).join("digests")
    }

    /// Returns the shelf of components.
    pub(super) fn wasm_shelf(&self) -> &Shelf {
        &self.wasm
    }

    /// Returns the directory of what is known about the versions of a package.
    pub(super) fn package_notes(&self, registry: &Registry, package: &PackageName) -> PathBuf {
        let directory = self.root.join(PRIVATE).join("packages").join(file_name(registry.as_str()));
        directory.join(package.namespace()).join(package.name())
    }

    /// Returns where it is noted what was obtained of a repository.
    pub(super) fn artifact_notes(&self, registry: &Registry, name: &Name) -> PathBuf {
        self.root.join(PRIVATE).join("artifacts").join(file_name(registry.as_str())).join(name.as_str())
    }

    /// Returns where a definition of an environment is kept that came from `url`.
    pub(super) fn kept_definition(&self, url: &Uri) -> PathBuf {
        let name = format!("{}.toml", Digest::of(url.to_string().as_bytes()).hex());
        self.root.join(PRIVATE).join("environments").join(name)
    }

    /// Returns where Spin keeps the definition of an environment of its catalogue.
    pub(super) fn spins_definition(&self, name: &str) -> PathBuf {
        let stem = name.split('@').next().unwrap_or_default();
        self.root.with_file_name("environments").join("envs").join(stem).join(format!("{name}.toml"))
    }

    /// Returns the shelf of files.
    pub(super) fn files_shelf(&self) -> &Shelf {
        &self.data
    }

    /// Takes the content of a layer to where its media type belongs.
    pub(super) async fn put(&self, blob: &Blob) -> Result<Pushed, Error> {
        let descriptor = blob.descriptor();
        let (shelf, other) = match Route::of(&descriptor.media_type) {
            Route::Wasm => (&self.wasm, &self.data),
            Route::Data | Route::Archive => (&self.data, &self.wasm),
        };
        let nearest = Blob::new(descriptor.clone(), Nearest { other: other.clone(), blob: blob.clone() });
        let pushed = match store::fetch(shelf, &nearest).await {
            // What is here under the other name may be damaged.
            Err(Error::Mismatch(_)) if other.has(descriptor).await? => store::fetch(shelf, blob).await?,
            other => other?,
        };
        if Route::of(&descriptor.media_type) == Route::Archive {
            self.unpack(descriptor).await?;
        }
        Ok(pushed)
    }

    /// Says which files make up the content of a layer, and what says so; `None` where one of them is not there. Blocks.
    pub(super) fn files(&self, layer: &Descriptor) -> Result<Option<Vec<PathBuf>>, Error> {
        let shelf = match Route::of(&layer.media_type) {
            Route::Wasm => &self.wasm,
            Route::Data | Route::Archive => &self.data,
        };
        if !shelf.holds(&layer.digest, layer.size)? {
            return Ok(None);
        }
        let mut files = vec![shelf.path(&layer.digest)];
        if Route::of(&layer.media_type) == Route::Archive {
            let Some(unpacked) = self.unpacked(&layer.digest)? else { return Ok(None) };
            files.extend(unpacked.iter().map(|(digest, _)| self.data.path(digest)));
            files.push(self.marker(&layer.digest));
        }
        Ok(Some(files))
    }

    /// Waits for the lock under which a manifest and its config are replaced.
    pub(super) async fn lock_manifests(&self) -> Result<Lock, Error> {
        lock(self.root.join(PRIVATE).join("manifests.lock")).await
    }

    /// Unpacks an archive that is here, unless all that is in it is here as well.
    async fn unpack(&self, archive: &Descriptor) -> Result<(), Error> {
        let marker = self.marker(&archive.digest);
        // The lock is on a file beside the marker, because the marker is replaced.
        let held = lock(marker.with_extension("lock")).await?;
        let session: SessionId =
            format!("unpack-{}", &archive.digest.hex()[..32]).parse().expect("a prefix and hexadecimal digits");
        let (cache, archive) = (self.clone(), archive.clone());
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        let done = blocking(move || {
            let _held = held;
            if cache.unpacked(&archive.digest)?.is_some() {
                return Ok(());
            }
            let path = cache.data.path(&archive.digest);
            let found = unpack(&path, &archive, &cache.data, &session, cache.limits, &still_wanted)?;
            // It is flushed with what it is about, before the manifest that needs them.
            disk::replace_lightly(&marker, print(&found).as_bytes(), Mode::Shared)
        });
        let outcome = done.await;
        drop(wanted);
        outcome
    }

    /// Says what has come out of an archive, if all of it is still here. Blocks.
    fn unpacked(&self, archive: &Digest) -> Result<Option<Unpacked>, Error> {
        let Some(text) = disk::read_small(&self.marker(archive), MAX_MARKER)? else { return Ok(None) };
        let Some(unpacked) = parse(&text) else { return Ok(None) };
        for (digest, size) in &unpacked {
            if !self.data.holds(digest, *size)? {
                return Ok(None);
            }
        }
        Ok(Some(unpacked))
    }

    /// Returns what has come out of an archive, whether it is still here or not; nothing where that is not known. Blocks.
    pub(super) fn unpacked_from(&self, archive: &Digest) -> Result<Vec<Digest>, Error> {
        let marker = self.marker(archive);
        // Whatever else is there would be followed, or waited for.
        if !fs::symlink_metadata(&marker).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Vec::new());
        }
        let text = disk::read_small(&marker, MAX_MARKER)?;
        let unpacked = text.and_then(|text| parse(&text)).unwrap_or_default();
        Ok(unpacked.into_iter().map(|(digest, _)| digest).collect())
    }

    /// Forgets what has come out of an archive. Blocks.
    pub(super) fn forget_unpacked(&self, archive: &Digest) -> Result<(), Error> {
        disk::remove_if_present(&self.marker(archive))
    }

    fn marker(&self, archive: &Digest) -> PathBuf {
        self.root.join(PRIVATE).join("unpacked").join(format!("{}-{}", archive.algorithm(), archive.hex()))
    }

    pub(super) fn directory(&self, reference: &Reference) -> PathBuf {
        let mut directory = self.root.join("manifests").join(file_name(reference.registry().as_str()));
        directory.extend(reference.name().as_str().split('/'));
        match (reference.tag(), reference.digest()) {
            (None, Some(digest)) => directory.push(file_name(&digest.to_string())),
            (Some(tag), _) => directory.push(tag.as_str()),
            (None, None) => directory.push("latest"),
        }
        directory
    }
}

/// Where a layer's content belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Wasm,
    Data,
    Archive,
}

impl Route {
    fn of(media_type: &MediaType) -> Self {
        if [media::WASM, media::PACKAGE_WASM].contains(media_type) {
            Self::Wasm
        } else if *media_type == media::ARCHIVE {
            Self::Archive
        } else {
            Self::Data
        }
    }
}

/// Content that is taken from the other folder of the cache where it is there, and else from where it comes from.
///
/// That is decided when it is opened: by then whoever was fetching it for the other folder is done.
struct Nearest {
    other: Shelf,
    blob: Blob,
}

impl Open for Nearest {
    fn open(&self, offset: u64) -> std::pin::Pin<Box<dyn Future<Output = Result<Body, Error>> + Send + '_>> {
        Box::pin(async move {
            match self.other.has(self.blob.descriptor()).await? {
                true => self.other.blob(self.blob.descriptor()).open(offset).await,
                false => self.blob.open(offset).await,
            }
        })
    }
}

/// Waits for an exclusive lock by asking again and again: that can be cancelled, and holds no thread meanwhile.
async fn lock(path: PathBuf) -> Result<Lock, Error> {
    loop {
        let path = path.clone();
        let attempt = blocking(move || {
            path.parent().map_or(Ok(()), disk::create_dirs)?;
            Lock::try_exclusive(&path)
        });
        if let Some(lock) = attempt.await? {
            return Ok(lock);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes text that may have colons a file name, as Spin does.
fn file_name(text: &str) -> String {
    if cfg!(windows) { text.replace(':', "_") } else { text.to_owned() }
}

/// Prints one line per file and a last one that says how many there are.
fn print(unpacked: &Unpacked) -> String {
    let lines = unpacked.iter().map(|(digest, size)| format!("{digest} {size}\n"));
    lines.chain([format!("{}\n", unpacked.len())]).collect()
}

/// Parses what [`print`] has printed; anything else is no statement about an archive.
fn parse(text: &[u8]) -> Option<Unpacked> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let (lines, count) = text.rsplit_once('\n').unwrap_or(("", text));
    let entry = |line: &str| {
        let (digest, size) = line.split_once(' ')?;
        Some((digest.parse().ok()?, size.parse().ok()?))
    };
    let unpacked: Unpacked = lines.lines().map(entry).collect::<Option<_>>()?;
    (count.parse() == Ok(unpacked.len())).then_some(unpacked)
}

/// Our own folder inside the cache; Spin passes over it.
const PRIVATE: &str = ".spinreg";

/// How large a statement about an archive is read, in bytes: 100 000 entries fit.
const MAX_MARKER: u64 = 16 << 20;

/// How long to wait before asking for a lock again.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_its_own_folder() {
        let digest = Digest::of(b"");
        let cache = Cache::at("/c");
        for (reference, folder) in [
            ("app".to_owned(), "docker.io/library/app/latest".to_owned()),
            ("localhost:5000/a/b:v1".to_owned(), format!("{}/a/b/v1", file_name("localhost:5000"))),
            (format!("r.example/a@{digest}"), format!("r.example/a/{}", file_name(&digest.to_string()))),
            (format!("r.example/a:v1@{digest}"), "r.example/a/v1".to_owned()),
        ] {
            let parsed = reference.parse().expect("a reference");
            assert_eq!(cache.directory(&parsed), Path::new("/c/registry/manifests").join(folder), "{reference}");
        }
    }

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn the_default_is_spins() {
        for (variables, expected) in [
            (vec![("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/spin")),
            (vec![("XDG_CACHE_HOME", "x"), ("HOME", "/h")], Some("/h/.cache/spin")),
            (vec![("XDG_CACHE_HOME", ""), ("HOME", "/h")], Some("/h/.cache/spin")),
            (vec![("HOME", "")], None),
            (vec![], None),
        ] {
            let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(Cache::default_dir(find), expected.map(PathBuf::from));
        }
    }

    #[test]
    fn what_came_out_of_an_archive_is_remembered_whole() {
        for unpacked in [Unpacked::new(), Unpacked::from([(Digest::of(b"a"), 1), (Digest::of(b""), 0)])] {
            let text = print(&unpacked);
            assert_eq!(parse(text.as_bytes()), Some(unpacked));
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), None, "{end}");
            }
        }
    }
}
