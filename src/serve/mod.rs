//! Floor 6: the embedded registry.
//!
//! [`Registry`] answers requests of the distribution API (distribution-spec 1.1) from OCI image layout directories, one
//! per repository, below one directory. [`Server`] listens and hands requests to it, or to any other [`Handler`]; a
//! registry also answers without a socket, through [`Registry::handle`].
//!
//! What it does: blobs by every form of upload (one request, two, chunks, a stream), mounts from another repository or
//! from whichever has the blob, ranges, sha256 and sha512 side by side, manifests of any content (what they name
//! need not be there) up to 8 MiB, tags with paging, tag parameters, referrers, deletion. By itself it lets everybody do
//! everything: [`Access`] stands before it and asks for passwords and tokens, [`Quota`] bounds what is uploaded.
//!
//! ```text
//!  Server ── connections, TLS, limits, Observer (AccessLog)
//!    └ Access ── who may do what; the token service
//!        └ Quota ── how much may be uploaded
//!            └ Registry ── the distribution API
//! ```
//!
//! Each of them is a [`Handler`] that hands on to the next one, and whatever else is one may stand between them.
//!
//! Nothing that was acknowledged is lost when the process is killed, or the power fails: a blob's bytes are flushed
//! before they get their name, the name before the client is told, a manifest's blobs before it is listed. Uploads
//! survive a restart, and expire. [`Layout::collect`] removes what nobody needs, beside all of that.
//!
//! [`Layout::collect`]: crate::store::Layout::collect

mod access;
mod access_log;
mod blobs;
mod connection;
mod exchange;
pub mod faults;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod idle;
mod limits;
mod manifests;
mod moment;
mod quota;
mod range;
mod readable;
mod referrals;
mod referrers;
mod registry;
mod repositories;
mod respond;
mod route;
mod rupture;
mod server;
mod sessions;
mod tags;
mod tls;
mod upload_id;
mod uploads;
mod warning;

pub use access::{Access, AccessOptions, Anonymous, Scheme, Writes};
pub use access_log::{AccessLog, LogTarget};
pub use exchange::{Arrival, Exchange, Observer, Outcome, Protection, RequestId, Traffic};
pub use limits::{MAX_FIELDS, MAX_HEADERS, MAX_TARGET};
pub use manifests::References;
pub use quota::{OpenUpload, Quota, Quotas};
pub use registry::Registry;
pub use server::{Handler, Server, ServerOptions};
pub use tls::Tls;
pub use warning::{Warned, Warning};
