//! Floor 4: content on disk.
