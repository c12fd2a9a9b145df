//! What Spin's artifacts are made of: media types, keys and limits.

use crate::model::MediaType;

/// A layer that is a WebAssembly component or module.
pub const WASM: MediaType = MediaType::constant("application/vnd.wasm.content.layer.v1+wasm");
/// A layer that is one static file.
pub const DATA: MediaType = MediaType::constant("application/vnd.wasm.content.layer.v1+data");
/// A layer that holds all files of one component, as a gzip-compressed tar archive.
pub const ARCHIVE: MediaType = MediaType::constant("application/vnd.wasm.content.bundle.v1.tar+gzip");
/// The layer that is the lock file; in artifacts of Spin 1 and older, the config.
pub const APPLICATION: MediaType = MediaType::constant("application/vnd.fermyon.spin.application.v1+config");
/// The layer of a WebAssembly package that is no Spin application.
pub const PACKAGE_WASM: MediaType = MediaType::constant("application/wasm");
/// The config of such a package.
pub const PACKAGE_CONFIG: MediaType = MediaType::constant("application/vnd.wasm.config.v0+json");

/// What the lock file calls every component's content.
pub const WASM_CONTENT: &str = "application/wasm";
/// The label of the config that names the lock file, so that different applications have different configs.
pub const LOCK_DIGEST_LABEL: &str = "com.fermyon.spin.lockedAppDigest";

/// Content up to this many bytes is written into the lock file itself; files then have no layer.
pub const MAX_INLINE: u64 = 128;
/// How many layers an artifact has besides the lock file before files are packed into archives: registries (Amazon's
/// among them) take 500 layers.
pub const MAX_CONTENT_LAYERS: usize = 499;
/// How long a lock file may be that we read, in bytes: a few hundred thousand files fit.
pub const MAX_LOCK: u64 = 64 << 20;
