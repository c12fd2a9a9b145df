//! Publishes, fetches, verifies and runs Spin (WebAssembly) applications through any OCI registry.
//!
//! The idea in seven sentences:
//!
//! 1. **Bytes are the truth**: a manifest is its bytes, a blob is its digest; we parse to look, never to re-print.
//! 2. **A blob is a descriptor and a way to open it at an offset.** Files, memory, registries, layouts, retries,
//!    resumes and progress all reduce to that.
//! 3. **Everything is a copy** from a [`content::Source`] to a [`content::Target`]; push and pull differ in which.
//! 4. **One writer** (`store::Ingest`) puts content on disk, and nothing unverified ever bears its final name.
//! 5. **Decide purely, act thinly**: retry, redirect and challenge decisions are pure functions with table tests.
//! 6. **Strict floors**: code looks down, never sideways or up, and a test enforces it.
//! 7. **Wire cost is documented and pinned**: each registry operation says which requests it makes, and a transcript
//!    test holds it to that.
//!
//! ```text
//!  roof   cli
//!   6    spin      serve     conformance
//!   5    copy
//!   4    registry              store
//!   3    auth
//!   2    transport
//!   1    content               disk
//!  ground error
//!         model
//! ```
//!
//! Each floor may touch those named, and nothing else inside the crate:
//!
//! | floor | may touch |
//! |---|---|
//! | `model` | nothing |
//! | `error` | model |
//! | `content` | error, model |
//! | `disk` | error |
//! | `transport` | content (`Body` alone), error, model |
//! | `auth` | transport, disk, content, error, model |
//! | `registry` | auth, transport, content, error, model |
//! | `store` | disk, content, error, model |
//! | `copy` | content, error, model; its `endpoint` also registry and store |
//! | `spin` | store, disk, content, error, model |
//! | `serve` | store, content, error, model |
//! | `conformance` | auth, transport, content, error, model |
//! | `cli` | everything |
//!
//! `serve` and `registry` share types and never logic, so that a test between them is evidence; `conformance` uses
//! neither, so that it can judge both.
//!
//! # Defaults and why
//!
//! | limit | value | why |
//! |---|---|---|
//! | manifest sent | 4 MiB | what registries have to take (distribution-spec 1.1) |
//! | manifest read | 8 MiB | twice that |
//! | error body read | 64 KiB | longer ones are pages of HTML |
//! | answer of a token service | 128 KiB | the longest tokens known have some 10 KiB |
//! | lists | 1 000 pages | a list that goes on is a registry that repeats itself |
//! | attempts | 5, with pauses from 200 ms to 10 s, full jitter | outlasts a restart, not an outage |
//! | `Retry-After` obeyed | up to 60 s | for more, people should decide |
//! | redirects | 10 | as everywhere |
//! | connecting | 10 s for name, TCP, proxy and TLS together | a firewall that drops says nothing |
//! | response headers, silence in a body | 60 s | some registries hash an upload before they answer |
//! | blobs at a time | 16, a quarter of them larger than 4 MiB | many small ones wait for answers, few large ones fill the line |
//! | requests at a time for each origin | 16 down, 16 up, and 1 kept for small ones | a manifest never queues behind gigabytes |
//! | archive layer | 100 000 entries, 8 GiB unpacked | a hostile one ends |
//! | archive of an image layout | 100 000 members, names of 64 KiB | so does this; its content may have any length |
//! | tags that are listed to copy them, or what belongs to a manifest | 100 000 | they are all in memory |
//! | what is copied of one root | 8 levels, 10 000 manifests, 64 MiB of them | the largest known have some hundred |
//! | copies that repeat what other files of an application have | 8 GiB | a lock file of a few lines fills no disk |
//! | download or package that a manifest names | 1 GiB | the largest component known has 40 MB, and what has no end ends |
//! | definition of an environment | 1 MiB | real ones have 1 KiB |
//! | what a registry says about itself | 64 KiB | real ones say 100 bytes |
//! | component that is pushed by itself and checked throughout | 16 MiB | for that it is in memory |
//! | component that is composed | 256 MiB, 50 000 types | the largest known have 40 MB; types are read by calls within calls |
//! | lock file of an application | 64 MiB | the largest known have 100 KiB |
//! | upload session of `serve` that nobody writes to | 24 h | a push that breaks on Friday goes on the same day, or never |
//! | what collecting garbage leaves alone | 24 h old | longer than a push takes: its manifest comes last |
//! | `serve`: path and query, header fields | 16 KiB, 64 of them and 64 KiB | eight times what clients send |
//! | `serve`: connections, open uploads | 1 024 each | a team, not the world |
//! | `serve`: headers of a request, silence of a peer | 60 s, 120 s | a slow line is no silence |
//! | `serve`: a token | 5 min, 32 scopes | a push is over by then, or gets another one |
//! | `serve`: the work of a password | cost 15 at most, 64 in the queue | the last of them waits some seconds |
//! | triggers that are to end because another one has failed | 5 s | longer than a server needs to answer, shorter than people wait |
//! | what `cache prune` leaves alone | used or written within 24 h | Spin takes no locks, and content comes before what needs it |
//! | waiting for a cache | 10 min to use it, 1 min to clear it | a pull takes longer than the removal of 100 000 files |
//! | credential helper | 5 s | a helper that waits for a person who is not there |

pub mod content;
pub mod disk;
pub mod error;
pub mod model;
pub mod store;

pub mod copy;

#[cfg(feature = "client")]
pub mod auth;
#[cfg(feature = "client")]
pub mod registry;
#[cfg(feature = "client")]
pub mod transport;

#[cfg(feature = "spin")]
pub mod spin;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "serve")]
pub mod serve;

#[cfg(feature = "cli")]
pub mod cli;

pub use error::Error;
pub use model::{Descriptor, Digest, Location, Manifest, Reference};

#[cfg(all(feature = "client", not(any(feature = "tls-aws-lc", feature = "tls-ring"))))]
compile_error!("the feature `client` needs a TLS provider beside it: `tls-aws-lc` or `tls-ring`");

/// The README's examples are compiled as tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the registry's manual.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/serve.md")]
struct ServeManual;

/// And those of the library's.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/library.md")]
struct LibraryManual;
